"""Keeps frames whose labels were believed, where the user agreed to it (`--keep-frames`). Used by the learner's thread.

The key store is asked on a thread of its own: it may ask its user. What is labelled until it answers is not kept.
"""

from __future__ import annotations

import logging
import secrets
import threading

import numpy as np

from engine.contracts import KeepOptions
from engine.errors import JitMaskerError
from engine.media.saying import say_once
from engine.personal.frame import KeptFrame, When, shrunk
from engine.personal.sealing import Seal, seal_for
from engine.personal.store import FrameStore

log = logging.getLogger("jit_masker")

SEAL_TIMEOUT_S = 5.0  # in lockstep, where no picture is due: so long the first frame waits for the key store


class FrameKeeper:
    """One run's frames. Never raises: a disk that is full costs frames, and is said once."""

    def __init__(self, options: KeepOptions, waits: bool = False):
        """`waits`: the first label waits for the key store, as is right in lockstep, which is repeatable."""
        self.kept = 0
        self._options, self._store = options, FrameStore(options.folder)
        self._visit, self._began = secrets.token_hex(6), FrameStore(options.folder).seen()
        self._labels = 0
        self._asked: np.ndarray | None = None  # the frame that the teacher looks at
        self._failures = 0
        self._over = False  # the consent is gone
        self._seal: Seal | None = None
        self._waits = SEAL_TIMEOUT_S if waits else 0.0
        self._asking = threading.Thread(target=self._ask_key_store, name="key store", daemon=True)
        self._asking.start()

    def _ask_key_store(self) -> None:
        if self._store.token != self._options.token:
            self._over = True
            return
        try:
            seal = seal_for(self._options.folder)
        except JitMaskerError as error:  # there is one: plain files are not what its user expects
            log.warning("no frames are kept: %s", error)
            self._over = True
            return
        if self._store.token != self._options.token:  # forgotten while the user was asked: so is the key just made
            self._over = True
            self._store.forget_leftovers()
            return
        if seal.key is None:
            say_once(logging.WARNING, f"kept frames are not encrypted, but readable for you alone: {seal.why}")
        else:
            say_once(logging.WARNING, f"kept frames are encrypted with a key in {seal.why}")
        self._seal = seal

    def asked(self, bgr: np.ndarray) -> None:
        """The teacher is asked about this frame, uint8 (H, W, 3)."""
        if not self._over:
            self._asked = shrunk(bgr)

    def believed(self, label: np.ndarray, scene: int) -> None:
        """Its label, float32 (h, w) in [0, 1], is believed."""
        bgr, self._asked = self._asked, None
        if self._seal is None and self._waits:
            self._asking.join(self._waits)
            self._waits = 0.0
        if bgr is None or self._seal is None or self._over:
            return
        self._labels += 1
        frame = KeptFrame(bgr, label, When(self._visit, self._began, scene, self._labels))
        try:
            if self._store.keep(frame, self._options, self._seal):
                self.kept += 1
            else:
                self._over = True
                log.warning("the profile was forgotten: no more frames are kept until --keep-frames is given again")
        except TimeoutError:  # somebody else writes: the next frame will do
            return
        except Exception as error:  # a full disk, a folder that is gone, a cipher that fails: learning goes on
            self._failures += 1
            if self._failures == 1:
                log.warning("a frame is not kept: %s; learning goes on", error)
