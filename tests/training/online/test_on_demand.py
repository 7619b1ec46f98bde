"""When is learnt: hard work where something is new, rest where nothing is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.online.on_demand import ChangeTrigger, OnDemandOptions, OnDemandSchedule
from training.online.recipe import DEFAULT
from training.online.schedule import Operation

TEACH, STEP, REST = Operation


def run(schedule, scores, frames, cuts=(), triggers=()):
    """What is done with each frame; `scores(t)` is the score of the label of frame t."""
    done = []
    for t in range(frames):
        done.append(schedule.next(cut=t in cuts, trigger=t in triggers))
        if done[-1] is TEACH:
            schedule.labelled(scores(t))
    return done


def labels(done):
    return [t for t, operation in enumerate(done) if operation is TEACH]


def test_where_scores_stay_level_labels_become_rare_and_steps_rarer():
    done = run(OnDemandSchedule(), lambda t: 0.98, 25 * 60)
    at = labels(done)
    assert at[:6] == [0, 8, 16, 24, 32, 48]
    assert at[-1] - at[-2] == OnDemandOptions().delta_max
    assert done[-750:].count(STEP) <= 3 * OnDemandOptions().settled_steps


def test_where_the_student_is_bad_it_works_hard_however_level_its_score():
    done = run(OnDemandSchedule(), lambda t: 0.8, 400)
    assert labels(done) == list(range(0, 400, 8))
    assert REST not in done


def test_what_is_known_is_not_stepped_on():
    assert STEP not in run(OnDemandSchedule(), lambda t: 0.999, 400)


def test_a_score_that_falls_brings_work_at_once():
    schedule = OnDemandSchedule()
    run(schedule, lambda t: 0.99, 400)
    assert schedule.settled
    schedule.labelled(0.97)
    assert not schedule.settled
    assert labels(run(schedule, lambda t: 0.97, 20))[-1] <= 19


def test_a_level_that_is_no_longer_reached_is_forgotten():
    schedule = OnDemandSchedule()
    run(schedule, lambda t: 0.99, 200)
    run(schedule, lambda t: 0.97, 400)
    assert schedule.settled


def test_a_cut_is_labelled_at_once_and_then_often():
    schedule = OnDemandSchedule()
    run(schedule, lambda t: 0.99, 400)
    assert labels(run(schedule, lambda t: 0.99, 40, cuts={10}))[:5] == [10, 14, 18, 22, 30]


def test_a_trigger_asks_at_once_where_labels_are_rare_and_changes_nothing_where_they_are_not():
    schedule = OnDemandSchedule()
    run(schedule, lambda t: 0.99, 400)
    assert labels(run(schedule, lambda t: 0.99, 12, triggers={5}))[0] == 5
    busy = OnDemandSchedule()
    assert labels(run(busy, lambda t: 0.8, 24, triggers={3, 5})) == [0, 8, 16]


def test_a_label_that_is_of_no_use_is_asked_for_again_on_the_next_frame():
    schedule = OnDemandSchedule()
    assert schedule.next() is TEACH
    schedule.ask_again()
    assert schedule.next() is TEACH


@pytest.mark.parametrize("name", DEFAULT)
def test_every_student_learns_on_demand_and_is_labelled_again_and_again(name):
    assert len(labels(run(OnDemandSchedule(DEFAULT[name].schedule), lambda t: 0.99, 2000))) >= 10


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.floats(0, 1)), max_size=200))
def test_updates_are_granted_by_labels_and_none_is_asked_for_while_one_is_on_its_way(frames):
    schedule, arrived, steps, waiting = OnDemandSchedule(), 0, 0, False
    for arrives, cut, trigger, score in frames:
        if waiting and arrives:
            schedule.labelled(score)
            arrived, waiting = arrived + 1, False
        operation = schedule.next(cut, waiting, trigger)
        assert not (waiting and operation is TEACH)
        waiting = waiting or operation is TEACH
        steps += operation is STEP
        assert steps <= OnDemandOptions().steps * arrived


def masks(area, unsure=0.0):
    alpha = np.zeros((10, 100), np.float32)
    alpha[:, : round(100 * area)] = 1
    alpha[:, 99 - round(100 * unsure) : 99] = 0.5
    return alpha


def test_an_area_that_jumps_or_a_student_that_becomes_unsure_is_a_change():
    trigger = ChangeTrigger()
    trigger.labelled()
    assert not trigger(masks(0.3))
    assert not trigger(masks(0.33))
    assert trigger(masks(0.5))
    assert trigger(masks(0.1))
    assert trigger(masks(0.3, unsure=0.05))
    trigger.labelled()
    assert not trigger(masks(0.5))
    assert not trigger(masks(0.5))
