"""The kernels in NumPy and OpenCV, for machines where Numba cannot be used. About ten times slower than `fused`."""

from __future__ import annotations

import cv2
import numpy as np

from . import reference
from .reference import (
    CALM,
    FAINT,
    FLAT,
    LARGE,
    LOUD,
    NEAR,
    QUIET,
    RADIUS,
    SMALL,
    check_blend,
    check_foreground,
    check_frame,
    check_image,
    check_matte,
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


def refine(grey: np.ndarray, alpha: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """See `kernels.reference.refine`."""

    def mean(array: np.ndarray) -> np.ndarray:
        return cv2.blur(array, (2 * RADIUS + 1, 2 * RADIUS + 1), borderType=cv2.BORDER_REPLICATE)

    mean_grey, mean_alpha = mean(grey), mean(alpha)
    variance = np.maximum(mean(grey * grey) - mean_grey**2, 0)
    gain = (mean(grey * alpha) - mean_grey * mean_alpha) / (variance + FLAT)
    edges[0] = mean(gain) / (1 - 2 * FAINT)
    edges[1] = (mean(mean_alpha - gain * mean_grey) - FAINT) / (1 - 2 * FAINT)
    return edges


def matte(bgr: np.ndarray, edges: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.matte`."""
    check_matte(bgr, edges, out)
    size = (bgr.shape[1], bgr.shape[0])
    grey = cv2.transform(np.ascontiguousarray(bgr), np.full((1, 3), 1 / 3, np.float32)).astype(np.float32) / 255
    value = cv2.resize(edges[0], size) * grey + cv2.resize(edges[1], size)
    out[...] = np.rint(np.clip(value, 0, 1) * 255)
    return out


def colours(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """See `kernels.reference.colours`."""
    return reference.colours(image, mean, std, alpha, out)


def foreground(bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.foreground`."""
    check_foreground(bgr, alpha, colours, out)
    np.copyto(out, bgr)
    y, x = np.nonzero((alpha > 0) & (alpha < 255))
    (h, w), (gh, gw) = alpha.shape, colours.shape[1:3]
    person, room = colours[:, y * gh // h, x * gw // w]
    share = alpha[y, x, None].astype(np.float32) / 255
    out[y, x] = np.rint(np.clip(person + share * (bgr[y, x] - share * person - (1 - share) * room), 0, 255))
    return out


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.composite`."""
    check_blend(bgr, alpha, background, out)
    weight = alpha.astype(np.float32) / 255
    cv2.blendLinear(bgr, background, weight, 1 - weight, dst=out)
    return out


def steady(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, seen: np.ndarray,
    shown: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """See `kernels.reference.steady`."""
    (height, width), (h, w) = image.shape[2:], alpha.shape
    rows, columns = (2 * np.arange(h) + 1) * height // (2 * h), (2 * np.arange(w) + 1) * width // (2 * w)
    brightness = np.tensordot(np.asarray(std, np.float32) / 3, image[0], 1)[rows][:, columns] + np.float32(
        np.mean(mean)
    )
    border = cv2.BORDER_REPLICATE
    change = np.abs(cv2.blur(brightness - seen, (3, 3), borderType=border))
    motion = cv2.dilate(change, np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8), borderType=border)
    moves, jumps = (motion - QUIET) / (LOUD - QUIET), (np.abs(alpha - shown) - SMALL) / (LARGE - SMALL)
    weight = np.clip(np.maximum(moves, jumps), CALM, 1)
    alpha[...] = shown + weight * (alpha - shown)
    seen[...], shown[...] = brightness, alpha
    return alpha
