"""The witness: the student as it is shipped, which nothing that is learnt or given can change.

It is asked where the student that paints is in doubt, or new. It takes a lamp for a person now and then, but what it
never sees at all is no person: what it does not bear out is not painted (engine.painting.guard).
"""

from __future__ import annotations

import logging
import threading

import numpy as np

from kernels import Kernels

from .contrast import stretched_sigmoid
from .loaded_student import LoadedStudent, load_on_cpu

log = logging.getLogger("jit_masker")

STUDENT = "lite"
MIN_ALPHA = 0.15  # alpha from which a student sees somebody, however unsure
DILATION = 0.04  # of the mask's width, around what it sees


class Witness:
    """Loads itself on a thread of its own. Asked by one thread."""

    def __init__(self, kernels: Kernels):
        self._kernels = kernels
        self._student: LoadedStudent | None = None
        self._alpha = self._fitted = np.empty((0, 0), np.float32)
        # no daemon: the interpreter waits for it at its end, and does not tear it out of the runtime
        self._thread = threading.Thread(target=self._load, name="witness")
        self._thread.start()

    def wait(self) -> None:
        """Until it is there, or cannot be had."""
        self._thread.join()

    def alpha(self, bgr: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
        """What it sees in a frame uint8 (H, W, 3): float32 `size` (h, w) in [0, 1], borrowed until the next call.

        None where it is not there yet, or has no answer.
        """
        import cv2

        student = self._student
        if student is None:
            return None
        if self._fitted.shape != size:
            self._fitted = np.empty(size, np.float32)
        self._kernels.preprocess(bgr, student.mean, student.std, student.image)
        try:
            stretched_sigmoid(student.logits(), self._alpha)
        except Exception as error:  # as if it were not there: what is in doubt is covered
            self._student = None
            log.error("the shipped student fails: %s", error)
            return None
        return np.asarray(cv2.resize(self._alpha, size[::-1], dst=self._fitted, interpolation=cv2.INTER_LINEAR))

    def _load(self) -> None:
        from export.publish import load_student, publish_initial
        from export.students import input_size

        try:
            size = input_size(STUDENT, None)
            student = load_on_cpu(publish_initial(load_student(STUDENT, size), size))
        except Exception as error:  # then whatever is in doubt is covered
            log.error("the shipped student cannot be loaded: %s", error)
            return
        self._alpha = np.empty(student.mask_size, np.float32)
        self._student = student


def added(claimed: np.ndarray, *shown: np.ndarray) -> float:
    """Share of the frame that `claimed`, (h, w) in [0, 1] or bool, adds to what is shown and to around it.

    `shown` are alphas (h, w) in [0, 1], or bool; what any of them shows counts.
    """
    import cv2

    side = 2 * max(1, round(DILATION * claimed.shape[1])) + 1
    somebody = np.logical_or.reduce([alpha > MIN_ALPHA for alpha in shown])
    near = cv2.dilate(somebody.astype(np.uint8), np.ones((side, side), np.uint8))
    return float(np.mean(claimed * (near == 0)))
