"""TeacherWorker and its queue: order, deadlines, batches, failures."""

import asyncio
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TeacherError
from tests.fakes import HangingTeacher, NonsenseTeacher, RaisingTeacher
from training.remote.server.deadline_queue import DeadlineQueue
from training.remote.server.worker import Busy, TeacherWorker, WorkerOptions, label_batch
from training.teachers.u2net import U2Net, U2NetSmall

CALLERS = 8
FRAMES = [np.full((24 + i, 32, 3), 30 * i, np.uint8) for i in range(CALLERS)]
LONG = 60.0  # s


# -- the queue ---------------------------------------------------------------------------------------------------------


def simulate(arrivals, seconds, together=1):
    """A queue in front of a teacher that takes `seconds(count)`: (who was answered in time, who late, who refused).

    `arrivals`: (time, until) of each caller, by time.
    """
    queue, now, waiting = DeadlineQueue(together), 0.0, list(enumerate(arrivals))
    in_time, in_vain, refused = [], [], []
    while waiting or queue:
        if not queue:
            now = max(now, waiting[0][1][0])
        while waiting and waiting[0][1][0] <= now:
            number, (_, until) = waiting.pop(0)
            queue.add(number, until)
        batch, late = queue.take(now)
        refused += late
        if batch:
            now += seconds(len(batch))
            queue.record(seconds(len(batch)), len(batch))
            for number in batch:
                (in_time if now <= arrivals[number][1] else in_vain).append(number)
    return in_time, in_vain, refused


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.01, 10)), max_size=60), st.integers(1, 8))
def test_everybody_is_answered_or_refused_once(callers, together):
    arrivals = sorted((at, at + wait) for at, wait in callers)
    in_time, in_vain, refused = simulate(arrivals, lambda count: 0.3 + 0.1 * count, together)
    assert sorted(in_time + in_vain + refused) == list(range(len(arrivals)))


def test_those_who_wait_are_answered_in_their_order():
    in_time, in_vain, refused = simulate([(0, LONG)] * 5, lambda count: 1.0)
    assert (in_time, in_vain, refused) == ([0, 1, 2, 3, 4], [], [])


@pytest.mark.parametrize("together", [1, 8])
def test_an_overloaded_teacher_works_for_those_who_still_wait(together):
    """16 callers each 320 ms, of whom two a second can be answered, within 2 s: nearly all work is of use."""
    arrivals = sorted(
        (0.32 * i + 0.02 * caller, 0.32 * i + 0.02 * caller + 2) for i in range(60) for caller in range(16)
    )
    in_time, in_vain, refused = simulate(arrivals, lambda count: 0.5 * count, together)
    assert len(in_vain) <= 1
    assert len(in_time) >= 0.9 * 2 * 0.32 * 60
    assert len(refused) > 800


def test_a_batch_is_as_large_as_its_earliest_deadline_allows():
    queue = DeadlineQueue(max_batch=8)
    for number in range(4):
        queue.add(number, LONG)
    assert queue.take(0) == ([0], [])  # nothing is known yet
    queue.record(1.0, 1)
    queue.add(4, 3.5)
    assert queue.take(0) == ([1, 2, 3], [])  # with the last it would take 4 s
    queue.record(1.2, 3)  # together it is faster
    assert queue.expected_seconds(4) == pytest.approx(1.6)
    assert queue.take(1.2) == ([4], [])


def test_a_teacher_that_was_slow_once_is_tried_again():
    queue = DeadlineQueue()
    queue.record(30.0, 1)
    queue.add("short", 2.0)
    queue.add("long", 4.0)
    assert queue.take(0) == (["long"], ["short"])
    queue.record(0.1, 1)
    queue.add("next", 2.0)
    assert queue.take(0) == (["next"], [])


def test_a_caller_that_has_given_up_is_not_answered():
    queue = DeadlineQueue()
    queue.add("gone", 1.0)
    assert queue.take(2.0) == ([], ["gone"])
    assert not queue


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
    answers = label_batch(teacher, FRAMES[:3])
    assert teacher.asked == 3
    assert [a.error for a in answers] == ["the teacher failed: ValueError: too dark", None, None]
    assert [a.label is None for a in answers] == [True, False, False]
    assert {a.batch for a in answers} == {3}


