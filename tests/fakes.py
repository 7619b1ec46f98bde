"""Stand-ins that misbehave on purpose, each named for what it does."""

import threading

import numpy as np

from engine.errors import CandidateRejected
from export.contracts import Published
from export.students import STUDENTS

SIZE = STUDENTS["lite"].size


class FaultyBackend:
    """Answers logits of its own choice; one per call of `run`."""

    name, provider = "faulty", "none"

    def __init__(self, *answers):
        self.image = np.zeros((1, 3, *SIZE), np.float32)
        self._answers = iter(answers)

    def run(self):
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return np.full((1, 1, *SIZE), answer, np.float32)


class FigureTeacher:
    """Knows the truth about a SyntheticPerson: finds the frame it is shown among the first `frames`."""

    def __init__(self, figure, frames):
        self._masks = {figure.picture(i).tobytes(): figure.mask(i) for i in range(frames)}

    def __call__(self, bgr):
        return self._masks[bgr.tobytes()].astype(np.float32) / 255


class RaisingTeacher:
    """Raises `error`."""

    def __init__(self, error=None):
        self._error = error or RuntimeError("no labels today")

    def __call__(self, bgr):
        raise self._error


class HangingTeacher:
    """Does not answer before `release` is set."""

    def __init__(self):
        self.release = threading.Event()

    def __call__(self, bgr):
        self.release.wait(30)
        return np.ones(bgr.shape[:2], np.float32)


class NonsenseTeacher:
    """Answers `answer`, which is no label."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, bgr):
        return self.answer


class CollectingMasker:
    """Keeps what is published; refuses the versions in `refuse`."""

    def __init__(self, refuse=()):
        self.published: list[Published] = []
        self.refuse = refuse

    def swap(self, published):
        if published.version in self.refuse:
            raise CandidateRejected(f"student {published.version} is refused by this test")
        self.published.append(published)
