"""Learning on demand, as a pure state machine: hard work where something is new, rest where nothing is.

    new scene   the first labels come every `burst_delta` frames, each grants `steps`
    plateau     while scores are above `floor` and within `tolerance` of the best lately, δ doubles up to `delta_max`,
                and labels grant `settled_steps`: webcams level off anywhere between .97 and .995, so no fixed target
                can say "learnt"
    fall        a lower score, or a trigger from the picture: δ is `delta_min` again

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
    settle_labels: int = 4  # labels in a row on the plateau before δ grows
    delta_min: int = 8  # frames between labels while there is something to learn
    delta_max: int = 256  # frames; ten seconds
    steps: int = 8  # per label
    settled_steps: int = 4  # per label on a plateau
    target: float = 0.995  # score from which there is nothing to learn
    floor: float = 0.95  # of the score; below, there is something to learn, however level it is
    tolerance: float = 0.004  # of the score; a plateau is this wide
    forget: float = 0.001  # of the best score, per label: what was once possible may be no more


class OnDemandSchedule:
    """Call `next` once per frame, `labelled` when a label came, `report` after a student was scored on it."""

    def __init__(self, options: OnDemandOptions = OnDemandOptions()):
        self.options = options
        self.delta = options.delta_min  # frames
        self.updates_left = 0
        self._since_label = 0  # frames
        self._due = True  # a label is to be asked for
        self._burst = 0  # labels still to come at burst_delta
        self._level = 0  # labels in a row on the plateau
        self._best = 0.0  # score, of this scene, lately

    @property
    def settled(self) -> bool:
        """On a plateau: labels are rare, and one student per label is published."""
        return self.delta > self.options.delta_min

    def next(self, cut: bool = False, waiting: bool = False, trigger: bool = False) -> Operation:
        """What to do on this frame.

        Parameters
        ----------
        cut : it shows another scene than the frame before.
        waiting : a label is on its way; the next one is asked for when it is there.
        trigger : the picture changed so much that what was learnt may not hold.
        """
        o = self.options
        self._since_label += 1
        if cut:
            self.delta, self._burst, self.updates_left, self._due = o.burst_delta, o.burst_labels, 0, True
            self._best, self._level = 0.0, 0
        elif trigger and self.settled:
            self.delta, self._level, self._due = o.delta_min, 0, True
        self._due = self._due or self._since_label >= self.delta
        if self._due and not waiting:
            self._due, self._since_label = False, 0
            return Operation.TEACH
        if self.updates_left:
            self.updates_left -= 1
            return Operation.STEP
        return Operation.REST

    def labelled(self, score: float) -> None:
        """The label that was asked for is here; `score` in [0, 1] of what the live student said of its frame."""
        o = self.options
        self._burst = max(self._burst - 1, 0)
        self._level = self._level + 1 if score >= max(o.floor, self._best - o.tolerance) else 0
        if self._burst:
            self.delta = o.burst_delta
        elif self._level > o.settle_labels:
            self.delta = min(2 * max(self.delta, o.delta_min), o.delta_max)
        else:
            self.delta = o.delta_min
        self._best = max(score, self._best - o.forget)
        self.updates_left = 0 if score >= o.target else o.settled_steps if self.settled else o.steps

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