@pytest.mark.parametrize("teacher", [RaisingTeacher(), NonsenseTeacher(np.full((4, 4), 7.0, np.float32))])
def test_a_teacher_that_fails_answers_with_its_reason(teacher):
    assert all(answer.label is None and answer.error for answer in label_batch(teacher, FRAMES[:2]))


def test_together_or_alone_the_labels_are_the_same():
    torch.manual_seed(0)
    teacher = U2NetSmall(1, U2Net(small=True), side=96)
    together = teacher.many(FRAMES[1:3])
    for frame, label in zip(FRAMES[1:3], together, strict=True):
        assert np.abs(teacher(frame) - label).max() < 1e-5


@pytest.fixture
def work():
    """Makes a TeacherWorker of a teacher, closed at the end."""
    made = []

    def make(teacher, **options):
        made.append(TeacherWorker(teacher, WorkerOptions(**options)))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


def test_a_teacher_that_hangs_makes_its_worker_unhealthy_until_it_comes_back(work):
    teacher = HangingTeacher()
    worker = work(teacher, deadline=0.05)

    async def hang_and_come_back():
        assert worker.healthy()
        with pytest.raises(TeacherError, match="did not answer within 0.05 s"):
            await worker.label(FRAMES[0], LONG)
        assert not worker.healthy()
        with pytest.raises(TeacherError, match="has not come back"):
            await worker.label(FRAMES[0], LONG)
        teacher.release.set()
        while not worker.healthy():
            await asyncio.sleep(0.001)
        return await worker.label(FRAMES[0], LONG)

    assert asyncio.run(hang_and_come_back()).all()


def test_a_teacher_that_hangs_does_not_keep_the_end_waiting(work):
    teacher = HangingTeacher()
    worker = work(teacher, deadline=0.05)
    with pytest.raises(TeacherError):
        asyncio.run(worker.label(FRAMES[0], LONG))
    began = time.monotonic()
    worker.close()
    assert time.monotonic() - began < 10  # the teacher would hang for 30 s
    teacher.release.set()


def test_a_request_that_cannot_be_answered_in_time_is_refused(work):
    with pytest.raises(Busy, match="longer than this request can wait"):
        asyncio.run(work(PickyTeacher()).label(FRAMES[1], -1.0))


def test_a_full_queue_is_busy(work):
    worker = work(PickyTeacher(), waiting=1)

    async def two():
        first = asyncio.ensure_future(worker.label(FRAMES[1], LONG))
        await asyncio.sleep(0)  # the first is queued
        with pytest.raises(Busy, match="1 requests wait already"):
            await worker.label(FRAMES[1], LONG)
        return await first

    assert asyncio.run(two()).shape == FRAMES[1].shape[:2]
    assert worker.waiting == 0


class OneByOne(HangingTeacher):
    """Labels with the frame's mean. Begins when it is told to."""

    def __call__(self, bgr):
        super().__call__(bgr)
        return np.full((2, 2), bgr.mean() / 255, np.float32)


class Together(OneByOne):
    """So many at a time as it is given."""

    def many(self, frames):
        return [self(bgr) for bgr in frames]


async def all_at_once(worker, teacher, gone=()):
    """Every frame is asked about before the teacher begins; callers in `gone` leave. Answers or None."""
    asked = [asyncio.create_task(worker.result(bgr, LONG)) for bgr in FRAMES]
    await asyncio.sleep(0)
    for number in gone:
        asked[number].cancel()
    await asyncio.sleep(0)
    teacher.release.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    return [None if isinstance(answer, asyncio.CancelledError) else answer for answer in answers]


