"""Subject selection: which people a label keeps: all, the largest, the most central, or the one that was there before.

Pure: masks in, a mask out; knows no network and no clock. An InstanceTeacher gives one mask for each person; of any
other label a person is a connected component.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.teacher_options import Who

PERSON_ALPHA = 0.5  # alpha from which a pixel belongs to a person
SOFT_ALPHA = 0.1  # alpha from which soft edges belong to the person beside them
MIN_AREA = 0.002  # share of the frame; a smaller component is nobody
MIN_FOLLOW_IOU = 0.1  # with the followed person's last mask, to be the same person; labels are up to seconds apart
MAX_MISSED = 8  # labels without the followed person, then another is chosen


class SubjectSelector:
    """Selects people of a frame. Remembers one mask, for "same"."""

    def __init__(self, who: Who):
        self._who = who
        self._last: np.ndarray | None = None  # bool (h, w), where the followed person was
        self._missed = 0  # labels since then, without that person

    def __call__(self, people: np.ndarray) -> np.ndarray:
        """The label, float32 (h, w) in [0, 1], of `people`, float32 (N, h, w) in [0, 1]: the union of the selected."""
        chosen = self._select(people)
        return people[chosen].max(0) if len(chosen) else np.zeros(people.shape[1:], np.float32)

    def _select(self, people: np.ndarray) -> list[int]:
        solid = people > PERSON_ALPHA
        seen = [i for i in range(len(people)) if solid[i].any()]
        if self._who == "all" or not seen:
            self._missed += self._last is not None
            return list(range(len(people))) if self._who == "all" else []
        if self._who == "largest":
            return [max(seen, key=lambda i: int(solid[i].sum()))]
        if self._who == "central":
            return [max(seen, key=lambda i: centrality(solid[i]))]
        return self._follow(solid, seen)

    def _follow(self, solid: np.ndarray, seen: list[int]) -> list[int]:
        if self._last is None or self._last.shape != solid.shape[1:] or self._missed >= MAX_MISSED:
            best = max(seen, key=lambda i: centrality(solid[i]))
        else:
            last = self._last
            best = max(seen, key=lambda i: overlap(solid[i], last))
            if overlap(solid[best], last) < MIN_FOLLOW_IOU:
                self._missed += 1
                return []
        self._last, self._missed = solid[best], 0
        return [best]


def centrality(mask: np.ndarray) -> float:
    """Area of a mask (h, w), each pixel weighted from 1 in the middle column to 0 at the sides.

    Whoever a webcam is meant for sits in the middle, at any height.
    """
    columns = 1 - np.abs(np.linspace(-1, 1, mask.shape[1]))
    return float((mask.sum(0) * (columns + 1e-3)).sum())


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two bool masks; 0 where both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def split_people(label: np.ndarray) -> np.ndarray:
    """float32 (N, h, w): the connected components of `label`, float32 (h, w), without tiny ones."""
    count, marks = cv2.connectedComponents((label > SOFT_ALPHA).astype(np.uint8))
    least = max(MIN_AREA * label.size, 1)
    parts = [np.where(marks == i, label, np.float32(0)) for i in range(1, count)]
    parts = [part for part in parts if np.count_nonzero(part > PERSON_ALPHA) >= least]
    return np.stack(parts) if parts else np.zeros((0, *label.shape), np.float32)
