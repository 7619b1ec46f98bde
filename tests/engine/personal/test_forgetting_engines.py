"""An engine that runs as a program of its own hears that its profile was forgotten, and paints with the shipped one."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from engine.control import place
from engine.control.client import Client, list_engines
from engine.personal import command
from engine.personal.start import START, save_profile
from engine.personal.store import FrameStore, keep_frames
from engine.rooms.room import fingerprint
from export.publish import load_student

SIZE = (240, 320)


@pytest.mark.skipif(not place.POSSIBLE, reason="this system has no local sockets (AF_UNIX)")
def test_an_engine_that_runs_lets_go_of_a_profile_that_is_forgotten(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JM_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    shipped = load_student("lite", SIZE)
    other = {name: value * np.float32(1.01) for name, value in shipped.tensors.items()}
    profile = replace(shipped, size=SIZE, tensors=other, card={START: fingerprint(shipped)})
    save_profile(profile, keep_frames(5).token, FrameStore())
    words = ["-m", "engine.cli", "-i", "test://?width=160&height=120&live=1", "-o", "null", "--teacher", "none", "-v"]
    engine = subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        deadline = time.monotonic() + 60
        while not list_engines() or not Client.connect(engine.pid).call("stats")["frames"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert Client.connect(engine.pid).call("stats")["swaps"] == 0
        assert command.main(["forget"]) == 0
        assert capsys.readouterr().err == ""
        while not Client.connect(engine.pid).call("stats")["swaps"]:  # the shipped one is adopted
            assert time.monotonic() < deadline
            time.sleep(0.1)
        Client.connect(engine.pid).call("stop")
        _, said = engine.communicate(timeout=30)
    finally:
        engine.kill()
        engine.wait()
    assert said.count("your profile begins") == 1
    assert not (tmp_path / "profile").exists()
