"""jm-bench leak: how much of the real room each method lets out. Nobody else in the field measures that.

People with their mattes are pasted into rooms (`benchmarks.harness.truth`), so what is room is known exactly. Every
method paints the same frames, in lockstep, with a plain background; beside what it shows of the room stands what it
loses of the person, so that nobody wins by erasing. The exit code is 1 where ours, learning, shows more than MAX_SHOWN
of the room on any frame, or where a poster on the wall can be read in anything that ours painted.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from engine import Masker
from engine.contracts import PaintResult
from engine.errors import UsageError
from engine.sources import open_source

from .harness import labels, manifest, methods, sheets, truth
from .harness.cutouts import Data
from .harness.evaluation import REFERENCE, kept_teacher
from .harness.labels import KeptTeacher, registered
from .harness.leaks import TRUE_MARGIN, Attack, Leaks, Reader, certain, regions
from .harness.methods import BACKGROUND, OURS, STILL, Method, PeerPainter
from .harness.progress import bar
from .harness.result import Metric, Result, Table
from .harness.scores import mean
from .lies import CERTAIN, MARGIN

PEERS = ["selfie", "selfie-landscape", "meet-full", "meet-lite", "rvm"]
QUICK_FRAMES = 8
BLURS = ("blur", "blur:0.01")  # backgrounds of ours that show the room: the default, and the weakest to be asked for
CONTROL, CAMERA = "true alpha", "the camera"
UNSEEN, TRAINED = "rooms that ours never saw", "photographs that ours was trained on"
MAX_SHOWN = 0.02  # share of the room, on any frame
KEYS = ("leak", "p99", "worst", "first second", "after cuts", "lost", "lost p99")  # of Leaks.summary


class TrueMatte:
    """A peer that is told: what it scores is the floor of a measure."""

    settings, remembers = "the matte that the clip was made with", False

    def __init__(self) -> None:
        self.alpha = np.empty((0, 0), np.float32)

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        return self.alpha


@dataclass
class Seen:
    """What one method let out of one clip."""

    leaks: Leaks = field(default_factory=Leaks)
    attack: Attack | None = None  # where the room is still
    reader: Reader | None = None  # where a poster hangs
    worst: list[np.ndarray] = field(default_factory=list)  # small: frame, true matte, picture where it shows most
    recovered: tuple[float, float] | None = None  # share of the room, SSIM


Found = dict[str, dict[str, Seen]]  # clip -> method -> what it let out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", help=f"for clips with a known truth: {Data.__doc__}")
    parser.add_argument(
        "--truth", nargs="+", metavar="NAME", choices=[c.name for c in truth.CLIPS],
        help=f"these of them alone: {', '.join(c.name for c in truth.CLIPS)}",
    )  # fmt: skip
    manifest.add_arguments(parser)
    methods.add_arguments(parser, PEERS)
    labels.add_arguments(parser)


def main(args: argparse.Namespace) -> Result:
    if args.data is None and args.clips is None:
        raise UsageError(f"nothing to measure; give --data DIR, {Data.__doc__} Or --clips DIR. {manifest.WHERE}")
    teacher, reference = (kept_teacher(name, args) for name in (args.teacher, REFERENCE))
    with registered(teacher) as name:
        taught = argparse.Namespace(**{**vars(args), "teacher": "none" if args.teacher == "none" else name})
        chosen, absent = methods.chosen(taught)
        known = made_clips(args, chosen, reference) if args.data is not None else {}
        filmed = filmed_clips(args, chosen, teacher) if args.clips is not None else {}
    groups = by_room(known) | {f"clips as they come, {args.teacher}'s labels for the truth": filmed}
    tables = [table for title, found in groups.items() for table in _leak_tables(title, found)]
    tables += [table for table in (_recovered(known), _read(known)) if table.rows]
    numbers = {
        clip: {
            name: {**seen.leaks.summary(), "recovered": seen.recovered, "worst at frame": seen.leaks.worst()}
            for name, seen in by_method.items() if seen.leaks.shown
        }
        for clip, by_method in (known | filmed).items()
    }  # fmt: skip
    shown = {f"leak-{clip}": _sheet(by_method) for clip, by_method in known.items()}
    notes = [*_notes(args), *(f"{name}: {why}" for name, why in absent.items())]
    return Result(
        "leak", tables, {"clips": numbers}, _metrics(groups), notes, sheets=shown, ok=keeps_the_room(known | filmed)
    )


def by_room(found: Found) -> dict[str, Found]:
    """Clips in two groups: whose rooms our student never saw, and whose rooms it was trained on."""
    trained = {clip.name for clip in truth.CLIPS if clip.is_trained_on}
    return {
        UNSEEN: {name: seen for name, seen in found.items() if name not in trained},
        TRAINED: {name: seen for name, seen in found.items() if name in trained},
    }


def keeps_the_room(found: Found) -> bool:
    """Whether ours, learning, shows no more than MAX_SHOWN on any frame, and nothing of ours can be read."""
    for by_method in found.values():
        if (by_method[OURS].leaks.summary()["worst"] or 0.0) > MAX_SHOWN:
            return False
        ours = [s.reader for name, s in by_method.items() if name.startswith((OURS, STILL)) and s.reader is not None]
        if any(reader.read or reader.read_in_mean() for reader in ours):
            return False
    return True


# -- painting --------------------------------------------------------------------------------------------------------


def made_clips(args: argparse.Namespace, chosen: list[Method], reference: KeptTeacher) -> Found:
    """Every clip with a known truth that is asked for."""
    names = args.truth or (truth.QUICK if args.quick else [clip.name for clip in truth.CLIPS])
    data, limit = Data(Path(args.data), reference.whole), args.frames or (QUICK_FRAMES if args.quick else truth.LONG)
    return {c.name: paint(c, data, min(limit, c.frames), chosen) for c in truth.CLIPS if c.name in names}


def paint(clip: truth.Clip, data: Data, count: int, chosen: list[Method]) -> dict[str, Seen]:
    """Everybody paints each frame of a clip in turn, and it is looked at."""
    matte = TrueMatte()
    found: dict[str, Seen] = {}
    with ExitStack() as stack:
        painters = _open(chosen, stack)
        if clip.poster:
            ours = [method for method in chosen if method.name in (OURS, STILL)]
            for blur in BLURS:
                painters |= {f"{name}, {blur}": painter for name, painter in _open(ours, stack, blur).items()}
        control = PeerPainter(matte, chosen[0].args.threads)
        for name in (CAMERA, CONTROL, *painters):
            found[name] = Seen(reader=Reader(*truth.poster()) if clip.poster else None)
        frame: truth.TruthFrame | None = None
        for frame in bar(truth.frames(clip, data, count), f"leak {clip.name}", count):
            where, matte.alpha = regions(frame.alpha), frame.alpha
            if (camera := found[CAMERA].reader) is not None:
                camera.look(frame.bgr)
            _look(found[CONTROL], clip, frame, control.process(frame.bgr), where, False)
            for name, painter in painters.items():
                _look(found[name], clip, frame, painter.process(frame.bgr), where, name.endswith(BLURS))
        if clip.is_still and frame is not None:
            plain = np.full_like(frame.room, methods.PLAIN)
            for seen in found.values():
                seen.recovered = seen.attack.found(frame.room, plain) if seen.attack is not None else None
    return found


def _open(chosen: list[Method], stack: ExitStack, background: str = BACKGROUND) -> dict[str, Masker]:
    gc.collect()  # what painted the last clip is held by cycles, and a learner is a hundred megabytes
    return {method.name: stack.enter_context(method.open(True, background)) for method in chosen}


def _look(
    seen: Seen,
    clip: truth.Clip,
    frame: truth.TruthFrame,
    painted: PaintResult,
    where: tuple[np.ndarray, np.ndarray],
    is_blurred: bool,
) -> None:
    if seen.reader is not None:
        seen.reader.look(painted.picture)
    if is_blurred:  # the matte is that of the plain background
        return
    seen.leaks.look(painted.alpha, *where, frame.is_cut)
    if seen.leaks.worst() == len(seen.leaks.shown) - 1:
        seen.worst = [sheets.small(frame.bgr), sheets.grey(frame.alpha), sheets.small(painted.picture)]
    if clip.is_still:
        seen.attack = seen.attack or Attack(frame.bgr.shape)
        seen.attack.look(painted.picture, painted.alpha, frame.room, where[0])


def filmed_clips(args: argparse.Namespace, chosen: list[Method], teacher: KeptTeacher) -> Found:
    """Clips of a manifest: nobody knows the truth of them, and the teacher's labels stand for it."""
    clips, found = manifest.chosen(args, QUICK_FRAMES), Found()
    for clip in clips.clips:
        with ExitStack() as stack:
            painters = _open(chosen, stack)
            by_method = found[clip.name] = {name: Seen() for name in painters}
            for index, bgr in enumerate(_frames(clip.path, args.frames or truth.SHORT)):
                label = teacher.whole(bgr)
                where = certain(label < CERTAIN, MARGIN), certain(label > 1 - CERTAIN, MARGIN)
                for name, painter in painters.items():
                    by_method[name].leaks.look(painter.process(bgr).alpha, *where, index in clip.cuts)
    return found


