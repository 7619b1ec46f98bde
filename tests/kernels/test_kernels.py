"""Each implementation against the reference, over awkward sizes, strides and values."""

import importlib
import sys

import cv2
import numpy as np
import pytest

import kernels
from kernels import fused, reference
from kernels.fused.compilation import Kernel

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


def alpha_of(rng, size):
    """uint8: spans of pure 0 and 255 with a soft edge between."""
    columns = np.linspace(-3, 3, size[1]) + rng.normal(0, 0.5, (size[0], 1))
    return np.rint(np.clip(columns + 0.5, 0, 1) * 255).astype(np.uint8)


def coefficients_of(rng, size):
    """Cells where alpha is 0, 1, or depends on brightness."""
    b = np.clip(rng.normal(0.5, 1.5, size), -0.3, 1.3)
    a = np.where(rng.random(size) < 0.5, 0, rng.normal(0, 2, size))
    return np.stack([a, b]).astype(np.float32)


@pytest.mark.parametrize("size", FRAMES)
@pytest.mark.parametrize("student", [(240, 240), (144, 256), (17, 31)])
def test_preprocess_is_the_reference_to_two_grey_levels(implementation, rng, size, student):
    bgr = frame_of(rng, size)
    expected = reference.preprocess(bgr, MEAN, STD, np.empty((1, 3, *student), np.float32))
    actual = implementation.preprocess(bgr, MEAN, STD, np.empty((1, 3, *student), np.float32))
    grey_levels = np.abs(actual - expected)[0] * 255 * np.reshape(STD, (3, 1, 1))
    assert grey_levels.max() <= 2


