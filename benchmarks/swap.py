"""jm-bench swap: publishing and adopting students, again and again: time, and memory that stays flat."""

from __future__ import annotations

import argparse
import time

import numpy as np
import psutil

from engine import Masker
from engine.contracts import Frame
from engine.figure import MovingFigure
from export.publish import Publisher

from .machine import finish, show


def main(args: argparse.Namespace) -> None:
    bgr = MovingFigure().picture(0)
    out, process = np.empty_like(bgr), psutil.Process()
    publish_ms, resident = [], []
    with Masker("ort-cpu", None, "#204060", student=args.student, size=args.size, threads=args.threads) as masker:
        publisher = Publisher(masker.student, masker.size)
        tensors = dict(masker.student.tensors)
        for i in range(args.swaps + 20):
            began = time.perf_counter()
            masker.swap(publisher.publish(tensors))
            publish_ms.append((time.perf_counter() - began) * 1e3)
            for _ in range(3):
                masker.paint(Frame(bgr, i, 0.0, 0.0), out)
            if i >= 20:  # the first ones fill the allocator's pools
                resident.append(process.memory_info().rss / 2**20)
        stall = masker.swap_stall.summary("p50", "max")
        swaps = masker.stats.swaps
    tenth = max(1, len(resident) // 10)
    first, last = float(np.mean(resident[:tenth])), float(np.mean(resident[-tenth:]))
    p50, p95 = (round(float(np.percentile(publish_ms, q)), 3) for q in (50, 95))
    result = {
        "swaps": swaps,
        "publish_ms": {"p50": p50, "p95": p95},
        "swap_stall_ms": stall,
        "resident_mb": {"first tenth": round(first, 1), "last tenth": round(last, 1)},
        "growth": round(last / first - 1, 4),
    }
    show(
        f"{swaps} swaps, {args.student}, {args.threads} thread(s)",
        ("what", "value"),
        [
            ("fold, patch, build, warm: p50 ms", p50),
            ("the same: p95 ms", p95),
            ("adopting, on the paint path: p50 ms", stall["p50"]),
            ("adopting: longest ms", stall["max"]),
            ("resident memory, first tenth: MB", first),
            ("resident memory, last tenth: MB", last),
        ],
    )
    finish({"bench": "swap", **result})
