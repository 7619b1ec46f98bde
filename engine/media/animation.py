"""The frames of an animated WebP, PNG or AVIF, which FFmpeg reads only in part. An animated GIF is a video to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .stills import over_black, quiet_opencv, shallow_avif, unreadable

CHUNK_BYTES = 64_000_000  # of decoded frames at a time; the next ones are decoded from the beginning
CHUNK_FRAMES = 64
FALLBACK_MS = 100.0  # of a frame that says less than SHORTEST_MS, as browsers do
SHORTEST_MS = 10.0  # as long as a frame lasts at least


def animation_frames(path: str | Path) -> Iterator[tuple[np.ndarray, float]]:
    """Each frame as uint8 (H, W, 3) BGR, transparency over black, and how long it lasts (s).

    Raises
    ------
    UnreadableImage
        It cannot be read, or holds no frame.
    """
    import cv2

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path) from error
    start, count = 0, 1
    while True:
        try:
            with quiet_opencv():
                read, found = cv2.imdecodeanimation(np.frombuffer(data, np.uint8), start=start, count=count)
        except cv2.error as error:
            raise unreadable(path, error) from error
        if not start and not (read and found.frames):
            raise unreadable(path)
        frames = found.frames if read else ()
        for frame, duration in zip(frames, np.ravel(found.durations)[: len(frames)], strict=True):
            yield (
                over_black(shallow_avif(frame, data)),
                float(duration if duration >= SHORTEST_MS else FALLBACK_MS) / 1000,
            )
        if len(frames) < count:
            return
        start += count
        count = max(1, min(CHUNK_FRAMES, CHUNK_BYTES // frames[0].nbytes))
