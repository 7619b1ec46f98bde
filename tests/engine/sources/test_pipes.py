"""Named pipes, standard input, process substitution: read as they come; without a frame it is no success."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from tests.clips import figure_clip, read_clip, write_clip

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs pipes with names")


def jm(*arguments, given=None, **options):
    command = [sys.executable, "-m", "engine.cli", "--teacher", "none", "-y", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, timeout=120, **options)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Of a kind that can be read as it comes."""
    return figure_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", frames=8, width=64, height=48)


def test_a_named_pipe_is_read(clip, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"cat '{clip}' > '{pipe}'"]):
        done = jm("-i", pipe, "-o", tmp_path / "out.mkv")
    assert done.returncode == 0, done.stderr
    assert len(read_clip(tmp_path / "out.mkv")) == 8


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".webm"])
def test_standard_input_is_read_by_its_name(suffix, clip, tmp_path):
    subject = clip
    if suffix != ".mkv":
        codec = {".ts": "mpeg2video", ".webm": "libvpx-vp9"}[suffix]
        subject = write_clip(tmp_path / f"in{suffix}", read_clip(clip), codec=codec)
    with open(subject, "rb") as file:
        done = jm("-i", "/dev/stdin", "-o", tmp_path / "out.mkv", given=file.read())
    assert done.returncode == 0, done.stderr
    assert len(read_clip(tmp_path / "out.mkv")) == 8


def test_process_substitution_is_read(clip, tmp_path):
    command = f"'{sys.executable}' -m engine.cli --teacher none -i <(cat '{clip}') -o '{tmp_path}/out.mkv'"
    assert subprocess.run(["bash", "-c", command], timeout=120).returncode == 0
    assert len(read_clip(tmp_path / "out.mkv")) == 8


def test_an_image_through_a_pipe_is_one_frame(tmp_path):
    Image.new("RGB", (64, 48), (9, 9, 9)).save(tmp_path / "a.png")
    done = jm("-i", "/dev/stdin", "-o", tmp_path / "out.mkv", given=(tmp_path / "a.png").read_bytes())
    assert done.returncode == 0, done.stderr
    assert len(read_clip(tmp_path / "out.mkv")) == 1


def test_an_mp4_with_its_index_at_the_end_says_what_it_would_need(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 240, 320, 3), np.uint8)  # more than FFmpeg remembers
    clip = write_clip(tmp_path / "clip.mp4", noise)
    with open(clip, "rb") as file:
        done = jm("-i", "/dev/stdin", "-o", tmp_path / "out.mkv", given=file.read())
    assert done.returncode == 3
    assert b"an mp4 with its index in front (-movflags +faststart)" in done.stderr


def test_the_sound_of_a_pipe_is_left_out_with_a_word(tmp_path):
    clip = figure_clip(tmp_path / "clip.mkv", frames=8, sound=True)
    with open(clip, "rb") as file:
        done = jm("-i", "/dev/stdin", "-o", tmp_path / "out.mkv", given=file.read())
    assert done.returncode == 0, done.stderr
    assert len(read_clip(tmp_path / "out.mkv")) == 8
    assert b"a pipe cannot be read a second time for its sound" in done.stderr


@pytest.mark.parametrize("arguments", [("-i", "-", "--input-size", "64x48"), ("-i", "/dev/stdin")])
@pytest.mark.parametrize("given", [b"", b"\x07" * 500])
def test_an_input_without_a_frame_is_no_success(arguments, given, tmp_path):
    done = jm(*arguments, "-o", tmp_path / "out.mp4", given=given)
    assert done.returncode == 3, done.stderr
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_raw_frames_that_never_come_are_told(tmp_path):
    done = jm("-i", "-", "--input-size", "64x48", "--headless", given=bytes(100))
    assert done.returncode == 3
    assert b"gave no frames: it ended after 100 bytes, and one of 64x48 has 9216" in done.stderr


def test_a_pipe_is_no_background_and_cannot_be_looped(clip, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = jm("-i", clip, "--background", pipe, "--headless")
    assert done.returncode == 2
    assert b"is a pipe, which can be read once only; write it to a file first" in done.stderr
    done = jm("-i", pipe, "--loop", "--headless")
    assert done.returncode == 2
    assert b"leave out --loop" in done.stderr


def test_what_cannot_be_read_as_it_comes_says_so_and_waits_for_nobody(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"\x07" * 50_000))
    writer.start()
    done = jm("-i", pipe, "--headless")
    writer.join(30)
    assert done.returncode == 3
    assert b"needs no jumping back: mkv" in done.stderr
