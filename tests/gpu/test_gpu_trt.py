"""TensorRT-RTX itself, without a GPU: it reads our graphs, knows our weights by name, and builds ahead of time.

`make trt-check` installs it (230 MB) and runs this; elsewhere these tests are skipped.
"""

import onnx
import pytest

from engine.backends import gpu_detection as gpu
from engine.backends import onnx_graph, trt_plan
from engine.errors import BackendUnavailable, ModelError
from export.fold import fold
from export.graph import build
from export.students import STUDENTS
from training.students import Student, tensors_of

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed; make trt-check installs it")

CARDS = [(8, 6), (8, 9), (12, 0)]  # of the series RTX 30, 40 and 50


@pytest.fixture(scope="module")
def tensorrt():
    return trt_plan.find_tensorrt()


@pytest.fixture(scope="module", params=[(s, half) for s in STUDENTS for half in (False, True)], ids=str)
def graph(request):
    name, half = request.param
    whole = onnx.load_from_string(build(name, fold(tensors_of(Student(name))), STUDENTS[name].size))
    return onnx_graph.to_half(whole) if half else whole


def test_names_types_and_shapes_are_those_of_the_student(tensorrt, graph):
    _, network = trt_plan.parse(tensorrt, graph.SerializeToString())
    for tensor, ours in ((network.get_input(0), graph.graph.input[0]), (network.get_output(0), graph.graph.output[0])):
        assert tensor.name == ours.name
        assert list(tensor.shape) == [side.dim_value for side in ours.type.tensor_type.shape.dim]
        assert tensor.dtype == tensorrt.api.float32


def test_the_weights_that_can_be_refitted_are_ours_by_name(tensorrt, graph):
    """Every one of ours is known, and every one that is known is ours: convolutions have no others."""
    names = onnx_graph.conv_weight_names(graph.graph)
    _, network = trt_plan.parse(tensorrt, graph.SerializeToString())
    assert trt_plan.unknown_weights(tensorrt, network, names) == []
    assert trt_plan.unknown_weights(tensorrt, network, ["no such weights"]) == ["no such weights"]
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    convolutions = [layer for layer in layers if layer.type == tensorrt.api.LayerType.CONVOLUTION]
    assert len(names) == 2 * len(convolutions)
    assert {t.name for t in graph.graph.initializer} - set(names) <= sizes_and_scales(graph)


def sizes_and_scales(graph):
    return {name for node in graph.graph.node if node.op_type == "Resize" for name in node.input[1:]}


def test_plans_are_built_ahead_of_time_for_three_series_of_cards(tensorrt, graph):
    plan = trt_plan.build(tensorrt, graph.SerializeToString(), refit=False, capabilities=CARDS)
    assert len(plan) > 1e6


def test_the_trained_types_are_kept(tensorrt):
    graph = onnx_graph.to_half(onnx.load_from_string(build("jitnet", fold(tensors_of(Student("jitnet"))), (240, 240))))
    _, network = trt_plan.parse(tensorrt, graph.SerializeToString())
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    kinds = {layer.get_output(0).dtype for layer in layers if layer.type == tensorrt.api.LayerType.CONVOLUTION}
    assert kinds == {tensorrt.api.float16}


@pytest.mark.skipif(not isinstance(gpu.find(), str), reason="this machine has a GPU")
@pytest.mark.parametrize("refit", [True, False])
def test_what_needs_a_card_fails_with_a_reason(tensorrt, refit):
    """A plan that can be refitted cannot be built ahead of time: the day it can, this test tells."""
    graph = build("jitnet", fold(tensors_of(Student("jitnet"))), (240, 240))
    if refit:
        with pytest.raises(ModelError, match="cannot build this student: .*CUDA_SUCCESS"):
            trt_plan.build(tensorrt, graph, refit=True, capabilities=[(8, 6)])
    else:
        plan = trt_plan.build(tensorrt, graph, refit=False, capabilities=[(8, 6)])
        assert tensorrt.api.Runtime(tensorrt.logger).deserialize_cuda_engine(plan) is None
        assert "driver" in tensorrt.take_errors()


def test_cards_it_does_not_build_for_are_named(tensorrt):
    with pytest.raises(BackendUnavailable, match=r"knows no card of compute capability 9.0"):
        trt_plan.find_tensorrt((9, 0))


def test_bytes_that_are_no_model_are_refused_with_its_reason(tensorrt):
    with pytest.raises(ModelError, match=r"TensorRT-RTX cannot read this student: .*MODEL_DESERIALIZE_FAILED"):
        trt_plan.parse(tensorrt, b"not a model")
