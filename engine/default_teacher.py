"""The teacher that nobody asked for by name: where it cannot be had, the start student paints, said once."""

from __future__ import annotations

import logging

from .contracts import RoomOptions
from .errors import BackendUnavailable, JitMaskerError, ModelError
from .learning import LIVE_LEARNER
from .masker import Masker
from .options import Options
from .painting.edge_options import EdgeOptions
from .teacher_options import TeacherOptions

log = logging.getLogger("jit_masker")


def open_masker(options: Options, lockstep: bool, rooms: RoomOptions | None = None) -> Masker:
    """The masker; without a learner, and with a word on how to learn, where the default teacher cannot be had."""

    def make(teacher: TeacherOptions | None) -> Masker:
        return Masker(
            options.backend, teacher, options.background, student=options.student, size=options.size,
            weights=options.weights, threads=options.threads, recipe=options.recipe,
            learning_budget=options.learning_budget, learner="thread" if lockstep else LIVE_LEARNER, lockstep=lockstep,
            min_area=options.min_area, edges=EdgeOptions(options.threshold, options.feather, options.light_wrap),
            seed=options.seed, rooms=rooms,
        )  # fmt: skip

    try:
        return make(options.teaching)
    except JitMaskerError as error:
        if options.teaching is None or not can_do_without(error, options):
            raise
        masker = make(None)  # raises again where it was not for the teacher
        log.warning("%s", without_learning(error))
        return masker


def can_do_without(failure: JitMaskerError, options: Options) -> bool:
    """Whether a run goes on without its learner: nobody asked for this teacher, and it cannot be had here."""
    return "teacher" not in options.model_fields_set and isinstance(failure, BackendUnavailable | ModelError)


def without_learning(failure: JitMaskerError) -> str:
    """What is said once where the default teacher cannot be had; the first line of the failure is its reason, and
    where something is not installed, also the remedy.
    """
    reason = str(failure).partition("\n")[0].rstrip(":")
    remedy = "" if isinstance(failure, BackendUnavailable) else ". To learn: jm-engine models pull rvm"
    return f"nothing is learnt, and the start student paints: {reason}{remedy}"
