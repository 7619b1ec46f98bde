"""Video's pixels to BGR and back: each implementation against the specification, and that against BT.601."""

import importlib

import numpy as np
import pytest

from kernels import yuv

IMPLEMENTATIONS = ["fused.yuv", "fallback"]
SIZES = [(1, 1), (2, 2), (5, 7), (7, 5), (37, 53), (480, 640), (241, 239)]
MATRICES = [(standard, full) for standard in yuv.WEIGHTS for full in (False, True)]


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request):
    return importlib.import_module(f"kernels.{request.param}")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def planes_of(size, padding=0, fill=lambda shape: np.zeros(shape, np.uint8)):
    H, W = size
    return [fill(shape) for shape in ((H, W + padding), *[(-(-H // 2), -(-W // 2) + padding)] * 2)]


def test_black_white_and_red_are_coded_as_the_standard_says():
    """BT.601, table 3: levels of 8-bit coding."""
    bgr = np.array([[[0, 0, 0]] * 2, [[255, 255, 255]] * 2, [[0, 0, 255]] * 2], np.uint8).repeat(2, 0)
    y, u, v = yuv.yuv_from_bgr(bgr, yuv.matrix_to_yuv("bt601", False), *planes_of((6, 2)))
    assert np.column_stack([y[::2, 0], u[:, 0], v[:, 0]]).tolist() == [[16, 128, 128], [235, 128, 128], [81, 90, 240]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("standard", "full"), MATRICES)
def test_bgr_from_yuv_is_the_reference_to_one_level_and_unbiased(implementation, rng, size, standard, full):
    planes = planes_of(size, 3, lambda shape: rng.integers(0, 256, shape, np.uint8))
    matrix = yuv.matrix_to_bgr(standard, full)
    expected = yuv.bgr_from_yuv(*planes, matrix, np.empty((*size, 3), np.uint8)).astype(int)
    actual = implementation.bgr_from_yuv(*planes, matrix, np.empty((*size, 3), np.uint8))
    assert np.abs(actual - expected).max() <= 1
    if size[0] > 200:
        assert np.abs((actual - expected).mean((0, 1))).max() < 0.1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("standard", "full"), MATRICES)
def test_yuv_from_bgr_is_the_reference_to_one_level_and_unbiased(implementation, rng, size, standard, full):
    bgr = rng.integers(0, 2, (*size, 3), np.uint8) * 255 if size[0] < 9 else rng.integers(0, 256, (*size, 3), np.uint8)
    matrix = yuv.matrix_to_yuv(standard, full)
    expected = yuv.yuv_from_bgr(bgr, matrix, *planes_of(size, 2))
    actual = implementation.yuv_from_bgr(bgr, matrix, *planes_of(size, 2))
    for a, b in zip(actual, expected, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1
        if size[0] > 200:
            assert abs((a.astype(int) - b).mean()) < 0.1


@pytest.mark.parametrize("full", [False, True])
def test_extreme_colours_do_not_wrap_around(implementation, full):
    corners = np.array(np.meshgrid([0, 255], [0, 255], [0, 255])).reshape(3, 8).T.astype(np.uint8)
    bgr = corners[:, None].repeat(2, 0).reshape(16, 1, 3).repeat(2, 1)
    there, back = yuv.matrix_to_yuv("bt709", full), yuv.matrix_to_bgr("bt709", full)
    planes = implementation.yuv_from_bgr(bgr, there, *planes_of((16, 2)))
    assert np.abs(implementation.bgr_from_yuv(*planes, back, np.empty_like(bgr)).astype(int) - bgr).max() <= 3


def test_a_strided_picture_is_converted_like_a_copy_of_it(implementation, rng):
    bgr = rng.integers(0, 256, (24, 30, 3), np.uint8)
    matrix = yuv.matrix_to_yuv("bt601", False)
    for strided in (bgr[::-1], bgr[:, ::2], np.flip(bgr, 2)):
        size = strided.shape[:2]
        actual = implementation.yuv_from_bgr(strided, matrix, *planes_of(size))
        expected = implementation.yuv_from_bgr(strided.copy(), matrix, *planes_of(size))
        assert all(np.array_equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_planes_that_do_not_fit_are_refused(implementation):
    y, u, v = planes_of((4, 6))
    with pytest.raises(ValueError, match=r"u is uint8 \(2, 2\); expected uint8 \(2, 3\), or wider rows"):
        implementation.bgr_from_yuv(
            y, u[:, :2].copy(), v, yuv.matrix_to_bgr("bt601", False), np.empty((4, 6, 3), np.uint8)
        )
    with pytest.raises(ValueError, match="y has strides"):
        implementation.yuv_from_bgr(np.zeros((4, 6, 3), np.uint8), yuv.matrix_to_yuv("bt601", False), y[:, ::-1], u, v)
