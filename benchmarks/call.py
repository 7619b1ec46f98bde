"""jm-bench call: minutes in a call, as a user has them: jm-engine and its panel as processes of their own.

A clip with a poster on its wall is the camera, at its own speed; the engine paints and learns, and what it sends is
read here, as a meeting program would. Each minute brings another background; in every other one somebody looks at the
panel. The exit code is 1 where the poster is seen, a frame has a fault, or the engine or the panel ended.
"""

from __future__ import annotations

import argparse
import contextlib
import http.cookiejar
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from engine.contracts import Picture
from engine.control.client import Client
from engine.errors import JitMaskerError, SourceError, UsageError
from engine.sinks import VideoFile
from engine.sources import open_source

from .harness.leaks import Reader
from .harness.machine import others_now
from .harness.marker import hang, poster, upright
from .harness.progress import counter
from .harness.result import Metric, Result, Table
from .harness.runs import MOVING, name_of
from .harness.timing import percentiles

BACKGROUNDS = ("#00b140", "blur", "#ffffff", "blur:0.8")  # one after the other, a minute each
POSTER, MARGIN = 0.25, 10  # of the frame's height; px from the upper right corner
READ_EVERY = 25  # frames between two in which the poster is looked for
CLIP_FRAMES = 1500  # at most
LOOK_S = 0.2  # between two pictures that the panel's page asks for
START_S, END_S = 120.0, 20.0  # of the engine; a first start compiles for a minute
COLUMNS = (
    "minute", "background", "panel", "frames/s", "p99 ms", "max ms", "engine, % of a core", "panel, % of a core",
    "others, cores", "engine MB", "panel MB", "match", "state", "poster read",
)  # fmt: skip


@dataclass
class Minute:
    """What was read in one minute."""

    stamps: list[float] = field(default_factory=list)  # s, when each frame was whole
    looked: int = 0  # frames in which the poster was looked for
    read: int = 0  # of them, in which it can be made out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", nargs="?", default=MOVING, help="in a loop; default: a synthetic one")
    parser.add_argument("--teacher", default="rvm")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0, help="that one of the minutes has")
    parser.set_defaults(threads=1)


def main(args: argparse.Namespace) -> Result:
    minutes, seconds = (2, min(args.seconds, 10.0)) if args.quick else (args.minutes, args.seconds)
    if minutes < 2:
        raise UsageError(f"--minutes is {minutes}; expected 2 or more: one that is looked at, and one that is not")
    with tempfile.TemporaryDirectory(prefix="jm-call-") as folder:
        clip, corners, size = _with_poster(args.clip, Path(folder))
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder}  # its socket is none of the user's
        os.chmod(folder, 0o700)
        report = Path(folder) / "report.json"
        command = [
            "-i", str(clip), "--loop", "-o", "-", "--pace", "live", "--still-gate", "off", "--teacher", args.teacher,
            "--student", args.student, "--background", BACKGROUNDS[0], "--threads", str(args.threads),
            "--report", str(report),
        ]  # fmt: skip
        command += ["--size", args.size] if args.size else []
        engine = _started(command, environment)
        with engine, _watched(engine, size, corners) as watch:
            client = _connected(engine, Path(folder))
            panel = _started(["panel", "--no-browser", "--pid", str(engine.pid)], environment)
            with panel, _page(panel) as page, counter("call, minutes", minutes) as progress:
                rows = []
                for number, background in zip(range(minutes), cycle(BACKGROUNDS), strict=False):
                    client.call("background", background)
                    page.visible = number % 2 == 0
                    rows.append(_minute(number, seconds, background, watch, engine, panel, page.visible, client))
                    progress.update()
                alive = engine.poll() is None and panel.poll() is None
                panel.terminate()
            client.call("stop")
            engine.wait(END_S)
        return _result(args, rows, watch.minutes, json.loads(report.read_text("utf-8")), page, alive)


def _with_poster(clip: str, folder: Path) -> tuple[Path, np.ndarray, tuple[int, int]]:
    """`clip` as a file with a poster on its wall; the poster's corners, and the frames' (height, width)."""
    source = open_source(clip)
    path = folder / "call.mp4"
    sink: VideoFile | None = None
    try:
        for frame in source:
            height, width = frame.bgr.shape[:2]
            sheet = poster(round(POSTER * height))
            corners = upright(width - MARGIN - sheet.shape[1], MARGIN, sheet.shape[0])
            sink = sink or VideoFile(str(path), source.fps)
            sink.write(Picture(hang(frame.bgr, sheet, corners), None, frame.index, frame.position))
            if frame.index + 1 == CLIP_FRAMES:
                break
    finally:
        source.close()
        if sink is not None:
            sink.close()
    if sink is None:
        raise SourceError(f"{clip} has no frames; choose another clip")
    return path, corners, (height, width)


