"""jm-bench memory: what jm-engine holds while it runs, the painting process and the learner's, each run started anew.

A page that both hold counts half for each (PSS), so that the sum is what the machine has to have. Linux tells it; other
systems tell the largest resident memory of the process that paints, and nothing of the learner's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import JitMaskerError

from .harness.result import Metric, Result, Table
from .harness.runs import MOVING, name_of

STUDENTS = ("lite", "jitnet")
ONLY_IMPORT = "import engine; from engine.report import peak_memory_mb; print(peak_memory_mb())"
INTERVAL = 0.1  # s between two looks


@dataclass(frozen=True)
class Held:
    """Of one run, MB; None where the system does not say."""

    peak: float | None  # largest resident memory of the process that paints
    learner: float | None  # of the learner's; 0 where there is none
    together: float | None  # largest sum of what they hold
    median: float | None  # of that sum, over the second half of the run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", nargs="?", default=MOVING, help="default: a synthetic one")
    parser.add_argument("--teacher", default="rvm")
    parser.add_argument("--frames", type=int, default=500, help="of each run")
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    frames = 30 if args.quick else args.frames
    found: dict[str, Held] = {"import engine": Held(_imported(), 0.0, None, None)}
    for student in STUDENTS:
        for teacher in dict.fromkeys(("none", args.teacher)):
            found[f"{student}, teacher {teacher}"] = held(args, student, teacher, frames)
    title = f"Memory, MB, {frames} frames of {name_of(args.clip)}, {args.threads} thread(s)"
    columns = ("run", "painting, largest", "learner, largest", "together, largest", "together, median")
    rows = [(name, run.peak, run.learner, run.together, run.median) for name, run in found.items()]
    metrics = {name: Metric([mb], "lower", "MB") for name, run in found.items() if (mb := run.together or run.peak)}
    note = "Largest: resident memory of each. Together: what both hold, a page of both counted once; median of the "
    return Result(
        "memory", [Table(title, columns, rows, "live")],
        {"peak_mb": {name: run.peak for name, run in found.items()},
         "learner_mb": {name: run.learner for name, run in found.items()},
         "together_mb": {name: run.together for name, run in found.items()}},
        metrics, [f"{note}second half of a run."],
    )  # fmt: skip


def held(args: argparse.Namespace, student: str, teacher: str, frames: int) -> Held:
    """What one run of jm-engine at its clip's own pace holds. JitMaskerError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "engine.cli", "-i", args.clip, "--headless", "--pace", "live", "--still-gate", "off",
            "--teacher", teacher, "--student", student, "--threads", str(args.threads),
            "--max-frames", str(frames), "--report", str(report),
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            looks = []
            while process.poll() is None:
                looks.append([shares(pid) for pid in (process.pid, *children(process.pid))])
                time.sleep(INTERVAL)
            _, said = process.communicate()
        if process.returncode:
            raise JitMaskerError(f"jm-engine failed: {said.strip()}")
        peak = json.loads(report.read_text())["memory_mb"]["peak"]
    if not any(resident for look in looks for resident, _ in look):
        return Held(peak, None, None, None)
    sums = [sum(share for _, share in look) for look in looks]
    learner = max((resident for look in looks for resident, _ in look[1:]), default=0.0)
    return Held(peak, learner, max(sums), float(np.median(sums[len(sums) // 2 :])))


def children(pid: int) -> list[int]:
    """Processes that this one started and that run."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    try:
        return [int(child) for line in lists for child in line.read_text().split()]
    except OSError:  # a thread ended meanwhile
        return []


def shares(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and its share of what it holds together with others (PSS), MB; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024


def _imported() -> float | None:
    done = subprocess.run([sys.executable, "-c", ONLY_IMPORT], capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "None" else float(done.stdout)
