"""When a student is trusted, and when it is not: pure numbers. Faults of whole students: tests/faults/test_guard.py."""

import dataclasses

import cv2
import numpy as np
import pytest

import kernels
from engine.painting.contrast import STRETCH
from engine.painting.guard import (
    ASKED_AGAIN,
    DRAWN_IN,
    EARNED_AFTER,
    FRESH,
    MANY_SHADOWS,
    MAX_APPEARED,
    MAX_AREA,
    MAX_CAME,
    MAX_MIXED,
    ONLY_SURE,
    SHADOWS,
    STALE_AFTER,
    Guard,
    Signs,
    Trust,
)
from engine.painting.witness import Witness, added
from engine.sources.synthetic import SyntheticPerson
from tests.clips import read_clip
from tests.data.make_clip import CLIP, PERSON

CALM = Signs(area=0.3, sure=0.28, mixed=0.04, shadows=0.0, came=0.0, appeared=0.0)


def signs(**changes):
    return dataclasses.replace(CALM, **changes)


@pytest.fixture
def earned():
    """Trust in a scene that is no longer fresh."""
    trust = Trust()
    for _ in range(STALE_AFTER):
        trust.update(CALM, contradicted=False)
    return trust


# -- unsure ------------------------------------------------------------------------------------------------------------


def test_trust_is_earned_by_calm_frames_in_a_row():
    trust = Trust()
    for calm in (EARNED_AFTER - 1, EARNED_AFTER):
        for _ in range(calm):
            assert (trust.unsure, trust.stretch) == (True, FRESH)
            trust.update(CALM, contradicted=False)
        if calm < EARNED_AFTER:
            trust.update(signs(shadows=SHADOWS), contradicted=False)  # it begins anew
    assert (trust.unsure, trust.stretch) == (False, STRETCH)


@pytest.mark.parametrize("change", [{"shadows": SHADOWS + 0.001}, {"mixed": MAX_MIXED + 0.001}])
def test_shadows_and_a_large_area_in_doubt_make_it_unsure(earned, change):
    earned.update(signs(**change), contradicted=False)
    assert (earned.unsure, earned.stretch) == (True, DRAWN_IN)


def test_a_few_shadows_change_nothing_in_either_direction(earned):
    between = signs(shadows=SHADOWS)
    earned.update(between, contradicted=False)
    assert not earned.unsure
    fresh = Trust()
    for _ in range(2 * EARNED_AFTER):
        fresh.update(between, contradicted=False)
    assert fresh.unsure


def test_one_frame_with_a_few_shadows_unsettles_for_as_long_as_trust_takes(earned):
    assert earned.settled
    for shadows in [SHADOWS] + [0.0] * (EARNED_AFTER - 1):
        earned.update(signs(shadows=shadows), contradicted=False)
        assert (earned.unsure, earned.settled) == (False, False)
    earned.update(CALM, contradicted=False)
    assert earned.settled


def test_where_there_are_more_shadows_than_person_only_what_is_sure_is_painted(earned):
    earned.update(signs(shadows=MANY_SHADOWS + 0.01, sure=0.05), contradicted=False)
    assert earned.stretch == ONLY_SURE
    earned.update(signs(shadows=MANY_SHADOWS + 0.01, sure=0.3), contradicted=False)
    assert earned.stretch == DRAWN_IN


def test_a_new_scene_has_to_be_earned_and_is_fresh_for_a_while(earned):
    earned.on_scene()
    for _ in range(STALE_AFTER):
        assert (earned.unsure, earned.stretch) == (True, FRESH)
        earned.update(signs(shadows=SHADOWS), contradicted=False)
    assert (earned.unsure, earned.stretch) == (True, DRAWN_IN)


# -- when the witness is asked ---------------------------------------------------------------------------------------


def test_a_calm_student_is_not_put_to_the_witness(earned):
    assert not any(earned.suspects(CALM, new_student=False) for _ in range(100))


