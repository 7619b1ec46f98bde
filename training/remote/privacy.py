"""What of a frame leaves the machine: its size, its colour, which part of it. Knows no network.

region: the first request sends a thumbnail too coarse to read anything in; once its label shows a person, only a box
around that person is sent in full, and each label gives the next box.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

PERSON_ALPHA = 0.5  # alpha from which a pixel belongs to a person
MARGIN = 0.25  # of the box's sides, added all round: a person moves between two labels
THUMBNAIL = 64  # pixels, longer side, of what is sent while nobody has been found
MIN_AREA = 0.002  # share of the frame; less is nobody


@dataclass(frozen=True)
class Box:
    """A part of the frame, as shares of its sides in [0, 1]; right and bottom exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of an array (H, W, ...); at least one of each."""
        height, width = shape[:2]
        top, left = min(int(self.top * height), height - 1), min(int(self.left * width), width - 1)
        bottom, right = max(round(self.bottom * height), top + 1), max(round(self.right * width), left + 1)
        return slice(top, bottom), slice(left, right)


def shrink(bgr: np.ndarray, side: int) -> np.ndarray:
    """`bgr` itself, or smaller, so that its longer side is `side` pixels."""
    longer = max(bgr.shape[:2])
    if longer <= side:
        return bgr
    size = (max(round(bgr.shape[1] * side / longer), 1), max(round(bgr.shape[0] * side / longer), 1))
    return cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)


def grey(bgr: np.ndarray) -> np.ndarray:
    """The same picture without colour, uint8 (H, W, 3)."""
    return cv2.cvtColor(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def box_around(label: np.ndarray) -> Box | None:
    """Where the person in a label, float32 (h, w), is, with a margin; None where nobody is."""
    present = label > PERSON_ALPHA
    if np.count_nonzero(present) < max(MIN_AREA * label.size, 1):
        return None
    height, width = label.shape
    rows, columns = np.flatnonzero(present.any(1)), np.flatnonzero(present.any(0))
    top, bottom = rows[0] / height, (rows[-1] + 1) / height
    left, right = columns[0] / width, (columns[-1] + 1) / width
    down, across = MARGIN * (bottom - top), MARGIN * (right - left)
    return Box(max(left - across, 0), max(top - down, 0), min(right + across, 1), min(bottom + down, 1))


def paste(part: np.ndarray, box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """A label of the box, any size, as one of the whole frame: float32 (H, W) of `shape`, 0 outside."""
    whole = np.zeros(shape[:2], np.float32)
    rows, columns = box.pixels(shape)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    whole[rows, columns] = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    return whole
