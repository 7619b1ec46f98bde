"""A `FrameSampler` between two processes: the one that paints offers, the learner's takes. Linux only.

Frames lie in anonymous shared memory (memfd). It has no name and no file: a picture of the user's room never touches a
disk, and the memory is gone with the last process that looks at it, however that one ends.
"""

from __future__ import annotations

import ctypes
import mmap
import os

import numpy as np

HEADER_BYTES = mmap.ALLOCATIONGRANULARITY  # the frame begins on a page of its own
ALIGNMENT = 64  # bytes; where the logits begin


class Header(ctypes.Structure):
    """Stands before the frame. Each field has one writer, so that no process waits for the other to let go of it.

    A frame is wanted while `wanted` and `filled` differ. A taker that was killed leaves them so; the next one asks for
    the same number, and whatever was half written then is whole once `filled` says so.
    """

    _fields_ = (
        # the taker's
        ("wanted", ctypes.c_int64),  # number of the frame that is wanted
        ("wanted_from", ctypes.c_int64),  # count of offers
        # the offerer's
        ("filled", ctypes.c_int64),  # number of the frame that lies here
        ("filled_at", ctypes.c_int64),  # count of offers
        ("scene", ctypes.c_int64),
        ("height", ctypes.c_int64),  # of the frame; pixels
        ("width", ctypes.c_int64),
        ("logits_height", ctypes.c_int64),
        ("logits_width", ctypes.c_int64),
    )


class SharedFrameSampler:
    """One end; see `engine.mailboxes.FrameSampler`. The process that makes it offers, one that inherits it takes."""

    def __init__(self, descriptors: tuple[int, int] | None = None):
        """`descriptors`: those of the sampler in the other process, inherited from there; None: a new sampler."""
        self.descriptors = descriptors or (os.memfd_create("frames"), os.eventfd(0))
        self._memory, self._event = self.descriptors
        if descriptors is None:
            os.posix_fallocate(self._memory, 0, HEADER_BYTES)
        self._header = Header.from_buffer(mmap.mmap(self._memory, HEADER_BYTES))
        self._made, self._process = descriptors is None, os.getpid()
        self._closed = False
        self.skipped = 0  # offers nobody waited for
        self._offers = 0
        self._taken_at = self._header.filled_at  # count of offers
        self._sizes = (0, 0, 0, 0)
        self._body = np.empty(0, np.uint8)
        self._bgr, self._logits = np.empty((0, 0, 3), np.uint8), np.empty((0, 0), np.float32)

    def offer(self, bgr: np.ndarray, logits: np.ndarray, scene: int) -> None:
        """Copy a frame uint8 (H, W, 3) and the student's logits float32 (h, w) for it, if a frame is wanted.

        Raises
        ------
        OSError
            The system has no memory for a frame of this size.
        """
        self._offers += 1
        header = self._header
        if (
            self._closed
            or header.wanted == header.filled
            or (self._offers < header.wanted_from and scene == header.scene)
            or os.getpid() != self._process  # a fork of the program: the learner watches the original
        ):
            self.skipped += 1
            return
        self._fit(*bgr.shape[:2], *logits.shape)
        np.copyto(self._bgr, bgr)
        np.copyto(self._logits, logits)
        header.height, header.width, header.logits_height, header.logits_width = self._sizes
        header.scene, header.filled_at = scene, self._offers
        header.filled = header.wanted  # last: from here on the other process reads
        os.eventfd_write(self._event, 1)

    def take(self, patience: int = 1) -> tuple[np.ndarray, np.ndarray, int, int] | None:
        """See `engine.mailboxes.FrameSampler.take`."""
        header = self._header
        header.wanted_from = self._taken_at + patience
        header.wanted = wanted = header.filled + 1
        while not self._closed and header.filled != wanted:
            os.read(self._event, 8)  # waits
        if self._closed:
            return None
        self._fit(header.height, header.width, header.logits_height, header.logits_width)
        elapsed, self._taken_at = header.filled_at - self._taken_at, header.filled_at
        return self._bgr, self._logits, header.scene, elapsed

    def _fit(self, height: int, width: int, logits_height: int, logits_width: int) -> None:
        """See the memory as a frame and logits of these sizes; more of it where it is too small."""
        sizes = (height, width, logits_height, logits_width)
        if sizes == self._sizes:
            return
        pixels = height * width * 3
        start = -(-pixels // ALIGNMENT) * ALIGNMENT
        end = start + logits_height * logits_width * 4
        if end > len(self._body):
            # allocated now: where memory is short, a first write to it would be a signal instead of an error
            os.posix_fallocate(self._memory, 0, HEADER_BYTES + end)
            self._body = np.frombuffer(mmap.mmap(self._memory, end, offset=HEADER_BYTES), np.uint8)
        self._bgr = self._body[:pixels].reshape(height, width, 3)
        self._logits = self._body[start:end].view(np.float32).reshape(logits_height, logits_width)
        self._sizes = sizes

    def close(self) -> None:
        """Wake who takes here, and let go of the memory. May be called twice; not while a frame is offered."""
        if self._closed:
            return
        self._closed = True
        os.eventfd_write(self._event, 1)
        self._header = Header()
        self._body, self._bgr = np.empty(0, np.uint8), np.empty((0, 0, 3), np.uint8)
        self._logits = np.empty((0, 0), np.float32)
        if self._made:
            for descriptor in self.descriptors:
                os.close(descriptor)
