"""Whether a student may go live: it is held against the one that paints and against the start, as it will run.

Every student here runs in ONNX Runtime, on the graph that is published. Who paints it in another runtime compares that
one's answer with the probe: see `engine.painting.loaded_student`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from engine import backends
from engine.painting.contrast import sigmoid
from engine.painting.loaded_student import LoadedStudent
from engine.painting.witness import added
from export.contracts import Published

from .replay import LabelledFrame
from .score import iou_acc

MAX_REGRESSION = 0.05  # score; how much worse than the live one it may fit the newest labelled frame
MAX_FORGOTTEN = 0.15  # score; and an older one: where the camera moves, another view has to be left behind
MAX_ADDED = 0.08  # share of the frame at hand where it sees a person, and neither the live one nor the start one near
MAX_LOST = 0.2  # share of the frame at hand that it may see less of a person than the live one and the newest label


class Candidate:
    """A student that may go live, or did."""

    def __init__(self, published: Published, weights: Mapping[str, Tensor]):
        """Load it; `weights` are what it is made of. ModelError or CandidateRejected if that fails."""
        self.published, self.weights = published, weights
        self._student = LoadedStudent(published, backends.load("ort-cpu"), 1)

    def logits(self, image: np.ndarray) -> np.ndarray:
        """float32 (h', w') for an image float32 (1, 3, h, w); borrowed until the next call. StudentFault for NaN."""
        np.copyto(self._student.image, image)
        return self._student.logits()

    def alpha(self, image: np.ndarray) -> np.ndarray:
        """float32 (h', w') in [0, 1] for an image float32 (1, 3, h, w), a new array. StudentFault for NaN."""
        logits = self.logits(image)
        return sigmoid(logits, np.empty_like(logits))

    def score(self, frame: LabelledFrame, min_area: float) -> float:
        """How well it fits a labelled frame, in [0, 1]."""
        return iou_acc(frame.label_array, self.alpha(frame.image_array), min_area)


class CandidateJudge:
    """Holds the students that another one is measured by. Three are kept: the start, the live one, the one before."""

    def __init__(self, start: Candidate, min_area: float):
        """`min_area`: as in `training.online.score.iou_acc`."""
        self.start = self.live = start
        self.before: Candidate | None = None  # what was live when the label before the newest came
        self._min_area = min_area

    def on_label(self) -> None:
        """A label came for a frame that the live student painted: what goes live from now on has learnt from it."""
        self.before = self.live

    def __call__(
        self,
        candidate: Candidate,
        frames: Sequence[LabelledFrame],
        image: np.ndarray,
        vouched: np.ndarray | None = None,
    ) -> str | None:
        """Why `candidate` may not go live; None if it may.

        Parameters
        ----------
        frames : labelled; the newest first.
        image : float32 (1, 3, h, w), the frame at hand. A step too far can fit the frame it was made on, and see half
            of the room as a person on the next.
        vouched : as in `export.contracts.Published`.
        """
        for frame in frames:
            score, live = candidate.score(frame, self._min_area), self.live.score(frame, self._min_area)
            if not score >= live - (MAX_REGRESSION if frame is frames[0] else MAX_FORGOTTEN):
                return f"a student fits a label by {score:.3f}, and the live one by {live:.3f}"
        now, live_now = candidate.alpha(image), self.live.alpha(image)
        elsewhere = np.maximum(live_now, self.start.alpha(image))
        more = added(now > 0.5, elsewhere if vouched is None else np.maximum(elsewhere, vouched))
        if more > MAX_ADDED:
            return f"a student sees a person on {more:.0%} of the frame where no other does"
        least = min(float(live_now.mean()), float(frames[0].label_array.mean()))
        if float(now.mean()) < least - MAX_LOST:
            return (
                f"a student sees a person on {now.mean():.0%} of the frame, and the live one on {live_now.mean():.0%}"
            )
        return None
