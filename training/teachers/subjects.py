"""Subject selection: which people a label keeps: all, the largest, the most central, or the one that was there before.

Pure: masks in, a mask out; knows no network and no clock. An InstanceTeacher gives one mask for each person; of any
other label a person is a connected component.

"Same" follows one person by place and by colours: of two who cross it is the one who looks the same, and who was away
is known again at the other side. Place alone is enough too, for a lamp changes all colours.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.teacher_options import Who

PERSON_ALPHA = 0.5  # alpha from which a pixel belongs to a person
SOFT_ALPHA = 0.1  # alpha from which soft edges belong to the person beside them
MIN_AREA = 0.002  # share of the frame; a smaller component is nobody
MIN_FOLLOW_IOU = 0.1  # with the followed person's last mask, to be the same person; labels are up to seconds apart
MAX_MISSED = 8  # labels without the followed person, then another is chosen, where nobody's colours are known
PATIENCE = 40  # likewise, where they are
BINS = (4, 12, 12)  # of lightness and the two colours of Lab
RANGE = (52, 203)  # of each, from first to last bin
SAME_LOOKS = 0.6  # shared part of two colour histograms, from which it is the same person, wherever: docs/decisions.md
LOOKS_WEIGHT = 2.0  # against place: whoever stands where another stood has half of both masks, but one shirt
LOOKS_MEMORY = 0.9  # of the histogram, per label: light changes, and who turns around shows another side


class SubjectSelector:
    """Selects people of a frame. Remembers one mask, for "same"."""

    def __init__(self, who: Who):
        self._who = who
        self._last: np.ndarray | None = None  # bool (h, w), where the followed person was
        self._looks: np.ndarray | None = None  # histogram of that person's colours; None: not known
        self._missed = 0  # labels since then, without that person

    def __call__(self, people: np.ndarray, bgr: np.ndarray | None = None) -> np.ndarray:
        """The label, float32 (h, w) in [0, 1], of `people`, float32 (N, h, w) in [0, 1]: the union of the selected.

        `bgr` : uint8 (H, W, 3), the frame; without it, "same" goes by place alone.
        """
        chosen = self._select(people, bgr)
        return people[chosen].max(0) if len(chosen) else np.zeros(people.shape[1:], np.float32)

    def _select(self, people: np.ndarray, bgr: np.ndarray | None) -> list[int]:
        solid = people > PERSON_ALPHA
        seen = [i for i in range(len(people)) if solid[i].any()]
        if self._who == "all" or not seen:
            self._missed += self._last is not None
            return list(range(len(people))) if self._who == "all" else []
        if self._who == "largest":
            return [max(seen, key=lambda i: int(solid[i].sum()))]
        if self._who == "central":
            return [max(seen, key=lambda i: centrality(solid[i]))]
        return self._follow(solid, seen, bgr)

    def _follow(self, solid: np.ndarray, seen: list[int], bgr: np.ndarray | None) -> list[int]:
        looks = {i: None if bgr is None else colours(bgr, solid[i]) for i in seen}
        patience = MAX_MISSED if self._looks is None else PATIENCE
        if self._last is None or self._last.shape != solid.shape[1:] or self._missed >= patience:
            best = max(seen, key=lambda i: centrality(solid[i]))
            self._looks = None
        else:
            likeness = {i: self._likeness(solid[i], looks[i]) for i in seen}
            best = max(seen, key=likeness.__getitem__)
            if likeness[best] <= 0:
                self._missed += 1
                return []
        new = looks[best]
        if new is not None:
            self._looks = new if self._looks is None else LOOKS_MEMORY * self._looks + (1 - LOOKS_MEMORY) * new
        self._last, self._missed = solid[best], 0
        return [best]

    def _likeness(self, solid: np.ndarray, looks: np.ndarray | None) -> float:
        """How much a person may be the one who is followed; 0 for somebody else."""
        assert self._last is not None
        place = overlap(solid, self._last)
        if looks is None or self._looks is None:
            return place if place >= MIN_FOLLOW_IOU else 0.0
        alike = float(np.minimum(looks, self._looks).sum())
        return place + LOOKS_WEIGHT * alike if place >= MIN_FOLLOW_IOU or alike >= SAME_LOOKS else 0.0


def colours(bgr: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The colours of what bool (h, w) covers of a frame uint8 (H, W, 3): a histogram float32 (n,) of sum 1."""
    lab = cv2.cvtColor(cv2.resize(bgr, mask.shape[::-1], interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2LAB)
    lab = np.clip(lab, *RANGE)  # what is more colourful than people and their clothes counts as the most colourful
    bounds = [RANGE[0], RANGE[1] + 1] * 3
    histogram = cv2.calcHist([lab], [0, 1, 2], mask.astype(np.uint8), list(BINS), bounds)
    return np.asarray(histogram / max(histogram.sum(), 1), np.float32).ravel()


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
