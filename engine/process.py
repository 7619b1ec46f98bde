"""What a program owes its system: descriptors 0 to 2 are open, signals end it, nobody has to read its messages.

Imports next to nothing: `prepare` runs before everything else, so that a signal during the imports finds it done.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

INTERRUPTED = 130  # exit code
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def prepare() -> None:
    """Once, first thing in the program."""
    open_missing_descriptors()
    sys.stderr = Messages(io.FileIO(2, "w", closefd=False), errors="backslashreplace", line_buffering=True)
    for number in SIGNALS:
        if not is_ignored(number):
            signal.signal(number, leave_at_once)


def open_missing_descriptors() -> None:
    """/dev/null where 0, 1 or 2 is closed: the next file of ours would get the number, and what is printed into it."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def is_ignored(number: int) -> bool:
    """Whether the caller asked for it, as nohup does. A shell's background jobs ignore SIGINT unasked: it is heeded."""
    return number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN


def leave_at_once(*_: object) -> NoReturn:
    """Before the first frame there is nothing to finish, and an exception in the middle of an import may be lost."""
    os._exit(INTERRUPTED)


class Messages(io.TextIOWrapper):
    """Standard error that is not missed: where its reader went away or its disk is full, messages are dropped."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            return


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """While inside, a signal calls `stop`, and the same one again raises KeyboardInterrupt; gives those that came."""
    came: list[int] = []

    def handle(number: int, _: object) -> None:
        if number in came:
            raise KeyboardInterrupt
        came.append(number)
        stop()

    previous = {number: signal.signal(number, handle) for number in SIGNALS if not is_ignored(number)}
    try:
        yield came
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def leave(code: int, abandon: bool) -> NoReturn:
    """End with `code`; `abandon`: without tearing down the interpreter, because a thread is stuck in foreign code."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # a reader that has seen enough is no error
            print(f"jm-engine: cannot write to standard output: {error.strerror}", file=sys.stderr)
            code = code or 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
    if abandon:
        os._exit(code)
    sys.exit(code)
