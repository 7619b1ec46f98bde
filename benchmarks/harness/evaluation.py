"""A method on a clip: its mattes, scored against the reference teacher, and its two times. Options that say how.

*Live*: the learner has its own thread, and no frame waits for it. *Lockstep*: one operation of the learner after each
frame, which is repeatable. Mattes are painted in either; times are live, for in lockstep each frame waits.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import report
from engine.contracts import Picture
from engine.errors import UsageError
from engine.masker import Masker
from engine.sources import PacedSource, open_source
from training.teachers import load

from . import labels, manifest, methods
from .labels import KeptTeacher
from .manifest import Clip
from .methods import OURS, STILL, Method
from .runs import RecordedMattes, Run, run
from .scores import Scores, is_scored, score, scored_frames

REFERENCE = "rvm"  # the teacher that everybody is scored against, whoever taught
TIMED, QUICK_TIMED = 150, 30  # frames of each clip; a slow peer needs half a minute for 150
REPORTED = ("period_ms", "latency_ms", "paint_path_ms", "stages_ms", "dropped")  # keys of jm-engine --report


def add_arguments(parser: argparse.ArgumentParser, peers: list[str], pace: str | None, timed: bool = False) -> None:
    """Every option of a bench over clips. `pace`: the default of ours; None: nothing is scored."""
    manifest.add_arguments(parser)
    methods.add_arguments(parser, peers)
    if pace is not None:
        parser.add_argument(
            "--pace", default=pace, choices=("lockstep", "live"),
            help="of ours: lockstep learns once per frame and is repeatable; live is what a viewer sees here; "
            f"default: {pace}",
        )  # fmt: skip
        labels.add_arguments(parser)
    if timed:
        parser.add_argument("--timed", type=int, default=TIMED, help=f"frames of each clip; default: {TIMED}")
    parser.set_defaults(threads=2)


def kept_teacher(name: str, args: argparse.Namespace) -> KeptTeacher:
    """A teacher whose labels are kept in `args.labels`: the reference's in the folder itself, which all benches share,
    another's in one of its own in there. What it says of a frame would otherwise be taken for what the reference says.
    """
    folder = Path(args.labels) if args.labels else None
    if folder is not None and name != REFERENCE:
        folder /= re.sub(r"[^\w.-]+", "-", name)
    return KeptTeacher(lambda: load(name, args.threads), folder)


class Scorer:
    """Paints and scores one clip after the other. The reference is loaded once; its labels may be kept in a folder."""

    def __init__(self, args: argparse.Namespace, flicker: bool = True):
        """ModelError where the reference's weights cannot be had."""
        self._args, self._flicker = args, flicker
        reference = load(REFERENCE, args.threads)
        self.label = KeptTeacher(lambda: reference, args.labels).whole

    def __call__(self, clip: Clip, methods: Sequence[Method]) -> dict[str, Scores]:
        """The scores of each method on `clip`, over the frames that `--frames` leaves."""
        return self.score(clip, {method.name: self.paint(clip, method) for method in methods})

    def paint(self, clip: Clip, method: Method) -> RecordedMattes:
        """The mattes of `clip` by `method`: ours at --pace, others on every frame, however long it takes.

        Who remembers nothing paints the frames that are scored alone: the same mattes, in a fraction of the time.
        """
        pace = self._args.pace if method.name == OURS else "lockstep"
        mattes = RecordedMattes(is_scored(clip.cuts, self._flicker))
        with method.open(lockstep=pace == "lockstep") as painter:
            if method.remembers:
                run(painter, clip.path, pace, self._args.frames, mattes)
            else:
                self._paint_scored(painter, clip, mattes)
        if not mattes.indices():  # the first frame is always scored
            raise UsageError(f"{clip.path} holds no frame; expected a clip")
        return mattes

    def _paint_scored(self, painter: Masker, clip: Clip, mattes: RecordedMattes) -> None:
        for index, bgr, _ in scored_frames(clip.path, clip.cuts, self._args.frames, self._flicker):
            painted = painter.process(bgr)
            mattes.write(Picture(painted.picture, painted.alpha, index, 0.0))

    def score(self, clip: Clip, mattes: dict[str, RecordedMattes]) -> dict[str, Scores]:
        """Mattes painted by `paint`, scored."""
        return score(clip.path, clip.cuts, self.label, mattes, self._args.frames, self._flicker)


@dataclass(frozen=True)
class Times:
    """Of one method on one clip."""

    periods_ms: list[float]  # between two paints, the clip read as fast as it can be
    latencies_ms: list[float]  # from capture to paint, the clip as a camera
    dropped: int  # frames that the camera had and nobody saw
    report: dict[str, Any] | None  # what jm-engine --report says of the run as a camera; None for a peer


def periods_ms(method: Method, clip: Clip, args: argparse.Namespace) -> list[float]:
    """Time between paints, ms, with the clip read as fast as it can be; learning is on where the method learns."""
    return _timed(method, clip, "flat out", args).periods_ms


def times(method: Method, clip: Clip, args: argparse.Namespace) -> Times:
    """Both times."""
    camera = _timed(method, clip, "camera", args)
    reported = None
    if method.name in (OURS, STILL):
        whole = report.build(camera.pipeline, "ok")
        reported = {key: whole[key] for key in REPORTED}
    return Times(periods_ms(method, clip, args), camera.latencies_ms, camera.pipeline.dropped, reported)


def _timed(method: Method, clip: Clip, pace: str, args: argparse.Namespace) -> Run:
    """One run without a sink that costs anything."""
    with method.open(lockstep=False) as painter:
        if method.learns:
            await_first_label(painter, clip.path)
        done = run(painter, clip.path, pace, min(args.timed, QUICK_TIMED) if args.quick else args.timed)
    if len(done.stamps) < 2:
        raise UsageError(f"{clip.path} is too short to be timed; expected two frames or more")
    return done


def await_first_label(masker: Masker, clip: str) -> None:
    """Paint `clip` at its own speed until the learner is there: a process of its own needs some seconds."""
    for frame in PacedSource(open_source(clip, loop=True)):
        learning = masker.stats.learning
        if learning is None or learning.calls or learning.died:
            return
        masker(frame.bgr)
