"""jm-bench accuracy: what a viewer sees of each clip, ours beside the peer and the teacher.

Scored as `benchmarks.harness.scores` says, at full resolution. The peer (MediaPipe selfie) is scored on the same
frames. A
recipe of "none" scores the student as it is shipped.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .cuts import cuts_of
from .harness import methods as painters
from .harness import painted
from .harness.manifest import Clip, difficulty
from .harness.methods import OURS, STILL, Method
from .harness.result import Metric, Result, Table
from .harness.scores import AFTER_CUT, EVERY, average

PEER = "selfie"
COLUMNS = (
    "clip", "frames", "IoU-Acc", "2nd half", "p5", "selfie", "selfie p5", "edges", "selfie", "flicker", "teacher",
    "recovery", "ghosts",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--frames", type=int, help="at most so many of each clip; default: all")
    painters.add_arguments(parser)
    painted.add_arguments(parser)
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    if args.quick:
        args.frames = args.frames or 50
    scorer = painted.Scorer(args)
    ours = Method(STILL if args.recipe == "none" else OURS, args)
    summaries: dict[str, dict[str, Any]] = {}
    for path in args.clips:
        cuts = tuple(cuts_of(path, args.frames))
        clip = Clip(Path(path).stem, path, difficulty(len(cuts)), cuts)
        scores = scorer(clip, [ours, Method(PEER, args)])
        peer = scores[PEER].summary()
        summaries[clip.name] = {
            **scores[ours.name].summary(),
            "selfie mean": peer["mean"],
            "selfie p5": peer["p5"],
            "selfie edges": peer["edges"],
        }
        print(clip.name, json.dumps(summaries[clip.name]), file=sys.stderr, flush=True)
    whole = average(list(summaries.values()))
    rows = [row(name, summary) for name, summary in summaries.items()]
    title = (
        f"{args.student}, recipe {args.recipe}, pace {args.pace}, against {painted.REFERENCE}, every {EVERY}th frame"
    )
    return Result(
        "accuracy",
        [Table(title, COLUMNS, [*rows, row("mean", {**whole, "recovery": []})])],
        {"student": args.student, "recipe": args.recipe, "pace": args.pace, "clips": summaries},
        {
            "IoU-Acc": Metric([whole["mean"]], "higher", ""),
            "IoU-Acc p5": Metric([whole["p5"]], "higher", ""),
            **({"edges": Metric([whole["edges"]], "higher", "")} if whole["edges"] is not None else {}),
        },
        recoveries(whole["recovery"]),
    )


def row(name: str, s: dict[str, Any]) -> tuple:
    """A line of the table."""
    told = ", ".join("-" if r is None else str(r) for r in s["recovery"]) or None
    keys = ("frames", "mean", "second half", "p5", "selfie mean", "selfie p5", "edges", "selfie edges", "flicker",
            "teacher flicker")  # fmt: skip
    return (name, *(s[key] for key in keys), told, s["ghosts"])


def recoveries(frames: list[int | None]) -> list[str]:
    """A sentence on all recoveries; none where nothing had to be recovered from."""
    counted = sorted(AFTER_CUT if r is None else r for r in frames)
    if not counted:
        return []
    median, late = np.median(counted), np.percentile(counted, 90)
    return [f"{len(counted)} cuts: back to 0.95 after {median:g} frames (median), {late:g} (p90)"]
