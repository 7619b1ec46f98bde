"""A student that can go live: a backend with its buffers, warmed and held against its probe. Knows no thread."""

from __future__ import annotations

import numpy as np

from .backends import Choice
from .contracts import Published
from .errors import CandidateRejected, ModelError

MAX_LOGIT = 1e4  # a larger one is a fault, not a confident student
LEVELS = (0.1, 0.9)  # of the sigmoid; symmetric, so that 0.5 stays where it is
PROBE_TOLERANCE = 0.01  # of alpha, largest difference; float32 runtimes agree to 1e-5


class LiveStudent:
    """One published student on one backend. Immutable: new weights are a new object."""

    def __init__(self, published: Published, backend: Choice, threads: int):
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
        self.backend = backend(published.model, threads)
        if self.backend.image.ndim != 4 or self.backend.image.shape[:2] != (1, 3):
            raise ModelError(f"the student's input is {self.backend.image.shape}; expected (1, 3, h, w)")
        probe = published.probe
        if probe is not None:
            if probe.image.shape != self.backend.image.shape:
                raise CandidateRejected(
                    f"student {self.version} takes {self.backend.image.shape}, and its probe is {probe.image.shape}"
                )
            np.copyto(self.backend.image, probe.image)
        try:
            logits = self.backend.run()  # the first run is the slow one: here, not on a live frame
        except Exception as error:  # each runtime has its own
            raise CandidateRejected(f"student {self.version} cannot be run: {error}") from error
        if logits.ndim != 4 or logits.shape[:2] != (1, 1):
            raise CandidateRejected(f"student {self.version} answers {logits.shape}; expected (1, 1, h, w)")
        self.alpha = np.zeros(logits.shape[2:], np.float32)
        if to_alpha(logits[0, 0], self.alpha) is None:
            raise CandidateRejected(f"student {self.version} answers NaN or infinity")
        if probe is not None:
            self._compare(probe.logits)

    def _compare(self, expected: np.ndarray) -> None:
        if expected.shape[2:] != self.alpha.shape:
            raise CandidateRejected(f"student {self.version} answers {self.alpha.shape}, trained {expected.shape[2:]}")
        trained = np.empty_like(self.alpha)
        area = to_alpha(expected[0, 0], trained)
        difference = float(np.abs(trained - self.alpha).max())
        if area is None or not difference <= PROBE_TOLERANCE:
            raise CandidateRejected(
                f"student {self.version} differs from the trained one by {difference:.3g} of alpha; "
                f"at most {PROBE_TOLERANCE} is allowed"
            )


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