@pytest.mark.parametrize("size", FRAMES)
def test_composite_is_the_reference_to_one_grey_level(implementation, rng, size):
    bgr, background, alpha = frame_of(rng, size), frame_of(rng, size), alpha_of(rng, size)
    expected = reference.composite(bgr, alpha, background, np.empty_like(bgr))
    actual = implementation.composite(bgr, alpha, background, np.empty_like(bgr))
    assert np.abs(actual.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", FRAMES)
@pytest.mark.parametrize("mask", MASKS)
def test_apply_guided_filter_is_the_reference_to_two_grey_levels(implementation, rng, size, mask):
    bgr, coefficients = frame_of(rng, size), coefficients_of(rng, mask)
    expected = reference.apply_guided_filter(bgr, coefficients, np.empty(size, np.uint8))
    actual = implementation.apply_guided_filter(bgr, coefficients, np.empty(size, np.uint8))
    assert np.abs(actual.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("mask", MASKS)
def test_fit_guided_filter_is_the_reference(implementation, rng, mask):
    grey, alpha = rng.random(mask, np.float32), rng.random(mask, np.float32)
    expected = reference.fit_guided_filter(grey, alpha, np.empty((2, *mask), np.float32))
    actual = implementation.fit_guided_filter(grey, alpha, np.empty((2, *mask), np.float32))
    assert np.abs(actual - expected).max() < 1e-3


def test_where_a_is_zero_b_is_upsampled(implementation, rng):
    alpha = rng.random((12, 16), np.float32)
    coefficients = np.stack([np.zeros_like(alpha), alpha])
    actual = implementation.apply_guided_filter(frame_of(rng, (96, 128)), coefficients, np.empty((96, 128), np.uint8))
    assert np.abs(actual - cv2.resize(alpha, (128, 96)) * 255).max() <= 1


def test_a_blurred_alpha_is_drawn_as_sharp_as_the_picture(implementation):
    """A light person before a dark wall, and an alpha that is soft over four pixels of the mask."""
    bgr = np.full((480, 640, 3), 40, np.uint8)
    bgr[:, 322:] = 200
    grey = cv2.resize(bgr[..., 0], (64, 48), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    alpha = cv2.blur((grey > 0.5).astype(np.float32), (4, 4))
    coefficients = implementation.fit_guided_filter(grey, alpha, np.empty((2, 48, 64), np.float32))
    row = implementation.apply_guided_filter(bgr, coefficients, np.empty((480, 640), np.uint8))[240]
    assert not row[:322].any()
    assert row[322:].min() > 200


# -- what the student said ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", MASKS)
def test_alpha_of_logits_is_the_reference(implementation, rng, mask):
    logits = rng.normal(0, 3, mask).astype(np.float32)
    expected, actual = np.empty((2, *mask), np.float32)
    told = reference.alpha_of_logits(logits, 0.4, (0.2, 0.7), expected)
    assert implementation.alpha_of_logits(logits, 0.4, (0.2, 0.7), actual) == pytest.approx(told, abs=1e-5)
    assert np.abs(actual - expected).max() < 1e-5
    for odd in (np.nan, np.inf, -np.inf):
        logits[-1, -1] = odd
        assert not implementation.alpha_of_logits(logits, 0.0, (0.1, 0.9), actual)[1] <= 1e30


# -- foreground estimation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(12, 12), (37, 53), (240, 240)])
@pytest.mark.parametrize("mask", MASKS)
def test_local_colours_are_the_reference(implementation, rng, size, mask):
    image, alpha = rng.normal(0, 1, (1, 3, *size)).astype(np.float32), rng.random(mask, np.float32)
    grid = (2, *kernels.colour_grid(mask), 3)
    expected = reference.local_colours(image, MEAN, STD, alpha, np.empty(grid, np.float32))
    actual = implementation.local_colours(image, MEAN, STD, alpha, np.empty(grid, np.float32))
    assert np.abs(actual - expected).max() < 0.01


def test_local_colours_tell_person_and_room_apart():
    """A red person on the left, a blue room on the right: each is found a few pixels beyond the border, too."""
    image, alpha = np.zeros((1, 3, 64, 64), np.float32), np.zeros((64, 64), np.float32)
    image[0, 0, :, :32], image[0, 2, :, 32:], alpha[:, :32] = 1, 1, 1
    person, room = reference.local_colours(image, (0,) * 3, (1,) * 3, alpha, np.empty((2, 16, 16, 3), np.float32))
    assert np.allclose(person[:, 8], (0, 0, 255), atol=16)
    assert np.allclose(room[:, 7], (255, 0, 0), atol=16)
    assert np.allclose(room[:, 0], (0, 0, 255))  # no room is near: the picture as it is


@pytest.mark.parametrize("size", FRAMES)
def test_estimate_foreground_is_the_reference_to_one_grey_level(implementation, rng, size):
    bgr, alpha = frame_of(rng, size), alpha_of(rng, size)
    colours = (255 * rng.random((2, 5, 7, 3))).astype(np.float32)
    expected = reference.estimate_foreground(bgr, alpha, colours, np.empty_like(bgr))
    actual = implementation.estimate_foreground(bgr, alpha, colours, np.empty_like(bgr))
    assert np.abs(actual.astype(int) - expected).max() <= 1


def test_the_room_is_taken_out_of_the_pixels_it_is_mixed_into(implementation):
    """A dark person before a white wall, an edge of many mixed pixels: over black there is no light rim."""
    alpha = np.clip(np.arange(64) * 8 - 128, 0, 255).astype(np.uint8) * np.ones((48, 1), np.uint8)
    share = alpha[..., None] / 255
    bgr = np.rint(share * 40 + (1 - share) * 255).astype(np.uint8) * np.ones(3, np.uint8)
    colours = np.empty((2, 12, 16, 3), np.float32)
    colours[0], colours[1] = 40, 255
    out = implementation.estimate_foreground(bgr, alpha, colours, np.empty_like(bgr))
    assert np.abs(out[alpha > 0].astype(int) - 40).max() <= 1
    assert not out[alpha == 0].any(), "the room is in it"


def test_estimate_foreground_refuses_to_write_over_the_frame(implementation):
    frame = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="give another buffer"):
        implementation.estimate_foreground(frame, frame[..., 0].copy(), np.zeros((2, 1, 1, 3), np.float32), frame)


# -- composite ---------------------------------------------------------------------------------------------------------


def test_a_mask_of_zeros_paints_the_background_exactly(implementation, rng):
    bgr, background = frame_of(rng, (37, 53)), frame_of(rng, (37, 53))
    out = implementation.composite(bgr, np.zeros((37, 53), np.uint8), background, np.empty_like(bgr))
    assert np.array_equal(out, background)


def test_a_mask_of_ones_paints_the_frame_exactly(implementation, rng):
    bgr, background = frame_of(rng, (37, 53)), frame_of(rng, (37, 53))
    out = implementation.composite(bgr, np.full((37, 53), 255, np.uint8), background, np.empty_like(bgr))
    assert np.array_equal(out, bgr)


@pytest.mark.parametrize("value", [0, 1])
def test_an_alpha_that_is_one_thing_everywhere_stays_that(implementation, rng, value):
    """The empty rule's zeros must not become a trace of the room."""
    grey, alpha = rng.random((13, 17), np.float32), np.full((13, 17), value, np.float32)
    coefficients = implementation.fit_guided_filter(grey, alpha, np.empty((2, 13, 17), np.float32))
    drawn = implementation.apply_guided_filter(frame_of(rng, (37, 53)), coefficients, np.empty((37, 53), np.uint8))
    assert np.array_equal(drawn, np.full((37, 53), 255 * value))


def test_composite_may_write_over_the_frame(implementation, rng):
    bgr, background, alpha = frame_of(rng, (48, 64)), frame_of(rng, (48, 64)), alpha_of(rng, (48, 64))
    expected = implementation.composite(bgr, alpha, background, np.empty_like(bgr))
    out = bgr.copy()
    assert np.array_equal(implementation.composite(out, alpha, background, out), expected)


@pytest.mark.parametrize("view", ["strided", "flipped", "read-only"])
def test_any_strides_give_the_same_pixels(implementation, rng, view):
    big = frame_of(rng, (96, 128))
    bgr = {"strided": big[::2, ::2], "flipped": big[:48, 63::-1], "read-only": big[:48, :64].copy()}[view]
    bgr.flags.writeable = view != "read-only"
    plain, alpha = np.array(bgr), alpha_of(rng, (48, 64))
    expected = implementation.composite(plain, alpha, plain[::-1].copy(), np.empty_like(plain))
    assert np.array_equal(implementation.composite(bgr, alpha, plain[::-1], np.empty_like(plain)), expected)
    coefficients, drawn = coefficients_of(rng, (12, 12)), np.empty((48, 64), np.uint8)
    assert np.array_equal(
        implementation.apply_guided_filter(bgr, coefficients, drawn).copy(),
        implementation.apply_guided_filter(plain, coefficients, drawn),
    )
    image = np.empty((1, 3, 24, 24), np.float32)
    assert np.array_equal(
        implementation.preprocess(bgr, MEAN, STD, image).copy(), implementation.preprocess(plain, MEAN, STD, image)
    )


@pytest.mark.parametrize("value", [0, 255])
def test_extreme_pixels_do_not_overflow(implementation, value):
    bgr = np.full((64, 64, 3), value, np.uint8)
    alpha = np.arange(4096).astype(np.uint8).reshape(64, 64)
    assert np.array_equal(implementation.composite(bgr, alpha, bgr, np.empty_like(bgr)), bgr)


def test_the_reference_resizes_like_opencv(rng):
    image = rng.random((37, 53), np.float32)
    assert np.allclose(reference.resize(image, (120, 90)), cv2.resize(image, (90, 120)), atol=1e-4)


def compiled():
    """(module, kernel) of all that Numba compiles in the fused kernels; of each module that imports it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("kernels.fused."):
            yield from ((name, value) for value in vars(module).values() if isinstance(value, Kernel))


def test_no_live_frame_compiles_a_kernel(rng, monkeypatch):
    """Every kind of input must reach the machine code that `warm` made."""
    used = [kernel for _, kernel in compiled()]
    for kernel in used:
        monkeypatch.setattr(kernel, "_codes", {})
    fused.warm()
    before = [len(kernel._codes) for kernel in used]
    grid = np.zeros((2, 3, 6, 3), np.float32)[:, :, ::2]
    big = frame_of(rng, (96, 128))
    frozen = big.copy()
    frozen.flags.writeable = False
    for bgr in (big, big[::2, ::-1], frozen):
        fused.preprocess(bgr, MEAN, STD, np.empty((1, 3, 24, 24), np.float32))
        for coefficients in (coefficients_of(rng, (12, 12)), coefficients_of(rng, (12, 24))[:, :, ::2]):
            alpha = fused.apply_guided_filter(bgr, coefficients, np.empty(bgr.shape[:2], np.uint8))
            fused.composite(bgr, alpha, bgr, np.empty(bgr.shape, np.uint8))
            fused.estimate_foreground(bgr, alpha, np.zeros((2, 3, 3, 3), np.float32), np.empty(bgr.shape, np.uint8))
            fused.estimate_foreground(
                bgr[1:, 1:], alpha[1:, 1:].copy(), grid, np.empty((*alpha[1:, 1:].shape, 3), np.uint8)
            )
    fused.composite(big, alpha_of(rng, (96, 128)), frozen, big)
    fused.fit_guided_filter(*rng.random((2, 12, 12), np.float32), np.empty((2, 12, 12), np.float32))
    list(remembered(fused.smooth_alpha, film(rng, (24, 24), (12, 12))))
    image = rng.random((1, 3, 24, 24)).astype(np.float32)
    fused.local_colours(image, MEAN, STD, rng.random((12, 12), np.float32), np.empty((2, 3, 3, 3), np.float32))
    fused.find_motion(image, STD, image.copy(), 2)
    assert [len(kernel._codes) for kernel in used] == before


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"bgr": np.zeros((4, 4), np.uint8)}, r"bgr is uint8 \(4, 4\); expected uint8 \(H, W, 3\)"),
        ({"bgr": np.zeros((4, 4, 3), np.uint16)}, "bgr is uint16"),
        ({"alpha": np.zeros((4, 4))}, "alpha is float64"),
        ({"alpha": np.zeros((2, 2), np.uint8)}, r"alpha is uint8 \(2, 2\); expected C-contiguous uint8 \(4, 4\)"),
        ({"background": np.zeros((5, 4, 3), np.uint8)}, "must be of one size"),
        ({"out": np.zeros((4, 8, 3), np.uint8)[:, ::2]}, "C-contiguous"),
    ],
)
def test_arrays_of_another_kind_are_refused(implementation, arrays, message):
    frame = np.zeros((4, 4, 3), np.uint8)
    given = {"bgr": frame, "alpha": np.zeros((4, 4), np.uint8), "background": frame, "out": frame.copy()} | arrays
    with pytest.raises(ValueError, match=message):
        implementation.composite(**given)


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("smooth_alpha", {"alpha": np.zeros((3, 4))}, r"alpha is float64 \(3, 4\); expected float32 \(h, w\)"),
        ("smooth_alpha", {"smoothed": np.zeros((3, 3), np.float32)}, r"smoothed is .* expected float32 \(3, 4\)"),
        ("smooth_alpha", {"last_grey": np.zeros((2, 4), np.float32)}, r"last_grey is .* expected float32 \(3, 4\)"),
        ("smooth_alpha", {"image": np.zeros((3, 6, 8), np.float32)}, r"image is float32 \(3, 6, 8\)"),
        ("fit_guided_filter", {"grey": np.zeros((3, 3), np.float32)}, r"grey is .* expected float32 \(3, 4\)"),
        ("fit_guided_filter", {"coefficients": np.zeros((3, 4), np.float32)}, r"expected float32 \(2, 3, 4\)"),
        ("local_colours", {"out": np.zeros((2, 1, 2, 3), np.float32)}, r"out is .* expected float32 \(2, 1, 1, 3\)"),
        ("local_colours", {"alpha": np.zeros((0, 4), np.float32)}, r"alpha is float32 \(0, 4\)"),
    ],
)
def test_masks_of_another_size_or_type_are_refused(implementation, name, arrays, message):
    """Machine code looks at no index: it would read and write past their end."""
    image, mask, normalised = (
        np.zeros((1, 3, 6, 8), np.float32),
        np.zeros((3, 4), np.float32),
        {"mean": MEAN, "std": STD},
    )
    given = {
        "smooth_alpha": {
            "image": image,
            **normalised,
            "alpha": mask,
            "last_grey": mask.copy(),
            "smoothed": mask.copy(),
        },
        "fit_guided_filter": {"grey": mask, "alpha": mask, "coefficients": np.zeros((2, 3, 4), np.float32)},
        "local_colours": {"image": image, **normalised, "alpha": mask, "out": np.zeros((2, 1, 1, 3), np.float32)},
    }[name]
    with pytest.raises(ValueError, match=message):
        getattr(implementation, name)(**given | arrays)


# -- temporal smoothing ------------------------------------------------------------------------------------------------


def film(rng, size, mask, frames=4):
    """(image, alpha) of a still scene with noise, in which a square moves and alpha flutters."""
    scene = rng.random((3, *size))
    for i in range(frames):
        image = scene + rng.normal(0, 0.01, scene.shape)
        image[:, : size[0] // 3, i : i + size[1] // 3] = 0.9
        yield image[None].astype(np.float32), np.clip(rng.normal(0.5, 0.5, mask), 0, 1).astype(np.float32)


def remembered(smooth_alpha, frames):
    """The smoothed alpha of every frame."""
    smoothed = last_grey = None
    for image, alpha in frames:
        if smoothed is None:
            smoothed, last_grey = np.zeros_like(alpha), np.full_like(alpha, kernels.NO_BRIGHTNESS)
        yield smooth_alpha(image, (0.5, 0.4, 0.3), (0.3, 0.25, 0.2), alpha.copy(), last_grey, smoothed).copy()


@pytest.mark.parametrize("size", [(12, 12), (37, 53), (240, 240)])
@pytest.mark.parametrize("mask", [(1, 1), (2, 3), (13, 17), (120, 120)])
def test_smooth_alpha_is_the_reference(implementation, size, mask):
    expected = remembered(reference.smooth_alpha, film(np.random.default_rng(3), size, mask))
    actual = remembered(implementation.smooth_alpha, film(np.random.default_rng(3), size, mask))
    for a, b in zip(actual, expected, strict=True):
        assert np.abs(a - b).max() < 1e-4


def test_the_first_frame_is_shown_as_it_is(implementation, rng):
    ((image, alpha),) = film(rng, (64, 64), (64, 64), frames=1)
    assert np.allclose(*remembered(implementation.smooth_alpha, [(image, alpha)]), alpha, atol=1e-6)


def test_where_nothing_moves_flutter_is_damped_and_a_large_change_followed(implementation, rng):
    image = rng.random((1, 3, 64, 64)).astype(np.float32)
    alphas = [np.full((64, 64), value, np.float32) for value in (0.5, 0.58, 0.0)]
    smoothed = list(remembered(implementation.smooth_alpha, [(image, alpha) for alpha in alphas]))
    assert np.allclose(smoothed[1], 0.5 + reference.EMA_MIN * 0.08)
    assert np.allclose(smoothed[2], 0)


def test_what_moves_leaves_no_trail(implementation):
    """A bright hand jumps: at once there is nothing where it was, and everything where it is."""
    frames = []
    for column in (8, 40):
        image, alpha = np.zeros((1, 3, 64, 64), np.float32), np.zeros((64, 64), np.float32)
        image[..., 20:36, column : column + 12] = 0.8
        alpha[20:36, column : column + 12] = 1
        frames.append((image, alpha))
    last = list(remembered(implementation.smooth_alpha, frames))[-1]
    assert np.array_equal(last, frames[-1][1])


# -- what moves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (12, 12), (37, 53), (240, 320)])
def test_find_motion_is_the_reference(implementation, rng, size):
    """Noise about as strong as what is a change, and single pixels."""
    last = rng.normal(0, 1, (1, 3, *size)).astype(np.float32)
    rows = -(-size[0] // reference.BLOCK_SIDE)
    for sigma in np.linspace(0, 0.12, 25):
        image = last + rng.normal(0, sigma, last.shape).astype(np.float32)
        image[0, :, rng.integers(size[0]), rng.integers(size[1])] += 25 * sigma
        begin = int(rng.integers(rows))
        assert implementation.find_motion(image, STD, last, begin) == reference.find_motion(image, STD, last, begin)


@pytest.mark.parametrize("what", ["edge", "line"])
def test_noise_is_no_motion_and_less_than_a_pixel_of_it_is(implementation, rng, what):
    """Of 40 grey levels, with noise of two; a line moves within its block, whose mean stays as it is."""

    def picture(moved):
        rows = np.arange(60)[:, None] - 29.3 - moved
        shape = 1 - np.abs(rows) if what == "line" else rows
        picture = 100 + 40 * np.clip(shape, 0, 1) + rng.normal(0, 2, (60, 80))
        return (picture / 255).astype(np.float32) * np.ones((1, 3, 1, 1), np.float32)

    rows = [implementation.find_motion(picture(moved), (1.0,) * 3, picture(0), 0) for moved in (0, 0.4)]
    assert rows == [-1, 7]


def test_motion_is_looked_for_from_where_it_was(implementation):
    last = np.zeros((1, 3, 18, 24), np.float32)
    image = last.copy()
    image[0, 1, [5, 17], 3] = 3
    rows = [implementation.find_motion(image, STD, last, begin) for begin in range(5)]
    assert rows == [1, 1, 4, 4, 4]


@pytest.mark.parametrize("shape", [(1, 3, 12, 3), (1, 3, 3, 12), (1, 3, 12, 16)])
def test_pictures_of_two_sizes_or_too_small_are_refused(implementation, shape):
    last = np.zeros(shape if 3 in shape[2:] else (1, 3, 12, 12), np.float32)
    with pytest.raises(ValueError, match=r"last is .* expected one shape, 4 pixels or more a side"):
        implementation.find_motion(np.zeros(shape, np.float32), STD, last, 0)


def test_load_prefers_the_fused_kernels():
    assert kernels.load().name == "fused"


def test_without_numba_the_fallback_is_used_and_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [name for name in sys.modules if name.startswith("kernels.fused")]:
        monkeypatch.delitem(sys.modules, name)
    chosen = kernels.load()
    assert chosen.name == "fallback"
    assert "Numba cannot be used (ModuleNotFoundError" in chosen.reason
