"""A published student on a backend: warmed, held against its probe, asked for logits. Knows no thread."""

from __future__ import annotations

import numpy as np

from export.contracts import Probe, Published

from .. import backends
from ..backends import BackendChoice
from ..contracts import Backend
from ..errors import BackendUnavailable, CandidateRejected, ModelError, StudentFault, UnsupportedStudent
from .contrast import PROBE_TOLERANCE, alpha_difference, is_answer, stretched_sigmoid

NO_ANSWER = "the student answered NaN"
MAX_ON_WALL = 0.25  # share of a bare wall taken for a person; students that learn: up to .05, an inverse one: 1


class LoadedStudent:
    """One student, ready to paint. Immutable: new weights are a new object. Used by one thread at a time."""

    def __init__(self, published: Published, backend: BackendChoice, threads: int, judged: bool = True):
        """Build, warm and check. `judged`: by a learner, on real frames; who is not is held against a bare wall.

        Raises
        ------
        ModelError
            The backend cannot load the bytes.
        CandidateRejected
            The student answers NaN, other numbers than the trained one gave for the probe, or takes a wall for a
            person.
        """
        self.version = published.version
        self.mean, self.std = published.mean, published.std
        self.mask_size = (0, 0)  # (h, w) of the logits
        self.vouched = published.vouched  # as there
        self._wall = not judged
        self.backend = backend.create(published.model, threads, lambda made: self._check(made, published.probe))

    @property
    def image(self) -> np.ndarray:
        """float32 (1, 3, h, w), RGB, normalised with `mean` and `std`: to be filled before `logits`."""
        return self.backend.image

    def logits(self) -> np.ndarray:
        """What it says of `image`: float32 (h', w'), person > 0; borrowed until the next call.

        Raises
        ------
        StudentFault
            The runtime failed, or a logit is NaN or out of range.
        """
        logits = self.unchecked_logits()
        if not is_answer(logits):
            raise StudentFault(NO_ANSWER)
        return logits

    def unchecked_logits(self) -> np.ndarray:
        """The same, for whoever looks for NaN and what is out of range. StudentFault where the runtime failed."""
        try:
            logits: np.ndarray = self.backend.run()[0, 0]
        except Exception as error:  # each runtime has its own
            raise StudentFault(f"{type(error).__name__}: {error}") from error
        return logits

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
        elif self._wall:
            np.copyto(backend.image, bare_wall(backend.image.shape, self.mean, self.std))
        try:
            logits = backend.run()  # the first run is the slow one: here, not on a live frame
        except Exception as error:  # each runtime has its own
            raise CandidateRejected(f"student {self.version} cannot be run: {error}") from error
        if logits.ndim != 4 or logits.shape[:2] != (1, 1):
            raise CandidateRejected(f"student {self.version} answers {logits.shape}; expected (1, 1, h, w)")
        if not is_answer(logits):
            raise CandidateRejected(f"student {self.version} answers NaN or infinity")
        self.mask_size = (logits.shape[2], logits.shape[3])
        if self.vouched is not None and self.vouched.shape != self.mask_size:
            raise CandidateRejected(
                f"student {self.version} answers {self.mask_size}, and is vouched for on {self.vouched.shape}"
            )
        if probe is None:
            shown = stretched_sigmoid(logits[0, 0], np.empty(self.mask_size, np.float32))
            if self._wall and shown > MAX_ON_WALL:
                raise CandidateRejected(
                    f"student {self.version} takes {shown:.0%} of a bare wall for a person; at most {MAX_ON_WALL:.0%} "
                    "is allowed, for it would show the room"
                )
            return
        if probe.logits.shape != logits.shape:
            raise CandidateRejected(f"student {self.version} answers {logits.shape}, trained {probe.logits.shape}")
        difference = alpha_difference(logits, probe.logits)
        if not difference <= PROBE_TOLERANCE:
            raise CandidateRejected(
                f"student {self.version} differs from the trained one by {difference:.3g} of alpha; "
                f"at most {PROBE_TOLERANCE} is allowed"
            )


def load_on_cpu(published: Published) -> LoadedStudent:
    """On the fastest backend of the CPU that is there and can run it, one thread. Errors as for LoadedStudent."""
    for name in backends.ON_CPU[:-1]:
        try:
            return LoadedStudent(published, backends.load(name, wait=False), 1)
        except (BackendUnavailable, UnsupportedStudent):
            continue
    return LoadedStudent(published, backends.load(backends.ON_CPU[-1]), 1)


def bare_wall(shape: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """float32 (1, 3, h, w), normalised: a grey wall with light from the right. Nobody is there."""
    _, _, h, w = shape
    light = (
        np.float32(0.35) + np.linspace(0, 0.3, w, dtype=np.float32) + np.linspace(0, 0.1, h, dtype=np.float32)[:, None]
    )
    return np.stack([(light - m) / s for m, s in zip(mean, std, strict=True)])[None].astype(np.float32)
