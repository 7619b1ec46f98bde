"""READ FIRST: the values that flow through the engine, and the protocols of its parts.

    Source -> Frame -> Masker (Backend -> Mask) -> Picture -> Sink
                                 ^ Published, from the learner

Values are frozen. Arrays inside them are borrowed unless stated otherwise: whoever keeps one past the call copies it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source."""

    bgr: np.ndarray  # uint8 (H, W, 3), BGR; owned by the frame, never written to
    index: int  # frames, from 0, in the source's own count: a gap is a dropped frame
    captured_at: float  # s, time.perf_counter() when the source had it
    position: float  # s, presentation time in the source, from 0


@dataclass(frozen=True, slots=True)
class Mask:
    """What the student says of one frame."""

    alpha: np.ndarray  # float32 (h, w) in [0, 1], 1 = person, at the resolution the graph ends in; borrowed
    frame_index: int
    version: int  # of the student that made it; 0 = as loaded


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
        """Logits float32 (1, 1, h', w') of `image`; the same buffer each time. Allocates nothing."""
        ...


@runtime_checkable
class Source(Protocol):
    """Where frames come from. Iterate once; `close()` may be called twice and from another thread."""

    live: bool  # True: a clock outside drives it and the newest frame matters; False: no frame may be lost
    fps: float  # frames per second, 0.0 if unknown
    frames: int | None  # how many there will be, if that is known
    sound: str | None  # path of a file whose sound belongs to these frames

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


@runtime_checkable
class Sink(Protocol):
    """Where pictures go. `close()` may be called twice and leaves a playable file."""

    needs_alpha: bool  # True: `Picture.alpha` must be there
    wanted: bool  # False: nobody looks any more (the window was closed, the reader of the pipe went away)

    def write(self, picture: Picture) -> None: ...

    def close(self) -> None: ...
