"""jm-engine as a user has it, on a clip at its own speed: the paint path, and what of a core it takes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from engine.errors import JitMaskerError

from .hot import FPS
from .methods import BACKGROUND

STARTING_S = 4.0  # of a run that are not looked at


def live(args: argparse.Namespace, clip: str, backend: str, seconds: float) -> dict[str, float]:
    """jm-engine on `clip` at its own speed: the paint path, ms, and the process's share of a core once it has started.

    JitMaskerError where it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "engine.cli", "-i", clip, "--loop", "--pace", "live", "-o", "null",
            "--teacher", "none", "--still-gate", "off", "--background", BACKGROUND,
            "--threads", str(args.threads), "--backend", backend,
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
