"""Algorithm 1 as a pure state machine: which one thing to do on this frame. No torch, no clock, no thread.

The paper's listing, one branch per frame t, with a the last score:

    if t mod δ = 0             label with the teacher; u ← u_max; score
    else if a < a_thresh, u > 0    one update, predict, score; u ← u − 1
    else if a < a_thresh, u = 0    δ ← max(δ_min, δ / 2)
    else if a ≥ a_thresh, u > 0    δ ← min(δ_max, 2 δ); u ← 0

A label may also come frames after it was asked for. Until then no other is asked for: where a round trip is longer than
δ, it is the round trip that says how often. Updates are granted by a label that came, not by one that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Operation(Enum):
    TEACH = "teach"  # label this frame
    STEP = "step"  # one update on what is labelled
    REST = "rest"


@dataclass(frozen=True)
class ScheduleOptions:
    """Section 4.4's constants by default."""

    u_max: int = 8  # updates per label
    delta_min: int = 8  # frames between labels, at most often
    delta_max: int = 64  # frames between labels, at most seldom
    target: float = 0.9  # a_thresh, IoU-Acc from which updates stop; above 1: never


class Schedule:
    """Call `next` once per frame; call `labelled` when a label came, and `report` after each STEP."""

    settled, struggling, idle = False, False, 1  # the paper works the same way always, and sees every frame

    def __init__(self, options: ScheduleOptions = ScheduleOptions()):
        self.options = options
        self.delta = options.delta_min  # frames
        self.updates_left = 0  # u
        self.score = 0.0  # a
        self._t = -1
        self._due = False  # a label is to be asked for

    def next(self, cut: bool = False, waiting: bool = False, trigger: bool = False, elapsed: int = 1) -> Operation:
        """What to do on this frame. `waiting`: no label can be asked for now. The paper counts the frames that it is
        shown, and knows neither cuts nor triggers.
        """
        o = self.options
        self._t += 1
        self._due = self._due or self._t % self.delta == 0
        if self._due and not waiting:
            self._due = False
            return Operation.TEACH
        if self.score < o.target:
            if self.updates_left > 0:
                self.updates_left -= 1
                return Operation.STEP
            self.delta = max(o.delta_min, self.delta // 2)
        elif self.updates_left > 0:
            self.delta = min(o.delta_max, 2 * self.delta)
            self.updates_left = 0
        return Operation.REST

    def labelled(self, score: float, gain: float | None = None) -> None:
        """The label that was asked for is here; `score`: IoU-Acc in [0, 1] of the live student on its frame."""
        self.updates_left = self.options.u_max
        self.score = score

    def ask_again(self) -> None:
        """The label that was asked for is of no use: the next frame is labelled."""
        self._due = True

    def report(self, score: float) -> None:
        """IoU-Acc in [0, 1] of the student on the labelled frame, after an update."""
        self.score = score
