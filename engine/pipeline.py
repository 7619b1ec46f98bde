"""Figure 1's threads around a Masker: source -> paint -> output. The learner's thread belongs to the Masker.

    source thread    reads frames                LatestSlot (live source) or LosslessSlot (file)
    paint thread     masker.process              canvases, taken from a fixed few and given back
    calling thread   sinks, in order             so a window lives on the main thread, where some systems want it

The calling thread keeps a clock of its own: where no picture comes, because the source is lost, the user paused, nobody
watches or the painter hangs, it shows a card. So what it writes to, a virtual camera above all, outlives the others.

In lockstep there are no threads: read, paint, learn, write, one after the other, the same every time.
Knows nothing about options or reports.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from .card import Card
from .closing import closing
from .contracts import Canvas, EndsWithSource, Frame, Interruptible, PaintState, Picture, Sink, Source
from .mailboxes import LatestSlot, LosslessSlot, Snapshot
from .masker import Masker
from .pixels import shrunk
from .timing import Durations
from .view import View

log = logging.getLogger("jit_masker")

CANVASES = 4  # pictures between the paint path and the sinks: one painted, one waiting, one written, one spare
STOP_TIMEOUT_S = 1.0  # after a stop, for a picture that is still on its way
PAINTER_TIMEOUT_S = 5.0  # after a stop, for the frame that is being painted
HANG_S = 10.0  # that the painter may take for one frame
HOLD_S = 1.0  # that the last picture is shown where no new one comes; then the card
LOOK_S = 1 / 25  # that a look at a photograph counts as
LOOK_SIDE = 1024  # pixels, the longer side; a student sees fewer, a teacher about half
TICK_S, ASLEEP_TICK_S = 0.05, 0.5  # between two pictures where no new one comes
NO_PIXELS = np.empty((0, 0, 3), np.uint8)
MAX_POSITION_S = 1e9  # of a frame, thirty years; NaN and what lies beyond is no time, and nobody downstream can use it


@dataclass
class PaintedFrame:
    """A frame and its picture, in arrays that are reused."""

    canvas: Canvas = field(default_factory=Canvas)
    frame: Frame | None = None
    state: PaintState | None = None


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
        on_turn: Callable[[Pipeline], None] | None = None,
        view: View | None = None,
        card: Card | None = None,
        repeats: bool = False,
        size: tuple[int, int] | None = None,
        looks: int | None = None,
    ):
        """`transparent`: pictures are the foreground, not composited, for sinks that store alpha beside them.
        `on_picture` is called after each picture is written, on the calling thread; `on_turn`, with threads, once a
        second or more often, whether one came or not.
        `card` is shown while there is no picture; None: nothing is, and the sinks wait. `repeats`: until then the last
        picture is written again and again, for sinks that are watched. `size` (H, W): of a card before the first frame;
        None: until then there is none. `looks`, in lockstep: frames are photographs, each a stream of its own, seen so
        often before its picture is kept, while the student learns; None: they are one stream."""
        self.masker = masker
        self.view = view or View()
        self.card = card
        self.paused = False  # set from any thread; with a card only
        self.sent, self.came = Snapshot(), Snapshot()  # pictures as written, frames as they came
        self.sent_size: tuple[int, int] | None = None  # (H, W) of the last picture
        self.frames = 0  # painted and written
        self._position = 0.0  # s, of the last one
        self.state: PaintState | None = None  # of the last picture; None before the first
        self.elapsed = 0.0  # s
        self.capture, self.output = Durations(), Durations()  # one frame's reading, one picture's writing
        self.period = Durations()  # between two written pictures
        self.latency = Durations()  # from capture to written
        self._source, self._sinks, self._repeats = source, sinks, repeats
        self._on_picture, self._on_turn = on_picture, on_turn
        self._painting_since: float | None = None  # s; None: the painter waits for a frame
        self._interruptible = source if isinstance(source, Interruptible) else None
        self._lockstep, self._max_frames, self._size, self._looks = lockstep, max_frames, size, looks
        self._needs_alpha = transparent or any(sink.needs_alpha for sink in sinks)
        self._transparent = transparent
        self._stopping = threading.Event()
        self._source_ended = False  # by itself, and all of it is painted
        self._error: BaseException | None = None
        self._last_written: float | None = None
        self._last_new = -math.inf  # s, time.perf_counter() when a painted picture was last written
        self._shown: PaintedFrame | None = None  # what was written last, kept until the next
        self._dropped_pictures = 0
        self._incoming: LatestSlot[Frame] = LatestSlot() if source.live else LosslessSlot()

    @property
    def dropped(self) -> int:
        """Frames of a live source that were never shown; files drop none."""
        return self._incoming.dropped + self._dropped_pictures

    @property
    def progress(self) -> float | None:
        """What share of the source is written, as far as its number of frames or its length is known."""
        counts = [count for count in (self._source.frames, self._max_frames) if count]
        if counts:
            return min(1.0, self.frames / min(counts))
        length = self._source.origin.length
        return min(1.0, self._position / length) if length else None

    @property
    def losses(self) -> int:
        """Times the source was lost."""
        return self._interruptible.losses if self._interruptible is not None else 0

    @property
    def hangs(self) -> bool:
        """Whether the painter has been busy with one frame for HANG_S."""
        since = self._painting_since
        return since is not None and time.perf_counter() - since > HANG_S

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
                if self._source_ended and not self._done():
                    for sink in self._sinks:
                        if isinstance(sink, EndsWithSource):
                            sink.source_ended()
            finally:
                self.elapsed = time.perf_counter() - began

    # -- lockstep ------------------------------------------------------------------------------------------------

    def _run_in_lockstep(self) -> None:
        item = PaintedFrame()
        for frame in self._frames():
            self._look(frame, item)
            self._paint(frame, item)
            self._write(item)
            if self._done():
                return
        self._source_ended = not self._stopping.is_set()

    def _look(self, frame: Frame, item: PaintedFrame) -> None:
        """Of a photograph, all looks but the last one, at a size that is enough to learn from."""
        if self._looks is None:
            return
        self.masker.reset()
        bgr = shrunk(frame.bgr, LOOK_SIDE) if self._looks > 1 else frame.bgr
        for left in range(self._looks - 1, 0, -1):
            if self._stopping.is_set():
                return
            self._paint(replace(frame, bgr=bgr, position=frame.position - left * LOOK_S), item)

    # -- threads -------------------------------------------------------------------------------------------------

    def _run_in_threads(self) -> None:
        lossy = self._source.live
        painted: LatestSlot[PaintedFrame] = LatestSlot() if lossy else LosslessSlot(CANVASES)
        # the last one that came back goes first: it lies in the cache, and the spare ones take no memory
        free: queue.LifoQueue[PaintedFrame] = queue.LifoQueue()
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
            self._present(painted, free)
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

    def _present(self, painted: LatestSlot[PaintedFrame], free: queue.LifoQueue[PaintedFrame]) -> None:
        """Write what is painted, and see to it that something is shown where nothing is; until the end."""
        while True:
            if self._on_turn is not None:
                self._on_turn(self)
            item = painted.take(self._tick)
            if item is None:
                # when stopped, a source that is stuck may keep the painter waiting
                if painted.closed or self._stopping.is_set():
                    self._source_ended = not self._stopping.is_set()
                    return
                self._fill()
            elif self.paused and self.card is not None:
                free.put(item)  # painted just before
                self._fill()
            else:
                self._write(item)
                if self._shown is not None:
                    free.put(self._shown)
                self._shown = item
            if self._done():
                return

    @property
    def _tick(self) -> float:
        if self.card is None:
            return STOP_TIMEOUT_S
        return ASLEEP_TICK_S if self._absence() is PaintState.ASLEEP else TICK_S

    def _absence(self) -> PaintState | None:
        """Why there is nothing to show but the card; None: the last picture is new enough."""
        if self.paused:
            return PaintState.PAUSED
        absence = self._interruptible.absence if self._interruptible is not None else None
        if absence is PaintState.ASLEEP:
            return absence
        if time.perf_counter() - self._last_new < HOLD_S:
            return None
        if absence is None and self._repeats:  # frames come, and the painter gives no picture: somebody sees that
            return PaintState.COVERED
        return absence

    def _fill(self) -> None:
        """Where no new picture came: the card, or, as long as that is not due and somebody watches, the last one."""
        if self.card is None:
            return
        absence, shown = self._absence(), self._shown
        if shown is None or shown.frame is None:
            if self._size is not None:
                self._write_card(self.card.picture(self._size), absence, 0, 0.0)
            return
        position = shown.frame.position + time.perf_counter() - self._last_new
        if absence is not None:
            size = shown.canvas.alpha.shape
            self._write_card(self.card.picture((size[0], size[1])), absence, shown.frame.index, position)
        elif self._repeats:
            alpha = shown.canvas.alpha if self._needs_alpha else None
            self._write_out(Picture(shown.canvas.picture, alpha, shown.frame.index, position))

    def _write_card(self, bgr: np.ndarray, absence: PaintState | None, index: int, position: float) -> None:
        alpha = np.full(bgr.shape[:2], 255, np.uint8) if self._needs_alpha else None
        self.state = absence
        self._write_out(Picture(bgr, alpha, index, position))

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

    def _paint_all(self, painted: LatestSlot[PaintedFrame], free: queue.LifoQueue[PaintedFrame]) -> None:
        while (frame := self._incoming.take()) is not None:
            if self.paused and self.card is not None:
                continue
            item = free.get()
            if painted.closed:
                return
            self._painting_since = time.perf_counter()
            self._paint(frame, item)
            self._painting_since = None
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
        self.came.offer(frame.bgr)
        result = self.masker.process(self.view.before(frame.bgr), frame.position, item.canvas)
        item.frame, item.state = replace(frame, bgr=NO_PIXELS), result.state  # a picture holds no second one in memory
        if self._transparent and result.foreground is not None:
            np.copyto(result.picture, result.foreground)  # the sink blackens what alpha hides
        self.view.after(item.canvas, frame.position)

    def _write(self, item: PaintedFrame) -> None:
        frame, canvas = item.frame, item.canvas
        assert frame is not None
        began = time.perf_counter()
        alpha = canvas.alpha if self._needs_alpha else None
        self._write_out(Picture(canvas.picture, alpha, frame.index, frame.position))
        self.state = item.state
        now = self._last_new = time.perf_counter()
        self.output.add(now - began)
        self.latency.add(now - frame.captured_at)
        self.frames += 1
        self._position = frame.position

    def _write_out(self, picture: Picture) -> None:
        for sink in self._sinks:
            sink.write(picture)
        self.sent.offer(picture.bgr)
        self.sent_size = picture.bgr.shape[0], picture.bgr.shape[1]
        now = time.perf_counter()
        if self._last_written is not None:
            self.period.add(now - self._last_written)
        self._last_written = now
        if self._on_picture is not None:
            self._on_picture(self)

    def _done(self) -> bool:
        enough = self._max_frames is not None and self.frames >= self._max_frames
        unwanted = not all(sink.wanted for sink in self._sinks)
        return enough or unwanted
