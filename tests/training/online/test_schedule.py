"""Algorithm 1 against the paper's listing typed out, and labels that come late."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.online.recipe import PAPER
from training.online.schedule import Operation, Schedule, ScheduleOptions

TEACH, STEP, REST = Operation


def listing(scores, u_max=8, d_min=8, d_max=64, a_thresh=0.9):
    """Algorithm 1, line by line; `scores` answers each labelling and each update in turn."""
    scores = iter(scores)
    d, u, a, t = d_min, 0, 0.0, 0
    while True:
        if t % d == 0:
            u = u_max
            yield TEACH, d
            a = next(scores)
        elif a < a_thresh and u > 0:
            yield STEP, d
            a = next(scores)
            u = u - 1
        elif a < a_thresh and u == 0:
            d = max(d_min, d // 2)
            yield REST, d
        elif a >= a_thresh and u > 0:
            d = min(d_max, 2 * d)
            u = 0
            yield REST, d
        else:
            yield REST, d
        t += 1


@given(st.lists(st.floats(0, 1), min_size=300, max_size=300))
def test_the_schedule_is_the_papers_listing(scores):
    schedule, answers = Schedule(), iter(scores)
    for _, (operation, delta) in zip(range(290), listing(scores), strict=False):
        assert schedule.next() is operation
        assert schedule.delta == delta
        if operation is TEACH:
            schedule.labelled(next(answers))
        elif operation is STEP:
            schedule.report(next(answers))


@given(st.lists(st.booleans(), min_size=200, max_size=200))
def test_cuts_change_nothing_in_the_papers_recipe(cuts):
    plain, cut = Schedule(), Schedule(PAPER.schedule)
    assert [plain.next() for _ in cuts] == [cut.next(c) for c in cuts]


def test_the_first_frame_is_labelled():
    assert Schedule().next() is TEACH


def test_a_target_above_one_never_rests():
    schedule = Schedule(ScheduleOptions(delta_max=8, target=1.01))
    operations = []
    for _ in range(64):
        operations.append(schedule.next())
        (schedule.labelled if operations[-1] is TEACH else schedule.report)(1.0)
    assert REST not in operations


@pytest.mark.parametrize(("round_trip", "apart"), [(1, 8), (5, 8), (8, 8), (11, 11), (30, 30)])
def test_labels_are_asked_for_every_delta_frames_or_as_often_as_a_round_trip_allows(round_trip, apart):
    schedule, asked = Schedule(ScheduleOptions(delta_max=8)), []
    for t in range(200):
        if asked and t == asked[-1] + round_trip:
            schedule.labelled(0.5)
        if schedule.next(waiting=bool(asked) and t < asked[-1] + round_trip) is TEACH:
            asked.append(t)
    assert {b - a for a, b in pairwise(asked)} == {apart}


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1)), max_size=200))
def test_updates_are_granted_by_labels_and_never_more_than_u_max_for_each(frames):
    schedule, labels, steps, waiting = Schedule(), 0, 0, False
    for arrives, cut, score in frames:
        if waiting and arrives:
            schedule.labelled(score)
            labels, waiting = labels + 1, False
        operation = schedule.next(cut, waiting)
        assert not (waiting and operation is TEACH)
        waiting = waiting or operation is TEACH
        if operation is STEP:
            schedule.report(score)
            steps += 1
        assert steps <= 8 * labels
