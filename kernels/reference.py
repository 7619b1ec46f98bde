"""The specification of the kernels in plain NumPy, floating point throughout. Knows nothing about speed."""

from __future__ import annotations

import numpy as np

from .checks import (
    check_alpha_of_logits,
    check_composite,
    check_fit_guided_filter,
    check_float,
    check_foreground,
    check_frame,
    check_guided_filter,
    check_image,
    check_local_colours,
    check_motion,
    check_smooth_alpha,
)  # fmt: skip

# smooth_alpha
MOTION_LOW, MOTION_HIGH = 0.01, 0.03  # change of brightness in [0, 1] between frames: below, nothing moves; above, all
MOTION_RADIUS = 2  # pixels of the mask; motion counts this far around, so that a moving edge is followed on both sides
CHANGE_LOW, CHANGE_HIGH = 0.1, 0.4  # change of alpha: below, it may be flicker; above, it is meant
EMA_MIN = 0.1  # weight of the new alpha where nothing moves and the change is small

# fit_guided_filter
GUIDED_RADIUS = 2  # pixels of the mask, of the filter's window
GUIDED_EPS = 3e-4  # the paper's epsilon: variance of brightness in [0, 1] below which a window has no edge to follow
ALPHA_FLOOR = 0.2  # alpha that a fit leaves on what is plainly background

# local_colours
SAMPLE_STEP = 2  # pixels of the mask; every second is enough for a mean colour
CELL_SIDE = 2  # of those pixels, side of a cell in which colours are summed
CELL_RADIUS = 2  # cells; how far around the colours of person and room are looked for
OWN_WEIGHT = 0.02  # weight of a cell's own colour among theirs: what is left where there is neither

# find_motion
BLOCK_SIDE = 4  # pixels of the student's input
BLOCK_SHIFT = 3.0  # grey levels of a block's mean: from there it changed; noise of a camera averages out
BLOCK_STIR = 4.5  # grey levels of the mean change of its pixels: what moves within a block leaves its mean as it is


