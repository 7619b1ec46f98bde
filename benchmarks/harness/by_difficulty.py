"""A figure of bars by difficulty: the paper's Figures 3 and 4. Measures nothing.

A bar is the mean over the clips of a difficulty, each counting once; its error bar is one standard deviation over all
their frames.
"""

from __future__ import annotations

import numpy as np

from .manifest import DIFFICULTIES, Clip, Manifest
from .plots import Spread, bars
from .result import Better, Metric, Pace, Result, Table

Series = dict[str, dict[str, list[float]]]  # method -> clip -> one number for each frame


def by_difficulty(
    bench: str, what: str, pace: Pace, clips: Manifest, series: Series, absent: dict[str, str], better: Better
) -> Result:
    """The figure called `bench` and its table. Accuracy is the better the higher, and milliseconds the lower."""
    counts = {d: sum(c.difficulty == d for c in clips.clips) for d in DIFFICULTIES}
    groups = [d for d in DIFFICULTIES if counts[d]]
    spreads: dict[str, list[Spread | None]] = {
        name: [spread(by_clip, clips.clips, d) for d in groups] for name, by_clip in series.items()
    }
    rows = [(name, *(cell for s in found for cell in (s or (None, None)))) for name, found in spreads.items()]
    columns = ["method", *(column for d in groups for column in (f"{d}, {counts[d]} clip(s)", "sd"))]
    metrics = {
        f"{name}: {d}, {pace}": Metric([s[0]], better, "" if better == "higher" else "ms")
        for name, found in spreads.items()
        for d, s in zip(groups, found, strict=True)
        if s is not None
    }
    numbers = {
        "what": what,
        "pace": pace,
        "clips": {
            name: {c: round(float(np.mean(values)), 4) for c, values in by.items() if values}
            for name, by in series.items()
        },
    }
    title = f"Figure {bench[-1]}: {what}; {clips.title}"
    label = "IoU-Acc" if better == "higher" else "ms between paints"
    picture = bars(groups, spreads, label, f"{clips.title}; {pace}", log=better == "lower")
    notes = ["Difficulty by the paper's rule: easy without a scene change, medium with one, hard with two or more."]
    notes += [f"{name}: {why}" for name, why in absent.items()]
    return Result(bench, [Table(title, columns, rows, pace)], numbers, metrics, notes, figures={bench: picture})


def spread(by_clip: dict[str, list[float]], clips: list[Clip], difficulty: str) -> Spread | None:
    """(mean over the clips of this difficulty, standard deviation over all their frames); None where there is none."""
    chosen = [by_clip[c.name] for c in clips if c.difficulty == difficulty and by_clip.get(c.name)]
    if not chosen:
        return None
    return float(np.mean([np.mean(values) for values in chosen])), float(np.std(np.concatenate(chosen)))
