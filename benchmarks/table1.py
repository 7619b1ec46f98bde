"""jm-bench table1: the paper's Table 1, IoU of the teachers against masks that people drew.

A teacher that is not there is a row that says how to get it. DAVIS's masks hold whatever moves, a goat or a car too; so
its sequences with people alone are also scored by themselves, which is fair to teachers of people.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engine.errors import BackendUnavailable, ModelError
from training.datasets import Sample
from training.online.score import iou
from training.teachers import TEACHERS, Teacher, load

from .harness.datasets import DATASETS, open_dataset
from .harness.progress import bar
from .harness.result import Metric, Result, Table, reason

PAPER = {  # IoU on DAVIS 2016 and on Supervisely Person; Table 1
    "mrcnn50": {"davis": 0.698, "supervisely": 0.836},
    "u2net": {"davis": 0.742, "supervisely": 0.721},
    "u2netp": {"davis": 0.732, "supervisely": 0.680},
}
QUICK_SAMPLES = 8  # of each dataset
SALIENT = ("u2net", "u2netp")  # teachers of what stands out, whatever it is; the others find people
OF_PEOPLE = {f"davis {name}" for name in ("dance-twirl", "parkour", "paragliding-launch")}  # groups
TRUTH = (
    "DAVIS's masks are of the salient object: animals, cars, a rider with the horse. A teacher of people cannot find "
    "those; the column of sequences with people alone leaves them out. The paper's number is over all twenty sequences."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--davis", metavar="DIR", help="DAVIS 2016 in its official layout")
    parser.add_argument("--supervisely", metavar="DIR", help="Supervisely Person in its official layout")
    parser.add_argument("--masks", nargs="*", default=[], metavar="DIR", help="folders with images/ and masks/")
    parser.add_argument("--teachers", nargs="+", metavar="NAME", help="default: the paper's and every registered one")
    parser.add_argument("--every", type=int, default=1, help="take every so many-th picture of DAVIS and Supervisely")


def main(args: argparse.Namespace) -> Result:
    datasets, notes = _datasets(args)
    names = args.teachers or list(dict.fromkeys([*PAPER, *TEACHERS]))
    rows, metrics = [], {}
    numbers: dict[str, dict[str, float]] = {}
    for name in names:
        teacher = _teacher(name, args.threads)
        cells: list[object] = [name, "what stands out" if name in SALIENT else "people"]
        for title, (kind, samples) in datasets.items():
            scores = [] if isinstance(teacher, str) else ious(teacher, samples, f"{name} on {title}")
            cells.append(PAPER.get(name, {}).get(kind))
            for part, chosen in parts(title, samples).items():
                score = float(np.mean([scores[i] for i in chosen])) if scores else None
                cells.append(score)
                if score is not None:
                    numbers.setdefault(name, {})[part] = round(score, 4)
                    metrics[f"{name} on {part}"] = Metric([score], "higher", "")
        rows.append((*cells, teacher if isinstance(teacher, str) else ""))
    columns = ["teacher", "finds"]
    for title, (_, samples) in datasets.items():
        columns.append(f"{title}: paper")
        columns += [f"{part}, {len(chosen)} pictures" for part, chosen in parts(title, samples).items()]
    title = "Table 1: IoU of the teachers against the datasets' own masks"
    table = Table(title, (*columns, "how to get it"), rows, None)
    if any(kind == "davis" for kind, _ in datasets.values()):
        notes.append(TRUTH)
    return Result("table1", [table], {"iou": numbers}, metrics, notes)


def _datasets(args: argparse.Namespace) -> tuple[dict[str, tuple[str, list[Sample]]], list[str]]:
    """title -> (kind, samples) of every dataset that was given, and a sentence for each that was not."""
    given = [(kind, getattr(args, kind)) for kind in ("davis", "supervisely")]
    notes = [
        f"{known.title}: not given ({known.option}; {known.layout}). It is had at {known.where}."
        for known, folder in ((DATASETS[kind], folder) for kind, folder in given)
        if folder is None
    ]
    folders = [(kind, f) for kind, f in given if f is not None] + [("masks", folder) for folder in args.masks]
    datasets = {}
    for kind, folder in folders:
        samples = open_dataset(kind, folder, args.every if kind != "masks" else 1)
        if args.quick:
            samples = samples[:: max(1, len(samples) // QUICK_SAMPLES)][:QUICK_SAMPLES]
        datasets[DATASETS[kind].title if kind != "masks" else Path(folder).name] = (kind, samples)
    return datasets, notes


def parts(title: str, samples: Sequence[Sample]) -> dict[str, list[int]]:
    """title -> indices into `samples`: all of them, and those that show people alone where only some do."""
    people = [i for i, sample in enumerate(samples) if sample.group in OF_PEOPLE]
    found = {title: list(range(len(samples)))}
    return found | {f"{title}, people alone": people} if people else found


def _teacher(name: str, threads: int) -> Teacher | str:
    """The teacher, or why it is not there and how to get it."""
    if name not in TEACHERS:
        return f"no teacher of this name in this version; it has {', '.join(TEACHERS)}"
    try:
        return load(name, threads)
    except (ModelError, BackendUnavailable) as error:
        return reason(error)


def ious(teacher: Teacher, samples: Sequence[Sample], what: str) -> list[float]:
    """IoU of the teacher's label, cut at 0.5 at the picture's own size, on each sample."""
    scores = []
    for sample in bar(samples, what):
        label = cv2.resize(teacher(sample.bgr), sample.bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        scores.append(iou(sample.mask / 255, label))
    return scores
