"""Folding, the hand-written graph, and patching: against torch, in numbers."""

import numpy as np
import onnx
import pytest
import torch

from engine import Masker
from engine.backends import load
from engine.errors import ModelError, UsageError
from engine.sources.synthetic import SyntheticPerson
from export.contracts import StudentWeights
from export.fold import fold
from export.publish import Publisher, first, load_student
from export.store import load_weights, save_weights
from export.students import STUDENTS, build
from training.online.score import iou
from training.students import new_student, tensors_of


def worn(variant, seed=0):
    """A student whose batch norm has seen things: its fold is not the identity."""
    torch.manual_seed(seed)
    student = new_student(variant)
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    return student.eval()


def logits_of(student, image):
    with torch.inference_mode():
        return student(torch.from_numpy(image)).numpy()


@pytest.mark.parametrize("variant", STUDENTS)
@pytest.mark.parametrize("size", [(240, 240), (320, 320), (144, 256), (65, 97)])
def test_the_graph_computes_what_torch_computes(variant, size):
    size = tuple(max(64, side // STUDENTS[variant].multiple * STUDENTS[variant].multiple) for side in size)
    student = worn(variant)
    backend = load("ort-cpu")(first(StudentWeights(variant, size, tensors_of(student))).model, 1)
    backend.image[:] = np.random.default_rng(0).normal(0, 1, backend.image.shape)
    expected = logits_of(student, backend.image)
    assert np.abs(backend.run() - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_every_convolution_keeps_its_name_and_batch_norm_is_gone():
    student = new_student("jitnet")
    names = {t.name for t in build("jitnet", fold(tensors_of(student)), (240, 240)).graph.initializer}
    convolutions = {k for k in tensors_of(student) if ".norm." not in k}
    assert convolutions == {n for n in names if not n.startswith(("scales_", "sizes_"))}


def test_a_published_student_has_the_new_weights_and_the_next_version():
    publisher = Publisher(StudentWeights("jitnet", (64, 64), tensors_of(worn("jitnet", 0))))
    old, changed = publisher.publish(tensors_of(worn("jitnet", 0))), worn("jitnet", 1)
    new = publisher.publish(tensors_of(changed))
    backend = load("ort-cpu")(new.model, 1)
    backend.image[:] = 0.3
    assert (old.version, new.version) == (0, 1)
    assert np.abs(backend.run() - logits_of(changed, backend.image)).max() < 1e-4


def test_patching_gives_the_same_bytes_as_building():
    weights = StudentWeights("jitnet", (64, 64), tensors_of(worn("jitnet", 3)))
    publisher = Publisher(StudentWeights("jitnet", (64, 64), tensors_of(worn("jitnet", 4))))
    patched = onnx.load_from_string(publisher.publish(dict(weights.tensors)).model)
    built = build("jitnet", fold(weights.tensors), (64, 64))
    assert patched == built


def test_an_unknown_student_is_refused():
    with pytest.raises(UsageError, match="unknown student 'unet'; choose one of lite, jitnet"):
        build("unet", {}, (240, 240))


def test_weights_of_another_student_are_refused():
    with pytest.raises(ModelError, match=r"jitnet"):
        build("jitnet", fold({"stem1.conv.weight": np.zeros((8, 3, 3, 3), np.float32)}), (240, 240))


def test_weights_survive_the_disk_in_half_precision(tmp_path):
    tensors = tensors_of(worn("jitnet"))
    path = tmp_path / "w.safetensors"
    save_weights(path, StudentWeights("jitnet", (240, 240), tensors, {"steps": "12"}))
    loaded = load_weights(path)
    assert (loaded.student, loaded.size, loaded.card) == ("jitnet", (240, 240), {"steps": "12"})
    assert all(np.allclose(loaded.tensors[k], v, atol=1e-3, rtol=1e-3) for k, v in tensors.items())
    assert path.stat().st_size < 1.7e6


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_weights(path, StudentWeights("jitnet", (240, 240), {}))
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    assert path.read_bytes() == b"old"


def test_a_file_that_is_not_weights_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_text("hello")
    with pytest.raises(ModelError, match=r"is not a weights file .* made by jm-train"):
        load_weights(path)


def test_missing_weights_say_where_to_get_some(tmp_path):
    with pytest.raises(ModelError, match=r"no weights at .*jm-train"):
        load_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize("student", ["lite", "jitnet"])
def test_shipped_weights_fit_their_student(student):
    weights = load_student(student, STUDENTS[student].size)
    new_student(weights.student).load_weights(weights.tensors)


def test_sizes_that_no_student_can_have_are_refused():
    with pytest.raises(UsageError, match="size is 8x8; jitnet takes sides from 64 to 1024"):
        load_student("jitnet", (8, 8))
    with pytest.raises(UsageError, match="size is 250x256; lite takes sides from 64 to 1024, in multiples of 16"):
        load_student("lite", (250, 256))


@pytest.mark.parametrize("name", STUDENTS)
def test_weights_that_see_a_person_come_with_every_student(name):
    figure = SyntheticPerson(width=480, height=480, seed=5)
    with Masker(student=name, threads=1) as masker:
        alpha = masker.alpha(figure.picture(10))
    assert iou(figure.mask(10) > 127, alpha) > 0.6
    assert {"data", "steps", "score", "licence"} <= masker.student.card.keys()
