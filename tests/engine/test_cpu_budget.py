"""How one CPU budget is divided between the paint path and the learner."""

import pytest

from engine.cpu_budget import CpuBudget, divide
from engine.errors import UsageError


@pytest.mark.parametrize(
    ("threads", "learning", "taking_turns", "expected"),
    [
        (4, False, False, CpuBudget(4, 0)),
        (4, True, False, CpuBudget(2, 2)),
        (3, True, False, CpuBudget(2, 1)),
        (1, True, False, CpuBudget(1, 1)),
        (4, True, True, CpuBudget(4, 4)),
    ],
)
def test_who_learns_beside_the_picture_shares_with_it_and_who_takes_turns_does_not(
    threads, learning, taking_turns, expected
):
    assert divide(threads, learning, taking_turns) == expected


@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("taking_turns", [False, True])
def test_unless_more_are_asked_for_one_thread_paints_however_many_cores_there_are(learning, taking_turns, monkeypatch):
    monkeypatch.setattr("engine.cpu_budget._cores", lambda: 16)
    learn = 0 if not learning else 4 if taking_turns else 2
    assert divide(None, learning, taking_turns) == CpuBudget(1, learn)


@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("taking_turns", [False, True])
def test_a_budget_that_is_divided_already_comes_back_unchanged(learning, taking_turns):
    given = CpuBudget(paint=3, learn=1)
    assert divide(given, learning, taking_turns) is given


@pytest.mark.parametrize("threads", [0, -1])
def test_a_budget_without_a_thread_is_refused(threads):
    with pytest.raises(UsageError, match=f"threads is {threads}; expected 1 or more"):
        divide(threads, learning=False)