@pytest.mark.parametrize("change", [{"appeared": MAX_APPEARED + 0.001}, {"came": MAX_CAME + 0.001}])
def test_a_mask_that_jumps_is_put_to_the_witness_each_time(earned, change):
    assert all(earned.suspects(signs(**change), new_student=False) for _ in range(5))


@pytest.mark.parametrize("change", [{"area": MAX_AREA + 0.01}, {"mixed": MAX_MIXED + 0.01}])
def test_what_may_last_is_put_to_the_witness_now_and_then(earned, change):
    asked = [earned.suspects(signs(**change), new_student=False) for _ in range(2 * ASKED_AGAIN + 1)]
    assert [i for i, yes in enumerate(asked) if yes] == [0, ASKED_AGAIN, 2 * ASKED_AGAIN]


def test_a_new_student_is_put_to_the_witness(earned):
    assert earned.suspects(CALM, new_student=True)


@pytest.mark.parametrize("seen", [CALM, signs(shadows=SHADOWS + 0.1)])
def test_once_contradicted_it_is_put_to_the_witness_until_that_agrees_for_a_while(earned, seen):
    earned.update(seen, contradicted=True)
    assert earned.unsure
    for _ in range(EARNED_AFTER):
        assert earned.suspects(seen, new_student=False)
        earned.update(seen, contradicted=False)
    assert not earned.suspects(seen, new_student=False)


# -- what the witness says -------------------------------------------------------------------------------------------


def test_the_witness_sees_the_person():
    witness = Witness(kernels.load())
    witness.wait()
    seen = witness.alpha(read_clip(CLIP)[10], (120, 160))
    truth = cv2.resize(PERSON.mask(10), (160, 120), interpolation=cv2.INTER_AREA) > 127
    assert seen.shape == (120, 160)
    assert ((seen > 0.5) & truth).sum() / ((seen > 0.5) | truth).sum() > 0.85


def test_what_is_added_is_what_lies_away_from_all_that_is_shown():
    person, lie = np.zeros((100, 100), np.float32), np.zeros((100, 100), np.float32)
    person[40:60, 40:60] = 1
    lie[:] = person
    lie[:, :10] = 1
    assert added(person, person) == 0
    assert added(lie, person) == pytest.approx(0.1)
    assert added(0.5 * lie, person) == pytest.approx(0.05)
    assert added(lie, person, lie) == 0


def test_a_stream_without_faults_is_never_contradicted():
    guard = Guard(kernels.load(), 0.0, trusted=False)
    person = SyntheticPerson(width=320, height=240, seed=87)
    logits = np.empty((240, 320), np.float32)

    class Student:
        vouched = None

    student, objections = Student(), []
    for i in range(30):
        bgr = person.picture(i)
        guard.begin(bgr, i / 25)
        logits[:] = np.where(person.mask(i) > 127, 5, -5)
        alpha = (logits > 0).astype(np.float32)
        objections.append(guard.objection(bgr, student, logits, alpha, float(alpha.mean())))
    assert objections == [None] * 30
    assert not guard.unsure


@pytest.mark.parametrize("vouched", [True, False])
def test_what_the_user_vouches_for_need_not_be_seen_by_the_witness(vouched):
    """A guitar on a quarter of the frame, on the first frame of the student that was taught it."""
    bgr, guitar = read_clip(CLIP)[10], np.zeros((240, 320), np.float32)
    guitar[:, :80] = 1
    logits = np.where((PERSON.mask(10) > 127) | (guitar > 0), 5, -5).astype(np.float32)
    alpha = (logits > 0).astype(np.float32)
    guard = Guard(kernels.load(), 0.0, trusted=False)
    guard.begin(bgr, 0.0)

    class Student:
        def __init__(self):
            self.vouched = guitar if vouched else None

    objection = guard.objection(bgr, Student(), logits, alpha, float(alpha.mean()))
    assert (objection is None) == vouched
    assert (alpha[:, :40].mean() == 1) == vouched
