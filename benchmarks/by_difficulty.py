"""jm-bench fig3 and fig4: the paper's Figures 3 and 4, IoU-Acc and ms per frame by difficulty, ours beside the peers.

A bar is the mean over the clips of a difficulty, each counting once; its error bar one standard deviation over all
their scored frames (fig3) or periods (fig4).
"""

from __future__ import annotations

import argparse

import numpy as np

from .harness import manifest, painted
from .harness import methods as painters
from .harness.manifest import DIFFICULTIES, Clip, Manifest
from .harness.painted import REFERENCE, Scorer
from .harness.plots import Spread, bars
from .harness.result import Better, Metric, Result, Table
from .harness.scores import EVERY
from .harness.times import add_arguments as add_times
from .harness.times import periods_ms

PEERS = ["selfie", "sinet", "rvm"]
Series = dict[str, dict[str, list[float]]]  # method -> clip -> one number for each frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    painters.add_arguments(parser)
    painters.add_peers(parser, PEERS)
    painted.add_arguments(parser)
    add_times(parser)
    parser.set_defaults(threads=2, pace="live")


def fig3(args: argparse.Namespace) -> Result:
    """IoU-Acc by difficulty."""
    clips, (methods, absent) = manifest.chosen(args), painters.methods(args)
    scorer = Scorer(args, flicker=False)
    worth = [m for m in methods if m.means_something()]
    series: Series = {m.name: {} for m in worth}
    for clip in clips.clips:
        for name, scores in scorer(clip, worth).items():
            series[name][clip.name] = scores.iou_acc
    what = f"IoU-Acc against {REFERENCE} on every {EVERY}th frame, pace {args.pace}"
    return _result("fig3", what, clips, series, absent, "higher", "")


def fig4(args: argparse.Namespace) -> Result:
    """ms per frame by difficulty."""
    clips, (methods, absent) = manifest.chosen(args), painters.methods(args)
    series: Series = {m.name: {} for m in methods}
    for clip in clips.clips:
        for method in methods:
            series[method.name][clip.name] = periods_ms(method, clip, args)
    what = f"ms between paints, clips read as fast as they can be, {args.threads} thread(s)"
    return _result("fig4", what, clips, series, absent, "lower", "ms")


def _result(
    bench: str, what: str, clips: Manifest, series: Series, absent: dict[str, str], better: Better, unit: str
) -> Result:
    counts = {d: sum(c.difficulty == d for c in clips.clips) for d in DIFFICULTIES}
    groups = [d for d in DIFFICULTIES if counts[d]]
    spreads: dict[str, list[Spread | None]] = {
        name: [spread(by_clip, clips.clips, d) for d in groups] for name, by_clip in series.items()
    }
    rows = [(name, *(cell for s in told for cell in (s or (None, None)))) for name, told in spreads.items()]
    columns = ["method", *(column for d in groups for column in (f"{d}, {counts[d]} clip(s)", "sd"))]
    metrics = {
        f"{name}: {d}": Metric([s[0]], better, unit)
        for name, told in spreads.items()
        for d, s in zip(groups, told, strict=True)
        if s is not None
    }
    numbers = {
        "what": what,
        "clips": {
            name: {c: round(float(np.mean(values)), 4) for c, values in by.items() if values}
            for name, by in series.items()
        },
    }
    title = f"Figure {bench[-1]}: {what}; {clips.title}"
    label = "IoU-Acc" if better == "higher" else "ms between paints"
    picture = bars(groups, spreads, label, clips.title, log=better == "lower")
    notes = ["Difficulty by the paper's rule: easy without a scene change, medium with one, hard with two or more."]
    notes += [f"{name}: {why}" for name, why in absent.items()]
    return Result(bench, [Table(title, columns, rows)], numbers, metrics, notes, figures={bench: picture})


def spread(by_clip: dict[str, list[float]], clips: list[Clip], difficulty: str) -> Spread | None:
    """(mean over the clips of this difficulty, standard deviation over all their frames); None where there is none."""
    chosen = [by_clip[c.name] for c in clips if c.difficulty == difficulty and by_clip.get(c.name)]
    if not chosen:
        return None
    return float(np.mean([np.mean(values) for values in chosen])), float(np.std(np.concatenate(chosen)))
