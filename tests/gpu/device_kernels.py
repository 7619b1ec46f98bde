"""The device kernels against the reference. Run by tests/gpu/test_gpu_kernels.py in Numba's simulator, in a process of
its own, because the simulator is chosen when Numba is imported; on a machine with a GPU this file runs as it is."""

import numpy as np
import pytest
from numba import config, cuda

import kernels
from engine.painting.contrast import MAX_LOGIT, STRETCH, stretched_sigmoid
from kernels import LEVELS_OF_STATUS, STATUS, reference
from kernels import device as device_module

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FRAMES = [(1, 1), (5, 7), (37, 41)]
MASKS = [(1, 1), (2, 3), (13, 17)]


@pytest.fixture(scope="module")
def device():
    if config.ENABLE_CUDASIM:
        device_module.BLOCK = (8, 4)  # each of its threads is one of Python's
    return device_module.DeviceKernels()


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def up(array):
    return cuda.to_device(np.ascontiguousarray(array))


def empty(*shape, dtype=np.float32):
    return cuda.to_device(np.zeros(shape, dtype))


def frame_of(rng, size):
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8)


def alpha_of(rng, size):
    """uint8: pure pixels, and mixed ones between."""
    return np.rint(np.clip(rng.normal(0.5, 0.6, size), 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("size", FRAMES)
@pytest.mark.parametrize("student", [(24, 24), (7, 11)])
def test_preprocess_is_the_reference_to_half_a_grey_level(device, rng, size, student):
    bgr = frame_of(rng, size)
    expected = reference.preprocess(bgr, MEAN, STD, np.empty((1, 3, *student), np.float32))
    actual = device.preprocess(up(bgr), MEAN, STD, empty(1, 3, *student)).copy_to_host()
    assert (np.abs(actual - expected)[0] * 255 * np.reshape(STD, (3, 1, 1))).max() < 0.5


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_alpha_and_area_are_those_of_the_engine(device, rng, mask, threshold):
    logits, expected = rng.normal(0, 20, mask).astype(np.float32), np.empty(mask, np.float32)
    area = stretched_sigmoid(logits, expected, threshold)
    status = empty(STATUS, dtype=np.int32)
    alpha = device.alpha(up(logits), threshold, STRETCH, MAX_LOGIT, empty(*mask), status).copy_to_host()
    total, faults = status.copy_to_host()
    assert np.abs(alpha - expected).max() < 1e-5
    assert total / LEVELS_OF_STATUS / logits.size == pytest.approx(area, abs=1 / 510)
    assert faults == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e4, -2e4])
def test_a_logit_that_is_no_number_is_counted(device, bad):
    logits = np.full((5, 7), bad, np.float32)
    status = empty(STATUS, dtype=np.int32)
    assert not device.alpha(up(logits), 0.0, STRETCH, MAX_LOGIT, empty(5, 7), status).copy_to_host().any()
    assert list(status.copy_to_host()) == [0, 35]


@pytest.mark.parametrize("mask", MASKS)
def test_smooth_alpha_is_the_reference_from_frame_to_frame(device, rng, mask):
    scene = rng.random((1, 3, 19, 23)).astype(np.float32)
    state = [np.full(mask, kernels.NO_BRIGHTNESS, np.float32), np.zeros(mask, np.float32)]
    on_device = [up(array) for array in state]
    for i in range(3):
        image = scene + rng.normal(0, 0.01, scene.shape).astype(np.float32)
        image[..., :7, 3 * i : 3 * i + 9] = 0.9
        alpha = rng.random(mask).astype(np.float32)
        actual = device.smooth_alpha(up(image), MEAN, STD, up(alpha), *on_device).copy_to_host()
        expected = reference.smooth_alpha(image, MEAN, STD, alpha, *state)
        assert np.abs(actual - expected).max() < 1e-4


@pytest.mark.parametrize("mask", MASKS)
def test_fit_guided_filter_is_the_reference(device, rng, mask):
    grey, alpha = rng.random((2, *mask)).astype(np.float32)
    expected = reference.fit_guided_filter(grey, alpha, np.empty((2, *mask), np.float32))
    assert np.abs(device.fit_guided_filter(up(grey), up(alpha), empty(2, *mask)).copy_to_host() - expected).max() < 1e-3


