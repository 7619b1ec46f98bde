"""One clip through the pipeline of jm-engine, with anybody as the painter: its times, and the mattes that were painted.

Two times are two numbers. The *period*, mean time between paints with the clip read as fast as it can be, is the
paper's "ms". The *latency*, from capture to paint, is measured with the clip as a camera: at its own speed, newest
frame wins, so that a slow painter drops frames and does not queue them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.contracts import Frame, Picture, Sink, Source
from engine.masker import Masker
from engine.pipeline import Pipeline
from engine.sources import PacedSource, open_source

from .progress import counter

WARM = 10  # pictures at the start of a run that are not timed: caches, the first label
MOVING = "test://?frames=10000000"  # a synthetic person that never ends
PACES = ("flat out", "camera", "live", "lockstep")


@dataclass(frozen=True)
class Run:
    """What one run left."""

    stamps: list[float]  # s, when each picture was written
    all_latencies_ms: list[float]  # from capture to written, of each picture
    pipeline: Pipeline  # that painted; it knows what was dropped

    @property
    def periods_ms(self) -> list[float]:
        """Between one picture and the next, without the first WARM where there are more."""
        stamps = self.stamps[WARM:] if len(self.stamps) > 2 * WARM else self.stamps
        return (np.diff(stamps) * 1e3).tolist()

    @property
    def latencies_ms(self) -> list[float]:
        """Without the first WARM where there are more."""
        late = self.all_latencies_ms
        return late[WARM:] if len(late) > 2 * WARM else late


class RecordedMattes:
    """Sink that keeps the matte of every frame that is `wanted`, packed; `self[index]` unpacks it.

    A matte is packed as PNG: flat as it is, that takes a millisecond on the writing thread and a few kilobytes.
    """

    wanted = True
    needs_alpha = True

    def __init__(self, wanted: Callable[[int], bool]):
        self._wanted = wanted
        self._packed: dict[int, np.ndarray] = {}

    def write(self, picture: Picture) -> None:
        if self._wanted(picture.index):
            assert picture.alpha is not None  # `needs_alpha`
            self._packed[picture.index] = cv2.imencode(".png", picture.alpha, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1]

    def indices(self) -> list[int]:
        """The frames that are kept, rising."""
        return sorted(self._packed)

    def __getitem__(self, index: int) -> np.ndarray:
        """The matte of a frame, float32 (H, W) in [0, 1]."""
        return np.asarray(cv2.imdecode(self._packed[index], cv2.IMREAD_GRAYSCALE), np.float32) / 255

    def close(self) -> None:
        pass


class TimedSource:
    """Another source's frames, each one's capture noted; `live`: told to be a camera, so that the newest frame wins."""

    def __init__(self, source: Source, live: bool):
        self.live = live
        self.fps, self.frames, self.origin = source.fps, source.frames, source.origin
        self.captured_at: dict[int, float] = {}  # s, by frame index
        self._source = source

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            self.captured_at[frame.index] = frame.captured_at
            yield frame

    def close(self) -> None:
        self._source.close()


class Clock:
    """Sink, the last one: notes when each picture was written, and how long after its capture."""

    wanted = True
    needs_alpha = False

    def __init__(self, source: TimedSource):
        self.stamps: list[float] = []  # s
        self.latency_ms: list[float] = []
        self._captured_at = source.captured_at

    def write(self, picture: Picture) -> None:
        now = time.perf_counter()
        self.stamps.append(now)
        self.latency_ms.append((now - self._captured_at.pop(picture.index)) * 1e3)

    def close(self) -> None:
        pass


def name_of(clip: str) -> str:
    """How a clip is called beside a number: without the folders of this machine."""
    return "a synthetic person" if clip.startswith("test://") else Path(clip).name


def run(painter: Masker, clip: str, pace: str, frames: int | None = None, mattes: RecordedMattes | None = None) -> Run:
    """Paint `clip`, or its first `frames`, at one of PACES.

    Parameters
    ----------
    painter : a Masker, or what stands in for one. Lockstep wants one that was made for it.
    pace : "flat out": nobody waits, nothing is lost. "camera": own speed, newest wins. "live": own speed, nothing is
        lost. "lockstep": no threads, one operation of the learner per frame.
    mattes : receives what was painted; None while times are taken.
    """
    opened: Source = open_source(clip)
    total = frames if opened.frames is None else min(frames or opened.frames, opened.frames)
    source = TimedSource(PacedSource(opened) if pace in ("camera", "live") else opened, live=pace == "camera")
    clock = Clock(source)
    sinks: list[Sink] = [mattes, clock] if mattes is not None else [clock]
    with counter(f"{pace}: {name_of(clip)}", total) as progress:
        pipeline = Pipeline(
            source, painter, sinks, lockstep=pace == "lockstep", max_frames=frames,
            on_picture=lambda _: progress.update(),
        )  # fmt: skip
        pipeline.run()
    if painter.learner_failure is not None:
        raise painter.learner_failure
    return Run(clock.stamps, clock.latency_ms, pipeline)
