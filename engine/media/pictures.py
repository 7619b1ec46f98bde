"""Pictures between PyAV and the engine: a decoded frame as BGR, and BGR as a frame that an encoder takes.

What is shown is what was meant. Colours come through unchanged: each conversion rounds to the nearest, with the matrix
and the range that the stream names, or where it names none, those that players take. HDR is shown as SDR, pixels that
are not square are made so, what lies down is turned, and what is transparent is black.

Knows nothing about containers, threads and masks. decoding.py makes frames of packets.
"""

from __future__ import annotations

import logging
import struct
from fractions import Fraction
from typing import Any

import numpy as np

from kernels import hdr, yuv

from .saying import say_once

HD_WIDTH, HD_HEIGHT = 1280, 577  # pixels, from where pictures that name no matrix are taken for BT.709
H273 = {"bt709": 1, "bt601": 6}  # numbers of matrix, primaries and transfer alike: ITU-T H.273, tables 2 to 4
MATRICES = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
WIDE_PRIMARIES = {9: "bt2020", 11: "p3", 12: "p3"}
HDR_TRANSFERS = {16: "pq", 18: "hlg"}
SWS_MATRICES = {"bt709": 1, "bt601": 5, "smpte240m": 7, "bt2020": 9}  # as swscale numbers them
LIMITED, FULL = 1, 2  # of AVColorRange
PLANAR = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p"}  # what our kernel takes; all else goes through FFmpeg
MOST_STRETCHED = 5  # a pixel that is longer than this is a damaged header


class Pictures:
    """The frames of one stream as BGR. `name`: of the file, for what is said once about it.

    `pixel_aspect`: how many times as wide as high a pixel is, set by whoever decodes; None: not known, so square.
    """

    def __init__(self, name: str) -> None:
        self.pixel_aspect: Fraction | None = None
        self._name = name
        self._peak = hdr.USUAL_PEAK  # cd/m²
        self._reformatter: Any = None
        yuv.load()  # compiled before the first frame, not while it waits

    def bgr(self, frame: Any) -> np.ndarray:
        """A decoded frame of PyAV as uint8 (H, W, 3), BGR, C-contiguous, upright, of square pixels and SDR."""
        picture = self._square(self.stored(frame))
        turns = round(getattr(frame, "rotation", 0) / 90) % 4
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture

    def stored(self, frame: Any) -> np.ndarray:
        """The same, as it lies in the file: not turned, its pixels of their own shape."""
        transfer, primaries = HDR_TRANSFERS.get(frame.color_trc), WIDE_PRIMARIES.get(frame.color_primaries)
        if transfer or primaries:
            picture = self._sdr(frame, transfer or "sdr", primaries)
            return _over_black(picture, self._converted(frame, "bgra")[..., 3]) if has_alpha(frame.format) else picture
        planes = frame.planes if frame.format.name in PLANAR else ()
        if planes and all(plane.line_size > 0 for plane in planes):
            out = np.empty((frame.height, frame.width, 3), np.uint8)
            matrix = yuv.matrix_to_bgr(standard_of(frame), is_full_range(frame))
            y, u, v = map(_rows_of, planes)
            return yuv.load().bgr_from_yuv(y, u, v, matrix, out)
        if has_alpha(frame.format):
            bgra = self._converted(frame, "bgra")
            return _over_black(bgra[..., :3], bgra[..., 3])
        return np.ascontiguousarray(self._converted(frame, "bgr24"))

    def _converted(self, frame: Any, wanted: str) -> np.ndarray:
        """Through FFmpeg's own conversion, told to round and to take the right matrix."""
        from .ffmpeg import av

        kinds = av.video.reformatter
        if self._reformatter is None:
            self._reformatter = kinds.VideoReformatter()
        flags = kinds.Interpolation
        exact = flags.BILINEAR | flags.ACCURATE_RND | flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP
        options: dict[str, Any] = {"interpolation": exact}
        if not frame.format.is_rgb and not frame.format.name.startswith(("gray", "pal", "mono", "ya")):
            options["src_colorspace"] = SWS_MATRICES[standard_of(frame)]
            options["src_color_range"] = FULL if is_full_range(frame) else LIMITED
        return self._reformatter.reformat(frame, format=wanted, threads=1, **options).to_ndarray()

    def _sdr(self, frame: Any, transfer: str, primaries: str | None) -> np.ndarray:
        if transfer == "pq":
            self._peak = _peak_of(frame) or self._peak
        if transfer == "sdr":
            self._say_once(logging.INFO, "has colours wider than BT.709; those outside are cut")
        else:
            self._say_once(logging.WARNING, f"is HDR ({transfer.upper()}); it is shown and written as SDR, BT.709")
            primaries = primaries or ("bt709" if frame.color_primaries == H273["bt709"] else "bt2020")
        standard = MATRICES.get(int(frame.colorspace)) or ("bt2020" if primaries == "bt2020" else "bt709")
        full, ten_bits = is_full_range(frame), frame
        if frame.format.is_rgb:
            standard, full = "bt2020", False
            ten_bits = frame.reformat(
                format="yuv420p10le", dst_colorspace=SWS_MATRICES[standard], dst_color_range=LIMITED
            )
        elif frame.format.name != "yuv420p10le":
            ten_bits = frame.reformat(format="yuv420p10le")
        y, u, v = (_rows_of(plane, np.uint16) for plane in ten_bits.planes)
        tones = hdr.tone_map(transfer, primaries or "bt709", standard, full, self._peak)
        return hdr.load()(y, u, v, tones, np.empty((frame.height, frame.width, 3), np.uint8))

    def _square(self, bgr: np.ndarray) -> np.ndarray:
        """`bgr` of square pixels: stretched in one direction, so that nothing is lost; its sides even."""
        H, W = bgr.shape[:2]
        size = square_size(W, H, self.pixel_aspect)
        if size == (W, H):
            return bgr
        from .ffmpeg import cv2

        self._say_once(
            logging.INFO, f"pixels {self.pixel_aspect} as wide as high: {W}x{H} is shown at {size[0]}x{size[1]}"
        )
        return cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)

    def _say_once(self, level: int, what: str) -> None:
        say_once(level, f"{self._name}: {what}")


