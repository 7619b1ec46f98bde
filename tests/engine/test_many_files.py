"""Many files in one call: a name each, and one that is bad does not end the rest."""

import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from engine.cli import main
from engine.errors import UsageError
from engine.jobs import plan
from engine.options import Options, read_options
from tests.clips import figure_clip, read_clip


@pytest.fixture
def paint(capsys):
    def call(*arguments):
        code = main(["--teacher", "none", "--threads", "1", "--background", "#00ff00", *map(str, arguments)])
        return code, capsys.readouterr().err

    return call


def test_each_file_goes_into_the_folder_under_its_name(tmp_path, paint):
    clips = [figure_clip(tmp_path / name, frames=5 + i) for i, name in enumerate(("a.mp4", "b.mkv", "c.avi"))]
    Image.new("RGB", (64, 48)).save(tmp_path / "d.jpg")
    code, err = paint(*clips, tmp_path / "d.jpg", "-o", f"{tmp_path}/out/", "--alpha", f"{tmp_path}/mattes/")
    assert (code, err) == (0, "")
    assert sorted(os.listdir(tmp_path / "out")) == ["a.mp4", "b.mkv", "c.mp4", "d.png"]
    assert sorted(os.listdir(tmp_path / "mattes")) == ["a.mkv", "b.mkv", "c.mkv", "d.png"]
    assert [len(read_clip(tmp_path / "out" / name)) for name in ("a.mp4", "b.mkv", "c.mp4")] == [5, 6, 7]


def test_one_bad_file_does_not_end_the_rest_and_gives_the_exit_code(tmp_path, paint):
    good = figure_clip(tmp_path / "good.mp4", frames=5)
    (tmp_path / "bad.mp4").write_text("no video")
    code, err = paint(tmp_path / "bad.mp4", tmp_path / "gone.mp4", good, "-o", f"{tmp_path}/out/")
    assert code == 3
    assert "bad.mp4: it is text" in err
    assert "no file" in err
    assert os.listdir(tmp_path / "out") == ["good.mp4"]


def test_options_may_stand_between_the_files(tmp_path, paint):
    first, second = (figure_clip(tmp_path / name, frames=5) for name in ("a.mp4", "b.mp4"))
    assert paint(first, "-o", f"{tmp_path}/out/", second)[0] == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.mp4", "b.mp4"]


def test_one_file_needs_no_option_before_it(tmp_path, paint):
    clip = figure_clip(tmp_path / "a.mp4", frames=5)
    assert paint(clip, "-o", tmp_path / "out.mkv")[0] == 0
    assert len(read_clip(tmp_path / "out.mkv")) == 5


def test_what_is_there_already_is_kept_without_yes(tmp_path, paint):
    clips = [figure_clip(tmp_path / name, frames=5) for name in ("a.mp4", "b.mp4")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.mp4").write_bytes(b"kept")
    code, err = paint(*clips, "-o", tmp_path / "out")
    assert code == 2
    assert "b.mp4 exists; say -y" in err
    assert os.listdir(tmp_path / "out") == ["b.mp4"]
    assert (tmp_path / "out" / "b.mp4").read_bytes() == b"kept"


def test_files_of_one_name_do_not_write_over_each_other(tmp_path):
    names = ["x/a.mp4", "y/a.mp4", "a.mov", "a.avi"]
    outputs = [job.output for job in plan(Options(output="out/"), names)]
    assert outputs == ["out/a.mp4", "out/a.mp4.mp4", "out/a.mov", "out/a.avi.mp4"]
    assert len({*outputs}) == 4


def test_with_alpha_the_containers_are_those_that_hold_it():
    jobs = plan(Options(output="out/", background="none"), ["a.mp4", "b.mkv", "c.webm"])
    assert [job.output for job in jobs] == ["out/a.webm", "out/b.mkv", "out/c.webm"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"output": "out.mp4"}, "there are 2 inputs; name a folder: out.mp4/"),
        ({"output": "out/", "report": "r.json"}, "--report is 'r.json', and there are 2 inputs"),
        ({}, "2 inputs and no --output; name a folder"),
    ],
)
def test_several_files_need_a_folder(given, message):
    with pytest.raises(UsageError, match=message):
        plan(Options(**given), ["a.mp4", "b.mp4"])


def test_a_word_that_is_neither_command_nor_file_is_told_as_both(tmp_path, capsys):
    assert main(["docter"]) == 2
    said = capsys.readouterr().err
    assert "unknown command 'docter', and no file of that name" in said


def test_a_file_and_an_input_are_one_too_many():
    with pytest.raises(UsageError, match=r"--input a.mp4 and b.mp4 are both inputs"):
        read_options(["-i", "a.mp4", "b.mp4"])


def test_a_window_stays_a_window_beside_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "window").mkdir()
    (job,) = plan(Options(input="a.mp4", output="window"), [])
    assert job.output == "window"


def test_what_has_no_name_needs_one(tmp_path):
    with pytest.raises(UsageError, match="has no name to be used in it; name a file"):
        plan(Options(input="-", output=f"{tmp_path}/"), [])


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_terminal_shows_how_far_it_is_and_the_time_left(suffix, tmp_path):
    clip = figure_clip(tmp_path / f"a{suffix}", frames=40)
    leader, follower = os.openpty()
    command = [sys.executable, "-m", "engine.cli", clip, "-o", tmp_path / "out.mp4", "--teacher", "none"]
    process = subprocess.Popen([*map(str, command)], stderr=follower)
    os.close(follower)
    assert process.wait(60) == 0
    text = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert re.search(r"█+·* +\d+%  0:\d\d left  frame \d+", text), text
