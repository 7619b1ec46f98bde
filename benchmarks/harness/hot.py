"""The paint path hot: frames of a clip, painted again and again, in this process or in one of its own.

Frames go forth and back through a stretch of the clip, so that each differs from the one before and none is a cut.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import kernels
from engine import Masker
from engine.backends import BACKENDS, ON_GPU, import_backend
from engine.contracts import Canvas
from engine.errors import BackendUnavailable, JitMaskerError, UsageError
from engine.sources import open_source
from export.publish import Publisher
from training.datasets import VIDEO_SUFFIXES

from .methods import BACKGROUND
from .runs import MOVING
from .timing import percentiles, series

STRETCH = 16  # frames of the clip
FPS = 25.0
REFERENCE_BACKEND = "torch-cpu"  # for tests, not for painting
WARM_FRAMES = 60  # of a new process: code, caches, the guard's trust
HARNESS = Path(__file__).parent
# what has to be done before anything else is loaded: the cores that pools are made for, what the processor can do
PROGRAM = """
import json, os, sys
job = json.loads(sys.argv[1])
if job["cores"]:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job["cores"]])
if job["avx2"]:
    sys.path.insert(0, job["harness"])
    from avx2 import hide
    del sys.path[0]
    if not hide():
        sys.exit("CPUID cannot be made to fault on this machine")
from benchmarks.harness.hot import answer
answer(job)
"""


@dataclass(frozen=True)
class Job:
    """What a process of its own is to paint."""

    clip: str
    size: tuple[int, int]  # (W, H)
    backend: str
    student: str
    side: str | None  # of the student's input
    threads: int
    frames: int  # that are counted
    cores: int = 0  # that the process is held to; 0: all
    avx2: bool = False  # the processor seems to end there
    swaps: int = 0  # of the student, from a thread of low priority, before anything is counted


def first_clip(folder: str | None) -> str:
    """The first clip in `folder` by name; a synthetic one where there is none. UsageError where that is no folder."""
    if folder and not Path(folder).is_dir():
        raise UsageError(f"--clips is {folder}; expected a folder, with clips in it")
    found = sorted(p for p in Path(folder).iterdir() if p.suffix in VIDEO_SUFFIXES) if folder else []
    return str(found[0]) if found else MOVING


def frames_of(clip: str, size: tuple[int, int]) -> list[np.ndarray]:
    """The first STRETCH frames of `clip`, scaled to `size` (W, H): uint8 (H, W, 3)."""
    stretch = itertools.islice(open_source(clip), STRETCH)
    return [cv2.resize(frame.bgr, size, interpolation=cv2.INTER_LINEAR) for frame in stretch]


def endless(frames: Sequence[np.ndarray]) -> Any:
    """`frames` forth and back without end."""
    return itertools.cycle([*frames, *frames[-2:0:-1]])


def cpu_backends() -> list[str]:
    """Names of the backends that paint on a CPU and can be used here."""
    names = []
    for name in BACKENDS.keys() - {*ON_GPU, REFERENCE_BACKEND}:
        try:
            import_backend(name)
        except BackendUnavailable:
            continue
        names.append(name)
    return sorted(names, key=list(BACKENDS).index)


class HotPath:
    """Paints the next frame at each call. `close()` ends it."""

    def __init__(self, frames: Sequence[np.ndarray], backend: str, student: str, side: str | None, threads: int):
        # min_area: the person is painted whatever the student answers
        self.masker = Masker(
            backend, None, BACKGROUND, student=student, size=side, threads=threads, min_area=0.0
        )  # fmt: skip
        self._frames, self._canvas, self._position = endless(frames), Canvas(), 0.0

    def __call__(self) -> None:
        self._position += 1 / FPS
        self.masker.process(next(self._frames), self._position, self._canvas)

    def close(self) -> None:
        self.masker.close()


def in_a_process(job: Job, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What `answer` says of `job` in a new process. JitMaskerError, with its last line, where it fails."""
    asked = json.dumps({**asdict(job), "harness": str(HARNESS)})
    command = [sys.executable, "-c", PROGRAM, asked]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    if done.returncode:
        raise JitMaskerError(f"painting in a process of its own failed: {done.stderr.strip().splitlines()[-1:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def answer(given: dict[str, Any]) -> None:
    """In a process of its own: paint a Job; its times and who has which priority go to standard output, as JSON."""
    given.pop("harness")
    job = Job(**{**given, "size": tuple(given["size"])})
    kernels.load()  # compiled before anything is timed, and so is the backend, where it has to be
    path = HotPath(frames_of(job.clip, job.size), job.backend, job.student, job.side, job.threads)
    for _ in range(WARM_FRAMES):
        path()
    if job.swaps:
        swap_often(path, job.swaps)
    before = cpu_of_threads()
    ms = series(path, job.frames)
    stages = {name: durations.recent(job.frames) for name, durations in path.masker.stages.items()}
    spent = {tid: cpu - before.get(tid, 0.0) for tid, cpu in cpu_of_threads().items()}
    print(json.dumps({"ms": ms, **percentiles(ms, 50, 95, 99), "stages": stages, "threads": threads_now(spent)}))
    path.close()


def swap_often(path: HotPath, swaps: int) -> None:
    """Publish that many students from a thread as nice as the learner's, while frames are painted."""
    import threading

    from training.online.learner import NICENESS

    masker = path.masker
    publisher, tensors = Publisher(masker.student, masker.size), dict(masker.student.tensors)

    def learn() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        for _ in range(swaps):
            masker.swap(publisher.publish(tensors))

    learner = threading.Thread(target=learn, name="learner")
    learner.start()
    while learner.is_alive():
        path()
    path()  # adopts the last one


def cpu_of_threads() -> dict[int, float]:
    """CPU time of each thread of this process so far, ms, by its number. Linux."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(task.name): int((task / "schedstat").read_text().split()[0]) / 1e6 for task in tasks}


def threads_now(spent: dict[int, float]) -> list[dict[str, Any]]:
    """Name, nice value and scheduling policy of each thread of this process, and the CPU time it `spent`, ms."""
    import threading

    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found = []
    for tid, ms in sorted(spent.items()):
        comm, fields = Path(f"/proc/self/task/{tid}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
        values = fields.split()  # from the third on, "state"
        name = names.get(tid, f"{comm}, not of Python")
        found.append({"name": name, "nice": int(values[16]), "policy": int(values[38]), "cpu_ms": round(ms, 2)})
    return found
