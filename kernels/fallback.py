"""The kernels in NumPy and OpenCV, for machines where Numba cannot be used. About ten times slower than fused.py."""

from __future__ import annotations

import cv2
import numpy as np

from .reference import check_blend, check_frame, check_image


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


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.composite`."""
    check_blend(bgr, alpha, background, out)
    weight = cv2.resize(alpha, (bgr.shape[1], bgr.shape[0]), interpolation=cv2.INTER_LINEAR)
    cv2.blendLinear(bgr, background, weight, 1 - weight, dst=out)
    return out
