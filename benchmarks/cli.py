"""jm-bench: the composition root of the measurements."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import JitMaskerError
from export.students import STUDENTS

from .harness.machine import Others, describe, others_now
from .harness.result import Result, pool

INTERRUPTED = 130


@dataclass(frozen=True)
class Bench:
    """A subcommand: a module with `add_arguments(parser)`, and in it a function `(args) -> Result`."""

    target: str  # "module:function" of this package
    text: str  # for --help
    measures: bool = True  # False: it only reads files, so machine and others do not matter


BENCHES = {
    "table1": Bench("table1:main", "IoU of the teachers on DAVIS, Supervisely and folders of images and masks"),
    "table2": Bench("table2:main", "IoU-Acc, ms per frame and latency: ours and the peers through one pipeline"),
    "table3": Bench("table3:main", "camera, preprocess, student, output: ours, the authors' way, the copy floor"),
    "fig3": Bench("by_difficulty:fig3", "IoU-Acc by difficulty"),
    "fig4": Bench("by_difficulty:fig4", "ms per frame by difficulty"),
    "accuracy": Bench("accuracy:main", "what a viewer sees of each clip, beside the peer and the teacher"),
    "adapt": Bench("adapt:main", "frames to recover after each cut"),
    "flicker": Bench("flicker:main", "change of alpha where nothing moves"),
    "edges": Bench("edges:main", "boundary F-score, SAD and gradient error"),
    "kernels": Bench("paint:main", "every kernel and the whole paint path, against the authors' way and other ways"),
    "paint": Bench("paint:main", "another name of kernels"),
    "swap": Bench("swap:main", "many swaps: time, and memory that stays flat"),
    "interference": Bench("interference:main", "what learning costs the picture"),
    "startup": Bench("startup:main", "from nothing to the first picture"),
    "memory": Bench("memory:main", "largest resident memory of a run"),
    "soak": Bench("soak:main", "minutes of learning and painting: memory, faults, times that stay flat"),
    "manifest": Bench("cuts:main", "find the cuts of a folder of clips, and write their manifest", measures=False),
    "compare": Bench("compare:main", "what got better or worse between two results; exit 1 past a threshold", False),
    "report": Bench("page:main", "one HTML page of a folder of results, readable offline", measures=False),
    "all": Bench("run_all:main", "every bench after the other, then the report", measures=False),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one bench; its tables go to standard output, the last line is JSON. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser(arguments).parse_args(arguments)
    try:
        result = _run(args, _told(arguments))
        if result.machine:
            result.keep(Path(args.out))
    except JitMaskerError as error:
        print(f"jm-bench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    result.show()
    return 0 if result.ok else 1


def _run(args: argparse.Namespace, command: str) -> Result:
    bench = BENCHES[args.bench]
    function = _function(bench)
    if not bench.measures:
        return function(args)
    before, during = others_now(), Others()
    result = pool([function(args) for _ in range(args.runs)])
    result.command = command
    result.machine = {**describe(args.threads), "others": {"before": before, "during": during.cores()}}
    return result


def _told(arguments: Sequence[str]) -> str:
    """The command line as it is kept beside a number: folders of this machine by their last name alone."""
    words = []
    for argument in arguments:
        option, equals, value = argument.rpartition("=")
        words.append(option + equals + Path(value).name if Path(value).is_absolute() else argument)
    return "jm-bench " + shlex.join(words)


def _function(bench: Bench) -> Any:
    module, _, name = bench.target.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Every bench by name; the options of the chosen one alone, whose module alone is imported."""
    parser = argparse.ArgumentParser("jm-bench", description="Measure jit-masker on this machine.")
    benches = parser.add_subparsers(dest="bench", required=True)
    for name, bench in BENCHES.items():
        sub = benches.add_parser(name, help=bench.text, description=bench.text)
        sub.add_argument("--out", default="bench", metavar="DIR", help="where results are kept; default: bench")
        sub.add_argument("--quick", action="store_true", help="little input and few repeats: shows that it runs")
        if bench.measures:
            sub.add_argument("--runs", type=int, default=1, help="of the whole bench; compare uses their spread")
            sub.add_argument("--student", default="lite", choices=list(STUDENTS))
            sub.add_argument("--size", help="side of the student's input, or WxH; default: the student's own")
            sub.add_argument("--threads", type=int, default=1, help="CPU budget; default: 1, 2 where ours learns")
        if name in arguments[:1]:
            module = bench.target.partition(":")[0]
            importlib.import_module(f".{module}", __package__).add_arguments(sub)
    return parser


if __name__ == "__main__":
    sys.exit(main())
