"""jm-engine: the composition root. Options in, parts put together, exit code out. Nobody imports this module."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .errors import JitMaskerError, UsageError
from .options import Options, read_options
from .pipeline import Pipeline

log = logging.getLogger("jit_masker")

INTERRUPTED = 130
STATUS_INTERVAL = 0.25  # s between two updates of the status line
ABANDONABLE = {"teacher", "learner", "camera", "source", "paint"}  # names of our daemon threads
PACKAGES = ("kernels", "engine", "export", "training")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `jm-engine`; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        check_siblings()
        if arguments[:1] == ["models"]:
            from . import assets

            return assets.main(arguments[1:])
        options, seen = read_options(arguments)
        terminal = sys.stderr.isatty()
        level = logging.INFO if terminal or seen.verbose else logging.WARNING
        logging.basicConfig(level=level, format="jm-engine: %(message)s", stream=sys.stderr)
        return list_backends() if seen.list_backends else run(options, status=terminal)
    except JitMaskerError as error:
        print(f"jm-engine: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def check_siblings() -> None:
    """Our packages have common names: make sure that none of them is somebody else's.

    Raises
    ------
    UsageError
        Two of them come from different places; the message names both.
    """
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        place = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if place != home:
            raise UsageError(
                f"the package {name!r} is found in {place}, and this program lives in {home}; another distribution or "
                "folder shadows it. Install jit-masker in a virtual environment of its own"
            )


def list_backends() -> int:
    from .backends import available

    for name, state in available().items():
        print(f"{name:12} {state}")
    return 0


def run(options: Options, status: bool) -> int:
    """Build the parts, run them, write the report. Every part is closed whatever happens."""
    from . import report
    from .masker import Masker
    from .painting.edge_options import EdgeOptions
    from .sinks import AlphaFile, open_sink
    from .sources import Paced, open_source

    output = options.output or ("null" if options.headless else "window")
    source = open_source(options.input, size=options.input_size, fps=options.fps, loop=options.loop)
    pace = options.pace or ("live" if source.live or output in ("window", "camera") else "lockstep")
    if source.live and pace != "live":
        source.close()
        raise UsageError(f"--pace is {pace!r} and {options.input} is live; only --pace live keeps up with it")
    sinks: list = []
    masker = None
    try:
        masker = Masker(
            options.backend, options.teaching, options.background, student=options.student, size=options.size,
            weights=options.weights, threads=options.threads, recipe=options.recipe, lockstep=pace == "lockstep",
            min_area=options.min_area, edges=EdgeOptions(options.threshold, options.feather, options.light_wrap),
            seed=options.seed,
        )  # fmt: skip
        stored = masker.background.transparent and output not in ("window", "null") and not output.startswith("camera")
        fps = source.fps or 25.0
        sinks.append(open_sink(output, fps=fps, sound=source.sound, transparent=stored))
        if options.alpha:
            sinks.append(AlphaFile(options.alpha, fps))
        log.info("%s: %s", masker.backend_name, masker.backend_reason)
        paced = Paced(source) if pace == "live" and not source.live else source
        pipeline = Pipeline(
            paced, masker, sinks, lockstep=pace == "lockstep", straight=stored, max_frames=options.max_frames,
            on_picture=StatusLine() if status else None,
        )  # fmt: skip
        return _run(pipeline, options, report)
    finally:
        source.close()
        for sink in sinks:
            sink.close()
        if masker is not None:
            masker.close()


def _run(pipeline: Pipeline, options: Options, report) -> int:
    interrupted: list[int] = []

    def stop(number: int, _: object) -> None:
        if interrupted:  # the second time, at once
            raise KeyboardInterrupt
        interrupted.append(number)
        pipeline.stop()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    ended = "ok"
    try:
        pipeline.run()
    except JitMaskerError as error:
        ended = str(error)
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if options.report:
            report.write(options.report, report.build(pipeline, "interrupted" if interrupted else ended))
    return INTERRUPTED if interrupted else 0


class StatusLine:
    """One line on the terminal, rewritten a few times a second."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, pipeline: Pipeline) -> None:
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + STATUS_INTERVAL
        stats, period = pipeline.masker.stats, pipeline.period.summary("p50")["p50"]
        paint = pipeline.masker.paint_path.summary("p50")["p50"]
        line = f"frame {pipeline.frames}  {1000 / period if period else 0:.1f} fps  paint {paint or 0:.1f} ms"
        if stats.learning is not None:
            curve = stats.learning.curve
            score = f"{curve[-1][1]:.3f}" if curve else "-"
            line += f"  IoU-Acc {score}  δ {stats.learning.delta}  version {stats.version}"
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)


def program() -> NoReturn:
    """`main` as a program of its own.

    Leaves without tearing down the interpreter while a thread of ours is stuck in foreign code (a teacher, a camera
    that hangs): it would be ended in the middle of a C++ call, and the process aborted after everything went well.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.name in ABANDONABLE for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    program()
