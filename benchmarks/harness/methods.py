"""Methods: who paints in a bench. Ours as it is shipped or without learning, and every peer, through one pipeline.

A peer is put where the Masker stands: same sources, same threads, same composite, same sinks. Only the alpha differs.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from engine import Masker
from engine import cpu_budget as budget
from engine.contracts import Canvas, PaintResult, PaintState
from engine.errors import ModelError
from engine.learning import LIVE_LEARNER
from kernels import load as load_kernels

from .. import peers
from .result import reason

BACKGROUND = "#204060"  # plain: what is compared is the matte
PLAIN = (0x60, 0x40, 0x20)  # the same, BGR
OURS, STILL = "jit-masker", "no learning"


@dataclass(frozen=True)
class Method:
    """Somebody who paints."""

    name: str  # OURS, STILL, or a name in PEERS
    args: argparse.Namespace  # backend, student, size, weights, threads, teacher, recipe

    @property
    def learns(self) -> bool:
        return self.name == OURS

    def settings(self) -> str:
        """How it is run, for the table."""
        if self.name in (OURS, STILL):
            taught = f"taught by {self.args.teacher}, recipe {self.args.recipe}" if self.learns else "as shipped"
            return f"{self.args.student}, {taught}"
        return _described(self.name, self.args.threads)[0]

    @property
    def remembers(self) -> bool:
        """Whether its alpha depends on the frames before: if not, those that nobody looks at need not be painted."""
        return self.name in (OURS, STILL) or _described(self.name, self.args.threads)[1]

    def open(self, lockstep: bool, background: str = BACKGROUND) -> Masker:
        """A painter with `process` and `close`; its errors are those of Masker and of `benchmarks.peers.load`.

        A peer paints over the plain background alone.
        """
        a = self.args
        if self.name not in (OURS, STILL):
            return cast(Masker, PeerPainter(peers.load(self.name, a.threads), a.threads))
        return Masker(
            a.backend, a.teacher if self.learns else None, background, student=a.student, size=a.size,
            weights=a.weights, threads=a.threads, recipe=a.recipe,
            learner="thread" if lockstep else LIVE_LEARNER, lockstep=lockstep,
        )  # fmt: skip


@functools.cache
def _described(peer: str, threads: int) -> tuple[str, bool]:
    """A peer's settings, and whether it remembers; asked once, because a peer takes a second to load."""
    loaded = peers.load(peer, threads)
    return loaded.settings, loaded.remembers


class PeerPainter:
    """Paints as Masker does, with a peer's alpha: what `engine.pipeline.Pipeline` needs of a masker."""

    learner_failure = None

    def __init__(self, peer: peers.Peer, threads: int):
        """A peer has the whole budget: nobody learns beside it. OpenCV, the whole process's, is told so."""
        budget.apply(budget.divide(threads, learning=False))
        self.peer = peer
        self._kernels = load_kernels()
        self._background = np.empty((0, 0, 3), np.uint8)
        self._index = 0

    def process(self, bgr: np.ndarray, timestamp: float | None = None, canvas: Canvas | None = None) -> PaintResult:
        """As `Masker.process`."""
        canvas = (canvas or Canvas()).fit(bgr)
        if self._background.shape != bgr.shape:
            self._background = np.full_like(bgr, PLAIN)
        cv2.convertScaleAbs(self.peer(bgr), dst=canvas.alpha, alpha=255)
        self._kernels.composite(bgr, canvas.alpha, self._background, canvas.picture)
        index, self._index = self._index, self._index + 1
        return PaintResult(canvas.picture, canvas.alpha, None, index, 0, PaintState.PERSON)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> PeerPainter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def add_arguments(parser: argparse.ArgumentParser, default_peers: list[str] | None = None) -> None:
    """The options that say how ours paints and learns, and who else paints; None: nobody else."""
    parser.add_argument("--teacher", default="rvm", help="who teaches ours, local or remote; a name in TEACHERS")
    parser.add_argument("--recipe", default="default", help="default or paper")
    parser.add_argument("--backend", default="auto", help="what runs our student; see jm-engine --list-backends")
    parser.add_argument("--weights", help="the student's start; default: the shipped ones")
    if default_peers is not None:
        parser.add_argument(
            "--peers", nargs="*", default=default_peers, metavar="PEER", help=f"of {', '.join(peers.PEERS)}"
        )


def chosen(args: argparse.Namespace) -> tuple[list[Method], dict[str, str]]:
    """Ours, ours without learning and `args.peers`, as far as they can be had; why the others cannot, by name.

    UsageError where a name is unknown.
    """
    absent: dict[str, str] = {}
    for name in args.peers:
        try:
            peers.load(name, args.threads)
        except ModelError as error:
            absent[name] = reason(error)
    return [Method(name, args) for name in (OURS, STILL, *args.peers) if name not in absent], absent
