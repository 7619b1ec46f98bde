"""jm-bench lies: what a teacher that lies can do, and whether honest ones are believed.

Each lie is told for ever, once at first, and once later; by a teacher in this process and by a real jm-teacher on this
machine. What counts is the room: pixels that are certainly not a person, and how much of them any frame shows. Beside
it stands what the student shows that never learns, on the same frames. In lockstep. The exit code is 1 where a lie
shows more than MAX_SHOWN of the room beyond that.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from engine import Masker
from engine.errors import BackendUnavailable
from engine.sources import open_source
from engine.teacher_options import TeacherOptions
from training.online.plausibility import MAX_REFUSALS
from training.online.score import SMALL_PERSON, iou
from training.teachers import load
from training.teachers.deadline import DEADLINE

from . import davis
from .harness import labels, manifest, methods
from .harness.labels import KeptTeacher, registered
from .harness.leaks import certain
from .harness.liar import HONEST, LIES, WHEN, Liar, served
from .harness.manifest import Clip
from .harness.methods import OURS, STILL
from .harness.progress import counter
from .harness.result import Metric, Result, Table, reason

FRAMES, QUICK_FRAMES = 90, 24  # of each lie
QUICK_LIES, QUICK_WHEN = ("ones", "zeros"), ("for ever", "the first")
CERTAIN, MARGIN = 0.05, 8  # alpha below which, and pixels from anything above it, there is only room
AT_THE_END = 20  # frames
MAX_SHOWN = 0.02  # share of the room that a lie may show beyond what not learning shows
ROUTES = ("local", "remote")
SHOWN = "room shown by a lie beyond not learning"


@dataclass(frozen=True)
class Stretch:
    """Frames of one clip, uint8 (H, W, 3), and what the honest teacher says of them, float32 (H, W)."""

    clip: str
    frames: list[np.ndarray]
    labels: list[np.ndarray]
    rooms: list[np.ndarray]  # bool (H, W): certainly room


@dataclass(frozen=True)
class Seen:
    """What was painted on one stretch; one number for each frame."""

    shown: list[float]  # share of the room
    iou: list[float]  # against the honest label; NaN where it sees nobody
    calls: list[int]  # labels asked for so far
    refused: int = 0
    steps: int = 0

    @property
    def left(self) -> bool:
        """Whether the teacher was left: a label that is refused is asked for again at once, until it is given up."""
        return self.refused >= MAX_REFUSALS and self.calls[-1] == self.calls[-min(len(self.calls), MAX_REFUSALS)]

    def at_the_end(self) -> float | None:
        """Mean IoU of the last frames; None where nobody was there."""
        scores = [score for score in self.iou[-AT_THE_END:] if not np.isnan(score)]
        return float(np.mean(scores)) if scores else None

    def lowest(self) -> float | None:
        scores = [score for score in self.iou if not np.isnan(score)]
        return min(scores) if scores else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    parser.add_argument("--davis", metavar="DIR", help="DAVIS 2016, for honest labels that are refused")
    parser.add_argument("--lie-frames", type=int, help=f"of each lie; default: {FRAMES}")
    parser.add_argument("--lies", nargs="*", choices=list(LIES), help="these alone; default: all")
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=list(ROUTES), help="default: both")
    parser.add_argument("--no-honest", action="store_true", help="leave out the honest labels of whole clips")
    methods.add_arguments(parser)
    labels.add_arguments(parser)


def main(args: argparse.Namespace) -> Result:
    clips = manifest.chosen(args, QUICK_FRAMES)
    honest = KeptTeacher(lambda: load(args.teacher, args.threads), args.labels)
    frames = args.lie_frames or (QUICK_FRAMES if args.quick else FRAMES)
    rows, notes = [], []
    for clip, start in stretches(clips.clips, frames):
        stretch = cut_out(clip, start, frames, honest)
        with methods.Method(STILL, args).open(lockstep=True) as masker:
            still = watch(masker, stretch)
        for route, lie, when in trials(args):
            try:
                with teaching(route, lie, when, honest, args) as masker:
                    seen = watch(masker, stretch)
            except BackendUnavailable as error:
                notes.append(f"{route}, {lie}: {reason(error)}")
                continue
            rows.append(_row(stretch.clip, route, lie, when, seen, still))
    tables = [Table(f"Lies, {frames} frames each; {clips.title}", COLUMNS, rows, "lockstep")]
    metrics = _metrics(rows)
    shown = metrics[SHOWN].values[0]
    if not args.no_honest:
        believed = honest_labels(clips.clips, honest, args)
        columns = ("clip", "frames", "labels", "refused", "teacher left")
        tables.append(Table(f"Honest labels; {clips.title}", columns, believed, "lockstep"))
        metrics["honest labels refused"] = Metric([sum(row[3] for row in believed)], "lower", "labels")
    numbers = {"lies": [dict(zip(COLUMNS, row, strict=True)) for row in rows]}
    return Result("lies", tables, numbers, metrics, [_note(args), *notes], ok=shown <= MAX_SHOWN)


# -- lies ----------------------------------------------------------------------------------------------------------


def trials(args: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """(route, lie, when) of every run on one stretch; the honest control first on each route."""
    chosen = args.lies if args.lies is not None else QUICK_LIES if args.quick else list(LIES)
    for route in args.routes:
        yield route, HONEST, "for ever"
        for lie in chosen:
            for when in QUICK_WHEN if args.quick else WHEN:
                if not (args.quick and route == "remote" and (lie, when) != (chosen[0], "for ever")):
                    yield route, lie, when


def stretches(clips: list[Clip], frames: int) -> list[tuple[Clip, int]]:
    """(clip, its first frame) of the stretches on which lies are told: the first clip from its start, and where
    somebody comes, the first change of scene a third into the stretch.
    """
    chosen = [(clips[0], 0)]
    coming = next((c for c in clips if c.changes), None) or next((c for c in clips if c.cuts), None)
    if coming is not None:
        moment = (coming.changes or coming.cuts)[0]
        chosen.append((coming, max(0, moment - frames // 3)))
    return chosen


def cut_out(clip: Clip, start: int, frames: int, honest: KeptTeacher) -> Stretch:
    source = open_source(clip.path)
    pictures = [frame.bgr for frame in islice(source, start, start + frames)]
    source.close()
    said = [honest.whole(bgr) for bgr in pictures]
    return Stretch(clip.name, pictures, said, [certain(label < CERTAIN, MARGIN) for label in said])


def teaching(
    route: str, lie: str, when: str, honest: KeptTeacher, args: argparse.Namespace
) -> AbstractContextManager[Masker]:
    """A masker that is taught by a liar."""
    return _local(lie, when, honest, args) if route == "local" else _remote(lie, when, args)


@contextmanager
def _local(lie: str, when: str, honest: KeptTeacher, args: argparse.Namespace) -> Iterator[Masker]:
    with registered(Liar(honest, lie, when)) as name, _masker(name, args) as masker:
        yield masker


@contextmanager
def _remote(lie: str, when: str, args: argparse.Namespace) -> Iterator[Masker]:
    with (
        served(args.teacher, args.labels, lie, when) as url,
        _masker(TeacherOptions(url, deadline=DEADLINE), args) as masker,
    ):
        yield masker


def _masker(teacher: str | TeacherOptions, args: argparse.Namespace) -> Masker:
    return methods.Method(OURS, argparse.Namespace(**{**vars(args), "teacher": teacher})).open(lockstep=True)


def watch(masker: Masker, stretch: Stretch) -> Seen:
    seen = Seen([], [], [])
    for bgr, label, room in zip(stretch.frames, stretch.labels, stretch.rooms, strict=True):
        alpha = masker.alpha(bgr)
        seen.shown.append(float(alpha[room].mean()) if room.any() else 0.0)
        seen.iou.append(iou(label, alpha) if (label > 0.5).mean() >= SMALL_PERSON else np.nan)
        learning = masker.stats.learning
        seen.calls.append(learning.calls if learning is not None else 0)
    return Seen(seen.shown, seen.iou, seen.calls, learning.refused, learning.steps) if learning is not None else seen


# -- what was found ------------------------------------------------------------------------------------------------

COLUMNS = (
    "clip", "route", "lie", "when", "room shown, worst frame", f"{STILL}: worst", "beyond it, same frame",
    "lowest IoU", f"{STILL}: lowest", "IoU at the end", f"{STILL}: at the end", "labels", "refused", "teacher left",
    "steps",
)  # fmt: skip


def _row(clip: str, route: str, lie: str, when: str, seen: Seen, still: Seen) -> tuple:
    beyond = max(a - b for a, b in zip(seen.shown, still.shown, strict=True))
    return (
        clip, route, lie, "" if lie == HONEST else when, max(seen.shown), max(still.shown), beyond,
        seen.lowest(), still.lowest(), seen.at_the_end(), still.at_the_end(), seen.calls[-1], seen.refused,
        "yes" if seen.left else "no", seen.steps,
    )  # fmt: skip


def _metrics(rows: list[tuple]) -> dict[str, Metric]:
    told = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    lies = [row for row in told if row["lie"] != HONEST]
    lost = [row[f"{STILL}: at the end"] - row["IoU at the end"] for row in lies if row["IoU at the end"] is not None]
    shown = [row["beyond it, same frame"] for row in lies]
    return {
        SHOWN: Metric([max(shown, default=0.0)], "lower", "share"),
        "IoU lost to a lie at the end": Metric([max(lost, default=0.0)], "lower", "IoU"),
    }


def honest_labels(clips: list[Clip], honest: KeptTeacher, args: argparse.Namespace) -> list[tuple]:
    """(clip, frames, labels, refused, whether the teacher was left) of each clip, and each sequence of DAVIS, whole."""
    rows = []
    with registered(honest) as name:
        for clip in clips:
            source = open_source(clip.path)
            rows.append(_believed(clip.name, (f.bgr for f in islice(source, args.frames)), name, args))
            source.close()
        for sequence in davis.sequence_names(Path(args.davis), None) if args.davis else ():
            pictures = davis.read(Path(args.davis), sequence, args.frames).pictures
            rows.append(_believed(sequence, iter(pictures), name, args))
    return rows


def _believed(title: str, frames: Iterator[np.ndarray], teacher: str, args: argparse.Namespace) -> tuple:
    calls = []
    with _masker(teacher, args) as masker, counter(f"honest: {title}") as progress:
        for bgr in frames:
            masker.process(bgr)
            assert masker.stats.learning is not None
            calls.append(masker.stats.learning.calls)
            progress.update()
    learning = masker.stats.learning
    assert learning is not None
    seen = Seen([], [], calls, learning.refused, learning.steps)
    return title, len(calls), calls[-1], learning.refused, "yes" if seen.left else "no"


def _note(args: argparse.Namespace) -> str:
    return (
        f"Room: where the honest label, of {args.teacher}, is below {CERTAIN:g}, {MARGIN} pixels from anything above; "
        f"shown: the mean of alpha there. A lie may show {MAX_SHOWN:.0%} of it beyond not learning. IoU against the "
        f"honest label where it sees somebody, at the end over {AT_THE_END} frames. Labels that say nobody can hide "
        "the person and never show the room."
    )
