"""Which labels are believed, and what a lie can do: cost learning, never show the room nor hide the person."""

import logging

import cv2
import numpy as np
import pytest

from engine import Masker
from engine.painting.witness import added
from engine.sources.synthetic import SyntheticPerson
from tests.fakes import FigureTeacher
from tests.training.online.test_learning import taught_by
from training.online.plausibility import MAX_REFUSALS, LabelJudge
from training.online.score import iou

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


@pytest.mark.parametrize("label", [person(), person(radius=80), person(x=180)])
def test_what_students_nearly_saw_is_believed(label):
    assert LabelJudge()(label, person(), person()).reason is None


NOBODY = np.zeros(SIZE, np.float32)
UNSURE = 0.9 * person()  # a student that takes a lamp or a dog for somebody; it has never been as sure as .92 of one


def test_nobody_is_believed_at_once_where_the_live_student_sees_nobody_either():
    judge = LabelJudge()
    judge(person(), person(), person())
    assert judge(NOBODY, person(), NOBODY).reason is None  # whatever the start sees: it may have been taught better


def test_one_label_that_sees_nobody_among_good_ones_is_never_learnt():
    judge = LabelJudge()
    judge(person(), UNSURE, UNSURE)
    verdict = judge(NOBODY, UNSURE, UNSURE)
    assert verdict.set_aside
    assert "sees nobody where the live student and the label before do" in verdict.reason
    assert judge.refused == 0  # not yet: somebody may have left
    assert judge(person(x=165), UNSURE, UNSURE).reason is None
    assert judge.refused == 1


@pytest.mark.parametrize("said_before", [True, False], ids=["somebody left", "a lamp from the start"])
def test_nobody_is_believed_once_three_labels_in_a_row_say_so(said_before):
    judge = LabelJudge()
    if said_before:
        judge(person(), UNSURE, UNSURE)
    verdicts = [judge(NOBODY, UNSURE, UNSURE) for _ in range(5)]
    assert [verdict.reason is None for verdict in verdicts] == [False, False, True, True, True]
    assert (judge.refused, any(verdict.leave for verdict in verdicts)) == (0, False)


def test_what_was_seen_before_a_cut_says_nothing_about_after():
    judge = LabelJudge()
    judge(person(), UNSURE, UNSURE, scene=0)
    assert judge(NOBODY, NOBODY, UNSURE, scene=1).reason is None


def test_a_teacher_that_sees_nobody_where_both_students_are_sure_is_left_before_it_erases_the_person():
    judge = LabelJudge()
    verdicts = [judge(NOBODY, 0.95 * person(), UNSURE) for _ in range(MAX_REFUSALS)]
    assert "both students are sure" in verdicts[0].reason
    assert [verdict.leave for verdict in verdicts] == [False] * (MAX_REFUSALS - 1) + [True]
    assert judge.refused == MAX_REFUSALS


def test_a_label_that_keeps_one_of_two_people_is_believed():
    """A teacher may be told whom to keep; see training/teachers/subjects.py."""
    both = np.maximum(person(x=80, radius=50), person(x=240, radius=50))
    assert LabelJudge()(person(x=80, radius=50), both, both).reason is None


CHAIR = np.maximum(person(), person(x=290, radius=45))  # adds .05 of the frame, which no student sees


def test_what_one_label_alone_adds_is_set_aside_and_what_three_add_is_learnt():
    judge = LabelJudge()
    judge(person(), person(), person())
    assert judge(CHAIR, person(), person()).set_aside
    assert judge(person(), person(), person()).reason is None
    assert judge.refused == 1
    believed = [judge(CHAIR, person(), person()).reason is None for _ in range(4)]
    assert believed == [False, False, True, True]


def test_the_first_label_of_a_scene_may_add_what_students_miss():
    assert LabelJudge()(CHAIR, person(), person()).reason is None


def test_labels_that_contradict_one_another_do_not_confirm_one_another():
    judge = LabelJudge()
    judge(person(), UNSURE, UNSURE)
    verdicts = [judge(label, UNSURE, UNSURE) for label in (NOBODY, CHAIR) * 3]
    assert all(verdict.set_aside for verdict in verdicts)
    assert judge.refused == 5


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


@pytest.mark.parametrize("when", [range(1000), [0], [2]], ids=["for ever", "at first", "later"])
def test_no_lie_hides_a_person_of_whom_the_start_is_sure(when, room):
    figure = SyntheticPerson(width=320, height=240, seed=87)
    frames = 24

    def seen(start_learner, teacher):
        with Masker(teacher=teacher, background=room, threads=1, lockstep=True, start_learner=start_learner) as masker:
            alphas = [masker.alpha(figure.picture(i)) for i in range(frames)]
            return [iou(figure.mask(i) > 127, alpha) for i, alpha in enumerate(alphas)], masker.stats.learning

    without, _ = seen(None, None)
    scores, learning = seen(taught_by(Liar(figure, frames, np.zeros_like, when)), "liar")
    assert learning.refused >= 1
    assert min(np.subtract(scores, without)) > -0.02


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
