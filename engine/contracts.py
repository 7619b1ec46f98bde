"""READ FIRST: the values that flow through the engine, and the protocols of its parts.

    Source -> Frame -> Masker (Backend -> logits) -> PaintResult -> Picture -> Sink
                          |  ^
             frame, logits v  | Published
                         Learner

What the student said (logits) goes to the learner; what the user sees (the canvas) never does.

Values are frozen. Arrays inside them are borrowed unless stated otherwise: whoever keeps one past the call copies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from export.contracts import Published, StudentWeights

from .errors import JitMaskerError
from .stroke import Stroke
from .teacher_options import TeacherOptions
from .timing import Durations


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source."""

    bgr: np.ndarray  # uint8 (H, W, 3), BGR; owned by the frame, never written to
    index: int  # frames, from 0, in the source's own count: a gap is a dropped frame
    captured_at: float  # s, time.perf_counter() when the source had it
    position: float  # s, presentation time in the source, from 0


class PaintState(Enum):
    """What a picture shows; the further down, the less of the frame. A Masker gives the first four, a Pipeline all."""

    PERSON = "person"  # whoever is there, over the background
    UNSURE = "unsure"  # likewise, and what is doubtful is background: see `engine.painting.guard`
    NOBODY = "nobody"  # the background alone: the student sees no person
    COVERED = "covered"  # the background alone, or black: something failed, and the room must not be seen
    PAUSED = "paused"  # a card: the user asked for it
    LOST = "lost"  # a card: no frame comes from the source, which is opened again and again
    ASLEEP = "asleep"  # a card, now and then: nobody watches, and the camera is released


@dataclass(frozen=True, slots=True)
class PaintResult:
    """One painted frame of size (H, W)."""

    picture: np.ndarray  # uint8 (H, W, 3), BGR; in the canvas that was given, else a new array
    alpha: np.ndarray  # uint8 (H, W), 255 = person, as it was painted with; likewise
    foreground: (
        np.ndarray | None
    )  # uint8 (H, W, 3), BGR, before it was blended: the room's colour is taken out of it at
    # the edge; means nothing where alpha is 0. Borrowed, valid until the next frame. None where a GPU painted
    index: int  # of the frame, from 0, since the masker was made or reset
    version: int  # of the student that saw it; 0 = as loaded
    state: PaintState


class Canvas:
    """Arrays that a frame is painted into, reused from frame to frame."""

    def __init__(self) -> None:
        self.picture = np.empty((0, 0, 3), np.uint8)
        self.alpha = np.empty((0, 0), np.uint8)

    def fit(self, bgr: np.ndarray) -> Canvas:
        """Itself, of the size of a frame uint8 (H, W, 3)."""
        if self.picture.shape != bgr.shape:
            self.picture = np.empty(bgr.shape, np.uint8)
        if self.alpha.shape != bgr.shape[:2]:
            self.alpha = np.empty(bgr.shape[:2], np.uint8)
        return self


@dataclass(frozen=True, slots=True)
class Picture:
    """One painted frame, on its way to the sinks."""

    bgr: np.ndarray  # uint8 (H, W, 3), BGR; borrowed: valid until the sink's `write` returns
    alpha: np.ndarray | None  # uint8 (H, W), 255 = person; None where no sink asked for it; borrowed
    index: int  # the frame's own
    position: float  # s, the frame's own


class Backend(Protocol):
    """A student on one runtime. Immutable: new weights are a new object. Used by one thread at a time.

    The constructor takes `(model: bytes, threads: int)`, raises ModelError for bytes it cannot load and
    BackendUnavailable where its runtime is missing.
    """

    name: str  # as in BACKENDS, "ort-cpu"
    provider: str  # what really runs, read back from the runtime
    image: np.ndarray  # float32 (1, 3, h, w), C-contiguous; the caller writes it, then calls `run`

    def run(self) -> np.ndarray:
        """Logits float32 (1, 1, h', w') of `image`; the same buffer each time, in which they stay until the next run,
        whatever is written to `image`. Allocates nothing.
        """
        ...


@dataclass(frozen=True, eq=False)
class Correction:
    """What the learner made of a stroke: see `training.online.corrections`. Immutable, small, and no picture."""

    keep: bool  # as the stroke says
    area: float  # share of the frame, of what was drawn over; 0: nothing was found there yet
    found: bool  # on the last label's frame
    box: tuple[
        float, float, float, float
    ]  # left, top, right, bottom of it, where it was found last: shares of the frame
    objects: np.ndarray  # float64 (1, 65), colours of what was drawn over: OpenCV's mixture of five Gaussians
    others: np.ndarray  # likewise, of what it is to be told from

    def summary(self) -> dict[str, object]:
        """For people, ready for JSON."""
        return {"keep": self.keep, "area": round(self.area, 3), "found": self.found}


@dataclass(frozen=True)
class LearningStats:
    """A snapshot of the learner."""

    teacher: str
    calls: int  # of the teacher
    failures: int  # calls without a usable label
    steps: int
    publishes: int  # students that went live
    rejected: int  # students that did not
    refused: int  # labels that were not believed
    rollbacks: int  # times an earlier student fitted better, after a cut or when this one was lost
    delta: int  # frames between labels now
    curve: list[tuple[int, float]]  # (frame of the learner's count, IoU-Acc of the student against the teacher)
    teacher_ms: Durations
    publish_ms: Durations
    cpu_s: Mapping[str, float]  # CPU seconds: "teacher", "steps", "publishing", "watching"
    died: str | None  # why learning stopped
    room: str | None = None  # the name under which the room at hand is remembered
    corrections: tuple[Correction, ...] = ()  # of the room at hand, the oldest first
    traffic: Mapping[str, object] | None = None  # with a teacher on another machine; see docs/report.md


