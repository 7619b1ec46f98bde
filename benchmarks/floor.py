"""jm-bench floor: how long a frame takes at its best, and beside whom: the whole path hot, alone on one thread.

Everybody paints the frames of one clip over a plain colour, block by block in turn, three rounds in one run. Then
thousands of frames for the rare one, a clip at its own speed through jm-engine, and the same on a processor that ends
at AVX2. Learning is off.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import torch

from engine.contracts import Canvas
from engine.errors import JitMaskerError
from kernels import load as load_kernels

from . import peers
from .harness import avx2, hot, rare
from .harness.hot import FPS, HotPath, Job
from .harness.methods import BACKGROUND, PLAIN, PeerPainter
from .harness.result import Metric, Result, Table
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
STARTING_S, LIVE_S = 4.0, 10.0  # of the live run that are not looked at, and that are
Paint = Callable[[], object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clips", default=os.environ.get("JM_CLIPS"), metavar="DIR",
        help="folder; its first clip is painted; default: JM_CLIPS, else a synthetic one",
    )  # fmt: skip
    parser.add_argument("--frames", type=int, default=10_000, help="that are painted for the rare one")


def main(args: argparse.Namespace) -> Result:
    clip, backends = hot.first_clip(args.clips), hot.cpu_backends()
    turns, frames, seconds = (1, 200, 2.0) if args.quick else (TURNS, args.frames, LIVE_S)
    rounds = everybody(args, clip, backends, turns)
    smallest = hot.frames_of(clip, SIZES[SMALLEST])
    long = {name: long_run(args, smallest, name, frames) for name in backends}
    lived = {name: live(args, clip, name, seconds) for name in backends}
    hidden, why = without_avx512(args, clip, backends, 60 if args.quick else 400)
    ratios = ratios_of(rounds, backends)
    whole = {name: [ms for one in rounds for ms in one[name]] for name in rounds[0]}
    what = f"{name_of(clip)}, {args.student}, {args.threads} thread(s)"
    numbers = {
        "hot_ms": {name: percentiles(ms, 50, 95, 99) for name, ms in whole.items()},
        "ratios": ratios, "rare": {name: one.numbers() for name, one in long.items()}, "live": lived, "avx2": hidden,
    }  # fmt: skip
    metrics = {name: Metric(block_medians(ms), "lower") for name, ms in whole.items()}
    metrics |= {f"ratio: {name}": Metric(values, "higher", "") for name, values in ratios.items()}
    tables = [
        Table(f"Whole path, hot: ms a frame, {what}", *_hot_rows(whole, rounds), "learning off"),
        Table(f"How many times as long as ours, {SMALLEST}, by round", *_ratio_rows(ratios), "learning off"),
        Table(f"The rare frame, {SMALLEST}, ms", *_rare_rows(long), "learning off"),
        Table(f"jm-engine at {FPS:g} frames per second, ms", *_live_rows(lived), "live"),
        Table(f"Without AVX-512, {SMALLEST}, in processes of their own, ms", *_avx2_rows(hidden), "learning off"),
    ]
    return Result("floor", tables, numbers, metrics, _notes(why))


def _notes(why: str) -> list[str]:
    return [
        f"Hot: {CALLS} frames in a row at each turn, after some that are not counted. At {FPS:g} frames per second the "
        "caches belong to others between two frames, and a frame takes longer: see the live row.",
        "A rare frame takes more than twice the median. Preempted: its CPU time does not, so the thread waited for a "
        "core. What the host takes from a virtual machine (stolen) looks like ours.",
        f"Both {SELFIE} run one network on LiteRT: composited by OpenCV, the fastest way known here, or by our kernel.",
        why,
    ]


# -- everybody, hot ------------------------------------------------------------------------------------------------


def everybody(args: argparse.Namespace, clip: str, backends: list[str], turns: int) -> list[dict[str, list[float]]]:
    """ms of every frame of ours, of each backend and size, and of the others at the smallest size; for each round."""
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
        painters |= others(hot.frames_of(clip, SIZES[SMALLEST]), args.threads)
        calls = 5 if args.quick else CALLS
        return [in_blocks(painters, turns, calls) for _ in range(ROUNDS)]


def others(frames: list[np.ndarray], threads: int) -> dict[str, Paint]:
    """Whole pictures of the others: a frame in, over a plain colour."""
    feed, canvas = hot.endless(frames), Canvas().fit(frames[0])
    background, selfie, kernels = np.full_like(frames[0], PLAIN), Selfie(threads), load_kernels()
    u2net, blend = PeerPainter(peers.load(U2NET, threads), threads), opencv_composite(background)

    def by_opencv() -> None:
        bgr = next(feed)
        blend(bgr, selfie.matte(bgr, canvas.alpha), canvas.picture)

    def by_our_kernel() -> None:
        bgr = next(feed)
        kernels.composite(bgr, selfie.matte(bgr, canvas.alpha), background, canvas.picture)

    return {
        SELFIE: by_opencv,
        SELFIE_OURS: by_our_kernel,
        AUTHORS: authors_steps(frames[0])["authors: paint path"],
        U2NET: lambda: u2net.process(next(feed), 0.0, canvas),
    }


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


def ratios_of(rounds: list[dict[str, list[float]]], backends: list[str]) -> dict[str, list[float]]:
    """Of each of the others to each backend of ours: median to median, one for each round."""
    return {
        f"{other} / {name}": [
            round(float(np.median(ms[other]) / np.median(ms[f"{name} {SMALLEST}"])), 3) for ms in rounds
        ]
        for other in GOALS
        for name in backends
    }


def _hot_rows(whole: dict[str, list[float]], rounds: list[dict[str, list[float]]]) -> tuple[Any, list[tuple]]:
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
    keys = ("frames", "p50", "p95", "p99", "max", "ours", "preempted", "faults", "stolen_s")
    names = ("frames", "p50", "p95", "p99", "max", "rare: ours", "rare: preempted", "page faults", "stolen, s")
    found = {name: one.numbers() for name, one in long.items()}
    return ("backend", *names), [(name, *(one[key] for key in keys)) for name, one in found.items()]


# -- at the speed of a camera ----------------------------------------------------------------------------------------


def live(args: argparse.Namespace, clip: str, backend: str, seconds: float) -> dict[str, float]:
    """jm-engine on `clip` at its own speed: the paint path, ms, and the process's share of a core once it has started.

    JitMaskerError where it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "engine.cli", "-i", clip, "--loop", "--pace", "live", "-o", "null",
            "--teacher", "none", "--background", BACKGROUND, "--threads", str(args.threads), "--backend", backend,
            "--student", args.student, "--max-frames", str(round(FPS * (STARTING_S + seconds))),
            "--report", str(report), *(["--size", args.size] if args.size else []),
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            share = share_of_a_core(psutil.Process(process.pid), seconds)
            _, said = process.communicate()
        if process.returncode:
            raise JitMaskerError(f"jm-engine failed: {said.strip()}")
        told = json.loads(report.read_text())
    stages = {f"{name} p50": ms["p50"] for name, ms in told["stages_ms"].items()}
    return {**told["paint_path_ms"], "dropped": told["dropped"], "share of a core": round(share, 4), **stages}