def _frames(path: str, count: int) -> Iterator[np.ndarray]:
    source = open_source(path)
    try:
        yield from (frame.bgr for frame in islice(source, count))
    finally:
        source.close()


# -- what was found --------------------------------------------------------------------------------------------------


def averages(found: Found) -> dict[str, dict[str, float | None]]:
    """method -> the mean over all clips of each number in KEYS; the worst frame is that of all of them."""
    names = [name for name, seen in next(iter(found.values()), {}).items() if seen.leaks.shown and name != CONTROL]
    total: dict[str, dict[str, float | None]] = {}
    for name in names:
        summaries = [by_method[name].leaks.summary() for by_method in found.values()]
        there = {key: [v for s in summaries if (v := s[key]) is not None] for key in KEYS}
        total[name] = {key: max(there[key], default=None) if key == "worst" else mean(there[key]) for key in KEYS}
    return total


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _leak_tables(what: str, found: Found) -> list[Table]:
    """One over all clips, and one for each of a few numbers with a line for each clip."""
    total = averages(found)
    if not total:
        return []
    rows = [(name, *map(_percent, numbers.values())) for name, numbers in total.items()]
    heads = ("room shown", "p99", "worst frame", "first second", "after cuts", "person lost", "lost, p99")
    title = f"Percent of the room that is shown, mean over {len(found)} clip(s); {what}"
    tables = [Table(title, ("method", *heads), rows, "lockstep")]
    for key, head in (("leak", "room shown"), ("worst", "room shown, worst frame"), ("lost", "person lost")):
        rows = [(clip, *(_percent(by[name].leaks.summary()[key]) for name in total)) for clip, by in found.items()]
        tables.append(Table(f"Percent of the {head}, clip by clip; {what}", ("clip", *total), rows, "lockstep"))
    return tables


