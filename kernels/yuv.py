"""Pixels of video: 8-bit Y'CbCr 4:2:0 to BGR and back. What colour is meant, and the specification in plain NumPy.

    bgr_from_yuv   a decoded picture as the engine has it
    yuv_from_bgr   a picture as an encoder takes it

Both round to the nearest: a conversion that cuts instead makes every picture darker, each time it is read or written.
`load` chooses: Numba (fused/yuv.py), else OpenCV.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from . import stand_in
from .checks import check_frame, check_planes

WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593), "smpte240m": (0.212, 0.087)}
FULL_RANGE = (0, 255, 255)  # what black is coded as; steps from black to white; steps from one end of chroma to another
LIMITED_RANGE = (16, 219, 224)  # BT.601 and BT.709, for 8 bits


class BgrFromYuv(Protocol):
    """See `bgr_from_yuv`."""

    def __call__(
        self, y: np.ndarray, u: np.ndarray, v: np.ndarray, matrix: np.ndarray, out: np.ndarray
    ) -> np.ndarray: ...


class YuvFromBgr(Protocol):
    """See `yuv_from_bgr`."""

    def __call__(
        self, bgr: np.ndarray, matrix: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, ...]: ...


@dataclass
class YuvKernels:
    """A chosen implementation. `stand_in` alone assigns to it."""

    bgr_from_yuv: BgrFromYuv
    yuv_from_bgr: YuvFromBgr


_chosen: list[YuvKernels] = []


def load(wait: bool = True) -> YuvKernels:
    """The fused kernels, compiled and warm; the fallback where Numba cannot be used. Chosen once in a process.

    `wait` False: where they have to be compiled, the fallback until they are. See stand_in.py.
    """
    if not _chosen:
        try:
            _chosen.append(_load_fused() if wait else stand_in.without_waiting(_load_fused, _load_fallback))
        except Exception as error:  # as in `kernels.load`, which says why
            _chosen.append(_load_fallback(str(error)))
    return _chosen[0]


def _load_fused() -> YuvKernels:
    module = importlib.import_module(".fused.yuv", __package__)
    module.warm()
    return YuvKernels(module.bgr_from_yuv, module.yuv_from_bgr)


def _load_fallback(_: str) -> YuvKernels:
    module = importlib.import_module(".fallback", __package__)
    return YuvKernels(module.bgr_from_yuv, module.yuv_from_bgr)


@functools.cache
def matrix_to_yuv(standard: str, full: bool) -> np.ndarray:
    """float64 (3, 4): (Y, U, V) = matrix @ (B, G, R, 1), all in [0, 255]. `standard`: a key of WEIGHTS."""
    red, blue = WEIGHTS[standard]
    black, luma, chroma = FULL_RANGE if full else LIMITED_RANGE
    brightness = np.array([blue, 1 - red - blue, red])
    u = (np.array([1, 0, 0]) - brightness) / (2 * (1 - blue))
    v = (np.array([0, 0, 1]) - brightness) / (2 * (1 - red))
    rows = np.stack([brightness * luma, u * chroma, v * chroma]) / 255
    return np.column_stack([rows, [black, 128, 128]])


@functools.cache
def matrix_to_bgr(standard: str, full: bool) -> np.ndarray:
    """float64 (3, 4): (B, G, R) = matrix @ (Y, U, V, 1), the inverse of `matrix_to_yuv`."""
    there = matrix_to_yuv(standard, full)
    back = np.linalg.inv(there[:, :3])
    return np.column_stack([back, -back @ there[:, 3]])


def bgr_from_yuv(y: np.ndarray, u: np.ndarray, v: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> np.ndarray:
    """A 4:2:0 or 4:2:2 picture as BGR. Each chroma sample counts for all of its pixels.

    Parameters
    ----------
    y : uint8 (H, W) or wider: rows may be padded, as decoders do; C-contiguous.
    u, v : uint8 (ceil(H / 2) or H, ceil(W / 2)) or wider, Cb and Cr; C-contiguous.
    matrix : float64 (3, 4), of `matrix_to_bgr`.
    out : uint8 (H, W, 3), BGR, C-contiguous.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        An array is of another kind or size.
    """
    check_frame(out, "out")
    check_planes(y, u, v, out.shape[:2], rows=u.shape[0])
    H, W = out.shape[:2]
    wide = [np.repeat(np.repeat(plane, 1 if len(u) == H else 2, 0), 2, 1)[:H, :W] for plane in (u, v)]
    yuv = np.stack([y[:, :W], *wide], axis=-1).astype(np.float64)
    out[...] = np.rint(np.clip(yuv @ matrix[:, :3].T + matrix[:, 3], 0, 255))
    return out


def yuv_from_bgr(
    bgr: np.ndarray, matrix: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, ...]:
    """BGR as a 4:2:0 picture. A chroma sample is the mean of its four pixels; past the edge the last one is repeated.

    Parameters
    ----------
    bgr : uint8 (H, W, 3), BGR, any strides.
    matrix : float64 (3, 4), of `matrix_to_yuv`.
    y, u, v : written; as in `bgr_from_yuv`, 4:2:0. Bytes past the picture are left as they are.

    Returns
    -------
    y, u, v.

    Raises
    ------
    ValueError
        An array is of another kind or size.
    """
    check_frame(bgr)
    check_planes(y, u, v, bgr.shape[:2])
    H, W = bgr.shape[:2]
    y[:, :W] = np.rint(np.clip(bgr @ matrix[0, :3] + matrix[0, 3], 0, 255))
    even = np.pad(bgr, ((0, H % 2), (0, W % 2), (0, 0)), mode="edge").astype(np.float64)
    mean = even.reshape(-(-H // 2), 2, -(-W // 2), 2, 3).mean((1, 3))
    for plane, row in ((u, matrix[1]), (v, matrix[2])):
        plane[:, : mean.shape[1]] = np.rint(np.clip(mean @ row[:3] + row[3], 0, 255))
    return y, u, v
