"""A student that can go live: a backend with its buffers, warmed and held against its probe. Knows no thread."""

from __future__ import annotations

import logging

import numpy as np

from export.contracts import Probe, Published

from .. import backends
from ..backends import BackendChoice
from ..contracts import Backend
from ..errors import CandidateRejected, ModelError

log = logging.getLogger("jit_masker")

MAX_LOGIT = 1e4  # a larger one is a fault, not a confident student
LEVELS = (0.1, 0.9)  # of the sigmoid; symmetric, so that 0.5 stays where it is
PROBE_TOLERANCE = 0.01  # of alpha, largest difference; float32 runtimes agree to 1e-5


class LoadedStudent:
    """One published student on one backend. Immutable: new weights are a new object."""

    def __init__(self, published: Published, backend: BackendChoice, threads: int):
        """Build, warm and check.

        Raises
        ------
        ModelError
            The backend cannot load the bytes.
        CandidateRejected
            The student answers NaN, or other numbers than the trained one gave for the probe.
        """
        self.version = published.version
        self.mean, self.std = published.mean, published.std
        self.alpha = np.empty((0, 0), np.float32)
        self.backend = backend.create(published.model, threads, lambda made: self._check(made, published.probe))

    def _check(self, backend: Backend, probe: Probe | None) -> None:
        """Run the student once: a backend that has several ways to make it tries the next when this raises."""
        if backend.image.ndim != 4 or backend.image.shape[:2] != (1, 3):
            raise ModelError(f"the student's input is {backend.image.shape}; expected (1, 3, h, w)")
        if probe is not None:
            if probe.image.shape != backend.image.shape:
                raise CandidateRejected(
                    f"student {self.version} takes {backend.image.shape}, and its probe is {probe.image.shape}"
                )
            np.copyto(backend.image, probe.image)
        try:
            logits = backend.run()  # the first run is the slow one: here, not on a live frame
        except Exception as error:  # each runtime has its own
            raise CandidateRejected(f"student {self.version} cannot be run: {error}") from error
        if logits.ndim != 4 or logits.shape[:2] != (1, 1):
            raise CandidateRejected(f"student {self.version} answers {logits.shape}; expected (1, 1, h, w)")
        self.alpha = np.zeros(logits.shape[2:], np.float32)
        if to_alpha(logits[0, 0], self.alpha) is None:
            raise CandidateRejected(f"student {self.version} answers NaN or infinity")
        if probe is None:
            return
        if probe.logits.shape != logits.shape:
            raise CandidateRejected(f"student {self.version} answers {logits.shape}, trained {probe.logits.shape}")
        difference = disagreement(logits, probe.logits)
        if not difference <= PROBE_TOLERANCE:
            raise CandidateRejected(
                f"student {self.version} differs from the trained one by {difference:.3g} of alpha; "
                f"at most {PROBE_TOLERANCE} is allowed"
            )


def first_student(name: str, published: Published, threads: int) -> tuple[BackendChoice, LoadedStudent]:
    """The backend called `name` with the first student on it. "auto" leaves a GPU on which that fails, and says so.

    Raises
    ------
    UsageError, BackendUnavailable, ModelError, CandidateRejected
        No such backend, its runtime is missing, or it cannot run the student.
    """
    failed: dict[str, str] = {}
    while True:
        choice = backends.load(name, failed)
        try:
            return choice, LoadedStudent(published, choice, threads)
        except Exception as error:  # a driver can fail in any way
            if name != "auto" or choice.name not in backends.ON_GPU:
                raise
            failed[choice.name] = f"{type(error).__name__}: {error}"
            log.warning("backend %s is passed over: %s", choice.name, failed[choice.name])


def disagreement(logits: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of alpha between two answers (1, 1, h, w); infinity where one is no answer."""
    alphas = np.empty((2, *logits.shape[2:]), np.float32)
    areas = [to_alpha(given[0, 0], alpha) for given, alpha in zip((logits, expected), alphas, strict=True)]
    return float("inf") if None in areas else float(np.abs(alphas[0] - alphas[1]).max())


def to_alpha(logits: np.ndarray, out: np.ndarray, threshold: float = 0.0) -> float | None:
    """Sigmoid of `logits` - `threshold`, stretched so that LEVELS become 0 and 1, into `out`; both float32 (h, w).

    A student that is a little unsure must neither let the room shine through nor make the person translucent.
    Allocates nothing.

    Returns
    -------
    The mean alpha, share of the frame that is person, in [0, 1]; None where a logit is NaN or beyond MAX_LOGIT.
    """
    low, high = logits.min(), logits.max()  # NaN comes through both
    if not (low >= -MAX_LOGIT and high <= MAX_LOGIT):
        return None
    np.subtract(threshold, logits, out=out)
    np.clip(out, -30, 30, out=out)  # exp stays finite; alpha is 0 or 1 to float32 there
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)
    out -= LEVELS[0]
    out *= 1 / (LEVELS[1] - LEVELS[0])
    np.clip(out, 0, 1, out=out)
    return float(out.mean())
