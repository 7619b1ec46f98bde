"""Files that are dropped onto the page, on their way into the gallery: bounded, decoded, never over another one."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..backgrounds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ..errors import UsageError
from .thumbnails import thumbnail

MAX_BYTES = 200_000_000  # of one file
MAX_STEM = 80  # characters of a name, without its suffix
KEPT = " -_.()"  # in a name, beside letters and digits
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}  # by Windows
MAX_COPIES = 1000  # of one name
# How videos begin. FFmpeg goes by the content: a playlist that calls itself a video would have it open other files and
# addresses.
VIDEO = re.compile(rb".{4}(ftyp|moov|mdat|wide|free|skip)|\x1a\x45\xdf\xa3|RIFF.{4}AVI |GIF8[79]a", re.DOTALL)


def safe_name(name: str) -> str:
    """A file's name for the gallery: without folders, hidden files and what a file system or a shell may trip over.

    Raises
    ------
    UsageError
        Its suffix is none of a picture or video.
    """
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    stem, suffix = os.path.splitext(base)
    suffix = suffix.lower()
    if suffix not in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
        raise UsageError(
            f"{base!r:.100} is no picture or video that is known here; use one of "
            f"{', '.join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))}"
        )
    stem = "".join(letter if letter.isalnum() or letter in KEPT else "_" for letter in stem)[:MAX_STEM].strip(" .")
    if not stem or stem.lower() in RESERVED:
        stem = f"background {stem}".strip()
    return stem + suffix


class Addition:
    """One file on its way. `write` its bytes, then `keep` it; what was not kept is gone at the end of `receive`."""

    def __init__(self, name: str, path: Path, file: IO[bytes]):
        self._name, self._path, self._folder, self._file = name, path, path.parent, file
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """UsageError where it becomes too large, or the disk is full."""
        self._size += len(chunk)
        check_size(self._size)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise UsageError(f"cannot write into {self._folder}: {error.strerror}; make room there") from error

    def keep(self) -> str:
        """Put it into the gallery, under its name or one like it, and give that. UsageError where nothing shows it."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._check()
            return self._place()
        except OSError as error:
            raise UsageError(f"cannot write into {self._folder}: {error.strerror}; see its permissions") from error

    def _check(self) -> None:
        try:
            if self._path.suffix in VIDEO_SUFFIXES and not VIDEO.match(read_start(self._path)):
                raise UsageError("no video")
            thumbnail(self._path)
        except UsageError as error:
            raise UsageError(f"{self._name} cannot be decoded as its suffix says; choose another file") from error

    def _place(self) -> str:
        stem, suffix = os.path.splitext(self._name)
        for n in range(1, MAX_COPIES):
            target = self._folder / (self._name if n == 1 else f"{stem} {n}{suffix}")
            with contextlib.suppress(FileExistsError):
                target.touch(0o644, exist_ok=False)  # a name is taken first: os.replace asks nobody
                os.chmod(self._path, 0o644)
                os.replace(self._path, target)
                return target.name
        raise UsageError(f"the gallery has {MAX_COPIES} files called {self._name}; rename this one")


@contextlib.contextmanager
def receive(name: str, folder: Path) -> Iterator[Addition]:
    """A file called `name` that is to go into `folder`, which is made if need be. UsageError."""
    name = safe_name(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".adding-", suffix=os.path.splitext(name)[1])
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror}; see its permissions") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield Addition(name, Path(temporary), file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def check_size(size: int) -> None:
    """UsageError where `size` bytes are more than the gallery takes."""
    if size > MAX_BYTES:
        raise UsageError(f"the file has more than {MAX_BYTES // 1_000_000} MB; make it smaller, or copy it by hand")
