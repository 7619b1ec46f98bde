"""jm-bench soak: minutes of painting and learning at a camera's pace: what has to stay flat, and whether it does.

The exit code is 1 where a frame was painted with a fault, or learning stopped.
"""

from __future__ import annotations

import argparse
import threading
import time
from dataclasses import dataclass

import numpy as np
import psutil

from engine import Masker
from engine.pipeline import Pipeline
from engine.sinks import Null
from engine.sources import PacedSource, open_source

from .harness.methods import BACKGROUND
from .harness.plots import lines
from .harness.progress import counter
from .harness.result import Metric, Result, Table
from .harness.runs import MOVING, name_of
from .harness.timing import percentiles

INTERVAL = 2.0  # s between two looks
SETTLING = 0.2  # share of the run at its start that fills pools and caches, and is left out of the slope


@dataclass(frozen=True)
class Moment:
    """The process at one moment."""

    at: float  # s from the start
    resident_mb: float
    threads: int
    frames: int  # painted so far
    swaps: int  # students adopted so far


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", nargs="?", default=MOVING, help="in a loop; default: a synthetic one")
    parser.add_argument("--teacher", default="rvm")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    seconds = min(args.minutes * 60, 20.0) if args.quick else args.minutes * 60
    moments, stamps = [], []
    next_look, process = 0.0, psutil.Process()
    source = PacedSource(open_source(args.clip, loop=True))
    with (
        Masker("auto", args.teacher, BACKGROUND, student=args.student, size=args.size, threads=args.threads) as masker,
        counter("soak, s", round(seconds)) as progress,
    ):
        began = time.perf_counter()  # with everything loaded: a first start compiles for a minute

        def look(pipeline: Pipeline) -> None:
            nonlocal next_look
            now = time.perf_counter() - began
            stamps.append(now)
            if now >= next_look:
                progress.update(round(min(now, seconds)) - progress.n)
                resident = process.memory_info().rss / 2**20
                moments.append(Moment(now, resident, threading.active_count(), pipeline.frames, masker.stats.swaps))
                next_look = now + INTERVAL
            if now >= seconds:
                pipeline.stop()

        Pipeline(source, masker, [Null()], on_picture=look).run()
        stats = masker.stats
    return _result(args, seconds, moments, stamps, stats)


def _result(args: argparse.Namespace, seconds: float, moments: list[Moment], stamps: list[float], stats) -> Result:
    settled = moments[int(len(moments) * SETTLING) :]
    hourly = slope([moment.at / 3600 for moment in settled], [moment.resident_mb for moment in settled])
    periods = np.diff(stamps) * 1e3
    halves = [percentiles(half.tolist(), 50, 99) for half in np.array_split(periods, 2)]
    died = stats.learning.died if stats.learning is not None else None
    rows = [
        ("minutes", seconds / 60),
        ("frames painted", stats.frames),
        ("frames with a fault", stats.faults),
        ("students adopted", stats.swaps),
        ("learning stopped", died or "no"),
        ("resident memory after settling, MB", settled[0].resident_mb),
        ("resident memory at the end, MB", settled[-1].resident_mb),
        ("growth, MB an hour", hourly),
        ("threads after settling, at the end", f"{settled[0].threads}, {settled[-1].threads}"),
        ("period p50 ms, first and second half", f"{halves[0]['p50']:.2f}, {halves[1]['p50']:.2f}"),
        ("period p99 ms, first and second half", f"{halves[0]['p99']:.2f}, {halves[1]['p99']:.2f}"),
        ("longest wait for a picture, ms", float(periods.max())),
    ]
    numbers = {
        "minutes": round(seconds / 60, 2), "frames": stats.frames, "faults": stats.faults, "swaps": stats.swaps,
        "died": died, "growth_mb_per_hour": round(hourly, 2), "period_ms": {"halves": halves},
        "resident_mb": [round(moment.resident_mb, 1) for moment in moments],
    }  # fmt: skip
    metrics = {
        "resident memory at the end": Metric([settled[-1].resident_mb], "lower", "MB"),
        "period p99": Metric([half["p99"] for half in halves], "lower"),
    }
    curve = {"resident": ([moment.at / 60 for moment in moments], [moment.resident_mb for moment in moments])}
    title = f"Soak: {name_of(args.clip)} in a loop, {args.student}, teacher {args.teacher}, {args.threads} thread(s)"
    figure = lines(curve, "minutes", "resident memory, MB", title)
    return Result(
        "soak",
        [Table(title, ("what", "value"), rows, "live")],
        numbers,
        metrics,
        figures={"soak": figure},
        ok=not stats.faults and died is None,
    )


def slope(x: list[float], y: list[float]) -> float:
    """Of the straight line nearest to y(x); 0.0 of fewer than two points."""
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else 0.0
