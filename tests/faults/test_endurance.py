"""The same thing again and again, from several threads, in a fork: nothing grows, hangs or gets mixed up.

In small numbers.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from engine import Masker
from export.publish import Publisher
from tests.data.make_clip import PERSON
from tests.faults.whole_run import MAX_ROOM, room_shown
from tests.toml_teacher import write_teacher

FRAMES = [PERSON.picture(i) for i in range(8)]


def alphas_of(masker, frames=FRAMES):
    masker.reset()
    return [masker.process(bgr, i / 25).alpha.copy() for i, bgr in enumerate(frames)]


@pytest.fixture
def expected(room):
    with Masker("ort-cpu", None, room, threads=1) as masker:
        return alphas_of(masker)


def held():
    """How many descriptors and threads this process has, and how many of them are ours by name."""
    names = ("teacher", "learner", "builder", "background", "paint", "source")
    return len(os.listdir("/proc/self/fd")), sum(thread.name.startswith(names) for thread in threading.enumerate())


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to count descriptors")


@needs_proc
def test_many_swaps_leave_nothing_behind(room, expected):
    with Masker("ort-cpu", None, room, threads=1) as masker:
        publisher = Publisher(masker.student, masker.size)
        before, alphas = None, []
        for i in range(60):
            masker.swap(publisher.publish(dict(masker.student.tensors)))
            alphas.append(masker.process(FRAMES[i % 8], i / 25).alpha / 255)
            before = held() if i == 4 else before
        assert held() == before
        assert (masker.stats.swaps, masker.stats.frames, masker.stats.faults) == (60, 60, 0)
        assert np.array_equal(alphas_of(masker), expected)
    assert room_shown(alphas[:8]) <= MAX_ROOM


@needs_proc
def test_many_opens_leave_nothing_behind(room, tmp_path, expected):
    """With a teacher and with a video behind, each of which has threads."""
    from tests.data.make_clip import CLIP

    teacher, before = str(write_teacher(tmp_path, PERSON._scene(0).background)), None
    for i in range(8):
        with Masker("ort-cpu", teacher, str(CLIP), threads=1, size=64) as masker:
            for bgr in FRAMES[:2]:
                masker.process(bgr)
            assert masker.stats.faults == 0
        before = held() if i == 2 else before
    assert held() == before


@needs_proc
def test_many_frames_of_changing_size_leave_nothing_behind(room):
    small = [np.ascontiguousarray(bgr[:: 2 + i % 3, :: 2 + i % 3]) for i, bgr in enumerate(FRAMES)]
    with Masker("ort-cpu", None, room, threads=1) as masker:
        before = None
        for i in range(400):
            masker.process(small[i % 8], i / 25)
            before = held() if i == 20 else before
        assert held() == before
        assert (masker.stats.frames, masker.stats.faults) == (400, 0)
        assert len(masker.paint_path.since(0)) <= 400


def test_two_maskers_side_by_side_are_as_each_alone(expected):
    colours = {"#ff00ff": (255, 0, 255), "#00ff00": (0, 255, 0)}
    results, errors = {}, []

    def paint(name):
        try:
            with Masker("ort-cpu", None, name, threads=1) as masker:
                results[name] = [masker.process(bgr, i / 25) for i, bgr in enumerate(FRAMES)]
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=paint, args=(name,)) for name in colours]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    for name, colour in colours.items():
        assert np.array_equal([result.alpha for result in results[name]], expected)
        for result in results[name]:
            assert (result.picture[result.alpha == 0] == colour).all()


def test_four_threads_at_one_masker_get_each_its_own_picture(room):
    """They take turns. What is smoothed hangs on whose turn it is, so each thread has a still picture of its own."""
    with Masker("ort-cpu", None, room, threads=1) as masker:
        frames = [np.full((48 + 16 * i, 64, 3), 60 * i, np.uint8) for i in range(4)]
        pictures = {i: [] for i in range(4)}

        def paint(i):
            pictures[i] += [masker(frames[i]) for _ in range(25)]

        threads = [threading.Thread(target=paint, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (masker.stats.frames, masker.stats.faults) == (100, 0)
    assert all(picture.shape == frames[i].shape for i in range(4) for picture in pictures[i])


FORK = """
import os, signal, sys
import numpy as np
from engine import Masker
from tests.data.make_clip import PERSON

def paint(masker):
    masker.reset()
    return [masker.process(PERSON.picture(i), i / 25).alpha.copy() for i in range(3)]

with Masker("ort-cpu", None, "#ff00ff", threads=int(sys.argv[1])) as masker:
    before = paint(masker)
    child = os.fork()
    signal.alarm(60)  # who hangs is ended
    if child == 0:
        with Masker("ort-cpu", None, "#ff00ff", threads=int(sys.argv[1])) as other:
            os._exit(0 if np.array_equal(paint(other), before) else 7)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, np.array_equal(paint(masker), before))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_fork_of_the_program_paints_and_the_program_goes_on(threads):
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(threads)], cwd=root, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.strip() == "0 True", done.stderr
