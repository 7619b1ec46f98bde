"""jm-bench floor: how long a frame takes at its best, and beside whom: the whole path hot, alone on one thread.

Everybody paints the frames of one clip over a plain colour, block by block in turn, three rounds in one run; the
fast ones once more with a pause before each frame. Then thousands of frames for the rare one, a clip at its own speed
through jm-engine, and the same on a processor that ends at AVX2. Learning is off.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
import torch

from engine.contracts import Canvas
from engine.errors import JitMaskerError, ModelError
from kernels import load as load_kernels

from . import peers
from .harness import avx2, hot, rare
from .harness.engine_run import live
from .harness.hot import FPS, HotPath, Job
from .harness.methods import PLAIN, PeerPainter
from .harness.result import Metric, Result, Table, reason
from .harness.runs import name_of
from .harness.timing import block_medians, in_blocks, percentiles
from .paint import authors_steps
from .peers.selfie import Selfie

SIZES = {"640x480": (640, 480), "1280x720": (1280, 720), "1920x1080": (1920, 1080)}
SMALLEST = "640x480"  # where the others are measured
GOALS_MS = {"640x480": 2.4, "1280x720": 3.2, "1920x1080": 5.0}  # of the median
SELFIE, SELFIE_OURS, AUTHORS, U2NET = "selfie", "selfie, our composite", "authors", "u2netp-240"
GOALS = {SELFIE: 1.3, SELFIE_OURS: 1.3, AUTHORS: 12.0, U2NET: 25.0}  # times ours
ROUNDS, TURNS, CALLS = 3, 5, 20  # a block of CALLS frames at each turn
PAUSE_S = 0.035  # between two frames of a camera, about
LIVE_S = 10.0  # of jm-engine that are looked at
Paint = Callable[[], object]
Rounds = list[dict[str, list[float]]]  # ms of every frame of everybody, for each round


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clips", default=os.environ.get("JM_CLIPS"), metavar="DIR",
        help="folder; its first clip is painted; default: JM_CLIPS, else a synthetic one",
    )  # fmt: skip
    parser.add_argument("--frames", type=int, default=10_000, help="that are painted for the rare one")


def main(args: argparse.Namespace) -> Result:
    clip, backends = hot.first_clip(args.clips), hot.cpu_backends()
    turns, frames, seconds = (1, 200, 2.0) if args.quick else (TURNS, args.frames, LIVE_S)
    rounds, paced, absent = everybody(args, clip, backends, turns)
    smallest = hot.frames_of(clip, SIZES[SMALLEST])
    long = {name: long_run(args, smallest, name, frames) for name in backends}
    lived = {name: live(args, clip, name, seconds) for name in backends}
    hidden, why = without_avx512(args, clip, backends, 60 if args.quick else 400)
    ratios, paced_ratios = ratios_of(rounds, backends), ratios_of(paced, backends)
    whole = pooled(rounds)
    what = f"{name_of(clip)}, {args.student}, {args.threads} thread(s)"
    numbers = {
        "hot_ms": {name: percentiles(ms, 50, 95, 99) for name, ms in whole.items()},
        "ratios": ratios, "paced_ms": {name: percentiles(ms, 50, 95) for name, ms in pooled(paced).items()},
        "paced_ratios": paced_ratios, "rare": {name: one.numbers() for name, one in long.items()},
        "live": lived, "avx2": hidden,
    }  # fmt: skip
    metrics = {name: Metric(block_medians(ms), "lower") for name, ms in whole.items()}
    metrics |= {f"ratio, paced: {name}": Metric(values, "higher", "") for name, values in paced_ratios.items()}
    metrics |= {f"ratio: {name}": Metric(values, "higher", "") for name, values in ratios.items()}
    tables = [
        Table(f"Whole path, hot: ms a frame, {what}", *_hot_rows(whole, rounds), "learning off"),
        Table(f"How many times as long as ours, {SMALLEST}, by round", *_ratio_rows(ratios), "learning off"),
        Table(
            f"The same with {1e3 * PAUSE_S:g} ms of rest before each frame", *_ratio_rows(paced_ratios), "learning off"
        ),
        Table(f"The rare frame, {SMALLEST}, ms", *_rare_rows(long), "learning off"),
        Table(f"jm-engine at {FPS:g} frames per second, ms", *_live_rows(lived), "live"),
        Table(f"Without AVX-512, {SMALLEST}, in processes of their own, ms", *_avx2_rows(hidden), "learning off"),
    ]
    return Result(
        "floor", tables, numbers, metrics, _notes([why, *(f"{name}: {because}" for name, because in absent.items())])
    )


def _notes(others: list[str]) -> list[str]:
    return [
        f"Hot: {CALLS} frames in a row at each turn, after some that are not counted. Between two frames of a camera "
        "everybody loses what lay in the caches, and takes longer: see the table with pauses, and the live one.",
        "A rare frame takes more than twice the median. Not ours: its CPU time does not. Ours at most: it does; what a "
        "host takes from a virtual machine (stolen) is counted in it or not, so on a quiet machine alone is it ours.",
        f"Both {SELFIE} run one network on LiteRT: composited by OpenCV, the fastest way known here, or by our kernel.",
        *others,
    ]


# -- everybody, hot ------------------------------------------------------------------------------------------------


def everybody(
    args: argparse.Namespace, clip: str, backends: list[str], turns: int
) -> tuple[Rounds, Rounds, dict[str, str]]:
    """Of ours, each backend and size, and of the others at the smallest size: hot; of the fast ones with pauses; and
    who cannot be had, with the reason.
    """
    cv2.setNumThreads(args.threads)
    torch.set_num_threads(args.threads)
    with ExitStack() as stack:
        painters: dict[str, Paint] = {}
        for size, pixels in SIZES.items():
            frames = hot.frames_of(clip, pixels)
            for name in backends:
                path = HotPath(frames, name, args.student, args.size, args.threads)
                stack.callback(path.close)
                painters[f"{name} {size}"] = path
        found, absent = others(hot.frames_of(clip, SIZES[SMALLEST]), args.threads)
        painters |= found
        calls = 5 if args.quick else CALLS
        fast = {name: painters[name] for name in painters if name.endswith(SMALLEST) or name in (SELFIE, SELFIE_OURS)}
        hot_rounds = [in_blocks(painters, turns, calls) for _ in range(ROUNDS)]
        return hot_rounds, [in_blocks(fast, turns, calls, pause=PAUSE_S) for _ in range(ROUNDS)], absent


def pooled(rounds: Rounds) -> dict[str, list[float]]:
    """ms of everybody, of all rounds."""
    return {name: [ms for one in rounds for ms in one[name]] for name in rounds[0]}


def others(frames: list[np.ndarray], threads: int) -> tuple[dict[str, Paint], dict[str, str]]:
    """Whole pictures of the others, a frame in, over a plain colour; and why some cannot be had, by name."""
    feed, canvas = hot.endless(frames), Canvas().fit(frames[0])
    background = np.full_like(frames[0], PLAIN)

    def selfie(blend: Callable[[np.ndarray, np.ndarray, np.ndarray], object]) -> Paint:
        net = Selfie(threads)

        def paint() -> None:
            bgr = next(feed)
            blend(bgr, net.matte(bgr, canvas.alpha), canvas.picture)

        return paint

    def u2net() -> Paint:
        painter = PeerPainter(peers.load(U2NET, threads), threads)
        return lambda: painter.process(next(feed), 0.0, canvas)

    ours = load_kernels().composite
    makers: dict[str, Callable[[], Paint]] = {
        SELFIE: lambda: selfie(opencv_composite(background)),
        SELFIE_OURS: lambda: selfie(lambda bgr, alpha, out: ours(bgr, alpha, background, out)),
        AUTHORS: lambda: authors_steps(frames[0])["authors: paint path"],
        U2NET: u2net,
    }
    painters, absent = {}, {}
    for name, make in makers.items():
        try:
            painters[name] = make()
        except ModelError as error:
            absent[name] = reason(error)
    return painters, absent


def opencv_composite(background: np.ndarray) -> Callable[[np.ndarray, np.ndarray, np.ndarray], object]:
    """Blends (bgr, alpha uint8, out) over `background` with OpenCV alone, in bytes: a third of the time of floats."""
    weight, rest, behind = (np.empty_like(background) for _ in range(3))

    def blend(bgr: np.ndarray, alpha: np.ndarray, out: np.ndarray) -> None:
        cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR, dst=weight)
        cv2.bitwise_not(weight, dst=rest)
        cv2.multiply(bgr, weight, dst=out, scale=1 / 255)
        cv2.multiply(background, rest, dst=behind, scale=1 / 255)
        cv2.add(out, behind, dst=out)

    return blend


def ratios_of(rounds: Rounds, backends: list[str]) -> dict[str, list[float]]:
    """Of each of the others to each backend of ours: median to median, one for each round."""
    return {
        f"{other} / {name}": [
            round(float(np.median(ms[other]) / np.median(ms[f"{name} {SMALLEST}"])), 3) for ms in rounds
        ]
        for other in GOALS
        for name in backends
        if other in rounds[0]
    }


def _hot_rows(whole: dict[str, list[float]], rounds: Rounds) -> tuple[Any, list[tuple]]:
    columns = ("who", "p50", "p95", "p99", *(f"p50, round {i + 1}" for i in range(len(rounds))), "goal", "reached")
    rows = []
    for name, ms in whole.items():
        p50, p95, p99 = percentiles(ms, 50, 95, 99).values()
        goal = GOALS_MS.get(name.split()[-1])
        reached = None if goal is None else "yes" if p50 <= goal else "no"
        rows.append((name, p50, p95, p99, *(float(np.median(one[name])) for one in rounds), goal, reached))
    return columns, rows


def _ratio_rows(ratios: dict[str, list[float]]) -> tuple[Any, list[tuple]]:
    rows = []
    for name, values in ratios.items():
        middle, goal = float(np.median(values)), GOALS[name.rsplit(" / ", 1)[0]]
        rows.append((name, *values, middle, goal, "yes" if middle >= goal else "no"))
    return ("who / ours", *(f"round {i + 1}" for i in range(ROUNDS)), "median", "goal", "reached"), rows


# -- the rare frame ------------------------------------------------------------------------------------------------


def long_run(args: argparse.Namespace, frames: list[np.ndarray], backend: str, count: int) -> rare.Long:
    path = HotPath(frames, backend, args.student, args.size, args.threads)
    try:
        for _ in range(hot.WARM_FRAMES):
            path()
        return rare.watch(path, count)
    finally:
        path.close()


def _rare_rows(long: dict[str, rare.Long]) -> tuple[Any, list[tuple]]:
    keys = ("frames", "p50", "p95", "p99", "max", "ours", "not_ours", "faults", "stolen_s")
    names = ("frames", "p50", "p95", "p99", "max", "rare: ours at most", "rare: not ours", "page faults", "stolen, s")
    found = {name: one.numbers() for name, one in long.items()}
    return ("backend", *names), [(name, *(one[key] for key in keys)) for name, one in found.items()]


# -- at the speed of a camera ----------------------------------------------------------------------------------------


def _live_rows(lived: dict[str, dict[str, float]]) -> tuple[Any, list[tuple]]:
    columns = next(iter(lived.values()))
    return ("backend", *columns), [(name, *one.values()) for name, one in lived.items()]


# -- a processor that ends at AVX2 -----------------------------------------------------------------------------------


def without_avx512(
    args: argparse.Namespace, clip: str, backends: list[str], frames: int
) -> tuple[dict[str, dict[str, Any]], str]:
    """ms and stages of each backend in new processes, as the processor is and as if it ended at AVX2; and a note."""
    found: dict[str, dict[str, Any]] = {}
    note = "AVX-512 is hidden from Numba by its variables, and from who asks CPUID: ONNX Runtime has no switch for it."
    with tempfile.TemporaryDirectory() as cache:
        for name in backends:
            job = {"clip": clip, "size": SIZES[SMALLEST], "backend": name, "student": args.student, "side": args.size}
            found[f"{name}, as it is"] = hot.in_a_process(Job(**job, threads=args.threads, frames=frames))
            try:
                found[f"{name}, AVX2"] = hot.in_a_process(
                    Job(**job, threads=args.threads, frames=frames, avx2=True), avx2.environment(cache)
                )
            except JitMaskerError as error:
                note = f"{error}. Only Numba has a switch for AVX-512; ONNX Runtime asks CPUID, so its row would lie."
    return {name: {key: one[key] for key in ("p50", "p95", "p99", "stages")} for name, one in found.items()}, note


def _avx2_rows(found: dict[str, dict[str, Any]]) -> tuple[Any, list[tuple]]:
    stages = next(iter(found.values()))["stages"]
    columns = ("who", "p50", "p95", "p99", *(f"{name} p50" for name in stages))
    return columns, [(name, one["p50"], one["p95"], one["p99"], *one["stages"].values()) for name, one in found.items()]
