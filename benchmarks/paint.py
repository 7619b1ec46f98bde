"""jm-bench paint: the paint path, stage by stage, against the same steps done the authors' way."""

from __future__ import annotations

import argparse

import numpy as np
import torch

from engine import Masker
from engine.contracts import Frame
from engine.figure import MovingFigure
from engine.sources import open_source
from engine.students import to_alpha
from export.publish import load_student
from kernels import UNSEEN
from training.jitnet import JITNet

from . import authors_way
from .machine import finish, show, side_by_side

AUTHORS_SIZE = (240, 240)  # the paper's smaller input


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    bgr = frame_of(args.clip, args.height)
    masker = Masker("ort-cpu", None, "#204060", student=args.student, size=args.size, threads=args.threads)
    kernels, student = masker.kernels, masker.live
    weights = load_student("jitnet", AUTHORS_SIZE)
    jitnet = JITNet()
    jitnet.load_weights(weights.tensors)
    eager = authors_way.AuthorsStudent(jitnet)
    background = np.full_like(bgr, 90)
    out = np.empty_like(bgr)
    frame = Frame(bgr, 0, 0.0, 0.0)
    masker.paint(frame, out)
    alpha, seen, shown = student.alpha.copy(), np.full_like(student.alpha, UNSEEN), np.zeros_like(student.alpha)
    edges, matte = np.zeros((2, *alpha.shape), np.float32), np.zeros(bgr.shape[:2], np.uint8)
    kernels.steady(student.backend.image, student.mean, student.std, alpha, seen, shown)
    kernels.matte(bgr, kernels.refine(seen, alpha, edges), matte)
    mixed = np.full_like(matte, 128)
    image = authors_way.preprocess(bgr, AUTHORS_SIZE)

    def authors() -> None:
        matte = authors_way.predict(eager, authors_way.preprocess(bgr, AUTHORS_SIZE))
        authors_way.composite(bgr, matte, background)

    full = authors_way.predict(eager, image)
    ms = side_by_side(
        {
            "paint path": lambda: masker.paint(frame, out),
            "preprocess": lambda: kernels.preprocess(bgr, student.mean, student.std, student.backend.image),
            "student": lambda: to_alpha(student.backend.run()[0, 0], student.alpha),
            "steady": lambda: kernels.steady(student.backend.image, student.mean, student.std, alpha, seen, shown),
            "refine": lambda: kernels.refine(seen, alpha, edges),
            "matte": lambda: kernels.matte(bgr, edges, matte),
            "composite": lambda: kernels.composite(bgr, matte, background, out),
            "composite, all mixed": lambda: kernels.composite(bgr, mixed, background, out),
            "copy floor": lambda: np.copyto(out, bgr),
            "authors: paint path": authors,
            "authors: preprocess": lambda: authors_way.preprocess(bgr, AUTHORS_SIZE),
            "authors: student": lambda: authors_way.predict(eager, image),
            "authors: composite": lambda: authors_way.composite(bgr, full, background),
        },
        args.repeats,
    )
    masker.close()
    ratio = ms["authors: paint path"]["p50"] / ms["paint path"]["p50"]
    sizes = f"{bgr.shape[1]}x{bgr.shape[0]}, {args.student} {masker.size[1]}x{masker.size[0]}"
    title = f"Paint path, {sizes}, {args.threads} thread(s), learning off"
    show(title, ("step", "p50 ms", "p95 ms"), [(name, m["p50"], m["p95"]) for name, m in ms.items()])
    print(f"\nthe authors' way takes {ratio:.1f} times as long")
    finish({"bench": "paint", "ms": ms, "ratio": round(ratio, 2)})


def frame_of(clip: str | None, height: int) -> np.ndarray:
    """A frame in the middle of `clip`, or of the synthetic figure at `height`."""
    if clip is None:
        return MovingFigure(width=height * 4 // 3 // 2 * 2, height=height).picture(40)
    return next(frame.bgr for frame in open_source(clip) if frame.index == 40)
