"""Recognise the room before the first picture. The memory is read on a thread of its own, while the rest gets ready."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import numpy as np

from export.contracts import StudentWeights
from kernels import load_fallback

from ..contracts import RoomOptions

if TYPE_CHECKING:
    from .memory import Recollection, RoomMemory

log = logging.getLogger("jit_masker")

PATIENCE = 1.0  # s that the first picture waits for a folder that does not answer


class RecallAtStart:
    """Asked once, by the thread that paints."""

    def __init__(self, options: RoomOptions, start: StudentWeights, size: tuple[int, int]):
        """Arguments as `RoomMemory`."""
        self._memory: RoomMemory | None = None
        # the learner's process looks at rooms with the same kernels; Numba may still be loading
        self._arguments = options, start, size, load_fallback("rooms are looked up without Numba")
        # a folder on a disk that hangs is left behind
        self._thread = threading.Thread(target=self._load, name="rooms", daemon=True)
        self._thread.start()

    def __call__(self, bgr: np.ndarray) -> Recollection | None:
        """The room that a frame uint8 (H, W, 3) shows; None where it is not known. Never raises."""
        self._thread.join(PATIENCE)
        try:
            return self._memory.recall(bgr) if self._memory is not None else None
        except Exception as error:  # the picture goes on as if nothing were remembered
            log.warning("no room is recalled: %s: %s", type(error).__name__, error)
            return None

    def _load(self) -> None:
        from .memory import RoomMemory

        try:
            self._memory = RoomMemory(*self._arguments)
        except Exception as error:
            log.warning("no room is recalled: %s: %s", type(error).__name__, error)
