"""The rare frame: how long the longest of thousands took, and whether that was our doing or the machine's."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RARE = 2.0  # times the median; a frame that takes longer is looked at


@dataclass(frozen=True)
class RareFrame:
    """A frame that took more than RARE times the median."""

    index: int
    ms: float
    cpu_ms: float  # of the thread that paints
    switches: int  # involuntary ones: somebody else got the core
    faults: int  # minor ones: a page was asked for
    ours: bool  # at most: its CPU time is more than RARE times the median, too; a host that steals may count in it


@dataclass(frozen=True)
class Long:
    """A long run of frames."""

    ms: list[float]
    rare: list[RareFrame]
    faults: int  # minor ones, of all frames
    stolen_s: float  # CPU seconds that the host took from this virtual machine meanwhile

    def numbers(self) -> dict[str, Any]:
        """For programs."""
        ours = sum(frame.ours for frame in self.rare)
        p50, p95, p99 = (round(float(p), 4) for p in np.percentile(self.ms, (50, 95, 99)))
        return {
            "frames": len(self.ms), "p50": p50, "p95": p95, "p99": p99, "max": round(max(self.ms), 3),
            "rare": len(self.rare), "ours": ours, "not_ours": len(self.rare) - ours,
            "faults": self.faults, "stolen_s": self.stolen_s, "each": [asdict(frame) for frame in self.rare],
        }  # fmt: skip


def watch(paint: Callable[[], object], frames: int) -> Long:
    """Call `paint` that often, looking after each call at what the system counted for this thread. Linux."""
    wall, cpu = np.zeros((2, frames))
    counted = np.zeros((2, frames + 1), np.int64)  # switches, faults
    stolen = _stolen()
    counted[:, 0] = _counts()
    for i in range(frames):
        cpu_began, began = time.thread_time(), time.perf_counter()
        paint()
        wall[i], cpu[i] = time.perf_counter() - began, time.thread_time() - cpu_began
        counted[:, i + 1] = _counts()
    rare = judged(1e3 * wall, 1e3 * cpu, np.diff(counted))
    return Long((1e3 * wall).tolist(), rare, int(counted[1, -1] - counted[1, 0]), round(_stolen() - stolen, 2))


def judged(wall: np.ndarray, cpu: np.ndarray, counted: np.ndarray) -> list[RareFrame]:
    """The rare ones of `wall`, ms of each frame; `cpu`, ms; `counted`: (2, frames), switches and faults."""
    limit, cpu_limit = RARE * np.median(wall), RARE * np.median(cpu)
    return [
        RareFrame(
            int(i), round(float(wall[i]), 3), round(float(cpu[i]), 3), int(counted[0, i]), int(counted[1, i]),
            bool(cpu[i] > cpu_limit),
        )
        for i in np.flatnonzero(wall > limit)
    ]  # fmt: skip


def _counts() -> tuple[int, int]:
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_nivcsw, usage.ru_minflt


def _stolen() -> float:
    import psutil

    return float(getattr(psutil.cpu_times(), "steal", 0.0))
