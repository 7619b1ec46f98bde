"""How good the mattes of one clip are, against the teacher's labels. Knows no painter and no clock.

IoU-Acc, edges and ghosts on every fifth frame, flicker between that frame and the next, recovery on every frame after a
cut. The label is the teacher's, at the frame's full size, and never the student's own working size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.sources import open_source
from training.online.score import MIN_AREA, iou_acc

from .progress import bar
from .quality import boundary_f, flicker, gradient_error, recovery, sad, still
from .runs import RecordedMattes

EVERY = 5  # frames between two that are scored
AFTER_CUT = 40  # frames that are all scored
NOBODY = MIN_AREA / 10  # share of the frame; a label below it sees nobody
Label = Callable[[np.ndarray], np.ndarray]  # of a frame uint8 (H, W, 3): float32 (H, W) in [0, 1]


@dataclass
class Scores:
    """Of one method on one clip; lists hold one number for each scored frame."""

    iou_acc: list[float] = field(default_factory=list)  # in [0, 1], every fifth frame
    edges: list[float] = field(default_factory=list)  # boundary F, where the label has somebody
    sad: list[float] = field(default_factory=list)  # thousands of pixels, likewise
    gradient: list[float] = field(default_factory=list)  # thousands, likewise
    flicker: list[float] = field(default_factory=list)  # grey levels where nothing moves
    teacher_flicker: list[float] = field(default_factory=list)  # the labels' own, at the same pixels
    after_cuts: list[list[float]] = field(default_factory=list)  # IoU-Acc of each frame after each cut
    ghosts: int = 0  # frames, longest run of scored frames with someone painted where the teacher sees nobody

    def summary(self) -> dict[str, Any]:
        """One number of each kind; None where there is nothing to average."""
        scores = np.array(self.iou_acc)
        return {
            "frames": len(scores),
            "mean": float(scores.mean()),
            "second half": float(scores[len(scores) // 2 :].mean()),
            "p5": float(np.percentile(scores, 5)),
            "edges": mean(self.edges),
            "sad": mean(self.sad),
            "gradient": mean(self.gradient),
            "flicker": median(self.flicker),
            "teacher flicker": median(self.teacher_flicker),
            "recovery": [recovery(scores) for scores in self.after_cuts],
            "ghosts": self.ghosts,
        }


def mean(values: list[float]) -> float | None:
    """Of no values, None."""
    return float(np.mean(values)) if values else None


def median(values: list[float]) -> float | None:
    """Of no values, None. For flicker: a mask put right after a change of scene jumps once, and does not flicker."""
    return float(np.median(values)) if values else None


def average(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the summaries of all clips, each clip counting once."""
    total: dict[str, Any] = {
        "recovery": [frames for s in summaries for frames in s["recovery"]],
        "frames": sum(s["frames"] for s in summaries),
        "ghosts": max(s["ghosts"] for s in summaries),
    }
    for key in summaries[0].keys() - total.keys():
        total[key] = mean([s[key] for s in summaries if s[key] is not None])
    return total


def is_scored(cuts: Collection[int], flicker: bool = True) -> Callable[[int], bool]:
    """Which frames are scored, and so kept, of a clip with scene changes at `cuts`; flicker takes two in a row."""
    close = {cut + i for cut in cuts for i in range(AFTER_CUT)}
    return lambda index: index % EVERY <= flicker or index in close


def score(
    clip: str,
    cuts: Collection[int],
    label: Label,
    mattes: dict[str, RecordedMattes],
    frames: int | None = None,
    flicker: bool = True,
) -> dict[str, Scores]:
    """Score every method's mattes of `clip` in one reading of it.

    Parameters
    ----------
    cuts : frames that begin a new scene; () where recovery does not matter.
    label : the reference, at the frame's size.
    mattes : method -> its mattes; every frame that `is_scored` names.
    frames : as many of the clip's first were painted; None: all.
    flicker : False saves the label of every frame after a fifth one.
    """
    keepers = {name: _Keeper(kept) for name, kept in mattes.items()}
    for index, bgr, since_cut in scored_frames(clip, cuts, frames, flicker):
        truth = label(bgr)
        for keeper in keepers.values():
            keeper.look(index, bgr, since_cut, truth)
    return {name: keeper.scores for name, keeper in keepers.items()}


def scored_frames(
    clip: str, cuts: Collection[int], frames: int | None, flicker: bool
) -> Iterator[tuple[int, np.ndarray, int]]:
    """(index, frame, frames since the last cut) of the frames that are scored."""
    source, wanted, since_cut = open_source(clip), is_scored(cuts, flicker), AFTER_CUT
    for frame in bar(source, f"scoring {Path(clip).name}", frames or source.frames):
        if frames is not None and frame.index >= frames:
            source.close()
            return
        since_cut = 0 if frame.index in cuts else since_cut + 1
        if wanted(frame.index):
            yield frame.index, frame.bgr, since_cut


class _Keeper:
    """Scores one method, frame after frame."""

    def __init__(self, mattes: RecordedMattes):
        self.scores = Scores()
        self._mattes = mattes
        self._ghost = 0  # frames, of the run that goes on
        self._previous: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # frame, label, matte of a fifth frame

    def look(self, index: int, bgr: np.ndarray, since_cut: int, label: np.ndarray) -> None:
        matte, scores = self._mattes[index], self.scores
        if index % EVERY == 1 and self._previous is not None:
            where = still((self._previous[0], bgr))
            scores.flicker.append(flicker(where, (self._previous[2], matte)))
            scores.teacher_flicker.append(flicker(where, (self._previous[1], label)))
        self._previous = None
        if since_cut == 0:
            scores.after_cuts.append([])
        if since_cut < AFTER_CUT:
            scores.after_cuts[-1].append(iou_acc(label, matte))
        if index % EVERY:
            return
        scores.iou_acc.append(iou_acc(label, matte))
        truth = label > 0.5
        if truth.mean() >= MIN_AREA:
            scores.edges.append(boundary_f(label, matte))
            scores.sad.append(sad(label, matte))
            scores.gradient.append(gradient_error(label, matte))
        nobody = truth.mean() < NOBODY
        self._ghost = self._ghost + EVERY if nobody and (matte > 0.5).mean() >= MIN_AREA else 0
        scores.ghosts = max(scores.ghosts, self._ghost)
        self._previous = bgr, label, matte
