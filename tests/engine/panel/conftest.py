"""A panel as a process of its own, and an engine for it: a scripted session behind the real control socket."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import pytest

from engine.control.commands import Controls
from engine.control.gallery import Gallery
from engine.control.remembered import Remembered
from engine.control.server import serve
from engine.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
COMMAND = [sys.executable, "-m", "engine.cli"]
CURVE = [[30 * i, round(0.93 - 0.25 * 0.85**i + 0.02 * np.sin(i), 4)] for i in range(60)]


def status(**changed):
    """What an engine says of itself on a good day."""
    learning = {
        "on": True, "cpu_percent": 7.4, "budget_percent": 12.0, "score": 0.93, "curve": CURVE, "calls": 61,
        "steps": 488, "publishes": 41, "refused": 2, "room": None, "corrections": [],
        "died": None,
    }  # fmt: skip
    return {
        "state": "person", "background": "blur:0.6", "paused": False, "mirrored": False, "framing": False,
        "source": "/dev/video0", "camera": "mjpeg 1280x720, 30 per second", "output": "camera:10", "watched": True,
        "fps": 29.9, "latency_ms": 41.0, "paint_ms": 6.2, "cpu_percent": 34.0, "size": [1280, 720], "frames": 12841,
        "dropped": 3, "reopened": 1, "faults": 0, "unsure": 41, "doubts": 12, "version": 41, "swaps": 41, "rejected": 1,
        "rollbacks": 0, "teacher": "rvm", "who": "all", "learning": learning, "uptime_s": 429.0, "pid": 1,
        "program_version": "1",
    } | changed  # fmt: skip


def remembered(room_id, camera, **changed):
    """A room of the list, seen a minute ago."""
    return {
        "id": room_id, "seen": round(time.time()) - 60, "visits": 3, "score": 0.931, "student": "lite",
        "camera": camera, "believed": True, "here": False,
    } | changed  # fmt: skip


class ScriptedSession:
    """A session that says what `says` holds, and keeps in `told` what it was told. A command sets `came`."""

    def __init__(self):
        self.says = status()
        self.told = []
        self.came = threading.Condition()
        self.sent = np.full((72, 128, 3), (60, 120, 30), np.uint8)
        self.room = np.full((72, 128, 3), (20, 40, 200), np.uint8)
        self.sources = 0  # times the room was looked at
        self.mode, self.remembered = "on", []
        self.listed = 0  # times the rooms were asked for

    def status(self):
        return dict(self.says)

    def learning(self, **changed):
        self.says["learning"] = self.says["learning"] | changed

    def picture(self):
        return self.sent

    def source_picture(self):
        self.sources += 1
        return self.room

    def _told(self, *what):
        with self.came:
            self.told.append(what)
            self.came.notify_all()

    def wait(self, *what):
        """Until it was told that."""
        with self.came:
            assert self.came.wait_for(lambda: what in self.told, 10), self.told

    def set_background(self, spec):
        if "broken" in spec:
            raise UsageError(f"cannot read the background {spec}: no image that is known here")
        self.says["background"] = spec
        self._told("background", spec)

    def pause(self):
        self.says |= {"paused": True, "state": "paused"}
        self._told("pause")

    def resume(self):
        self.says |= {"paused": False, "state": "person"}
        self._told("resume")

    def set_mirrored(self, on):
        self.says["mirrored"] = on
        self._told("mirror", on)

    def set_framing(self, on):
        self.says["framing"] = on
        self._told("frame", on)

    def set_learning(self, on):
        self.learning(on=on)
        self._told("learn", on)

    def forget(self):
        self._told("forget")

    def correct(self, stroke):
        if self.says["learning"] is None:
            raise UsageError("a stroke is learnt, and nobody learns here; start with a teacher, as in --teacher rvm")
        correction = {"keep": stroke.keep, "area": 0.0, "found": False}
        self.learning(corrections=[*self.says["learning"]["corrections"], correction])
        self._told("correct", stroke)

    def undo_correction(self):
        self.learning(corrections=self.says["learning"]["corrections"][:-1])
        self._told("undo")

    def rooms(self):
        self.listed += 1
        here = self.says["learning"] and self.says["learning"]["room"]
        rooms = [room | {"here": room["id"] == here} for room in self.remembered]
        return {"mode": self.mode, "folder": None if self.mode == "off" else "/home/me/rooms", "rooms": rooms}

    def forget_rooms(self, room_id):
        gone = [room for room in self.remembered if room_id in (None, room["id"])]
        if room_id is not None and not gone:
            raise UsageError(f"no room {room_id} in /home/me/rooms; see jm-engine ctl rooms")
        self.remembered = [room for room in self.remembered if room not in gone]
        self._told("forget room", room_id)
        return len(gone)


@pytest.fixture
def place():
    """A short folder, in which engines and panels of this test find each other; sockets take no long path."""
    folder = Path(tempfile.mkdtemp(prefix="jm-"))
    (folder / "gallery").mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def gallery(place):
    """The gallery's folder, with two pictures."""
    for name, colour in (("blue beach.png", (200, 120, 40)), ("forest.jpg", (40, 110, 50))):
        cv2.imwrite(str(place / "gallery" / name), np.full((90, 160, 3), colour, np.uint8))
    return place / "gallery"


def start_session(session, place):
    """Serve `session` to the panels of `place`; close what it gives."""
    return serve(Controls(session, Gallery(str(place / "gallery")), Remembered()), place / "jit-masker")


@pytest.fixture
def session(place, gallery):
    """A scripted session that the panel finds."""
    session = ScriptedSession()
    server = start_session(session, place)
    yield session
    server.close()


def environment(place):
    return os.environ | {"XDG_RUNTIME_DIR": str(place), "PYTHONPATH": str(ROOT)}


class Panel:
    """`jm-engine panel` as a process of its own. `address`: what it printed."""

    def __init__(self, place, *arguments):
        self.process = subprocess.Popen(
            [*COMMAND, "panel", "--no-browser", *(arguments or ("--port", "0"))], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment(place), cwd=ROOT,
        )  # fmt: skip
        self.address = self.process.stdout.readline().strip()
        parts = urlsplit(self.address)
        self.port, self.token = parts.port, parse_qs(parts.query).get("token", [""])[0]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.cookie = f"jm-panel-{self.port}={self.token}"

    def ask(self, method, path, body=None, **headers):
        """Status, headers and body. Sent as the page does, but for `headers`; one that is None is left out."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie, "Origin": self.origin}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def close(self):
        self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture
def panel(place):
    panel = Panel(place)
    assert panel.port, panel.process.stderr.read()
    yield panel
    panel.close()


# -- a browser ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    """Chromium of the system's; without one, or without playwright, what needs it is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason='no playwright; pip install "jit-masker[browser]"')
    if CHROMIUM is None:
        pytest.skip("no Chromium in PATH; apt install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium):
    from playwright.sync_api import expect

    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    yield context
    context.close()


@pytest.fixture
def page(context, panel, session):
    """The panel's page, connected to the scripted session; whatever the browser complains of fails the test."""
    from playwright.sync_api import expect

    page = context.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(panel.address)
    expect(page.locator("#controls")).to_be_visible()
    yield page
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)
