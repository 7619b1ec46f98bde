"""TensorRT-RTX itself, without a GPU: it reads our graphs, knows our weights by name, and builds ahead of time.

`make trt-check` installs it (230 MB) and runs this; elsewhere these tests are skipped.
"""

import pytest

from engine.backends import gpu_detection as gpu
from engine.backends import graph_structure as structure
from engine.backends import trt_plan
from engine.errors import BackendUnavailable, ModelError
from export.fold import fold
from export.graph import build
from export.students import STUDENTS
from training.students import Student, tensors_of

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed; make trt-check installs it")

CARDS = [(8, 6), (8, 9), (12, 0)]  # of the series RTX 30, 40 and 50


@pytest.fixture(scope="module")
def kit():
    return trt_plan.toolkit()


@pytest.fixture(scope="module", params=[(s, half) for s in STUDENTS for half in (False, True)], ids=str)
def graph(request):
    name, half = request.param
    whole = build(name, fold(tensors_of(Student(name))), STUDENTS[name].size)
    return structure.half(whole) if half else whole


def test_names_types_and_shapes_are_those_of_the_student(kit, graph):
    _, network = trt_plan.parse(kit, graph.SerializeToString())
    for tensor, ours in ((network.get_input(0), graph.graph.input[0]), (network.get_output(0), graph.graph.output[0])):
        assert tensor.name == ours.name
        assert list(tensor.shape) == [side.dim_value for side in ours.type.tensor_type.shape.dim]
        assert tensor.dtype == kit.trt.float32


def test_the_weights_that_can_be_refitted_are_ours_by_name(kit, graph):
    """Every one of ours is known, and every one that is known is ours: convolutions have no others."""
    names = structure.weight_names(graph.graph)
    _, network = trt_plan.parse(kit, graph.SerializeToString())
    assert trt_plan.unknown_weights(kit, network, names) == []
    assert trt_plan.unknown_weights(kit, network, ["no such weights"]) == ["no such weights"]
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    convolutions = [layer for layer in layers if layer.type == kit.trt.LayerType.CONVOLUTION]
    assert len(names) == 2 * len(convolutions)
    assert {t.name for t in graph.graph.initializer} - set(names) <= sizes_and_scales(graph)


def sizes_and_scales(graph):
    return {name for node in graph.graph.node if node.op_type == "Resize" for name in node.input[1:]}


def test_plans_are_built_ahead_of_time_for_three_series_of_cards(kit, graph):
    plan = trt_plan.build(kit, graph.SerializeToString(), refit=False, capabilities=CARDS)
    assert len(plan) > 1e6


def test_the_trained_types_are_kept(kit):
    graph = structure.half(build("jitnet", fold(tensors_of(Student("jitnet"))), (240, 240)))
    _, network = trt_plan.parse(kit, graph.SerializeToString())
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    kinds = {layer.get_output(0).dtype for layer in layers if layer.type == kit.trt.LayerType.CONVOLUTION}
    assert kinds == {kit.trt.float16}


@pytest.mark.skipif(not isinstance(gpu.find(), str), reason="this machine has a GPU")
@pytest.mark.parametrize("refit", [True, False])
def test_what_needs_a_card_fails_with_a_reason(kit, refit):
    """A plan that can be refitted cannot be built ahead of time: the day it can, this test tells."""
    graph = build("jitnet", fold(tensors_of(Student("jitnet"))), (240, 240)).SerializeToString()
    if refit:
        with pytest.raises(ModelError, match="cannot build this student: .*CUDA_SUCCESS"):
            trt_plan.build(kit, graph, refit=True, capabilities=[(8, 6)])
    else:
        plan = trt_plan.build(kit, graph, refit=False, capabilities=[(8, 6)])
        assert kit.trt.Runtime(kit.logger).deserialize_cuda_engine(plan) is None
        assert "driver" in kit.complaints()


def test_cards_it_does_not_build_for_are_named(kit):
    with pytest.raises(BackendUnavailable, match=r"knows no card of compute capability 9.0"):
        trt_plan.toolkit((9, 0))


def test_bytes_that_are_no_model_are_refused_with_its_reason(kit):
    with pytest.raises(ModelError, match=r"TensorRT-RTX cannot read this student: .*MODEL_DESERIALIZE_FAILED"):
        trt_plan.parse(kit, b"not a model")
