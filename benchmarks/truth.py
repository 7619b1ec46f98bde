"""jm-bench truth: how good everybody's alpha is against a matte that is true, and not against a teacher's label.

Made clips (`benchmarks.harness.truth`): people with known mattes in rooms; and, of DAVIS, sequences whose masks hold
people alone. Ours, learning and not, the peers and the teacher's own label of each frame, on the same frames in one
run. All in lockstep: ours learns for the first time, one operation after each frame.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine import Masker
from engine.contracts import PaintResult
from engine.errors import UsageError

from . import davis
from .harness import labels, methods, sheets
from .harness.cutouts import Data
from .harness.evaluation import REFERENCE, kept_teacher
from .harness.labels import KeptTeacher, registered
from .harness.leaks import TRUE_MARGIN, regions
from .harness.methods import OURS, STILL, Method, PeerPainter
from .harness.progress import bar
from .harness.result import Metric, Result, Table
from .harness.true_scores import MEASURES, ON_MASKS, PRESENT, TrueScores, averages, verdict
from .harness.truth import CLIPS, MORE, Clip, TruthFrame, frames

PEERS = ["selfie", "selfie-landscape", "meet-full", "meet-lite", "sinet", "rvm", "u2netp"]
FRAMES, QUICK_FRAMES = 200, 8  # of each clip
QUICK = ("desk", "several")
PEOPLE = ("dance-twirl", "parkour", "paragliding-launch")  # sequences whose masks hold people, and no horse or bike
DRAWN_MARGIN = 4  # px; people who draw a mask are no more exact at its edge
AGAIN = f"{OURS}, second pass"
ALL, UNSEEN, DAVIS = "made clips", "made clips in rooms that ours never saw", "DAVIS"
SHOWN = ("iou", "mad")  # clip by clip


@dataclass
class Found:
    """Of one clip or sequence."""

    scores: dict[str, TrueScores] = field(default_factory=dict)  # by painter
    person: list[float] = field(default_factory=list)  # share of each frame that is person
    worst: int = 0  # the frame on which ours, learning, is farthest from the truth
    rows: dict[str, list[np.ndarray]] = field(default_factory=dict)  # of the sheet: that frame


class Labels:
    """The teacher as a peer: its label of each frame, by itself."""

    settings, remembers = "each frame alone", False

    def __init__(self, teacher: KeptTeacher):
        self._teacher = teacher

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        return self._teacher.whole(bgr)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = [clip.name for clip in (*CLIPS, *MORE)]
    parser.add_argument("--data", metavar="DIR", help=f"for clips with a known truth: {Data.__doc__}")
    parser.add_argument(
        "--truth", "--only", nargs="+", metavar="NAME", choices=names, help=f"these of them alone: {', '.join(names)}"
    )
    parser.add_argument("--davis", metavar="DIR", help=f"DAVIS 2016 in its official layout, for {', '.join(PEOPLE)}")
    parser.add_argument("--frames", type=int, help=f"the first of each clip; default: {FRAMES}, of DAVIS all")
    methods.add_arguments(parser, PEERS)
    labels.add_arguments(parser)


def main(args: argparse.Namespace) -> Result:
    if args.data is None and args.davis is None:
        raise UsageError(f"nothing to measure; give --data DIR, {Data.__doc__} Or --davis DIR, DAVIS 2016")
    teacher, reference = (kept_teacher(name, args) for name in (args.teacher, REFERENCE))
    with registered(teacher) as name:
        is_taught = args.teacher != "none"
        chosen, absent = methods.chosen(argparse.Namespace(**{**vars(args), "teacher": name if is_taught else "none"}))
        cast = Cast(chosen, teacher if is_taught else None, args)
        made = made_clips(args, cast, reference) if args.data is not None else {}
        drawn = davis_sequences(args, cast) if args.davis is not None else {}
    trained = {clip.name for clip in CLIPS if clip.is_trained_on}
    unseen = {name: found for name, found in made.items() if name not in trained} if trained & made.keys() else {}
    groups = {title: found for title, found in ((ALL, made), (UNSEEN, unseen), (DAVIS, drawn)) if found}
    tables = [table for title, found in groups.items() for table in _tables(title, found, cast.rivals())]
    if made:
        tables.append(_what_is_what(made))
    every = made | drawn
    return Result(
        "truth",
        tables,
        {"clips": {name: _numbers(found) for name, found in every.items()}},
        _metrics(groups),
        [*_notes(args), *(f"{name}: {why}" for name, why in absent.items())],
        sheets={f"truth-{name}": sheets.stacked(found.rows) for name, found in every.items()},
    )


# -- painting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cast:
    """Everybody who paints."""

    chosen: list[Method]
    teacher: KeptTeacher | None
    args: argparse.Namespace

    def rivals(self) -> list[str]:
        """All but ours, by name: the peers, and the teacher."""
        peers = [method.name for method in self.chosen if method.name not in (OURS, STILL)]
        return [*peers, self._teacher_name] if self.teacher is not None else peers

    @property
    def _teacher_name(self) -> str:
        return f"{self.args.teacher}, each frame alone"

    @contextmanager
    def painters(self) -> Iterator[dict[str, Masker | PeerPainter]]:
        """New ones, who remember nothing, by name."""
        gc.collect()  # what painted the last clip is held by cycles, and a learner is a hundred megabytes
        with ExitStack() as stack:
            painters: dict[str, Masker | PeerPainter] = {m.name: stack.enter_context(m.open(True)) for m in self.chosen}
            if self.teacher is not None:
                painters[self._teacher_name] = PeerPainter(Labels(self.teacher), self.args.threads)
            yield painters


def made_clips(args: argparse.Namespace, cast: Cast, reference: KeptTeacher) -> dict[str, Found]:
    """Every clip with a known truth that is asked for."""
    every = (*CLIPS, *MORE)
    names = args.truth or (QUICK if args.quick else [clip.name for clip in every])
    data, limit = Data(Path(args.data), reference.whole), args.frames or (QUICK_FRAMES if args.quick else FRAMES)
    found = {}
    for clip in (clip for clip in every if clip.name in names):
        found[clip.name] = Found()
        with cast.painters() as painters:
            shown = bar(frames(clip, data, min(limit, clip.frames)), f"truth {clip.name}", min(limit, clip.frames))
            paint(found[clip.name], shown, painters, MEASURES, TRUE_MARGIN)
    return found


def davis_sequences(args: argparse.Namespace, cast: Cast) -> dict[str, Found]:
    """Those of PEOPLE that are there; ours, learning, goes over each a second time, without a new start."""
    folder, limit = Path(args.davis), args.frames or (QUICK_FRAMES if args.quick else None)
    there = [name for name in davis.sequence_names(folder, None) if name in PEOPLE]
    if not there:
        raise UsageError(
            f"none of {', '.join(PEOPLE)} is in {folder}; the masks of no other sequence hold people alone"
        )
    found = {}
    for name in there[: 1 if args.quick else None]:
        sequence, found[name] = davis.read(folder, name, limit), Found()
        drawn = [
            TruthFrame(bgr, mask.astype(np.float32), bgr, is_cut=False)
            for bgr, mask in zip(sequence.pictures, sequence.masks, strict=True)
        ]
        with cast.painters() as painters:
            paint(found[name], bar(drawn, f"truth {name}"), painters, ON_MASKS, DRAWN_MARGIN)
            again = Found()
            paint(again, bar(drawn, f"again {name}"), {OURS: painters[OURS]}, ON_MASKS, DRAWN_MARGIN)
        found[name].scores[AGAIN] = again.scores[OURS]
    return found


def paint(
    found: Found,
    shown: Iterable[TruthFrame],
    painters: Mapping[str, Masker | PeerPainter],
    measures: Collection[str],
    margin: int,
) -> None:
    """Everybody paints each frame in turn, and is scored; `found` is filled."""
    found.scores = {name: TrueScores(measures) for name in painters}
    for index, frame in enumerate(shown):
        where, painted = regions(frame.alpha, margin), {}
        true = np.rint(255 * frame.alpha).astype(np.float32) / 255  # in steps as alpha is painted, or .5 would be two
        for name, painter in painters.items():
            painted[name] = painter.process(frame.bgr)
            found.scores[name].look(painted[name].alpha, true, where, frame.is_cut)
        found.person.append(float((frame.alpha > 0.5).mean()))
        if found.scores[OURS].is_worst():
            found.worst, found.rows = index, _rows(index, frame, painted, found.scores)


def _rows(
    index: int, frame: TruthFrame, painted: dict[str, PaintResult], scores: dict[str, TrueScores]
) -> dict[str, list[np.ndarray]]:
    """Of a sheet: the frame and its truth, then each painter's alpha and picture."""
    rows = {f"frame {index}": [sheets.small(frame.bgr), sheets.grey(frame.alpha)]}
    for name, result in painted.items():
        title = name.replace(", ", ",\n") + f"\nMAD {scores[name].values['mad'][-1]:.1f}"
        rows[title] = [sheets.grey(result.alpha.astype(np.float32) / 255), sheets.small(result.picture)]
    return rows


