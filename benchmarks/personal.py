"""jm-bench profile: what a personal profile gains on parts of a clip that were never kept, and costs on other clips.

Each clip is a camera: short visits to its first part keep frames, `jm-train profile` learns from them, and start and
profile paint its last part without learning. Other clips show what the profile forgets of other people.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine import Masker
from engine.errors import UsageError
from engine.personal.start import find_profile
from engine.personal.store import FrameStore, keep_frames
from engine.sources import open_source
from export.publish import load_student
from export.students import input_size
from training import personal
from training.online.candidates import Candidate
from training.online.score import iou_acc
from training.personal import Lesson, candidate_of

from .harness import labels, manifest
from .harness.evaluation import REFERENCE, kept_teacher
from .harness.labels import KeptTeacher
from .harness.manifest import Clip
from .harness.methods import BACKGROUND
from .harness.progress import bar
from .harness.result import Metric, Result, Table

STUDENT = "lite"
KEPT = 200  # --keep-frames
VISITS, LENGTH = 8, 60  # frames of each, over the first part of a clip
FIRST = 0.65  # share of a clip that is visited
LAST = 0.7  # share from which it is judged
EVERY = 5  # frames; one is judged
LEAST = 800  # frames of a clip that is long enough
COLUMNS = (
    "camera", "frames kept", "start", "profile", "start, p5", "profile, p5", "start, other clips",
    "profile, other clips",
)  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """Agreement with the reference, frame by frame."""

    start: list[float]
    profile: list[float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    labels.add_arguments(parser)
    parser.add_argument("--cameras", nargs="+", metavar="CLIP", help="names of clips; default: all long enough")


def main(args: argparse.Namespace) -> Result:
    clips = manifest.chosen(args).clips
    long_enough = [clip for clip in clips if (open_source(clip.path).frames or 0) >= LEAST]
    cameras = [clip for clip in long_enough if args.cameras is None or clip.name in args.cameras]
    if not cameras:
        raise UsageError(f"no clip to be the camera; expected one of {LEAST} frames or more")
    reference = kept_teacher(REFERENCE, args)
    rows: list[tuple[object, ...]] = []
    for clip in bar(cameras, "cameras"):
        rows.append(_camera(clip, [other for other in long_enough if other is not clip], reference))
    means = [float(np.mean([row[i] for row in rows])) for i in range(2, len(COLUMNS))]
    rows.append(("mean", None, *means))
    table = Table(f"IoU-Acc against {REFERENCE}, without learning", COLUMNS, rows, "learning off")
    notes = [
        f"{VISITS} visits of {LENGTH} frames to the first {FIRST:.0%} of a clip, lockstep; judged on every {EVERY}th "
        f"frame of the last {1 - LAST:.0%}, of which none was kept, and of the last {1 - LAST:.0%} of the other clips. "
        "Where no profile was accepted, profile is the start."
    ]
    gain, elsewhere = means[1] - means[0], means[5] - means[4]
    metrics = {"gain": Metric([gain], "higher", ""), "elsewhere": Metric([elsewhere], "higher", "")}
    return Result("profile", [table], {"mean": dict(zip(COLUMNS[2:], means, strict=True))}, metrics, notes)


def _camera(clip: Clip, others: Sequence[Clip], reference: KeptTeacher) -> tuple[object, ...]:
    size = input_size(STUDENT, None)
    with tempfile.TemporaryDirectory() as folder, _home(folder):
        _keep(clip)
        kept = len(FrameStore().paths())
        personal.main([])
        profile = find_profile(STUDENT, size)
        shipped = load_student(STUDENT, size)
        students = [candidate_of(weights, size) for weights in (shipped, profile.weights if profile else shipped)]
        lesson = Lesson(shipped, size, 0)  # it shows frames as the student sees them
        here = _judge(clip, students, lesson, reference)
        elsewhere = [_judge(other, students, lesson, reference) for other in others] or [here]
    return (
        clip.name, kept, float(np.mean(here.start)), float(np.mean(here.profile)),
        float(np.percentile(here.start, 5)), float(np.percentile(here.profile, 5)),
        float(np.mean([np.mean(scores.start) for scores in elsewhere])),
        float(np.mean([np.mean(scores.profile) for scores in elsewhere])),
    )  # fmt: skip


@contextmanager
def _home(folder: str) -> Iterator[None]:
    """JM_HOME is this folder; teachers are at hand where they were."""
    from engine.assets import fetch

    teacher, before = fetch(REFERENCE), {name: os.environ.get(name) for name in ("JM_HOME", "JM_MODELS")}
    os.environ.update({"JM_HOME": folder, "JM_MODELS": str(Path(teacher).parent)})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _keep(clip: Clip) -> None:
    with closing(open_source(clip.path)) as source:
        step = int((source.frames or 0) * FIRST) // VISITS
        masker = None
        for frame in source:
            visit, number = divmod(frame.index, step)
            if visit >= VISITS:
                break
            if number == 0:
                masker = Masker("ort-cpu", REFERENCE, BACKGROUND, threads=1, lockstep=True, keep=keep_frames(KEPT))
            if masker is not None:
                masker.process(frame.bgr)
                if number == min(LENGTH, step) - 1:
                    masker.close()
                    masker = None


def _judge(clip: Clip, students: Sequence[Candidate], lesson: Lesson, reference: KeptTeacher) -> Scores:
    scores: tuple[list[float], list[float]] = [], []
    with closing(open_source(clip.path)) as source:
        first = int((source.frames or 0) * LAST)
        for frame in source:
            if frame.index < first or frame.index % EVERY:
                continue
            label = reference.whole(frame.bgr)
            for student, own in zip(students, scores, strict=True):
                alpha = student.alpha(lesson.image(frame.bgr))
                own.append(iou_acc(label, cv2.resize(alpha, label.shape[::-1], interpolation=cv2.INTER_LINEAR)))
    return Scores(*scores)
