"""What learning may cost."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.online.budget import AT_ONCE, CpuLaps, LearningBudget


@given(st.floats(1, 100), st.lists(st.tuples(st.floats(0, 5), st.floats(0.001, 0.5)), max_size=400))
def test_no_minute_costs_more_than_the_budget_and_the_operation_that_crossed_it(percent, operations):
    budget, now, spent = LearningBudget(percent), 0.0, []
    for pause, cost in operations:
        now += pause
        if budget.allows(now):
            budget.spend(cost)
            spent.append((now, cost))
    for begin, _ in spent:
        minute = sum(cost for at, cost in spent if begin <= at < begin + 60)
        assert minute <= 0.6 * percent + 0.5 + 1e-6


def test_most_of_a_minute_may_be_spent_at_once_and_the_rest_comes_evenly():
    budget = LearningBudget(10)
    assert budget.allows(0)
    budget.spend(60 * 0.1 * AT_ONCE)
    assert not budget.allows(0)
    budget.spend(0.1)
    seconds = 0.1 / (0.1 * (1 - AT_ONCE))
    assert not budget.allows(seconds - 0.1)
    assert budget.allows(seconds + 0.1)


@pytest.mark.parametrize(("percent", "allowed"), [(0, False), (math.inf, True)])
def test_nothing_and_no_limit(percent, allowed):
    budget = LearningBudget(percent)
    for now in range(10):
        assert budget.allows(now) is allowed
        budget.spend(1)


def test_cpu_time_belongs_to_the_lap_that_ends_with_it():
    laps = CpuLaps("a", "b")
    laps.begin()
    laps.lap("a")
    sum(range(200_000))
    laps.lap("b")
    assert laps.seconds["b"] > laps.seconds["a"]
    assert laps.total == sum(laps.seconds.values())