# -- what was found --------------------------------------------------------------------------------------------------


def _tables(title: str, found: dict[str, Found], rivals: Collection[str]) -> list[Table]:
    means = averages([one.scores for one in found.values()])
    heads = [MEASURES[key].head for key in means[OURS]]
    count = f"{len(found)} clip(s)"
    tables = [
        Table(
            f"{title}: mean over {count}", ("method", *heads), [(n, *m.values()) for n, m in means.items()], "lockstep"
        ),
        Table(
            f"{title}: whether ours, learning, is ahead of every peer and of the teacher",
            ("measure", OURS, "best of the others", "its number", "ahead"), verdict(means, OURS, rivals), "lockstep",
        ),
    ]  # fmt: skip
    if title == UNSEEN:
        return tables
    for key in SHOWN:
        rows = [(clip, *(one.scores[name].means()[key] for name in means)) for clip, one in found.items()]
        tables.append(Table(f"{title}: {MEASURES[key].head}, clip by clip", ("clip", *means), rows, "lockstep"))
    return tables


def _what_is_what(made: dict[str, Found]) -> Table:
    columns = ("clip", "people", "camera", "sensor", "room", "cuts", "frames", "person, % of the frame")
    rows = [
        (
            clip.name, _people(clip), ", ".join(dict.fromkeys(scene.camera for scene in clip.scenes)), _sensor(clip),
            "trained on" if clip.is_trained_on else "never seen", len(clip.scenes) - 1, len(made[clip.name].person),
            100 * float(np.mean(made[clip.name].person)),
        )
        for clip in (*CLIPS, *MORE) if clip.name in made
    ]  # fmt: skip
    return Table("What the made clips are", columns, rows, None)


