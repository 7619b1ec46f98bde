"""A thing that the user drew over, and how it is known again: by its colours, about where somebody expects it.

Colours are two mixtures of Gaussians, of the thing and of all else, and what belongs to the thing is the cheapest cut
between them: GrabCut (Rother, Kolmogorov, Blake 2004), OpenCV's. Knows nothing of students or labels.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..contracts import Correction
from ..stroke import Stroke

SIDE = 128  # px; pictures are looked at so large: a cut takes 5 ms
LINE = 0.02  # of the side: how broad a stroke is
REACH = 0.12  # of the side: how far beyond the stroke's hull a thing may go, at least
HULL_REACH = 0.6  # likewise, of the hull's own extent
MAX_AREA = 0.4  # share of the frame; a larger thing is the room
MIN_AREA = 0.002  # share of the frame; less was not found
MOVED = 0.1  # of the side: how far a thing moves from one label to the next
FRAME = 6  # px around where it is sought, which show what is beside it
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
    cv2.grabCut(picture, mask, None, others, objects, CUTS, cv2.GC_INIT_WITH_MASK)
    region = _connected((mask & 1) > 0, mask == cv2.GC_FGD)
    area = float(region.mean())
    found = MIN_AREA <= area <= MAX_AREA
    if not found:
        region[:] = False
    return Correction(stroke.keep, area if found else 0.0, found, objects, others), region


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
    cv2.grabCut(np.ascontiguousarray(picture[cut]), mask, None, others, objects, 1, cv2.GC_EVAL_FREEZE_MODEL)
    region = nothing
    region[cut] = (mask & 1) > 0
    region = _connected(region, expected)
    return region if MIN_AREA <= region.mean() <= min(MAX_AREA, 3 * correction.area) else np.zeros_like(region)


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
