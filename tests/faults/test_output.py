"""A disk that is full, a reader that leaves, a folder that cannot be written: one message, and what was written plays.

Files onto which something else stands, and descriptors that are closed: tests/engine/test_cli.py, test_process.py.
"""

import os
import resource
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import decoded_until_damage, read_clip
from tests.data.make_clip import CLIP, PERSON
from tests.faults.whole_run import FRAMES, MAX_ROOM, NO_LEARNING, arguments, ended, left, start

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX devices and limits")

DISK = 15 * 4096  # bytes; the clip before this picture is twice as large
PICTURE = ["--background", Path(__file__).parents[2] / "docs" / "sheet.jpg", *NO_LEARNING]
SUFFIXES = [".mp4", ".mkv", ".webm"]


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))


def assert_full(run, out, reason):
    """One message; a second of pictures or more can be played."""
    message = f"cannot write {out}: {reason}. What was written stays; free space or name another file"
    assert (run.code, run.said, run.report["ended"]) == (1, f"jm-engine: {message}\n", message)
    assert run.report["frames"] >= len(decoded_until_damage(out)) >= 20


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_may_not_grow_ends_the_run_and_plays(tmp_path, suffix):
    out, report = tmp_path / f"out{suffix}", tmp_path / "report.json"
    process = start("-i", CLIP, "-o", out, "--report", report, *PICTURE, preexec_fn=limit_files)
    assert_full(left(tmp_path, *ended(process)), out, "File too large")


def on_a_small_disk(folder, before, *command):
    """jm-engine where the folder `disk` is a disk of DISK bytes that nobody else sees; afterwards it is in `kept`."""
    disk, kept = shlex.quote(str(folder / "disk")), shlex.quote(str(folder / "kept"))
    mount = f"mount -t tmpfs -o size={DISK} none {disk}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", f"mkdir -p {disk} && {mount}"], capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    script = f'{mount}; {before}; "$@"; code=$?; cp -r {disk} {kept}; exit $code'
    given = ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-m", "engine.cli", *map(str, command)]
    done = subprocess.run(given, capture_output=True, text=True, timeout=60)
    return left(folder, done.returncode, done.stderr)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_ends_the_run_and_the_file_plays(tmp_path, suffix):
    out, report = tmp_path / "disk" / f"out{suffix}", tmp_path / "report.json"
    run = on_a_small_disk(tmp_path, "true", "-i", CLIP, "-o", out, "--report", report, *PICTURE)
    (tmp_path / "disk").rmdir()
    (tmp_path / "kept").rename(tmp_path / "disk")
    assert_full(run, out, "No space left on device")


def test_a_report_onto_a_full_disk_is_told_before_the_run(tmp_path):
    """Nothing is left of the attempt."""
    report, out = tmp_path / "disk" / "report.json", tmp_path / "out.mkv"
    fill = f"head -c {DISK} /dev/zero > {shlex.quote(str(tmp_path / 'disk' / 'fill'))}"
    run = on_a_small_disk(tmp_path, fill, "-i", CLIP, "-o", out, "--report", report, *PICTURE)
    expected = f"--report is {str(report)!r}, which cannot be written: No space left on device; name a file"
    assert (run.code, expected in run.said, out.exists()) == (2, True, False)
    assert os.listdir(tmp_path / "kept") == ["fill"]


def test_a_disk_that_fills_up_takes_the_report_too_and_both_are_said(tmp_path):
    disk = tmp_path / "disk"
    run = on_a_small_disk(
        tmp_path, "true", "-i", CLIP, "-o", disk / "out.mkv", "--report", disk / "report.json", *PICTURE
    )
    report, film = run.said.splitlines()
    assert (run.code, run.report) == (1, None)
    assert report == f"jm-engine: cannot write the report to {disk / 'report.json'}: No space left on device; " \
        "choose another --report"  # fmt: skip
    assert film.startswith(f"jm-engine: cannot write {disk / 'out.mkv'}: No space left on device. What was written")
    assert os.listdir(tmp_path / "kept") == ["out.mkv"]


