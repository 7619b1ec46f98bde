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
from engine.sources import Paced, open_source

from .machine import finish, show

STALL = 2.0  # s


def main(args: argparse.Namespace) -> None:
    kinds = {"off": None, "on": args.teacher, "teacher stalls 2 s": args.teacher}
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for _ in range(args.rounds):
        for kind, teacher in kinds.items():
            runs[kind].append(run(args, teacher, stall=STALL if "stalls" in kind else 0.0))
    rows, result = [], {}
    for kind, several in runs.items():
        merged = {key: float(np.median([run_[key] for run_ in several])) for key in several[0]}
        result[kind] = {key: round(value, 3) for key, value in merged.items()}
        rows.append((kind, *(merged[key] for key in several[0])))
    columns = ("learning", *next(iter(runs.values()))[0].keys())
    show(f"{args.clip}, {args.frames} frames at their own speed, median of {args.rounds} rounds", columns, rows)
    ratio = result["on"]["paint p95"] / result["off"]["paint p95"]
    print(f"\np95 of the paint path with learning on: {ratio:.2f} times that without")
    finish({"bench": "interference", "runs": result, "p95_ratio": round(ratio, 3)})


def run(args: argparse.Namespace, teacher: str | None, stall: float) -> dict[str, float]:
    """One run; times in ms."""
    source = Paced(open_source(args.clip, loop=True))
    with Masker("ort-cpu", teacher, "#204060", student=args.student, size=args.size, threads=args.threads) as masker:
        if stall:
            stall_teacher(masker, stall)
        pipeline = Pipeline(source, masker, [Null()], max_frames=args.frames)
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
