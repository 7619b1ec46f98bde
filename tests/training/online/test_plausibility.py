"""Which labels are believed, and what a lie can do: cost learning, never show the room."""

import logging

import cv2
import numpy as np
import pytest

from engine import Masker
from engine.sources.synthetic import SyntheticPerson
from tests.fakes import FigureTeacher
from tests.training.online.test_learning import taught_by
from training.online.plausibility import MAX_REFUSALS, LabelJudge, added

SIZE = (240, 320)
RNG = np.random.default_rng(0)


def person(x=160, radius=60):
    return cv2.circle(np.zeros(SIZE, np.float32), (x, 140), radius, 1.0, -1)


def with_room(label):
    label = label.copy()
    label[:, : int(0.4 * label.shape[1])] = 1
    return label


LIES = {
    "all is person": np.ones_like,
    "one pixel that says all is person": lambda label: np.ones((1, 1), np.float32),
    "the inverse": lambda label: 1 - label,
    "noise": lambda label: RNG.random(label.shape, np.float32),
    "40 % of the room": with_room,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused(lie):
    label = cv2.resize(LIES[lie](person()), SIZE[::-1])
    assert "where no student sees one" in LabelJudge()(label, person(), person()).reason


@pytest.mark.parametrize("label", [person(), person(radius=80), person(x=180), np.zeros(SIZE, np.float32)])
def test_what_students_nearly_saw_is_believed_and_so_is_nobody(label):
    assert LabelJudge()(label, person(), person()).reason is None


def test_what_was_learnt_since_the_start_is_believed():
    learnt = np.maximum(person(), person(x=270, radius=50))
    assert added(learnt > 0.5, person()) < 0.15
    assert LabelJudge()(learnt, person(), learnt).reason is None


def test_many_small_lies_do_not_add_up():
    """Each adds a little to what the live student sees by now."""
    judge, live = LabelJudge(), person()
    for share in np.linspace(0.1, 1, 10):
        claim = live.copy()
        claim[:, : int(share * SIZE[1])] = 1
        if judge(claim, person(), live).reason is None:
            live = claim
    assert judge.refused
    assert live.mean() < 0.6


def test_a_teacher_that_keeps_lying_is_left():
    judge = LabelJudge()
    verdicts = [judge(np.ones(SIZE, np.float32), person(), person()) for _ in range(MAX_REFUSALS)]
    assert [verdict.leave for verdict in verdicts] == [False] * (MAX_REFUSALS - 1) + [True]


class Liar(FigureTeacher):
    """Tells the truth but for the labels in `when`, counted from 0."""

    def __init__(self, figure, frames, lie, when):
        super().__init__(figure, frames)
        self._lie, self._when, self._count = lie, when, 0

    def __call__(self, bgr):
        label, count = super().__call__(bgr), self._count
        self._count += 1
        return self._lie(label) if count in self._when else label


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("when", [range(1000), [0], [2]], ids=["for ever", "at first", "later"])
def test_no_lie_shows_the_room(lie, when, room, caplog):
    figure = SyntheticPerson(width=320, height=240, seed=87)
    frames = 24

    def shown(start_learner, teacher):
        with Masker(teacher=teacher, background=room, threads=1, lockstep=True, start_learner=start_learner) as masker:
            alphas = [masker.alpha(figure.picture(i)) for i in range(frames)]
            learning = masker.stats.learning
        behind = [cv2.erode((figure.mask(i) == 0).astype(np.uint8), np.ones((17, 17))) > 0 for i in range(frames)]
        return max(float(alpha[room].mean()) for alpha, room in zip(alphas, behind, strict=True)), learning

    without, _ = shown(None, None)
    with caplog.at_level(logging.WARNING):
        largest, learning = shown(taught_by(Liar(figure, frames, LIES[lie], when)), "liar")
    assert learning.refused >= 1
    assert largest <= without + 0.02
    assert sum("it is not learnt" in record.message for record in caplog.records) == 1
    assert (learning.steps > 0) == (len(when) == 1)