@pytest.mark.parametrize(("kind", "batches"), [(Together, [1] + [3] * 6 + [1]), (OneByOne, [1] * 8)])
def test_what_comes_while_a_teacher_is_busy_is_labelled_together_if_it_can(work, kind, batches):
    teacher = kind()
    answers = asyncio.run(all_at_once(work(teacher, batch=3), teacher))
    assert [round(255 * answer.label[0, 0]) for answer in answers] == [30 * i for i in range(CALLERS)]
    assert [answer.batch for answer in answers] == batches


class BadAtFirst(Together):
    """While `bad`, batches are answered by `bad_batch` and single frames raise SystemExit."""

    def __init__(self, bad_batch):
        super().__init__()
        self.bad, self._bad_batch = True, bad_batch

    def __call__(self, bgr):
        label = super().__call__(bgr)
        if self.bad:
            raise SystemExit(1)
        return label

    def many(self, frames):
        return self._bad_batch(len(frames)) if self.bad else super().many(frames)


def raising(error):
    def answer(count):
        raise error

    return answer


GOOD = np.ones((2, 2), np.float32)
BAD_BATCHES = {
    "too few": lambda count: [GOOD] * (count - 1),
    "too many": lambda count: [GOOD] * (count + 1),
    "no list": lambda count: None,
    "no labels": lambda count: ["label"] * count,
    "objects": lambda count: [GOOD.astype(object)] * count,
    "MemoryError": raising(MemoryError()),
    "SystemExit": raising(SystemExit(3)),
    "KeyboardInterrupt": raising(KeyboardInterrupt()),
    "GeneratorExit": raising(GeneratorExit()),
}


@pytest.mark.parametrize("bad_batch", BAD_BATCHES.values(), ids=BAD_BATCHES.keys())
def test_after_a_bad_batch_every_caller_has_an_error_and_the_next_batch_is_labelled(work, bad_batch):
    teacher = BadAtFirst(bad_batch)
    worker = work(teacher)

    async def twice():
        async with asyncio.timeout(20):
            first = await all_at_once(worker, teacher)
            teacher.bad = False
            teacher.release.clear()
            return first, await all_at_once(worker, teacher)

    bad, good = asyncio.run(twice())
    assert {result.error for result in bad} == {"the teacher failed: SystemExit: 1"}
    assert all(result.label is not None for result in good)
    assert worker.healthy()


def test_a_label_of_another_precision_is_float32(work):
    worker = work(NonsenseTeacher(np.ones((4, 4), np.float16)))
    assert asyncio.run(worker.label(FRAMES[1], LONG)).dtype == np.float32


def test_a_batch_hook_that_fails_fails_its_caller_only():
    def hook(count):
        raise ValueError("no metrics")

    worker = TeacherWorker(PickyTeacher(), on_batch=hook)

    async def twice():
        async with asyncio.timeout(20):
            return [await asyncio.gather(worker.result(FRAMES[1], LONG), return_exceptions=True) for _ in range(2)]

    assert [str(error) for (error,) in asyncio.run(twice())] == ["no metrics"] * 2
    worker.close()


def test_a_worker_whose_thread_has_ended_is_unhealthy_and_says_so_at_once(work):
    worker = work(PickyTeacher(), deadline=0.5)
    assert worker.healthy()
    worker.close()
    assert not worker.healthy()
    with pytest.raises(TeacherError, match="the teacher's thread has ended"):
        asyncio.run(worker.label(FRAMES[1], LONG))


def test_a_caller_that_has_left_is_not_worked_for_and_costs_the_others_nothing(work):
    teacher = Together()
    answers = asyncio.run(all_at_once(work(teacher, batch=3), teacher, gone=(0, 2)))
    assert [i for i, answer in enumerate(answers) if answer is None] == [0, 2]
    assert all(answer.label is not None for answer in answers if answer)


def test_a_free_teacher_waits_for_others_only_if_it_is_told_to(work):
    teacher = Together()
    teacher.release.set()
    answers = asyncio.run(all_at_once(work(teacher, batch=8, batch_wait=0.2), teacher))
    assert sorted(answer.batch for answer in answers) == [1] + [7] * 7  # of the very first nothing is known
