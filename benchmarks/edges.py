"""jm-bench edges: where the outline lies: boundary F-score, SAD and gradient error.

On clips against the teacher's matte; on pictures with masks (--masks, --davis) against what people drew. Pictures have
nothing to learn from, so there ours is the student as it is shipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.contracts import Frame
from engine.errors import UsageError
from training.datasets import Sample

from .harness import manifest, painted
from .harness import methods as painters
from .harness.datasets import SETS, open_set
from .harness.methods import OURS, Method
from .harness.painted import Scorer
from .harness.progress import bar
from .harness.quality import boundary_f, gradient_error, sad
from .harness.result import Metric, Result, Table
from .harness.scores import average, mean

PEERS = ["selfie", "sinet"]
QUICK_SAMPLES = 10  # pictures of each set
QUICK_FRAMES = 30  # of each clip
MEASURES = ("edges", "sad", "gradient")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    painters.add_arguments(parser)
    painters.add_peers(parser, PEERS)
    painted.add_arguments(parser)
    parser.add_argument("--davis", metavar="DIR", help="DAVIS 2016 in its official layout")
    parser.add_argument("--masks", nargs="*", default=[], metavar="DIR", help="folders with images/ and masks/")
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    pictures = [("davis", args.davis)] * bool(args.davis) + [("masks", folder) for folder in args.masks]
    if args.clips is None and not pictures:
        raise UsageError("nothing to measure; give --clips DIR (or JM_CLIPS), --masks DIR or --davis DIR")
    methods, absent = painters.methods(args)
    worth = [m for m in methods if m.means_something()]
    tables = [_on_clips(args, worth)] if args.clips is not None else []
    tables += [_on_pictures(args, kind, folder, worth) for kind, folder in pictures]
    numbers = {
        table.title: {row[0]: dict(zip(MEASURES, row[1:], strict=True)) for row in table.rows} for table in tables
    }
    metrics = {
        f"{row[0]}: boundary F, table {i + 1}": Metric([row[1]], "higher", "")
        for i, table in enumerate(tables)
        for row in table.rows
        if isinstance(row[1], float)
    }
    notes = [
        "Boundary F as DAVIS has it, within 2 pixels at 480 lines. SAD in thousands of pixels, gradient error in "
        "thousands (Rhemann et al.), both per picture at its full size; lower is better.",
        *(f"{name}: {why}" for name, why in absent.items()),
    ]
    return Result("edges", tables, {"edges": numbers}, metrics, notes)


COLUMNS = ("method", "boundary F", "SAD", "gradient error")


def _on_clips(args: argparse.Namespace, methods: Sequence[Method]) -> Table:
    clips, scorer = manifest.chosen(args, QUICK_FRAMES), Scorer(args, flicker=False)
    summaries: dict[str, list] = {m.name: [] for m in methods}
    for clip in clips.clips:
        for name, scores in scorer(clip, methods).items():
            summaries[name].append(scores.summary())
    rows = [(name, *(average(told)[key] for key in MEASURES)) for name, told in summaries.items()]
    title = f"Edges against {painted.REFERENCE}'s matte, mean over clips, pace {args.pace}; {clips.title}"
    return Table(title, COLUMNS, rows)


def _on_pictures(args: argparse.Namespace, kind: str, folder: str, methods: Sequence[Method]) -> Table:
    samples = open_set(kind, folder)
    if args.quick:
        samples = samples[:: max(1, len(samples) // QUICK_SAMPLES)][:QUICK_SAMPLES]
    rows = [(m.name, *measured(m, samples)) for m in methods if m.name != OURS]
    title = SETS[kind].title if kind != "masks" else Path(folder).name
    return Table(f"Edges against the masks of {title}, {len(samples)} pictures", COLUMNS, rows)


def measured(method: Method, samples: Sequence[Sample]) -> tuple[float | None, ...]:
    """Mean boundary F, SAD and gradient error of `method` on pictures, each alone."""
    scores: list[list[float]] = [[], [], []]
    for sample in bar(samples, method.name):
        painter = method.open(lockstep=True)  # a new one: what it remembers of another picture must not count
        out, matte = np.empty_like(sample.bgr), np.empty(sample.bgr.shape[:2], np.uint8)
        painter.paint(Frame(np.ascontiguousarray(sample.bgr), 0, 0.0, 0.0), out, matte)
        painter.close()
        label, alpha = sample.mask.astype(np.float32) / 255, matte.astype(np.float32) / 255
        for kept, measure in zip(scores, (boundary_f, sad, gradient_error), strict=True):
            kept.append(measure(label, alpha))
    return tuple(mean(kept) for kept in scores)
