"""What a run is going to write, checked before anything is opened: nothing is destroyed, nothing is written in vain.

A file that exists is overwritten where --yes says so, or where somebody at a terminal does.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from .errors import UsageError
from .options import Options

REPORT_BYTES = 4096  # of a short report


def check(options: Options) -> None:
    """Raise UsageError where an output is also an input or another output, would overwrite what nobody gave up, or the
    report cannot be written. The report itself is rewritten without asking: it is no work of anybody's.
    """
    outputs = [("--output", options.output), ("--alpha", options.alpha), ("--report", options.report)]
    inputs = [(f"--{name}", getattr(options, name)) for name in ("input", "background", "card", "weights", "teacher")]
    if os.path.isdir(options.input):
        inputs += [("an image of --input", str(path)) for path in Path(options.input).iterdir()]
    taken = [(flag, path) for flag, path in inputs if path and os.path.isfile(path)]
    for flag, path in outputs:
        if path is None or path in ("window", "null", "-"):
            continue
        for other, there in taken:
            if _same_file(path, there):
                raise UsageError(f"{flag} {path} is the same file as {other} {there}; name another file")
        taken.append((flag, path))
    if options.report is not None:
        _check_report(Path(options.report))
    for flag, path in outputs[:2]:
        if path is not None and os.path.isfile(path) and not options.yes:
            _ask(flag, path)


def _ask(flag: str, path: str) -> None:
    """Whether a file may be overwritten; asked on standard error, since pictures may go to standard output."""
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{flag} {path} exists; say -y to overwrite it, or name another file")
    print(f"overwrite {path}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError(f"{flag} {path} exists and is kept; name another file")


def _same_file(path: str, other: str) -> bool:
    """Also by another name: a link, another spelling. Devices and pipes hold nothing that could be lost."""
    if os.path.exists(path) and os.path.exists(other):
        return os.path.isfile(path) and os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


def _check_report(path: Path) -> None:
    target = path.resolve()
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        if not target.exists() or target.is_file():
            with tempfile.TemporaryFile(dir=target.parent) as trial:
                trial.write(bytes(REPORT_BYTES))  # a full disk takes a name, but nothing in it
    except OSError as error:
        raise UsageError(
            f"--report is {str(path)!r}, which cannot be written: {error.strerror}; "
            "name a file in a folder that exists and that you can write to"
        ) from error
