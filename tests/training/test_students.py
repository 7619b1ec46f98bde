"""The students' sizes and shapes, and the algebra of their last layers."""

import dataclasses

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F

from engine.backends import load
from engine.errors import ModelError, UsageError
from export.contracts import StudentWeights
from export.publish import publish_initial
from export.students import STUDENTS
from export.students.layers import Architecture
from training.online.recipe import recipe
from training.online.replay import LabelledFrame
from training.online.trainer import OnlineTrainer
from training.students import Student, tensors_of
from training.students.selfie import tensors_from_selfie
from training.students.torch_layers import TorchLayers


def macs(student, size):
    """Multiply-accumulates of every convolution for one image."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        total += output.shape[-2] * output.shape[-1] * module.weight.numel()

    hooks = [m.register_forward_hook(count) for m in student.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.inference_mode():
        student.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize(("name", "parameters"), [("lite", 106_404), ("jitnet", 771_697), ("jitnet-fig2", 487_721)])
def test_the_number_of_parameters(name, parameters):
    assert sum(p.numel() for p in Student(name).parameters()) == parameters


def test_an_unknown_student_is_refused():
    with pytest.raises(UsageError, match="unknown student 'unet'; choose one of lite, jitnet"):
        Student("unet")


@pytest.mark.parametrize(("size", "expected"), [(240, 0.44e9), (320, 0.77e9)])
def test_the_authors_variant_costs_what_theirs_does(size, expected):
    assert macs(Student("jitnet"), size) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("variant", ["jitnet", "jitnet-fig2"])
@pytest.mark.parametrize("size", [(240, 240), (320, 320), (144, 256), (65, 97)])
def test_logits_come_at_half_resolution(variant, size):
    logits = Student(variant).eval()(torch.zeros(2, 3, *size))
    assert logits.shape == (2, 1, -(-size[0] // 2), -(-size[1] // 2))


@pytest.mark.parametrize("name", STUDENTS)
def test_the_decoder_learns_alone_from_features_that_are_kept(name):
    student = Student(name)
    image = torch.rand(2, 3, *STUDENTS[name].size)
    with torch.no_grad():
        features = student.encode(image)
    student.decode(features).sum().backward()
    taught = {path.split(".")[0] for path, p in student.named_parameters() if p.grad is not None}
    untaught = {path.split(".")[0] for path, p in student.named_parameters() if p.grad is None}
    assert untaught == {path for path in taught | untaught if path.startswith(("stem", "enc"))}
    assert taught.isdisjoint(untaught)


def encode_everything(layers, image):
    x = layers.hardswish(layers.conv(image, "a", 8, 5, stride=2, padding="same"))
    y = layers.relu(layers.norm(layers.conv(x, "b.conv", 12, (1, 3), stride=2), "b.norm"))
    return x, layers.multiply(y, layers.sigmoid(layers.conv(layers.mean(y), "c.d.e", 12)))


def decode_everything(layers, features):
    x, y = features
    y = layers.concat(x, layers.upsample_like(layers.conv(y, "f", 12, 3, groups=12), x))
    return layers.pixel_shuffle(layers.conv(layers.add(y, layers.relu(y)), "logits", 4))


@pytest.mark.parametrize("size", [(64, 64), (66, 98)])
def test_a_new_student_is_one_definition_and_one_line(size, monkeypatch):
    """With every layer there is, at sides that divide and that do not: learns in torch, and is exported."""
    monkeypatch.setitem(STUDENTS, "new", Architecture(encode_everything, decode_everything, (64, 64), multiple=2))
    torch.manual_seed(0)
    student, images = Student("new"), torch.rand(2, 3, *size)
    frames = [LabelledFrame(image[None], torch.ones(1, 1, *size)) for image in images]
    trainer = OnlineTrainer(student, dataclasses.replace(recipe("default", "new"), norm_momentum=0.3))
    trainer.step(frames)
    trainer.step(frames, whole=False)
    backend = load("ort-cpu")(publish_initial(StudentWeights("new", size, trainer.tensors)).model, 1)
    backend.image[:] = images[:1].numpy()
    with torch.inference_mode():
        trained = student.eval()(images[:1])
    assert np.abs(backend.run() - trained.numpy()).max() < 1e-5


def test_the_last_convolution_commutes_with_the_upsample():
    """Figure 2 upsamples and then convolves 1x1; the student convolves first."""
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(32, 1, 1), torch.randn(1, 32, 60, 60)
    layers, full = TorchLayers(layer), torch.empty(1, 1, 120, 120)
    figure = layer(layers.upsample_like(x, full))
    ours = layers.upsample_like(layer(x), full)
    assert torch.allclose(figure, ours, atol=1e-5)


def test_upsampling_has_half_pixel_centres():
    x = torch.rand(1, 1, 5, 7)
    twice = TorchLayers(torch.nn.Module()).upsample_like(x, torch.empty(1, 1, 10, 14))
    assert torch.equal(twice, F.interpolate(x, scale_factor=2, mode="bilinear"))


def test_weights_survive_the_round_trip():
    torch.manual_seed(1)
    a, b = Student("jitnet"), Student("jitnet")
    b.load_weights({k: v.copy() for k, v in tensors_of(a).items()})
    assert all(np.array_equal(v, tensors_of(b)[k]) for k, v in tensors_of(a).items())


def test_weights_of_another_variant_are_refused_by_name():
    with pytest.raises(ModelError, match=r"weights do not fit jitnet: .+ expected .+ choose the --student"):
        Student("jitnet").load_weights(tensors_of(Student("jitnet-fig2")))


@pytest.mark.parametrize("size", [(256, 256), (192, 256), (144, 256)])
def test_lite_answers_at_full_resolution(size):
    assert Student("lite").eval()(torch.zeros(2, 3, *size)).shape == (2, 1, *size)


def test_selfie_segmentation_is_lite_with_other_names(shared):
    """MediaPipe's own network on ONNX Runtime, and ours in torch with its weights, on a real portrait."""
    path = shared / "weights/selfie_segmentation.onnx"
    bgr = cv2.imread(str(sorted((shared / "people/valid/images").iterdir())[0]))
    image = cv2.resize(bgr, (256, 256))[..., ::-1].astype(np.float32)[None] / 255
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {session.get_inputs()[0].name: image})
    student = Student("lite")
    student.load_weights(tensors_from_selfie(path))
    with torch.inference_mode():
        alpha = student(torch.from_numpy(image.transpose(0, 3, 1, 2).copy())).sigmoid()[0, 0].numpy()
    assert 0.1 < expected.mean() < 0.9
    assert np.abs(alpha - expected[0, ..., 0]).max() < 2e-5


def test_another_network_is_not_taken_for_selfie_segmentation(shared):
    with pytest.raises(ModelError, match="is not MediaPipe's selfie segmentation"):
        tensors_from_selfie(shared / "weights/SINet_Softmax_simple.onnx")
