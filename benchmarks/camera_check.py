"""make camera-check: a call on real drivers, with faults. Needs root, `vivid` as the camera and v4l2loopback.

A reader looks at every picture of the virtual camera while the camera is unplugged, comes back under another number,
stands still or fails. There is nobody in vivid's test picture, so each picture has to be the background or the card:
whatever else is seen is the room. Ends with 1 where it is, where the reader gets nothing, or where jm-engine ended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine import v4l2
from engine.card import Card
from engine.control.client import Client
from engine.errors import JitMaskerError

BACKGROUND, BGR = "#00ff00", (0, 255, 0)
TOLERANCE = 40  # of 255, between what was painted and what comes through YUV 4:2:0
STRIDE = 4  # pixels; a reader that looks at each would be what is slow
VIVID = Path("/sys/bus/platform/drivers/vivid")
START_S, SETTLE_S, BACK_S = 60.0, 3.0, 30.0


@dataclass
class Seen:
    """What a reader got while one fault was on."""

    times: list[float] = field(default_factory=list)  # s
    room: float = 0.0  # largest share of a picture that is neither background nor card
    cards: int = 0

    def line(self, name: str, back: float | None, state: str) -> str:
        gaps = np.diff(self.times) * 1e3 if len(self.times) > 1 else np.array([9999.0])
        returned = "-" if back is None else f"{back:.1f}"
        return (
            f"{name:28} {len(self.times):6} {np.percentile(gaps, 99):8.0f} {gaps.max():8.0f} {self.cards:6} "
            f"{self.room:8.4f} {returned:>8}  {state}"
        )


class Reader:
    """A program in a call: reads the virtual camera at `device` on a thread of its own, as long as it is open."""

    def __init__(self, device: str):
        import cv2

        self._capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        self._card: np.ndarray | None = None
        self.seen = Seen()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._over.is_set():
            good, bgr = self._capture.read()
            if not good:
                continue
            if self._card is None:
                self._card = Card(BACKGROUND).picture(bgr.shape[:2])[::STRIDE, ::STRIDE].astype(np.int16)
            bgr = bgr[::STRIDE, ::STRIDE]
            plain = np.abs(bgr.astype(np.int16) - BGR).max(axis=2) <= TOLERANCE
            card = np.abs(bgr - self._card).max(axis=2) <= TOLERANCE
            seen = self.seen
            seen.times.append(time.perf_counter())
            seen.cards += bool(card.mean() > 0.9)
            # the edges of the card's letters are softer in YUV
            seen.room = max(seen.room, float(1 - max(plain.mean(), card.mean())) if not card.mean() > 0.9 else 0.0)

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)
        self._capture.release()


def replug(seconds: float) -> Callable[[str], None]:
    """The driver lets go of the camera and takes it again; held open, it comes back under another number."""

    def act(_: str) -> None:
        (VIVID / "unbind").write_text("vivid.0")
        time.sleep(seconds)
        (VIVID / "bind").write_text("vivid.0")

    return act


def control(*settings: str) -> Callable[[str], None]:
    """Set controls of the camera."""

    def act(camera: str) -> None:
        subprocess.run(["v4l2-ctl", "-d", camera, "-c", ",".join(settings)], check=True)

    return act


FAULTS: dict[str, Callable[[str], None]] = {
    "nothing": lambda _: None,
    "unplugged for 2 s": replug(2),
    "unplugged for 20 s": replug(20),
    "a still, black picture": control("test_pattern=9", "osd_text_mode=2"),
    "the driver refuses buffers": control("inject_vidioc_qbuf_error=1"),
    "the stream fails for good": control("inject_fatal_streaming_error=1"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the faults; 0 where every picture was background or card and the call went on."""
    parser = argparse.ArgumentParser("python -m benchmarks.camera_check", description=__doc__)
    parser.add_argument("--output", default="jit-masker", help="the virtual camera, as in -o camera:OUTPUT")
    output = parser.parse_args(argv).output
    outputs = [device.path for device in v4l2.devices() if device.is_loopback]
    if not VIVID.is_dir() or not outputs:
        print("camera-check needs vivid and v4l2loopback: sudo modprobe vivid n_devs=1 node_types=0x1", file=sys.stderr)
        return 2
    print(f"{'fault':28} {'seen':>6} {'p99 ms':>8} {'max ms':>8} {'cards':>6} {'room':>8} {'back s':>8}  state")
    with _engine(output) as client:
        passed = [_try(client, outputs[0], name, act) for name, act in FAULTS.items()]
        passed.append(_sleeps(client, outputs[0]))
    return 0 if all(passed) else 1


@contextmanager
def _engine(output: str) -> Iterator[Client]:
    command = [sys.executable, "-m", "engine.cli", "-i", "camera:vivid", "-o", f"camera:{output}", "--teacher", "none"]
    process = subprocess.Popen([*command, "--background", BACKGROUND, "--camera-size", "640x480"])
    try:
        yield _connected(process.pid)
    finally:
        process.terminate()
        print(f"jm-engine ended with {process.wait(30)}")


def _connected(pid: int) -> Client:
    """The engine of the process `pid`, once it has sent a picture."""
    until = time.perf_counter() + START_S
    while True:
        try:
            client = Client.connect(pid=pid)
            if _status(client)["frames"]:
                return client
        except JitMaskerError:  # not yet
            if time.perf_counter() > until:
                raise
        time.sleep(0.2)


def _try(client: Client, output: str, name: str, act: Callable[[str], None]) -> bool:
    reader = Reader(output)
    try:
        _wait(lambda: _status(client)["state"] == "nobody")
        time.sleep(SETTLE_S)
        reader.seen = Seen()
        camera = next(device.path for device in v4l2.devices() if device.captures and not device.is_loopback)
        act(camera)
        ended = time.perf_counter()
        time.sleep(0.5)  # what was lost is noticed
        back = _wait(lambda: _status(client)["state"] == "nobody")
        time.sleep(SETTLE_S)
        seen = reader.seen
        print(seen.line(name, None if back is None else back - ended, _status(client)["state"]), flush=True)
        return bool(seen.times) and seen.room == 0 and back is not None
    finally:
        reader.close()


def _sleeps(client: Client, output: str) -> bool:
    """Nobody reads: asleep. Somebody does: the time until the camera's picture is there."""
    if _wait(lambda: _status(client)["state"] == "asleep") is None:
        print("it does not sleep")
        return False
    began = time.perf_counter()
    reader = Reader(output)
    try:
        back = _wait(lambda: _status(client)["state"] == "nobody")
        print(reader.seen.line("asleep, then a reader", None if back is None else back - began, "nobody"))
        return back is not None and reader.seen.room == 0
    finally:
        reader.close()


def _status(client: Client) -> dict[str, Any]:
    return client.call("stats")


def _wait(condition: Callable[[], bool]) -> float | None:
    """When `condition` came true, s; None where it does not."""
    until = time.perf_counter() + BACK_S
    while time.perf_counter() < until:
        if condition():
            return time.perf_counter()
        time.sleep(0.05)
    return None


if __name__ == "__main__":
    sys.exit(main())
