"""jm-bench accuracy: IoU-Acc of what is painted against the teacher, on frames the student was not taught on too.

Runs `jm-engine --pace lockstep --alpha` on each clip, then labels every fifth frame with the teacher at its own
resolution and scores the matte that was written.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from engine.sources import open_source
from training.score import iou_acc
from training.teachers import load

from .machine import finish, show

EVERY = 5  # frames between two that are scored


def main(args: argparse.Namespace) -> None:
    teacher = load(args.teacher, args.threads)
    rows, result = [], {}
    for clip in args.clips:
        scores = np.array(score(clip, args, teacher))
        half = scores[len(scores) // 2 :]
        row = {
            "mean": float(scores.mean()),
            "second half": float(half.mean()),
            "5th percentile": float(np.percentile(scores, 5)),
        }
        rows.append((Path(clip).stem, len(scores), *row.values()))
        result[Path(clip).stem] = {key: round(value, 4) for key, value in row.items()}
    title = f"IoU-Acc against {args.teacher}, recipe {args.recipe}, student {args.size}, every {EVERY}th frame"
    show(title, ("clip", "frames scored", "mean", "second half", "5th percentile"), rows)
    finish({"bench": "accuracy", "recipe": args.recipe, "clips": result})


def score(clip: str, args: argparse.Namespace, teacher) -> list[float]:
    """IoU-Acc of every fifth frame of `clip`, as painted by a run of the engine."""
    with tempfile.TemporaryDirectory() as folder:
        alpha = str(Path(folder) / "alpha.mkv")
        learn = "none" if args.recipe == "none" else args.teacher
        recipe = "default" if args.recipe == "none" else args.recipe
        command = [
            sys.executable, "-m", "engine.cli", "-i", clip, "--headless", "--pace", "lockstep", "--alpha", alpha,
            "--teacher", learn, "--recipe", recipe, "--size", str(args.size), "--threads", str(args.threads),
        ]  # fmt: skip
        subprocess.run(command, check=True)
        painted = (frame.bgr[..., 0] / 255 for frame in open_source(alpha))
        return [
            iou_acc(teacher(frame.bgr), matte)
            for frame, matte in zip(open_source(clip), painted, strict=True)
            if frame.index % EVERY == 0
        ]
