"""jm-bench kernels: the paint path, kernel by kernel, against OpenCV, the authors' way and the machine's copy floor.

The functions of ours and of the authors' are made here, one for each step, and timed in turn; `unaccounted` is what
they leave of the paint path. Learning is off.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from engine import Masker
from engine.contracts import Canvas
from engine.errors import UsageError
from engine.painting.contrast import STRETCH, stretched_sigmoid
from engine.painting.loaded_student import LoadedStudent
from engine.sources import open_source
from engine.sources.synthetic import SyntheticPerson
from kernels import NO_BRIGHTNESS, colour_grid, fallback

from .harness.methods import BACKGROUND
from .harness.result import Metric, Result, Table
from .harness.timing import block_medians, percentiles, side_by_side
from .peers import authors as authors_way

HEIGHTS = (480, 720)  # lines of the synthetic frames
MOMENT = 40  # frame that is taken of a clip
ASIDE = ("copy floor", "find_motion")  # not in the path that is measured: every frame is looked at there
Steps = dict[str, Callable[[], object]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clip", help=f"take frame {MOMENT} of this clip; default: synthetic ones")
    parser.add_argument("--height", type=int, nargs="+", default=list(HEIGHTS), help="lines of the synthetic frames")
    parser.add_argument("--repeats", type=int, default=200, help="rounds that are counted")


def main(args: argparse.Namespace) -> Result:
    repeats = min(args.repeats, 20) if args.quick else args.repeats
    frames = [frame_of(args.clip, None)] if args.clip else [frame_of(None, height) for height in args.height]
    tables, notes = [], []
    numbers: dict[str, dict[str, Any]] = {}
    metrics: dict[str, Metric] = {}
    for bgr in frames:
        ms = measure(bgr, args, repeats)
        size = f"{bgr.shape[1]}x{bgr.shape[0]}"
        title = f"Kernels, {size}, {args.student}, {args.threads} thread(s)"
        tables.append(Table(title, *_rows(ms), "learning off"))
        numbers[size] = {name: percentiles(series, 50, 95) for name, series in ms.items()}
        metrics |= {f"{size} {n}": Metric(block_medians(ms[n]), "lower") for n in ms if not n.startswith("authors")}
        ratio = float(np.median(ms["authors: paint path"]) / np.median(ms["paint path"]))
        numbers[size]["ratio"] = round(ratio, 2)
        notes.append(f"{size}: the authors' way takes {ratio:.1f} times as long")
    return Result("kernels", tables, {"student": args.student, "ms": numbers}, metrics, notes)


def measure(bgr: np.ndarray, args: argparse.Namespace, repeats: int) -> dict[str, list[float]]:
    """ms of every step of ours, of OpenCV's and of the authors' on `bgr`, uint8 (H, W, 3)."""
    torch.set_num_threads(args.threads)
    with Masker(
        "ort-cpu", None, BACKGROUND, student=args.student, size=args.size, threads=args.threads,
        min_area=0.0,  # the person is painted whatever the student answers, as in the authors' way
    ) as masker:  # fmt: skip
        ours, theirs = our_steps(masker, bgr), authors_steps(bgr)
        # a frame of each before it is timed, and not counted: what others left in the caches is nobody's cost
        before, before_theirs = {"before": ours["paint path"]}, {"before theirs": theirs["authors: paint path"]}
        ms = side_by_side({**before, **ours, **opencv_steps(masker, bgr), **before_theirs, **theirs}, repeats)
    return {name: series for name, series in ms.items() if not name.startswith("before")}


def _rows(ms: dict[str, list[float]]) -> tuple[Sequence[str], list[tuple]]:
    """Columns and rows: ours, and beside each step the same done in other ways."""

    def median(name: str) -> float | None:
        return float(np.median(ms[name])) if name in ms else None

    rows: list[tuple] = [
        (name, *percentiles(series, 50, 95).values(), median(f"opencv: {name}"), median(f"authors: {name}"))
        for name, series in ms.items()
        if ":" not in name
    ]
    p50 = {row[0]: row[1] for row in rows if row[0] not in ASIDE}
    rows.append(("unaccounted", 2 * p50["paint path"] - sum(p50.values()), None, None, None))
    return ("step", "p50 ms", "p95 ms", "OpenCV and NumPy", "authors' way"), rows


def our_steps(masker: Masker, bgr: np.ndarray) -> Steps:
    """The paint path of `masker` as a whole and step by step, on `bgr`; and the copy floor."""
    k, student, background = masker.kernels, masker.live, np.full_like(bgr, 90)
    canvas, out = Canvas(), np.empty_like(bgr)
    masker.process(bgr, 0.0, canvas)
    alpha, image, affine = alpha_of(student), student.image, (student.mean, student.std)
    fresh, shown = np.empty_like(alpha), image.copy()
    last_grey, smoothed = np.full_like(alpha, NO_BRIGHTNESS), np.zeros_like(alpha)
    logits = student.logits()
    coefficients, matte = np.zeros((2, *alpha.shape), np.float32), np.zeros(bgr.shape[:2], np.uint8)
    k.smooth_alpha(image, *affine, alpha, last_grey, smoothed)
    k.apply_guided_filter(bgr, k.fit_guided_filter(last_grey, alpha, coefficients), matte)
    grid, person = np.zeros((2, *colour_grid(alpha.shape), 3), np.float32), np.empty_like(bgr)
    return {
        "paint path": lambda: masker.process(bgr, 0.0, canvas),
        "preprocess": lambda: k.preprocess(bgr, *affine, image),
        "student": student.unchecked_logits,
        "alpha_of_logits": lambda: k.alpha_of_logits(logits, 0.0, STRETCH, fresh),
        "find_motion": lambda: k.find_motion(image, student.std, shown, 0),
        "smooth_alpha": lambda: k.smooth_alpha(image, *affine, alpha, last_grey, smoothed),
        "fit_guided_filter": lambda: k.fit_guided_filter(last_grey, alpha, coefficients),
        "apply_guided_filter": lambda: k.apply_guided_filter(bgr, coefficients, matte),
        "local_colours": lambda: k.local_colours(image, *affine, alpha, grid),
        "estimate_foreground": lambda: k.estimate_foreground(bgr, matte, grid, person),
        "composite": lambda: k.composite(person, matte, background, out),
        "copy floor": lambda: np.copyto(out, bgr),
    }


def alpha_of(student: LoadedStudent) -> np.ndarray:
    """Alpha float32 (h, w) of the frame that it saw last."""
    alpha = np.empty(student.mask_size, np.float32)
    stretched_sigmoid(student.logits(), alpha)
    return alpha


def opencv_steps(masker: Masker, bgr: np.ndarray) -> Steps:
    """The kernels in OpenCV and NumPy, `kernels.fallback`: what a machine without Numba runs."""
    student, out, background = masker.live, np.empty_like(bgr), np.full_like(bgr, 90)
    image, alpha, affine = student.image.copy(), alpha_of(student), (student.mean, student.std)
    last_grey, smoothed = np.full_like(alpha, NO_BRIGHTNESS), np.zeros_like(alpha)
    coefficients, matte = np.zeros((2, *alpha.shape), np.float32), np.zeros(bgr.shape[:2], np.uint8)
    grid, person = np.zeros((2, *colour_grid(alpha.shape), 3), np.float32), np.empty_like(bgr)
    fallback.apply_guided_filter(bgr, fallback.fit_guided_filter(last_grey, alpha, coefficients), matte)
    logits, fresh = student.logits(), np.empty_like(alpha)
    return {
        "opencv: preprocess": lambda: fallback.preprocess(bgr, *affine, image),
        "opencv: alpha_of_logits": lambda: fallback.alpha_of_logits(logits, 0.0, STRETCH, fresh),
        "opencv: find_motion": lambda: fallback.find_motion(image, student.std, image, 0),
        "opencv: smooth_alpha": lambda: fallback.smooth_alpha(image, *affine, alpha, last_grey, smoothed),
        "opencv: fit_guided_filter": lambda: fallback.fit_guided_filter(last_grey, alpha, coefficients),
        "opencv: apply_guided_filter": lambda: fallback.apply_guided_filter(bgr, coefficients, matte),
        "opencv: local_colours": lambda: fallback.local_colours(image, *affine, alpha, grid),
        "opencv: estimate_foreground": lambda: fallback.estimate_foreground(bgr, matte, grid, person),
        "opencv: composite": lambda: fallback.composite(person, matte, background, out),
    }


def authors_steps(bgr: np.ndarray) -> Steps:
    """The same steps as the authors' published code does them; see `benchmarks.peers.authors`."""
    eager, background = authors_way.student(), np.full_like(bgr, 90)
    image = authors_way.preprocess(bgr, authors_way.SIZE)
    alpha = authors_way.predict(eager, image)

    def whole() -> None:
        fresh = authors_way.predict(eager, authors_way.preprocess(bgr, authors_way.SIZE))
        authors_way.composite(bgr, fresh, background)

    return {
        "authors: paint path": whole,
        "authors: preprocess": lambda: authors_way.preprocess(bgr, authors_way.SIZE),
        "authors: student": lambda: authors_way.predict(eager, image),
        "authors: composite": lambda: authors_way.composite(bgr, alpha, background),
    }


def frame_of(clip: str | None, height: int | None) -> np.ndarray:
    """Frame MOMENT of `clip`, or of the synthetic figure at `height` lines. UsageError where the clip is too short."""
    if clip is None:
        lines = height or HEIGHTS[0]
        return SyntheticPerson(width=lines * 4 // 3 // 2 * 2, height=lines).picture(MOMENT)
    found = next((frame.bgr for frame in open_source(clip) if frame.index == MOMENT), None)
    if found is None:
        raise UsageError(f"{clip} has no frame {MOMENT}; expected a longer clip")
    return found
