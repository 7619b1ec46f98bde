"""What the learner's process and the one that paints say to each other, pickled over a socket that only they hold.

Start        ->  who is taught, by whom; once
Failed      <-   it cannot be done: what was asked for is not there
Recalled     ->  a room's student paints: the learner goes on from it
Corrected    ->  the user drew over something, or takes that back
Candidate   <-   a student that is to go live; the learner waits for
Answer       ->  whether it did
Progress    <-   a few times a second
LogLine     <-   for the log of the program
"""

from __future__ import annotations

import pickle
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.contracts import Correction, LearnerOptions, LearningStats
from engine.errors import JitMaskerError
from engine.stroke import Stroke
from export.contracts import Published, StudentWeights


@dataclass(frozen=True)
class Start:
    weights: StudentWeights  # as the run began with them
    live: Mapping[str, np.ndarray] | None  # the tensors of the student that paints; None: those of `weights`
    size: tuple[int, int]  # (h, w) of the student's input
    options: LearnerOptions
    log_level: int
    room: str | None = None  # whose student paints
    corrections: tuple[Correction, ...] = ()  # of the room at hand


@dataclass(frozen=True)
class Recalled:
    room: str


@dataclass(frozen=True)
class Corrected:
    stroke: Stroke | None  # None: the last one is taken back


@dataclass(frozen=True)
class Failed:
    error: JitMaskerError


@dataclass(frozen=True)
class Candidate:
    published: Published
    tensors: Mapping[str, np.ndarray]  # what it was made of: a learner that is started again goes on from here


@dataclass(frozen=True)
class Answer:
    error: Exception | None  # why it was not accepted


@dataclass(frozen=True)
class Progress:
    """`stats`, whose curve and durations are left empty; and what was added to them since the last time."""

    stats: LearningStats
    curve: list[tuple[int, float]]
    teacher_ms: list[float]
    publish_ms: list[float]


@dataclass(frozen=True)
class LogLine:
    level: int
    text: str


class Channel:
    """One end of the socket. Several threads may send, one receives."""

    def __init__(self, end: socket.socket):
        self._reader, self._writer = end.makefile("rb"), end.makefile("wb")
        self._sending = threading.Lock()

    def send(self, message: Any) -> None:
        """OSError where the other end is gone."""
        with self._sending:
            pickle.dump(message, self._writer, pickle.HIGHEST_PROTOCOL)
            self._writer.flush()

    def receive(self) -> Any:
        """The next message. EOFError where the other end is gone, OSError or UnpicklingError in the middle of one."""
        return pickle.load(self._reader)
