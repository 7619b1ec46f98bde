"""A file at the speed it was recorded: another source, held back by the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..contracts import Frame, Source


class PacedSource:
    """Another source's frames, none earlier than its position on the clock: a file at the speed it was recorded."""

    def __init__(self, source: Source):
        self._source = source
        self.live, self.fps, self.frames, self.origin = source.live, source.fps, source.frames, source.origin
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        began = None
        for frame in self._source:
            began = time.perf_counter() - frame.position if began is None else began
            while not self._closed and (early := began + frame.position - time.perf_counter()) > 0:
                time.sleep(min(early, 0.1))  # in pieces, so that close takes effect soon
            if self._closed:
                return
            # what matters to a viewer is how long after its moment a frame is shown
            yield Frame(frame.bgr, frame.index, time.perf_counter(), frame.position)

    def close(self) -> None:
        self._closed = True
        self._source.close()
