"""The user's strokes overrule the teacher: what was drawn over is found on each label's frame, and put into the label
or taken out of it.

It is sought about where it was on the label before, and where the live student, who was taught it, and the teacher
disagree; so it is found again after it was away. What is not found is left to the teacher. A correction belongs to a
room, and is left and remembered with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from engine.contracts import Correction
from engine.rooms.correction import MOST, SIDE, as_mask, box_of, find, region_of, understand, where_one_sees
from engine.stroke import Stroke

log = logging.getLogger("jit_masker")

EDGE = 1.0  # px, sigma of the edge that a thing has in a label
VOUCHED_AROUND = 0.06  # of the width: so far from where it was seen last, a thing that is kept may be


@dataclass(frozen=True)
class Followed:
    """A correction, and where its thing was last."""

    correction: Correction
    region: np.ndarray  # bool (SIDE, SIDE), on the last label's frame
    last: np.ndarray  # likewise, where it was found last


class Corrections:
    """Of the room at hand. Used by the learner's thread."""

    def __init__(self, corrections: Sequence[Correction] = ()) -> None:
        self._followed: list[Followed] = []
        self.is_new = False  # one came or went, and no label has been overruled since
        self.restore(corrections)

    @property
    def all(self) -> tuple[Correction, ...]:
        """The oldest first."""
        return tuple(followed.correction for followed in self._followed)

    def restore(self, corrections: Sequence[Correction]) -> None:
        """These and no others, of a room that is come back to; none for a room that is new."""
        nowhere = np.zeros((SIDE, SIDE), bool)
        self._followed = [
            Followed(replace(correction, found=False), nowhere, region_of(correction.box)) for correction in corrections
        ]
        self.is_new = False

    def add(self, stroke: Stroke, picture: np.ndarray) -> None:
        """What was drawn over in a `small` picture."""
        correction, region = understand(stroke, picture)
        if not correction.found:
            log.warning(
                "a stroke over no single thing is not learnt; draw along the thing, from one end of it to the other"
            )
            return
        self._followed = [*self._followed, Followed(correction, region, region)][-MOST:]
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
        picture : gives the label's frame, `engine.rooms.correction.small`.
        label, predicted : float32 (h, w) in [0, 1], what the teacher and the live student say.
        """
        self.is_new = False
        if not self._followed:
            return label
        bgr = picture()
        self._followed = [found(followed, bgr, label, predicted) for followed in self._followed]
        for followed in self._followed:
            keep = followed.correction.keep
            region = followed.region if keep else with_rim(followed.region)
            soft = cv2.resize(region.astype(np.float32), label.shape[::-1], interpolation=cv2.INTER_LINEAR)
            soft = cv2.GaussianBlur(soft, (0, 0), EDGE)
            label = np.maximum(label, soft) if keep else label * (1 - soft)
        return label

    def vouched(self, size: tuple[int, int]) -> np.ndarray | None:
        """Where a thing may be seen that is to be kept: float32 `size` (h, w) in {0, 1}; None where there is none."""
        kept = (followed.region for followed in self._followed if followed.correction.keep)
        return as_mask(kept, size, VOUCHED_AROUND)


def with_rim(region: np.ndarray) -> np.ndarray:
    """A region, bool (SIDE, SIDE), and a cell around it: what is removed must not leave its outline."""
    return cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def found(followed: Followed, bgr: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> Followed:
    """Where its thing is in `bgr`, a `small` picture. `label`, `predicted` : as in `Corrections.overrule`."""
    correction = followed.correction
    if not correction.keep:
        learnt = where_one_sees(label, predicted)
    elif correction.found:
        learnt = where_one_sees(predicted, label)
    else:  # it may be anywhere that the student, who was taught it, sees: what is the person besides does no harm
        learnt = where_one_sees(predicted, np.zeros_like(predicted))
    region = find(correction, bgr, followed.last | learnt)
    if not region.any():
        return Followed(replace(correction, found=False), region, followed.last)
    return Followed(replace(correction, found=True, box=box_of(region)), region, region)
