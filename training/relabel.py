"""Labels for kept frames from the heaviest teachers at hand, fused with those that were believed live.

a matte draws the person, once as the frame is and once mirrored; a finder of people, where there is one, vouches
for it. Where that and the live label mean different people the frame is left out, and pixels on which they
contradict each other are not learnt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from engine.assets import is_at_hand
from engine.errors import BackendUnavailable, ModelError

from . import teachers
from .datasets import SAME_PERSON
from .online.score import iou

log = logging.getLogger("jit_masker")

MATTES = ("rvm", "u2net", "u2netp")  # who draws people, the best first (docs/teachers.md)
FINDERS = ("mrcnn50", "yolo-seg", "yolo-seg-small")  # who finds them, the heaviest first
CONTRADICTION = 0.5  # alpha; pixels on which two labels differ by more are not learnt

Label = Callable[[np.ndarray], np.ndarray]  # bgr uint8 (H, W, 3) -> float (h, w) in [0, 1]


@dataclass(frozen=True)
class Fused:
    """What several teachers say of a frame."""

    label: np.ndarray  # float32 (h, w) in [0, 1]
    weight: np.ndarray  # float32 (h, w): 0 where they contradict each other, else 1


class Relabeller:
    """The teachers of a training, loaded once."""

    def __init__(self, threads: int, name: str | None = None):
        """`name`: who draws; None: the best at hand. Nothing is fetched unless it is named.

        Raises
        ------
        UsageError, BackendUnavailable, ModelError
            There is no teacher of this name, it cannot be had, or none is at hand.
        """
        if name is not None:
            matte: tuple[str, Label] | None = (name, teachers.load(name, threads))
        else:
            matte = _first(MATTES, threads) or _first(FINDERS, threads)
        if matte is None:
            raise ModelError(
                f"no teacher is at hand (looked for {', '.join(MATTES + FINDERS)}); jm-engine models pull rvm"
            )
        self._matte, self.names = matte[1], [matte[0]]
        found = _first(FINDERS, threads) if self.names[0] not in FINDERS else None
        self._finder = found[1] if found is not None else None
        if found is not None:
            self.names.append(found[0])

    def __call__(self, bgr: np.ndarray, live: np.ndarray) -> Fused | None:
        """Labels of a frame uint8 (H, W, 3) at the size of `live`, float32 (h, w) in [0, 1], which was believed when it
        was seen; None where nobody can say which of them is right.
        """
        size = live.shape[1], live.shape[0]
        seen = _sized(self._matte(bgr), size)
        mirrored = _sized(self._matte(np.ascontiguousarray(bgr[:, ::-1])), size)[:, ::-1]
        # a teacher that knows one place, as it is, has no use for its mirror image
        heavy = (seen + mirrored) / 2 if iou(seen, mirrored) >= SAME_PERSON else seen
        finder = _sized(self._finder(bgr), size) if self._finder is not None else None
        return fuse(live, heavy, finder)


def fuse(live: np.ndarray, heavy: np.ndarray, finder: np.ndarray | None = None) -> Fused | None:
    """The mean of two labels, float32 (h, w) in [0, 1], where they agree, and a `finder` of people with them; None
    where one means other people.
    """
    label = (live + heavy) / 2
    if iou(live, heavy) < SAME_PERSON or (finder is not None and iou(label, finder) < SAME_PERSON):
        return None
    return Fused(label.astype(np.float32), (np.abs(live - heavy) <= CONTRADICTION).astype(np.float32))


def _sized(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(teachers.checked(label), size, interpolation=cv2.INTER_AREA)


def _first(names: tuple[str, ...], threads: int) -> tuple[str, Label] | None:
    """The first of them whose weights are on this machine, and which can be loaded."""
    for name in filter(is_at_hand, names):
        try:
            return name, teachers.load(name, threads)
        except (BackendUnavailable, ModelError) as error:
            log.warning("the teacher %s is passed over: %s", name, error)
    return None
