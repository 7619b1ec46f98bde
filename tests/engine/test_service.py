"""jm-engine install-service: three files, quoted right, and nothing of anybody else's touched."""

import os
import plistlib
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine import Masker, service
from engine.card import Card
from engine.cli import main
from engine.errors import UsageError
from engine.pipeline import Pipeline
from engine.service_manager import ServiceManager
from engine.sinks import Null
from engine.sources import open_source

AWKWARD = ["/opt/my python/bin/python", "-o", "camera", "--background", '100% "$HOME" \\ beach.jpg']


@pytest.fixture
def unit(tmp_path, monkeypatch):
    """Where the unit goes: a configuration folder of the test's own."""
    if not sys.platform.startswith("linux"):
        pytest.skip("systemd is Linux's")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config/systemd/user/jit-masker.service"


# -- the command


def test_a_unit_is_written_and_how_to_start_it_is_told(unit, capsys):
    assert main(["install-service", "--", "-o", "camera", "--background", "my beach.jpg"]) == 0
    assert "systemctl --user daemon-reload && systemctl --user enable --now jit-masker" in capsys.readouterr().out
    lines = unit.read_text().splitlines()
    given = '"-P" "-m" "engine.cli" "-o" "camera" "--background" "my beach.jpg"'
    assert f'ExecStart="{sys.executable}" {given}' in lines
    assert {"Restart=on-failure", "StartLimitBurst=5", f"WorkingDirectory={Path.cwd()}"} <= set(lines)


def test_without_options_the_virtual_camera_is_fed(unit, capsys):
    assert main(["install-service"]) == 0
    assert '"engine.cli" "-o" "camera"\n' in unit.read_text()


def test_a_dry_run_writes_nothing_and_shows_the_file(unit, capsys):
    assert main(["install-service", "--dry-run"]) == 0
    assert "[Service]" in capsys.readouterr().out
    assert not unit.exists()
    main(["install-service"])
    capsys.readouterr()
    assert main(["install-service", "--remove", "--dry-run"]) == 0
    assert f"remove {unit}" in capsys.readouterr().out
    assert unit.exists()


def test_what_was_installed_is_replaced_and_removed(unit, capsys):
    for options in ["-o", "camera"], ["-o", "camera", "--mirror"]:
        assert main(["install-service", "--", *options]) == 0
    assert "--mirror" in unit.read_text()
    assert main(["install-service", "--remove"]) == 0
    assert f"removed {unit}" in capsys.readouterr().out
    assert not unit.exists()
    assert main(["install-service", "--remove"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize("how", [[], ["--remove"], ["--dry-run"]])
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_not_ours_is_neither_overwritten_nor_removed(unit, capsys, how, kind):
    unit.parent.mkdir(parents=True)
    target = unit.parent / "target"
    target.write_text(f"# {service.MARK}\n")
    if kind == "file":
        unit.write_text("[Service]\nExecStart=/usr/bin/mine\n")
    elif kind == "link":
        unit.symlink_to(target)
    else:
        unit.mkdir()
    assert main(["install-service", *how]) == 2
    assert "left as it is" in capsys.readouterr().err
    assert (unit.is_symlink(), unit.is_dir()) == (kind == "link", kind == "folder")
    if kind == "file":
        assert unit.read_text() == "[Service]\nExecStart=/usr/bin/mine\n"
    assert target.read_text() == f"# {service.MARK}\n"


@pytest.mark.parametrize("options", [["--thread", "1000"], ["--nonsense"], ["--help"], ["--teacher-token", "s3cret"]])
def test_options_that_would_fail_at_each_start_are_refused_now(unit, capsys, options):
    assert main(["install-service", "--", *options]) == 2
    assert not unit.exists()


# -- the files


def test_a_word_of_a_unit_is_one_word_again_for_systemd():
    expected = '"100%% \\"$$HOME\\" \\\\ beach.jpg"'
    assert service.systemd_word(AWKWARD[-1]) == expected
    with pytest.raises(UsageError, match="control character"):
        service.systemd_word("two\nlines")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_unit(tmp_path):
    """An awkward folder, a program that is there, and every character that has to be escaped."""
    folder = tmp_path / "100% mine"
    folder.mkdir()
    program = folder / "my python"
    program.symlink_to(sys.executable)
    unit = tmp_path / "jit-masker.service"
    unit.write_text(service.systemd_unit([str(program), *AWKWARD[1:]], folder))
    command = ["systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no", str(unit)]
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_launch_agent_reads_back(tmp_path):
    described = service.describe(AWKWARD, Path("/Users/ada/my films"), "darwin", {}, tmp_path)
    agent = plistlib.loads(described.text.encode())
    assert (agent["ProgramArguments"], agent["WorkingDirectory"]) == (AWKWARD, "/Users/ada/my films")
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert described.path == tmp_path / "Library/LaunchAgents/io.github.jit-masker.plist"
    assert "untried" in service.install(described, dry_run=False)
    assert service.check_ours(described.path)


def test_a_start_up_file_keeps_spaces_and_per_cents(tmp_path):
    command = [r"C:\My Programs\python.exe", "--background", "100% beach.jpg"]
    described = service.describe(command, Path(r"C:\films"), "win32", {"APPDATA": str(tmp_path)}, tmp_path)
    assert r'"C:\My Programs\python.exe" "--background" "100%% beach.jpg"' in described.text
    assert described.untried
    service.install(described, dry_run=False)
    assert service.check_ours(described.path)
    with pytest.raises(UsageError, match="holds a quote"):
        service.start_up_file([*command, '"'], Path("."))


# -- a run that systemd started


@pytest.fixture
def systemd(tmp_path):
    """Listens as systemd does; gives the address, and what was said so far."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        yield str(tmp_path / "notify"), listener


def test_a_run_tells_systemd_that_it_is_ready_that_it_lives_and_that_it_ends(systemd, tmp_path):
    address, listener = systemd
    environ = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"}
    live = ["-i", "test://?live=1&width=64&height=64", "--max-frames", "20", "-o", "null", "--teacher", "none"]
    process = subprocess.Popen([sys.executable, "-m", "engine.cli", *live], env=environ)
    said = []
    while not said or said[-1] != b"STOPPING=1":
        said.append(listener.recv(100))
    process.wait(60)
    assert said[0] == b"READY=1"
    assert said.count(b"WATCHDOG=1") > 5


def test_a_painter_that_hangs_is_not_called_alive(monkeypatch):
    monkeypatch.setattr("engine.pipeline.HANG_S", 0.2)
    entered, go_on = threading.Event(), threading.Event()

    class Hanging(Masker):
        def process(self, *arguments):
            entered.set()
            go_on.wait(60)
            return super().process(*arguments)

    turns = []

    def look(pipeline):
        turns.append((entered.is_set(), pipeline.hangs))
        if pipeline.hangs:
            go_on.set()

    with Hanging("ort-cpu", background="#ff00ff") as masker:
        source = open_source("test://?live=1&width=64&height=64")
        Pipeline(source, masker, [Null()], on_turn=look, card=Card("#ff00ff"), max_frames=3).run()
    assert (False, True) not in turns
    assert (True, True) in turns


def test_a_watchdog_of_somebody_else_is_not_fed(systemd):
    address, listener = systemd
    listener.setblocking(False)
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})
    manager.alive()
    with pytest.raises(BlockingIOError):
        listener.recv(100)


def test_without_systemd_nothing_is_said():
    ServiceManager({}).ready()
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/at/all"}).ready()
