"""What a number needs beside it: the machine, the versions, the commit, and how busy others were. Measures nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from engine.backends import gpu_detection
from engine.report import VERSIONS, installed_versions, processor

LOOK = 0.5  # s, looking at what other processes do before a bench begins
BUSY = 0.15  # cores; others that use more are said to be busy: it moves a median


def describe(threads: int) -> dict[str, Any]:
    """Machine, versions, commit and the bench's thread budget."""
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    gpu = gpu_detection.find()
    return {
        "cpu": processor(),
        "gpu": None if isinstance(gpu, str) else gpu.name,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": installed_versions(VERSIONS),
        "commit": commit.stdout.strip() or "unknown",
        "threads": threads,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


class Others:
    """How many cores processes other than this one and its children kept busy, from the constructor on."""

    def __init__(self) -> None:
        self._began, self._spent = time.perf_counter(), _others_cpu()

    def cores(self) -> float:
        """Cores that others used until now, on average; 0.0 or more."""
        elapsed = time.perf_counter() - self._began
        return round(max(0.0, (_others_cpu() - self._spent) / elapsed), 2) if elapsed > 0 else 0.0


def others_now() -> float:
    """Cores that others use in the next LOOK seconds."""
    others = Others()
    time.sleep(LOOK)
    return others.cores()


def _others_cpu() -> float:
    """CPU seconds spent on this machine since it began, less those of this process and its children that ended."""
    whole, own = psutil.cpu_times(), psutil.Process().cpu_times()
    busy = whole.user + whole.system + getattr(whole, "nice", 0.0) + getattr(whole, "irq", 0.0)
    return busy - own.user - own.system - getattr(own, "children_user", 0.0) - getattr(own, "children_system", 0.0)


def header(machine: dict[str, Any]) -> str:
    """`machine` (of `describe`, with "others" where it was looked at) in two lines for people."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    gpu = machine.get("gpu") or "no GPU"
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {gpu}, {machine['system']}, Python {machine['python']}, "
        f"{machine['threads']} thread(s), commit {machine['commit']}",
        versions,
    ]
    others = machine.get("others")
    if others:
        busiest = max(others.values())
        told = "BUSY: do not trust the times" if busiest > BUSY else "quiet"
        lines.append("other processes used " + ", ".join(f"{v:g} cores {k}" for k, v in others.items()) + f" ({told})")
    return "\n".join(lines)
