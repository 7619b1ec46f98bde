"""What a number needs beside it: the machine, the versions, the commit, and how busy it was."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.report import VERSIONS, installed_versions, processor


def describe() -> dict[str, Any]:
    """Machine, versions, commit and load average at this moment."""
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": installed_versions(VERSIONS),
        "commit": commit.stdout.strip() or "unknown",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def side_by_side(
    functions: dict[str, Callable[[], object]], repeats: int, warm: int = 5
) -> dict[str, dict[str, float]]:
    """Milliseconds of each function, taken in turn, so that a busy moment of the machine falls on all of them.

    Returns name -> {"p50", "p95"}; the first `warm` rounds are not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(warm + repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if round_ >= warm:
                taken[name].append((time.perf_counter() - began) * 1e3)
    return {
        name: {"p50": round(float(np.median(ms)), 4), "p95": round(float(np.percentile(ms, 95)), 4)}
        for name, ms in taken.items()
    }


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A Markdown table on standard output."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("| " + " | ".join("---" for _ in columns) + " |")
    for row in rows:
        print("| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")


def finish(result: dict[str, Any]) -> None:
    """The last line: everything as JSON, with the machine."""
    print("\n" + json.dumps({**result, "machine": describe()}))
