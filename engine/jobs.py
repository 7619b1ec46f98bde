"""One command line, many files: each input is a run of its own, with an output of its own. Opens nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from .errors import UsageError
from .media.naming import is_remote, local_path
from .media.stills import is_still
from .options import Options
from .outputs import is_file

OUTPUTS = ("output", "alpha", "report")  # that can be a folder


def plan(options: Options, files: Sequence[str], commands: Iterable[str] = ()) -> list[Options]:
    """The options of each run: `files` one after another, or the one --input.

    An output that is a folder (it is there, or its name ends with a slash) gets a file named after each input; a folder
    of images gives images of the same names.

    Raises
    ------
    UsageError
        Several files into one, or a single word that is neither a command nor a file.
    """
    if len(files) == 1 and not os.path.exists(local_path(files[0])) and not is_remote(files[0]):
        raise UsageError(
            f"unknown command {files[0]!r}, and no file of that name; choose one of {', '.join(commands)}, name a "
            "file that is there, or see --help"
        )
    inputs = list(files) or [options.input]
    for name in OUTPUTS:
        path = getattr(options, name)
        if len(inputs) > 1 and path is not None and not is_folder(path) and (name, path) != ("output", "null"):
            raise UsageError(f"--{name} is {path!r}, and there are {len(inputs)} inputs; name a folder: {path}/")
    if len(inputs) > 1 and options.output is None and not options.headless:
        raise UsageError(f"{len(inputs)} inputs and no --output; name a folder for what is made of them, as in -o out/")
    jobs = []
    taken: set[str] = set()
    for spec in inputs:
        changes: dict[str, str] = {"input": spec} if files else {}
        for name in OUTPUTS:
            path = getattr(options, name)
            if path is not None and is_folder(path) and (name != "report" or len(inputs) > 1):
                changes[name] = _inside(path, name, spec, options, len(inputs) > 1, taken)
        jobs.append(options.model_copy(update=changes))
    return jobs


def folders(options: Options) -> list[str]:
    """The outputs that mean a folder."""
    named = [getattr(options, name) for name in OUTPUTS]
    return [os.path.normpath(path) for path in named if path is not None and is_folder(path)]


def is_folder(spec: str) -> bool:
    """Whether an output means a folder; a window is a window, also beside a folder of that name."""
    return is_file(spec) and (spec.endswith(("/", os.sep)) or os.path.isdir(spec))


def _inside(folder: str, name: str, spec: str, options: Options, several: bool, taken: set[str]) -> str:
    """What the output `name` of the input `spec` is called in `folder`, differently from what is `taken`."""
    path = local_path(spec)
    if os.path.isdir(path) and name != "report":
        if several:
            folder = os.path.join(folder, os.path.basename(os.path.abspath(path)))
        target, n = folder, 1
        while target in taken:
            n += 1
            target = f"{folder} {n}"
        taken.add(target)
        return f"{target}/"
    if not os.path.isfile(path) and not is_remote(spec) and not several:
        raise UsageError(f"--{name} is the folder {folder!r}, and {spec!r} has no name to be used in it; name a file")
    base = os.path.basename(path.rstrip("/")) or "input"
    stem, own = os.path.splitext(base)
    suffix = _suffix(name, path, own.lower(), options.background == "none")
    target, n = os.path.join(folder, stem + suffix), 1
    while target in taken:  # a.mp4 and a.mov, or b/a.mp4
        n += 1
        target = os.path.join(folder, f"{base}{suffix}" if n == 2 else f"{base} {n - 1}{suffix}")
    taken.add(target)
    return target


def _suffix(name: str, path: str, own: str, transparent: bool) -> str:
    from .sinks import CONTAINERS

    if name == "report":
        return ".json"
    if Path(path).is_file() and is_still(path):
        return ".png"
    if name == "alpha":
        return ".mkv"
    if own in CONTAINERS and (not transparent or CONTAINERS[own].transparent):
        return own
    return ".webm" if transparent else ".mp4"
