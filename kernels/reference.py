"""The specification of the kernels in plain NumPy, floating point throughout. Knows nothing about speed."""

from __future__ import annotations

import numpy as np


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


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Blend a frame over a background: out = alpha * bgr + (1 - alpha) * background.

    Parameters
    ----------
    bgr, background, out : uint8 (H, W, 3), BGR, any strides; `out` C-contiguous, and may be `bgr`.
    alpha : float32 (h, w) in [0, 1], 1 = person; upsampled bilinearly, half-pixel centres.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        `background` or `out` differs from `bgr` in shape, or an array is of another kind.

    The paper (section 4) writes this with alpha inverted: see docs/decisions.md.
    """
    check_blend(bgr, alpha, background, out)
    weight = resize(alpha, bgr.shape[:2])[..., None]
    out[...] = np.rint(weight * bgr + (1 - weight) * background)
    return out


def check_frame(bgr: np.ndarray, name: str = "bgr") -> None:
    """ValueError unless `bgr` is uint8 (H, W, 3) with at least one pixel."""
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3 or 0 in bgr.shape:
        raise ValueError(f"{name} is {bgr.dtype} {bgr.shape}; expected uint8 (H, W, 3)")


def check_image(out: np.ndarray) -> None:
    """ValueError unless `out` is a student's input."""
    if out.dtype != np.float32 or out.ndim != 4 or out.shape[:2] != (1, 3) or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected C-contiguous float32 (1, 3, h, w)")


def check_blend(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> None:
    """ValueError unless the four fit `composite`."""
    check_frame(bgr)
    if alpha.dtype != np.float32 or alpha.ndim != 2 or 0 in alpha.shape:
        raise ValueError(f"alpha is {alpha.dtype} {alpha.shape}; expected float32 (h, w)")
    for name, array in (("background", background), ("out", out)):
        check_frame(array, name)
        if array.shape != bgr.shape:
            raise ValueError(f"{name} is {array.shape} and bgr is {bgr.shape}; they must be of one size")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be C-contiguous and writeable; give a buffer of np.empty_like(bgr)")
