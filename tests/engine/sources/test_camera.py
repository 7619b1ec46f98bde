"""A scripted camera, since no real one can be assumed."""

import itertools
import threading
import time

import numpy as np
import pytest

from engine.errors import SourceError
from engine.sources import open_source
from engine.sources.camera import Camera


class ScriptedCapture:
    """Gives the images it was given, then does `afterwards`: "fail", "repeat" the last one, "block", or "raise"."""

    def __init__(self, images, afterwards):
        self._images, self._afterwards = list(images), afterwards
        self._last = None
        self.asked_at = []  # s, one per `read`
        self.spent = threading.Event()
        self.unblock = threading.Event()
        self.released = threading.Event()

    def read(self):
        self.asked_at.append(time.perf_counter())
        if self._images:
            self._last = self._images.pop(0)
            self.unblock.wait(0.02)  # a camera's own rate
            return True, self._last
        self.spent.set()
        if self._afterwards == "raise":
            raise RuntimeError("the driver is confused")
        if self._afterwards == "block":
            self.unblock.wait(30)
        return self._afterwards == "repeat", self._last if self._afterwards == "repeat" else None

    def get(self, _):
        return 30.0

    def release(self):
        self.released.set()


PICTURES = [np.full((8, 8, 3), i, np.uint8) for i in range(3)]


LOST = {
    "fail": r"camera 0 failed: it refused every read for 0.\d s; plug it in again",
    "repeat": r"camera 0 gave no new frame for 0.3 s; plug it in again",
    "block": r"camera 0 gave no new frame for 0.3 s; plug it in again",
}


@pytest.mark.parametrize("afterwards", LOST)
def test_a_camera_without_new_frames_is_lost_however_it_fails(afterwards):
    capture = ScriptedCapture(PICTURES, afterwards)
    camera = Camera("0", timeout=0.3, factory=lambda _: capture)
    seen = []
    with pytest.raises(SourceError, match=LOST[afterwards]):
        for frame in camera:
            seen.append(frame.bgr[0, 0, 0])
    capture.unblock.set()
    assert seen[-1] == 2


def test_a_closed_camera_is_released():
    capture = ScriptedCapture(PICTURES * 100, "fail")
    camera = Camera("0", timeout=0.5, factory=lambda _: capture)
    for _ in camera:
        camera.close()
    assert capture.released.wait(5)


def test_a_camera_that_hangs_while_opening_is_lost():
    hang = threading.Event()
    with pytest.raises(SourceError, match="did not open within 0.1 s"):
        Camera("0", timeout=0.1, factory=lambda _: hang.wait(30) and ScriptedCapture([], "fail"))
    hang.set()


def test_a_camera_that_opens_too_late_is_released_at_once():
    hang = threading.Event()
    capture = ScriptedCapture(PICTURES, "repeat")
    with pytest.raises(SourceError, match="did not open within 0.1 s"):
        Camera("0", timeout=0.1, factory=lambda _: hang.wait(30) and capture)
    hang.set()
    assert capture.released.wait(5)
    assert capture.asked_at == []


def two_looks(capture):
    """The frame that a camera has at first, and the one that it has once all images were given."""
    camera = Camera("0", timeout=5, factory=lambda _: capture)
    frames = iter(camera)
    first = next(frames)
    assert capture.spent.wait(10)
    second = next(frames)
    camera.close()
    return first, second


def test_what_nobody_looked_at_is_a_gap_in_the_count():
    first, second = two_looks(ScriptedCapture([np.full((8, 8, 3), i, np.uint8) for i in range(10)], "fail"))
    assert first.index == 0
    assert second.index == second.bgr[0, 0, 0] - first.bgr[0, 0, 0] > 1


def test_an_image_that_repeats_is_no_gap():
    images = [np.full((8, 8, 3), i // 5, np.uint8) for i in range(10)]
    first, second = two_looks(ScriptedCapture(images, "repeat"))
    assert (first.index, second.index) == (0, 1)


def test_a_frame_has_the_time_at_which_the_camera_gave_it():
    capture = ScriptedCapture([np.full((8, 8, 3), i, np.uint8) for i in range(10)], "block")
    first, second = two_looks(capture)
    capture.unblock.set()
    for frame in (first, second):
        number = int(frame.bgr[0, 0, 0])
        assert capture.asked_at[number] <= frame.captured_at <= capture.asked_at[number + 1]
    assert (first.position, second.position) == (0.0, second.captured_at - first.captured_at)


def test_close_ends_the_wait_for_a_camera_that_hangs():
    capture = ScriptedCapture(PICTURES, "block")
    camera = Camera("0", timeout=30, factory=lambda _: capture)
    reader = threading.Thread(target=list, args=(camera,), daemon=True)
    reader.start()
    assert capture.spent.wait(10)
    camera.close()
    reader.join(5)
    capture.unblock.set()
    assert not reader.is_alive()


def test_a_camera_whose_driver_fails_is_lost_with_the_reason():
    camera = Camera("0", timeout=30, factory=lambda _: ScriptedCapture(PICTURES, "raise"))
    with pytest.raises(SourceError, match="camera 0 failed: the driver is confused; plug it in again"):
        list(camera)


def test_a_camera_that_is_not_there_names_the_remedy():
    with pytest.raises(SourceError, match=r"no camera /dev/video97; (there are|no camera is connected)"):
        open_source("97")


class TickingCapture(ScriptedCapture):
    """Gives the same picture again and again, each with a time of its own."""

    _now = 0.0

    def get(self, property_id):
        if property_id == 0:
            self._now += 40.0
            return self._now
        return 30.0


def test_a_still_picture_is_no_loss_where_the_driver_tells_the_time():
    capture = TickingCapture(PICTURES[:1], "repeat")
    camera = Camera("0", timeout=5, factory=lambda _: capture)
    frames = list(itertools.islice(camera, 5))
    camera.close()
    assert len(frames) == 5
    assert all((frame.bgr == PICTURES[0]).all() for frame in frames)
