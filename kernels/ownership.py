"""What lies on disk and is run or believed: whether another user could have written it.

POSIX only. On Windows the folders that are asked for lie in the user's profile, and nothing is checked.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
CHECKED = hasattr(os, "geteuid")


def make_folder(folder: Path) -> None:
    """Create `folder`, and those above it that are missing, for this user alone, whatever the umask. OSError."""
    for place in reversed((folder, *folder.parents)):
        if not place.exists():
            with contextlib.suppress(FileExistsError):  # another process was faster
                place.mkdir(mode=0o700)


def check_folder(folder: Path, forbidden: int = stat.S_IWOTH) -> None:
    """PermissionError where another user could replace what lies in `folder`, which has to exist.

    It has to belong to this user or to root, with none of the `forbidden` bits in its mode. A folder above it that
    every user can write has to be sticky, as /tmp is: there nobody can rename what is another's.
    """
    if not CHECKED:
        return
    here = folder.stat()
    if here.st_uid not in (os.geteuid(), 0):
        raise PermissionError(f"{folder} belongs to another user, with the number {here.st_uid}")
    if here.st_mode & forbidden:
        raise PermissionError(f"other users can write {folder}, mode {stat.S_IMODE(here.st_mode):o}")
    for above in folder.resolve().parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PermissionError(f"every user can write {above}, mode {stat.S_IMODE(mode):o}")


def read_private(path: Path) -> bytes:
    """What is in a file that this user, or root, alone could have written; OSError else, also for a link."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a named pipe would be waited for
    with open(path, "rb", opener=lambda name, reading: os.open(name, reading | flags)) as file:
        here = os.fstat(file.fileno())
        if CHECKED and (
            not stat.S_ISREG(here.st_mode) or here.st_uid not in (os.geteuid(), 0) or here.st_mode & BY_OTHERS
        ):
            raise PermissionError(f"{path} is not a file that this user alone can write")
        return file.read()


def write_private(path: Path, data: bytes) -> None:
    """A new file that this user alone can read and write, in the place of what was there; OSError."""
    path.unlink(missing_ok=True)
    with open(path, "xb", opener=lambda name, writing: os.open(name, writing, 0o600)) as file:  # x follows no link
        file.write(data)
