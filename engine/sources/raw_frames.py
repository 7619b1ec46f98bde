"""Raw BGR frames from a pipe, standard input as a rule. threaded.py is around them."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..contracts import Frame, Origin
from ..errors import SourceError, UsageError

log = logging.getLogger("jit_masker")


class RawFrames:
    """BGR24 frames, one after the other, from a pipe.

    `stream` is read past its buffer, so what that holds already is left out; standard input when None. `close` takes
    effect between two frames: while bytes do not come, the iteration waits for them, or for the pipe's end.
    """

    live = False
    frames: int | None = None
    origin = Origin()

    def __init__(self, size: tuple[int, int] | None, fps: float, stream: Any = None):
        if size is None:
            raise UsageError("raw frames have no size of their own; say --input-size WxH")
        if stream is None and sys.stdin is None:
            raise SourceError("standard input is closed; expected raw frames from a pipe: PROGRAM | jm-engine -i -")
        self._width, self._height = size
        self.fps = fps
        stream = sys.stdin.buffer if stream is None else stream
        # a thread that is left behind in a read must not hold the buffer's lock: Python aborts over it when it ends
        self._stream = getattr(stream, "raw", stream)
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._closed:
            bgr = np.empty((self._height, self._width, 3), np.uint8)
            got = self._fill(bgr.data.cast("B"))
            if got < bgr.nbytes:
                if not index and not self._closed:
                    raise SourceError(
                        f"standard input gave no frames: it ended after {got} bytes, and one of {self._width}x"
                        f"{self._height} has {bgr.nbytes}; check the program in front of the pipe"
                    )
                if got:
                    log.warning("the last raw frame has %d of %d bytes and is left out", got, bgr.nbytes)
                return
            yield Frame(bgr, index, time.perf_counter(), index / self.fps)
            index += 1

    def _fill(self, target: memoryview) -> int:
        """Bytes read into `target`: all of it, or less at the pipe's end. One read of a pipe gives what there is."""
        got = 0
        while got < len(target) and (count := self._stream.readinto(target[got:])):
            got += count
        return got

    def close(self) -> None:
        self._closed = True
