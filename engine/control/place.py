"""Where running engines are found: one socket per engine, PID.sock, in a folder that its user alone can enter."""

from __future__ import annotations

import os
import socket
import stat
import struct
import time
from pathlib import Path

SUFFIX = ".sock"
CONNECT_TIMEOUT_S = 1.0  # to a socket of this machine: only one whose queue is full makes a caller wait
RETRY_S = 0.01  # between two attempts meanwhile
POSSIBLE = hasattr(socket, "AF_UNIX")


def socket_folder() -> Path:
    """`jit-masker` in $XDG_RUNTIME_DIR, else `run` in $JM_HOME or the platform's cache folder. It need not exist."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isabs(runtime):
        return Path(runtime) / "jit-masker"
    from platformdirs import user_cache_dir

    return Path(os.environ.get("JM_HOME") or user_cache_dir("jit-masker")).expanduser().absolute() / "run"


def check_private(folder: Path) -> None:
    """PermissionError unless `folder`, which has to exist, is no link, and this user's and nobody else's to enter."""
    here = folder.lstat()
    if not stat.S_ISDIR(here.st_mode):
        raise PermissionError(f"{folder} is a link or a file, not a folder")
    if here.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user, with the number {here.st_uid}")
    if here.st_mode & 0o077:
        raise PermissionError(f"other users can enter {folder}, mode {stat.S_IMODE(here.st_mode):o}")


def connect(path: Path, timeout: float = CONNECT_TIMEOUT_S) -> socket.socket:
    """A connection to the engine behind `path`. OSError where none listens, or another user's does."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        _connect_in_turn(connection, path, timeout)
        if (user := peer(connection)) not in (None, os.geteuid()):
            raise PermissionError(f"{path} is served by another user, with the number {user}")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_in_turn(connection: socket.socket, path: Path, timeout: float) -> None:
    """`connect` that waits where the queue is full: with a timeout, a local socket answers "try again" at once."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return connection.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} takes no more callers") from None
            time.sleep(RETRY_S)


def peer(connection: socket.socket) -> int | None:
    """The user at the other end; None where the system does not say: there the folder alone keeps others out."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    _, user, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    return user


def is_alive(path: Path) -> bool:
    """Whether an engine listens behind `path`; one that is too busy to take a caller counts."""
    try:
        connect(path).close()
    except (ConnectionRefusedError, FileNotFoundError, PermissionError):
        return False
    except OSError:
        return True  # its queue is full, or it is stopped
    return True


def running(folder: Path) -> list[int]:
    """Process ids of the engines that listen in `folder`, lowest first; those that died are left out.

    Raises
    ------
    PermissionError
        Other users could have put sockets there.
    """
    if not os.path.lexists(folder):
        return []
    check_private(folder)
    found = (int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())
    return [pid for pid in sorted(found) if is_alive(folder / f"{pid}{SUFFIX}")]
