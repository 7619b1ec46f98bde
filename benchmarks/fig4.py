"""jm-bench fig4: the paper's Figure 4, ms per frame by difficulty, ours beside the peers."""

from __future__ import annotations

import argparse

from .harness import evaluation, manifest, methods
from .harness.by_difficulty import Series, by_difficulty
from .harness.evaluation import periods_ms
from .harness.result import Result

PEERS = ["selfie", "sinet", "rvm"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    evaluation.add_arguments(parser, PEERS, pace=None, timed=True)


def main(args: argparse.Namespace) -> Result:
    clips, (chosen, absent) = manifest.chosen(args), methods.chosen(args)
    series: Series = {m.name: {} for m in chosen}
    for clip in clips.clips:  # everybody goes through a clip before the next one
        for method in chosen:
            series[method.name][clip.name] = periods_ms(method, clip, args)
    what = f"ms between paints, clips read as fast as they can be, {args.threads} thread(s)"
    return by_difficulty("fig4", what, "live", clips, series, absent, "lower")
