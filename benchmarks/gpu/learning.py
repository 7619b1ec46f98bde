"""A whole call on the GPU for check.py: painted, taught, refitted. Rehearsed on the CPU like the other sections."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import torch

import kernels
from engine import Masker
from engine.contracts import Canvas
from engine.sources.synthetic import SyntheticPerson
from export.publish import Publisher, load_student
from export.students import STUDENTS
from training.online.distiller import Distiller
from training.online.learner import STEP_THREADS, own_stream
from training.online.recipe import recipe
from training.online.schedule import Operation
from training.online.score import iou_acc
from training.students import Student
from training.teachers.deadline import DeadlineTeacher

from ..harness.timing import percentiles
from .verdict import OK, WRONG

WIDTH, HEIGHT = 640, 480
RIGHT = 0.9  # IoU-Acc of the last frame, at least


def learning(backend: str, device: str, frames: int) -> list[dict[str, Any]]:
    """A synthetic call that is painted and learnt in turn, as in lockstep: IoU-Acc of the live student against the
    truth, and what each part takes. The teacher knows the truth and takes no time; the rest is as it is live.
    """
    figure, at = SyntheticPerson(width=WIDTH, height=HEIGHT, frames=frames, cut=frames // 2), 0
    guard = DeadlineTeacher(lambda: lambda _: figure.mask(at).astype(np.float32) / 255)
    size = STUDENTS["lite"].size
    weights = load_student("lite", size)
    student = Student("lite")
    student.load_weights(weights.tensors)
    torch.set_num_threads(STEP_THREADS)
    operations: dict[Operation, list[float]] = {operation: [] for operation in Operation}
    scores, canvas = [], Canvas()
    with Masker(backend, None, "#204060", student="lite", threads=1, min_area=0) as masker, own_stream(device):
        distiller = Distiller(
            student, Publisher(weights, size), guard, recipe("default", "lite"), masker.swap, kernels.load(), 0, device
        )
        for at in range(frames):
            picture = figure.picture(at)
            masker.process(picture, canvas=canvas)
            logits = masker.live.logits()
            truth = cv2.resize(figure.mask(at), logits.shape[::-1], interpolation=cv2.INTER_AREA)
            scores.append(iou_acc(truth > 127, logits > 0))
            began = time.perf_counter()
            operation = distiller.operate(picture, logits)
            operations[operation].append(1e3 * (time.perf_counter() - began))
        stats, stall, paint = masker.stats, masker.swap_stall, masker.paint_path
        published = distiller.publish_ms
    guard.close()
    step, wrong = operations[Operation.STEP], stats.faults or 2 * distiller.rejected > distiller.publishes
    return [
        {"what": f"IoU-Acc of the live student, {backend}, steps on {device}", "first frame": float(scores[0]),
         "mean": float(np.mean(scores)), "last tenth": float(np.mean(scores[-max(frames // 10, 1) :])),
         "verdict": OK if scores[-1] > RIGHT else WRONG, "backend": backend},
        {"what": "students", "published": distiller.publishes, "swaps": stats.swaps, "refused": distiller.rejected,
         "faults": stats.faults, "verdict": WRONG if wrong else OK, "backend": backend},
        {"what": "a step, every second with its publish, ms", **percentiles(step, 50, 95)},
        {"what": "publish, refit, verify, ms", **published.summary("p50", "p95")},
        {"what": "adopting, on the paint path, ms (aim: 0.2)", **stall.summary("p50", "p95", "max")},
        {"what": "paint path beside it, ms", **paint.summary("p50", "p95")},
    ]  # fmt: skip
