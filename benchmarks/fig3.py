"""jm-bench fig3: the paper's Figure 3, IoU-Acc by difficulty, ours beside the peers."""

from __future__ import annotations

import argparse

from .harness import evaluation, manifest, methods
from .harness.by_difficulty import Series, by_difficulty
from .harness.evaluation import REFERENCE, Scorer
from .harness.result import Result
from .harness.scores import EVERY

PEERS = ["selfie", "sinet", "rvm"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    evaluation.add_arguments(parser, PEERS, pace="live")


def main(args: argparse.Namespace) -> Result:
    clips, (chosen, absent) = manifest.chosen(args), methods.chosen(args)
    scorer = Scorer(args, flicker=False)
    series: Series = {}
    for clip in clips.clips:
        for name, scores in scorer(clip, chosen).items():
            series.setdefault(name, {})[clip.name] = scores.iou_acc
    what = f"IoU-Acc against {REFERENCE} on every {EVERY}th frame"
    return by_difficulty("fig3", what, args.pace, clips, series, absent, "higher")
