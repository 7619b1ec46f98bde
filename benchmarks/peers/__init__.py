"""PEERS: name -> a function that imports its class. What we are measured against, each run as its makers run it.

A peer is called with a frame and answers with an alpha. A newcomer: write `benchmarks/peers/foo.py`, add a line here;
every bench that compares then has it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort

from engine.backends.ort_cpu import PROVIDER, session_options
from engine.errors import UsageError


def _selfie() -> type:
    from .selfie import Selfie

    return Selfie


def _selfie_landscape() -> type:
    from .selfie import SelfieLandscape

    return SelfieLandscape


def _meet_full() -> type:
    from .meet import MeetFull

    return MeetFull


def _meet_lite() -> type:
    from .meet import MeetLite

    return MeetLite


def _sinet() -> type:
    from .sinet import SINet

    return SINet


def _rvm() -> type:
    from .rvm import RecurrentRVM

    return RecurrentRVM


def _u2netp() -> type:
    from .u2netp import U2NetP

    return U2NetP


def _u2netp240() -> type:
    from .u2netp import U2NetP240

    return U2NetP240


PEERS: dict[str, Callable[[], Any]] = {
    "selfie": _selfie,
    "selfie-landscape": _selfie_landscape,
    "meet-full": _meet_full,
    "meet-lite": _meet_lite,
    "sinet": _sinet,
    "rvm": _rvm,
    "u2netp": _u2netp,
    "u2netp-240": _u2netp240,
}


class Peer(Protocol):
    """The constructor takes `(threads: int)` and raises ModelError where its weights cannot be had."""

    settings: str  # how it is run, for the table
    remembers: bool  # its alpha depends on the frames before

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        """Alpha float32 (H, W) in [0, 1] of a frame uint8 (H, W, 3)."""
        ...


def load(name: str, threads: int) -> Peer:
    """The peer called `name`.

    Raises
    ------
    UsageError
        There is none of this name.
    ModelError
        Its weights or its code cannot be had; the message says how to get them.
    """
    if name not in PEERS:
        raise UsageError(f"unknown peer {name!r}; choose of {', '.join(PEERS)}")
    return PEERS[name]()(threads)


def session(model: str | Path | bytes, threads: int) -> Any:
    """An ONNX Runtime session of a peer: our CPU provider, our thread budget, all optimisations."""
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, session_options(threads), providers=[PROVIDER])
