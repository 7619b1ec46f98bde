"""A thing that the user drew over, and how it is known again: by its colours, about where somebody expects it.

Colours are two mixtures of Gaussians, of the thing and of all else, and what belongs to the thing is the cheapest cut
between them: GrabCut (Rother, Kolmogorov, Blake 2004), OpenCV's. Knows nothing of students or labels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import cv2
import numpy as np

from ..contracts import Correction
from ..stroke import Stroke

MOST = 8  # corrections in a room; then the oldest goes
SIDE = 128  # px; pictures are looked at so large: a cut takes 5 ms
LINE = 0.02  # of the side: how broad a stroke is
REACH = 0.12  # of the side: how far beyond the stroke's hull a thing may go, at least
HULL_REACH = 0.6  # likewise, of the hull's own extent
MAX_AREA = 0.4  # share of the frame; a larger thing is the room
MAX_GROWN = 3.0  # times the area that it had when it was drawn over
MIN_AREA = 0.002  # share of the frame; less was not found
MOVED = 0.1  # of the side: how far a thing moves from one label to the next
FRAME = 6  # px around where it is sought, which show what is beside it
NO_RECT = (0, 0, 0, 0)  # OpenCV wants one where it reads none
CUTS = 3  # iterations in which colours and cut are made to fit each other


def small(bgr: np.ndarray) -> np.ndarray:
    """A picture uint8 (H, W, 3) as it is looked at here, (SIDE, SIDE, 3)."""
    return cv2.resize(bgr, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def understand(stroke: Stroke, picture: np.ndarray) -> tuple[Correction, np.ndarray]:
    """What was drawn over in a `small` picture: a correction, and where it is, bool (SIDE, SIDE); nowhere if that is
    more of the frame than a thing can be.
    """
    mask = _drawn(stroke)
    objects, others = np.zeros((1, 65)), np.zeros((1, 65))
    line = mask == cv2.GC_FGD
    with contextlib.suppress(cv2.error):  # there is nothing but what was drawn over
        cv2.grabCut(picture, mask, NO_RECT, others, objects, CUTS, cv2.GC_INIT_WITH_MASK)
    region = _connected((mask & 1) > 0, line)
    area = float(region.mean())
    found = MIN_AREA <= area <= MAX_AREA
    if not found:
        region[:] = False
    return Correction(stroke.keep, area if found else 0.0, found, box_of(region), objects, others), region


def find(correction: Correction, picture: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Where the thing is in a `small` picture: bool (SIDE, SIDE), nowhere if it is not seen.

    `expected` : bool (SIDE, SIDE), where it may be; it is sought there and close around.
    """
    nothing = np.zeros((SIDE, SIDE), bool)
    if not correction.area or np.mean(expected) < MIN_AREA:
        return nothing
    zone = _dilated(expected, MOVED * SIDE)
    x, y, w, h = cv2.boundingRect(_dilated(zone, FRAME).astype(np.uint8))
    cut = slice(y, y + h), slice(x, x + w)
    mask = np.where(zone[cut], cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    objects, others = correction.objects.copy(), correction.others.copy()
    try:
        cv2.grabCut(np.ascontiguousarray(picture[cut]), mask, NO_RECT, others, objects, 1, cv2.GC_EVAL_FREEZE_MODEL)
    except cv2.error:  # out of a file, they may be no mixtures
        return nothing
    region = np.zeros((SIDE, SIDE), bool)
    region[cut] = (mask & 1) > 0
    region = _connected(region, expected)
    return region if MIN_AREA <= region.mean() <= min(MAX_AREA, MAX_GROWN * correction.area) else nothing


def _drawn(stroke: Stroke) -> np.ndarray:
    """What GrabCut begins with: the line is the thing, its hull probably, what is far from it is not."""
    points = np.array([(x * (SIDE - 1), y * (SIDE - 1)) for x, y in stroke.points]).round().astype(np.int32)
    line = np.zeros((SIDE, SIDE), np.uint8)
    cv2.polylines(line, [points], False, 1, max(2, round(LINE * SIDE)))
    hull = cv2.fillConvexPoly(line.copy(), cv2.convexHull(points), 1)
    extent = float(np.ptp(points, axis=0).max())
    zone = _dilated(hull > 0, max(REACH * SIDE, HULL_REACH * extent))
    mask = np.where(zone, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    mask[hull > 0] = cv2.GC_PR_FGD
    mask[line > 0] = cv2.GC_FGD
    return mask


def _connected(region: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Those parts of `region` that touch `seeds`, without specks, holes closed; both bool (SIDE, SIDE)."""
    closed = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cross)
    _, labels = cv2.connectedComponents(opened)
    touched = np.unique(labels[seeds & (opened > 0)])
    parts = np.isin(labels, touched[touched > 0])
    outlines, _ = cv2.findContours(parts.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros((SIDE, SIDE), np.uint8), outlines, -1, 1, cv2.FILLED) > 0


def _dilated(region: np.ndarray, pixels: float) -> np.ndarray:
    side = 2 * max(1, round(pixels)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(region.astype(np.uint8), disk) > 0


# -- places ------------------------------------------------------------------------------------------------------------

Box = tuple[float, float, float, float]  # left, top, right, bottom, shares of the frame


def box_of(region: np.ndarray) -> Box:
    """Around a region, bool (SIDE, SIDE)."""
    x, y, w, h = cv2.boundingRect(region.astype(np.uint8))
    return x / SIDE, y / SIDE, (x + w) / SIDE, (y + h) / SIDE


def region_of(box: Box) -> np.ndarray:
    """bool (SIDE, SIDE), all of it."""
    left, top, right, bottom = (round(share * SIDE) for share in box)
    region = np.zeros((SIDE, SIDE), bool)
    region[top:bottom, left:right] = True
    return region


# -- for a student that learnt it --------------------------------------------------------------------------------------


def where_one_sees(theirs: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where `theirs` shows somebody and `other` does not, float32 (h, w) in [0, 1]: bool (SIDE, SIDE); no edges."""
    one, another = (cv2.resize(alpha, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0.5 for alpha in (theirs, other))
    return cv2.morphologyEx((one & ~another).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0


def as_mask(regions: Iterable[np.ndarray], size: tuple[int, int], around: float = 0.0) -> np.ndarray | None:
    """float32 `size` (h, w) in {0, 1} of all of them together and of so much, a share of the width, around them; None
    where they are nowhere.
    """
    together = np.logical_or.reduce([np.zeros((SIDE, SIDE), bool), *regions])
    if not together.any():
        return None
    together = _dilated(together, around * SIDE) if around else together
    return cv2.resize(together.astype(np.float32), size[::-1], interpolation=cv2.INTER_NEAREST)
