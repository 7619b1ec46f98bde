"""How good one painter's alpha is on one clip, against a matte that is true. Knows neither painters nor clips.

Of a frame on which nobody is to be seen, or less than PRESENT of one, IoU and boundary F say nothing: one wrong pixel
would cost as much as a wrong frame. They are left out there; what is painted there counts in all other measures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.online.score import iou

from .leaks import Leaks
from .quality import boundary_f, connectivity_error, dtssd, gradient_error, mad
from .result import Better
from .scores import mean

Means = dict[str, dict[str, float | None]]  # painter -> key of MEASURES -> mean over clips
Verdict = tuple[str, float | None, str, float | None, str]

PRESENT = 0.0005  # share of the frame; 154 pixels of 640x480


@dataclass(frozen=True)
class Measure:
    """How a number is shown."""

    title: str
    better: Better
    unit: str

    @property
    def head(self) -> str:
        """Of a table's column: the arrow points to where it is better."""
        return f"{self.title} {'↑' if self.better == 'higher' else '↓'}{f', {self.unit}' if self.unit else ''}"

    def is_ahead(self, one: float, other: float) -> bool:
        """Whether `one` is better than `other`."""
        return one > other if self.better == "higher" else one < other


MEASURES = {
    "iou": Measure("IoU", "higher", ""),
    "edges": Measure("boundary F", "higher", ""),
    "mad": Measure("MAD", "lower", "‰"),
    "gradient": Measure("gradient error", "lower", ""),
    "connectivity": Measure("connectivity error", "lower", ""),
    "dtssd": Measure("dtSSD", "lower", "x 100"),
    "leak": Measure("room shown", "lower", "%"),
    "lost": Measure("person lost", "lower", "%"),
}
ON_MASKS = ("iou", "edges", "mad", "dtssd", "leak", "lost")  # what a mask without half tones can tell
OF_A_PERSON = {"iou": iou, "edges": boundary_f}
OF_A_FRAME = {"mad": mad, "gradient": gradient_error, "connectivity": connectivity_error}


class TrueScores:
    """Of one painter on one clip; `values` has a number for each measure and frame, NaN where it says nothing."""

    def __init__(self, measures: Collection[str] = tuple(MEASURES)):
        """`measures` are keys of MEASURES."""
        self.values: dict[str, list[float]] = {key: [] for key in MEASURES if key in measures}
        self._leaks = Leaks()
        self._before: tuple[np.ndarray, np.ndarray] | None = None  # truth and alpha of the previous frame

    def look(
        self, painted: np.ndarray, truth: np.ndarray, where: tuple[np.ndarray, np.ndarray], is_cut: bool = False
    ) -> None:
        """One frame.

        Parameters
        ----------
        painted : uint8 (H, W), alpha.
        truth : float32 (H, W) in [0, 1], in steps of 1/255.
        where : bool (H, W) each, where there certainly is room, and person; see `benchmarks.harness.leaks.regions`.
        is_cut : the first frame of another scene. How alpha changes from the last one to it is not asked.
        """
        alpha = painted.astype(np.float32) / 255
        if is_cut:
            self._before = None
        self._leaks.look(painted, *where)
        now = {"leak": 100 * self._leaks.shown[-1], "lost": 100 * self._leaks.lost[-1]}
        now |= {key: measure(truth, alpha) for key, measure in OF_A_FRAME.items() if key in self.values}
        if (truth > 0.5).mean() >= PRESENT:
            now |= {key: measure(truth, alpha) for key, measure in OF_A_PERSON.items()}
        if self._before is not None:
            now["dtssd"] = dtssd((self._before[0], truth), (self._before[1], alpha))
        for key, values in self.values.items():
            values.append(now.get(key, float("nan")))
        self._before = truth, alpha

    def is_worst(self) -> bool:
        """Whether the last frame's alpha is farther from the truth than any before; the mean difference decides."""
        differences = self.values["mad"]
        return differences[-1] > max(differences[:-1], default=-1.0)

    def means(self) -> dict[str, float | None]:
        """The mean of each measure over the frames that it says something of; None where there is none."""
        there = {key: np.array(values)[~np.isnan(values)] for key, values in self.values.items()}
        return {key: float(values.mean()) if values.size else None for key, values in there.items()}


def averages(clips: Sequence[Mapping[str, TrueScores]]) -> Means:
    """Each painter's means over all clips, each counting once, of those that a measure says something of."""
    by_clip = [{name: scores.means() for name, scores in clip.items()} for clip in clips]
    return {
        name: {key: mean([v for means in by_clip if (v := means[name][key]) is not None]) for key in measures}
        for name, measures in by_clip[0].items()
    }


def verdict(means: Means, ours: str, rivals: Collection[str]) -> list[Verdict]:
    """(measure, our number, the best of `rivals`, its number, whether we are ahead) for each measure.

    "yes": of them all; "even": one of them has the same number, and none a better one; else "NO" and who is ahead.
    """
    rows: list[Verdict] = []
    for key, own in means[ours].items():
        measure = MEASURES[key]
        others = {name: value for name in rivals if (value := means[name][key]) is not None}
        if own is None or not others:
            continue
        ahead = [name for name, value in others.items() if measure.is_ahead(value, own)]
        best = (max if measure.better == "higher" else min)(others, key=lambda name: others[name])
        told = f"NO: {'; '.join(ahead)}" if ahead else "yes" if measure.is_ahead(own, others[best]) else "even"
        rows.append((measure.head, own, best, others[best], told))
    return rows
