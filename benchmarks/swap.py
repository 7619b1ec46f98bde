"""jm-bench swap: publishing and adopting students, again and again: time, and memory that stays flat.

The exit code is 1 where a student that was published was not adopted.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import psutil

from engine import Masker
from engine.contracts import Canvas
from engine.sources.synthetic import SyntheticPerson
from export.publish import Publisher

from .harness.methods import BACKGROUND
from .harness.progress import bar
from .harness.result import Metric, Result, Table
from .harness.timing import block_medians, percentiles

FILLING = 20  # swaps that are not counted: they fill the allocator's pools


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--swaps", type=int, default=500)


def main(args: argparse.Namespace) -> Result:
    swaps = min(args.swaps, 50) if args.quick else args.swaps
    bgr = SyntheticPerson().picture(0)
    canvas, process = Canvas(), psutil.Process()
    publish_ms, resident, filled = [], [], 0
    with Masker("auto", None, BACKGROUND, student=args.student, size=args.size, threads=args.threads) as masker:
        publisher = Publisher(masker.student, masker.size)
        tensors = dict(masker.student.tensors)
        for i in bar(range(swaps + FILLING), "swaps"):
            began = time.perf_counter()
            masker.swap(publisher.publish(tensors))
            taken = (time.perf_counter() - began) * 1e3
            for _ in range(3):
                masker.process(bgr, canvas=canvas)
            if i == FILLING - 1:
                filled = masker.stats.swaps
            if i >= FILLING:
                publish_ms.append(taken)
                resident.append(process.memory_info().rss / 2**20)
        stall = masker.swap_stall.summary("p50", "max")
        adopted = masker.stats.swaps - filled
    tenth = max(1, len(resident) // 10)
    first, last = float(np.mean(resident[:tenth])), float(np.mean(resident[-tenth:]))
    publish = percentiles(publish_ms, 50, 95)
    rows = [
        ("students published", swaps),
        ("students adopted", adopted),
        ("fold, patch, build, warm: p50 ms", publish["p50"]),
        ("the same: p95 ms", publish["p95"]),
        ("adopting, on the paint path: p50 ms", stall["p50"]),
        ("adopting: longest ms", stall["max"]),
        ("resident memory, first tenth: MB", first),
        ("resident memory, last tenth: MB", last),
    ]
    numbers = {
        "swaps": swaps,
        "adopted": adopted,
        "publish_ms": publish,
        "swap_stall_ms": stall,
        "resident_mb": {"first tenth": round(first, 1), "last tenth": round(last, 1)},
        "growth": round(last / first - 1, 4),
    }
    metrics = {
        "publish": Metric(block_medians(publish_ms), "lower"),
        "resident memory": Metric([last], "lower", "MB"),
    }
    title = f"{swaps} swaps after {FILLING} that are not counted, {args.student}, {args.threads} thread(s)"
    table = Table(title, ("what", "value"), rows, "learning off")
    return Result("swap", [table], numbers, metrics, ok=adopted == swaps)