@pytest.mark.parametrize("option", ["-o", "--alpha"])
def test_a_folder_where_nobody_can_write_is_told_before_the_first_frame(paint, option):
    if not os.path.isdir("/proc/self"):
        pytest.skip("needs a folder that nobody can write to")
    run = paint(option, "/proc/self/out.mkv")
    assert (run.code, run.report, run.frames) == (1, None, 0)
    assert "cannot write /proc/self/out.mkv: No such file or directory; name a file in a folder you can" in run.said


@pytest.mark.parametrize("option", ["-o", "--alpha", "--report"])
def test_a_folder_that_is_not_there_is_told_before_the_first_frame(paint, tmp_path, option):
    run = paint(option, tmp_path / "nowhere" / "out.mkv")
    assert (run.code, run.report, run.frames) == (2, None, 0)
    assert "No such file or directory; name a file in a folder" in run.said


# -- standard output ---------------------------------------------------------------------------------------------------


def test_a_reader_that_leaves_ends_the_run_without_a_word(tmp_path):
    process = start(*arguments(tmp_path, "-o", "-", frames=None), stdout=subprocess.PIPE)
    process.stdout.read(3 * PERSON.picture(0).nbytes)
    process.stdout.close()
    process.stdout = None
    run = left(tmp_path, *ended(process))
    assert (run.code, run.said) == (0, "")
    assert 3 <= run.frames == run.report["frames"] < 75
    assert run.report["ended"] == "ok"
    assert run.room <= MAX_ROOM


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_ends_the_run(tmp_path):
    with open("/dev/full", "wb") as full:
        run = left(tmp_path, *ended(start(*arguments(tmp_path, "-o", "-"), stdout=full)))
    message = "cannot write to stdout: No space left on device; check where it is redirected to"
    assert (run.code, run.said, run.report["ended"]) == (1, f"jm-engine: {message}\n", message)


# -- what stands where a file is to be written -------------------------------------------------------------------------


def test_pictures_go_through_a_pipe_that_stands_there(paint, tmp_path):
    pipe = tmp_path / "out.mkv"
    os.mkfifo(pipe)
    with open(tmp_path / "copy.mkv", "wb") as copy, subprocess.Popen(["cat", pipe], stdout=copy) as reader:
        try:
            run = paint("-o", pipe)
            reader.wait(60)
        finally:
            reader.kill()
    run.painted_everything()
    assert pipe.is_fifo()
    assert len(read_clip(tmp_path / "copy.mkv")) == FRAMES


@pytest.mark.parametrize("option", ["--report", "-o"])
def test_a_device_that_stands_there_is_written_and_stays(paint, tmp_path, option):
    device = tmp_path / "device.mkv"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.stat(os.devnull).st_rdev)
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("making a device is not permitted here")
    run = paint(option, device)
    assert (run.code, run.frames, run.said.strip()) == (0, FRAMES, "")
    assert run.room <= MAX_ROOM
    assert device.is_char_device()


@pytest.mark.parametrize("disguise", ["itself", "symbolic link", "hard link"])
def test_the_clip_that_is_read_is_not_written_over(paint, tmp_path, disguise):
    """The other ways to name it, and the other inputs: tests/engine/test_cli.py."""
    clip, other = tmp_path / "clip.mp4", tmp_path / "other.mp4"
    clip.write_bytes(CLIP.read_bytes())
    {
        "itself": lambda: None,
        "symbolic link": lambda: other.symlink_to(clip),
        "hard link": lambda: other.hardlink_to(clip),
    }[disguise]()
    run = paint("-o", clip if disguise == "itself" else other, clip=clip)
    assert (run.code, run.report, run.frames) == (2, None, 0)
    assert "is the same file as --input" in run.said
    assert clip.read_bytes() == CLIP.read_bytes()
