"""The teacher that nobody asked for by name: where it cannot be had, the start student paints, said once."""

from __future__ import annotations

import logging

from export.students import input_size

from .contracts import KeepOptions, RoomOptions
from .errors import BackendUnavailable, JitMaskerError, ModelError
from .learning import LIVE_LEARNER
from .masker import Masker
from .options import Options
from .painting.edge_options import EdgeOptions
from .personal.start import Profile, find_profile
from .teacher_options import TeacherOptions

log = logging.getLogger("jit_masker")


def open_masker(
    options: Options,
    lockstep: bool,
    rooms: RoomOptions | None = None,
    keep: KeepOptions | None = None,
    still_gate: bool = False,
) -> Masker:
    """The masker; without a learner, and with a word on how to learn, where the default teacher cannot be had. It
    begins with the user's profile, where there is one, unless other weights are asked for.
    """
    profile = None
    if options.weights is None and options.profile == "on":
        profile = find_profile(options.student, input_size(options.student, options.size))

    def make(teacher: TeacherOptions | None, profile: Profile | None = profile) -> Masker:
        return Masker(
            options.backend, teacher, options.background, student=options.student, size=options.size,
            weights=options.weights if profile is None else profile.path, threads=options.threads,
            recipe=options.recipe, learning_budget=options.learning_budget,
            learner="thread" if lockstep else LIVE_LEARNER, lockstep=lockstep, min_area=options.min_area,
            edges=EdgeOptions(options.threshold, options.feather, options.light_wrap), seed=options.seed, rooms=rooms,
            keep=keep, still_gate=still_gate,
        )  # fmt: skip

    def open_as_profile_allows(teacher: TeacherOptions | None) -> Masker:
        try:
            return make(teacher)
        except ModelError:
            if profile is None:
                raise
            masker = make(teacher, None)  # raises again where it was not for the profile
            log.warning("the profile %s is not used; the shipped student begins", profile.path)
            return masker

    try:
        return open_as_profile_allows(options.teaching)
    except JitMaskerError as error:
        if options.teaching is None or not can_do_without(error, options):
            raise
        masker = open_as_profile_allows(None)  # raises again where it was not for the teacher
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
