"""jm-engine ctl as a user runs it: a process of its own, beside a real run."""

import json
import os
import re
import subprocess
import sys

import pytest

from engine.control.command import readable
from engine.control.commands import COMMANDS
from tests.engine.panel.conftest import status as panel_status

HEAVY = {"numpy", "cv2", "onnxruntime", "torch", "numba", "pydantic", "av"}


def ctl(*arguments, prefix=("-m", "engine.cli"), **options):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    environ = os.environ | {"PYTHONPATH": root}
    command = [sys.executable, *prefix, "ctl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=environ, **options)


def test_without_arguments_it_lists_the_commands(tmp_path):
    done = ctl()
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line.split()[0].decode() for line in done.stdout.splitlines()] == list(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["dance"], 2, "unknown command 'dance'"),
        (["blur", "7"], 2, "expected a strength above 0"),
        (["correct", "0.5,1.5"], 2, "expected points X,Y"),
        (["correct", "0.5,0.5"], 1, "--teacher rvm"),
        (["rooms", "forget"], 2, "rooms forget all"),
        (["rooms", "forget", "abc"], 1, "no room abc"),
        (["mirror"], 2, "expected on or off or toggle"),
        (["background", "nothing.jpg"], 1, "there is no background 'nothing.jpg'"),
        (["--pid", "1", "stats"], 3, "no jm-engine with control has the process id 1"),
    ],
)
def test_exit_codes(run, arguments, code, message):
    done = ctl(*arguments)
    assert done.returncode == code
    assert done.stdout == b""
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_none_running_is_exit_code_3(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = ctl("pause")
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"start one" in done.stderr


def test_a_path_is_relative_to_the_folder_of_the_caller(run):
    done = ctl("background", "beach2.png", cwd=run.pictures)
    assert done.stdout.decode() == f"background: {run.pictures / 'beach2.png'}\n"
    assert run.session.status()["background"] == str(run.pictures / "beach2.png")


def test_stats_are_lines_for_people_and_json_for_programs(run):
    run.client.snapshot()
    assert b"fps, 64x48\n" in ctl("stats").stdout
    assert json.loads(ctl("stats", "--json").stdout).keys() == run.session.status().keys()


def test_corrections_that_hold_are_counted_and_described():
    corrections = [
        {"keep": True, "area": 0.083, "found": True},
        {"keep": False, "area": 0.03, "found": False},
    ]
    learning = {"on": True, "died": None, "score": 0.93, "cpu_percent": 7.0, "room": None, "corrections": corrections}
    told = readable("stats", panel_status(learning=learning))
    assert told.endswith("\n2 corrections hold: keeps 8 % of the picture, drops what is looked for")
    learning["corrections"] = corrections[:1]
    assert "1 correction holds: keeps 8 %" in readable("stats", panel_status(learning=learning))
    learning["corrections"] = []
    assert "correction" not in readable("stats", panel_status(learning=learning))


def test_rooms_are_lines_for_people_and_json_for_programs(run, rooms):
    first, second = ctl("rooms").stdout.decode().splitlines()
    assert re.fullmatch(r"bbbbbbbbbbbb  \d{4}-\d\d-\d\d \d\d:\d\d, 3 visits, score 0\.930, lite  0", first)
    assert "lite, taken back" in second
    assert json.loads(ctl("rooms", "--json").stdout) == run.session.rooms()
    assert ctl("rooms", "forget", "all").stdout == b"forgotten: 2\n"
    assert ctl("rooms").stdout.decode() == f"no room is remembered in {rooms.folder}\n"


def test_a_run_without_rooms_says_so(run, monkeypatch):
    monkeypatch.setattr(run.session, "_rooms", None)
    assert b"remembers no rooms (--rooms off" in ctl("rooms").stdout


def test_a_snapshot_goes_to_standard_output(run):
    jpeg = ctl("snapshot").stdout
    assert (jpeg[:2], jpeg[-2:]) == (b"\xff\xd8", b"\xff\xd9")


def test_the_list_names_every_engine(run):
    (engine,) = json.loads(ctl("--list", "--json").stdout)
    assert (engine["pid"], engine["output"]) == (os.getpid(), "null")
    assert f"{os.getpid()}  test://?live=1 -> null" in ctl("--list").stdout.decode()


def test_it_starts_without_what_paints(run):
    done = ctl("stats", prefix=("-X", "importtime", "-m", "engine.cli"))
    loaded = {line.rsplit("|", 1)[1].strip() for line in done.stderr.decode().splitlines() if "|" in line}
    assert "engine.control.client" in loaded
    assert not loaded & HEAVY