def _people(clip: Clip) -> str:
    cast = [((scene.person, scene.path), *scene.others) for scene in clip.scenes]
    kinds = ["dancer" if who.startswith("dancer") else "portrait" for people in cast for who, _ in people]
    told = f"{max(map(len, cast))} at once: " if max(map(len, cast)) > 1 else ""
    moves = dict.fromkeys(f"{kind} ({path})" for kind, (_, path) in zip(kinds, sum(cast, ()), strict=True))
    return told + ", ".join(moves)


def _sensor(clip: Clip) -> str:
    told = [f"noise {clip.noise:g}"] * bool(clip.noise) + [f"JPEG {clip.jpeg}"] * (clip.jpeg is not None)
    return ", ".join(told + [f"exposure ± {clip.drift / 2:g} stops"] * bool(clip.drift)) or "clean"


def _numbers(found: Found) -> dict[str, object]:
    """For programs."""
    return {
        "frames": len(found.person),
        "person": round(float(np.mean(found.person)), 5),
        "worst frame": found.worst,
        "methods": {name: scores.means() for name, scores in found.scores.items()},
    }


def _metrics(groups: dict[str, dict[str, Found]]) -> dict[str, Metric]:
    return {
        f"{name}: {MEASURES[key].title}; {title}": Metric([value], MEASURES[key].better, MEASURES[key].unit)
        for title, found in groups.items()
        for name, means in averages([one.scores for one in found.values()]).items()
        for key, value in means.items()
        if value is not None
    }


def _notes(args: argparse.Namespace) -> list[str]:
    return [
        f"Taught by {args.teacher}, recipe {args.recipe}; ours learns while it paints, and the frames before it knew "
        f"better count. {AGAIN}: over the same frames again, without a new start; no rival to itself. Peers and "
        "teacher paint each frame before the next one comes, as ours does: no number here says what is late live.",
        f"IoU at .5 and boundary F (2 pixels at 480 lines): on frames with a person, that is {100 * PRESENT:g} % of "
        "the frame or more. MAD: mean absolute difference of alpha. Gradient, connectivity error: sums in thousands, "
        "Rhemann et al. 2009. dtSSD: root of the mean squared difference of the changes from frame to frame, Erofeev "
        "et al. 2015, times 100, mean over the frames. Room shown, person lost: sum of alpha over what certainly is "
        f"room, and what is missing of what certainly is a person, {TRUE_MARGIN} pixels from the edge ({DRAWN_MARGIN} "
        "where people drew the mask). Means over frames, then over clips, each counting once.",
        f"{UNSEEN.capitalize()}: those of clips, whose people were taken out with labels of {REFERENCE}; what the "
        "others were trained on is not published. In the other rooms ours was trained, and what it says there "
        "flatters it.",
        f"DAVIS: {', '.join(PEOPLE)}. The masks of the others hold a horse, a bike or a kart with its rider, which no "
        "matte of people has, or no person. Nor are these exact: the spectators behind dance-twirl are in no mask, and "
        "the lines of the glider are. Masks have no half tones: no gradient, no connectivity.",
    ]
