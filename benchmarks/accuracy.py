"""jm-bench accuracy: what a viewer sees of each clip, ours beside the peer and the teacher.

Runs `jm-engine --alpha` on the clip, then scores the matte that was written at its full resolution: IoU-Acc and edges
against the teacher's label on every fifth frame, flicker between that frame and the next, and recovery on every frame
after a cut. The peer (MediaPipe selfie) is scored on the same frames.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engine.errors import UsageError
from engine.sources import open_source
from training.cuts import CutDetector
from training.score import MIN_AREA, iou_acc
from training.teachers import Teacher, load

from .machine import finish, show
from .peers.selfie import Selfie
from .quality import boundary_f, flicker, recovery, still

EVERY = 5  # frames between two that are scored
AFTER_CUT = 40  # frames that are all scored
COLUMNS = (
    "clip", "frames", "IoU-Acc", "2nd half", "p5", "selfie", "selfie p5", "edges", "selfie", "flicker", "teacher",
    "recovery", "ghosts",
)  # fmt: skip


@dataclass
class Scores:
    """Of one clip; lists hold one number for each scored frame."""

    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    edges: list[float] = field(default_factory=list)
    peer_edges: list[float] = field(default_factory=list)
    flicker: list[float] = field(default_factory=list)
    teacher_flicker: list[float] = field(default_factory=list)
    after_cuts: list[list[float]] = field(default_factory=list)
    ghost: int = 0  # frames, longest run of scored frames with someone painted where the teacher sees nobody

    def summary(self) -> dict[str, Any]:
        ours, peer = np.array(self.ours), np.array(self.peer)
        return {
            "frames": len(ours),
            "mean": float(ours.mean()),
            "second half": float(ours[len(ours) // 2 :].mean()),
            "p5": float(np.percentile(ours, 5)),
            "selfie mean": float(peer.mean()),
            "selfie p5": float(np.percentile(peer, 5)),
            "edges": mean(self.edges),
            "selfie edges": mean(self.peer_edges),
            "flicker": mean(self.flicker),
            "teacher flicker": mean(self.teacher_flicker),
            "recovery": [recovery(scores) for scores in self.after_cuts],
            "ghosts": self.ghost,
        }


def mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def main(args: argparse.Namespace) -> None:
    teacher, peer = load(args.teacher, args.threads), Selfie(args.threads)
    result: dict[str, dict[str, Any]] = {}
    rows = []
    for clip in args.clips:
        labels = Labels(teacher, Path(args.labels) / Path(clip).stem if args.labels else None)
        scores = score(clip, args, labels, peer)
        result[Path(clip).stem] = summary = scores.summary()
        rows.append(row(Path(clip).stem, summary))
        print(Path(clip).stem, json.dumps(summary), file=sys.stderr, flush=True)
    rows.append(row("mean", average(list(result.values()))))
    title = f"{args.student}, recipe {args.recipe}, pace {args.pace}, against {args.teacher} on every {EVERY}th frame"
    show(title, COLUMNS, rows)
    recoveries = sorted(AFTER_CUT if r is None else r for s in result.values() for r in s["recovery"])
    if recoveries:
        print(
            f"\n{len(recoveries)} cuts: back to 0.95 after {np.median(recoveries):g} frames (median), "
            f"{np.percentile(recoveries, 90):g} (p90)"
        )
    finish({"bench": "accuracy", "student": args.student, "recipe": args.recipe, "pace": args.pace, "clips": result})


def row(name: str, s: dict[str, Any]) -> tuple:
    """A line of the table; numbers that do not exist are a dash."""
    cells = [s["frames"], s["mean"], s["second half"], s["p5"], s["selfie mean"], s["selfie p5"], s["edges"],
             s["selfie edges"], s["flicker"], s["teacher flicker"]]  # fmt: skip
    told = ", ".join("-" if r is None else str(r) for r in s["recovery"]) or "-"
    return (name, *("-" if cell is None else cell for cell in cells), told, s["ghosts"])


def average(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all clips, each counting once."""
    total: dict[str, Any] = {"recovery": [], "frames": sum(s["frames"] for s in summaries)}
    for key in summaries[0].keys() - total.keys():
        total[key] = mean([s[key] for s in summaries if s[key] is not None])
    total["ghosts"] = max(s["ghosts"] for s in summaries)
    return total


