"""A file that gets its name once it is worth having. Knows nothing about what is written into it."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from ..errors import SinkError
from ..media.naming import local_path


class HiddenFile:
    """Where to write what is to be called `path`: a hidden file beside it, until `appear` gives it the name.

    What stood there stays until then, and stays for good after `discard`. A link is followed. Devices, pipes, and files
    in a folder that takes no new ones, are written directly.

    Raises
    ------
    SinkError
        `path` cannot be written; told at once, and nothing is changed by asking.
    """

    def __init__(self, path: str) -> None:
        self._target = Path(os.path.realpath(local_path(path)))
        self.name = str(self._target)  # where to write
        self._hidden = False
        try:
            mode = self._target.stat().st_mode if self._target.exists() else None
            if mode is not None and not stat.S_ISREG(mode):
                if stat.S_ISDIR(mode):
                    raise IsADirectoryError(21, "Is a directory")
                return
            self._try_folder(mode)
        except OSError as error:
            raise SinkError(
                f"cannot write {path}: {error.strerror}; name a file in a folder you can write to"
            ) from error

    def _try_folder(self, mode: int | None) -> None:
        hidden = self._target.with_name(f".jm-{secrets.token_hex(6)}{self._target.suffix}")
        try:
            hidden.touch(exist_ok=False)
        except PermissionError:
            if mode is None or not os.access(self._target, os.W_OK):
                raise
            return
        hidden.unlink()
        if mode is not None and not os.access(self._target, os.W_OK):
            raise PermissionError(13, "Permission denied")
        self.name, self._hidden, self._mode = str(hidden), True, mode

    @property
    def appeared(self) -> bool:
        """Whether what is written stands under its own name."""
        return not self._hidden

    @property
    def size(self) -> int:
        """Bytes that the system has of it; 0 of what is no file."""
        return os.path.getsize(self.name) if os.path.isfile(self.name) else 0

    def appear(self) -> None:
        """Give it its name, also while it is open. OSError where that fails."""
        if not self._hidden:
            return
        if self._mode is not None:
            with suppress(OSError):  # another's file: it keeps the content, and the mode of a new one
                os.chmod(self.name, stat.S_IMODE(self._mode))
        os.replace(self.name, self._target)
        self.name, self._hidden = str(self._target), False

    def discard(self) -> None:
        """Take away what never appeared."""
        if self._hidden:
            Path(self.name).unlink(missing_ok=True)
