"""What every source is asked, and the clock around them. Each kind is tested apart: test_video.py, test_images.py …"""

import time

import cv2
import numpy as np
import pytest

from engine.contracts import Source
from engine.errors import SourceError, UsageError
from engine.sources import PacedSource, open_source
from tests.clips import figure_clip


def test_a_missing_file_is_a_lost_source(tmp_path):
    with pytest.raises(SourceError, match="no file .*none.mp4; expected a camera's number, a file"):
        open_source(str(tmp_path / "none.mp4"))


@pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf"), 1e6])
@pytest.mark.parametrize("spec", ["-", "test://", "none.mp4"])
def test_an_impossible_frame_rate_is_refused(spec, fps):
    with pytest.raises(
        UsageError, match=r"fps is .*; expected frames per second above 0, at most 1000, as in --fps 25"
    ):
        open_source(spec, fps=fps, size=(64, 48))


@pytest.mark.parametrize("size", [(0, 48), (64, -1), (64, 1 << 40), (64,), (6.5, 48)])
def test_an_impossible_size_of_raw_frames_is_refused(size):
    with pytest.raises(UsageError, match=r"the size of raw frames is \(.*; expected .* as in --input-size 640x480"):
        open_source("-", size=size)


@pytest.mark.parametrize("spec", ["test://?frames=2", "file", "folder"])
def test_every_source_keeps_the_protocol(spec, tmp_path):
    clip = figure_clip(tmp_path / "clip.mp4", frames=20)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    assert isinstance(open_source({"file": clip, "folder": str(tmp_path)}.get(spec, spec)), Source)


def test_paced_frames_come_no_earlier_than_their_time():
    began = time.perf_counter()
    frames = list(PacedSource(open_source("test://?frames=6&fps=50&width=32&height=32")))
    assert len(frames) == 6
    assert time.perf_counter() - began >= 5 / 50
    assert all(f.captured_at - began >= f.position for f in frames)


def test_a_looped_image_gets_its_clock_from_paced(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((6, 8, 3), np.uint8))
    source = PacedSource(open_source(str(tmp_path / "photo.png"), fps=50, loop=True))
    began = time.perf_counter()
    for frame in source:
        assert time.perf_counter() - began >= frame.position
        if frame.index == 5:
            source.close()
    assert frame.index == 5
