"""jm-bench table2: the paper's Table 2: IoU-Acc and time of JIT-Masker and of others, through one pipeline.

Everybody is scored on the same frames against the same labels. The others are run naively, on every frame, as the
paper runs its baselines. Time is two numbers, never one: see `benchmarks.harness.runs`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from .harness import evaluation, manifest, methods
from .harness.evaluation import REFERENCE, Scorer, Times, times
from .harness.manifest import Clip
from .harness.methods import OURS, Method
from .harness.result import Metric, Result, Table
from .harness.scores import EVERY
from .harness.sheets import sheet
from .harness.timing import block_medians, percentiles

PEERS = ["selfie", "selfie-landscape", "meet-full", "meet-lite", "sinet", "rvm", "u2netp", "u2netp-240"]
PAPER = {  # IoU-Acc, ms on its GPU, ms on its CPU (with the teacher remote); Table 2, VideoCall at 240p
    OURS: (0.8950, 40.0, 83.0),
    "u2netp": (0.8326, 44.0, 447.0),
    "mrcnn50": (None, 91.0, None),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    evaluation.add_arguments(parser, PEERS, pace="live", timed=True)


def main(args: argparse.Namespace) -> Result:
    clips, (chosen, absent) = manifest.chosen(args), methods.chosen(args)
    scorer = Scorer(args, flicker=False)
    scored: dict[str, list[float]] = {m.name: [] for m in chosen}
    timed: dict[str, list[Times]] = {m.name: [] for m in chosen}
    sheets = {}
    for clip in clips.clips:
        for method in chosen:  # times first: nothing of the scoring is in memory yet
            timed[method.name].append(times(method, clip, args))
        mattes = {m.name: scorer.paint(clip, m) for m in chosen}
        for name, scores in scorer.score(clip, mattes).items():
            scored[name].append(float(np.mean(scores.iou_acc)))
        shown = {name: mattes[name] for name in mattes if name in (OURS, "selfie")}
        sheets[clip.name] = sheet(clip.path, scorer.label, shown)
    rows = [_row(m, scored[m.name], timed[m.name]) for m in chosen]
    rows += [_absent(name, why) for name, why in absent.items()]
    rows.append(_absent("mrcnn50", "a teacher, see table1; the paper's reference, so without a score of its own"))
    title = f"Table 2: {clips.title}, {len(clips.clips)} clip(s), {args.threads} thread(s)"
    columns = (
        "method", f"IoU-Acc, {args.pace}", "paper", "ms between paints, live", "paper CPU", "paper GPU",
        "latency p50, live", "p95, live", "dropped", "how it is run",
    )  # fmt: skip
    numbers = {
        "set": clips.title,
        "pace": {"iou_acc": args.pace, "times": "live"},
        "teacher": args.teacher,
        "methods": {m.name: _numbers(clips.clips, scored[m.name], timed[m.name]) for m in chosen},
    }
    table = Table(title, columns, rows, "live" if args.pace == "live" else None)
    return Result("table2", [table], numbers, _metrics(args.pace, scored, timed), _notes(args), sheets=sheets)


def _row(method: Method, scores: list[float], runs: list[Times]) -> tuple:
    paper = PAPER.get(method.name, (None, None, None))
    late = percentiles([ms for run in runs for ms in run.latencies_ms], 50, 95)
    dropped = sum(run.dropped for run in runs)
    return (
        method.name, float(np.mean(scores)), paper[0], _period(runs), paper[2], paper[1],
        late["p50"], late["p95"], dropped, method.settings(),
    )  # fmt: skip


def _absent(name: str, why: str) -> tuple:
    paper = PAPER.get(name, (None, None, None))
    return name, None, paper[0], None, paper[2], paper[1], None, None, None, why


def _period(runs: list[Times]) -> float:
    """Mean time between paints, ms, each clip counting once: the paper's number."""
    return float(np.mean([np.mean(run.periods_ms) for run in runs]))


def _numbers(clips: Sequence[Clip], scores: list[float], runs: list[Times]) -> dict[str, Any]:
    return {
        "iou_acc": round(float(np.mean(scores)), 4),
        "period_ms": round(_period(runs), 3),
        "latency_ms": percentiles([ms for run in runs for ms in run.latencies_ms], 50, 95),
        "clips": {
            clip.name: {
                "iou_acc": round(scores[i], 4),
                "period_ms": round(float(np.mean(run.periods_ms)), 3),
                "latency_ms": percentiles(run.latencies_ms, 50, 95),
                "report": run.report,
            }
            for i, (clip, run) in enumerate(zip(clips, runs, strict=True))
        },
    }


def _metrics(pace: str, scored: dict[str, list[float]], timed: dict[str, list[Times]]) -> dict[str, Metric]:
    metrics = {}
    for name, runs in timed.items():
        metrics[f"{name}: IoU-Acc, {pace}"] = Metric([float(np.mean(scored[name]))], "higher", "")
        periods, late = [ms for r in runs for ms in r.periods_ms], [ms for r in runs for ms in r.latencies_ms]
        metrics[f"{name}: between paints, live"] = Metric(block_medians(periods), "lower")
        metrics[f"{name}: latency, live"] = Metric(block_medians(late), "lower")
    return metrics


def _notes(args: argparse.Namespace) -> list[str]:
    return [
        f"IoU-Acc against {REFERENCE} on every {EVERY}th frame. ms between paints: the mean, the clip read as fast as "
        "it can be. Latency: from capture to paint, the clip as a camera that drops what nobody takes. The paper's "
        "machine: GTX 1080, i5-7600K, 240p; its CPU row has the teacher on another machine.",
        f"Ours runs on backend {args.backend}, its teacher is {args.teacher}. A GPU row is this command with a GPU "
        "backend; without one there is none.",
    ]
