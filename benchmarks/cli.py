"""jm-bench: the composition root of the measurements."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engine.errors import JitMaskerError
from export.students import STUDENTS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one measurement; its table goes to standard output, the last line is JSON."""
    args = _parser().parse_args(argv)
    from . import accuracy, interference, paint, swap

    benches = {"paint": paint.main, "swap": swap.main, "interference": interference.main, "accuracy": accuracy.main}
    try:
        benches[args.bench](args)
    except JitMaskerError as error:
        print(f"jm-bench: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("jm-bench", description="Measure jit-masker on this machine.")
    benches = parser.add_subparsers(dest="bench", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        bench = benches.add_parser(name, help=text, description=text)
        bench.add_argument("--student", default="lite", choices=list(STUDENTS))
        bench.add_argument("--size", help="side of the student's input, or WxH; default: the student's own")
        bench.add_argument("--threads", type=int, default=2 if name in ("interference", "accuracy") else 1)
        return bench

    bench = add("paint", "the paint path, stage by stage, against the authors' way")
    bench.add_argument("--clip", help="take a frame of this clip; default: a synthetic one")
    bench.add_argument("--height", type=int, default=480, help="of the synthetic frame")
    bench.add_argument("--repeats", type=int, default=200)
    bench = add("swap", "many swaps: time, and memory that stays flat")
    bench.add_argument("--swaps", type=int, default=500)
    bench = add("interference", "what learning costs the picture")
    bench.add_argument("clip")
    bench.add_argument("--teacher", default="rvm")
    bench.add_argument("--frames", type=int, default=400)
    bench.add_argument("--rounds", type=int, default=3)
    bench = add("accuracy", "what a viewer sees of each clip, beside the peer and the teacher")
    bench.add_argument("clips", nargs="+")
    bench.add_argument("--teacher", default="rvm")
    bench.add_argument("--recipe", default="default", help="default, paper, or none (no learning)")
    bench.add_argument("--pace", default="lockstep", choices=("lockstep", "live"))
    bench.add_argument("--weights", help="the student's start; default: the shipped ones")
    bench.add_argument("--labels", help="folder that keeps the teacher's labels, for the next run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
