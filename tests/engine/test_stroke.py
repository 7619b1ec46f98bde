"""A stroke says something that can be meant, or an error says what."""

import numpy as np
import pytest

from engine import Masker
from engine.errors import UsageError
from engine.stroke import MAX_POINTS, Stroke


def test_points_may_come_as_any_pairs_of_numbers():
    assert Stroke.of(np.array([[0.25, 0.5], [1, 0]]), True) == Stroke(((0.25, 0.5), (1.0, 0.0)), True)


def test_in_a_mirror_left_is_right():
    assert Stroke.of([(0.25, 0.5)], False).mirrored() == Stroke(((0.75, 0.5),), False)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([], "a stroke of 0 points; expected 1 to 200"),
        ([(0.5, 0.5)] * (MAX_POINTS + 1), "a stroke of 201 points"),
        ([(1.2, 0.5)], r"\(1.2, 0.5\); expected shares"),
        ([(float("nan"), 0.5)], "expected shares"),
        ([(0.5,)], r"a point of a stroke is \(0.5,\); expected \(x, y\)"),
        (["left"], "expected"),
    ],
)
def test_a_stroke_that_says_nothing_is_refused(points, says):
    with pytest.raises(UsageError, match=says):
        Stroke.of(points, True)


def test_where_nobody_learns_a_stroke_is_an_error():
    with Masker("ort-cpu") as masker, pytest.raises(UsageError, match="nobody learns here; start with a teacher"):
        masker.correct([(0.5, 0.5)])
