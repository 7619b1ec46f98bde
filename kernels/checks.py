"""What arrays the kernels take: ValueError with what was given, what is expected, and what to give instead."""

from __future__ import annotations

import numpy as np


def check_frame(bgr: np.ndarray, name: str = "bgr") -> None:
    """ValueError unless `bgr` is uint8 (H, W, 3) with at least one pixel."""
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3 or 0 in bgr.shape:
        raise ValueError(f"{name} is {bgr.dtype} {bgr.shape}; expected uint8 (H, W, 3)")


def check_image(image: np.ndarray, name: str = "out") -> None:
    """ValueError unless `image` is a student's input."""
    shape = image.shape
    if (
        image.dtype != np.float32
        or len(shape) != 4
        or shape[:2] != (1, 3)
        or 0 in shape
        or not image.flags.c_contiguous
    ):
        raise ValueError(f"{name} is {image.dtype} {shape}; expected C-contiguous float32 (1, 3, h, w)")


def check_motion(image: np.ndarray, last: np.ndarray, side: int) -> None:
    """ValueError unless the two fit `find_motion`, with blocks of `side` pixels."""
    check_image(image, "image")
    check_image(last, "last")
    if last.shape != image.shape or min(image.shape[2:]) < side:
        raise ValueError(
            f"last is {last.shape} and image is {image.shape}; expected one shape, {side} pixels or more a side"
        )


def check_alpha_of_logits(logits: np.ndarray, out: np.ndarray) -> None:
    """ValueError unless the two fit `alpha_of_logits`."""
    for name, array in (("logits", logits), ("out", out)):
        if array.dtype != np.float32 or array.ndim != 2 or not array.flags.carray:
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected C-contiguous float32 (h, w), writeable")
    check_float(out, logits.shape, "out")


def check_smooth_alpha(image: np.ndarray, alpha: np.ndarray, last_grey: np.ndarray, smoothed: np.ndarray) -> None:
    """ValueError unless the four fit `smooth_alpha`."""
    check_image(image, "image")
    _check_mask(alpha)
    check_float(last_grey, alpha.shape, "last_grey")
    check_float(smoothed, alpha.shape, "smoothed")


def check_fit_guided_filter(grey: np.ndarray, alpha: np.ndarray, coefficients: np.ndarray) -> None:
    """ValueError unless the three fit `fit_guided_filter`."""
    _check_mask(alpha)
    check_float(grey, alpha.shape, "grey")
    check_float(coefficients, (2, *alpha.shape), "coefficients")


def check_local_colours(image: np.ndarray, alpha: np.ndarray) -> None:
    """ValueError unless the two fit `local_colours`."""
    check_image(image, "image")
    _check_mask(alpha)


def check_guided_filter(bgr: np.ndarray, coefficients: np.ndarray, out: np.ndarray) -> None:
    """ValueError unless the three fit `apply_guided_filter`."""
    check_frame(bgr)
    if (
        coefficients.dtype != np.float32
        or coefficients.ndim != 3
        or coefficients.shape[0] != 2
        or 0 in coefficients.shape
    ):
        raise ValueError(f"coefficients is {coefficients.dtype} {coefficients.shape}; expected float32 (2, h, w)")
    _check_alpha(out, bgr, "out")
    if not out.flags.writeable:
        raise ValueError("out must be writeable; give a buffer of np.empty(bgr.shape[:2], np.uint8)")


def check_composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> None:
    """ValueError unless the four fit `composite`."""
    check_frame(bgr)
    _check_alpha(alpha, bgr, "alpha")
    for name, array in (("background", background), ("out", out)):
        check_frame(array, name)
        if array.shape != bgr.shape:
            raise ValueError(f"{name} is {array.shape} and bgr is {bgr.shape}; they must be of one size")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be C-contiguous and writeable; give a buffer of np.empty_like(bgr)")


def check_foreground(bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> None:
    """ValueError unless the four fit `estimate_foreground`."""
    check_frame(bgr)
    check_frame(out, "out")
    _check_alpha(alpha, bgr, "alpha")
    if colours.dtype != np.float32 or colours.ndim != 4 or colours.shape[::3] != (2, 3) or 0 in colours.shape:
        raise ValueError(f"colours is {colours.dtype} {colours.shape}; expected float32 (2, gh, gw, 3)")
    if out.shape != bgr.shape or out is bgr or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(
            f"out is {out.shape} and bgr is {bgr.shape}; give another buffer, np.empty(bgr.shape, np.uint8)"
        )


def check_planes(
    y: np.ndarray, u: np.ndarray, v: np.ndarray, size: tuple[int, ...], dtype: type = np.uint8, rows: int = 0
) -> None:
    """ValueError unless the three are planes of a picture of `size` (H, W): 4:2:0, or where `rows` is H, 4:2:2."""
    H, W = size
    half = (H if rows == H else -(-H // 2), -(-W // 2))
    for name, plane, (h, w) in (("y", y, (H, W)), ("u", u, half), ("v", v, half)):
        if plane.dtype != dtype or plane.ndim != 2 or plane.shape[0] != h or plane.shape[1] < w:
            given, kind = f"{plane.dtype} {plane.shape}", np.dtype(dtype).name
            raise ValueError(f"{name} is {given}; expected {kind} ({h}, {w}), or wider rows")
        if not plane.flags.c_contiguous:
            raise ValueError(f"{name} has strides {plane.strides}; expected it C-contiguous: give whole rows")


def check_float(array: np.ndarray, shape: tuple[int, ...], name: str) -> None:
    """ValueError unless `array` is float32 of this shape."""
    if array.dtype != np.float32 or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}; expected float32 {shape}")


def _check_mask(alpha: np.ndarray) -> None:
    if alpha.dtype != np.float32 or alpha.ndim != 2 or 0 in alpha.shape:
        raise ValueError(f"alpha is {alpha.dtype} {alpha.shape}; expected float32 (h, w)")


def _check_alpha(alpha: np.ndarray, bgr: np.ndarray, name: str) -> None:
    if alpha.dtype != np.uint8 or alpha.shape != bgr.shape[:2] or not alpha.flags.c_contiguous:
        raise ValueError(f"{name} is {alpha.dtype} {alpha.shape}; expected C-contiguous uint8 {bgr.shape[:2]}")
