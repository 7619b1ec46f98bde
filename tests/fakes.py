"""Stand-ins that misbehave on purpose, each named for what it does."""

import threading

import numpy as np

from engine.backends.ort_cpu import OrtCpu
from engine.errors import CandidateRejected
from export.contracts import Published


def faulty_backend(*answers):
    """A backend class: ONNX Runtime, whose runs answer in turn what `answers` say once the first student is loaded.

    A number fills the logits, an exception is raised, None is what the student really says; after the last answer it
    begins again with the first.
    """

    class Faulty(OrtCpu):
        runs = -1  # loading a student runs it once

        def run(self):
            logits = super().run()
            run, Faulty.runs = Faulty.runs, Faulty.runs + 1
            answer = answers[run % len(answers)] if run >= 0 else None
            if isinstance(answer, Exception):
                raise answer
            return logits if answer is None else np.full_like(logits, answer)

    return Faulty


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


class RecordingLearner:
    """Keeps what it is offered; learns nothing."""

    def __init__(self):
        self.offered = []  # (bgr, logits, scene)

    def offer(self, bgr, logits, scene):
        self.offered.append((bgr.copy(), logits.copy(), scene))

    stats = failure = None

    def close(self):
        pass
