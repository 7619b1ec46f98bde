"""The backends for GPUs where there is none: what they say, what is decided, and trt around a scripted TensorRT."""

import gc
import hashlib
import sys

import numpy as np
import pytest

import engine.backends.trt as trt_module
from engine import Masker
from engine.backends import BACKENDS, ON_GPU, available, gpu_check_record, load
from engine.backends import gpu_detection as gpu
from engine.backends.trt import Trt
from engine.backends.trt_engine import PlanFile
from engine.backends.trt_plan import TensorRT
from engine.cli import main
from engine.errors import BackendUnavailable, CandidateRejected, ModelError
from engine.sources.synthetic import SyntheticPerson
from export.contracts import Probe
from export.publish import Publisher, load_student
from export.students import STUDENTS
from tests.gpu.fakes_gpu import FakeDevice, FakeTensorRT

CARD = gpu.Gpu("a scripted card", (8, 9), "580.65.06, CUDA 13.0")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr("engine.backends.gpu_detection.find", lambda: "no NVIDIA driver: libcuda.so.1 is not installed")


@pytest.fixture(scope="module")
def weights():
    return load_student("lite", STUDENTS["lite"].size)


# -- what is chosen, what is said --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_GPU)
def test_a_gpu_backend_that_is_asked_for_and_absent_ends_with_4_and_the_remedy(no_gpu, name, capsys):
    assert main(["-i", "test://?frames=1", "-o", "null", "--teacher", "none", "--backend", name]) == 4
    said = capsys.readouterr().err
    assert f"backend {name!r} cannot be used: no NVIDIA driver" in said
    assert "--backend ort-cpu, or auto" in said


def test_without_a_gpu_auto_takes_the_cpu_and_imports_nothing_large(no_gpu):
    assert load("auto").name == "numba-cpu"
    assert "tensorrt" not in sys.modules


@pytest.fixture
def checked_card(monkeypatch):
    """A machine with a card that gpu-check has passed on."""
    monkeypatch.setattr("engine.backends.gpu_detection.find", lambda: CARD)
    monkeypatch.setattr(gpu_check_record, "unchecked", lambda backends, card: {})


