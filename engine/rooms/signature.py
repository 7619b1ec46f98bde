"""What a place looks like to the shipped student: its features over a grid, without the person in front of them.

Each channel is brought to mean 0 and deviation 1 over what is room, so that exposure and a lamp's colour change little
(docs/decisions.md, "Rooms").
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from export.fold import fold
from export.graph import build_with_features
from export.publish import load_student
from export.students import architecture, input_size
from kernels import Kernels

from ..backends.ort_cpu import session_options
from ..painting.contrast import sigmoid

STUDENT = "lite"  # the shipped one looks, whichever student paints
LEVEL = 2  # of the encoder: features at 1/8 of its input
GRID = (6, 8)  # rows, columns
CHANNELS = 24
MARGIN = 17  # pixels of the student's input, around the person: what is seen there is not the room's own
LEAST_ROOM = 0.2  # share of a cell below which it says nothing
LEAST_SEEN = 0.15  # share of the grid that two signatures must both have seen to be compared
DEVIATION = 1e-3  # added: a channel that is the same everywhere says nothing


@dataclass(frozen=True)
class Signature:
    """What one place looks like."""

    cells: np.ndarray  # float32 (6, 8, 24), standardised features; 0 where no room was seen
    weights: np.ndarray  # float32 (6, 8) in [0, 1], how much of the cell was room

    def similarity(self, other: Signature) -> float:
        """Cosine of the cells that both have seen, in [-1, 1]; 0 where that are too few."""
        return float(self.similarities(other.cells[None], other.weights[None])[0])

    def similarities(self, cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The same with n signatures at once: float32 (n, 6, 8, 24) and (n, 6, 8) -> (n,)."""
        both = np.minimum(self.weights, weights)
        product = (both * np.einsum("nhwc,hwc->nhw", cells, self.cells)).sum((1, 2))
        ours = (both * (self.cells**2).sum(2)).sum((1, 2))
        theirs = (both * np.einsum("nhwc,nhwc->nhw", cells, cells)).sum((1, 2))
        cosine = product / np.maximum(np.sqrt(ours * theirs), 1e-9)
        return np.where(both.sum((1, 2)) < LEAST_SEEN * self.weights.size, 0, cosine)

    def merged(self, newer: Signature, share: float) -> Signature:
        """This one, moved by `share` in [0, 1] towards a newer one where that saw the room, filled in where only that
        did.
        """
        old, new = self.weights * (1 - share), newer.weights * share
        total = np.maximum(old + new, 1e-9)[..., None]
        cells = (self.cells * old[..., None] + newer.cells * new[..., None]) / total
        return Signature(cells.astype(np.float32), np.maximum(self.weights, newer.weights))


@dataclass(frozen=True)
class Look:
    """What the shipped student says of one frame."""

    alpha: np.ndarray  # float32 (h, w) in [0, 1]
    signature: Signature


class Observer:
    """The shipped student, asked what a place looks like. Used by one thread at a time."""

    def __init__(self, kernels: Kernels):
        """Load it. ModelError where that fails."""
        import onnxruntime

        size = input_size(STUDENT, None)
        definition = architecture(STUDENT, size)
        self._kernels, self._mean, self._std = kernels, definition.mean, definition.std
        model = build_with_features(STUDENT, fold(load_student(STUDENT, size).tensors), size, LEVEL)
        self._session = onnxruntime.InferenceSession(model, session_options(1), providers=["CPUExecutionProvider"])
        self._image = np.zeros((1, 3, *size), np.float32)

    def __call__(self, bgr: np.ndarray) -> Look:
        """A look at a frame uint8 (H, W, 3)."""
        self._kernels.preprocess(bgr, self._mean, self._std, self._image)
        logits, features = self._session.run(None, {"image": self._image})
        alpha = sigmoid(logits[0, 0], np.empty(logits.shape[2:], np.float32))
        return Look(alpha, signature_of(features[0], alpha))


def signature_of(features: np.ndarray, alpha: np.ndarray) -> Signature:
    """The signature of features float32 (24, h, w) behind a person of `alpha` float32 (H, W) in [0, 1]."""
    h, w = features.shape[1:]
    person = cv2.dilate(alpha, np.ones((MARGIN, MARGIN), np.uint8))
    room = np.clip(1 - cv2.resize(person, (w, h), interpolation=cv2.INTER_AREA), 0, 1)
    seen = max(float(room.sum()), 1e-6)
    mean = (features * room).sum((1, 2), keepdims=True) / seen
    centred = features - mean
    deviation = np.sqrt((centred**2 * room).sum((1, 2), keepdims=True) / seen)
    standard = centred / (deviation + DEVIATION) * room
    summed = np.stack([cv2.resize(c, GRID[::-1], interpolation=cv2.INTER_AREA) for c in standard], 2)
    weights = cv2.resize(room, GRID[::-1], interpolation=cv2.INTER_AREA)
    weights[weights < LEAST_ROOM] = 0
    cells = np.where(weights[..., None] > 0, summed / np.maximum(weights, LEAST_ROOM)[..., None], 0)
    return Signature(cells.astype(np.float32), weights)
