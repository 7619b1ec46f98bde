"""The first of two passes over a file: the student learns from a sample of all of it before a picture is painted.

So the first pictures are as good as the last. The sample ends with how the clip begins: what painted that scene best is
live, and trusted, when the second pass begins. Knows nothing about the command line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from .contracts import Source
from .masker import Masker

SAMPLE = 200  # frames, spread over the clip
OPENING = 25  # of its first frames after that


class FirstPass:
    """Teaches `masker` on what `open_source` opens, each time it is called; of it, the first `max_frames` count.

    Parameters
    ----------
    on_frame : called after each frame that was learnt from, on the calling thread, with how many those are.
    """

    def __init__(
        self,
        masker: Masker,
        open_source: Callable[[], Source],
        max_frames: int | None = None,
        on_frame: Callable[[int], None] = lambda _: None,
    ):
        self._masker, self._open, self._max_frames, self._on_frame = masker, open_source, max_frames, on_frame
        self.elapsed = 0.0  # s, of `run`
        self._length: int | None = None  # frames, of what is read
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End soon; from any thread or a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Read and learn; SourceError where the file cannot be read."""
        began = time.perf_counter()
        try:
            self._masker.teach(self._frames())
        finally:
            self.elapsed = time.perf_counter() - began

    def _frames(self) -> Iterator[np.ndarray]:
        taught = 0
        for frames in (self._sample(), self._read(min(OPENING, self._max_frames or OPENING))):
            for bgr in frames:
                yield bgr
                taught += 1
                self._on_frame(taught)

    def _sample(self) -> Iterator[np.ndarray]:
        """Frames evenly spread; where nobody knows how many there are, denser at the beginning."""
        step, taken = 1, 0
        for index, bgr in enumerate(self._read(self._max_frames)):
            if self._length is not None:
                step = max(1, self._length // SAMPLE)
            elif taken >= SAMPLE // 2:
                step, taken = 2 * step, 0
            if index % step == 0:
                taken += 1
                yield bgr

    def _read(self, limit: int | None) -> Iterator[np.ndarray]:
        source = self._open()
        seconds = source.origin.length
        length = source.frames or (round(seconds * source.fps) if seconds else 0)
        self._length = min(length, self._max_frames or length) if length else None
        try:
            for count, frame in enumerate(source):
                if self._stopping.is_set() or (limit is not None and count >= limit):
                    return
                yield frame.bgr
        finally:
            source.close()
