"""Whether a label can be believed. A label is a claim: it is held against what students saw on the same frame.

The student as it was at the start is a witness that no teacher can change. Over all clips an honest label adds at most
.08 of the frame to what that student sees, generously drawn; a label that says "all is person", the inverse of one,
noise, or one with a large part of the room adds .25 to .8 (docs/decisions.md). What is refused costs learning only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MAX_ADDED = 0.15  # share of the frame that a label may add to what the start *and* the live student see
MAX_ADDED_TO_START = 0.25  # and to what the start sees, whatever was learnt since: many small lies are one large one
MIN_ALPHA = 0.15  # alpha from which a student sees somebody, however unsure
DILATION = 0.04  # of the mask's width, around what it sees
MAX_REFUSALS = 8  # labels refused in a row, then the teacher is left
PAUSE = 750  # frames until it is asked again


@dataclass(frozen=True)
class Verdict:
    """What was found about one label."""

    reason: str | None  # why it is refused; None: it is believed
    leave: bool = False  # the teacher is left for PAUSE frames


class LabelJudge:
    """Counts what it refuses. Pure: arrays in, a verdict out."""

    def __init__(self) -> None:
        self.refused = 0
        self._in_a_row = 0

    def __call__(self, label: np.ndarray, start: np.ndarray, live: np.ndarray) -> Verdict:
        """
        Parameters
        ----------
        label : float32 (h, w) in [0, 1], what the teacher says.
        start, live : float32 (h, w) in [0, 1], alpha of the student as it was at the start, and of the one that paints.
        """
        claimed = label > 0.5
        to_start = added(claimed, start)
        to_both = min(to_start, added(claimed, live))
        if to_start <= MAX_ADDED_TO_START and to_both <= MAX_ADDED:
            self._in_a_row = 0
            return Verdict(None)
        self.refused += 1
        self._in_a_row += 1
        reason = f"a label says that {to_start:.0%} of the frame are a person where no student sees one"
        return Verdict(reason, leave=self._in_a_row % MAX_REFUSALS == 0)


def added(claimed: np.ndarray, alpha: np.ndarray) -> float:
    """Share of the frame that `claimed`, bool (h, w), adds to what `alpha`, float32 (h, w), shows and to around it."""
    side = 2 * max(1, round(DILATION * alpha.shape[1])) + 1
    near = cv2.dilate((alpha > MIN_ALPHA).astype(np.uint8), np.ones((side, side), np.uint8))
    return float(np.mean(claimed & (near == 0)))
