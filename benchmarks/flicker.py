"""jm-bench flicker: how much each method's alpha changes from one frame to the next where nothing in the picture does.

The teacher's own flicker stands beside it: a student may flicker less than who taught it.
"""

from __future__ import annotations

import argparse

from .harness import manifest, painted
from .harness import methods as painters
from .harness.painted import Scorer
from .harness.result import Metric, Result, Table
from .harness.scores import EVERY, mean, median

PEERS = ["selfie", "sinet"]
QUICK_FRAMES = 30  # of each clip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    painters.add_arguments(parser)
    painters.add_peers(parser, PEERS)
    painted.add_arguments(parser)
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    clips, (methods, absent) = manifest.chosen(args, QUICK_FRAMES), painters.methods(args)
    worth, scorer = [m for m in methods if m.means_something()], Scorer(args)
    columns = [painted.REFERENCE, *(m.name for m in worth)]
    found: dict[str, list[float | None]] = {}
    for clip in clips.clips:
        scores = scorer(clip, worth)
        teacher = next(iter(scores.values())).teacher_flicker
        found[clip.name] = [median(teacher), *(median(scores[m.name].flicker) for m in worth)]
    whole = [mean([v for v in column if v is not None]) for column in zip(*found.values(), strict=True)]
    rows = [*((name, *cells) for name, cells in found.items()), ("mean", *whole)]
    title = f"Flicker: change of alpha in grey levels where nothing moves, median; pace {args.pace}; {clips.title}"
    return Result(
        "flicker",
        [Table(title, ("clip", f"{painted.REFERENCE}, each frame alone", *columns[1:]), rows)],
        {"clips": {name: dict(zip(columns, cells, strict=True)) for name, cells in found.items()}},
        {name: Metric([v], "lower", "grey levels") for name, v in zip(columns, whole, strict=True) if v is not None},
        [f"Between every {EVERY}th frame and the next.", *(f"{name}: {why}" for name, why in absent.items())],
    )
