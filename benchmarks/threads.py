"""jm-bench threads: what more paint threads gain, on all cores and on few, and who has which priority after swaps.

Each run is a process of its own, held to its cores before anything is loaded; all take turns, round by round. Then
students are swapped from a thread as nice as the learner's: a pool that inherited its priority would paint late
whenever anybody else wants the core. The exit code is 1 where a thread that paints has another priority than 0. Linux.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from .harness import hot
from .harness.hot import Job
from .harness.progress import bar
from .harness.result import Metric, Result, Table
from .harness.runs import name_of
from .harness.timing import block_medians, percentiles

SIZES = {"640x480": (640, 480), "1920x1080": (1920, 1080)}
THREADS = (1, 2, 4, 8, 16)
SWAPPED = (1, 2, 4)  # paint threads of the runs whose students are swapped
SWAPS = 20
PAINTS_MS = 1.0  # of CPU, while frames are painted: a thread that takes more paints
POLICIES = {0: "other", 1: "fifo", 2: "round robin", 3: "batch", 5: "idle", 6: "deadline"}  # sched.h
Key = tuple[str, int, int]  # frame size, paint threads, cores; 0: all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clips", default=os.environ.get("JM_CLIPS"), metavar="DIR",
        help="folder; its first clip is painted; default: JM_CLIPS, else a synthetic one",
    )  # fmt: skip
    parser.add_argument("--backend", default="auto", help="what runs our student; see jm-engine --list-backends")
    parser.add_argument("--repeats", type=int, default=200, help="frames of each run")
    parser.add_argument("--rounds", type=int, default=3)


def main(args: argparse.Namespace) -> Result:
    clip, cores = hot.first_clip(args.clips), len(os.sched_getaffinity(0))
    rounds, repeats = (1, 30) if args.quick else (args.rounds, args.repeats)
    threads = [count for count in THREADS if not args.quick or count <= 2]
    pinned = [count for count in THREADS if count < cores]
    keys: list[Key] = [(size, count, held) for size in SIZES for held in (*pinned, 0) for count in threads]
    ms: dict[Key, list[float]] = {key: [] for key in keys}
    for size, count, held in bar(keys * rounds, "runs"):
        ms[size, count, held] += hot.in_a_process(job(args, clip, size, count, repeats, held))["ms"]
    swapped = {
        count: hot.in_a_process(job(args, clip, "640x480", count, repeats, swaps=SWAPS))["threads"]
        for count in SWAPPED
        if count in threads
    }
    late = [one["name"] for found in swapped.values() for one in found if paints(one) and one["nice"]]
    title = f"ms a frame, hot, {name_of(clip)}, {args.student}, {rounds} round(s) of {repeats} frames, {cores} cores"
    columns = ("frame", "held to", "paint threads", "p50", "p95", "p99", "times 1 thread", "")
    numbers = {
        "threads": [{"frame": s, "threads": n, "cores": c, **percentiles(ms[s, n, c], 50, 95, 99)} for s, n, c in keys],
        "priorities": {str(count): found for count, found in swapped.items()},
    }
    metrics = {f"{s}, {n} thread(s), {_held(c)}": Metric(block_medians(ms[s, n, c]), "lower") for s, n, c in keys}
    tables = [
        Table(title, columns, [_row(key, ms, cores) for key in keys], "learning off"),
        Table(
            f"Every thread of the process after {SWAPS} swaps from a thread of low priority",
            ("paint threads", "thread", "nice", "scheduling", "CPU ms meanwhile", "paints"),
            [(count, *_who(one)) for count, found in swapped.items() for one in found],
            "learning off",
        ),
    ]
    notes = [f"CPU ms: while {repeats} frames were painted; a thread with more than {PAINTS_MS:g} paints."]
    if late:
        notes.append(f"These paint with another priority than 0: {', '.join(late)}.")
    return Result("threads", tables, numbers, metrics, notes, ok=not late)


def job(
    args: argparse.Namespace, clip: str, size: str, threads: int, frames: int, cores: int = 0, swaps: int = 0
) -> Job:
    return Job(clip, SIZES[size], args.backend, args.student, args.size, threads, frames, cores, swaps=swaps)


def paints(thread: dict[str, Any]) -> bool:
    return bool(thread["cpu_ms"] > PAINTS_MS)


def _held(cores: int) -> str:
    return f"{cores} core(s)" if cores else "all cores"


def _row(key: Key, ms: dict[Key, list[float]], cores: int) -> tuple:
    size, threads, held = key
    p50, p95, p99 = percentiles(ms[key], 50, 95, 99).values()
    alone = percentiles(ms[size, 1, held], 50)["p50"]
    crowd = "more threads than cores" if threads > (held or cores) else None
    return size, _held(held), threads, p50, p95, p99, p50 / alone, crowd


def _who(thread: dict[str, Any]) -> tuple:
    policy = POLICIES.get(thread["policy"], str(thread["policy"]))
    return thread["name"], thread["nice"], policy, thread["cpu_ms"], "yes" if paints(thread) else "no"
