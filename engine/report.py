"""The JSON report of a run; every key stands in docs/report.md. Knows how to read a Pipeline, not how to run one."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .errors import JitMaskerError, SinkError
from .first_pass import FirstPass
from .media.whole_file import write_whole
from .pipeline import Pipeline
from .timing import Durations

VERSIONS = ("jit-masker", "numpy", "numba", "onnxruntime", "opencv-python-headless", "opencv-python", "av", "torch")


def build(pipeline: Pipeline, ended: str, first: FirstPass | None = None) -> dict[str, Any]:
    """The report of a run that `ended` as `ending` says; `first`: what learned before it."""
    masker = pipeline.masker
    stats = masker.stats
    return {
        "ended": ended,
        "frames": pipeline.frames,
        "dropped": pipeline.dropped,
        "losses": pipeline.losses,
        "state": pipeline.state.value if pipeline.state is not None else None,
        "faults": stats.faults,
        "unsure": stats.unsure,
        "doubts": stats.doubts,
        "reused": stats.reused,
        "duration_s": round(pipeline.elapsed, 3),
        "first_pass_s": round(first.elapsed, 3) if first is not None else None,
        "backend": {
            "name": masker.live.backend.name,
            "provider": masker.live.backend.provider,
            "threads": masker.threads.paint,
            "reason": masker.backend_reason,
            "kernels": masker.kernels_name,
        },
        "student": {
            "name": masker.student.student,
            "size": list(masker.size),
            "version": stats.version,
            "parameters": masker.student.parameters,
        },
        "teacher": _teacher(stats.learning, masker.threads.learn),
        "period_ms": pipeline.period.summary("p50", "p95", "p99"),
        "latency_ms": pipeline.latency.summary("p50", "p95", "p99"),
        "paint_path_ms": masker.paint_path.summary("p50", "p95", "p99"),
        "stages_ms": {
            name: durations.summary("p50", "p95")
            for name, durations in {"capture": pipeline.capture, **masker.stages, "output": pipeline.output}.items()
        },
        "cpu_s": _cpu(stats),
        "learning": _learning(stats, masker.swap_stall),
        "memory_mb": {"peak": peak_memory_mb()},
        "machine": {
            "cpu": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "versions": installed_versions(VERSIONS),
        },
    }


def ending(error: BaseException | None, interrupted: bool) -> str:
    """How a run ended, in words: `error` is what ended it, None for nothing."""
    if interrupted or isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if error is None:
        return "ok"
    return str(error) if isinstance(error, JitMaskerError) else f"{type(error).__name__}: {error}"


def write(path: str | Path, report: dict[str, Any]) -> None:
    """`report` as JSON at `path`: a file whole or not at all, a device or a pipe directly. SinkError where it fails."""
    text = json.dumps(report, indent=1, allow_nan=False) + "\n"
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise SinkError(f"cannot write the report to {path}: {error.strerror}; choose another --report") from error


def _cpu(stats: Any) -> dict[str, float]:
    """CPU seconds, by what they were spent on; "process" is all that this process and the
    learner's spent, their start included.
    """
    learning = (
        stats.learning.cpu_s if stats.learning else dict.fromkeys(("teacher", "steps", "publishing", "watching"), 0)
    )
    spent = {"painting": stats.cpu_s, **learning, "process": time.process_time() + learning.get("process", 0)}
    return {name: round(seconds, 3) for name, seconds in spent.items()}


def _teacher(learning: Any, threads: int) -> dict[str, Any]:
    if learning is None:
        nothing = Durations(1).summary("p50", "p95")
        return {"name": "none", "calls": 0, "failures": 0, "threads": 0, "ms": nothing, "wire": None}
    return {
        "name": learning.teacher,
        "calls": learning.calls,
        "failures": learning.failures,
        "threads": threads,
        "ms": learning.teacher_ms.summary("p50", "p95"),
        "wire": learning.traffic,
    }


def _learning(stats: Any, swap_stall: Durations) -> dict[str, Any]:
    learning = stats.learning
    curve = learning.curve if learning else []
    scores = [score for _, score in curve]
    return {
        "steps": learning.steps if learning else 0,
        "publishes": learning.publishes if learning else 0,
        "swaps": stats.swaps,
        "rejected": stats.rejected,
        "refused_labels": learning.refused if learning else 0,
        "rollbacks": learning.rollbacks if learning else 0,
        "corrections": [correction.summary() for correction in learning.corrections] if learning else [],
        "room": learning.room if learning else None,
        "died": learning.died if learning else None,
        "publish_ms": (learning.publish_ms if learning else Durations(1)).summary("p50", "p95"),
        "swap_stall_ms": swap_stall.summary("p50", "max"),
        "iou_acc": {
            "mean": round(float(np.mean(scores)), 4) if scores else None,
            "last": round(scores[-1], 4) if scores else None,
            "curve": [[frame, round(score, 4)] for frame, score in curve],
        },
    }


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, MB; None where the system does not say (Windows)."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux: getrusage there begins with the memory of whoever started this process
        return round(int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024, 1)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def installed_versions(names: Sequence[str]) -> dict[str, str]:
    """Version of each distribution in `names` that is installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
