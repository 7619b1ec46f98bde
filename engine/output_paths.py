"""What runs are going to write, checked before anything is opened: nothing is destroyed, nothing is written in vain.

A file that exists is overwritten where --yes says so, or where somebody at a terminal does.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from .errors import UsageError
from .media.naming import local_path
from .media.whole_file import is_written_through
from .options import Options
from .outputs import folder_targets, is_file

REPORT_BYTES = 4096  # of a short report
READ = ("input", "background", "card", "weights", "teacher", "teacher_authority")  # options that may name a file


def check(jobs: Sequence[Options], folders: Sequence[str] = (), config: str | None = None) -> None:
    """Check what `jobs` write; make the `folders` that were asked for, where the one above is there.

    The reports are rewritten without asking: they are no work of anybody's.

    Raises
    ------
    UsageError
        An output is also an input, of any of them, or another output; lies where images are read; would overwrite what
        nobody gave up; is of an unknown kind, or cannot be written.
    """
    read = {key: said for said, path in _inputs(jobs, config) if (key := _identity(path, there=True))}
    written: dict[object, str] = {}
    for options in jobs:
        for flag, path in _outputs(options):
            key = _identity(path)
            if key is None:
                continue
            if key in read or key in written:
                raise UsageError(
                    f"{flag} {path} is the same file as {read.get(key) or written[key]}; name another file"
                )
            written[key] = f"{flag} {path}"
    for options in jobs:
        _check_kinds(options, folders)
    for options in jobs:
        for flag, path in _outputs(options):
            if flag == "--report":
                _check_report(path)
            elif os.path.isfile(path) and not options.yes:
                _ask(flag, path)


def _inputs(jobs: Sequence[Options], config: str | None) -> Iterator[tuple[str, str]]:
    """(what it is, path) of all that is read, whether it is there or not."""
    from .control.gallery import Gallery

    first = jobs[0]
    yield from ((f"a picture of --gallery {path}", str(path)) for path in Gallery(first.gallery).paths())
    if config is not None:
        yield f"--config {config}", config
    if first.teacher.endswith(".toml"):
        try:
            model = tomllib.loads(Path(first.teacher).read_text(encoding="utf-8"))["model"]
            yield f"the model of --teacher {first.teacher}", str(Path(first.teacher).parent / Path(model).expanduser())
        except (OSError, ValueError, KeyError, TypeError):
            pass  # whoever loads it says what is wrong
    for options in jobs:
        for name in READ:
            path = getattr(options, name)
            if path:
                yield f"--{name.replace('_', '-')} {path}", local_path(path)
        if os.path.isdir(folder := local_path(options.input)):
            yield from ((f"an image of --input {path}", str(path)) for path in Path(folder).iterdir())


def _outputs(options: Options) -> Iterator[tuple[str, str]]:
    """(flag, path) of each file that is written; of a folder of images, of each of them."""
    for flag, path in (("--output", options.output), ("--alpha", options.alpha), ("--report", options.report)):
        if path is None or (flag == "--output" and not is_file(path)):
            continue
        if not path.endswith("/"):
            yield flag, path
            continue
        for target in folder_targets(options, path):
            yield flag, target


def _identity(path: str, there: bool = False) -> object:
    """The same for two names of one file; None for what holds nothing that could be lost, a device or a pipe, and,
    where it should be `there`, for what is not."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        if there:
            return None
        real = os.path.normcase(os.path.realpath(path))
        return real.casefold() if sys.platform == "darwin" else real
    return (found.st_dev, found.st_ino) if os.path.isfile(path) else None


def _check_kinds(options: Options, folders: Sequence[str]) -> None:
    """UsageError where --output or --alpha cannot be written as its name says, or where there is no place for it."""
    from .sinks import check_output

    transparent = options.background == "none"
    source = local_path(options.input)
    for flag, path in (("--output", options.output), ("--alpha", options.alpha)):
        if path is None or (flag == "--output" and not is_file(path)):
            continue
        of_images = path.endswith("/")
        if os.path.isdir(path) and not of_images:
            raise UsageError(f"{flag} {path} is a folder; name a file in it")
        if not of_images:
            check_output(path, transparent and flag == "--output", matte=flag == "--alpha")
        folder = os.path.normpath(path) if of_images else os.path.dirname(path) or "."
        above = os.path.dirname(os.path.abspath(source)) if os.path.isfile(source) else source
        asked = [asked for asked in folders if os.path.join(folder, "").startswith(os.path.join(asked, ""))]
        if asked and os.path.isdir(above) and os.path.isdir(folder) and os.path.samefile(folder, above):
            raise UsageError(f"{flag} {path} is in the folder of --input {options.input}; name another folder")
        _make_folder(flag, path, folder, asked)


def _make_folder(flag: str, path: str, folder: str, asked: Sequence[str]) -> None:
    """`folder`, which is or lies in one that was `asked` for, whose own one has to be there."""
    if os.path.isdir(folder):
        return
    try:
        if not asked or not os.path.isdir(os.path.dirname(os.path.abspath(asked[0]))):
            raise FileNotFoundError(2, "No such file or directory")
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{flag} is {path!r}, which cannot be written: {error.strerror}; name a file in a folder that exists, or "
            f"make it first: mkdir -p {folder}"
        ) from error


def _ask(flag: str, path: str) -> None:
    """Whether a file may be overwritten; asked on standard error, since pictures may go to standard output."""
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{flag} {path} exists; say -y to overwrite it, or name another file")
    print(f"overwrite {path}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError(f"{flag} {path} exists and is kept; name another file")


def _check_report(path: str) -> None:
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(21, "Is a directory")
        if not is_written_through(path):
            with tempfile.TemporaryFile(dir=Path(path).resolve().parent) as trial:
                trial.write(bytes(REPORT_BYTES))  # a full disk takes a name, but nothing in it
    except OSError as error:
        raise UsageError(
            f"--report is {path!r}, which cannot be written: {error.strerror}; "
            "name a file in a folder that exists and that you can write to"
        ) from error
