"""Which student may go live, and which gives way again."""

import numpy as np
import pytest
import torch

from engine.sources.synthetic import SyntheticPerson
from export.publish import Publisher, load_student
from export.students import STUDENTS
from kernels import load
from tests.fakes import CollectingMasker, FigureTeacher
from training.online.candidates import Candidate, CandidateJudge
from training.online.replay import LabelledFrame
from training.online.score import SMALL_PERSON

from .test_learning import make_distiller

SIZE = STUDENTS["lite"].size
WEIGHTS = load_student("lite", SIZE)
PUBLISHER = Publisher(WEIGHTS, SIZE)
FIGURE = SyntheticPerson(width=640, height=480, seed=5)


def image(index):
    out = np.empty((1, 3, *SIZE), np.float32)
    return load().preprocess(FIGURE.picture(index), PUBLISHER.mean, PUBLISHER.std, out)


def candidate(bias):
    """The start, with so much added to every logit."""
    tensors = dict(WEIGHTS.tensors, **{"logits.bias": WEIGHTS.tensors["logits.bias"] + np.float32(bias)})
    return Candidate(PUBLISHER.publish(tensors), {})


def frame_of(student, index):
    """A frame whose label is what `student` says."""
    return LabelledFrame(torch.from_numpy(image(index)), torch.from_numpy(student.alpha(image(index)))[None, None])


@pytest.fixture(scope="module")
def start():
    return candidate(0)


@pytest.mark.parametrize(("bias", "reason"), [(0, None), (0.2, None), (20, "fits a label"), (-20, "fits a label")])
def test_a_student_that_fits_the_newest_label_worse_does_not_go_live(start, bias, reason):
    judge = CandidateJudge(start, SMALL_PERSON)
    said = judge(candidate(bias), [frame_of(start, 0)], image(0))
    assert (said is None) if reason is None else (reason in said)


def test_a_student_that_sees_somebody_where_no_other_does_does_not_go_live(start):
    """It fits its labels, which are as wrong as it is."""
    everything = candidate(20)
    said = CandidateJudge(start, SMALL_PERSON)(everything, [frame_of(everything, 0)], image(0))
    assert "where no other does" in said


def test_unless_the_user_vouches_for_it(start):
    everything = candidate(20)
    vouched = np.ones(SIZE, np.float32)
    assert CandidateJudge(start, SMALL_PERSON)(everything, [frame_of(everything, 0)], image(0), vouched) is None


def test_a_student_that_loses_the_person_on_the_frame_at_hand_does_not_go_live():
    """The live one knows nobody on the labelled frame, and somebody on this one: a step on the first forgets both."""
    live, nobody = candidate(0), candidate(-20)
    label = LabelledFrame(torch.from_numpy(image(0)), torch.from_numpy(live.alpha(image(0)))[None, None])
    judge = CandidateJudge(live, min_area=1.0)  # by accuracy, so that the label alone does not tell
    assert judge(nobody, [label], image(0)) is not None


def test_a_scene_begins_with_the_start_until_a_label_says_that_what_was_learnt_holds():
    masker = CollectingMasker()
    distiller, *_ = make_distiller(FigureTeacher(FIGURE, 20), masker.swap)  # it knows no later frame
    nobody = np.full(SIZE, -30, np.float32)
    for i in range(20):
        distiller.operate(FIGURE.picture(i), nobody)
    learnt = distiller._students.live
    assert learnt is not distiller._students.start
    distiller.operate(FIGURE.picture(20), nobody, scene=1)
    assert distiller._students.live is distiller._students.start
    assert distiller.failures == 1
