"""Raw frames on standard output, for a pipe into another program."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

import numpy as np

from ..contracts import Picture
from ..errors import SinkError, UsageError
from .frame_size import FixedSize, as_bgra


class Stdout:
    """Sink: raw frames one after the other, BGR24 (BGRA, straight, when transparent), all of the first one's size.

    `stream` is where to; standard output when None. A reader that goes away makes `wanted` False.

    Raises
    ------
    UsageError
        This process has no standard output.
    SinkError
        From `write`: the disk behind it is full.
    """

    def __init__(self, stream: BinaryIO | None = None, transparent: bool = False) -> None:
        if stream is None and sys.stdout is None:
            raise UsageError("standard output is closed; write to a file with --output FILE, or into a pipe: | PROGRAM")
        self.needs_alpha = transparent
        self.wanted = True
        self._stream = sys.stdout.buffer if stream is None else stream
        self._size = FixedSize("stdout")
        self._bgra: np.ndarray | None = None

    def write(self, picture: Picture) -> None:
        if not self.wanted:
            return
        if self.needs_alpha:
            pixels = self._bgra = as_bgra(picture, self._bgra)
        else:
            pixels = picture.bgr
        try:
            self._stream.write(self._size(pixels).data)
            self._stream.flush()
        except BrokenPipeError:
            self.wanted = False
            self._discard_buffered()
        except OSError as error:
            raise SinkError(f"cannot write to stdout: {error.strerror}; check where it is redirected to") from error

    def close(self) -> None:
        """Leaves the stream open: whoever opened it closes it."""

    def _discard_buffered(self) -> None:
        """Python flushes stdout once more at exit, and would print a traceback about the same closed pipe."""
        if self._stream is sys.stdout.buffer:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
