"""The user's strokes overrule the teacher: what was drawn over is found on each label's frame, and put into the label or
taken out of it.

It is sought where it was on the label before, and where the live student, who was taught it, and the teacher disagree.
So it is found again after it was away. A correction belongs to a room, and is left and remembered with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from engine.contracts import Correction
from engine.rooms.correction import SIDE, find, understand
from engine.stroke import Stroke

log = logging.getLogger("jit_masker")

MOST = 8  # corrections in a room; then the oldest goes
EDGE = 1.0  # px, sigma of the edge that a thing has in a label
VOUCHED_AROUND = 0.06  # of the width: so far from where it was seen last, a thing that is kept may be


@dataclass(frozen=True)
class Followed:
    """A correction, and where its thing was last."""

    correction: Correction
    region: np.ndarray  # bool (SIDE, SIDE)


class Corrections:
    """Of the room at hand. Used by the learner's thread."""

    def __init__(self) -> None:
        self._followed: list[Followed] = []
        self.is_new = False  # one came or went, and no label has been overruled since

    @property
    def all(self) -> tuple[Correction, ...]:
        """The oldest first."""
        return tuple(followed.correction for followed in self._followed)

    def restore(self, corrections: Sequence[Correction]) -> None:
        """These and no others, of a room that is come back to; none for a room that is new."""
        self._followed = [Followed(correction, _nowhere()) for correction in corrections]
        self.is_new = False

    def add(self, stroke: Stroke, picture: np.ndarray) -> None:
        """What was drawn over in a `small` picture."""
        correction, region = understand(stroke, picture)
        if not correction.found:
            log.warning(
                "a stroke over no single thing is not learnt; draw along the thing, from one end of it to the other"
            )
            return
        self._followed = [*self._followed, Followed(correction, region)][-MOST:]
        self.is_new = True

    def undo(self) -> None:
        """The last one holds no more."""
        if self._followed:
            self._followed.pop()
            self.is_new = True

    def overrule(self, picture: Callable[[], np.ndarray], label: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """A label with the user's word in it.

        Parameters
        ----------
        picture : gives the label's frame, uint8 (SIDE, SIDE, 3), `engine.rooms.correction.small`.
        label, predicted : float32 (h, w) in [0, 1], what the teacher and the live student say.
        """
        self.is_new = False
        if not self._followed:
            return label
        bgr = picture()
        size = (SIDE, SIDE)
        claimed, seen = (cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > 0.5 for alpha in (label, predicted))
        self._followed = [found(followed, bgr, claimed, seen) for followed in self._followed]
        for followed in self._followed:
            region = cv2.resize(followed.region.astype(np.float32), label.shape[::-1], interpolation=cv2.INTER_LINEAR)
            region = cv2.GaussianBlur(region, (0, 0), EDGE)
            label = np.maximum(label, region) if followed.correction.keep else label * (1 - region)
        return label

    @property
    def vouched(self) -> np.ndarray | None:
        """Where a thing may be seen that is to be kept, bool (SIDE, SIDE); None where there is no such thing."""
        kept = [followed.region for followed in self._followed if followed.correction.keep and followed.region.any()]
        if not kept:
            return None
        side = 2 * round(VOUCHED_AROUND * SIDE) + 1
        return cv2.dilate(np.logical_or.reduce(kept).astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def found(followed: Followed, bgr: np.ndarray, claimed: np.ndarray, seen: np.ndarray) -> Followed:
    """Where its thing is in `bgr`, a `small` picture: about where it is now, or where the live student and the teacher
    disagree. `claimed`, `seen` : bool (SIDE, SIDE), where the teacher and the live student see somebody.
    """
    correction = followed.correction
    theirs, other = (seen, claimed) if correction.keep else (claimed, seen)
    region = find(correction, bgr, followed.region | _opened(theirs & ~other))
    return Followed(replace(correction, found=bool(region.any())), region)


def _opened(region: np.ndarray) -> np.ndarray:
    """Without lines and specks, such as two masks differ by along an edge."""
    return cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0


def _nowhere() -> np.ndarray:
    return np.zeros((SIDE, SIDE), bool)
