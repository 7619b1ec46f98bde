"""How much of a room a painter lets out: frame by frame, put together over time, and read by somebody.

Knows neither where frames come from nor who paints them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from . import marker

FPS = 25  # frames per second, for what is said in seconds
FIRST, AFTER_CUT = FPS, 2 * FPS  # frames: the first second, and two seconds after a cut
VISIBLE = 13  # of 255; alpha below that shows a person who looks nothing
LIKE = 12  # grey levels in every channel; what is that near to the room shows it
TRUE_MARGIN = 2  # px at the edge that belong to nobody where the matte is true; a teacher's needs more
ROUNDED = 0.5 / 255  # alpha that is 0 in eight bits
READ_EVERY = 5  # frames between two in which a poster is looked for
SSIM_SIGMA, SSIM_C1, SSIM_C2 = 1.5, (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al. 2004


def certain(where: np.ndarray, margin: int) -> np.ndarray:
    """`where`, bool (H, W), without what is nearer than `margin` pixels to anything else; the border is nothing."""
    side = 2 * margin + 1
    return cv2.erode(where.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def regions(alpha: np.ndarray, margin: int = TRUE_MARGIN) -> tuple[np.ndarray, np.ndarray]:
    """Where a true matte, float (H, W), says that there certainly is room, and person: bool (H, W) each."""
    return certain(alpha < ROUNDED, margin), certain(alpha > 1 - ROUNDED, margin)


@dataclass
class Leaks:
    """Of one painter on one clip; a number for each frame, NaN where there is no such pixel."""

    shown: list[float] = field(default_factory=list)  # share of the room
    lost: list[float] = field(default_factory=list)  # share of the person
    cuts: list[int] = field(default_factory=list)  # frames that are the first of another scene

    def look(self, alpha: np.ndarray, room: np.ndarray, person: np.ndarray, is_cut: bool = False) -> None:
        """One frame: what was painted, uint8 (H, W), and where there certainly is room and person, bool (H, W)."""
        if is_cut:
            self.cuts.append(len(self.shown))
        self.shown.append(_mean(alpha, room))
        self.lost.append(1 - _mean(alpha, person))

    def worst(self) -> int | None:
        """The frame that shows most; None where no frame has room."""
        return None if np.isnan(self.shown).all() else int(np.nanargmax(self.shown))

    def summary(self) -> dict[str, float | None]:
        """One number of each kind; None where there is nothing to average."""
        shown, lost = np.array(self.shown), np.array(self.lost)
        after = [shown[cut : cut + AFTER_CUT] for cut in self.cuts]
        return {
            "leak": _of(shown, np.mean),
            "p99": _of(shown, lambda v: np.percentile(v, 99)),
            "worst": _of(shown, np.max),
            "first second": _of(shown[:FIRST], np.mean),
            "after cuts": _of(np.concatenate(after), np.mean) if after else None,
            "lost": _of(lost, np.mean),
            "lost p99": _of(lost, lambda v: np.percentile(v, 99)),
        }


def _mean(alpha: np.ndarray, where: np.ndarray) -> float:
    return min(1.0, cv2.mean(alpha, where.view(np.uint8))[0] / 255) if where.any() else float("nan")


def _of(values: np.ndarray, what: Callable[[np.ndarray], Any]) -> float | None:
    there = values[~np.isnan(values)]
    return float(what(there)) if there.size else None


class Attack:
    """Puts together what a still room showed over time, with the best luck there is.

    It takes, for each pixel, the painted colour that comes nearest to the room's own, out of all frames in which
    somebody is painted there. Nobody who attacks knows which that is: so none finds more. What looks like the room by
    chance, because the person does, it finds as well.
    """

    def __init__(self, shape: tuple[int, ...]):
        """For pictures of `shape` (H, W, 3)."""
        self.picture = np.zeros(shape, np.uint8)
        self._distance = np.full(shape[:2], 255, np.uint8)
        self._seen = np.zeros(shape[:2], bool)  # is room in some frame

    def look(self, picture: np.ndarray, alpha: np.ndarray, room: np.ndarray, is_room: np.ndarray) -> None:
        """One painted frame, uint8 (H, W, 3) and its alpha, uint8 (H, W); the room's own picture, and where it is."""
        self._seen |= is_room
        difference = cv2.absdiff(picture, room)
        distance = cv2.max(cv2.max(difference[..., 0], difference[..., 1]), difference[..., 2])
        nearer = (alpha >= VISIBLE) & (distance < self._distance)
        self._distance[nearer], self.picture[nearer] = distance[nearer], picture[nearer]

    def found(self, room: np.ndarray, background: np.ndarray) -> tuple[float, float]:
        """The share of the room that was recovered, and the SSIM of the recovered picture, `background` where nothing
        was, to the room; both over what is room in some frame.
        """
        if not self._seen.any():
            return 0.0, 0.0
        picture = np.where((self._distance == 255)[..., None], background, self.picture)
        return float((self._distance <= LIKE)[self._seen].mean()), float(ssim(picture, room)[self._seen].mean())


def ssim(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) of two pictures uint8 (H, W, 3), in grey: float32 (H, W)."""
    a, b = (cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32) for picture in (one, other))

    def smooth(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), SSIM_SIGMA)

    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + SSIM_C1) * (2 * covariance + SSIM_C2)
    return np.asarray(likeness / ((mean_a**2 + mean_b**2 + SSIM_C1) * (var_a + var_b + SSIM_C2)))


class Reader:
    """Reads a poster in what was painted: in one picture of `every`, and in the mean of all."""

    def __init__(self, poster: np.ndarray, corners: np.ndarray, every: int = READ_EVERY):
        self.looked = self.read = 0  # frames
        self._poster, self._corners, self._every = poster, corners, every
        self._sum = np.zeros((0, 0, 3), np.float32)
        self._count = 0

    def look(self, picture: np.ndarray) -> None:
        """One painted frame, uint8 (H, W, 3)."""
        if self._sum.shape != picture.shape:
            self._sum = np.zeros(picture.shape, np.float32)
        cv2.accumulate(picture, self._sum)
        if self._count % self._every == 0:
            self.looked += 1
            self.read += marker.readable(picture, self._poster, self._corners)
        self._count += 1

    def read_in_mean(self) -> bool:
        """Whether the mean of all frames so far can be read."""
        return marker.readable(self._sum / max(1, self._count), self._poster, self._corners)
