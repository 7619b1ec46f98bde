"""jm-engine: the composition root. Options in, parts put together, exit code out. Nobody imports this module.

Our modules are imported inside the functions: `program` heeds signals before the first of them takes its time.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from . import process

if TYPE_CHECKING:
    from .contracts import Sink
    from .first_pass import FirstPass
    from .options import Options
    from .pipeline import Pipeline

# names of our daemon threads
ABANDONABLE = {"teacher", "learner", "camera", "source", "paint", "control", "rooms", "kernels"}
COMMANDS = {  # jm-engine NAME ...: the module whose `main(arguments)` gives the exit code
    "models": "engine.assets.command",
    "cameras": "engine.sources.command",
    "rooms": "engine.rooms.command",
    "ctl": "engine.control.command",
    "panel": "engine.panel.command",
    "doctor": "engine.doctor.command",
    "install-service": "engine.service",
    "profile": "engine.personal.command",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `jm-engine`; returns its exit code."""
    import logging

    from .errors import JitMaskerError
    from .siblings import check_siblings

    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] != ["doctor"]:  # which says it beside everything else
            check_siblings()
        if arguments and arguments[0] in COMMANDS:
            command: Callable[[list[str]], int] = importlib.import_module(COMMANDS[arguments[0]]).main
            return command(arguments[1:])
        from .options import read_options  # takes its time, and a command needs none

        options, seen = read_options(arguments, COMMANDS)
        terminal = sys.stderr.isatty()
        level = logging.INFO if terminal or seen.verbose else logging.WARNING
        logging.basicConfig(level=level, format="jm-engine: %(message)s", stream=sys.stderr)
        return list_backends() if seen.list_backends else run_all(options, seen.files, seen.config, status=terminal)
    except JitMaskerError as error:
        print(f"jm-engine: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return process.INTERRUPTED


def list_backends() -> int:
    """Print which backends can be used here."""
    from .backends import available

    for name, state in available().items():
        print(f"{name:12} {state}")
    return 0


def choose_pace(asked: str | None, source: str, live: bool, output: str) -> str:
    """ "live", "fast" or "lockstep": what was `asked` for, else live where somebody sends or watches.

    Parameters
    ----------
    asked : `--pace`; None: not said.
    source, live : what the source is called, and whether a clock outside drives it.
    output : as in `open_sink`.

    Raises
    ------
    UsageError
        A live source cannot keep the pace that was asked for.
    """
    from .errors import UsageError
    from .sinks import is_watched

    pace = asked or ("live" if live or is_watched(output) else "lockstep")
    if live and pace != "live":
        raise UsageError(f"--pace is {pace!r} and {source} is live; only --pace live keeps up with it")
    return pace


def run_all(options: Options, files: Sequence[str], config: str | None, status: bool) -> int:
    """A run for each of the `files`, or of the one --input; the exit code of the first that failed."""
    import logging

    from . import output_paths
    from .errors import JitMaskerError
    from .jobs import folders, plan
    from .media.naming import local_path

    jobs = plan(options, files, COMMANDS)
    output_paths.check(jobs, folders(options), local_path(config) if config else None)
    if len(jobs) == 1:
        return run(jobs[0], status)
    codes: list[int] = []
    for job in jobs:
        logging.getLogger("jit_masker").info("%d of %d: %s", len(codes) + 1, len(jobs), job.input)
        try:
            codes.append(run(job, status))
        except JitMaskerError as error:  # one bad file does not end the rest
            print(f"jm-engine: {error}", file=sys.stderr)
            codes.append(error.exit_code)
        if codes[-1] == process.INTERRUPTED:
            return process.INTERRUPTED
    return next((code for code in codes if code), 0)


def run(options: Options, status: bool) -> int:
    """Build the parts, run them, write the report. Every part is closed whatever happens."""
    import logging

    from kernels import yuv

    from .card import Card
    from .closing import closing
    from .control.remembered import Remembered
    from .default_teacher import open_masker
    from .outputs import looks, open_sinks
    from .parts import accompany, choose_first_pass, keep_of, open_returning, rooms_of
    from .pipeline import Pipeline
    from .service_manager import ServiceManager
    from .sinks import is_watched
    from .sources import PacedSource
    from .view import View

    output = options.output or ("null" if options.headless else "window")
    remembered = Remembered.load() if is_watched(output) else Remembered()
    options = remembered.under(options)
    parts: list[Any] = []
    with closing(parts):
        if options.pace == "live" or (options.pace is None and is_watched(output)):
            yuv.load(wait=False)
        source, returning = open_returning(options, is_watched(output))
        parts.append(source)
        pace = choose_pace(options.pace, options.input, source.live, output)
        live = pace == "live"
        transparent = options.background == "none" and output != "null" and not is_watched(output)
        sinks: list[Sink] = []

        def open_outputs() -> None:
            for sink in open_sinks(options, output, source, transparent):
                sinks.append(sink)
                parts.append(sink)

        if not is_watched(output):  # what cannot be written is told before the models are loaded
            open_outputs()
        masker = open_masker(
            options, lockstep=pace == "lockstep", rooms=rooms_of(options), keep=keep_of(options),
            still_gate=options.still_gate == "on" or (options.still_gate == "auto" and live),
        )  # fmt: skip
        parts.append(masker)
        if not sinks:
            open_outputs()
        logging.getLogger("jit_masker").info("%s: %s", masker.backend_name, masker.backend_reason)
        manager, after_picture = ServiceManager(), AfterPicture(status, options)
        pipeline = Pipeline(
            PacedSource(source) if live and not source.live else source, masker, sinks,
            lockstep=pace == "lockstep", transparent=transparent, max_frames=options.max_frames,
            on_picture=after_picture, on_turn=lambda pipeline: None if pipeline.hangs else manager.alive(),
            view=View(options.mirror, options.frame == "auto"),
            card=Card(options.background, options.card) if live else None, repeats=is_watched(output),
            size=options.camera_size[::-1] if options.camera_size is not None else None,
            looks=looks(output, learns=masker.stats.learning is not None),
        )  # fmt: skip
        if live:
            parts += accompany(pipeline, options, output, returning, sinks[0], remembered)
        manager.ready()
        first = choose_first_pass(options, masker, pace, output, after_picture.first_pass)
        try:
            return _run(pipeline, options, first)
        finally:
            manager.stopping()
            after_picture.finish(pipeline)


def _run(pipeline: Pipeline, options: Options, first: FirstPass | None) -> int:
    """Run to the end or to a signal, and report either; the error of the run wins over that of its report."""
    import logging

    from . import report
    from .default_teacher import can_do_without
    from .errors import SinkError, SourceError

    failure: BaseException | None = None

    def stop() -> None:
        if first is not None:
            first.stop()
        pipeline.stop()

    with process.stopped_by_signals(stop) as interrupted:
        try:
            if first is not None:
                first.run()
            pipeline.run()
        except BaseException as error:
            failure = error
        learner_failure = pipeline.masker.learner_failure
        if learner_failure is not None and can_do_without(learner_failure, options):
            learner_failure = None
        failure = failure or learner_failure
        if failure is None and pipeline.state is None and not interrupted:
            failure = SourceError(f"{options.input} gave no frames; check what is sent into it")
        try:
            if options.report:
                report.write(options.report, report.build(pipeline, report.ending(failure, bool(interrupted)), first))
        except SinkError as error:
            if failure is None:
                raise
            logging.getLogger("jit_masker").error("%s", error)
    if learner_failure is not None and failure is learner_failure:
        return learner_failure.exit_code  # its message is in the log
    if failure is not None:
        raise failure
    return process.INTERRUPTED if interrupted else 0


class AfterPicture:
    """Ends a run whose learner could not begin, where the teacher was asked for by name; else it goes on."""

    def __init__(self, status: bool, options: Options):
        from .status_line import StatusLine

        self._status = StatusLine() if status else None
        self._options = options
        self._warned = False

    def __call__(self, pipeline: Pipeline) -> None:
        import logging

        from .default_teacher import can_do_without, without_learning

        failure = pipeline.masker.learner_failure
        if failure is not None and not can_do_without(failure, self._options):
            pipeline.stop()
        elif failure is not None and not self._warned:
            self._warned = True
            logging.getLogger("jit_masker").warning("%s", without_learning(failure))
        if self._status is not None:
            self._status(pipeline)

    def first_pass(self, taught: int) -> None:
        """After a frame of the first of two passes."""
        if self._status is not None:
            self._status.first_pass(taught)

    def finish(self, pipeline: Pipeline) -> None:
        if self._status is not None:
            self._status.finish(pipeline)


def program() -> NoReturn:
    """`main` as a program of its own.

    Leaves without tearing down the interpreter while a thread of ours is stuck in foreign code (a teacher, a camera
    that hangs): it would be ended in the middle of a C++ call, and the process aborted after everything went well.
    """
    process.prepare()
    try:
        code = main()
    except SystemExit as end:  # argparse's
        code = end.code if isinstance(end.code, int) else 2
    process.leave(code, abandon=any(thread.name in ABANDONABLE for thread in threading.enumerate()))


if __name__ == "__main__":
    program()
