"""jm-bench accuracy: what a viewer sees of each clip, by every method on the same frames, at full resolution.

IoU-Acc, the outline, flicker, how soon a mask is good again after a cut, and ghosts; `benchmarks.harness.scores` says
what each of them is. The teacher's own flicker stands beside: a student may flicker less than who taught it.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .harness import evaluation, manifest, methods
from .harness.evaluation import REFERENCE, Scorer
from .harness.plots import lines
from .harness.quality import ENOUGH, recovery
from .harness.result import Metric, Result, Table
from .harness.scores import AFTER_CUT, EVERY, Scores, average

PEERS = ["selfie", "sinet"]
QUICK_FRAMES = 112  # the medium quick clip has its cut at 99
KEYS = ("mean", "second half", "p5", "edges", "sad", "gradient", "flicker", "ghosts")  # of Scores.summary
COLUMNS = ("method", "IoU-Acc", "2nd half", "p5", "boundary F", "SAD", "gradient error", "flicker", "ghosts")
Found = dict[str, dict[str, Scores]]  # method -> clip -> its scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    evaluation.add_arguments(parser, PEERS, pace="lockstep")


def main(args: argparse.Namespace) -> Result:
    clips, (chosen, absent) = manifest.chosen(args, QUICK_FRAMES), methods.chosen(args)
    scorer, found = Scorer(args), Found()
    for clip in clips.clips:
        for name, scores in scorer(clip, chosen).items():
            found.setdefault(name, {})[clip.name] = scores
    means = {name: average([s.summary() for s in by_clip.values()]) for name, by_clip in found.items()}
    rows: list[tuple] = [(name, *(means[name][key] for key in KEYS)) for name in found]
    teacher = average([s.summary() for s in next(iter(found.values())).values()])["teacher flicker"]
    rows.append((f"{REFERENCE}, each frame alone", *(teacher if key == "flicker" else None for key in KEYS)))
    title = f"Mean over {len(clips.clips)} clip(s), against {REFERENCE} on every {EVERY}th frame; {clips.title}"
    tables = [Table(title, COLUMNS, rows, args.pace), *_by_clip(clips, found, args.pace)]
    cuts: list[dict[str, Any]] = [
        {"clip": c.name, "frame": cut, "iou_acc": {n: _rounded(found[n][c.name].after_cuts[i]) for n in found}}
        for c in clips.clips
        for i, cut in enumerate(_cuts(c, args.frames))
    ]
    figures = {}
    if cuts:
        tables.append(_recoveries(cuts, list(found), args.pace))
        curves = {name: mean_curve([cut["iou_acc"][name] for cut in cuts]) for name in found}
        label = f"IoU-Acc, mean over {len(cuts)} cuts"
        figures["accuracy"] = lines(curves, "frames after the cut", label, f"{clips.title}; {args.pace}")
    numbers = {
        "student": args.student, "recipe": args.recipe, "pace": args.pace, "cuts": cuts,
        "clips": {c.name: {name: found[name][c.name].summary() for name in found} for c in clips.clips},
    }  # fmt: skip
    return Result("accuracy", tables, numbers, _metrics(means, args.pace), _notes(absent), figures)


def _by_clip(clips: manifest.Manifest, found: Found, pace: Any) -> list[Table]:
    """IoU-Acc and flicker, one table each: a line for each clip."""
    rows: list[list[tuple]] = [[], []]
    for clip in clips.clips:
        summaries = [found[name][clip.name].summary() for name in found]
        rows[0].append((clip.name, clip.difficulty, summaries[0]["frames"], *(s["mean"] for s in summaries)))
        rows[1].append((clip.name, summaries[0]["teacher flicker"], *(s["flicker"] for s in summaries)))
    return [
        Table("IoU-Acc of each clip", ("clip", "difficulty", "frames", *found), rows[0], pace),
        Table("Flicker, grey levels", ("clip", f"{REFERENCE}, each frame alone", *found), rows[1], pace),
    ]


def _cuts(clip: manifest.Clip, frames: int | None) -> list[int]:
    """The cuts of `clip` that lie in the `frames` that are scored."""
    return [cut for cut in clip.cuts if frames is None or cut < frames]


def _recoveries(cuts: list[dict[str, Any]], names: list[str], pace: Any) -> Table:
    """Frames after each cut until IoU-Acc is ENOUGH again, with the median and the 90th percentile of all."""
    frames = {name: [recovery(cut["iou_acc"][name]) for cut in cuts] for name in names}
    counted = {name: [AFTER_CUT if f is None else f for f in found] for name, found in frames.items()}
    rows: list[tuple] = [(c["clip"], c["frame"], *(frames[n][i] for n in names)) for i, c in enumerate(cuts)]
    rows += [
        (f"median of {len(cuts)}", None, *(float(np.median(counted[name])) for name in names)),
        ("p90", None, *(float(np.percentile(counted[name], 90)) for name in names)),
        (f"never within {AFTER_CUT} frames", None, *(frames[name].count(None) for name in names)),
    ]
    return Table(f"Frames after a cut until IoU-Acc is {ENOUGH} again", ("clip", "cut at", *names), rows, pace)


def mean_curve(scores: list[list[float]]) -> tuple[list[float], list[float]]:
    """(frames after the cut, mean score there) over cuts; a cut that is followed by another soon is shorter."""
    frames = range(max(len(s) for s in scores))
    return [float(i) for i in frames], [float(np.mean([s[i] for s in scores if len(s) > i])) for i in frames]


def _metrics(means: dict[str, dict[str, Any]], pace: str) -> dict[str, Metric]:
    metrics = {}
    for name, mean in means.items():
        metrics[f"{name}: IoU-Acc, {pace}"] = Metric([mean["mean"]], "higher", "")
        metrics[f"{name}: IoU-Acc p5, {pace}"] = Metric([mean["p5"]], "higher", "")
        if mean["edges"] is not None:
            metrics[f"{name}: boundary F, {pace}"] = Metric([mean["edges"]], "higher", "")
        if mean["flicker"] is not None:
            metrics[f"{name}: flicker, {pace}"] = Metric([mean["flicker"]], "lower", "grey levels")
        if mean["recovery"]:
            counted = [AFTER_CUT if frames is None else frames for frames in mean["recovery"]]
            metrics[f"{name}: frames to recover, {pace}"] = Metric([float(np.mean(counted))], "lower", "frames")
    return metrics


def _notes(absent: dict[str, str]) -> list[str]:
    return [
        "Boundary F as DAVIS has it, within 2 pixels at 480 lines. SAD in thousands of pixels, gradient error in "
        "thousands (Rhemann et al.), both per picture at its full size. Flicker: change of alpha in grey levels where "
        f"nothing moves, the median, between every {EVERY}th frame and the next. Ghosts: frames.",
        *(f"{name}: {why}" for name, why in absent.items()),
    ]


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 4) for value in values]
