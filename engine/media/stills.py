"""Image files, read in one place for sources, backgrounds, cards and the gallery.

What a file is, its first bytes say, not its name: a phone's HEIC may be called .jpg. Where a picture is transparent it
is black: the colours that stand there in the file were never meant to be seen. Of several pages the first is read;
colour profiles are not applied, but can be passed on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..pixels import as_bgr
from . import MAX_PIXELS
from .bad_file import describe_bad_file
from .heic import DAMAGED as DAMAGED_HEIC
from .heic import read_layout, read_tiles

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
EXPECTED = f"an image ({', '.join(IMAGES)})"
JPEG_STREAMS = (".mjpg", ".mjpeg")  # JPEGs, one after the other: a video
HEAD_BYTES = 65536  # in which the properties of a picture stand
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
ORIENTATION, LONGEST_IFD = 0x0112, 200  # the EXIF tag; entries


class UnreadableImage(Exception):
    """Why a file gives no picture, what was expected, and what to do; whoever asked adds what it was for."""


def kind_of(head: bytes) -> str | None:
    """ "jpeg", "png", "webp", "tiff", "gif", "avif", "heic" or "jxl", from the first bytes; None: nothing of these."""
    for magic, kind in (
        (b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF8", "gif"),
        (b"II*\0", "tiff"), (b"MM\0*", "tiff"), *((magic, "jxl") for magic in JPEG_XL),
    ):  # fmt: skip
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp" and (head[8:12] in HEIC_BRANDS or head[8:12] in (b"avif", b"avis")):
        brands = head[8 : struct.unpack(">I", head[:4])[0]]
        return "avif" if b"avif" in brands or b"avis" in brands else "heic"
    return None


def is_animated(head: bytes) -> bool:
    """Whether it is a WebP, PNG or AVIF with several frames, by the first HEAD_BYTES."""
    match kind_of(head):
        case "webp":
            return head[12:16] == b"VP8X" and bool(head[20] & 2)
        case "png":
            return b"acTL" in head.partition(b"IDAT")[0]
        case "avif":
            return head[8:12] == b"avis"
    return False


def is_still(path: str | Path) -> bool:
    """Whether a file is an image of one frame: by its content, or, where that tells nothing, by its name."""
    head, suffix = read_head(path), Path(path).suffix.lower()
    kind = kind_of(head)
    if kind is None:
        return suffix in IMAGES and head[4:8] != b"ftyp"
    return kind != "gif" and suffix not in JPEG_STREAMS and not is_animated(head)


def read_head(path: str | Path) -> bytes:
    """The first HEAD_BYTES of a file; nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def read_still(path: str | Path) -> np.ndarray:
    """An image file as uint8 (H, W, 3) BGR, turned as it says; of an animation the first frame.

    Grey, palette, CMYK and 16 bits are converted, transparency is blended over black.

    Raises
    ------
    UnreadableImage
        It is missing, damaged, cut short, larger than MAX_PIXELS, or of a kind that is not known here.
    """
    try:
        data = Path(path).read_bytes()  # not imread: it cannot tell a missing file from a damaged one
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise UnreadableImage(f"{getattr(error, 'strerror', error)}; expected {EXPECTED} that you may read") from error
    match kind_of(data):
        case "heic":
            return _read_heic(data)
        case "jxl":
            raise UnreadableImage("it is a JPEG XL image, which is not read here; convert it: djxl IN OUT.png")
    image, orientation = _decode(data, path)
    if kind_of(data) == "tiff" and image.dtype == np.uint8:
        image = as_bgr(image)  # OpenCV has blended it over black already
    return np.ascontiguousarray(turned(over_black(image), orientation))


def colour_profile(path: str | Path) -> bytes | None:
    """The ICC profile of a JPEG, PNG or WebP, where it is one of RGB."""
    import cv2

    try:
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
        with quiet_opencv():  # small and grey, since the pixels are not wanted
            _, kinds, blocks = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except (OSError, cv2.error):
        return None
    for kind, block in zip(kinds, blocks, strict=True):
        profile = np.ravel(block).tobytes()
        if kind == cv2.IMAGE_METADATA_ICCP and profile[16:20] == b"RGB ":
            return profile
    return None


