"""Whom a label keeps: everybody, the largest, the most central, or the one that was there before.

Pure: masks in, a mask out; knows no network and no clock. Teachers that tell people apart hand over one mask each; for
others a person is what hangs together.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.teacher_options import Who

PRESENT = 0.5  # alpha from which a pixel belongs to somebody
TAIL = 0.1  # alpha up to which soft edges belong to the person beside them
SPECK = 0.002  # share of the frame below which a piece is nobody
FOLLOWED = 0.1  # IoU with where the person was, from which it is the same person; labels are up to seconds apart
FORGOTTEN = 8  # labels without the person after which somebody else is chosen


class SubjectSelector:
    """Reduces the people of a frame to those wanted. Remembers one mask, for "same"."""

    def __init__(self, who: Who):
        self._who = who
        self._last: np.ndarray | None = None  # bool (h, w), where the followed person was
        self._missed = 0  # labels since then

    def __call__(self, people: np.ndarray) -> np.ndarray:
        """The label, float32 (h, w) in [0, 1], of `people`, float32 (N, h, w) in [0, 1]: the union of those kept."""
        chosen = self._choose(people)
        return people[chosen].max(0) if len(chosen) else np.zeros(people.shape[1:], np.float32)

    def _choose(self, people: np.ndarray) -> list[int]:
        solid = people > PRESENT
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
        if self._last is None or self._last.shape != solid.shape[1:] or self._missed >= FORGOTTEN:
            best = max(seen, key=lambda i: centrality(solid[i]))
        else:
            last = self._last
            best = max(seen, key=lambda i: overlap(solid[i], last))
            if overlap(solid[best], last) < FOLLOWED:
                self._missed += 1
                return []
        self._last, self._missed = solid[best], 0
        return [best]


def centrality(mask: np.ndarray) -> float:
    """Area of a mask (h, w), each pixel weighted from 1 in the middle column to 0 at the sides.

    Near a webcam the head moves up and down and the one it is for sits in the middle.
    """
    columns = 1 - np.abs(np.linspace(-1, 1, mask.shape[1]))
    return float((mask.sum(0) * (columns + 1e-3)).sum())


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two bool masks; 0 where both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def pieces(label: np.ndarray) -> np.ndarray:
    """float32 (N, h, w): the parts of `label`, float32 (h, w), that hang together, without specks."""
    count, marks = cv2.connectedComponents((label > TAIL).astype(np.uint8))
    least = max(SPECK * label.size, 1)
    parts = [np.where(marks == i, label, np.float32(0)) for i in range(1, count)]
    parts = [part for part in parts if np.count_nonzero(part > PRESENT) >= least]
    return np.stack(parts) if parts else np.zeros((0, *label.shape), np.float32)
