"""A real run on a synthetic person, 64x48, and the socket that controls it."""

import threading
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from engine import Masker
from engine.card import Card
from engine.contracts import RoomOptions
from engine.control.client import Client
from engine.control.commands import Controls
from engine.control.gallery import Gallery
from engine.control.remembered import Remembered
from engine.control.server import ControlServer
from engine.options import Options
from engine.pipeline import Pipeline
from engine.rooms.room import Facts, Room
from engine.rooms.signature import Signature
from engine.rooms.store import RoomStore
from engine.session import Session
from engine.sinks import Null
from engine.sources.synthetic import SyntheticPerson

ROOM = "#ff00ff"


@pytest.fixture
def pictures(tmp_path):
    """A gallery: two pictures, one that cannot be read between them, and what is none."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    for name, bgr in {"beach2.png": (200, 0, 0), "beach10.png": (0, 200, 0)}.items():
        cv2.imwrite(str(folder / name), np.full((48, 64, 3), bgr, np.uint8))
    (folder / "beach3.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("none either")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture
def rooms(tmp_path):
    """Two remembered places in the run's folder: one that proved right, seen last, and one that was taken back."""
    store = RoomStore(tmp_path / "rooms")
    unseen = Signature(np.zeros((6, 8, 24), np.float32), np.zeros((6, 8), np.float32))
    for turn, (room_id, confirmed) in enumerate([("aaaaaaaaaaaa", 0), ("bbbbbbbbbbbb", 7)], 1):
        facts = Facts(room_id, "lite", "0" * 16, "0", turn, 3, confirmed, 1, 0.93)
        store.save(Room(facts, unseen, zlib.compress(b""), np.zeros(1, np.float32)))
    return store


@pytest.fixture
def run(tmp_path, pictures, monkeypatch):
    """A run under control: session, controls, server, client, and the folder of its socket."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JM_HOME", str(tmp_path / "home"))
    source = SyntheticPerson(width=64, height=48, live=1)
    with Masker(background=ROOM, threads=1) as masker:
        pipeline = Pipeline(source, masker, [Null()], card=Card(ROOM))
        options = Options(input="test://?live=1", background=ROOM)
        session = Session(pipeline, options, "null", rooms=RoomOptions(tmp_path / "rooms"))
        controls = Controls(session, Gallery(str(pictures)), Remembered(), tmp_path / "remembered.json")
        server = ControlServer(controls, tmp_path / "jit-masker")
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        try:
            yield SimpleNamespace(
                session=session, controls=controls, server=server, client=Client.connect(), thread=thread,
                folder=tmp_path / "jit-masker", path=tmp_path / "remembered.json", pictures=pictures,
            )  # fmt: skip
        finally:
            pipeline.stop()
            thread.join()
            server.close()