def _recovered(found: Found) -> Table:
    rows = [
        (name, clip, _percent(seen.recovered[0]), seen.recovered[1])
        for clip, by_method in found.items()
        for name, seen in by_method.items()
        if seen.recovered is not None
    ]
    columns = ("method", "clip", "room recovered, %", "SSIM to the room")
    return Table("What can be put together of a still room", columns, rows, "lockstep")


def _read(found: Found) -> Table:
    rows = [
        (*_background(name), clip, seen.reader.looked, seen.reader.read, "yes" if seen.reader.read_in_mean() else "no")
        for clip, by_method in found.items()
        for name, seen in by_method.items()
        if seen.reader is not None
    ]
    columns = ("method", "background", "clip", "frames looked at", "readable", "readable in the mean of all")
    return Table("A poster on the wall of the room", columns, rows, "lockstep")


def _background(name: str) -> tuple[str, str]:
    """(method, its background) of a painter."""
    if name == CAMERA:
        return name, "the room"
    return (name, BACKGROUND) if not name.endswith(BLURS) else (name.partition(", ")[0], name.partition(", ")[2])


def _metrics(groups: dict[str, Found]) -> dict[str, Metric]:
    metrics = {}
    for group, found in groups.items():
        for name, numbers in averages(found).items():
            for key, what in (("leak", "room shown"), ("worst", "room shown, worst frame"), ("lost", "person lost")):
                if (share := numbers[key]) is not None:
                    metrics[f"{name}: {what}; {group}"] = Metric([100 * share], "lower", "%")
            recovered = [r for by_method in found.values() if (r := by_method[name].recovered) is not None]
            if recovered:
                share = float(np.mean([share for share, _ in recovered]))
                metrics[f"{name}: room recovered; {group}"] = Metric([100 * share], "lower", "%")
    return metrics


def _sheet(by_method: dict[str, Seen]) -> np.ndarray:
    """The frame, the true matte and the picture where each method shows most."""
    painted = {name: seen for name, seen in by_method.items() if seen.worst and name != CONTROL}
    return sheets.stacked({f"{n}\n{100 * np.nanmax(s.leaks.shown):.1f}%": s.worst for n, s in painted.items()})


def _notes(args: argparse.Namespace) -> list[str]:
    return [
        f"{UNSEEN.capitalize()}: those of clips, whose people were taken out with labels of {REFERENCE}; what the "
        f"others were trained on is not published. {TRAINED.capitalize()}: people were pasted into the same pictures, "
        "and what it says there flatters it. The portraits are of the held-back part of the set it was trained on.",
        "Room shown: the sum of alpha where there is certainly room, over the size of that. Certainly: the true alpha "
        f"is 0 and nothing else within {TRUE_MARGIN} pixels; where labels of {args.teacher} stand for the truth, they "
        f"are below {CERTAIN:g}, and nothing else within {MARGIN}. p99 and worst frame: over the frames of a clip, "
        "then the mean and the largest over all. First second: 25 frames. After cuts: the 50 frames from each cut to "
        "another room and person. Person lost: the share of what is certainly the person that is not painted, lest "
        "somebody wins by erasing.",
        "Recovered: of each pixel the painted colour that comes nearest to the room's own, out of all frames where "
        "alpha is 13 of 255 or more; counted where it is within 12 grey levels in every channel, of what is room in "
        "some frame. No attacker can choose so well, and a person who looks like the room counts: "
        f"{CONTROL} says how much that is.",
        f"Readable: the code or the text of the poster, by a reader that knows where it hangs, in every fifth "
        f"frame, and in the mean of all. {CAMERA}: what nobody painted.",
    ]
