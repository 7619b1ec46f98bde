"""jm-bench startup: from nothing to the first picture, in a process of its own each time.

What a user waits for: the interpreter, the imports, the student, compiled kernels from their cache. With a teacher, and
a learner that is a thread, torch and the teacher's weights come on top; a learner in a process of its own, as that of
jm-engine, gets there while pictures are painted: its first label says when. The first start after an installation
paints with the fallback, until another process has compiled the kernels: measured apart, with an empty cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from engine.errors import JitMaskerError
from engine.learning import LIVE_LEARNER
from engine.rooms.store import CAPACITY, RoomStore

from .harness.full_memory import fill
from .harness.progress import bar
from .harness.result import Metric, Result, Table

STEPS = ("interpreter", "import engine", "Masker", "first picture", "second picture", "first label", "compiled")
WHOLES = ("to the first picture", "to the first label")  # without a teacher the last says nothing
PROGRAM = """
import json, sys, time
began = time.time()
from pathlib import Path
import numpy as np
from engine import Masker
from engine.contracts import RoomOptions
imported = time.time()
student, teacher, threads, learner, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
rooms = RoomOptions(Path(folder), writes=False) if folder else None
frame = np.full((480, 640, 3), 127, np.uint8)
with Masker("auto", teacher, "#204060", student=student, threads=threads, learner=learner, rooms=rooms) as masker:
    made = time.time()
    masker(frame)
    first = time.time()
    masker(frame)
    second = time.time()
    while teacher != "none" and not masker.stats.learning.teacher_ms.count:
        if masker.stats.learning.died:
            sys.exit(masker.stats.learning.died)
        time.sleep(0.04)
        masker(frame)
    labelled = time.time()
    while masker.kernels_name == "fallback":
        if time.time() - labelled > 60:
            sys.exit("the kernels are not compiled")
        time.sleep(0.04)
        masker(frame)
    compiled = time.time()
print(json.dumps([began, imported, made, first, second, labelled, compiled]))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", default="rvm")
    parser.add_argument("--starts", type=int, default=7, help="of each kind; the empty cache once")
    parser.set_defaults(threads=2)


def main(args: argparse.Namespace) -> Result:
    starts = 2 if args.quick else args.starts
    kinds = {"no teacher": ("none", "thread")}
    for learner in dict.fromkeys((LIVE_LEARNER, "thread")):
        kinds[f"teacher {args.teacher}, learner a {learner}"] = (args.teacher, learner)
    start(args, "none")  # not counted: files come from the disk, kernels are compiled
    taken = {kind: [start(args, *who) for _ in bar(range(starts), kind)] for kind, who in kinds.items()}
    with tempfile.TemporaryDirectory() as folder:
        fill(RoomStore(Path(folder)), args.student)
        kind = f"no teacher, {CAPACITY} rooms remembered"
        taken[kind] = [start(args, "none", rooms=folder) for _ in bar(range(starts), kind)]
    with tempfile.TemporaryDirectory() as cache:
        taken["no teacher, kernels not compiled yet"] = [start(args, "none", kernel_cache=cache)]
    rows, numbers, metrics = [], {}, {}
    for kind, several in taken.items():
        whole = [sum(steps[:4]) for steps in several]
        to_label = [sum(steps[:6]) for steps in several]
        medians = [float(m) for m in (*np.median(several, axis=0), np.median(whole), np.median(to_label))]
        rows.append((kind, *medians))
        numbers[kind] = dict(zip((*STEPS, *WHOLES), [round(m, 3) for m in medians], strict=True))
        metrics[kind] = Metric(whole, "lower", "s")
    title = f"Start, seconds of each step, median of {starts}, {args.student}, {args.threads} thread(s)"
    table = Table(title, ("start", *STEPS, *WHOLES), rows, "live")
    return Result("startup", [table], {"s": numbers}, metrics)


def start(
    args: argparse.Namespace, teacher: str, learner: str = "thread", kernel_cache: str | None = None, rooms: str = ""
) -> list[float]:
    """Seconds of each of STEPS in a new process.

    JitMaskerError, with the last line that the process wrote, where it fails.
    """
    environment = dict(os.environ) | ({"NUMBA_CACHE_DIR": kernel_cache} if kernel_cache else {})
    command = [sys.executable, "-c", PROGRAM, args.student, teacher, str(args.threads), learner, rooms]
    began = time.time()  # the clock that two processes share
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise JitMaskerError(f"a start with teacher {teacher} failed: {done.stderr.strip().splitlines()[-1:]}")
    return [float(step) for step in np.diff([began, *json.loads(done.stdout.splitlines()[-1])])]