def _started(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine.cli", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


class _Watch:
    """Reads what the engine sends, raw frames of `size`, and looks for the poster at `corners`."""

    def __init__(self, stream: Any, size: tuple[int, int], corners: np.ndarray):
        self.minutes: list[Minute] = []
        self.frames = 0
        self._stream, self._shape = stream, (*size, 3)
        self._reader = Reader(poster(round(POSTER * size[0])), corners, READ_EVERY)
        self._picture = np.empty(self._shape, np.uint8)

    def run(self) -> None:
        """Until the engine ends."""
        minute: Minute | None = None
        while self._stream.readinto(self._picture.data.cast("B")) == self._picture.nbytes:
            self.frames += 1
            if not self.minutes:
                continue  # it starts
            if minute is not self.minutes[-1]:
                minute = self.minutes[-1]
                looked, read = self._reader.looked, self._reader.read
            minute.stamps.append(time.perf_counter())
            self._reader.look(self._picture)
            minute.looked, minute.read = self._reader.looked - looked, self._reader.read - read


@contextlib.contextmanager
def _watched(engine: subprocess.Popen[bytes], size: tuple[int, int], corners: np.ndarray) -> Iterator[_Watch]:
    watch = _Watch(engine.stdout, size, corners)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        engine.terminate()
        thread.join(END_S)


def _connected(engine: subprocess.Popen[bytes], folder: Path) -> Client:
    """The engine, once it sends pictures."""
    until = time.perf_counter() + START_S
    while True:
        try:
            client = Client.connect(pid=engine.pid, folder=folder / "jit-masker")
            if client.call("stats")["frames"]:
                return client
        except JitMaskerError:  # not yet
            if engine.poll() is not None or time.perf_counter() > until:
                raise
        time.sleep(LOOK_S)


@dataclass
class _Page:
    """The panel as its page asks for it."""

    visible: bool = False
    asked: int = 0
    failed: int = 0


@contextlib.contextmanager
def _page(panel: subprocess.Popen[bytes]) -> Iterator[_Page]:
    """Somebody who opens the panel's page, and looks at it while `visible`."""
    assert panel.stdout is not None
    address = panel.stdout.readline().decode().strip()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    browser.open(address).read()
    page, over = _Page(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            if not page.visible:
                continue
            page.asked += 1
            try:
                browser.open(address.partition("?")[0] + "picture", timeout=5).read()
            except OSError:
                page.failed += 1

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield page
    finally:
        over.set()
        thread.join(10)


def _minute(
    number: int,
    seconds: float,
    background: str,
    watch: _Watch,
    engine: subprocess.Popen[bytes],
    panel: subprocess.Popen[bytes],
    visible: bool,
    client: Client,
) -> tuple[object, ...]:
    """Wait for it; its row of the table."""
    minute = Minute()
    watch.minutes.append(minute)
    began, before = time.perf_counter(), (_cpu(engine.pid), _cpu(panel.pid))
    time.sleep(seconds / 2)
    others = others_now()
    time.sleep(max(0.0, seconds - (time.perf_counter() - began)))
    took = time.perf_counter() - began
    spent = [100 * (_cpu(pid) - was) / took for pid, was in zip((engine.pid, panel.pid), before, strict=True)]
    stats = client.call("stats")
    periods = np.diff(minute.stamps) * 1e3
    learning = stats["learning"] or {}
    return (
        number + 1, background, "looked at" if visible else "hidden", len(minute.stamps) / took,
        float(np.percentile(periods, 99)), float(periods.max()), *spent, others, _memory_mb(engine.pid),
        _memory_mb(panel.pid), learning.get("score"), stats["state"], f"{minute.read} of {minute.looked}",
    )  # fmt: skip


def _cpu(pid: int) -> float:
    """Seconds that a process and its children have spent."""
    total = 0.0
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _memory_mb(pid: int) -> float:
    """Of a process and its children, shared pages divided among those that share them."""
    total = 0
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / 2**20


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:  # it ended
        return []


def _result(
    args: argparse.Namespace,
    rows: list[tuple[object, ...]],
    minutes: list[Minute],
    report: dict[str, Any],
    page: _Page,
    alive: bool,
) -> Result:
    halves = [
        percentiles(np.concatenate([np.diff(minute.stamps) * 1e3 for minute in half]).tolist(), 50, 95, 99)
        for half in (minutes[: len(minutes) // 2], minutes[len(minutes) // 2 :])
    ]
    read, looked = sum(minute.read for minute in minutes), sum(minute.looked for minute in minutes)
    summary = [
        ("period ms p50, p95, p99, first half", "{p50:.1f}, {p95:.1f}, {p99:.1f}".format(**halves[0])),
        ("period ms p50, p95, p99, second half", "{p50:.1f}, {p95:.1f}, {p99:.1f}".format(**halves[1])),
        ("frames painted, dropped, with a fault", f"{report['frames']}, {report['dropped']}, {report['faults']}"),
        ("CPU seconds, by part", ", ".join(f"{name} {value:.1f}" for name, value in report["cpu_s"].items())),
        ("students adopted", report["learning"]["swaps"]),
        ("pictures that the panel asked for, and did not get", f"{page.asked}, {page.failed}"),
        ("frames in which the poster was looked for, and read", f"{looked}, {read}"),
        ("ended", report["ended"]),
    ]
    title = f"{name_of(args.clip)} with a poster, {args.student}, teacher {args.teacher}, {args.threads} thread(s)"
    return Result(
        "call",
        [Table(f"A call: {title}", COLUMNS, rows, "live"), Table("All of it", ("what", "value"), summary, "live")],
        {"minutes": [dict(zip(COLUMNS, row, strict=True)) for row in rows], "report": report},
        {"period p99": Metric([half["p99"] for half in halves], "lower")},
        ok=alive and not read and not report["faults"],
    )
