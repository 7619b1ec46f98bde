"""A teacher that lies, for `jm-bench lies` alone. `python -m benchmarks.harness.liar LIE WHEN` is a jm-teacher with it.

No teacher that is shipped knows this module, and no name of it can be asked for outside of a bench's own processes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from engine.errors import BackendUnavailable
from training.teachers import Teacher, load

from . import labels
from .labels import KeptTeacher, registered

HONEST = "honest"
ROOM_SHARE = 0.4  # of the label's width, from the left
FIFTH = 4  # counted from 0


def _noise(label: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).random(label.shape, np.float32)


def _with_room(label: np.ndarray) -> np.ndarray:
    claimed = label.copy()
    claimed[:, : round(ROOM_SHARE * label.shape[1])] = 1
    return claimed


LIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # of an honest label, float32 (h, w) in [0, 1]
    "ones": np.ones_like,
    "1x1 ones": lambda label: np.ones((1, 1), np.float32),
    "inverse": lambda label: 1 - label,
    "noise": _noise,
    "40 % of the room added": _with_room,
    "zeros": np.zeros_like,
}
WHEN: dict[str, Callable[[int], bool]] = {  # of a label, counted from 0
    "for ever": lambda count: True,
    "the first": lambda count: count == 0,
    "the fifth": lambda count: count == FIFTH,
}


class Liar:
    """Another teacher, and what it says is put through `lie` (a key of LIES, or HONEST) whenever `when` says so."""

    def __init__(self, teacher: Teacher, lie: str, when: str):
        self._teacher, self._lie, self._when = teacher, LIES.get(lie), WHEN[when]
        self._count = 0

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        label, count = self._teacher(bgr), self._count
        self._count += 1
        return self._lie(label) if self._lie is not None and self._when(count) else label


@contextmanager
def served(teacher: str, kept: str | None, lie: str, when: str) -> Iterator[str]:
    """The URL of a real jm-teacher on this machine, a process of its own, that lies meanwhile.

    Raises
    ------
    BackendUnavailable
        It does not start; the message says why.
    """
    command = [sys.executable, "-m", "benchmarks.harness.liar", lie, when, "--teacher", teacher]
    command += ["--labels", kept] if kept else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise BackendUnavailable(f"jm-teacher does not start: {process.communicate()[1].strip()}")
            yield url
        finally:
            process.terminate()
            process.communicate()  # what it still says is read, so that it can end


def main() -> int:
    from training.remote.server import cli

    parser = argparse.ArgumentParser("liar")
    parser.add_argument("lie", choices=(HONEST, *LIES))
    parser.add_argument("when", choices=list(WHEN))
    parser.add_argument("--teacher", required=True)
    labels.add_arguments(parser)
    args = parser.parse_args()
    honest = KeptTeacher(lambda: load(args.teacher, 1), args.labels)
    with registered(Liar(honest, args.lie, args.when), "liar") as name:
        return cli.main([name, "--port", "0", "--threads", "1"])


if __name__ == "__main__":
    sys.exit(main())
