"""A teacher that fails, hangs or lies, through a whole run: it costs labels, never a frame, and shows no room."""

import functools
import threading

import cv2
import numpy as np
import pytest

from tests.data.make_clip import PERSON
from tests.fakes import RaisingTeacher
from tests.faults.whole_run import MAX_ROOM
from training.online import learner
from training.teachers import TEACHERS
from training.teachers.deadline import DeadlineTeacher


def truth(bgr):
    """The label of a frame of the clip: a person is what differs from the empty scene."""
    scene = cv2.resize(PERSON._scene(0).background, bgr.shape[1::-1]).astype(np.int16)
    return (np.abs(bgr - scene).max(axis=2) > 30).astype(np.float32)


def one_nan(bgr):
    label = truth(bgr)
    label[3, 5] = np.nan
    return label


class Hangs:
    """Does not answer `times` times, for as long as the test runs."""

    def __init__(self, times):
        self._left, self.over = times, threading.Event()

    def __call__(self, bgr):
        self._left -= 1
        if self._left >= 0:
            self.over.wait(60)
        return truth(bgr)


class DiesAndReturns:
    def __init__(self):
        self._calls = 0

    def __call__(self, bgr):
        self._calls += 1
        if self._calls <= 2:
            raise ConnectionResetError("gone for a while")
        return truth(bgr)


@pytest.fixture
def taught(paint, monkeypatch):
    """A run whose teacher is `teacher`; a late one gets .2 s."""

    def call(teacher, *given, **options):
        monkeypatch.setitem(TEACHERS, "faulty", lambda: lambda threads: teacher)
        monkeypatch.setattr(learner, "DeadlineTeacher", functools.partial(DeadlineTeacher, deadline=0.2))
        return paint("--teacher", "faulty", *given, **options)

    return call


FAILING = {  # teacher: what is said of it
    "raises": (RaisingTeacher(RuntimeError("no labels")), "the teacher failed: RuntimeError: no labels"),
    "has no memory": (RaisingTeacher(MemoryError("no memory")), "the teacher failed: MemoryError: no memory"),
    "calls exit": (RaisingTeacher(SystemExit(7)), "the teacher failed: SystemExit: 7"),
    "is interrupted": (RaisingTeacher(KeyboardInterrupt()), "the teacher failed: KeyboardInterrupt"),
    "NaN": (lambda bgr: truth(bgr) * np.float32(np.nan), "the teacher answered values from nan to nan"),
    "one NaN": (one_nan, "the teacher answered values from nan to nan"),
    "infinity": (lambda bgr: truth(bgr) + np.float32(np.inf), "the teacher answered values from inf to inf"),
    "three channels": (lambda bgr: np.dstack([truth(bgr)] * 3), "the teacher answered float32 (240, 320, 3)"),
    "bytes": (lambda bgr: (255 * truth(bgr)).astype(np.uint8), "the teacher answered uint8 (240, 320)"),
    "nothing": (lambda bgr: None, "the teacher answered NoneType"),
    "an empty array": (lambda bgr: np.zeros((0, 320), np.float32), "the teacher answered float32 (0, 320)"),
}


@pytest.mark.parametrize("fault", FAILING)
def test_a_teacher_that_fails_costs_its_labels(taught, fault):
    teacher, message = FAILING[fault]
    run = taught(teacher)
    run.painted_everything()
    assert run.said.count(message) == 1
    assert run.report["teacher"]["failures"] == run.report["teacher"]["calls"] >= 3
    assert run.report["learning"]["steps"] == 0


@pytest.mark.parametrize("times", [1, 1000])
def test_a_teacher_that_hangs_costs_its_labels(taught, times):
    teacher = Hangs(times)
    run = taught(teacher)
    teacher.over.set()
    run.painted_everything()
    assert run.said.count("the teacher did not answer within 0.2 s") == 1
    assert run.report["teacher"]["failures"] == run.report["teacher"]["calls"] >= 3


def test_a_teacher_that_dies_and_returns_is_asked_again(taught):
    run = taught(DiesAndReturns())
    run.painted_everything()
    assert run.said.count("the teacher failed: ConnectionResetError: gone for a while") == 1
    assert run.report["teacher"]["failures"] == 2 < run.report["teacher"]["calls"]
    assert run.report["learning"]["iou_acc"]["mean"] > 0.9


def test_a_teacher_that_sees_nobody_does_not_hide_the_person(taught):
    run = taught(lambda bgr: np.zeros(bgr.shape[:2], np.float32))
    run.painted_everything()
    assert run.report["learning"]["refused_labels"] >= 3
    assert run.said.count("a label sees nobody where") == 1


def test_a_label_of_twenty_thousand_pixels_square_is_only_a_large_label(taught):
    run = taught(lambda bgr: np.zeros((20_000, 20_000), np.float32), frames=2)
    run.painted_everything(2)
    assert run.said.count("a label sees nobody where") == 1


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "longdouble"])
def test_a_label_of_another_precision_is_learnt(taught, dtype):
    run = taught(lambda bgr: truth(bgr)[::2, ::2].astype(dtype), frames=3)
    run.painted_everything(3)
    assert run.said.strip() == ""
    assert run.report["learning"]["died"] is None
    assert run.report["learning"]["iou_acc"]["mean"] > 0.95


LIES = {
    "all is person": np.ones_like,
    "one pixel that says so": lambda label: np.ones((1, 1), np.float32),
    "the inverse": lambda label: 1 - label,
    "noise": lambda label: np.random.default_rng(0).random(label.shape, np.float32),
    "40 % of the room": lambda label: np.maximum(label, np.arange(label.shape[1]) < 0.4 * label.shape[1]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_shows_no_room_and_is_said_once(taught, lie):
    """For ever; lies at the first or a later label: tests/training/online/test_plausibility.py."""
    run = taught(lambda bgr: LIES[lie](truth(bgr)))
    run.painted_everything()
    assert run.room <= MAX_ROOM
    assert run.said.count("it is not learnt") == 1
    assert run.report["learning"]["refused_labels"] >= 3
    assert run.report["learning"]["steps"] == 0


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_from_another_machine_shows_no_room_and_is_said_once(paint, lie):
    pytest.importorskip("uvicorn", reason='jm-teacher is not installed: pip install "jit-masker[serve]"')
    from tests.training.remote.teacher_servers import ServedTeacher

    with ServedTeacher(lambda bgr: LIES[lie](truth(bgr))) as served:
        run = paint("--teacher", served.url)
    run.painted_everything()
    assert run.said.count("it is not learnt") == 1
    assert run.report["learning"]["refused_labels"] >= 3
    assert run.report["teacher"]["failures"] == run.report["learning"]["steps"] == 0


def test_the_truth_of_this_file_is_the_truth_and_is_learnt(taught):
    """So that the tests above can fail."""
    run = taught(truth)
    run.painted_everything()
    assert run.report["learning"]["iou_acc"]["mean"] > 0.95
    assert run.report["learning"]["refused_labels"] == run.report["teacher"]["failures"] == 0
