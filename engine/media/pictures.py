"""Pictures between PyAV and the engine: a decoded frame as BGR, and BGR as a frame that an encoder takes.

Colours come through unchanged: each conversion rounds to the nearest, with the matrix and the range that the stream
names, or where it names none, those that players take. Knows nothing about containers, threads and masks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels import yuv

HD_WIDTH, HD_HEIGHT = 1280, 577  # pixels, from where pictures that name no matrix are taken for BT.709
# of AVColorSpace, ITU-T H.273 table 4
STANDARDS = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
H273 = {"bt709": 1, "bt601": 6}  # numbers of matrix, primaries and transfer alike


def usual_standard(width: int, height: int) -> str:
    """The matrix of a picture that does not name one, as players guess it."""
    return "bt709" if width >= HD_WIDTH or height >= HD_HEIGHT else "bt601"


def tag_colours(context: Any) -> None:
    """Say in the stream of an encoder how `to_frame` codes pictures of its size, in limited range.

    Unsaid, players guess: reds and greens of large pictures drift.
    """
    number = H273[usual_standard(context.width, context.height)]
    context.colorspace, context.color_range = number, 1
    context.color_primaries = context.color_trc = number


def to_frame(pixels: np.ndarray, layout: str, wanted: str) -> Any:
    """`pixels` as a frame of PyAV for an encoder.

    Parameters
    ----------
    pixels : uint8, C-contiguous: (H, W, 3) "bgr24", (H, W, 4) "bgra" or (H, W) "gray", which is `layout`.
    wanted : the encoder's pixel format. "yuv420p" and "yuva420p" are made here; any other by FFmpeg, where it differs.
    """
    from .ffmpeg import av

    if wanted not in ("yuv420p", "yuva420p") or layout == "gray":
        return av.VideoFrame.from_ndarray(pixels, format=layout)
    H, W = pixels.shape[:2]
    frame = av.VideoFrame(W, H, wanted)
    planes = [_rows_of(plane) for plane in frame.planes]
    matrix = yuv.matrix_to_yuv(usual_standard(W, H), full=False)
    yuv.load().yuv_from_bgr(pixels[..., :3], matrix, *planes[:3])
    if wanted == "yuva420p":
        planes[3][:, :W] = pixels[..., 3]
    return frame


def _rows_of(plane: Any) -> np.ndarray:
    """A plane of bytes as uint8 (h, its width or more), without a copy."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
