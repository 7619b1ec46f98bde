"""Each implementation against the reference, over awkward sizes, strides and values."""

import importlib

import numpy as np
import pytest

import kernels
from kernels import reference

IMPLEMENTATIONS = ["fused", "fallback"]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FRAMES = [(1, 1), (5, 7), (7, 5), (37, 53), (480, 640), (241, 239), (720, 1280)]
MASKS = [(1, 1), (2, 3), (13, 17), (120, 120), (160, 160), (144, 256)]


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request):
    return importlib.import_module(f"kernels.{request.param}")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def frame_of(rng, size):
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8)


def mask_of(rng, size):
    """Spans of pure 0 and 1 with mixed cells between."""
    return np.clip(rng.normal(0.5, 1.5, size), 0, 1).astype(np.float32)


@pytest.mark.parametrize("size", FRAMES)
@pytest.mark.parametrize("student", [(240, 240), (144, 256), (17, 31)])
def test_preprocess_is_the_reference_to_two_grey_levels(implementation, rng, size, student):
    bgr = frame_of(rng, size)
    expected = reference.preprocess(bgr, MEAN, STD, np.empty((1, 3, *student), np.float32))
    actual = implementation.preprocess(bgr, MEAN, STD, np.empty((1, 3, *student), np.float32))
    grey_levels = np.abs(actual - expected)[0] * 255 * np.reshape(STD, (3, 1, 1))
    assert grey_levels.max() <= 2


@pytest.mark.parametrize("size", FRAMES)
@pytest.mark.parametrize("mask", MASKS)
def test_composite_is_the_reference_to_two_grey_levels(implementation, rng, size, mask):
    bgr, background, alpha = frame_of(rng, size), frame_of(rng, size), mask_of(rng, mask)
    expected = reference.composite(bgr, alpha, background, np.empty_like(bgr))
    actual = implementation.composite(bgr, alpha, background, np.empty_like(bgr))
    assert np.abs(actual.astype(int) - expected).max() <= 2


def test_a_mask_of_zeros_paints_the_background_exactly(implementation, rng):
    bgr, background = frame_of(rng, (37, 53)), frame_of(rng, (37, 53))
    out = implementation.composite(bgr, np.zeros((12, 12), np.float32), background, np.empty_like(bgr))
    assert np.array_equal(out, background)


def test_a_mask_of_ones_paints_the_frame_exactly(implementation, rng):
    bgr, background = frame_of(rng, (37, 53)), frame_of(rng, (37, 53))
    out = implementation.composite(bgr, np.ones((12, 12), np.float32), background, np.empty_like(bgr))
    assert np.array_equal(out, bgr)


def test_composite_may_write_over_the_frame(implementation, rng):
    bgr, background, alpha = frame_of(rng, (48, 64)), frame_of(rng, (48, 64)), mask_of(rng, (12, 12))
    expected = implementation.composite(bgr, alpha, background, np.empty_like(bgr))
    out = bgr.copy()
    assert np.array_equal(implementation.composite(out, alpha, background, out), expected)


@pytest.mark.parametrize("view", ["strided", "flipped", "read-only"])
def test_any_strides_give_the_same_pixels(implementation, rng, view):
    big = frame_of(rng, (96, 128))
    bgr = {"strided": big[::2, ::2], "flipped": big[:48, 63::-1], "read-only": big[:48, :64].copy()}[view]
    bgr.flags.writeable = view != "read-only"
    plain, alpha = np.array(bgr), mask_of(rng, (12, 12))
    expected = implementation.composite(plain, alpha, plain[::-1].copy(), np.empty_like(plain))
    assert np.array_equal(implementation.composite(bgr, alpha, plain[::-1], np.empty_like(plain)), expected)
    image = np.empty((1, 3, 24, 24), np.float32)
    assert np.array_equal(
        implementation.preprocess(bgr, MEAN, STD, image).copy(), implementation.preprocess(plain, MEAN, STD, image)
    )


@pytest.mark.parametrize("value", [0, 255])
def test_extreme_pixels_do_not_overflow(implementation, value):
    bgr = np.full((64, 64, 3), value, np.uint8)
    alpha = np.linspace(0, 1, 144, dtype=np.float32).reshape(12, 12)
    assert np.array_equal(implementation.composite(bgr, alpha, bgr, np.empty_like(bgr)), bgr)


def test_the_reference_resizes_like_opencv(rng):
    cv2 = pytest.importorskip("cv2")
    image = rng.random((37, 53), np.float32)
    assert np.allclose(reference.resize(image, (120, 90)), cv2.resize(image, (90, 120)), atol=1e-4)


def test_no_live_frame_compiles_a_kernel(rng):
    """Every kind of input must reach the machine code that `warm` made."""
    fused = importlib.import_module("kernels.fused")
    fused.warm()
    dispatchers = [fused._resample, fused._quantise, fused._blend_spans]
    before = [len(d.signatures) for d in dispatchers]
    big = frame_of(rng, (96, 128))
    frozen = big.copy()
    frozen.flags.writeable = False
    for bgr in (big, big[::2, ::-1], frozen):
        fused.preprocess(bgr, MEAN, STD, np.empty((1, 3, 24, 24), np.float32))
        for alpha in (mask_of(rng, (12, 12)), mask_of(rng, (12, 24))[:, ::2]):
            fused.composite(bgr, alpha, bgr, np.empty(bgr.shape, np.uint8))
    fused.composite(big, mask_of(rng, (12, 12)), frozen, big)
    assert [len(d.signatures) for d in dispatchers] == before


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"bgr": np.zeros((4, 4), np.uint8)}, r"bgr is uint8 \(4, 4\); expected uint8 \(H, W, 3\)"),
        ({"bgr": np.zeros((4, 4, 3), np.uint16)}, "bgr is uint16"),
        ({"alpha": np.zeros((4, 4))}, "alpha is float64"),
        ({"background": np.zeros((5, 4, 3), np.uint8)}, "must be of one size"),
        ({"out": np.zeros((4, 8, 3), np.uint8)[:, ::2]}, "C-contiguous"),
    ],
)
def test_arrays_of_another_kind_are_refused(implementation, arrays, message):
    frame = np.zeros((4, 4, 3), np.uint8)
    given = {"bgr": frame, "alpha": np.zeros((2, 2), np.float32), "background": frame, "out": frame.copy()} | arrays
    with pytest.raises(ValueError, match=message):
        implementation.composite(**given)


def test_load_prefers_the_fused_kernels():
    assert kernels.load().name == "fused"


def test_without_numba_the_fallback_is_used_and_says_why(monkeypatch):
    monkeypatch.setitem(importlib.import_module("sys").modules, "numba", None)
    monkeypatch.delitem(importlib.import_module("sys").modules, "kernels.fused", raising=False)
    chosen = kernels.load()
    assert chosen.name == "fallback"
    assert "Numba cannot be used (ModuleNotFoundError" in chosen.reason
