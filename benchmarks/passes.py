"""jm-bench passes: what learning from a sample of a whole clip gains before its first picture is painted, and costs."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from engine.first_pass import FirstPass
from engine.sources import open_source

from .harness import labels, manifest, methods
from .harness.evaluation import REFERENCE, Scorer
from .harness.manifest import Clip
from .harness.methods import OURS, Method
from .harness.result import Metric, Result, Table
from .harness.runs import RecordedMattes, run
from .harness.scores import EVERY, is_scored

FIRST = 100  # frames, of what is scored
COLUMNS = (
    "clip",
    "frames",
    "one pass",
    "two passes",
    "worst frame, one",
    "two",
    "whole clip, one",
    "two",
    "s",
    "s, two",
)


@dataclass(frozen=True)
class Scored:
    """One way through one clip."""

    iou_acc: list[float]  # every EVERYth frame
    seconds: float
    frames: int  # of the clip

    @property
    def first(self) -> list[float]:
        return self.iou_acc[: FIRST // EVERY]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    methods.add_arguments(parser)
    labels.add_arguments(parser)
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    clips, scorer, ours = manifest.chosen(args), Scorer(args, flicker=False), Method(OURS, args)
    rows: list[tuple[object, ...]] = []
    found: list[tuple[Scored, Scored]] = []
    for clip in clips.clips:
        mattes = {f"{passes}": _paint(clip, ours, args, passes) for passes in (1, 2)}
        scores = scorer.score(clip, {name: painted[0] for name, painted in mattes.items()})
        one, two = (Scored(scores[name].iou_acc, *mattes[name][1:]) for name in ("1", "2"))
        found.append((one, two))
        rows.append((
            clip.name, one.frames, np.mean(one.first), np.mean(two.first), min(one.first), min(two.first),
            np.mean(one.iou_acc), np.mean(two.iou_acc), one.seconds, two.seconds,
        ))  # fmt: skip
    means = [float(np.mean([row[i] for row in rows])) for i in range(2, len(COLUMNS))]
    rows.append(("mean", None, *means))
    fps = 25.0
    minute = [60 * fps * sum(w[i].seconds for w in found) / sum(w[i].frames for w in found) for i in (0, 1)]
    title = f"IoU-Acc of the first {FIRST} frames, against {REFERENCE} on every {EVERY}th; {clips.title}"
    return Result(
        "passes",
        [Table(title, COLUMNS, rows, "lockstep")],
        {"s_per_minute": minute, "first": means[:2], "whole": means[4:6]},
        {
            "first frames, one pass": Metric([means[0]], "higher", ""),
            "first frames, two passes": Metric([means[1]], "higher", ""),
        },
        [f"A minute of clip, 1500 frames, takes {minute[0]:.1f} s with one pass, {minute[1]:.1f} s with two."],
    )


def _paint(clip: Clip, ours: Method, args: argparse.Namespace, passes: int) -> tuple[RecordedMattes, float, int]:
    """The mattes, seconds for all of it without the start, frames."""
    mattes = RecordedMattes(is_scored(clip.cuts, False))
    with ours.open(lockstep=True) as masker:
        began = time.perf_counter()
        if passes == 2:
            FirstPass(masker, lambda: open_source(clip.path)).run()  # on all of it, whatever is scored
        done = run(masker, clip.path, "lockstep", args.frames, mattes)
        return mattes, time.perf_counter() - began, done.pipeline.frames