def sample_positions(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bilinear sampling with half-pixel centres along one axis, edges replicated.

    Target sample i lies at (i + 0.5) * source / target - 0.5 in source samples.

    Returns
    -------
    left, right : int64 (target,), the two neighbours, clipped to the axis.
    weight : float64 (target,) in [0, 1), of the right one.
    """
    position = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    left = np.floor(position).astype(np.int64)
    return left, np.minimum(left + 1, source - 1), position - left


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`image` (H, W, ...) sampled bilinearly at `size` (h, w), half-pixel centres; float64. No antialiasing."""
    for axis in (0, 1):
        left, right, weight = sample_positions(image.shape[axis], size[axis])
        weight = weight.reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        image = image.take(left, axis) * (1 - weight) + image.take(right, axis) * weight
    return image


def preprocess(bgr: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray) -> np.ndarray:
    """Resize, reorder and normalise a frame for the student: out = (rgb / 255 - mean) / std.

    Parameters
    ----------
    bgr : uint8 (H, W, 3), BGR, any size from 1x1, any strides.
    mean, std : three floats, RGB, of pixels in [0, 1].
    out : float32 (1, 3, h, w), C-contiguous; sampled bilinearly with half-pixel centres.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        `bgr` or `out` is of another kind.
    """
    check_frame(bgr)
    check_image(out)
    rgb = resize(bgr, out.shape[2:])[..., ::-1] / 255
    out[0] = ((rgb - np.asarray(mean)) / np.asarray(std)).transpose(2, 0, 1)
    return out


def find_motion(image: np.ndarray, std: tuple[float, ...], last: np.ndarray, begin: int) -> int:
    """Where a student's input differs from an earlier one by more than the noise of a camera.

    Parameters
    ----------
    image, last : float32 (1, 3, h, w), C-contiguous, of one shape, at least BLOCK_SIDE each way.
    std : three floats, RGB, what both were normalised with.
    begin : the row of blocks that is looked at first; what moves is mostly where it was one frame before.

    Returns
    -------
    The first row of blocks, from `begin` on and around, in which one changed; -1: none did. A row is BLOCK_SIDE rows of
    pixels, the last one the last such many; at each of its columns begins a block, as wide as it is high. It changed
    where its mean differs by BLOCK_SHIFT, or its pixels do by BLOCK_STIR on average; either is the mean over colours.
    """
    check_motion(image, last, BLOCK_SIDE)
    difference = 255 * np.reshape(std, (3, 1, 1)) * (image[0].astype(np.float64) - last[0])
    rows = np.minimum(np.arange(0, image.shape[2], BLOCK_SIDE), image.shape[2] - BLOCK_SIDE)
    blocks = np.lib.stride_tricks.sliding_window_view(difference, (BLOCK_SIDE, BLOCK_SIDE), (1, 2))[:, rows]
    shift = np.abs(blocks.mean((3, 4))).mean(0)
    stir = np.abs(blocks).mean((0, 3, 4))
    moved = ((shift >= BLOCK_SHIFT) | (stir >= BLOCK_STIR)).any(1)
    return next((row for row in np.roll(np.arange(len(rows)), -begin).tolist() if moved[row]), -1)


def alpha_of_logits(
    logits: np.ndarray, threshold: float, stretch: tuple[float, float], out: np.ndarray
) -> tuple[float, float]:
    """Alpha of what the student said: a sigmoid, of which the middle is stretched.

    Parameters
    ----------
    logits : float32 (h, w), C-contiguous, person > `threshold`.
    stretch : what of the sigmoid becomes alpha 0 and 1, in (0, 1).
    out : float32 (h, w), C-contiguous, another array than `logits`. To 1e-3, to 1e-5 where |logits - threshold| < 6.

    Returns
    -------
    The mean of `out`, and the largest magnitude of a logit: NaN where one is NaN; then `out` means nothing.
    """
    check_alpha_of_logits(logits, out)
    sigmoid = 1 / (1 + np.exp(np.clip(threshold - logits.astype(np.float64), -80, 80)))
    out[...] = np.clip((sigmoid - stretch[0]) / (stretch[1] - stretch[0]), 0, 1)
    return float(out.mean()), float(np.abs(logits).max())


def smooth_alpha(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray,
    last_grey: np.ndarray, smoothed: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Temporal smoothing: a moving average of `alpha`, exponential and motion-adaptive.

    Small changes are held back where the picture stands still; large ones are followed, and all where it moves.

    Parameters
    ----------
    image : float32 (1, 3, H, W), what the student was shown.
    mean, std : three floats, RGB, what the image was normalised with.
    alpha : float32 (h, w) in [0, 1]; changed in place.
    last_grey : float32 (h, w), brightness in [0, 1] at the last call, at alpha's pixels; updated. NO_BRIGHTNESS: all
        is new.
    smoothed : float32 (h, w), alpha at the last call; updated.

    Returns
    -------
    `alpha`: smoothed + weight * (alpha - smoothed). The weight rises from EMA_MIN to 1 as the mean change of brightness
    over 3x3 pixels, the largest within MOTION_RADIUS, rises from MOTION_LOW to MOTION_HIGH, or the change of alpha from
    CHANGE_LOW to CHANGE_HIGH.
    """
    check_smooth_alpha(image, alpha, last_grey, smoothed)
    (height, width), (h, w) = image.shape[2:], alpha.shape
    rows, columns = (2 * np.arange(h) + 1) * height // (2 * h), (2 * np.arange(w) + 1) * width // (2 * w)
    grey = np.tensordot(np.asarray(std) / 3, image[0], 1)[rows][:, columns] + np.mean(mean)
    change = np.abs(_windows(grey - last_grey, 1).mean((2, 3)))
    motion = _windows(change, MOTION_RADIUS).max((2, 3))
    moves = (motion - MOTION_LOW) / (MOTION_HIGH - MOTION_LOW)
    jumps = (np.abs(alpha - smoothed) - CHANGE_LOW) / (CHANGE_HIGH - CHANGE_LOW)
    weight = np.clip(np.maximum(moves, jumps), EMA_MIN, 1)
    alpha[...] = smoothed + weight * (alpha - smoothed)
    last_grey[...], smoothed[...] = grey, alpha
    return alpha


def fit_guided_filter(grey: np.ndarray, alpha: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Fit alpha, around every pixel, as a linear function of brightness: the guided filter of He, Sun & Tang (2010).

    Where the person is darker or lighter than what is behind, alpha then follows the picture's own edge, at any
    resolution that the picture has: see `apply_guided_filter`.

    Parameters
    ----------
    grey : float32 (h, w) in [0, 1], brightness: the mean of red, green and blue.
    alpha : float32 (h, w) in [0, 1].
    coefficients : float32 (2, h, w), C-contiguous: the paper's a and b, so that alpha = a * brightness + b. Stretched,
        so that what is at ALPHA_FLOOR becomes 0 and what is at 1 - ALPHA_FLOOR becomes 1.

    Returns
    -------
    `coefficients`.
    """
    check_fit_guided_filter(grey, alpha, coefficients)

    def mean(array: np.ndarray) -> np.ndarray:
        return _windows(array, GUIDED_RADIUS).mean((2, 3))

    grey, alpha = grey.astype(np.float64), alpha.astype(np.float64)
    mean_grey, mean_alpha = mean(grey), mean(alpha)
    variance = mean(grey * grey) - mean_grey**2
    a = (mean(grey * alpha) - mean_grey * mean_alpha) / (np.maximum(variance, 0) + GUIDED_EPS)
    b = mean_alpha - a * mean_grey
    coefficients[0] = mean(a) / (1 - 2 * ALPHA_FLOOR)
    coefficients[1] = (mean(b) - ALPHA_FLOOR) / (1 - 2 * ALPHA_FLOOR)
    return coefficients


def apply_guided_filter(bgr: np.ndarray, coefficients: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Alpha at the resolution of the frame: a * brightness + b of each of its pixels.

    Parameters
    ----------
    bgr : uint8 (H, W, 3), any strides.
    coefficients : float32 (2, h, w), what `fit_guided_filter` gives; sampled bilinearly, half-pixel centres. Where a is
        0 this is a plain upsampling of b.
    out : uint8 (H, W), C-contiguous, 255 = person.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        An array is of another kind or size.
    """
    check_guided_filter(bgr, coefficients, out)
    a, b = (resize(array, bgr.shape[:2]) for array in coefficients)
    out[...] = np.rint(np.clip(a * bgr.mean(2) / 255 + b, 0, 1) * 255)
    return out


def local_colours(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """The colour of the person, and of the room, around every cell of the mask.

    Parameters
    ----------
    image : float32 (1, 3, H, W), what the student was shown.
    mean, std : three floats, RGB, what the image was normalised with.
    alpha : float32 (h, w) in [0, 1].
    out : float32 (2, *colour_grid((h, w)), 3), C-contiguous, BGR in [0, 255]: the person's, the room's. Means over the
        cells within CELL_RADIUS, weighted by alpha^2 and (1 - alpha)^2; where there is nothing of one, the cell's own
        mean. A cell is CELL_SIDE x CELL_SIDE of every SAMPLE_STEP-th pixel.

    Returns
    -------
    `out`.
    """
    check_local_colours(image, alpha)
    check_float(out, (2, *colour_grid(alpha.shape), 3), "out")
    (height, width), (h, w) = image.shape[2:], alpha.shape
    rows, columns = (2 * np.arange(h) + 1) * height // (2 * h), (2 * np.arange(w) + 1) * width // (2 * w)
    rgb = image[0][:, rows][:, :, columns].transpose(1, 2, 0) * np.asarray(std) + np.asarray(mean)
    bgr, alpha = 255 * rgb[::SAMPLE_STEP, ::SAMPLE_STEP, ::-1], alpha[::SAMPLE_STEP, ::SAMPLE_STEP].astype(np.float64)
    own, pixels = _cells(bgr), _cells(np.ones_like(alpha))[..., None]
    for kind, weight in enumerate((alpha**2, (1 - alpha) ** 2)):
        near, share = _around(_cells(bgr * weight[..., None])), _around(_cells(weight))[..., None]
        out[kind] = (near + OWN_WEIGHT * own) / (share + OWN_WEIGHT * pixels)
    return out


def colour_grid(mask: tuple[int, ...]) -> tuple[int, int]:
    """(gh, gw): the cells of `local_colours` for a mask of (h, w) pixels."""
    return -(-mask[0] // (SAMPLE_STEP * CELL_SIDE)), -(-mask[1] // (SAMPLE_STEP * CELL_SIDE))


def estimate_foreground(bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The frame, with the room taken out of the pixels in which both are mixed: no halo over another background.

    A mixed pixel is I = alpha F + (1 - alpha) B. With the colours P and R that person and room have nearby, F is
    estimated as P + alpha (I - alpha P - (1 - alpha) R): Forte, Approximate Fast Foreground Colour Estimation, 2021.

    Parameters
    ----------
    bgr : uint8 (H, W, 3), BGR, any strides.
    alpha : uint8 (H, W), C-contiguous, 255 = person.
    colours : float32 (2, gh, gw, 3), C-contiguous, what `local_colours` gives; the cell that a pixel lies in counts.
    out : uint8 (H, W, 3), C-contiguous, another array than `bgr`; black where alpha is 0.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        An array is of another kind or size.
    """
    check_foreground(bgr, alpha, colours, out)
    (h, w), (gh, gw) = alpha.shape, colours.shape[1:3]
    person, room = colours[:, np.arange(h) * gh // h][:, :, np.arange(w) * gw // w].astype(np.float64)
    share = alpha[..., None] / 255
    estimate = person + share * (bgr - share * person - (1 - share) * room)
    out[...] = np.where(share < 1, np.rint(np.clip(estimate, 0, 255)), bgr) * (share > 0)
    return out


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Blend a frame over a background: out = alpha * bgr + (1 - alpha) * background.

    Parameters
    ----------
    bgr, background, out : uint8 (H, W, 3), BGR, any strides; `out` C-contiguous, and may be `bgr`.
    alpha : uint8 (H, W), C-contiguous, 255 = person.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        The arrays differ in size, or one is of another kind.

    The paper (section 4) writes this with alpha inverted: see docs/decisions.md.
    """
    check_composite(bgr, alpha, background, out)
    weight = alpha[..., None] / 255
    out[...] = np.rint(weight * bgr + (1 - weight) * background)
    return out


def _windows(array: np.ndarray, radius: int) -> np.ndarray:
    """The neighbourhood of every pixel, edges replicated: (h, w, 2 radius + 1, 2 radius + 1)."""
    side = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(np.pad(array, radius, mode="edge"), (side, side))


def _cells(array: np.ndarray) -> np.ndarray:
    """Sums over cells of CELL_SIDE x CELL_SIDE pixels; the last ones may be smaller."""
    rows, columns = (np.arange(0, side, CELL_SIDE) for side in array.shape[:2])
    return np.add.reduceat(np.add.reduceat(array, rows, 0), columns, 1)


def _around(array: np.ndarray) -> np.ndarray:
    """Sums over the cells within CELL_RADIUS; there is nothing outside."""
    side = 2 * CELL_RADIUS + 1
    padded = np.pad(array, [(CELL_RADIUS, CELL_RADIUS), (CELL_RADIUS, CELL_RADIUS)] + [(0, 0)] * (array.ndim - 2))
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), (0, 1)).sum((-2, -1))
