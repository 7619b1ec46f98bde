"""The kernels in NumPy and OpenCV, for machines where Numba cannot be used. About ten times slower than `fused`."""

from __future__ import annotations

import cv2
import numpy as np

from . import reference
from .checks import (
    check_alpha_of_logits,
    check_composite,
    check_fit_guided_filter,
    check_foreground,
    check_frame,
    check_guided_filter,
    check_image,
    check_motion,
    check_planes,
    check_smooth_alpha,
)  # fmt: skip
from .reference import (
    ALPHA_FLOOR,
    BLOCK_SHIFT,
    BLOCK_SIDE,
    BLOCK_STIR,
    CHANGE_HIGH,
    CHANGE_LOW,
    EMA_MIN,
    GUIDED_EPS,
    GUIDED_RADIUS,
    MOTION_HIGH,
    MOTION_LOW,
    MOTION_RADIUS,
)


def preprocess(bgr: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.preprocess`."""
    check_frame(bgr)
    check_image(out)
    small = cv2.resize(bgr, (out.shape[3], out.shape[2]), interpolation=cv2.INTER_LINEAR)
    for channel in range(3):
        scale = 1 / (255 * std[channel])
        np.multiply(small[..., 2 - channel], np.float32(scale), out=out[0, channel])
        out[0, channel] -= np.float32(mean[channel] / std[channel])
    return out


def find_motion(image: np.ndarray, std: tuple[float, ...], last: np.ndarray, begin: int) -> int:
    """See `kernels.reference.find_motion`."""
    check_motion(image, last, BLOCK_SIDE)
    change = (image[0] - last[0]) * (255 * np.reshape(std, (3, 1, 1))).astype(np.float32)
    rows = np.minimum(np.arange(0, image.shape[2], BLOCK_SIDE), image.shape[2] - BLOCK_SIDE)
    mean, side = np.full((1, BLOCK_SIDE), 1 / BLOCK_SIDE**2, np.float32), change.shape[2] - BLOCK_SIDE + 1

    def blocks(pixels: np.ndarray) -> np.ndarray:
        sums = np.ascontiguousarray(np.add.reduce([pixels[:, rows + k] for k in range(BLOCK_SIDE)]))
        return np.stack([cv2.filter2D(plane, -1, mean, anchor=(0, 0))[:, :side] for plane in sums])

    shift, stir = np.abs(blocks(change)).mean(0), blocks(np.abs(change)).mean(0)
    moved = ((shift >= BLOCK_SHIFT) | (stir >= BLOCK_STIR)).any(1)
    return next((row for row in np.roll(np.arange(len(rows)), -begin).tolist() if moved[row]), -1)


def sigmoid(logits: np.ndarray, out: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Sigmoid of `logits` - `threshold` (a logit) into `out`, both float32 of one shape; returns `out`."""
    np.subtract(threshold, logits, out=out)
    np.clip(out, -30, 30, out=out)  # exp stays finite; the sigmoid is 0 or 1 to float32 there
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)
    return out


def alpha_of_logits(
    logits: np.ndarray, threshold: float, stretch: tuple[float, float], out: np.ndarray
) -> tuple[float, float]:
    """See `kernels.reference.alpha_of_logits`."""
    check_alpha_of_logits(logits, out)
    sigmoid(logits, out, threshold)
    out -= stretch[0]
    out *= 1 / (stretch[1] - stretch[0])
    np.clip(out, 0, 1, out=out)
    return float(out.mean()), float(max(-logits.min(), logits.max()))


def fit_guided_filter(grey: np.ndarray, alpha: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """See `kernels.reference.fit_guided_filter`."""
    check_fit_guided_filter(grey, alpha, coefficients)

    def mean(array: np.ndarray) -> np.ndarray:
        return cv2.blur(array, (2 * GUIDED_RADIUS + 1, 2 * GUIDED_RADIUS + 1), borderType=cv2.BORDER_REPLICATE)

    mean_grey, mean_alpha = mean(grey), mean(alpha)
    variance = np.maximum(mean(grey * grey) - mean_grey**2, 0)
    a = (mean(grey * alpha) - mean_grey * mean_alpha) / (variance + GUIDED_EPS)
    coefficients[0] = mean(a) / (1 - 2 * ALPHA_FLOOR)
    coefficients[1] = (mean(mean_alpha - a * mean_grey) - ALPHA_FLOOR) / (1 - 2 * ALPHA_FLOOR)
    return coefficients


def apply_guided_filter(bgr: np.ndarray, coefficients: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.apply_guided_filter`."""
    check_guided_filter(bgr, coefficients, out)
    size = (bgr.shape[1], bgr.shape[0])
    grey = cv2.transform(np.ascontiguousarray(bgr), np.full((1, 3), 1 / 3, np.float32)).astype(np.float32) / 255
    value = cv2.resize(coefficients[0], size) * grey + cv2.resize(coefficients[1], size)
    out[...] = np.rint(np.clip(value, 0, 1) * 255)
    return out


def local_colours(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """See `kernels.reference.local_colours`."""
    return reference.local_colours(image, mean, std, alpha, out)


def estimate_foreground(bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.estimate_foreground`."""
    check_foreground(bgr, alpha, colours, out)
    np.multiply(bgr, alpha[..., None] > 0, out=out)
    y, x = np.nonzero((alpha > 0) & (alpha < 255))
    (h, w), (gh, gw) = alpha.shape, colours.shape[1:3]
    person, room = colours[:, y * gh // h, x * gw // w]
    share = alpha[y, x, None].astype(np.float32) / 255
    out[y, x] = np.rint(np.clip(person + share * (bgr[y, x] - share * person - (1 - share) * room), 0, 255))
    return out


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.composite`."""
    check_composite(bgr, alpha, background, out)
    weight = alpha.astype(np.float32) / 255
    cv2.blendLinear(bgr, background, weight, 1 - weight, dst=out)
    return out


def smooth_alpha(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray,
    last_grey: np.ndarray, smoothed: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """See `kernels.reference.smooth_alpha`."""
    check_smooth_alpha(image, alpha, last_grey, smoothed)
    (height, width), (h, w) = image.shape[2:], alpha.shape
    rows, columns = (2 * np.arange(h) + 1) * height // (2 * h), (2 * np.arange(w) + 1) * width // (2 * w)
    grey = np.tensordot(np.asarray(std, np.float32) / 3, image[0], 1)[rows][:, columns] + np.float32(np.mean(mean))
    border = cv2.BORDER_REPLICATE
    change = np.abs(cv2.blur(grey - last_grey, (3, 3), borderType=border))
    motion = cv2.dilate(change, np.ones((2 * MOTION_RADIUS + 1, 2 * MOTION_RADIUS + 1), np.uint8), borderType=border)
    moves = (motion - MOTION_LOW) / (MOTION_HIGH - MOTION_LOW)
    jumps = (np.abs(alpha - smoothed) - CHANGE_LOW) / (CHANGE_HIGH - CHANGE_LOW)
    weight = np.clip(np.maximum(moves, jumps), EMA_MIN, 1)
    alpha[...] = smoothed + weight * (alpha - smoothed)
    last_grey[...], smoothed[...] = grey, alpha
    return alpha


def bgr_from_yuv(y: np.ndarray, u: np.ndarray, v: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.yuv.bgr_from_yuv`."""
    check_frame(out, "out")
    check_planes(y, u, v, out.shape[:2], rows=u.shape[0])
    H, W = out.shape[:2]
    wide = (np.repeat(np.repeat(plane, 1 if len(u) == H else 2, 0), 2, 1)[:H, :W] for plane in (u, v))
    out[...] = cv2.transform(cv2.merge([y[:, :W], *wide]), matrix)
    return out


def yuv_from_bgr(
    bgr: np.ndarray, matrix: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, ...]:
    """See `kernels.yuv.yuv_from_bgr`."""
    check_frame(bgr)
    check_planes(y, u, v, bgr.shape[:2])
    H, W = bgr.shape[:2]
    y[:, :W] = cv2.transform(np.ascontiguousarray(bgr), matrix[:1])
    even = np.pad(bgr, ((0, H % 2), (0, W % 2), (0, 0)), mode="edge").astype(np.float32)
    mean = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
    for plane, row in ((u, matrix[1:2]), (v, matrix[2:3])):
        plane[:, : mean.shape[1]] = np.rint(np.clip(cv2.transform(mean, row), 0, 255))
    return y, u, v
