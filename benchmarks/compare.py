"""jm-bench compare A.json B.json: what got better or worse, with the noise of each. Measures nothing.

Each number is held as its repeats. It has changed where the medians differ by more than the larger interquartile range
of the two and by more than the threshold. A file may hold several lines, one for each run: their repeats are pooled.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UsageError

from .harness.result import Better, Metric, Result, Table

THRESHOLD = 5.0  # per cent; below it nobody notices a difference


@dataclass(frozen=True)
class Verdict:
    """One number in two results."""

    before: float  # median
    after: float
    noise: tuple[float, float]  # interquartile range of each, in the number's unit
    change: float  # per cent of `before`; positive where it grew
    word: str  # "better", "worse" or "same"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A.json")
    parser.add_argument("after", metavar="B.json")
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="per cent; default: %(default)g")


def main(args: argparse.Namespace) -> Result:
    """Exit code 1 where anything is worse."""
    before, after = read_metrics(args.before), read_metrics(args.after)
    both = [name for name in before if name in after]
    if not both:
        raise UsageError(f"{args.before} and {args.after} have no number in common; compare two results of one bench")
    verdicts = {name: judge(before[name], after[name], args.threshold / 100) for name in both}
    rows: list[tuple] = [
        (name, before[name].unit, v.before, v.noise[0], v.after, v.noise[1], f"{v.change:+.1f} %", v.word)
        for name, v in verdicts.items()
    ]
    rows += [(name, before[name].unit, None, None, None, None, None, "gone") for name in before if name not in after]
    rows += [(name, after[name].unit, None, None, None, None, None, "new") for name in after if name not in before]
    table = Table(
        f"{Path(args.before).name} and {Path(args.after).name}, threshold {args.threshold:g} %",
        ("what", "unit", "before", "IQR", "after", "IQR", "change", "verdict"),
        rows,
        None,
    )
    words = {name: v.word for name, v in verdicts.items()}
    worse = sorted(name for name, word in words.items() if word == "worse")
    notes = [f"worse: {', '.join(worse)}" if worse else "nothing is worse"]
    machines = [read_machines(path) for path in (args.before, args.after)]
    if machines[0] != machines[1]:
        told = [" and ".join(sorted(found)) or "an unknown machine" for found in machines]
        notes.append(f"Not the same machine: times do not compare. Before: {told[0]}; after: {told[1]}.")
    return Result("compare", [table], {"verdicts": words, "worse": worse}, notes=notes, ok=not worse)


def judge(before: Metric, after: Metric, threshold: float) -> Verdict:
    """Whether `after` is better or worse than `before` by more than noise and more than `threshold`, a share of it."""
    old, new = float(np.median(before.values)), float(np.median(after.values))
    noise = interquartile_range(before.values), interquartile_range(after.values)
    difference = new - old
    same = abs(difference) <= max(*noise, threshold * abs(old))
    improved = difference < 0 if after.better == "lower" else difference > 0
    change = 100 * difference / abs(old) if old else float("inf") * difference if difference else 0.0
    return Verdict(old, new, noise, change, "same" if same else "better" if improved else "worse")


def interquartile_range(values: Sequence[float]) -> float:
    """From the 25th to the 75th percentile; 0.0 of a single value."""
    low, high = np.percentile(values, (25, 75))
    return float(high - low)


def read_metrics(path: str | Path) -> dict[str, Metric]:
    """Every metric in a file of JSON lines, by "bench: name", repeats of all lines pooled.

    Raises
    ------
    UsageError
        The file cannot be read, or holds no result of jm-bench.
    """
    pooled: dict[str, tuple[list[float], Better, str]] = {}
    for result in read_results(path):
        for name, metric in result["metrics"].items():
            kept = pooled.setdefault(f"{result['bench']}: {name}", ([], metric["better"], metric["unit"]))
            kept[0].extend(metric["values"])
    return {name: Metric(*kept) for name, kept in pooled.items() if kept[0]}


def read_machines(path: str | Path) -> set[str]:
    """Where the results in a file were measured: processor, cores, GPU if there is one, and the thread budget."""
    machines = [result["machine"] for result in read_results(path) if result.get("machine")]
    return {f"{m['cpu']}, {m['cores']} cores, {m.get('gpu') or 'no GPU'}, {m['threads']} thread(s)" for m in machines}


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """Every result in a file: its lines that are JSON, of which jm-bench prints one, the last.

    Raises
    ------
    UsageError
        The file cannot be read, or holds no result.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        results = [json.loads(line) for line in lines if line.startswith("{")]
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}; expected what jm-bench keeps as NAME.json") from error
    if not results or not all("bench" in r and "metrics" in r for r in results):
        raise UsageError(
            f"{path} holds no result; expected what jm-bench keeps as NAME.json, or prints as its last line"
        )
    return results
