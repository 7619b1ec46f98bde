"""Many callers on one teacher: batches and replicas on a real, local Ray Serve; what needs no Ray runs without."""

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import torch

from engine.teaching import TeacherOptions
from tests.fakes import HangingTeacher, NonsenseTeacher, RaisingTeacher
from tests.teacher_servers import TeacherProcess
from tests.test_teachers import tiny_segmenter
from training.serving import fleet
from training.serving.cli import bounds
from training.serving.fleet import FleetOptions, Replica, answer_all
from training.teachers import load
from training.teachers.remote import RemoteTeacher
from training.teachers.u2net import U2Net, U2NetSmall

CALLERS = 8
FRAMES = [np.full((24 + i, 32, 3), 30 * i, np.uint8) for i in range(CALLERS)]


# -- a batch ---------------------------------------------------------------------------------------------------------


class PickyTeacher:
    """Labels frames alone, and several only if all are bright."""

    def __call__(self, bgr):
        if not bgr.any():
            raise ValueError("too dark")
        return np.ones(bgr.shape[:2], np.float32)

    def many(self, frames):
        self.asked = len(frames)
        return [self(bgr) for bgr in frames]


def test_a_bad_frame_spoils_no_other_of_its_batch(caplog):
    teacher = PickyTeacher()
    answers = answer_all(teacher, FRAMES[:3])
    assert teacher.asked == 3
    assert [a.error for a in answers] == ["the teacher failed: ValueError: too dark", None, None]
    assert [a.label is None for a in answers] == [True, False, False]
    assert {a.batch for a in answers} == {3}


@pytest.mark.parametrize("teacher", [RaisingTeacher(), NonsenseTeacher(np.full((4, 4), 7.0, np.float32))])
def test_a_teacher_that_fails_answers_with_its_reason(teacher):
    assert all(answer.label is None and answer.error for answer in answer_all(teacher, FRAMES[:2]))


def test_together_or_alone_the_labels_are_the_same():
    torch.manual_seed(0)
    teacher = U2NetSmall(1, U2Net(small=True), side=96)
    together = teacher.many(FRAMES[1:3])
    for frame, label in zip(FRAMES[1:3], together, strict=True):
        assert np.abs(teacher(frame) - label).max() < 1e-5


@pytest.fixture
def replica(monkeypatch):
    """Makes a Replica of any teacher, in this process."""

    def make(teacher, deadline=30.0, **options):
        monkeypatch.setattr(fleet, "load", lambda *_: teacher)
        return Replica(TeacherOptions("any"), FleetOptions(**options), deadline)

    return make


def test_a_replica_that_hangs_says_so_and_asks_to_be_replaced(replica):
    teacher = HangingTeacher()
    hanging = replica(teacher, deadline=0.05)
    hanging.check_health()
    answer = asyncio.run(hanging.label(FRAMES[0]))
    assert answer.error == "the teacher did not answer within 0.05 s"
    with pytest.raises(RuntimeError, match="the teacher hangs"):
        hanging.check_health()
    teacher.release.set()


class OneByOne(HangingTeacher):
    """Labels with the frame's mean. Begins when it is told to."""

    def __call__(self, bgr):
        super().__call__(bgr)
        return np.full((2, 2), bgr.mean() / 255, np.float32)


class Together(OneByOne):
    """So many at a time as it is given."""

    def many(self, frames):
        return [self(bgr) for bgr in frames]


async def all_at_once(replica, teacher, gone=()):
    """Every frame is asked about before the teacher begins; callers in `gone` do not wait. Answers or None."""
    asked = [asyncio.create_task(replica.label(bgr)) for bgr in FRAMES]
    await asyncio.sleep(0)
    for number in gone:
        asked[number].cancel()
    await asyncio.sleep(0)
    teacher.release.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    return [None if isinstance(answer, asyncio.CancelledError) else answer for answer in answers]


@pytest.mark.parametrize(("kind", "batches"), [(Together, [3] * 6 + [2] * 2), (OneByOne, [1] * 8)])
def test_what_comes_while_a_replica_is_busy_is_labelled_together_if_the_teacher_can(replica, kind, batches):
    teacher = kind()
    answers = asyncio.run(all_at_once(replica(teacher, batch=3), teacher))
    assert [round(255 * answer.label[0, 0]) for answer in answers] == [30 * i for i in range(CALLERS)]
    assert [answer.batch for answer in answers] == batches


def test_a_caller_that_has_left_is_not_worked_for_and_costs_the_others_nothing(replica):
    teacher = Together()
    answers = asyncio.run(all_at_once(replica(teacher, batch=3), teacher, gone=(0, 2)))
    assert [i for i, answer in enumerate(answers) if answer is None] == [0, 2]
    assert all(answer.label is not None for answer in answers if answer)


def test_a_free_replica_waits_for_others_only_if_it_is_told_to(replica):
    teacher = Together()
    teacher.release.set()
    answers = asyncio.run(all_at_once(replica(teacher, batch=8, batch_wait=0.2), teacher))
    assert {answer.batch for answer in answers} == {8}


def test_replicas_are_a_number_or_two():
    assert (bounds("2"), bounds("1:4")) == ((2, 2), (1, 4))
    for nonsense in ("0", "4:1", "x"):
        with pytest.raises(ValueError):  # noqa: PT011 - argparse says the rest
            bounds(nonsense)


# -- Ray Serve -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    return tiny_segmenter(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def served(toml):
    """Two replicas."""
    pytest.importorskip("ray", reason='Ray Serve is not installed: pip install "jit-masker[ray]"')
    with TeacherProcess(toml, "--ray", "--replicas", 2) as process:
        yield process
        process.stop()


def ask_all(url, times, after_first=lambda: None):
    """Every caller asks `times` times, at once with the others: their labels, and the failures they saw."""
    together = threading.Barrier(CALLERS)

    def call(number):
        teacher = RemoteTeacher(TeacherOptions(url, deadline=60.0, encoding="raw"))
        together.wait()
        labels = []
        try:
            for i in range(times):
                labels.append(teacher(FRAMES[number]))
                if number == i == 0:
                    after_first()
            return labels, teacher.wire()["failures"]
        finally:
            teacher.close()

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(call, range(CALLERS)))


def test_every_caller_gets_its_own_label(served, toml):
    here = load(str(toml), 1)
    for frame, (labels, failures) in zip(FRAMES, ask_all(served.url, 2), strict=True):
        assert not failures
        for label in labels:
            assert np.abs(label - here(frame)).max() <= 1 / 255


def replicas_of(process):
    children = psutil.Process(process.process.pid).children(recursive=True)
    return [child for child in children if "ServeReplica" in " ".join(child.cmdline())]


def test_a_killed_replica_loses_no_caller(served):
    victims = replicas_of(served)
    assert victims
    results = ask_all(served.url, 6, after_first=lambda: os.kill(victims[0].pid, signal.SIGKILL))
    assert all(len(labels) == 6 and not failures for labels, failures in results)