def square_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Width and height at which a picture of such pixels has its shape, none of them left out."""
    if not pixel_aspect or pixel_aspect == 1 or not 1 / MOST_STRETCHED <= pixel_aspect <= MOST_STRETCHED:
        return width, height
    wide, high = width * max(pixel_aspect, Fraction(1)), height / min(pixel_aspect, Fraction(1))
    size = 2 * round(wide / 2), 2 * round(high / 2)
    # a rounding of the file's own is no reason to blur the picture
    return (width, height) if abs(size[0] - width) < 3 and abs(size[1] - height) < 3 else size


def standard_of(frame: Any) -> str:
    """The matrix of a frame, a key of `kernels.yuv.WEIGHTS`: what it says, else what is usual."""
    return MATRICES.get(int(frame.colorspace)) or usual_standard(frame.width, frame.height)


def is_full_range(frame: Any) -> bool:
    """Whether the levels of a frame use all of their bits."""
    return frame.color_range == FULL or frame.format.name.startswith("yuvj")


def has_alpha(pixel_format: Any) -> bool:
    """Whether pictures of this format of PyAV can be transparent."""
    return pixel_format.name == "pal8" or any(component.is_alpha for component in pixel_format.components)


def usual_standard(width: int, height: int) -> str:
    """The matrix of a picture that does not name one, as players guess it."""
    return "bt709" if width >= HD_WIDTH or height >= HD_HEIGHT else "bt601"


def tag_colours(context: Any) -> None:
    """Say in the stream of an encoder how `to_frame` codes pictures of its size, in limited range.

    Unsaid, players guess: reds and greens of large pictures drift.
    """
    number = H273[usual_standard(context.width, context.height)]
    context.colorspace, context.color_range = number, LIMITED
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


def _rows_of(plane: Any, dtype: Any = np.uint8) -> np.ndarray:
    """A plane as (h, its width or more), without a copy."""
    return np.frombuffer(plane, dtype).reshape(plane.height, -1)


def _over_black(bgr: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight colours over black: those of what is transparent are nobody's to see."""
    from .ffmpeg import cv2

    bgr, alpha = np.ascontiguousarray(bgr), np.ascontiguousarray(alpha)
    return bgr if alpha.min() == 255 else cv2.multiply(bgr, cv2.merge([alpha] * 3), scale=1 / 255)


def _peak_of(frame: Any) -> float | None:
    """cd/m² that the brightest pixel of an HDR10 stream has, as it says with its first frames."""
    found = {data.type.name: bytes(data) for data in frame.side_data}
    nits = 0.0
    if len(level := found.get("CONTENT_LIGHT_LEVEL", b"")) >= 4:
        nits = float(struct.unpack_from("=I", level)[0])  # AVContentLightMetadata.MaxCLL
    if not nits and len(screen := found.get("MASTERING_DISPLAY_METADATA", b"")) >= 88:
        top, below, _, has_luminance = struct.unpack_from("=iiii", screen, 72)  # AVMasteringDisplayMetadata
        nits = top / below if has_luminance and below else 0.0
    return min(nits, 10_000.0) if nits >= 1 else None
