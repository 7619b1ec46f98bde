"""Raw frames through real pipes."""

import io
import os

import numpy as np
import pytest

from engine.errors import UsageError
from engine.sources import open_source
from engine.sources.raw_frames import RawFrames


def test_raw_frames_are_cut_by_size_and_a_rest_is_told(caplog):
    data = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).tobytes()
    frames = list(RawFrames((4, 3), 25.0, io.BytesIO(data + b"rest")))
    assert [f.bgr.shape for f in frames] == [(3, 4, 3)] * 2
    assert b"".join(f.bgr.tobytes() for f in frames) == data
    assert "4 of 36 bytes" in caplog.text


def test_raw_frames_need_a_size():
    with pytest.raises(UsageError, match="say --input-size WxH"):
        open_source("-")


def test_raw_frames_come_whole_however_the_pipe_cuts_them():
    reader, writer = os.pipe()
    data = np.random.default_rng(0).integers(0, 256, 3 * 36, dtype=np.uint8).tobytes()
    with open(reader, "rb") as stream:
        frames = iter(RawFrames((4, 3), 25.0, stream))
        seen = b""
        for start in range(0, 3 * 36, 36):  # a frame is given as soon as it is there, though the pipe stays open
            os.write(writer, data[start : start + 10])
            os.write(writer, data[start + 10 : start + 36])
            seen += next(frames).bgr.tobytes()
        os.close(writer)
        assert next(frames, None) is None
    assert seen == data
