"""What a background looks like, small. The first picture, as the engine itself would show it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..errors import UsageError

SIZE = (135, 240)  # pixels, (H, W)
QUALITY = 80  # of JPEG, percent
KEPT = 256  # thumbnails, about 10 kB each


def thumbnail(path: Path) -> bytes:
    """JPEG of a picture, or of a video's first frame. UsageError where the file is neither, or not there."""
    try:
        seen = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; reload the page") from error
    return _thumbnail(path, seen.st_mtime_ns, seen.st_size)


@lru_cache(KEPT)
def _thumbnail(path: Path, changed: int, size: int) -> bytes:
    import cv2
    import numpy as np

    from ..backgrounds import open_background

    background = open_background(str(path), lossless=True)
    try:
        bgr = background.picture(np.zeros((*SIZE, 3), np.uint8), None, 0.0)
        encoded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    finally:
        background.close()
    if not encoded:
        raise UsageError(f"cannot show {path} as JPEG; choose another picture")
    return jpeg.tobytes()
