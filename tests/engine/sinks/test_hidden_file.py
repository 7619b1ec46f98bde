"""When a file that is written gets its name, and what becomes of what had the name before."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from engine.contracts import Picture
from engine.errors import SinkError
from engine.sinks import AlphaFile, open_sink
from engine.sinks.containers import CONTAINERS
from engine.sinks.hidden_file import HiddenFile
from tests.clips import beeping_clip, pass_through, read_clip

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(CONTAINERS)
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX links, pipes and signals")
KINDS = [*((suffix, False) for suffix in FILES), (".mkv", True)]  # True: the matte alone


def opened(path, matte):
    return AlphaFile(str(path), 25) if matte else open_sink(str(path), fps=25)


def picture(index):
    noise = np.random.default_rng(index)
    return Picture(noise.integers(0, 255, (48, 64, 3), np.uint8), np.full((48, 64), index, np.uint8), index, index / 25)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@posix
@pytest.mark.parametrize(("suffix", "matte"), KINDS)
def test_what_had_the_name_stays_until_the_new_file_plays_and_then_it_has_the_name_at_once(suffix, matte, tmp_path):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"precious")
    sink, index = opened(path, matte), 0
    while path.read_bytes() == b"precious":
        assert len(names(tmp_path)) == (2 if index else 1)  # a hidden one beside it
        sink.write(picture(index))
        index += 1
    copy = tmp_path / f"copy{suffix}"
    copy.write_bytes(path.read_bytes())
    assert len(read_clip(copy)) >= 20
    assert index < 100
    for more in range(index, index + 30):
        sink.write(picture(more))
    sink.close()
    assert len(read_clip(path)) == index + 30
    assert names(tmp_path) == [copy.name, path.name]


@pytest.mark.parametrize(("suffix", "matte"), KINDS)
def test_a_file_of_less_than_a_second_has_its_name_when_it_is_whole(suffix, matte, tmp_path):
    path = tmp_path / f"out{suffix}"
    sink = opened(path, matte)
    for index in range(3):
        sink.write(picture(index))
    assert not path.exists()
    sink.close()
    assert len(read_clip(path)) == 3
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", FILES)
def test_a_failure_before_anything_plays_leaves_what_was_there(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"precious")
    sink = open_sink(str(path), fps=25)
    sink.write(picture(0))
    with pytest.raises(SinkError, match=r"Nothing was written; name another file"):
        sink._writer.write(np.zeros((48, 64), np.uint8), "bgr24", 0.04)  # no picture
    assert (names(tmp_path), path.read_bytes()) == ([path.name], b"precious")
    sink.close()


@posix
def test_an_interruption_leaves_nothing_hidden(tmp_path):
    code = """
        import sys, os, signal, numpy as np
        from engine.contracts import Picture
        from engine.sinks import open_sink
        sink = open_sink(sys.argv[1], fps=25)
        signal.signal(signal.SIGUSR1, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        try:
            for i in range(20):
                sink.write(Picture(np.zeros((48, 64, 3), np.uint8), None, i, i / 25))
                if i == 5:
                    os.kill(os.getpid(), signal.SIGUSR1)
        finally:
            sink.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "out.mp4")]
    done = subprocess.run(command, cwd=ROOT, timeout=60, capture_output=True)
    assert b"KeyboardInterrupt" in done.stderr
    assert names(tmp_path) in ([], ["out.mp4"])


@posix
def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "film.mp4", tmp_path / "link.mp4"
    link.symlink_to(target)
    pass_through(beeping_clip(tmp_path / "in.mp4"), link)
    assert link.is_symlink()
    assert len(read_clip(target)) == 75


@posix
def test_the_mode_of_what_was_there_is_kept_and_a_new_file_has_the_usual_one(tmp_path):
    old, new, usual = tmp_path / "old.mp4", tmp_path / "new.mp4", tmp_path / "usual"
    old.write_bytes(b"")
    old.chmod(0o640)
    usual.touch()
    clip = beeping_clip(tmp_path / "in.mp4")
    for path in (old, new):
        pass_through(clip, path)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert new.stat().st_mode == usual.stat().st_mode


@posix
@pytest.mark.parametrize("suffix", FILES)
def test_a_pipe_is_written_through(suffix, tmp_path):
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    came = []
    reader = threading.Thread(target=lambda: came.append(pipe.read_bytes()))
    reader.start()
    pass_through(beeping_clip(tmp_path / "in.mp4"), pipe)
    reader.join(20)
    copy = tmp_path / f"copy{suffix}"
    copy.write_bytes(came[0])
    assert pipe.is_fifo()
    assert len(read_clip(copy)) == 75


@posix
def test_a_device_is_written_through_and_stays(tmp_path):
    link = tmp_path / "nothing.mkv"
    link.symlink_to("/dev/null")
    pass_through(beeping_clip(tmp_path / "in.mp4"), link)
    assert stat.S_ISCHR(link.stat().st_mode)
    assert names(tmp_path) == ["in.mp4", "nothing.mkv"]


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_be_written_in_a_folder_that_may_not_is_written_directly(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "out.mp4").touch()
    folder.chmod(0o500)
    try:
        pass_through(beeping_clip(tmp_path / "in.mp4"), folder / "out.mp4")
        assert len(read_clip(folder / "out.mp4")) == 75
    finally:
        folder.chmod(0o700)


def test_a_name_like_a_url_of_this_machine_is_that_file(tmp_path):
    pass_through(beeping_clip(tmp_path / "in.mp4"), (tmp_path / "a film.mp4").as_uri())
    with av.open(str(tmp_path / "a film.mp4")) as container:
        assert container.streams.video[0].frames == 75


def test_asking_for_a_name_changes_nothing(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    HiddenFile(str(path)).discard()
    assert (names(tmp_path), path.read_bytes()) == (["out.mp4"], b"precious")
    with pytest.raises(SinkError, match="Is a directory"):
        HiddenFile(str(tmp_path))


@posix
@pytest.mark.parametrize("suffix", FILES)
def test_a_kill_in_the_first_second_leaves_what_was_there(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"precious")
    code = """
        import os, signal, sys, numpy as np
        from engine.contracts import Picture
        from engine.sinks import open_sink
        sink = open_sink(sys.argv[1], fps=25)
        for i in range(10):
            sink.write(Picture(np.zeros((48, 64, 3), np.uint8), None, i, i / 25))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)], cwd=ROOT, timeout=60)
    assert (done.returncode, path.read_bytes()) == (-signal.SIGKILL, b"precious")
