"""jm-bench all: every bench after the other, each in a process of its own, then the report. Measures nothing itself.

What needs clips is left out, and said so, where there are none.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from .harness import manifest
from .harness.result import Result, Table

ALONE = ("kernels", "floor", "threads", "table3", "swap", "startup", "memory", "interference", "soak", "call")
ON_CLIPS = ("table2", "fig3", "fig4", "accuracy", "conditions", "lies", "passes", "rooms", "profile")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    parser.add_argument(
        "--davis", metavar="DIR", help="DAVIS 2016 in its official layout, for table1, edges, davis, lies and truth"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="people, rooms, a dancer, for leak, truth and corrections; see jm-bench leak --help",
    )
    parser.add_argument("--supervisely", metavar="DIR", help="Supervisely Person in its official layout, for table1")
    parser.add_argument("--masks", nargs="*", default=[], metavar="DIR", help="folders with images/ and masks/")
    parser.add_argument("--labels", metavar="DIR", help="folder that keeps the reference's labels; default: in --out")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak and of the call")


def main(args: argparse.Namespace) -> Result:
    rows = []
    for bench, options in plan(args):
        print(f"jm-bench {bench}", file=sys.stderr, flush=True)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.cli", bench, *options, "--out", args.out], stdout=subprocess.DEVNULL
        )
        taken = time.perf_counter() - began
        rows.append((bench, round(taken), "ok" if done.returncode == 0 else f"exit code {done.returncode}"))
    failed = [bench for bench, _, word in rows if word != "ok"]
    notes = [f"Results and report.html are in {args.out}."]
    if args.clips is None:
        notes.append(f"{', '.join(ON_CLIPS)}: left out, they need --clips DIR. {manifest.WHERE}.")
    table = Table("Every bench", ("bench", "seconds", "ended"), rows, None)
    return Result("all", [table], {"failed": failed}, notes=notes, ok=not failed)


def plan(args: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """(bench, its options) of everything that can run with what was given."""
    quick = ["--quick"] if args.quick else []
    pictures = [f"--davis={args.davis}"] if args.davis else []
    pictures += ["--masks", *args.masks] if args.masks else []
    people = [*pictures, *([f"--supervisely={args.supervisely}"] if args.supervisely else [])]
    clips, talk = [], []
    if args.clips is not None:
        talk = [manifest.read_manifest(args.manifest, args.clips).clips[0].path]  # real footage, where there is any
        clips = ["--clips", args.clips, "--manifest", args.manifest, *(["--only", *args.only] if args.only else [])]
        clips += ["--frames", str(args.frames)] if args.frames else []
    extra = {"table3": clips, "memory": talk, "interference": talk, "soak": [*talk, "--minutes", str(args.minutes)]}
    extra["floor"] = extra["threads"] = ["--clips", args.clips] if args.clips is not None else []
    extra["call"] = [*talk, "--minutes", str(max(2, round(args.minutes)))]
    steps = [(bench, [*quick, *extra.get(bench, [])]) for bench in ALONE]
    labels = ["--labels", args.labels or str(Path(args.out) / "labels")]
    if args.clips is not None:
        few = ["--peers", "selfie", "sinet"] if args.quick else []  # the slow ones stand in table2
        scored = {"fig3": [*labels, *few], "fig4": few}
        if args.davis:
            scored["lies"] = [*labels, "--davis", args.davis]
        steps += [(bench, [*quick, *clips, *scored.get(bench, labels)]) for bench in ON_CLIPS]
    if pictures:
        steps.append(("edges", [*quick, *pictures]))
    if args.davis:
        steps.append(("davis", [*quick, "--clips", args.davis, *labels]))
    if args.data:
        steps.append(("leak", [*quick, "--data", args.data, *clips, *labels]))
        steps.append(("corrections", [*quick, "--data", args.data, *labels]))
    known = [f"--{name}={given}" for name, given in (("data", args.data), ("davis", args.davis)) if given]
    if known:
        steps.append(("truth", [*quick, *known, *labels]))
    return [*steps, ("table1", [*quick, *people]), ("report", [])]
