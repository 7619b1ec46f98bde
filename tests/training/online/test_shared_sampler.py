"""The mailbox between two processes keeps the promises of the one between two threads, and more."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from engine.mailboxes import FrameSampler
from training.online.shared_sampler import SharedFrameSampler

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs memory without a name")


class Ends:
    """Both ends of a shared sampler in one process, as one object."""

    def __init__(self):
        self.ours = SharedFrameSampler()
        self.theirs = SharedFrameSampler(self.ours.descriptors)
        self.offer, self.take = self.ours.offer, self.theirs.take

    @property
    def wanted(self):
        return self.ours._header.wanted != self.ours._header.filled

    def close(self):
        self.theirs.close()
        self.ours.close()


class OneProcess(FrameSampler):
    @property
    def wanted(self):
        return self._wants_frame


@pytest.fixture(params=[OneProcess, Ends], ids=["thread", "process"])
def sampler(request):
    sampler = request.param()
    yield sampler
    sampler.close()


@contextmanager
def taking(sampler, patience=1):
    """In another thread a frame is waited for; afterwards it is in the list."""
    taken = []

    def take():
        bgr, logits, *rest = sampler.take(patience)
        taken.append((bgr.copy(), logits.copy(), *rest))

    thread = threading.Thread(target=take)
    thread.start()
    while not sampler.wanted:
        pass
    yield taken
    thread.join(10)


def frame(value, shape=(6, 5, 3)):
    return np.full(shape, value, np.uint8), np.full((2, 3), value, np.float32)


def test_a_frame_is_copied_where_it_is_wanted_and_only_there(sampler):
    sampler.offer(*frame(1), 0)
    with taking(sampler) as taken:
        sampler.offer(*frame(2), 7)
    sampler.offer(*frame(3), 7)
    (bgr, logits, scene, elapsed), (expected, expected_logits) = taken[0], frame(2)
    assert np.array_equal(bgr, expected)
    assert np.array_equal(logits, expected_logits)
    assert (scene, elapsed) == (7, 2)


def test_a_patient_taker_gets_the_frame_so_many_offers_after_the_last(sampler):
    with taking(sampler) as taken:
        sampler.offer(*frame(0), 0)
    with taking(sampler, patience=3) as taken:
        for value in (1, 2, 3):
            sampler.offer(*frame(value), 0)
    bgr, _, _, elapsed = taken[0]
    assert (bgr[0, 0, 0], elapsed) == (3, 3)


def test_another_scene_is_not_waited_for(sampler):
    with taking(sampler) as taken:
        sampler.offer(*frame(0), 0)
    with taking(sampler, patience=100) as taken:
        sampler.offer(*frame(1), 0)
        sampler.offer(*frame(2), 1)
    bgr, _, scene, elapsed = taken[0]
    assert (bgr[0, 0, 0], scene, elapsed) == (2, 1, 2)


@pytest.mark.parametrize("shape", [(1, 1, 3), (700, 901, 3), (6, 5, 3)])
def test_frames_may_grow_and_shrink(sampler, shape):
    for size in ((6, 5, 3), shape):
        bgr = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
        logits = np.arange(size[0], dtype=np.float32)[None]
        with taking(sampler) as taken:
            sampler.offer(bgr, logits, 0)
        assert np.array_equal(taken[0][0], bgr)
        assert np.array_equal(taken[0][1], logits)


def test_a_taker_that_was_killed_leaves_the_next_one_a_working_sampler():
    """The first asks for a frame and is gone; the second asks again, and is not given what the first was."""
    sampler = SharedFrameSampler()
    code = (
        "import os, sys, threading; from training.online.shared_sampler import SharedFrameSampler\n"
        "sampler = SharedFrameSampler(tuple(map(int, sys.argv[1:])))\n"
        "threading.Thread(target=sampler.take, daemon=True).start()\n"
        "while sampler._header.wanted == sampler._header.filled: pass\n"
        "os._exit(0)"
    )
    command = [sys.executable, "-c", code, *map(str, sampler.descriptors)]
    subprocess.run(command, pass_fds=sampler.descriptors, check=True)
    sampler.offer(*frame(1), 0)
    second = Ends.__new__(Ends)
    second.ours, second.theirs = sampler, SharedFrameSampler(sampler.descriptors)
    second.offer, second.take = sampler.offer, second.theirs.take
    with taking(second) as taken:
        sampler.offer(*frame(2), 0)
    assert (taken[0][0] == 2).all()
    second.close()


def test_closing_wakes_who_waits_and_gives_the_memory_back():
    sampler, taken = Ends(), []
    thread = threading.Thread(target=lambda: taken.append(sampler.take()))
    thread.start()
    while not sampler.wanted:
        pass
    sampler.theirs.close()
    thread.join(10)
    sampler.close()
    sampler.close()
    assert taken == [None]
    for descriptor in sampler.ours.descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_in_a_fork_of_the_program_nothing_is_offered():
    sampler = Ends()
    with taking(sampler) as taken:
        child = os.fork()
        if not child:
            sampler.offer(*frame(9), 0)
            os._exit(sampler.ours.skipped)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        sampler.offer(*frame(1), 0)
    assert (taken[0][0] == 1).all()
    sampler.close()