class Learner(Protocol):
    """What teaches the student while it paints (training.online.learner). `close()` may be called twice."""

    failure: JitMaskerError | None  # why it never began, where that was found out only after it was made

    @property
    def stats(self) -> LearningStats: ...

    def offer(self, bgr: np.ndarray, logits: np.ndarray, scene: int) -> None:
        """A frame as it came, uint8 (H, W, 3); what the student said of it, float32 (h, w), before anything was done
        with it; and which scene of the stream it belongs to, counted from 0. All borrowed: copied if they are wanted.

        Never raises, and never waits: except in lockstep, where the learner's one operation for this frame runs here.
        """
        ...

    def recalled(self, room_id: str) -> None:
        """The student of a room that is remembered paints from now on. Never waits."""
        ...

    def correct(self, stroke: Stroke | None) -> None:
        """What the user draws over on the next frame overrules the teacher from now on; None: the last such stroke
        does no more. Never waits.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class RoomOptions:
    """Whether and where rooms are remembered: see `engine.rooms`."""

    folder: Path
    writes: bool = True  # False: what is there is used, and nothing is added
    camera: str = ""  # what the source is called, for the list


@dataclass(frozen=True)
class KeepOptions:
    """The user agreed that frames are kept: made by `engine.personal.store.keep_frames` alone."""

    folder: Path
    count: int  # frames, at most
    token: str  # as in the folder; where it is gone, all was forgotten, and nothing is written


@dataclass(frozen=True)
class LearnerOptions:
    """How a learner is to work."""

    teacher: TeacherOptions
    recipe: str  # a name in training.online.recipe.NAMES
    threads: int  # of the teacher
    seed: int  # of what is drawn while learning
    budget: float  # percent of one core, over any minute; infinity: no limit. Not in lockstep, which is repeatable
    lockstep: bool  # one operation per offered frame, on the thread that offers; else on a thread of its own
    on_gpu: bool  # the student paints on a GPU, and is taught there if torch has it
    rooms: RoomOptions | None = None  # where rooms are remembered; None: they are not
    keep: KeepOptions | None = None  # frames that are kept with their labels; None: none


class StartLearner(Protocol):
    """Makes a running learner. This seam is late-bound: a Masker imports torch only where somebody learns."""

    def __call__(
        self,
        weights: StudentWeights,
        size: tuple[int, int],
        publish: Callable[[Published], None],
        options: LearnerOptions,
    ) -> Learner:
        """A learner for the student of `weights` at `size` (h, w). `publish` swaps a student in, or raises
        CandidateRejected or ModelError.

        Raises
        ------
        UsageError
            Unknown teacher or recipe.
        BackendUnavailable
            torch, or a package that the teacher needs, is not installed.
        ModelError
            The teacher's weights cannot be had.
        """
        ...


@dataclass(frozen=True)
class MaskerStats:
    """A snapshot of what a Masker did so far."""

    frames: int  # painted
    cpu_s: float  # CPU seconds of the thread that painted; the pool of a student's runtime is not in it
    faults: int  # frames that were covered, because something failed
    unsure: int  # frames on which what was doubtful was painted as background
    doubts: int  # frames on which the student was not believed
    reused: int  # frames that stood still, for which the student was not asked again
    version: int  # of the student that paints
    swaps: int  # students adopted after the first
    rejected: int  # candidates that never went live
    rollbacks: int  # students that failed while they painted, and were replaced by the one before or by the start
    learning: LearningStats | None  # None without a teacher


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that frames come out of, as far as there is one."""

    again: str | None = None  # path or URL at which what lies beside the pictures, sound above all, can be read
    unheard: str | None = None  # why it has sound that cannot be read there
    length: float | None = None  # s, of the pictures
    images: tuple[Path, ...] = ()  # the file of the frame with that index


@runtime_checkable
class Source(Protocol):
    """Where frames come from. Iterate once; `close()` may be called twice and from another thread."""

    live: bool  # True: a clock outside drives it and the newest frame matters; False: no frame may be lost
    fps: float  # frames per second, 0.0 if unknown
    frames: int | None  # how many there will be, if that is known
    origin: Origin

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


@runtime_checkable
class Interruptible(Protocol):
    """What a live source has besides, where it can be without frames and come back."""

    absence: PaintState | None  # LOST or ASLEEP while no frames are to be expected
    losses: int  # times it was lost

    def suspend(self) -> None:
        """Release the device until `resume`; from any thread, does not wait."""
        ...

    def resume(self) -> None: ...


@runtime_checkable
class EndsWithSource(Protocol):
    """What a sink has besides, where it matters whether the source came to its own end or the run was cut short."""

    def source_ended(self) -> None:
        """The source has no more frames. Called at most once, before `close`."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Where pictures go. `close()` may be called twice and leaves a playable file."""

    needs_alpha: bool  # True: `Picture.alpha` must be there
    wanted: bool  # False: nobody looks any more (the window was closed, the reader of the pipe went away)

    def write(self, picture: Picture) -> None: ...

    def close(self) -> None: ...
