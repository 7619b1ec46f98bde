"""Peers run what their makers published; the authors' way paints what ours paints, or its time would be another's."""

import sys

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F

from benchmarks.peers import PEERS, authors, load, selfie, u2netp
from engine.assets import ASSETS
from engine.errors import ModelError
from engine.sources.synthetic import SyntheticPerson
from export.publish import load_student
from kernels import reference
from training.students import Student

LITERT = ("selfie", "selfie-landscape")


@pytest.fixture(scope="module")
def bgr(shared):
    """A real frame with a man."""
    return cv2.VideoCapture(str(shared / "clips" / "easy2_capture5.mp4")).read()[1]


def peer(name, shared):
    """The peer of this name, where what it needs is on this machine."""
    if name in LITERT:
        pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install 'jit-masker[bench]'")
    asset = ASSETS[name.removesuffix("-240")]
    if not (shared / "weights" / asset.file).is_file():
        pytest.skip(f"{asset.file} is not in the folder shared/data/weights")
    return load(name, threads=1)


def onnx_answer(path, image):
    """The first output of an ONNX file."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: image})[0]


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_finds_the_person_at_the_frames_size(name, shared, rvm, bgr):
    label, alpha = load("rvm", 1)(bgr) > 0.5, peer(name, shared)(bgr)
    assert alpha.shape == bgr.shape[:2]
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    found = alpha > 0.5
    assert (found & label).sum() / (found | label).sum() > 0.85


@pytest.mark.parametrize("name", PEERS)
def test_only_rvm_remembers_the_frames_before(name):
    assert PEERS[name]().remembers == (name == "rvm")


def test_selfies_levels_are_its_alpha_at_the_frames_size(shared, rvm, bgr):
    net = peer("selfie", shared)
    levels = net.matte(bgr, np.empty(bgr.shape[:2], np.uint8))
    assert np.abs(levels - 255 * net(bgr)).max() < 1.5  # two roundings


def test_selfie_on_its_makers_runtime_is_selfie_on_onnx_runtime(shared, rvm, bgr):
    image = cv2.resize(bgr, (256, 256))[None, ..., ::-1].astype(np.float32) / 255
    expected = onnx_answer(shared / "weights" / "selfie_segmentation.onnx", image)[0, ..., 0]
    alpha = peer("selfie", shared)(cv2.resize(bgr, (256, 256)))
    assert expected.std() > 0.1
    np.testing.assert_allclose(alpha, expected, atol=2e-3)


def test_without_litert_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ModelError, match=r"selfie needs LiteRT.*pip install 'jit-masker\[bench\]'"):
        selfie.Selfie(threads=1)


def test_u2netp_at_its_makers_size_is_their_file(shared, bgr):
    path = shared / "weights" / ASSETS["u2netp"].file
    image = np.random.default_rng(0).normal(size=(1, 3, 320, 320)).astype(np.float32)
    image += cv2.resize(bgr, (320, 320)).transpose(2, 0, 1)[None] / np.float32(64) - 2
    session = ort.InferenceSession(u2netp.graph(path, 320), providers=["CPUExecutionProvider"])
    (actual,) = session.run(None, {session.get_inputs()[0].name: image})
    expected = onnx_answer(path, image)
    assert expected.std() > 0.1
    np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.parametrize("side", [240, 96])
def test_u2netp_at_another_size_answers_at_it(shared, side):
    path = shared / "weights" / ASSETS["u2netp"].file
    session = ort.InferenceSession(u2netp.graph(path, side), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, side, side]
    (answer,) = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 3, side, side), np.float32)})
    assert answer.shape == (1, 1, side, side)


def test_a_picture_is_made_rgb_and_normalised_at_the_students_size():
    image = authors.preprocess(np.full((12, 16, 3), (10, 20, 30), np.uint8), (6, 8))
    assert image.shape == (1, 3, 6, 8)
    for channel, value in enumerate((30, 20, 10)):
        expected = (value / 255 - authors.MEAN[channel]) / authors.STD[channel]
        np.testing.assert_allclose(image[0, channel].numpy(), expected, rtol=1e-5)


def test_the_preprocessed_picture_is_that_of_our_kernel():
    bgr = SyntheticPerson(width=96, height=72).picture(0)
    ours = np.empty((1, 3, 72, 96), np.float32)  # the picture's own size: how each shrinks it does not matter
    reference.preprocess(bgr, authors.MEAN, authors.STD, ours)
    np.testing.assert_allclose(authors.preprocess(bgr, (72, 96)).numpy(), ours, atol=1e-5)


def test_the_composite_is_that_of_our_kernel_within_one_grey_level():
    rng = np.random.default_rng(0)
    bgr, background = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    matte = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    alpha = (matte.astype(np.float32) + 0.5) / 255  # theirs cuts off, and a half keeps it at `matte`
    ours = reference.composite(bgr, matte, background, np.empty_like(bgr)).astype(int)
    assert np.abs(authors.composite(bgr, alpha, background) - ours).max() <= 1


def test_the_network_is_our_jitnet_with_its_last_convolution_after_the_upsample():
    jitnet = Student("jitnet")
    jitnet.load_weights(load_student("jitnet", authors.SIZE).tensors)
    image = authors.preprocess(SyntheticPerson(width=160, height=120).picture(0), authors.SIZE)
    with torch.no_grad():
        expected = torch.sigmoid(F.interpolate(jitnet.eval()(image), authors.SIZE, mode="bilinear"))[0, 0].numpy()
    actual = authors.predict(authors.student().eval(), image)  # theirs takes the statistics of each frame: not here
    assert actual.shape == authors.SIZE
    assert expected.std() > 0.01
    np.testing.assert_allclose(actual, expected, atol=1e-4)
