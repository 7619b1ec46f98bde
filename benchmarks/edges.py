"""jm-bench edges: where the outline lies on pictures whose masks people drew: boundary F-score, SAD, gradient error.

Pictures have nothing to learn from: ours is the student as it is shipped. On clips, `accuracy` has the same measures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.errors import UsageError
from training.datasets import Sample

from .harness import methods
from .harness.datasets import DATASETS, open_dataset
from .harness.methods import OURS, Method
from .harness.progress import bar
from .harness.quality import boundary_f, gradient_error, sad
from .harness.result import Metric, Result, Table

PEERS = ["selfie", "sinet"]
QUICK_SAMPLES = 10  # pictures of each dataset
MEASURES = {"edges": boundary_f, "sad": sad, "gradient": gradient_error}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    methods.add_arguments(parser, PEERS)
    parser.add_argument("--davis", metavar="DIR", help="DAVIS 2016 in its official layout")
    parser.add_argument("--masks", nargs="*", default=[], metavar="DIR", help="folders with images/ and masks/")
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    datasets = [("davis", args.davis)] * bool(args.davis) + [("masks", folder) for folder in args.masks]
    if not datasets:
        raise UsageError("nothing to measure; give --masks DIR or --davis DIR")
    chosen, absent = methods.chosen(args)
    scored = [m for m in chosen if m.name != OURS]
    tables, metrics = [], {}
    numbers: dict[str, dict[str, dict[str, float]]] = {}
    for kind, folder in datasets:
        title = DATASETS[kind].title if kind == "davis" else Path(folder).name
        samples = open_dataset(kind, folder)
        if args.quick:
            samples = samples[:: max(1, len(samples) // QUICK_SAMPLES)][:QUICK_SAMPLES]
        numbers[title] = {m.name: measured(m, samples) for m in scored}
        rows = [(name, *values.values()) for name, values in numbers[title].items()]
        columns = ("method", "boundary F", "SAD", "gradient error")
        title_of_table = f"Edges against the masks of {title}, {len(samples)} pictures"
        tables.append(Table(title_of_table, columns, rows, "learning off"))
        for name, values in numbers[title].items():
            metrics[f"{name}: boundary F, {title}"] = Metric([values["edges"]], "higher", "")
    notes = [
        "Boundary F as DAVIS has it, within 2 pixels at 480 lines. SAD in thousands of pixels, gradient error in "
        "thousands (Rhemann et al.), both per picture at its full size; lower is better.",
        *(f"{name}: {why}" for name, why in absent.items()),
    ]
    return Result("edges", tables, {"edges": numbers}, metrics, notes)


def measured(method: Method, samples: Sequence[Sample]) -> dict[str, float]:
    """The mean of each of MEASURES of `method` on pictures, each alone."""
    scores: dict[str, list[float]] = {name: [] for name in MEASURES}
    for sample in bar(samples, method.name):
        with method.open(lockstep=True) as painter:  # a new one: what it remembers of another picture must not count
            matte = painter.process(np.ascontiguousarray(sample.bgr), 0.0).alpha
        label, alpha = sample.mask.astype(np.float32) / 255, matte.astype(np.float32) / 255
        for name, measure in MEASURES.items():
            scores[name].append(measure(label, alpha))
    return {name: float(np.mean(values)) for name, values in scores.items()}