@pytest.mark.parametrize("size", FRAMES)
@pytest.mark.parametrize("mask", MASKS)
def test_apply_guided_filter_is_the_reference_to_one_grey_level(device, rng, size, mask):
    bgr, coefficients = frame_of(rng, size), rng.normal(0.3, 1, (2, *mask)).astype(np.float32)
    expected = reference.apply_guided_filter(bgr, coefficients, np.empty(size, np.uint8))
    actual = device.apply_guided_filter(up(bgr), up(coefficients), empty(*size, dtype=np.uint8)).copy_to_host()
    assert np.abs(actual.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size", [(12, 12), (19, 23)])
def test_local_colours_are_the_reference(device, rng, mask, size):
    image, alpha = rng.normal(0, 1, (1, 3, *size)).astype(np.float32), rng.random(mask).astype(np.float32)
    grid = (2, *kernels.colour_grid(mask), 3)
    expected = reference.local_colours(image, MEAN, STD, alpha, np.empty(grid, np.float32))
    actual = device.local_colours(up(image), MEAN, STD, up(alpha), empty(*grid)).copy_to_host()
    assert np.abs(actual - expected).max() < 0.01


@pytest.mark.parametrize("size", FRAMES)
def test_estimate_foreground_is_the_reference_to_one_grey_level(device, rng, size):
    bgr, alpha = frame_of(rng, size), alpha_of(rng, size)
    colours = (255 * rng.random((2, 3, 5, 3))).astype(np.float32)
    expected = reference.estimate_foreground(bgr, alpha, colours, np.empty_like(bgr))
    actual = device.estimate_foreground(
        up(bgr), up(alpha), up(colours), empty(*bgr.shape, dtype=np.uint8)
    ).copy_to_host()
    assert np.abs(actual.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", FRAMES)
def test_composite_is_the_reference_to_one_grey_level(device, rng, size):
    bgr, background, alpha = frame_of(rng, size), frame_of(rng, size), alpha_of(rng, size)
    expected = reference.composite(bgr, alpha, background, np.empty_like(bgr))
    actual = device.composite(up(bgr), up(alpha), up(background), empty(*bgr.shape, dtype=np.uint8)).copy_to_host()
    assert np.abs(actual.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("value", "kept"), [(0, "background"), (255, "bgr")])
def test_a_pure_mask_paints_exactly(device, rng, value, kept):
    given = {"bgr": frame_of(rng, (5, 7)), "background": frame_of(rng, (5, 7))}
    alpha = np.full((5, 7), value, np.uint8)
    out = empty(5, 7, 3, dtype=np.uint8)
    device.composite(up(given["bgr"]), up(alpha), up(given["background"]), out)
    assert np.array_equal(out.copy_to_host(), given[kept])


@pytest.mark.parametrize("value", [0, 1])
def test_an_alpha_that_is_one_thing_everywhere_stays_that(device, rng, value):
    grey, alpha = rng.random((13, 17)).astype(np.float32), np.full((13, 17), value, np.float32)
    coefficients = device.fit_guided_filter(up(grey), up(alpha), empty(2, 13, 17))
    drawn = device.apply_guided_filter(
        up(frame_of(rng, (19, 23))), coefficients, empty(19, 23, dtype=np.uint8)
    ).copy_to_host()
    assert (drawn == 255 * value).all()


def test_a_whole_frame_on_the_device_is_the_reference(device, rng):
    """Upload, preprocess, a student of one line, alpha ... composite, download."""
    bgr, background = frame_of(rng, (19, 23)), frame_of(rng, (19, 23))
    mask, zero = (8, 12), (0.0,) * 3
    grid, one = (2, *kernels.colour_grid(mask), 3), (1.0,) * 3

    def paint(k, put, new, to_alpha):
        frame, image = put(bgr), new(1, 3, *mask)
        k.preprocess(frame, zero, one, image)
        alpha, last_grey, smoothed = to_alpha(image), put(np.full(mask, kernels.NO_BRIGHTNESS, np.float32)), new(*mask)
        k.smooth_alpha(image, zero, one, alpha, last_grey, smoothed)
        matte = k.apply_guided_filter(
            frame, k.fit_guided_filter(last_grey, alpha, new(2, *mask)), new(19, 23, dtype=np.uint8)
        )
        colours = k.local_colours(image, zero, one, alpha, new(*grid))
        foreground = k.estimate_foreground(frame, matte, colours, new(*bgr.shape, dtype=np.uint8))
        return k.composite(foreground, matte, put(background), new(*bgr.shape, dtype=np.uint8))

    def on_host(image):
        alpha = np.empty(mask, np.float32)
        stretched_sigmoid(8 * image[0, 0] - 4, alpha)
        return alpha

    def on_device(image):
        logits = up(8 * image.copy_to_host()[0, 0] - 4)
        return device.alpha(logits, 0.0, STRETCH, MAX_LOGIT, empty(*mask), empty(STATUS, dtype=np.int32))

    expected = paint(reference, np.array, lambda *shape, dtype=np.float32: np.zeros(shape, dtype), on_host)
    actual = paint(device, up, empty, on_device).copy_to_host()
    assert np.abs(actual.astype(int) - expected).max() <= 2


def test_arrays_of_another_kind_are_refused(device):
    with pytest.raises(ValueError, match=r"background is uint8 \(5, 4, 3\); expected uint8 \(4, 4, 3\)"):
        device.composite(
            empty(4, 4, 3, dtype=np.uint8), empty(4, 4, dtype=np.uint8), empty(5, 4, 3, dtype=np.uint8),
            empty(4, 4, 3, dtype=np.uint8),
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"out is float32 \(4, 4\); expected float32 \(1, 3, any, any\)"):
        device.preprocess(empty(4, 4, 3, dtype=np.uint8), MEAN, STD, empty(4, 4))
