"""jm-bench table3: the paper's Table 3, stage by stage: camera, preprocess, student, output.

A frame's way is cut at two moments, when the student is asked and when it answers, so that the stages are the whole of
one call: preprocess is everything before, output everything after (smoothing, edges, foreground, composite). The
camera is reading one frame: of a real camera with --camera, else decoding one of a clip. What a window or a virtual
camera then needs is the system's and in neither column.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter

import cv2
import numpy as np
import torch

from engine import Masker
from engine.contracts import Canvas
from engine.errors import SourceError
from engine.sources import open_source

from .harness import manifest
from .harness.methods import BACKGROUND
from .harness.progress import bar
from .harness.result import Metric, Result, Table
from .harness.timing import WARM, block_medians, percentiles
from .paint import frame_of
from .peers import authors

PAPER = {"camera": 7.0, "preprocess": 35.0, "student": 9.0, "output": 27.0}  # ms; Table 3, on its GPU
Moments = tuple[float, float, float, float]  # s: a frame comes, the student is asked, it answers, the frame is painted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    parser.add_argument("--clip", help="default: the manifest's first; without any, a synthetic frame and no camera")
    parser.add_argument("--camera", help="a real camera: its number or device; instead of decoding a clip")
    parser.add_argument("--repeats", type=int, default=200, help="rounds that are counted")


def main(args: argparse.Namespace) -> Result:
    clip = args.clip or (manifest.chosen(args).clips[0].path if args.clips else None)
    feed = args.camera or clip
    bgr = frame_of(clip, None)
    repeats = min(args.repeats, 20) if args.quick else args.repeats
    torch.set_num_threads(args.threads)
    with Masker(
        "ort-cpu", None, BACKGROUND, student=args.student, size=args.size, threads=args.threads,
        min_area=0.0,  # the person is painted whatever the student answers: the authors' way has no way around it
    ) as masker:  # fmt: skip
        ways = {
            "ours": one_frame(our_way(masker, bgr), reader(feed) if feed else None),
            "authors": one_frame(authors_way(bgr), opencv_reader(feed, args.threads) if feed else None),
            "copy floor": one_frame(copying(bgr), None),
        }
        rounds = [{who: way() for who, way in ways.items()} for _ in bar(range(WARM + repeats), "rounds")][WARM:]
        height, width = masker.size
    ms = {who: {stage: [r[who][stage] for r in rounds] for stage in rounds[0][who]} for who in ways}
    ours, theirs = stage_means(ms["ours"]), stage_means(ms["authors"])
    floor = float(np.mean(ms["copy floor"]["all"]))
    rows: list[tuple] = []
    for stage, mean in ours.items():
        paper = {**PAPER, "all": sum(PAPER.values())}.get(stage)
        p50, p95 = np.percentile(ms["ours"][stage], (50, 95)).tolist() if stage in ms["ours"] else (None, None)
        times = theirs[stage] / mean if stage in ms["ours"] else None
        rows.append((stage, paper, mean, p50, p95, theirs[stage], times, floor))
    size = f"{bgr.shape[1]}x{bgr.shape[0]}"
    title = f"Table 3: ms of each stage, {size}, {args.student} {width}x{height}, {args.threads} thread(s), CPU"
    columns = ("stage", "paper (GPU)", "ours", "p50", "p95", "authors' way", "times", "copy floor")
    return Result(
        "table3", [Table(title, columns, rows, "learning off")],
        {"ms": {stage: percentiles(series, 50, 95) for stage, series in ms["ours"].items()},
         "mean_ms": {"ours": ours, "authors": theirs}, "copy_floor_ms": round(floor, 4)},
        {stage: Metric(block_medians(series), "lower") for stage, series in ms["ours"].items()},
        [
            "The paper's machine: GTX 1080, i5-7600K, 240p. Ours and the authors' way: this machine, the same frame, "
            f"the same threads, a whole picture each, one after the other in each of {repeats} rounds. The authors' "
            f"way runs JITNet at {authors.SIZE[1]}x{authors.SIZE[0]}; --student jitnet --size {authors.SIZE[0]} "
            "gives ours the same network.",
            "Ours and the authors' way are means, which add up. Unaccounted: what the stages leave of the whole, which "
            "is timed around them.",
            f"Camera: {'a real one' if args.camera else 'decoding a clip' if clip else 'not run'}.",
        ],
    )  # fmt: skip


def one_frame(paint: Callable[[], Moments], read: Callable[[], object] | None) -> Callable[[], dict[str, float]]:
    """A function that reads (with `read`) and paints a frame, and returns ms of each stage and of "all"."""

    def timed() -> dict[str, float]:
        began = perf_counter()
        if read is not None:
            read()
        came, asked, answered, painted = paint()
        moments = {"preprocess": asked - came, "student": answered - asked, "output": painted - answered}
        camera = {"camera": came - began} if read is not None else {}
        return {stage: 1e3 * taken for stage, taken in {**camera, **moments, "all": perf_counter() - began}.items()}

    return timed


def stage_means(ms: dict[str, list[float]]) -> dict[str, float]:
    """The mean of each stage, what they leave "unaccounted" of the whole, and the whole: they add up to "all"."""
    means = {stage: float(np.mean(series)) for stage, series in ms.items()}
    whole = means.pop("all")
    return {**means, "unaccounted": whole - sum(means.values()), "all": whole}


def our_way(masker: Masker, bgr: np.ndarray) -> Callable[[], Moments]:
    """Paints `bgr` with `masker`, which paints on the CPU."""
    canvas, backend = Canvas(), masker.live.backend
    run, asked_and_answered = backend.run, [0.0, 0.0]

    def clocked() -> np.ndarray:
        asked_and_answered[0] = perf_counter()
        logits = run()
        asked_and_answered[1] = perf_counter()
        return logits

    backend.run = clocked  # type: ignore[method-assign]

    def paint() -> Moments:
        came = perf_counter()
        masker.process(bgr, 0.0, canvas)
        return came, *asked_and_answered, perf_counter()  # type: ignore[return-value]

    return paint


def authors_way(bgr: np.ndarray) -> Callable[[], Moments]:
    """Paints `bgr` as the authors' published code does; see `benchmarks.peers.authors`."""
    student, background = authors.student(), np.full_like(bgr, 90)

    def paint() -> Moments:
        came = perf_counter()
        image = authors.preprocess(bgr, authors.SIZE)
        asked = perf_counter()
        alpha = authors.predict(student, image)
        answered = perf_counter()
        authors.composite(bgr, alpha, background)
        return came, asked, answered, perf_counter()

    return paint


def copying(bgr: np.ndarray) -> Callable[[], Moments]:
    """Copies the frame: the floor, below which no picture is written."""
    out = np.empty_like(bgr)

    def paint() -> Moments:
        came = perf_counter()
        np.copyto(out, bgr)
        return came, came, came, perf_counter()

    return paint


def reader(feed: str) -> Callable[[], object]:
    """Reads one frame after the other of a clip or camera, as jm-engine does."""
    frames = iter(open_source(feed, loop=True))
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
