"""The panel beside an engine that really paints, each a process of its own."""

import json
import subprocess

import cv2
import numpy as np
import pytest

from tests.engine.panel.conftest import COMMAND, ROOT, environment


@pytest.fixture
def engine(place, gallery, panel):
    """`jm-engine` on the synthetic person, once the panel sees it."""
    process = subprocess.Popen(
        [*COMMAND, "-i", "test://", "-o", "null", "--pace", "live", "--teacher", "none", "--background", "#3c4753",
         "--gallery", str(gallery), "--rooms", "on"],
        stderr=subprocess.PIPE, text=True, env=environment(place) | {"JM_HOME": str(place)}, cwd=ROOT,
    )  # fmt: skip
    while stats(panel) is None or stats(panel)["frames"] < 5:
        assert process.poll() is None, process.stderr.read()
    yield process
    process.terminate()
    process.communicate(timeout=60)


def stats(panel):
    status, _, body = panel.ask("GET", "/stats")
    return json.loads(body) if status == 200 else None


def command(panel, name, *arguments):
    status, _, body = panel.ask("POST", "/command", json.dumps({"command": name, "arguments": arguments}).encode())
    assert status == 200, body
    return stats(panel)


def picture(panel, path):
    status, _, jpeg = panel.ask("GET", path)
    assert status == 200, jpeg
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)


def test_the_panel_shows_and_commands_an_engine_that_paints(panel, engine, gallery):
    first = stats(panel)
    assert first["background"] == "#3c4753"
    assert np.abs(picture(panel, "/picture")[2, 2] - (0x53, 0x47, 0x3C)).max() < 6
    room = picture(panel, "/source")
    assert np.abs(room[2, 2] - (0x53, 0x47, 0x3C)).max() > 20, "the source is the room itself"
    assert command(panel, "background", "forest.jpg")["background"] == str(gallery / "forest.jpg")
    assert np.abs(picture(panel, "/picture")[2, 2] - (40, 110, 50)).max() < 12
    assert command(panel, "mirror", "on")["mirrored"] is True
    assert command(panel, "frame", "auto")["framing"] is True
    assert command(panel, "pause")["paused"] is True
    assert command(panel, "resume")["paused"] is False
    assert command(panel, "blur", "0.8")["background"] == "blur:0.8"
    assert stats(panel)["frames"] > first["frames"]


def test_what_the_engine_says_of_itself_is_what_the_page_is_made_for(panel, engine):
    from tests.engine.panel.conftest import status

    assert stats(panel).keys() >= status().keys()


def test_rooms_and_strokes_go_to_the_engine_that_paints(panel, engine, place):
    status, _, body = panel.ask("GET", "/rooms")
    assert (status, json.loads(body)) == (200, {"mode": "on", "folder": str(place / "rooms"), "rooms": []})
    stroke = json.dumps({"command": "correct", "arguments": ["0.5,0.5", "keep"]}).encode()
    status, _, body = panel.ask("POST", "/command", stroke)
    assert status == 409
    assert "--teacher rvm" in json.loads(body)["error"]


def test_the_panel_outlives_the_engine_and_the_engine_the_panel(panel, engine):
    panel.process.kill()
    panel.process.wait(30)
    assert engine.poll() is None
    engine.terminate()
    assert engine.wait(60) == 130
