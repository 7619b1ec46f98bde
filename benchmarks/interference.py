"""jm-bench interference: what learning costs the picture. The same clip at its own speed, learning off and on in turn.

Also with a teacher that stalls for two seconds on every call: the picture must not notice.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from engine import Masker
from engine.pipeline import Pipeline
from engine.sinks import Null
from engine.sources import PacedSource, open_source

from .harness.methods import BACKGROUND
from .harness.result import Metric, Result, Table
from .harness.runs import name_of

STALL = 2.0  # s
MOVING = "test://?frames=10000000"  # a synthetic figure that never ends


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", nargs="?", default=MOVING, help="default: a synthetic one")
    parser.add_argument("--teacher", default="rvm")
    parser.add_argument("--frames", type=int, default=400, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    frames, rounds = (100, 1) if args.quick else (args.frames, args.rounds)
    kinds = {"off": None, "on": args.teacher, "teacher stalls 2 s": args.teacher}
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, teacher in kinds.items():
            runs[kind].append(run(args, frames, teacher, stall=STALL if "stalls" in kind else 0.0))
    rows, merged = [], {}
    metrics: dict[str, Metric] = {}
    for kind, several in runs.items():
        merged[kind] = {key: round(float(np.median([r[key] for r in several])), 3) for key in several[0]}
        rows.append((kind, *merged[kind].values()))
        for key in ("paint p50", "paint p95", "period p99"):
            metrics[f"{kind}: {key}"] = Metric([r[key] for r in several], "lower")
    ratio = merged["on"]["paint p95"] / merged["off"]["paint p95"]
    table = Table(
        f"{name_of(args.clip)}, {frames} frames at their own speed, median of {rounds} round(s), ms",
        ("learning", *merged["off"]), rows,
    )  # fmt: skip
    numbers: dict[str, Any] = {"interference": merged, "p95_ratio": round(ratio, 3)}
    note = f"p95 of the paint path with learning on: {ratio:.2f} times that without"
    return Result("interference", [table], numbers, metrics, [note])


def run(args: argparse.Namespace, frames: int, teacher: str | None, stall: float) -> dict[str, float]:
    """One run; times in ms."""
    source = PacedSource(open_source(args.clip, loop=True))
    with Masker("auto", teacher, BACKGROUND, student=args.student, size=args.size, threads=args.threads) as masker:
        if stall:
            stall_teacher(masker, stall)
        pipeline = Pipeline(source, masker, [Null()], max_frames=frames)
        pipeline.run()
        learning = masker.stats.learning
        paint, period = masker.paint_path.summary("p50", "p95", "p99"), pipeline.period.summary("p50", "p99", "max")
        publish = learning.publish_ms.summary("p50")["p50"] if learning else None
        return {
            "paint p50": paint["p50"] or 0.0,
            "paint p95": paint["p95"] or 0.0,
            "paint p99": paint["p99"] or 0.0,
            "period p50": period["p50"] or 0.0,
            "period p99": period["p99"] or 0.0,
            "period max": period["max"] or 0.0,
            "steps": float(learning.steps if learning else 0),
            "publish p50": publish or 0.0,
            "swap stall max": masker.swap_stall.summary("max")["max"] or 0.0,
        }


def stall_teacher(masker: Masker, seconds: float) -> None:
    """Make every call of the teacher take `seconds` longer."""
    guard = masker._learner._guard  # type: ignore[union-attr]
    teacher = guard._teacher

    def slow(bgr: np.ndarray) -> np.ndarray:
        time.sleep(seconds)
        return teacher(bgr)

    guard._teacher = slow
