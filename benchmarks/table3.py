"""jm-bench table3: the paper's Table 3, stage by stage: camera, preprocess, student, output.

Camera is reading one frame: of a real camera with --camera, else decoding one of a clip. Output is everything after the
student: edges, composite. What a window or a virtual camera then needs is the system's and in neither column.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import cv2
import numpy as np
import torch

from engine import Masker
from engine.errors import SourceError
from engine.sources import open_source

from .harness import manifest
from .harness.methods import BACKGROUND
from .harness.result import Metric, Result, Table
from .harness.timing import block_medians, percentiles, side_by_side
from .paint import authors_steps, frame_of, our_steps

PAPER = {"camera": 7.0, "preprocess": 35.0, "student": 9.0, "output": 27.0}  # ms; Table 3, on its GPU
OURS = {  # the paper's stage -> our steps in it
    "camera": ("camera",),
    "preprocess": ("preprocess",),
    "student": ("student",),
    "output": ("smooth_alpha", "fit_guided_filter", "apply_guided_filter", "composite"),
}
THEIRS = {"camera": "camera", "preprocess": "preprocess", "student": "student", "output": "composite"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    parser.add_argument("--clip", help="default: the manifest's first; without any, a synthetic frame and no camera")
    parser.add_argument("--camera", help="a real camera: its number or device; instead of decoding a clip")
    parser.add_argument("--repeats", type=int, default=200, help="rounds that are counted")


def main(args: argparse.Namespace) -> Result:
    clip = args.clip or (manifest.chosen(args).clips[0].path if args.clips else None)
    torch.set_num_threads(args.threads)
    bgr = frame_of(clip, None)
    repeats = min(args.repeats, 20) if args.quick else args.repeats
    with Masker("auto", None, BACKGROUND, student=args.student, size=args.size, threads=args.threads) as masker:
        steps = {**our_steps(masker, bgr), **authors_steps(bgr)}
        feed = args.camera or clip
        if feed is not None:
            steps |= {"camera": reader(feed), "authors: camera": opencv_reader(feed, args.threads)}
        ms = side_by_side(steps, repeats)
    floor = float(np.median(ms["copy floor"]))
    rows, ours = [], {}
    for stage, parts in OURS.items():
        series = np.sum([ms[part] for part in parts], axis=0).tolist() if parts[0] in ms else None
        theirs = ms.get(f"authors: {THEIRS[stage]}")
        ours[stage] = series
        rows.append((stage, PAPER[stage], *_medians(series, theirs), floor))
    told = [s for s in ours.values() if s is not None]
    all_theirs = [ms[f"authors: {name}"] for name in THEIRS.values() if f"authors: {name}" in ms]
    rows.append(
        ("all", sum(PAPER.values()), *_medians(np.sum(told, 0).tolist(), np.sum(all_theirs, 0).tolist()), floor)
    )
    size = f"{bgr.shape[1]}x{bgr.shape[0]}"
    title = f"Table 3: ms of each stage, {size}, {args.student}, {args.threads} thread(s), CPU, learning off"
    columns = ("stage", "paper (GPU)", "ours p50", "ours p95", "authors' way p50", "times", "copy floor")
    return Result(
        "table3", [Table(title, columns, rows)],
        {"ms": {stage: percentiles(s, 50, 95) for stage, s in ours.items() if s}, "copy_floor_ms": round(floor, 4)},
        {stage: Metric(block_medians(s), "lower") for stage, s in ours.items() if s},
        [
            "The paper's machine: GTX 1080, i5-7600K, 240p. Ours and the authors' way: this machine, one after the "
            f"other in each of {repeats} rounds.",
            f"Camera: {'a real one' if args.camera else 'decoding a clip' if clip else 'not run'}.",
        ],
    )  # fmt: skip


def _medians(ours: list[float] | None, theirs: list[float] | None) -> tuple[float | None, ...]:
    """p50 and p95 of ours, p50 of theirs, and how many times longer theirs takes."""
    if ours is None or theirs is None:
        return None, None, None, None
    p50, p95 = np.percentile(ours, (50, 95))
    other = float(np.median(theirs))
    return float(p50), float(p95), other, other / float(p50)


def reader(feed: str) -> Callable[[], object]:
    """Reads one frame after the other of a clip or camera, as jm-engine does."""
    frames = iter(open_source(feed, loop=not feed.isdecimal()))
    return lambda: next(frames)


def opencv_reader(feed: str, threads: int) -> Callable[[], object]:
    """The same as the authors do it: OpenCV's capture, from the start again at a clip's end.

    Decoding gets `threads`, as everything does: left alone it takes every core and reads ahead.
    """
    if feed.isdecimal():
        capture = cv2.VideoCapture(int(feed))
    else:
        capture = cv2.VideoCapture(feed, cv2.CAP_FFMPEG, (cv2.CAP_PROP_N_THREADS, threads))
    if not capture.isOpened():
        raise SourceError(f"OpenCV cannot open {feed}; expected a clip or a camera that it reads")

    def read() -> None:
        if not capture.read()[0]:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            capture.read()

    return read