def test_auto_leaves_a_gpu_that_cannot_run_the_student_and_says_so(checked_card, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("CUDA error 719")

    monkeypatch.setattr(Trt, "require", staticmethod(lambda: None))
    monkeypatch.setattr(Trt, "create", staticmethod(fail))
    with Masker("auto", threads=1) as masker:
        assert masker.backend_name == "numba-cpu"
        assert "backend 'trt' cannot run the student: RuntimeError: CUDA error 719" in masker.backend_reason
    assert [r.getMessage() for r in caplog.records] == ["backend trt is passed over: RuntimeError: CUDA error 719"]
    with pytest.raises(RuntimeError, match="CUDA error 719"):
        Masker("trt", threads=1)


def test_with_a_gpu_and_nothing_for_it_auto_takes_the_cpu_and_says_what_is_missing(checked_card, monkeypatch):
    monkeypatch.setattr("engine.backends.trt_plan.MODULES", {"no_such_tensorrt": "TensorRT"})
    for name in ("ort-cuda", "torch-cuda"):
        monkeypatch.setitem(BACKENDS, name, lambda: __import__("engine.backends.no_such_runtime"))
    trt_module.find_tensorrt.cache_clear()
    choice = load("auto")
    trt_module.find_tensorrt.cache_clear()
    assert choice.name == "numba-cpu"
    assert "TensorRT: No module named 'no_such_tensorrt'" in choice.reason
    assert 'pip install "jit-masker[gpu,trt]"' in choice.reason


def test_every_backend_says_whether_it_can_be_used(no_gpu):
    said = available()
    assert said.keys() == BACKENDS.keys()
    assert all("no NVIDIA driver" in said[name] for name in ON_GPU)


@pytest.mark.skipif(not isinstance(gpu.find(), str), reason="this machine has a GPU")
def test_onnx_runtime_and_torch_for_the_cpu_say_what_to_install(monkeypatch):
    monkeypatch.setattr("engine.backends.gpu_detection.find", lambda: CARD)
    with pytest.raises(BackendUnavailable, match="install onnxruntime-gpu"):
        load("ort-cuda")
    with pytest.raises(BackendUnavailable, match="install torch from PyTorch's own index"):
        load("torch-cuda")


# -- trt, around a scripted TensorRT -----------------------------------------------------------------------------------


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """A machine with a card and a TensorRT, both scripted; `.builds` are the plans that were built."""
    device = FakeDevice()
    trt = FakeTensorRT(device)
    logger = type("Logger", (), {"errors": []})()
    tensorrt, trt.builds = TensorRT(trt, "TensorRT", "0.0", logger), []

    def build(tensorrt, model, *, refit, capabilities=()):
        trt.builds.append(model)
        return model

    monkeypatch.setattr("engine.backends.gpu_detection.find", lambda: CARD)
    monkeypatch.setattr(trt_module, "find_tensorrt", lambda capability: tensorrt)
    monkeypatch.setattr(trt_module, "open_device", lambda: device)
    monkeypatch.setattr(trt_module, "build", build)
    monkeypatch.setattr(trt_module, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(trt_module, "_pairs", {})
    return trt


def changed(weights, by):
    """The student with another bias: an answer that nobody else gives."""
    return {k: v + np.float32(by) if k == "logits.bias" else v for k, v in weights.tensors.items()}


def publish(weights, publisher, by):
    """With the probe that the learner would send."""
    published = publisher.publish(changed(weights, by))
    reference = load("ort-cpu")(published.model, 1)
    height, width = reference.image.shape[2:]
    reference.image[:] = SyntheticPerson(width=width, height=height).picture(5).transpose(2, 0, 1) / 255
    probe = Probe(reference.image, reference.run())
    return type(published)(published.version, published.model, published.mean, published.std, probe)


@pytest.fixture
def masker(scripted, room):
    with Masker("trt", None, room, threads=1) as masker:
        yield masker


def test_a_masker_on_trt_paints_what_one_on_the_cpu_paints(masker, room):
    frame = SyntheticPerson(seed=87).picture(0)
    with Masker("ort-cpu", None, room, threads=1) as other:
        assert np.abs(masker(frame).astype(int) - other(frame)).max() <= 4
    assert "float16, CUDA graph, a scripted card" in masker.live.backend.provider
    assert masker.stats.faults == 0


def test_new_students_are_refitted_into_the_idle_engine(masker, scripted, weights):
    publisher, frame = Publisher(weights, STUDENTS["lite"].size), SyntheticPerson(seed=87).picture(0)
    for i in range(5):
        masker.swap(publish(weights, publisher, 0.1 * i))
        masker(frame)
    assert (masker.stats.swaps, masker.stats.rejected) == (5, 0)
    assert len(scripted.builds) == 1  # the first one is built, the second read back from disk, then all are refitted
    assert scripted.refits == 5
    assert len(trt_module._pairs) == 1


@pytest.mark.parametrize("how", ["refuse", "miss", "fail", "silent", "crash"])
def test_however_a_refit_fails_the_student_goes_live_in_an_engine_built_for_it(masker, scripted, weights, how):
    publisher, frame = Publisher(weights, STUDENTS["lite"].size), SyntheticPerson(seed=87).picture(0)
    masker.swap(publish(weights, publisher, 0.1))
    masker(frame)
    builds, scripted.break_refit = len(scripted.builds), how
    before = masker.live
    masker.swap(publish(weights, publisher, -3.0))
    assert masker.live is before
    masker(frame)
    assert masker.live is not before
    assert len(scripted.builds) == builds + 1
    assert masker.stats.faults == 0


def test_a_student_that_no_engine_agrees_with_never_goes_live(masker, scripted, weights):
    published = publish(weights, Publisher(weights, STUDENTS["lite"].size), 0.0)
    published.probe.logits[:] = 3.0
    frame = SyntheticPerson(seed=87).picture(0)
    before = masker.alpha(frame)
    with pytest.raises(CandidateRejected, match=r"differs from the trained one by .* at most 0.01"):
        masker.swap(published)
    assert np.array_equal(masker.alpha(frame), before)


def test_weights_with_nan_are_refused_before_an_engine_is_touched(masker, scripted, weights):
    poisoned = changed(weights, np.nan)
    builds, refits = len(scripted.builds), scripted.refits
    with pytest.raises(CandidateRejected, match=r"logits.bias hold NaN"):
        masker.swap(Publisher(weights, STUDENTS["lite"].size).publish(poisoned))
    assert (len(scripted.builds), scripted.refits) == (builds, refits)


def test_half_precision_that_disagrees_gives_way_to_single(scripted, weights, monkeypatch):
    real = trt_module.onnx_graph.to_half

    def coarse(graph):
        out = real(graph)
        for constant in out.graph.initializer:
            if constant.name == "logits.bias":
                constant.raw_data = (np.frombuffer(constant.raw_data, np.float16) + np.float16(1)).tobytes()
        return out

    monkeypatch.setattr(trt_module.onnx_graph, "to_half", coarse)
    backend = load("trt")(Publisher(weights, STUDENTS["lite"].size).publish(dict(weights.tensors)).model, 1)
    assert "float32" in backend.provider
    assert len(scripted.builds) == 2


def test_without_a_capture_the_student_runs_and_says_so(scripted, weights, caplog):
    scripted.device.refuse_capture = True
    backend = load("trt")(Publisher(weights, STUDENTS["lite"].size).publish(dict(weights.tensors)).model, 1)
    backend.image.fill(0.5)
    assert np.isfinite(backend.run()).all()
    assert "no CUDA graph" in backend.provider
    assert "without a CUDA graph" in caplog.text


def test_an_engine_of_an_earlier_run_is_read_and_refitted(scripted, weights, monkeypatch):
    model = Publisher(weights, STUDENTS["lite"].size).publish(dict(weights.tensors)).model
    load("trt")(model, 1)
    monkeypatch.setattr(trt_module, "_pairs", {})  # the next start
    load("trt")(model, 1)
    assert (len(scripted.builds), scripted.refits) == (1, 1)


def test_a_plan_that_this_version_cannot_load_is_made_anew(scripted, weights, monkeypatch, tmp_path):
    model = Publisher(weights, STUDENTS["lite"].size).publish(dict(weights.tensors)).model
    load("trt")(model, 1)
    (path,) = tmp_path.rglob("*.plan")
    path.write_bytes(hashlib.sha256(b"of another version").digest() + b"of another version")
    monkeypatch.setattr(trt_module, "_pairs", {})
    load("trt")(model, 1)
    assert len(scripted.builds) == 2


def test_a_damaged_plan_is_none(tmp_path):
    file = PlanFile(tmp_path, "structure", "card")
    file.write(b"plan")
    assert file.read() == b"plan"
    file.path.write_bytes(file.path.read_bytes()[:-1])
    assert file.read() is None
    assert PlanFile(tmp_path, "structure", "another card").read() is None


def test_engines_of_a_structure_that_nobody_uses_are_freed(scripted, weights):
    small = load("trt")(Publisher(weights, (128, 128)).publish(dict(weights.tensors)).model, 1)
    assert small.image.shape == (1, 3, 128, 128)
    del small
    gc.collect()
    load("trt")(Publisher(weights, STUDENTS["lite"].size).publish(dict(weights.tensors)).model, 1)
    assert len(trt_module._pairs) == 1


def test_bytes_that_are_no_model_are_refused(scripted):
    with pytest.raises(ModelError, match="is not an ONNX model"):
        load("trt")(b"not a model", 1)
