"""Outputs over inputs, in every disguise: refused before anything is opened. The clip itself: test_cli.py."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine import output_paths
from engine.cli import main
from engine.errors import UsageError
from engine.jobs import folders, plan
from engine.media.whole_file import is_written_through, write_whole
from engine.options import Options

DISGUISES = {
    "itself": lambda file: file,
    "another spelling": lambda file: file.parent / "." / ".." / file.parent.name / file.name,
    "symbolic link": lambda file: linked(file, Path.symlink_to),
    "hard link": lambda file: linked(file, Path.hardlink_to),
    "file URL": lambda file: file.as_uri(),
}
READ = {
    "--input": "clip.mkv", "--background": "room.mkv", "--card": "card.mkv", "--weights": "own.mkv",
    "--config": "options.mkv", "--teacher-authority": "who.mkv",
}  # fmt: skip
WRITTEN = ["--output", "--alpha", "--report"]


def linked(file, how):
    other = file.with_name(f"other {file.name}")
    how(other, file)
    return other


def check(*, files=(), config=None, **options):
    """What `jm-engine` checks with these options."""
    given = Options(**options)
    output_paths.check(plan(given, files), folders(given), config)


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("read", READ)
def test_no_output_is_written_over_what_is_read(tmp_path, capsys, read, written, disguise):
    file = tmp_path / READ[read]
    file.write_bytes(b"" if read == "--config" else b"kept")
    given = [] if read == "--input" else ["-i", "test://?frames=2"]
    headless = [] if written == "--output" else ["--headless"]
    output = DISGUISES[disguise](file)
    assert main([*given, read, str(file), written, str(output), "-y", "--teacher", "none", *headless]) == 2
    assert f"is the same file as {read}" in capsys.readouterr().err
    assert file.read_bytes() == (b"" if read == "--config" else b"kept")


def test_nor_over_the_teacher_its_model_or_a_picture_of_the_gallery(tmp_path):
    toml, model, picture = tmp_path / "own.toml", tmp_path / "own.mkv", tmp_path / "gallery" / "a.mp4"
    toml.write_text('model = "own.mkv"')
    model.write_bytes(b"kept")
    picture.parent.mkdir()
    picture.write_bytes(b"kept")
    with pytest.raises(UsageError, match="the same file as the model of --teacher"):
        check(input="a.mp4", output=str(model), teacher=str(toml), yes=True)
    with pytest.raises(UsageError, match="the same file as --teacher"):
        check(input="a.mp4", report=str(toml), teacher=str(toml))
    with pytest.raises(UsageError, match="the same file as a picture of --gallery"):
        check(input="a.mp4", output=str(picture), gallery=str(picture.parent), yes=True)


@pytest.mark.parametrize("outputs", [("output", "alpha"), ("output", "report"), ("alpha", "report")])
def test_two_outputs_are_two_files_also_where_neither_is_there(tmp_path, outputs):
    first, second = outputs
    there = tmp_path / "out.mkv"
    with pytest.raises(UsageError, match=f"--{second} .*is the same file as --{first}"):
        check(input="a.mp4", **{first: str(there), second: str(tmp_path / "." / "out.mkv")})
    (tmp_path / "link.mkv").symlink_to(there)
    with pytest.raises(UsageError, match=f"--{second} .*is the same file as --{first}"):
        check(input="a.mp4", **{first: str(there), second: str(tmp_path / "link.mkv")})


def test_one_file_is_not_written_over_what_another_run_reads(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"kept")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mp4").symlink_to(tmp_path / "b.mp4")
    with pytest.raises(UsageError, match=r"out/a.mp4 is the same file as --input .*b.mp4"):
        check(files=[str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")], output=f"{tmp_path}/out/", yes=True)


def test_the_folder_that_is_read_is_not_written_into(tmp_path):
    (tmp_path / "a.avi").write_bytes(b"kept")
    with pytest.raises(UsageError, match=r"is in the folder of --input .*a.avi; name another folder"):
        check(files=[str(tmp_path / "a.avi")], output=f"{tmp_path}/")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"kept")
    with pytest.raises(UsageError, match="is the same file as an image of --input"):
        check(input=str(tmp_path / "photos"), output=f"{tmp_path}/photos/")
    (tmp_path / "photos" / "b.heic").write_bytes(b"kept")
    (tmp_path / "photos" / "a.png").unlink()
    with pytest.raises(UsageError, match="is in the folder of --input"):
        check(input=str(tmp_path / "photos"), output=f"{tmp_path}/photos/")


@pytest.mark.parametrize("name", ["output", "alpha"])
def test_a_folder_where_a_file_is_meant_and_a_missing_folder_are_told(tmp_path, name):
    with pytest.raises(UsageError, match=r"No such file or directory.*mkdir -p .*nowhere"):
        check(input="a.mp4", **{name: str(tmp_path / "nowhere" / "a.mkv")})
    with pytest.raises(UsageError, match=r"'test://' has no name to be used in it; name a file"):
        check(input="test://", **{name: str(tmp_path)})


def test_a_folder_is_made_where_the_one_above_is_there(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"kept")
    check(files=[str(tmp_path / "a.mp4")], output=f"{tmp_path}/out/")
    assert (tmp_path / "out").is_dir()
    with pytest.raises(UsageError, match="mkdir -p"):
        check(files=[str(tmp_path / "a.mp4")], output=f"{tmp_path}/x/y/")


def test_a_device_is_written_through(tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.stat(os.devnull).st_rdev)
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("making a device is not permitted here")
    write_whole(device, b"report")
    assert device.is_char_device()
    assert os.listdir(tmp_path) == ["null"]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_a_report_goes_to_standard_output_whatever_that_is(tmp_path):
    assert is_written_through("/dev/stdout")
    command = [sys.executable, "-m", "engine.cli", "-i", "test://?width=64&height=48&frames=3", "--teacher", "none"]
    done = subprocess.run([*command, "--headless", "--report", "/dev/stdout"], capture_output=True, text=True)
    assert (done.returncode, '"frames": 3' in done.stdout) == (0, True), done.stderr
    with open(tmp_path / "r.json", "w") as file:
        subprocess.run([*command, "--headless", "--report", "/dev/stdout"], stdout=file, check=True)
    assert '"frames": 3' in (tmp_path / "r.json").read_text()
    assert os.listdir(tmp_path) == ["r.json"]
