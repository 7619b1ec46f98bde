"""Folding, the hand-written graph, and patching: against torch, in numbers; weights on disk."""

import cv2
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
from export.graph import build
from export.onnx_bytes import initializer_slices
from export.publish import Publisher, load_student, publish_initial
from export.store import load_weights, save_weights
from export.students import STUDENTS
from training.online.score import iou
from training.students import Student, tensors_of


def worn(variant, seed=0):
    """A student whose batch norm has seen things: its fold is not the identity."""
    torch.manual_seed(seed)
    student = Student(variant)
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
    backend = load("ort-cpu")(publish_initial(StudentWeights(variant, size, tensors_of(student))).model, 1)
    backend.image[:] = np.random.default_rng(0).normal(0, 1, backend.image.shape)
    expected = logits_of(student, backend.image)
    assert np.abs(backend.run() - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_every_convolution_keeps_its_name_and_batch_norm_is_gone():
    student = Student("jitnet")
    names = {
        t.name for t in onnx.load_from_string(build("jitnet", fold(tensors_of(student)), (240, 240))).graph.initializer
    }
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
    assert publisher.publish(dict(weights.tensors)).model == build("jitnet", fold(weights.tensors), (64, 64))


@pytest.mark.parametrize("name", STUDENTS)
def test_weights_whose_bytes_stand_elsewhere_in_the_file_are_patched_in_their_own_place(name):
    """All zeros, and all tensors alike: only the file's structure tells one weight's bytes from another's."""
    size = STUDENTS[name].size
    changed = tensors_of(worn(name, 1))
    for value in (0, 0.25):
        publisher = Publisher(StudentWeights(name, size, {k: np.full_like(v, value) for k, v in changed.items()}))
        assert publisher.publish(changed).model == build(name, fold(changed), size)


def test_the_places_of_the_weights_are_those_that_onnx_reads():
    data = build("lite", fold(tensors_of(worn("lite"))), (144, 256))
    assert {name: data[where] for name, where in initializer_slices(data).items()} == {
        tensor.name: tensor.raw_data for tensor in onnx.load_from_string(data).graph.initializer
    }


@pytest.mark.parametrize("name", STUDENTS)
def test_the_bytes_are_those_that_onnx_would_write(name):
    data = build(name, fold(tensors_of(worn(name))), (96, 160))
    assert onnx.load_from_string(data).SerializeToString() == data


def test_what_is_no_protobuf_has_no_places():
    with pytest.raises(ValueError, match="wire type 3 before byte 1; expected a serialised ONNX model"):
        initializer_slices(bytes([7 << 3 | 3]))


@pytest.mark.parametrize("name", STUDENTS)
def test_onnx_infers_the_shapes_that_the_graph_states(name):
    model = onnx.load_from_string(build(name, fold(tensors_of(Student(name))), STUDENTS[name].size))
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)  # raises if they differ
    onnx.checker.check_model(model, full_check=True)


def test_an_unknown_student_is_refused():
    with pytest.raises(UsageError, match="unknown student 'unet'; choose one of lite, jitnet"):
        build("unet", {}, (240, 240))


def test_missing_weights_are_refused_by_name():
    expected = r"do not fit jitnet: stem1.conv.bias is missing, expected \(8,\); choose the --student they are for"
    with pytest.raises(ModelError, match=expected):
        build("jitnet", {"stem1.conv.weight": np.zeros((8, 3, 3, 3), np.float32)}, (240, 240))


def test_weights_of_another_variant_are_refused_by_name():
    expected = r"do not fit jitnet-fig2: stem2.conv.weight is \(32, 8, 3, 3\), expected \(8, 8, 3, 3\)"
    with pytest.raises(ModelError, match=expected):
        publish_initial(StudentWeights("jitnet-fig2", (240, 240), tensors_of(Student("jitnet"))))


def test_weights_without_a_statistic_of_batch_norm_are_refused():
    tensors = tensors_of(Student("jitnet"))
    del tensors["enc1.norm.running_var"]
    with pytest.raises(ModelError, match=r"no tensor 'enc1.norm.running_var', which enc1.norm needs; train them again"):
        publish_initial(StudentWeights("jitnet", (240, 240), tensors))


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
    Student(weights.student).load_weights(weights.tensors)


def test_sizes_that_no_student_can_have_are_refused():
    with pytest.raises(UsageError, match="size is 8x8; jitnet takes sides from 64 to 1024"):
        load_student("jitnet", (8, 8))
    with pytest.raises(UsageError, match="size is 250x256; lite takes sides from 64 to 1024, in multiples of 16"):
        load_student("lite", (250, 256))


@pytest.mark.parametrize("name", STUDENTS)
def test_weights_that_see_a_person_come_with_every_student(name):
    figure = SyntheticPerson(width=480, height=480, seed=5)
    with Masker(student=name, threads=1) as masker:
        masker(figure.picture(10))
        seen = cv2.resize(masker.live.logits(), (480, 480)) > 0  # of a fresh scene less is painted
    assert iou(figure.mask(10) > 127, seen) > 0.6
    assert {"data", "steps", "score", "licence"} <= masker.student.card.keys()
