"""jm-bench davis: a camera that moves. DAVIS sequences in a loop, learning and not, against the masks that people drew.

A mask holds the rider and what is ridden, which no teacher of people marks as a person: the teacher's own score stands
beside. Where a sequence shows an animal or a car, nobody is to be painted, and the teacher's labels are the truth.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from engine import Masker
from engine.errors import UsageError
from training.online.score import iou, iou_acc

from .harness import labels, methods
from .harness.datasets import DATASETS
from .harness.evaluation import kept_teacher
from .harness.labels import KeptTeacher, registered
from .harness.methods import OURS, STILL
from .harness.progress import bar
from .harness.result import Metric, Result, Table

NO_PERSON = (
    "blackswan", "camel", "car-roundabout", "car-shadow", "cows", "dog", "drift-chicane", "drift-straight", "goat",
    "libby",
)  # fmt: skip
LAST_PASS = {"dance-twirl": 0.78, "parkour": 0.89, "paragliding-launch": 0.60}  # goals: IoU to be reached
FIRST_PASS = {"parkour": 0.80}
MAX_LOSS = 0.01  # IoU; learning may be so much worse than not learning, in any pass
QUICK_FRAMES, QUICK_PASSES = 12, 2


@dataclass(frozen=True)
class Sequence:
    """One sequence: pictures uint8 (H, W, 3) BGR and masks bool (H, W)."""

    name: str
    pictures: list[np.ndarray]
    masks: list[np.ndarray]

    @property
    def has_person(self) -> bool:
        return self.name not in NO_PERSON


@dataclass
class Found:
    """Of one sequence; scores are means over its frames."""

    frames: int
    has_person: bool
    still: float  # not learning
    teacher: float  # its own labels
    passes: list[float] = field(default_factory=list)  # learning
    counts: dict[str, int] = field(default_factory=dict)  # of the learner, over all passes

    @property
    def difference(self) -> float:
        """Of the worst pass to not learning."""
        return min(self.passes) - self.still

    @property
    def teachable(self) -> bool:
        """Whether the teacher is no worse than not learning: where it is, learning means getting worse."""
        return self.teacher >= self.still


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clips", required=True, metavar="DIR", help="DAVIS 2016 in its official layout")
    parser.add_argument("--sequences", metavar="A,B", help="these and no other; default: all that are there")
    parser.add_argument("--passes", type=int, default=3, help="over each sequence, one after the other; default: 3")
    methods.add_arguments(parser)
    labels.add_arguments(parser)


def main(args: argparse.Namespace) -> Result:
    names = sequence_names(Path(args.clips), args.sequences.split(",") if args.sequences else None)
    if args.quick:
        names, args.passes = names[:1], min(args.passes, QUICK_PASSES)
    teacher = kept_teacher(args.teacher, args)
    found = {}
    with registered(teacher) as name:
        taught = argparse.Namespace(**{**vars(args), "teacher": name})
        for sequence in bar(names, "davis"):
            read_in = read(Path(args.clips), sequence, QUICK_FRAMES if args.quick else None)
            found[sequence] = measure(read_in, teacher, taught)
    worst = _worst(found)
    metrics = {what: Metric([found[name].difference], "higher", "IoU") for what, name in worst.items()}
    metrics |= {f"{name}, last pass": Metric([f.passes[-1]], "higher", "IoU") for name, f in found.items()}
    numbers = {name: vars(f) | {"difference": f.difference} for name, f in found.items()}
    tables = [_table(found, args), Table("Goals", ("what", "goal", "found", "reached"), goals(found), "lockstep")]
    return Result("davis", tables, {"sequences": numbers, "worst": worst}, metrics, [_note(args)])


def sequence_names(folder: Path, wanted: list[str] | None) -> list[str]:
    """Sequences of DAVIS in `folder`, those with people first; UsageError where one that is wanted is not there."""
    known = DATASETS["davis"]
    pictures = folder / "JPEGImages" / "480p"
    there = sorted(path.name for path in pictures.iterdir()) if pictures.is_dir() else []
    if not there:
        raise UsageError(f"no sequences in {folder}; expected {known.layout}. {known.title} is had at {known.where}")
    missing = sorted(set(wanted or ()) - set(there))
    if missing:
        raise UsageError(f"no sequence {missing[0]!r} in {folder}; choose of {', '.join(there)}")
    return sorted(wanted or there, key=lambda name: (name in NO_PERSON, name))


def read(folder: Path, name: str, frames: int | None) -> Sequence:
    """A sequence, or its first `frames`."""
    paths = sorted((folder / "JPEGImages" / "480p" / name).glob("*.jpg"))[:frames]
    masks = [folder / "Annotations" / "480p" / name / f"{path.stem}.png" for path in paths]
    pictures = [_read(path, cv2.IMREAD_COLOR) for path in paths]
    return Sequence(name, pictures, [_read(path, cv2.IMREAD_GRAYSCALE) > 127 for path in masks])


def _read(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise UsageError(f"cannot read {path}; expected {DATASETS['davis'].layout}")
    return image


def measure(sequence: Sequence, teacher: KeptTeacher, args: argparse.Namespace) -> Found:
    """Not learning once, for nothing changes from pass to pass; learning `args.passes` times without a new start."""
    score = iou if sequence.has_person else iou_acc
    own = [teacher.whole(bgr) > 0.5 for bgr in sequence.pictures]
    truth = sequence.masks if sequence.has_person else own

    def one_pass(masker: Masker) -> float:
        return float(np.mean([score(t, masker.alpha(bgr)) for t, bgr in zip(truth, sequence.pictures, strict=True)]))

    with methods.Method(STILL, args).open(lockstep=True) as masker:
        still = one_pass(masker)
    teachers = float(np.mean([score(t, label) for t, label in zip(truth, own, strict=True)]))
    found = Found(len(own), sequence.has_person, still, teachers)
    with methods.Method(OURS, args).open(lockstep=True) as masker:
        found.passes = [one_pass(masker) for _ in range(args.passes)]
        learning = masker.stats.learning
    assert learning is not None
    found.counts = {key: getattr(learning, key) for key in ("steps", "calls", "rollbacks", "refused")}
    return found


def goals(found: dict[str, Found]) -> list[tuple]:
    """(what, the goal, what was found, whether it is reached) for what can be said of the sequences that were run."""
    rows: list[tuple[str, float, float]] = []
    for which, least, place in (("first", FIRST_PASS, 0), ("last", LAST_PASS, -1)):
        rows += [(f"{n}, {which} pass", least[n], found[n].passes[place]) for n in least if n in found]
    rows += [(f"{what} ({name})", -MAX_LOSS, found[name].difference) for what, name in _worst(found).items()]
    if people := {name: f.counts["steps"] for name, f in found.items() if f.has_person}:
        idlest = min(people, key=lambda name: people[name])
        rows.append((f"fewest steps where there is a person ({idlest})", 1, people[idlest]))
    return [(what, goal, value, "yes" if value >= goal else "NO") for what, goal, value in rows]


def _worst(found: dict[str, Found]) -> dict[str, str]:
    """The sequence with the worst difference to not learning, of all and of those where the teacher is no worse."""
    teachable = {name: f for name, f in found.items() if f.teachable}
    chosen = {"worst difference to not learning": found, "the same where the teacher is no worse": teachable}
    return {
        what: min(several, key=lambda name: several[name].difference) for what, several in chosen.items() if several
    }


def _table(found: dict[str, Found], args: argparse.Namespace) -> Table:
    passes = [f"pass {i + 1}" for i in range(args.passes)]
    columns = ["sequence", "frames", "truth", "the teacher", STILL, *passes, "worst difference"]
    columns += ["steps", "labels", "rollbacks", "refused"]
    rows = [
        (
            name, f.frames, "people's masks" if f.has_person else "the teacher", f.teacher, f.still, *f.passes,
            f.difference, *f.counts.values(),
        )
        for name, f in found.items()
    ]  # fmt: skip
    return Table(f"IoU on DAVIS 2016, {len(found)} sequence(s) in a loop", columns, rows, "lockstep")


def _note(args: argparse.Namespace) -> str:
    return (
        f"Taught by {args.teacher}, recipe {args.recipe}. Where a sequence shows no person, IoU-Acc against the "
        "teacher. Passes follow one another without a new start; steps, labels, rollbacks and refused labels are of "
        "all of them."
    )
