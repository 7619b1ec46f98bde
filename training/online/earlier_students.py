"""Whether an earlier student is to go live again: the start, the one before, and at the begin of a scene those of the
scenes before. Decides; who is live, and what is learnt next, is the distiller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.contracts import Correction

from .candidates import Candidate, CandidateJudge
from .corrections import Corrections
from .replay import LabelledFrame
from .score import iou_acc

BETTER = 0.01  # score; an earlier student that fits the first label of a scene so much better goes live again
MAX_WORSE = 3  # labels in a row on which the start is better by BETTER, and it goes live again; under a budget, which
# makes labels rare, the first one counts
LOST = 0.1  # score; an earlier student that fits any label so much better goes live again at once


@dataclass(frozen=True)
class LeftScene:
    """What is kept of a scene that ended: the student that was live, and what the user had corrected."""

    student: Candidate
    corrections: tuple[Correction, ...] = ()


class EarlierStudents:
    """Those of one stream. Used by one thread."""

    def __init__(
        self, scenes: int, min_area: float, thrifty: bool, students: CandidateJudge,
        picture: Callable[[np.ndarray], np.ndarray],
    ):  # fmt: skip
        """
        Parameters
        ----------
        scenes : how many that were left are remembered.
        min_area : as the recipe says, see `score.iou_acc`.
        thrifty : there is a budget, and labels are rare.
        picture : what an image float32 (1, 3, h, w) shows, as corrections look at it.
        """
        self._left: deque[LeftScene] = deque(maxlen=scenes)  # the oldest first
        self._min_area, self._thrifty, self._students, self._picture = min_area, thrifty, students, picture
        self._worse_than_start = 0  # labels in a row

    def leave(self, corrections: tuple[Correction, ...]) -> None:
        """A scene ends, with the student that is live, and what the user had corrected."""
        self._left.append(LeftScene(self._students.live, corrections))

    def better(
        self, labelled: LabelledFrame, painted: float, here: tuple[Correction, ...], first: bool
    ) -> LeftScene | None:
        """An earlier student that fits a new label better than the live one; None: there is none.

        Parameters
        ----------
        painted : score of what was painted, in [0, 1].
        here : what the user has corrected in this scene.
        first : it is the label that a scene begins with. A scene that comes back is known.
        """
        start, live = self._students.start, self._students.live
        candidates = [LeftScene(start, here)]
        if first:
            candidates += self._left
        else:
            candidates.append(LeftScene(self._students.before or start, here))
        scores = [self._score_of(candidate, labelled, here) for candidate in candidates]
        best = max(range(len(scores)), key=scores.__getitem__)
        # at a cut the frame was painted by another one than that which is live since
        score = min(painted, live.score(labelled, self._min_area))
        # the start is a little better by chance, now and then; several times in a row it is better
        self._worse_than_start = self._worse_than_start + 1 if scores[0] > score + BETTER else 0
        worse = first or self._worse_than_start >= (1 if self._thrifty else MAX_WORSE)
        # no other student knows what the user wants here: for a chance it is not given up
        if not scores[best] > score + (BETTER if worse and not here else LOST):
            return None
        self._worse_than_start = 0
        return candidates[best]

    def _score_of(self, left: LeftScene, labelled: LabelledFrame, here: tuple[Correction, ...]) -> float:
        """How well its student fits a label, in [0, 1], by what the user had corrected there."""
        if not left.corrections or left.corrections == here:
            return left.student.score(labelled, self._min_area)
        alpha = left.student.alpha(labelled.image_array)
        corrections = Corrections(left.corrections)
        label = corrections.overrule(lambda: self._picture(labelled.image_array), labelled.label_array, alpha)
        return iou_acc(label, alpha, self._min_area)
