"""jm-bench memory: the largest resident memory of jm-engine, each run in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.errors import JitMaskerError

from .harness.result import Metric, Result, Table
from .harness.runs import MOVING, name_of

STUDENTS = ("lite", "jitnet")
ONLY_IMPORT = "import engine; from engine.report import peak_memory_mb; print(peak_memory_mb())"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", nargs="?", default=MOVING, help="default: a synthetic one")
    parser.add_argument("--teacher", default="rvm")
    parser.add_argument("--frames", type=int, default=500, help="of each run")
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    frames = 30 if args.quick else args.frames
    found: dict[str, float | None] = {"import engine": _imported()}
    for student in STUDENTS:
        for teacher in ("none", args.teacher):
            found[f"{student}, teacher {teacher}"] = peak(args, student, teacher, frames)
    title = f"Largest resident memory, MB, {frames} frames of {name_of(args.clip)}, {args.threads} thread(s)"
    metrics = {name: Metric([mb], "lower", "MB") for name, mb in found.items() if mb is not None}
    return Result("memory", [Table(title, ("run", "MB"), list(found.items()), "lockstep")], {"peak_mb": found}, metrics)


def peak(args: argparse.Namespace, student: str, teacher: str, frames: int) -> float | None:
    """Largest resident memory of jm-engine in lockstep, MB; None where the system does not say.

    JitMaskerError where the run fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "engine.cli", "-i", args.clip, "--headless", "--pace", "lockstep",
            "--teacher", teacher, "--student", student, "--threads", str(args.threads),
            "--max-frames", str(frames), "--report", str(report),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise JitMaskerError(f"jm-engine failed: {done.stderr.strip()}")
        return json.loads(report.read_text())["memory_mb"]["peak"]


def _imported() -> float | None:
    done = subprocess.run([sys.executable, "-c", ONLY_IMPORT], capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "None" else float(done.stdout)
