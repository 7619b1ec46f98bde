"""Backends: which one is chosen, that all of them compute the same, and which students they refuse."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine import Masker
from engine.backends import BACKENDS, load
from engine.errors import BackendUnavailable, ModelError, UnsupportedStudent, UsageError
from engine.painting.contrast import PROBE_TOLERANCE, alpha_difference
from export.publish import Publisher, load_student, publish_initial


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr("engine.backends.gpu_detection.find", lambda: "no NVIDIA driver")


@pytest.fixture(scope="module")
def lite():
    weights = load_student("lite", (256, 256))
    return Publisher(weights).publish(dict(weights.tensors)).model


@pytest.fixture(params=BACKENDS)
def choice(request):
    try:
        return load(request.param)
    except BackendUnavailable as error:
        pytest.skip(str(error))


def student(image=(1, 3, 8, 8), logits=(1, 1, 8, 8), element=TensorProto.FLOAT, inputs=("image",)):
    """A graph of one convolution; a size that is a string is open."""
    kernel = np.ones((logits[1], 3, 1, 1), helper.tensor_dtype_to_np_dtype(element))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["logits"])],
        "student",
        [helper.make_tensor_value_info(name, element, image) for name in inputs],
        [helper.make_tensor_value_info("logits", element, logits)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_every_backend_agrees_with_torch_cpu(choice, lite):
    backend, reference = choice(lite, 1), load("torch-cpu")(lite, 1)
    backend.image[:] = reference.image[:] = np.random.default_rng(0).random(backend.image.shape)
    assert alpha_difference(backend.run(), reference.run()) < (PROBE_TOLERANCE if choice.name == "trt" else 1e-3)


def test_a_backend_that_its_check_refuses_is_not_created(choice, lite):
    seen = []

    def check(backend):
        seen.append(backend.name)
        raise ModelError("refused")

    with pytest.raises(ModelError, match="refused"):
        choice.create(lite, 1, check)
    assert set(seen) == {choice.name}


def test_every_backend_refuses_bytes_that_are_no_model(choice):
    with pytest.raises(ModelError):
        choice(b"not a model", 1)


SHAPES = {
    "batch of 2": (student((2, 3, 8, 8), (2, 1, 8, 8)), "input is image float32 (2, 3, 8, 8)"),
    "open batch": (student(("n", 3, 8, 8), ("n", 1, 8, 8)), "input is image float32 (n, 3, 8, 8)"),
    "open size": (student((1, 3, "h", "w"), (1, 1, "h", "w")), "input is image float32 (1, 3, h, w)"),
    "nameless size": (student((1, 3, 8, None), (1, 1, 8, None)), "input is image float32 (1, 3, 8, "),
    "two channels": (student(logits=(1, 2, 8, 8)), "output is logits float32 (1, 2, 8, 8)"),
    "float16": (student(element=TensorProto.FLOAT16), "input is image "),
    "two inputs": (student(inputs=("image", "other")), "input is image float32 (1, 3, 8, 8) and other float32"),
}


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "numba-cpu"])  # which takes none but ours
@pytest.mark.parametrize("case", SHAPES)
def test_a_student_of_another_shape_is_refused_with_what_was_expected(name, case, monkeypatch):
    """No GPU is needed: the graph is asked before the runtime is."""
    model, found = SHAPES[case]
    backend = BACKENDS[name]()
    if name == "ort-cuda":
        monkeypatch.setattr(backend, "PROVIDERS", ["CPUExecutionProvider"])
    with pytest.raises(ModelError) as refused:
        backend.create(model, 1, lambda _: None)
    message = str(refused.value)
    assert found in message
    assert "of fixed sizes. Export it for one image of one size" in message


@pytest.mark.parametrize("module", ["engine.backends.ort_cpu", "training.teachers.onnx_segmenter"])
def test_onnx_runtime_reports_to_nobody_and_leaves_no_device_id(module, tmp_path):
    """Its telemetry begins with the import, in a process of its own here: it keeps an id and a queue in the home."""
    code = f"import {module} as m; m.ort.InferenceSession({student()!r}, providers=['CPUExecutionProvider'])"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_", "CI", "PYTEST"))}
    environment = kept | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [str(path) for path in tmp_path.rglob("*")] == []


def test_auto_says_what_it_chose_and_why(no_gpu):
    choice = load("auto")
    assert (choice.name, choice.reason) == ("numba-cpu", "the fastest backend that is installed")


def test_an_unknown_backend_lists_those_that_exist():
    with pytest.raises(UsageError, match="unknown backend 'tpu'; choose one of auto, numba-cpu, ort-cpu, torch-cpu"):
        load("tpu")


def test_a_backend_without_its_runtime_is_an_error_when_named_and_passed_over_by_auto(no_gpu, monkeypatch):
    monkeypatch.setitem(BACKENDS, "ort-cpu", lambda: __import__("engine.backends.no_such_runtime"))
    with pytest.raises(BackendUnavailable, match="backend 'ort-cpu' cannot be used: No module named"):
        load("ort-cpu")
    choice = load("auto", {"numba-cpu": "backend 'numba-cpu' has no step"})
    assert choice.name == "torch-cpu"
    assert "backend 'numba-cpu' has no step; backend 'ort-cpu' cannot be used" in choice.reason


@pytest.fixture(scope="module")
def numba_cpu():
    try:
        return load("numba-cpu")
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("size", [(240, 320), (256, 256), (192, 208), (480, 640), (1024, 192)])
def test_the_program_computes_what_the_graph_says_at_any_size(numba_cpu, size):
    """With weights that differ from the shipped ones, so that no bias or gate is small."""
    weights, rng = load_student("lite", size), np.random.default_rng(1)
    changed = {k: (v * rng.uniform(0.8, 1.2, v.shape)).astype(np.float32) for k, v in weights.tensors.items()}
    model = Publisher(weights, size).publish(changed).model
    backend, reference = numba_cpu(model, 1), load("torch-cpu")(model, 1)
    backend.image[:] = reference.image[:] = rng.normal(0.5, 0.5, backend.image.shape)
    expected = reference.run()
    assert np.abs(backend.run() - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.array_equal(backend.image, reference.image), "others look at the image after the student"


def test_a_program_has_no_memory_of_the_frame_before(numba_cpu, lite):
    backend, rng = numba_cpu(lite, 1), np.random.default_rng(2)
    image = rng.random(backend.image.shape, np.float32)
    backend.image[:] = image
    first = backend.run().copy()
    backend.image[:] = np.inf
    backend.run()
    backend.image[:] = image
    assert np.array_equal(backend.run(), first)


@pytest.mark.parametrize("poisoned", ["stem.weight", "enc1.gate.excite.bias", "enc5.depthwise.weight", "dec1.mix.bias"])
def test_nan_in_any_weight_is_seen_in_the_answer(numba_cpu, poisoned):
    weights = load_student("lite", (240, 320))
    tensors = {k: v.copy() for k, v in weights.tensors.items()}
    tensors[poisoned].flat[0] = np.nan
    backend = numba_cpu(Publisher(weights, (240, 320)).publish(tensors).model, 1)
    backend.image[:] = 0.5
    assert np.isnan(backend.run()).any()


def test_a_student_without_a_program_is_for_another_backend(numba_cpu, no_gpu):
    model = publish_initial(load_student("jitnet", (240, 240))).model
    with pytest.raises(
        UnsupportedStudent, match="jitnet has stem2.conv, a convolution of side 3.*use --backend ort-cpu"
    ):
        numba_cpu(model, 1)
    with pytest.raises(UnsupportedStudent, match="it is none that jm-train makes"):
        numba_cpu(student(), 1)
    with Masker("auto", None, "#204060", student="jitnet") as masker:
        assert masker.backend_name == "ort-cpu"
        assert "backend 'numba-cpu' cannot run the student: jitnet has" in masker.backend_reason


def test_damaged_bytes_are_refused_or_seen_in_the_answer(numba_cpu, lite):
    """A bit of a weight is a number like another, for whoever asks; all that is not a weight has to be as it was."""
    rng = np.random.default_rng(3)
    for at in rng.integers(0, len(lite), 60):
        damaged = bytearray(lite)
        damaged[at] ^= 1 << int(rng.integers(8))
        try:
            backend = numba_cpu(bytes(damaged), 1)
        except ModelError:
            continue
        backend.image[:] = 0.5
        assert backend.run().shape == (1, 1, 256, 256)
    for end in (0, 1, 1000, len(lite) // 2, len(lite) - 1):
        with pytest.raises(ModelError):
            numba_cpu(lite[:end], 1)
    with pytest.raises(ModelError):
        numba_cpu(lite.replace(b"stem.weight", b"stem.weighs"), 1)