class Labels:
    """The teacher's labels of one clip, float32 (H, W), kept as PNG in `folder` where there is one."""

    def __init__(self, teacher: Teacher, folder: Path | None):
        self._teacher, self._folder = teacher, folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, index: int, bgr: np.ndarray) -> np.ndarray:
        path = self._folder / f"{index:05d}.png" if self._folder is not None else None
        kept = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path is not None and path.is_file() else None
        if kept is not None:
            return kept.astype(np.float32) / 255
        label = cv2.resize(self._teacher(bgr), bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        grey = np.rint(label * 255).astype(np.uint8)
        if path is not None:
            cv2.imwrite(str(path), grey)
        return grey.astype(np.float32) / 255


def score(clip: str, args: argparse.Namespace, labels: Labels, peer: Selfie) -> Scores:
    """Paint `clip` and score what was painted."""
    with tempfile.TemporaryDirectory() as folder:
        alpha = str(Path(folder) / "alpha.mkv")
        paint(clip, alpha, args)
        return compare(clip, alpha, labels, peer)


def paint(clip: str, alpha: str, args: argparse.Namespace) -> None:
    """jm-engine in a process of its own, as a user runs it."""
    learn, recipe = ("none", "default") if args.recipe == "none" else (args.teacher, args.recipe)
    command = [
        sys.executable, "-m", "engine.cli", "-i", clip, "--headless", "--pace", args.pace, "--alpha", alpha,
        "--teacher", learn, "--recipe", recipe, "--student", args.student, "--threads", str(args.threads),
    ]  # fmt: skip
    if args.size:
        command += ["--size", args.size]
    if args.weights:
        command += ["--weights", args.weights]
    subprocess.run(command, check=True)


def compare(clip: str, alpha: str, labels: Labels, peer: Selfie) -> Scores:
    """Scores of the matte in `alpha`, one frame for each of `clip`."""
    scores, cut, since_cut, ghost = Scores(), CutDetector((1.0, 1.0, 1.0)), AFTER_CUT, 0
    previous: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # frame, label, matte of a scored frame
    for index, bgr, matte in both(clip, alpha):
        since_cut = 0 if cut(small(bgr)) else since_cut + 1
        if previous is not None:
            label, where = labels(index, bgr), still((previous[0], bgr))
            scores.flicker.append(flicker(where, (previous[2], matte)))
            scores.teacher_flicker.append(flicker(where, (previous[1], label)))
            previous = None
        if since_cut == 0:
            scores.after_cuts.append([])
        if since_cut < AFTER_CUT:
            scores.after_cuts[-1].append(iou_acc(labels(index, bgr), matte))
        if index % EVERY == 0:
            label = labels(index, bgr)
            theirs = peer(bgr)
            scores.ours.append(iou_acc(label, matte))
            scores.peer.append(iou_acc(label, theirs))
            if np.mean(label > 0.5) >= MIN_AREA:
                scores.edges.append(boundary_f(label, matte))
                scores.peer_edges.append(boundary_f(label, theirs))
            nobody = np.mean(label > 0.5) < MIN_AREA / 10
            ghost = ghost + 1 if nobody and np.mean(matte > 0.5) >= MIN_AREA else 0
            scores.ghost = max(scores.ghost, ghost * EVERY)
            previous = (bgr.copy(), label, matte)
    return scores


def small(bgr: np.ndarray) -> np.ndarray:
    """What CutDetector wants: float32 (1, 3, h, w) in [0, 1]."""
    return cv2.resize(bgr, (256, 256)).transpose(2, 0, 1)[None].astype(np.float32) / 255


def both(clip: str, alpha: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(index, frame, matte float32 (H, W)) of every frame; UsageError where the matte is too short or too long."""
    mattes = iter(open_source(alpha))
    for frame in open_source(clip):
        matte = next(mattes, None)
        if matte is None:
            raise UsageError(
                f"the matte of {clip} ends at frame {frame.index}; expected one frame for each of the clip's"
            )
        yield frame.index, frame.bgr, matte.bgr[..., 0].astype(np.float32) / 255
