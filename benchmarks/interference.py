"""jm-bench interference: what learning costs the picture. A clip at its own speed, learning off and on in turn.

Like for like: all sides paint with the same number of threads, the whole path on every frame; the learner's threads
come on top, in a process of their own as with jm-engine, or in this one as in another app. There also with a teacher
that stalls for two seconds on every call: the picture must not notice.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Literal

import numpy as np

from engine import Masker
from engine.cpu_budget import CpuBudget
from engine.learning import LIVE_LEARNER
from engine.pipeline import Pipeline
from engine.sinks import Null
from engine.sources import PacedSource, open_source
from training import teachers

from .harness.evaluation import await_first_label
from .harness.methods import BACKGROUND
from .harness.result import Metric, Result, Table
from .harness.runs import MOVING, name_of

STALL = 2.0  # s
THREAD = "on, a thread"  # of this process
STALLING = f"teacher stalls {STALL:g} s"  # as well
LEARNER_THREADS = 1  # on every side that learns
METRICS = ("paint p50", "paint p95", "period p99")
Side = tuple[int, str]  # paint threads; learning: "off", "on", THREAD or STALLING


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", nargs="?", default=MOVING, help="default: a synthetic one")
    parser.add_argument("--teacher", default="rvm")
    parser.add_argument("--frames", type=int, default=400, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    """Paint threads from 1 to --threads, each with learning off and on."""
    frames, rounds = (100, 1) if args.quick else (args.frames, args.rounds)
    sides = [(paint, learning) for paint in range(1, args.threads + 1) for learning in ("off", "on", THREAD, STALLING)]
    runs: dict[Side, list[dict[str, float]]] = {side: [] for side in sides}
    teachers.TEACHERS[STALLING] = lambda: lambda threads: StallingTeacher(teachers.load(args.teacher, threads))
    try:
        for paint, learning in sides * rounds:
            teacher = {"off": None, STALLING: STALLING}.get(learning, args.teacher)
            learner = LIVE_LEARNER if learning == "on" else "thread"
            runs[paint, learning].append(run(args, frames, paint, teacher, learner))
    finally:
        del teachers.TEACHERS[STALLING]
    medians = {
        side: {key: round(float(np.median([r[key] for r in several])), 3) for key in several[0]}
        for side, several in runs.items()
    }
    metrics = {
        f"{paint} paint thread(s), {learning}: {key}": Metric([r[key] for r in several], "lower")
        for (paint, learning), several in runs.items()
        for key in METRICS
    }
    ratios = {
        paint: round(medians[paint, "on"]["paint p95"] / medians[paint, "off"]["paint p95"], 3)
        for paint in range(1, args.threads + 1)
    }
    table = Table(
        f"{name_of(args.clip)}, {frames} frames at their own speed, median of {rounds} round(s), ms",
        ("paint threads", "learning", *medians[1, "off"]),
        [(*side, *values.values()) for side, values in medians.items()],
        "live",
    )
    numbers = {
        "interference": [{"paint threads": p, "learning": kind, **ms} for (p, kind), ms in medians.items()],
        "p95_ratio": ratios,
    }
    return Result("interference", [table], numbers, metrics, [_note(paint, ratio) for paint, ratio in ratios.items()])


def _note(paint: int, ratio: float) -> str:
    cores = os.cpu_count() or 1
    short = f"; they and the learner's share {cores} core(s)" if paint + LEARNER_THREADS > cores else ""
    return f"{paint} paint thread(s): p95 of the paint path with learning on is {ratio:.2f} times that without{short}."


def run(
    args: argparse.Namespace, frames: int, paint: int, teacher: str | None, learner: Literal["thread", "process"]
) -> dict[str, float]:
    """One run with `paint` threads for the picture; times in ms."""
    source = PacedSource(open_source(args.clip, loop=True))
    budget = CpuBudget(paint, LEARNER_THREADS if teacher else 0)
    # min_area: the whole path on every frame, whatever either student sees
    with Masker(
        "auto", teacher, BACKGROUND, student=args.student, size=args.size, threads=budget, learner=learner, min_area=0.0
    ) as masker:
        await_first_label(masker, args.clip)
        pipeline = Pipeline(source, masker, [Null()], max_frames=frames)
        pipeline.run()
        if masker.learner_failure is not None:
            raise masker.learner_failure
        learning = masker.stats.learning
        path, period = masker.paint_path.summary("p50", "p95", "p99"), pipeline.period.summary("p50", "p99", "max")
        publish = learning.publish_ms.summary("p50")["p50"] if learning else None
        stall = masker.swap_stall.summary("max")["max"]
    return {
        **{f"paint {key}": ms or 0.0 for key, ms in path.items()},
        **{f"period {key}": ms or 0.0 for key, ms in period.items()},
        "steps": float(learning.steps if learning else 0),
        "publish p50": publish or 0.0,
        "swap stall max": stall or 0.0,
    }


class StallingTeacher:
    """Another teacher that takes STALL seconds longer for every label."""

    def __init__(self, teacher: teachers.Teacher):
        self._teacher = teacher

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        time.sleep(STALL)
        return self._teacher(bgr)
