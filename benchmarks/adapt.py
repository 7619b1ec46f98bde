"""jm-bench adapt: how soon each method's mask is good again after a cut, frame by frame, against the teacher."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from engine.errors import UsageError

from .harness import manifest, painted
from .harness import methods as painters
from .harness.painted import Scorer
from .harness.plots import lines
from .harness.quality import ENOUGH, recovery
from .harness.result import Metric, Result, Table
from .harness.scores import AFTER_CUT

PEERS = ["selfie"]
QUICK_FRAMES = 112  # the medium quick clip has its cut at 99


@dataclass(frozen=True)
class Cut:
    """What came after one cut."""

    clip: str
    frame: int
    scores: dict[str, list[float]]  # method -> IoU-Acc of the cut's own frame and those after it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    painters.add_arguments(parser)
    painters.add_peers(parser, PEERS)
    painted.add_arguments(parser)
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    clips, (methods, absent) = manifest.chosen(args, QUICK_FRAMES), painters.methods(args)
    with_cuts = [c for c in clips.clips if any(args.frames is None or cut < args.frames for cut in c.cuts)]
    if not with_cuts:
        raise UsageError(
            f"none of the chosen clips of {clips.title} has a cut; expected one of the medium or hard ones"
        )
    worth = [m for m in methods if m.means_something()]
    scorer, cuts = Scorer(args, flicker=False), []
    for clip in with_cuts:
        scores = scorer(clip, worth)
        for i, frame in enumerate(cut for cut in clip.cuts if args.frames is None or cut < args.frames):
            cuts.append(Cut(clip.name, frame, {name: s.after_cuts[i] for name, s in scores.items()}))
    names = [m.name for m in worth]
    rows: list[tuple] = [(cut.clip, cut.frame, *(recovery(cut.scores[name]) for name in names)) for cut in cuts]
    frames = {name: [recovery(cut.scores[name]) for cut in cuts] for name in names}
    told = {name: [AFTER_CUT if f is None else f for f in found] for name, found in frames.items()}
    rows += [
        (f"median of {len(cuts)}", None, *(float(np.median(told[name])) for name in names)),
        ("p90", None, *(float(np.percentile(told[name], 90)) for name in names)),
        ("never within the window", None, *(frames[name].count(None) for name in names)),
    ]
    title = f"Frames after a cut until IoU-Acc is {ENOUGH} again, pace {args.pace}; {clips.title}"
    curves = {name: mean_curve([cut.scores[name] for cut in cuts]) for name in names}
    picture = lines(curves, "frames after the cut", "IoU-Acc, mean over cuts", clips.title)
    return Result(
        "adapt",
        [Table(title, ("clip", "cut at", *names), rows)],
        {"cuts": [{"clip": c.clip, "frame": c.frame, "iou_acc": _rounded(c.scores)} for c in cuts]},
        {f"{name}: frames to recover": Metric([float(np.mean(told[name]))], "lower", "frames") for name in names},
        [f"{name}: {why}" for name, why in absent.items()],
        figures={"adapt": picture},
    )


def mean_curve(scores: list[list[float]]) -> tuple[list[float], list[float]]:
    """(frames after the cut, mean score there) over cuts; a cut that is followed by another soon is shorter."""
    frames = range(max(len(s) for s in scores))
    return [float(i) for i in frames], [float(np.mean([s[i] for s in scores if len(s) > i])) for i in frames]


def _rounded(scores: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [round(value, 4) for value in values] for name, values in scores.items()}
