"""Figure 1's threads around a Masker: source -> paint -> output. The learner's thread belongs to the Masker.

    source thread    reads frames                LatestSlot (live source) or LosslessSlot (file)
    paint thread     masker.process              canvases, taken from a fixed few and given back
    calling thread   sinks, in order             so a window lives on the main thread, where some systems want it

In lockstep there are no threads: read, paint, learn, write, one after the other, the same every time.
Knows nothing about options or reports.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from .closing import closing
from .contracts import Canvas, Frame, PaintState, Picture, Sink, Source
from .mailboxes import LatestSlot, LosslessSlot
from .masker import Masker
from .timing import Durations

log = logging.getLogger("jit_masker")

CANVASES = 4  # pictures between the paint path and the sinks: one painted, one waiting, one written, one spare
STOP_TIMEOUT_S = 1.0  # after a stop, for a picture that is still on its way
PAINTER_TIMEOUT_S = 5.0  # after a stop, for the frame that is being painted
MAX_POSITION_S = 1e9  # of a frame, thirty years; NaN and what lies beyond is no time, and nobody downstream can use it


@dataclass
class PaintedFrame:
    """A frame and its picture, in arrays that are reused."""

    canvas: Canvas = field(default_factory=Canvas)
    frame: Frame | None = None


class Pipeline:
    """Runs a source through a masker into sinks, once."""

    def __init__(
        self,
        source: Source,
        masker: Masker,
        sinks: list[Sink],
        *,
        lockstep: bool = False,
        transparent: bool = False,
        max_frames: int | None = None,
        on_picture: Callable[[Pipeline], None] | None = None,
    ):
        """`transparent`: pictures are the foreground, not composited, for sinks that store alpha beside them.
        `on_picture` is called after each picture is written, on the calling thread."""
        self.masker = masker
        self.frames = 0  # written
        self.state: PaintState | None = None  # of the last picture; None before the first
        self.elapsed = 0.0  # s
        self.capture, self.output = Durations(), Durations()  # one frame's reading, one picture's writing
        self.period = Durations()  # between two written pictures
        self.latency = Durations()  # from capture to written
        self._source, self._sinks, self._on_picture = source, sinks, on_picture
        self._lockstep, self._max_frames = lockstep, max_frames
        self._needs_alpha = transparent or any(sink.needs_alpha for sink in sinks)
        self._transparent = transparent
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._last_written: float | None = None
        self._dropped_pictures = 0
        self._incoming: LatestSlot[Frame] = LatestSlot() if source.live else LosslessSlot()

    @property
    def dropped(self) -> int:
        """Frames of a live source that were never shown; files drop none."""
        return self._incoming.dropped + self._dropped_pictures

    def stop(self) -> None:
        """End soon, finishing what is painted; from any thread or a signal handler."""
        self._stopping.set()
        self._source.close()

    def run(self) -> None:
        """Run to the end of the source, or until `stop`; then close source and sinks, whatever happened.

        Raises
        ------
        SourceError, SinkError
            Reading or writing failed, or finishing a file. What was written before is complete.
        """
        began = time.perf_counter()
        with closing([self._source, *self._sinks]):
            try:
                if self._lockstep:
                    self._run_in_lockstep()
                else:
                    self._run_in_threads()
            finally:
                self.elapsed = time.perf_counter() - began

    # -- lockstep ------------------------------------------------------------------------------------------------

    def _run_in_lockstep(self) -> None:
        item = PaintedFrame()
        for frame in self._frames():
            self._paint(frame, item)
            self._write(item)
            if self._done():
                return

    # -- threads -------------------------------------------------------------------------------------------------

    def _run_in_threads(self) -> None:
        lossy = self._source.live
        painted: LatestSlot[PaintedFrame] = LatestSlot() if lossy else LosslessSlot(CANVASES)
        free: queue.SimpleQueue[PaintedFrame] = queue.SimpleQueue()
        for _ in range(CANVASES):
            free.put(PaintedFrame())
        threads = [
            threading.Thread(target=self._guarded, args=(self._read, self._incoming), name="source", daemon=True),
            threading.Thread(
                target=self._guarded, args=(lambda: self._paint_all(painted, free), painted), name="paint", daemon=True
            ),
        ]
        for thread in threads:
            thread.start()
        try:
            while item := self._next_painted(painted):
                self._write(item)
                free.put(item)
                if self._done():
                    break
        finally:
            self.stop()
            self._incoming.close()
            painted.close()
            free.put(PaintedFrame())  # a painter that waits for one goes on and sees the end
            threads[1].join(timeout=PAINTER_TIMEOUT_S)  # the reader may be stuck in a driver: it is left behind
        if lossy:
            self._dropped_pictures = painted.dropped
        if self._error is not None:
            raise self._error

    def _next_painted(self, painted: LatestSlot[PaintedFrame]) -> PaintedFrame | None:
        """The next picture; None at the end, and when stopped while a stuck source keeps the painter waiting."""
        while (item := painted.take(STOP_TIMEOUT_S)) is None:
            if painted.closed or self._stopping.is_set():
                return None
        return item

    def _guarded(self, work: Callable[[], None], slot: LatestSlot) -> None:
        """Run a thread's work; keep its error for the calling thread; tell the next thread that it is over."""
        try:
            work()
        except BaseException as error:
            self._error = self._error or error
        finally:
            slot.close()

    def _read(self) -> None:
        for frame in self._frames():
            self._incoming.put(frame)

    def _paint_all(self, painted: LatestSlot[PaintedFrame], free: queue.SimpleQueue[PaintedFrame]) -> None:
        while (frame := self._incoming.take()) is not None:
            item = free.get()
            if painted.closed:
                return
            self._paint(frame, item)
            displaced = painted.put(item)
            if displaced is not None:
                free.put(displaced)

    # -- one frame -----------------------------------------------------------------------------------------------

    def _frames(self) -> Iterator[Frame]:
        """The source's frames, timed, until it ends or is stopped; a position that is none is the one before."""
        iterator, position = iter(self._source), 0.0
        while not self._stopping.is_set():
            began = time.perf_counter()
            frame = next(iterator, None)
            if frame is None:
                return
            self.capture.add(time.perf_counter() - began)
            position = frame.position if abs(frame.position) < MAX_POSITION_S else position
            yield frame if frame.position == position else replace(frame, position=position)

    def _paint(self, frame: Frame, item: PaintedFrame) -> None:
        result = self.masker.process(frame.bgr, frame.position, item.canvas)
        item.frame = frame
        self.state = result.state
        if self._transparent and result.foreground is not None:
            np.copyto(result.picture, result.foreground)  # the sink blackens what alpha hides

    def _write(self, item: PaintedFrame) -> None:
        frame, canvas = item.frame, item.canvas
        assert frame is not None
        alpha = canvas.alpha if self._needs_alpha else None
        began = time.perf_counter()
        picture = Picture(canvas.picture, alpha, frame.index, frame.position)
        for sink in self._sinks:
            sink.write(picture)
        now = time.perf_counter()
        self.output.add(now - began)
        self.latency.add(now - frame.captured_at)
        if self._last_written is not None:
            self.period.add(now - self._last_written)
        self._last_written = now
        self.frames += 1
        if self._on_picture is not None:
            self._on_picture(self)

    def _done(self) -> bool:
        enough = self._max_frames is not None and self.frames >= self._max_frames
        unwanted = not all(sink.wanted for sink in self._sinks)
        return enough or unwanted
