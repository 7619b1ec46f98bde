"""When nothing moves, nothing runs: what the student said of a picture holds until the picture changes.

The student's input is held against the one that it answered last, not against the frame before: a slow drift adds up
until it shows. Noise of a camera is no change, a finger is: `kernels.reference.find_motion`. Only the answer is reused;
all that is made of it and of the frame (guard, smoothing, edges, composite) is made anew. Knows neither.
"""

from __future__ import annotations

import weakref

import numpy as np

from kernels import Kernels

from .loaded_student import LoadedStudent

MAX_AGE = 0.5  # s that an answer may be reused: what is too faint to be seen as a change is not missed for longer


class StillGate:
    """Asks students, where that is needed. Used by the thread that paints."""

    def __init__(self, kernels: Kernels):
        self._kernels = kernels
        self._student: weakref.ref[LoadedStudent] | None = None  # whose answer it is; None: there is none
        self._logits = np.empty((0, 0), np.float32)  # the answer; the student's own, which stays until it runs again
        self._image = np.empty((1, 3, 0, 0), np.float32)  # what it was shown then
        self._answered_at = 0.0  # s
        self._row = 0  # of blocks, in which something moved last

    def answer(self, student: LoadedStudent, position: float, settled: bool) -> tuple[np.ndarray, bool]:
        """What `student` says of its `image`, and whether that is what it said of an earlier one.

        Parameters
        ----------
        position : s, of the frame in its stream.
        settled : False: a scene begins, or its student was in doubt a moment ago; it is asked.

        Raises
        ------
        StudentFault
            As `LoadedStudent.unchecked_logits`.
        """
        if settled and self._holds(student, position):
            return self._logits, True
        self._student = None
        self._logits = student.unchecked_logits()
        if not settled:
            return self._logits, False
        if self._image.shape != student.image.shape:
            self._image = np.empty_like(student.image)
        np.copyto(self._image, student.image)
        self._student, self._answered_at = weakref.ref(student), position
        return self._logits, False

    def _holds(self, student: LoadedStudent, position: float) -> bool:
        if self._student is None or self._student() is not student or not 0 <= position - self._answered_at < MAX_AGE:
            return False
        row = self._kernels.find_motion(student.image, student.std, self._image, self._row)
        self._row = max(row, 0)
        return row < 0

    def reset(self) -> None:
        """Another stream begins."""
        self._student = None
