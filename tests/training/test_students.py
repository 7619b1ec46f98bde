"""The students' sizes and shapes, and the algebra of their last layers."""

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F

from engine.errors import ModelError
from training.students import new_student, tensors_of, upsample
from training.students.jitnet import VARIANTS, JITNet
from training.students.selfie import tensors_from_selfie


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
    assert sum(p.numel() for p in new_student(name).parameters()) == parameters


@pytest.mark.parametrize(("size", "expected"), [(240, 0.44e9), (320, 0.77e9)])
def test_the_authors_variant_costs_what_theirs_does(size, expected):
    assert macs(JITNet("jitnet"), size) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(240, 240), (320, 320), (144, 256), (65, 97)])
def test_logits_come_at_half_resolution(variant, size):
    logits = JITNet(variant).eval()(torch.zeros(2, 3, *size))
    assert logits.shape == (2, 1, -(-size[0] // 2), -(-size[1] // 2))


def test_the_last_convolution_commutes_with_the_upsample():
    """Figure 2 upsamples and then convolves 1x1; the student convolves first."""
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(32, 1, 1), torch.randn(1, 32, 60, 60)
    figure = layer(upsample(x, (120, 120)))
    ours = upsample(layer(x), (120, 120))
    assert torch.allclose(figure, ours, atol=1e-5)


def test_upsampling_has_half_pixel_centres():
    x = torch.rand(1, 1, 5, 7)
    assert torch.equal(upsample(x, (10, 14)), F.interpolate(x, scale_factor=2, mode="bilinear"))


def test_weights_survive_the_round_trip():
    torch.manual_seed(1)
    a, b = JITNet(), JITNet()
    b.load_weights({k: v.copy() for k, v in tensors_of(a).items()})
    assert all(np.array_equal(v, tensors_of(b)[k]) for k, v in tensors_of(a).items())


def test_weights_of_another_variant_are_refused_by_name():
    with pytest.raises(ModelError, match=r"weights do not fit jitnet: .+ expected .+ choose the --student"):
        JITNet("jitnet").load_weights(tensors_of(JITNet("jitnet-fig2")))


@pytest.mark.parametrize("size", [(256, 256), (192, 256), (144, 256)])
def test_lite_answers_at_full_resolution(size):
    assert new_student("lite").eval()(torch.zeros(2, 3, *size)).shape == (2, 1, *size)


def test_selfie_segmentation_is_lite_with_other_names(shared):
    """MediaPipe's own network on ONNX Runtime, and ours in torch with its weights, on a real portrait."""
    path = shared / "weights/selfie_segmentation.onnx"
    bgr = cv2.imread(str(sorted((shared / "people/valid/images").iterdir())[0]))
    image = cv2.resize(bgr, (256, 256))[..., ::-1].astype(np.float32)[None] / 255
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {session.get_inputs()[0].name: image})
    student = new_student("lite")
    student.load_weights(tensors_from_selfie(path))
    with torch.inference_mode():
        alpha = student(torch.from_numpy(image.transpose(0, 3, 1, 2).copy())).sigmoid()[0, 0].numpy()
    assert 0.1 < expected.mean() < 0.9
    assert np.abs(alpha - expected[0, ..., 0]).max() < 2e-5


def test_another_network_is_not_taken_for_selfie_segmentation(shared):
    with pytest.raises(ModelError, match="is not MediaPipe's selfie segmentation"):
        tensors_from_selfie(shared / "weights/SINet_Softmax_simple.onnx")
