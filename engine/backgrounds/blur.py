"""The room, out of focus, without a halo of the person. Knows nothing of where the mask comes from.

A plain blur smears the person over the room beside them. Here the person has no weight (normalised convolution):

    background = blur(bgr * (1 - alpha)) / blur(1 - alpha)

How strong it has to be, so that nothing in the room can be read, was measured (FLOOR, MIN_GAP): see docs/decisions.md.
"""

from __future__ import annotations

import logging

import numpy as np

from ..errors import UsageError

log = logging.getLogger("jit_masker")

DEFAULT_STRENGTH = 0.6
FLOOR = 0.4  # the least strength painted: of a poster half as high as the frame's larger side nothing can be read
FULL_SIGMA = 1 / 16  # of the frame's larger side at strength 1; 40 px at 640x480
UNMASKED_SIGMA = 1 / 8  # likewise, while there is no mask: neither the room nor the person may be made out
SMALL_SIGMA = 2.0  # px, the least in the scaled-down frame: there a blur looks the same and costs a hundredth
PERSON_GAIN = 4.0  # a pixel of the scaled-down frame that is a quarter person already has no weight: it is tinted
TINY = 1e-3  # of full weight; where the room has less, what is seen of it farther away takes over: WIDER sigmas away
WIDER = 4  # and its mean colour where there is none either
# Sigmas; a gap in the person that is narrower (a bent arm, two people side by side) shows the room around them instead.
# Its own colour would be the mean of that gap alone, sharper than any blur, and as the person moves it passes over all.
MIN_GAP = 2.5


def parse_strength(spec: str) -> float:
    """The strength in "blur" or "blur:STRENGTH"; UsageError where it is not above 0 and at most 1."""
    _, given, text = spec.partition(":")
    try:
        strength = float(text) if given else DEFAULT_STRENGTH
    except ValueError:
        strength = float("nan")
    if not 0 < strength <= 1:
        raise UsageError(f"background {spec!r}: the strength must be above 0 and at most 1, as in blur:0.6")
    return strength


class Blur:
    """The frame's own room, blurred. `strength` in (0, 1]; below FLOOR it is painted at FLOOR, and that is said."""

    transparent = still = False

    def __init__(self, strength: float = DEFAULT_STRENGTH) -> None:
        import cv2

        self._cv2 = cv2
        self._strength = max(strength, FLOOR)
        if strength < FLOOR:
            log.warning("blur:%g is painted as blur:%g: with less, writing in the room can be read", strength, FLOOR)
        self._out = np.empty((0, 0, 3), np.uint8)

    def picture(self, bgr: np.ndarray, alpha: np.ndarray | None, position: float) -> np.ndarray:
        """See `Background`. Where the person hides the room it is what is seen farther away, at last the mean."""
        cv2 = self._cv2
        if self._out.shape != bgr.shape:
            self._allocate(bgr.shape)
        small = self._shrunk(bgr)
        self._weigh(alpha)
        np.copyto(self._weighted[:, :, :3], small)
        for c in range(3):  # one by one: all at once, NumPy makes a buffer on each frame, and takes three times as long
            np.multiply(self._weighted[:, :, c], self._room, out=self._weighted[:, :, c])
        self._weighted[:, :, 3] = self._room
        share = UNMASKED_SIGMA if alpha is None else self._strength * FULL_SIGMA
        sigma = share * max(bgr.shape[:2]) * self._scale
        # Zero beyond the frame: there is no room. Its border repeated there would weigh as much as all that is inside,
        # and it is not blurred across.
        cv2.GaussianBlur(self._weighted, (0, 0), sigma, dst=self._blurred, borderType=cv2.BORDER_CONSTANT)
        cv2.resize(self._weighted, self._wide.shape[1::-1], dst=self._wide, interpolation=cv2.INTER_AREA)
        cv2.GaussianBlur(self._wide, (0, 0), sigma, dst=self._wide, borderType=cv2.BORDER_CONSTANT)
        cv2.add(self._wide, self._mean(), dst=self._wide)
        cv2.resize(self._wide, self._small.shape[1::-1], dst=self._far, interpolation=cv2.INTER_LINEAR)
        cv2.scaleAdd(self._far, TINY, self._blurred, dst=self._blurred)
        for c in range(3):
            np.divide(self._blurred[:, :, c], self._blurred[:, :, 3], out=self._colour[:, :, c])
        cv2.convertScaleAbs(self._colour, dst=self._small)
        cv2.resize(self._small, bgr.shape[1::-1], dst=self._out, interpolation=cv2.INTER_LINEAR)
        return self._out

    def close(self) -> None:
        pass

    def _allocate(self, shape: tuple[int, ...]) -> None:
        H, W, _ = shape
        sigma = self._strength * FULL_SIGMA * max(H, W)
        # Exact halvings, for which an odd row or column is left out, are OpenCV's fast path: one step by 8 takes twice
        # as long, one by 9 six times. What is left out adds up to less than one pixel of the smallest.
        halvings = int(np.log2(max(sigma / SMALL_SIGMA, 1)))
        self._scale = 0.5**halvings
        sizes = [(H, W)]
        for _ in range(halvings):
            sizes.append((max(1, sizes[-1][0] // 2), max(1, sizes[-1][1] // 2)))
        self._steps = [np.empty((h, w, 3), np.uint8) for h, w in sizes[1:]]
        h, w = sizes[-1]
        self._out = np.empty((H, W, 3), np.uint8)
        self._small = np.empty((h, w, 3), np.uint8)
        self._alpha = np.empty((h, w), np.float32)
        self._room = np.empty((h, w), np.float32)
        self._weighted = np.empty((h, w, 4), np.float32)
        self._blurred = np.empty((h, w, 4), np.float32)
        self._wide = np.empty((-(-h // WIDER), -(-w // WIDER), 4), np.float32)
        self._far = np.empty((h, w, 4), np.float32)
        self._colour = np.empty((h, w, 3), np.float32)
        self._around = np.ones((3, 3), np.uint8)
        self._gap = np.ones([2 * round(MIN_GAP * sigma * self._scale / 2) + 1] * 2, np.uint8)

    def _shrunk(self, bgr: np.ndarray) -> np.ndarray:
        for step in self._steps:
            h, w = step.shape[:2]
            self._cv2.resize(bgr[: 2 * h, : 2 * w], (w, h), dst=step, interpolation=self._cv2.INTER_AREA)
            bgr = step
        return bgr

    def _weigh(self, alpha: np.ndarray | None) -> None:
        """`_room`, in [0, 1]: how much each pixel of the scaled-down frame says about the room."""
        cv2 = self._cv2
        if alpha is None:
            self._room.fill(1)
            return
        cv2.resize(alpha, self._alpha.shape[::-1], dst=self._alpha, interpolation=cv2.INTER_AREA)
        # One pixel more than the mask says: masks are a little too narrow more often than too wide, and a rim of the
        # person left in the room is the halo that is seen.
        cv2.dilate(self._alpha, self._around, dst=self._room)
        np.multiply(self._room, -PERSON_GAIN, out=self._room)
        self._room += 1
        np.clip(self._room, 0, 1, out=self._room)
        cv2.erode(self._room, self._gap, dst=self._alpha)
        cv2.dilate(self._alpha, self._gap, dst=self._room)

    def _mean(self) -> tuple[float, ...]:
        """TINY of the room's mean colour and of its weight; black where there is no room."""
        *colour, weight = self._cv2.mean(self._weighted)
        if weight < TINY:
            return (0.0, 0.0, 0.0, TINY)
        return (*(TINY * channel / weight for channel in colour), TINY)