def over_black(image: np.ndarray) -> np.ndarray:
    """Any decoded image as uint8 (H, W, 3) BGR; a fourth channel is alpha, over black."""
    import cv2

    if image.dtype not in (np.uint8, np.uint16):  # a TIFF of floats, from 0 to 1
        image = (np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 4:
        alpha, most = image[..., 3], np.iinfo(image.dtype).max
        if alpha.min() < most:
            image = cv2.multiply(image[..., :3], cv2.merge([alpha] * 3), scale=1 / most)
    return np.ascontiguousarray(as_bgr(image))


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """`image` (H, W, ...) as EXIF's `orientation`, 1 to 8, says that it is to be seen."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image[:, ::-1] if orientation in (2, 3, 6, 7) else image


def _decode(data: bytes, path: str | Path) -> tuple[np.ndarray, int]:
    """The image as it is stored, and its orientation."""
    import cv2

    try:
        with quiet_opencv():
            image, kinds, blocks = cv2.imdecodeWithMetadata(np.frombuffer(data, np.uint8), flags=cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise unreadable(path, error) from error
    if image is None:
        raise unreadable(path)
    if kind_of(data) == "avif":
        return shallow_avif(image, data), _avif_orientation(data)
    exif = [bytes(block) for kind, block in zip(kinds, blocks, strict=True) if kind == cv2.IMAGE_METADATA_EXIF]
    return image, exif_orientation(exif[0]) if exif else 1


def unreadable(path: str | Path, error: Exception | None = None) -> UnreadableImage:
    """Why OpenCV read nothing from the file, or raised `error`."""
    if "MAX_IMAGE" in str(error):
        return UnreadableImage(f"it has more than {MAX_PIXELS // 10**6} million pixels; make it smaller")
    if kind := kind_of(read_head(path)):
        return UnreadableImage(f"this {kind.upper()} is damaged or cut short; copy it again. Expected {EXPECTED}")
    return UnreadableImage(describe_bad_file(path, EXPECTED))


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV's own lines on standard error are left out: our message says it better."""
    import cv2

    previous = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(previous)


def exif_orientation(exif: bytes) -> int:
    """1 to 8; 1, as it is, where it is not said or damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = ">" if exif[:2] == b"MM" else "<"
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(min(entries, LONGEST_IFD)):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * entry)
            if tag == ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def shallow_avif(image: np.ndarray, data: bytes) -> np.ndarray:
    """An image of an AVIF as uint8: OpenCV gives 10 and 12 bits as they are, in uint16. The box av1C says how many."""
    if image.dtype != np.uint16:
        return image
    settings = data[:HEAD_BYTES].partition(b"av1C")[2][2:3]
    bits = 12 if settings and settings[0] & 0x20 else 10
    return (image >> (bits - 8)).astype(np.uint8)


def _avif_orientation(data: bytes) -> int:
    """As EXIF counts it; OpenCV leaves the boxes that say it to whoever reads."""
    try:
        return read_layout(data).orientation
    except DAMAGED_HEIC:
        return 1


def _read_heic(data: bytes) -> np.ndarray:
    from .ffmpeg import av

    try:
        layout = read_layout(data)
        return np.ascontiguousarray(turned(read_tiles(data, layout, MAX_PIXELS), layout.orientation))
    except (*DAMAGED_HEIC, av.FFmpegError, OSError) as error:
        raise UnreadableImage(
            f"it is a HEIC picture, as phones take them, and cannot be put together here ({error}); convert it: "
            "heif-convert IN OUT.jpg"
        ) from error


def read_image(path: str, what: str = "the background") -> np.ndarray:
    """As `read_still`; UsageError, which names `what` it is, where there is no picture."""
    try:
        return read_still(path)
    except UnreadableImage as error:
        raise UsageError(f"cannot read {what} {path}: {error}") from error
