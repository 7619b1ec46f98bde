"""The paint path allocates nothing per frame that grows with the frame: what it needs is there after the first ones."""

import gc
import sys
import tracemalloc

import pytest

from engine import Masker
from engine.contracts import Canvas, PaintState
from engine.sources.synthetic import SyntheticPerson

WARM = 30  # frames: buffers are made, the witness is loaded and asked, trust is earned or not
LARGEST = 64 * 1024  # bytes at once: Python's own objects and the guard's grid; a mask of the student has 300 kB
FRAMES = 200
MAX_FAULTS = 10  # pages in so many frames: what the process does beside; one array of a mask per frame has 75 each


@pytest.fixture(params=[(640, 480), (1280, 720)], ids=lambda size: f"{size[0]}x{size[1]}")
def pictures(request):
    """A person who moves, so that nothing may be left out because the picture stands still."""
    figure = SyntheticPerson(*request.param)
    return [figure.picture(index) for index in range(20)]


@pytest.fixture(params=["#204060", "blur"])
def frame(request, pictures):
    """Paints the next frame; warm."""
    with Masker("ort-cpu", None, request.param, threads=1, min_area=0.0) as masker:
        masker._painting.guard._witness.wait()
        canvas, position = Canvas(), 0

        def paint():
            nonlocal position
            state = masker.process(pictures[position % len(pictures)], position / 25, canvas).state
            position += 1
            return state

        for _ in range(WARM):
            assert paint() in (PaintState.PERSON, PaintState.UNSURE)  # the whole path
        yield paint


def test_a_frame_allocates_no_array_of_its_size_or_of_the_masks(frame):
    gc.collect()
    tracemalloc.start()
    try:
        frame()  # what Python makes once where it is traced
        largest = 0
        for _ in range(20):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            frame()
            largest = max(largest, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert largest < LARGEST


@pytest.mark.skipif(sys.platform != "linux", reason="page faults of one thread are counted by Linux alone")
def test_frames_ask_the_system_for_no_memory(frame):
    import resource

    gc.collect()
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(FRAMES):
        frame()
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before <= MAX_FAULTS
