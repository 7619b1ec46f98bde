"""jm-bench: the composition root of the measurements."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import kernels
from engine import backends
from engine.errors import JitMaskerError
from export.students import STUDENTS

from .harness.machine import Others, describe, others_now
from .harness.result import Result, pool

INTERRUPTED = 130


BENCHES = {  # name -> text for --help; a newcomer adds a line here, and one in `_import`
    "table1": "IoU of the teachers on DAVIS, Supervisely and folders of images and masks",
    "table2": "IoU-Acc, ms per frame and latency: ours and the peers through one pipeline",
    "table3": "camera, preprocess, student, output: ours, the authors' way, the copy floor",
    "fig3": "IoU-Acc by difficulty",
    "fig4": "ms per frame by difficulty",
    "accuracy": "what a viewer sees of each clip: IoU-Acc, edges, flicker, recovery after cuts, ghosts",
    "edges": "boundary F-score, SAD and gradient error on pictures with masks",
    "davis": "a camera that moves: learning and not, against masks that people drew",
    "conditions": "lamps, exposure, pans, phones, small people: learning against not learning",
    "lies": "what a teacher that lies can do, on this machine and from a server",
    "leak": "how much of the real room each method lets out, and what of it can be put together or read",
    "truth": "how good everybody's alpha is against a matte that is true, and who is ahead of whom",
    "kernels": "every kernel and the whole paint path, against the authors' way and other ways",
    "floor": "how long a frame takes at its best, hot, live, without AVX-512; selfie, the authors and U2-Net beside it",
    "threads": "paint threads from 1 to 16 on 1 to all cores, and who has which priority after swaps",
    "swap": "many swaps: time, and memory that stays flat",
    "interference": "what learning costs the picture",
    "startup": "from nothing to the first picture",
    "memory": "largest resident memory of a run",
    "soak": "minutes of learning and painting: memory, faults, times that stay flat",
    "passes": "what learning from a sample of the whole clip gains before the first picture",
    "rooms": "a place that is come back to: cold, with what a process remembers, with what lies on disk",
    "corrections": "a thing that the teacher loses or keeps, and one stroke that corrects it",
    "profile": "what a personal profile gains on what was never kept, and costs on other people",
    "call": "minutes in a call: engine, panel and learning, another background each minute",
    "manifest": "find the cuts of a folder of clips, and write their manifest",
    "compare": "what got better or worse between two results; exit 1 past a threshold",
    "report": "one HTML page of a folder of results, readable offline",
    "all": "every bench after the other, then the report",
}
READERS = ("manifest", "compare", "report", "all")  # they measure nothing: the machine and others do not matter


def _import(name: str) -> ModuleType:
    """The bench called `name`, which alone is imported: `add_arguments(parser)` and `main(args) -> Result`."""
    bench: ModuleType
    match name:
        case "table1":
            from . import table1 as bench
        case "table2":
            from . import table2 as bench
        case "table3":
            from . import table3 as bench
        case "fig3":
            from . import fig3 as bench
        case "fig4":
            from . import fig4 as bench
        case "accuracy":
            from . import accuracy as bench
        case "edges":
            from . import edges as bench
        case "davis":
            from . import davis as bench
        case "conditions":
            from . import conditions as bench
        case "lies":
            from . import lies as bench
        case "leak":
            from . import leak as bench
        case "truth":
            from . import truth as bench
        case "kernels":
            from . import paint as bench
        case "floor":
            from . import floor as bench
        case "threads":
            from . import threads as bench
        case "swap":
            from . import swap as bench
        case "interference":
            from . import interference as bench
        case "startup":
            from . import startup as bench
        case "memory":
            from . import memory as bench
        case "soak":
            from . import soak as bench
        case "passes":
            from . import passes as bench
        case "rooms":
            from . import rooms as bench
        case "corrections":
            from . import corrections as bench
        case "profile":
            from . import personal as bench
        case "call":
            from . import call as bench
        case "manifest":
            from . import cuts as bench
        case "compare":
            from . import compare as bench
        case "report":
            from . import report as bench
        case "all":
            from . import run_all as bench
    return bench


def main(argv: Sequence[str] | None = None) -> int:
    """Run one bench; its tables go to standard output, the last line is JSON. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser(arguments).parse_args(arguments)
    try:
        result = _run(args, _command(arguments))
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
    bench = _import(args.bench)
    if args.bench in READERS:
        return bench.main(args)
    kernels.load()  # or a Masker paints with others at first
    backends.load("auto")  # likewise
    before, during = others_now(), Others()
    result = pool([bench.main(args) for _ in range(args.runs)])
    result.command = command
    result.machine = {**describe(args.threads), "others": {"before": before, "during": during.cores()}}
    return result


def _command(arguments: Sequence[str]) -> str:
    """The command line as it is kept beside a number: folders of this machine by their last name alone."""
    words = []
    for argument in arguments:
        option, equals, value = argument.rpartition("=")
        words.append(option + equals + Path(value).name if Path(value).is_absolute() else argument)
    return "jm-bench " + shlex.join(words)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Every bench by name; the options of the chosen one alone."""
    parser = argparse.ArgumentParser("jm-bench", description="Measure jit-masker on this machine.")
    benches = parser.add_subparsers(dest="bench", required=True)
    for name, text in BENCHES.items():
        sub = benches.add_parser(name, help=text, description=text)
        sub.add_argument("--out", default="bench", metavar="DIR", help="where results are kept; default: bench")
        sub.add_argument("--quick", action="store_true", help="little input and few repeats: shows that it runs")
        if name not in READERS:
            sub.add_argument("--runs", type=int, default=1, help="of the whole bench; compare uses their spread")
            sub.add_argument("--student", default="lite", choices=list(STUDENTS))
            sub.add_argument("--size", help="side of the student's input, or WxH; default: the student's own")
            sub.add_argument("--threads", type=int, default=1, help="CPU budget; default: 1, 2 where ours learns")
        if name in arguments[:1]:
            _import(name).add_arguments(sub)
    return parser


if __name__ == "__main__":
    sys.exit(main())
