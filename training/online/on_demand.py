"""Learning on demand, as a pure state machine: hard work where something is new, rest where nothing is.

    new scene   the first labels come every `burst_delta` frames
    work        a label every `delta_min` frames, as long as the student is below `floor`, or has just fallen
    rest        while nothing that a label taught is seen on the next one, δ doubles up to `delta_max`; where it is
                seen, δ is halved; a fall, or a trigger from the picture, brings work at once

What a label taught is its gain: the score on the *next* label's frame of the student that learnt it, minus that of the
student before, on the same frame. How hard the frame is cancels out: webcams level off anywhere between .97 and .995,
so no fixed target can say "learnt", and scores go up and down with what the person does.

The paper's own schedule is schedule.py, which has the same face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .schedule import Operation


@dataclass(frozen=True)
class OnDemandOptions:
    """What was measured stands in docs/decisions.md."""

    burst_delta: int = 4  # frames between the first labels of a scene
    burst_labels: int = 4  # how many labels come that often after a cut
    burst_steps: int = 3  # per label then
    delta_min: int = 8  # frames between labels while there is something to learn
    delta_max: int = 256  # frames; ten seconds
    steps: int = 7  # per label while there is something to learn
    settled_steps: int = 4  # per label at rest, and under a budget: six of them cost as much as a label
    settle_labels: int = 4  # labels in a row without a gain before δ grows
    target: float = 0.995  # score from which there is nothing to learn
    floor: float = 0.95  # of the score; below, there is something to learn, however little the last label taught
    struggle: int = 6  # labels in a row below the floor, after which the start holds it back no more
    fall: float = 0.016  # of the score below the best lately: something happened
    forget: float = 0.001  # of the best score, per label: what was once possible may be no more
    worth: float = 0.002  # gain per label, on average, from which labels are to come more often
    memory: float = 0.7  # of that average, per label


class OnDemandSchedule:
    """Call `next` once per frame, `labelled` when a label came, `report` after a student was scored on it."""

    def __init__(self, options: OnDemandOptions = OnDemandOptions(), thrifty: bool = False):
        """`thrifty`: there is a budget, and another label is worth more than more steps on this one."""
        self.options = options
        self._thrifty = thrifty
        self.delta = options.delta_min  # frames
        self.updates_left = 0
        self._since_label = 0  # frames
        self._due = True  # a label is to be asked for
        self._burst = 0  # labels still to come at burst_delta
        self._level = 0  # labels in a row without a fall or a gain
        self._best = 0.0  # score, of this scene, lately
        self._bad_for = 0  # labels in a row below the floor
        self._gain = 0.0  # per label, on average, lately

    @property
    def settled(self) -> bool:
        """At rest: labels are rare."""
        return self.delta > self.options.delta_min

    @property
    def struggling(self) -> bool:
        """It cannot follow, although it works hard: it may have to go far from the start."""
        return self._bad_for > self.options.struggle

    @property
    def idle(self) -> int:
        """Frames, at least 1, until there is something to do, if nothing happens."""
        return 1 if self.updates_left else max(self.delta - self._since_label, 1)

    def next(self, cut: bool = False, waiting: bool = False, trigger: bool = False, elapsed: int = 1) -> Operation:
        """What to do on this frame.

        Parameters
        ----------
        cut : it shows another scene than the frame before.
        waiting : no label can be asked for now: one is on its way, or none can be paid.
        trigger : the picture changed so much that what was learnt may not hold.
        elapsed : frames since the last call.
        """
        o = self.options
        self._since_label += elapsed
        if cut:
            self.delta, self._burst, self.updates_left, self._due = o.burst_delta, o.burst_labels, 0, True
            self._best, self._level, self._gain = 0.0, 0, 0.0
        elif trigger and self.settled:
            self.delta, self._level, self._due = o.delta_min, 0, True
        self._due = self._due or self._since_label >= self.delta
        if self._due and not waiting and not self.updates_left:
            self._due, self._since_label = False, 0
            return Operation.TEACH
        if self.updates_left:
            self.updates_left -= 1
            return Operation.STEP
        return Operation.REST

    def labelled(self, score: float, gain: float | None = None) -> None:
        """The label that was asked for is here.

        Parameters
        ----------
        score : in [0, 1], of what the live student said of its frame.
        gain : of that student over the one before the last label; None: there is no other.
        """
        o = self.options
        self._bad_for = self._bad_for + 1 if score < o.floor else 0
        self._gain = o.memory * self._gain + (1 - o.memory) * (gain or 0.0)
        self._burst = max(self._burst - 1, 0)
        work = score < max(o.floor, self._best - o.fall)
        self._level = 0 if work or self._gain > o.worth else self._level + 1
        if self._burst:
            self.delta = o.burst_delta
        elif work:
            self.delta = o.delta_min
        elif self._gain > o.worth:
            self.delta = max(self.delta // 2, o.delta_min)
        elif self._level > o.settle_labels:
            self.delta = min(2 * max(self.delta, o.delta_min), o.delta_max)
        self._best = max(score, self._best - o.forget)
        steps = o.burst_steps if self._burst else o.settled_steps if self.settled or self._thrifty else o.steps
        self.updates_left = 0 if score >= o.target else steps

    def report(self, score: float) -> None:
        """Score in [0, 1] of the student on the labelled frame, after an update."""
        if score >= self.options.target:
            self.updates_left = 0

    def ask_again(self) -> None:
        """The label that was asked for is of no use: the next frame is labelled."""
        self._due = True


class ChangeTrigger:
    """Whether the student's answers changed since the last label as only another situation changes them."""

    AREA = 0.02  # share of the frame
    AREA_RATIO = 0.25  # of the area
    UNSURE = 0.01  # share of the frame

    def __init__(self) -> None:
        self._area = self._unsure = 0.0
        self._labelled = False

    def __call__(self, alpha: np.ndarray) -> bool:
        """Whether `alpha`, float32 (h, w), differs from the first one after the last label."""
        area, unsure = float(alpha.mean()), float(((alpha > 0.2) & (alpha < 0.8)).mean())
        if self._labelled:
            self._area, self._unsure, self._labelled = area, unsure, False
            return False
        jump = abs(area - self._area) > max(self.AREA, self.AREA_RATIO * self._area)
        return jump or unsure > 2 * self._unsure + self.UNSURE

    def labelled(self) -> None:
        self._labelled = True
