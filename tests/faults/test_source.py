"""Sources that are damaged, cut, lost, or change: what came before is painted, and the run ends with 0 or 3."""

import contextlib
import functools
import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine import sources
from engine.sinks import Null
from engine.sources.camera import Camera
from tests.clips import write_clip
from tests.data.make_clip import PERSON
from tests.engine.sources.test_camera import ScriptedCapture
from tests.faults.whole_run import MAX_ROOM, arguments, ended, left, room_shown, start

PICTURES = [PERSON.picture(i) for i in range(60)]


@pytest.fixture
def whole(tmp_path):
    """The clip in a container that can be read from the front."""
    return write_clip(tmp_path / "whole.mkv", PICTURES)


def changed(path, change):
    Path(path).write_bytes(change(bytearray(Path(path).read_bytes())))
    return path


def noise_in_the_middle(data):
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    return data


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_that_was_cut_is_painted_up_to_there(paint, whole):
    run = paint(clip=changed(whole, lambda data: data[: len(data) // 2]), frames=None)
    assert (run.code, run.report["ended"], run.report["faults"]) == (0, "ok", 0)
    assert 5 < run.frames == run.report["frames"] < len(PICTURES)
    assert run.room <= MAX_ROOM
    assert "Traceback" not in run.said


def test_a_file_with_noise_in_its_middle_is_painted_and_the_damage_is_told(paint, whole):
    run = paint(clip=changed(whole, noise_in_the_middle), frames=None)
    assert (run.code, run.report["ended"], run.report["faults"]) == (0, "ok", 0)
    assert 5 < run.frames == run.report["frames"]
    assert "Traceback" not in run.said


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_random_bytes_is_no_source(paint, tmp_path, seed):
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(seed).bytes(100_000))
    run = paint(clip=noise)
    assert (run.code, run.report, run.frames) == (3, None, 0)
    assert f"cannot open {noise}: " in run.said
    assert "Traceback" not in run.said


def test_a_file_that_is_cut_while_it_is_read_is_painted_up_to_there(tmp_path):
    clip = write_clip(tmp_path / "large.mkv", PICTURES, codec="ffv1")  # larger than what FFmpeg reads ahead
    process = start(*arguments(tmp_path, "-o", "-", clip=clip, frames=None), stdout=subprocess.PIPE)
    process.stdout.read(PICTURES[0].nbytes)
    os.truncate(clip, os.path.getsize(clip) // 2)  # a pipe holds less than a frame: it is still at the front
    run = left(tmp_path, *ended(process))
    assert run.code in (0, 3), run.said
    assert 1 < run.frames == run.report["frames"] < len(PICTURES)
    assert run.room <= MAX_ROOM
    assert "Traceback" not in run.said


def transport_stream(path, pictures):
    """H.264 in MPEG-TS: files of it can be laid end to end."""
    write_clip(path, pictures)
    return path.read_bytes()


def test_pictures_that_change_their_size_are_painted_and_scaled_to_the_files(paint, tmp_path):
    small = [cv2.resize(picture, (160, 120), interpolation=cv2.INTER_AREA) for picture in PICTURES[12:24]]
    parts = [PICTURES[:12], small]
    clip = tmp_path / "both.ts"
    clip.write_bytes(b"".join(transport_stream(tmp_path / f"{i}.ts", part) for i, part in enumerate(parts)))
    run = paint("-o", tmp_path / "out.mkv", clip=clip)
    run.painted_everything()
    assert (
        run.said.count("began at 320x240; pictures of another size (now 160x120) are scaled to it") == 2
    )  # both files


# -- streams -----------------------------------------------------------------------------------------------------------


@contextmanager
def server(answer):
    """The port of one that sends `answer` to each who connects, and says no more."""

    def serve():
        while (connection := accepted()) is not None:
            with connection, contextlib.suppress(OSError):  # it went away
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass

    def accepted():
        try:
            return listening.accept()[0]
        except OSError:  # closed
            return None

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


NOISE = np.random.default_rng(0).bytes(100_000)
GARBAGE = {
    "tcp": NOISE,
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + NOISE,
    "rtsp": NOISE,
    "http, and no HTTP": NOISE,
    "http, a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>" + b"no video here\n" * 500,
    "rtsp, an odd answer": b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999999999999999\r\n\r\nv=0\r\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_from_a_server_is_no_source(paint, kind):
    with server(GARBAGE[kind]) as port:
        url = f"{kind.split(',')[0]}://127.0.0.1:{port}/clip.mp4"
        run = paint(clip=url)
    assert (run.code, run.report, run.frames) == (3, None, 0)
    assert f"cannot open {url}: " in run.said
    assert "Traceback" not in run.said


@pytest.mark.parametrize("afterwards", ["ends", "stalls"])
def test_a_stream_that_stays_lost_ends_the_run_with_3_and_what_came_is_painted(
    paint, tmp_path, monkeypatch, afterwards
):
    monkeypatch.setattr("engine.sources.video.READ_TIMEOUT_S", 0.3)
    data = transport_stream(tmp_path / "clip.ts", PICTURES)
    with server(data) if afterwards == "ends" else stalled(data) as port:
        run = paint("--reconnect", "0", clip=f"tcp://127.0.0.1:{port}", frames=None)
    message = {"ends": "ended; check that the stream is still", "stalls": "was lost: nothing came for 0.3 s"}[
        afterwards
    ]
    assert (run.code, run.report["faults"]) == (3, 0)
    assert message in run.said
    assert message in run.report["ended"]
    assert 1 <= run.frames == run.report["frames"]
    assert run.report["frames"] + run.report["dropped"] <= len(PICTURES)
    assert "Traceback" not in run.said


@contextmanager
def stalled(data):
    """The port of one that sends `data`, and then nothing; the connection stays."""
    over = threading.Event()

    def serve():
        connection, _ = listening.accept()
        with connection:
            connection.sendall(data)
            over.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        over.set()


def test_a_stream_that_comes_back_is_painted_on(paint, tmp_path):
    frames = 2 * len(PICTURES)
    with server(transport_stream(tmp_path / "clip.ts", PICTURES)) as port:
        run = paint("--reconnect", "30", clip=f"tcp://127.0.0.1:{port}", frames=frames)
    assert (run.code, run.report["frames"], run.report["faults"]) == (0, frames, 0)
    assert run.said.count("It is opened again until it is back") >= 1
    assert "Traceback" not in run.said


# -- cameras -----------------------------------------------------------------------------------------------------------


class PatientCapture(ScriptedCapture):
    """Gives the next image once the one before was written: none is left out, however slow the machine is."""

    def __init__(self, images, afterwards):
        super().__init__(images, afterwards)
        self.written = threading.Semaphore(1)

    def read(self):
        if self._images:
            self.written.acquire(timeout=10)
        return super().read()


class Found:
    """Every camera is where it was named."""

    def __init__(self, spec):
        self._spec = spec

    def locate(self):
        return self._spec


@pytest.fixture
def filmed(paint, monkeypatch):
    """A run from a camera that gives a few frames of the clip, and then what it is scripted to."""

    def call(images, afterwards):
        capture = PatientCapture(images, afterwards)
        monkeypatch.setattr(Null, "write", lambda *_: capture.written.release())
        camera = functools.partial(Camera, timeout=0.3, factory=lambda _: capture)
        monkeypatch.setattr(sources, "Camera", camera)
        monkeypatch.setattr(sources, "RememberedCamera", Found)
        run = paint("-i", "0", "--reconnect", "0", frames=None)
        capture.unblock.set()
        return run

    return call


STILL = "camera 0 gave no new frame for 0.3 s; plug it in again"
LOST = {
    "unplugged": ("fail", "camera 0 failed: it refused every read for 0."),
    "frozen": ("repeat", STILL),
    "blocked": ("block", STILL),
}


@pytest.mark.parametrize("fault", LOST)
def test_a_camera_that_stays_lost_ends_the_run_with_3(filmed, fault):
    afterwards, message = LOST[fault]
    assert_lost(filmed(PICTURES[:5], afterwards), message)


def test_a_camera_whose_driver_fails_ends_the_run_with_3(filmed):
    assert_lost(filmed(PICTURES[:5], "raise"), "camera 0 failed: the driver is confused; plug it in")


@pytest.mark.parametrize("odd", [np.zeros((240, 320, 3)), np.zeros((0, 320, 3), np.uint8), np.zeros(7, np.uint8)])
def test_a_frame_that_is_no_picture_ends_the_run_with_3(filmed, odd):
    assert_lost(filmed([*PICTURES[:5], odd], "fail"), "camera 0 failed: a frame ")


def assert_lost(run, message):
    assert (run.code, run.report["faults"]) == (3, 0)
    assert message in run.said
    assert message in run.report["ended"]
    assert run.frames == run.report["frames"] == 5
    assert run.room <= MAX_ROOM
    assert "Traceback" not in run.said


@pytest.mark.parametrize("odd", [(120, 160, 3), (240, 320), (240, 320, 4), (1, 1, 3)])
def test_a_camera_that_gives_one_odd_frame_is_painted_on(filmed, odd):
    """Noise of another size or kind, in between."""
    noise = np.random.default_rng(0).integers(0, 256, odd, dtype=np.uint8)
    run = filmed([*PICTURES[:4], noise, *PICTURES[5:8]], "fail")
    assert (run.code, run.report["faults"]) == (3, 0)
    assert run.frames == run.report["frames"] == 8
    assert room_shown(run.alphas[:4]) <= MAX_ROOM
    assert run.alphas[-1].mean() > 0.1
    assert "Traceback" not in run.said