def share_of_a_core(process: psutil.Process, seconds: float) -> float:
    """CPU time of `process` over that of the clock, from STARTING_S on; 0.0 where it ended before."""
    try:
        time.sleep(STARTING_S)
        before, began = process.cpu_times(), time.perf_counter()
        time.sleep(seconds - 1)  # it must not end meanwhile
        after, elapsed = process.cpu_times(), time.perf_counter() - began
    except psutil.NoSuchProcess:
        return 0.0
    return (after.user + after.system - before.user - before.system) / elapsed


def _live_rows(lived: dict[str, dict[str, float]]) -> tuple[Any, list[tuple]]:
    columns = next(iter(lived.values()))
    return ("backend", *columns), [(name, *one.values()) for name, one in lived.items()]


# -- a processor that ends at AVX2 -----------------------------------------------------------------------------------


def without_avx512(
    args: argparse.Namespace, clip: str, backends: list[str], frames: int
) -> tuple[dict[str, dict[str, Any]], str]:
    """ms and stages of each backend in new processes, as the processor is and as if it ended at AVX2; and a note."""
    found: dict[str, dict[str, Any]] = {}
    note = (
        "AVX-512 is hidden from Numba and from whatever asks CPUID (ONNX Runtime, OpenCV, NumPy): they have no switch."
    )
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
