"""Painting clips with several methods, and scoring them: what accuracy, adapt, flicker, edges and table2 share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UsageError
from training.teachers import load

from .manifest import Clip
from .methods import OURS, Method
from .runs import RecordedMattes, run
from .scores import Labels, Scores, is_scored, score

REFERENCE = "rvm"  # the teacher that everybody is scored against, whoever taught


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say how fast ours is shown a clip, and where labels are kept."""
    parser.add_argument(
        "--pace", default="lockstep", choices=("lockstep", "live"),
        help="of ours: lockstep learns once per frame and is repeatable; live is what a viewer sees on this machine",
    )  # fmt: skip
    parser.add_argument("--labels", metavar="DIR", help="folder that keeps the reference's labels, for the next run")


class Scorer:
    """Paints and scores one clip after the other. The reference is loaded once; its labels may be kept in a folder."""

    def __init__(self, args: argparse.Namespace, flicker: bool = True):
        """ModelError where the reference's weights cannot be had."""
        self._args, self._flicker = args, flicker
        self._teacher = load(REFERENCE, args.threads)

    def labels(self, clip: Clip) -> Labels:
        """The reference's labels of `clip`."""
        return Labels(self._teacher, Path(self._args.labels) / clip.name if self._args.labels else None)

    def __call__(self, clip: Clip, methods: Sequence[Method]) -> dict[str, Scores]:
        """The scores of each method on `clip`, and of no frame that the manifest or `--frames` leaves out."""
        return self.score(clip, {method.name: self.paint(clip, method) for method in methods})

    def paint(self, clip: Clip, method: Method) -> RecordedMattes:
        """The mattes of `clip` by `method`: ours at --pace, a peer on every frame, however long it takes."""
        pace = self._args.pace if method.name == OURS else "lockstep"
        mattes = RecordedMattes(is_scored(clip.cuts, self._flicker))
        painter = method.open(lockstep=pace == "lockstep")
        try:
            done = run(painter, clip.path, pace, self._args.frames, mattes)
        finally:
            painter.close()
        if not done.stamps:
            raise UsageError(f"{clip.path} holds no frame; expected a clip")
        return mattes

    def score(self, clip: Clip, mattes: dict[str, RecordedMattes]) -> dict[str, Scores]:
        """Mattes painted by `paint`, scored."""
        return score(clip.path, clip.cuts, self.labels(clip), mattes, self._args.frames, self._flicker)
