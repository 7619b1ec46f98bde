"""Tells a running engine what to do: used by `jm-engine ctl`, by the panel and by other programs.

client = Client.connect()
client.call("background", "beach.jpg")
client.call("stats")["fps"]
client.snapshot()                        # JPEG
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from ..errors import ControlError, NoEngineRunning, UsageError
from . import place

TIMEOUT_S = 10.0  # for one answer: a background that has to be decoded first takes a while
MAX_LINE = 1 << 16  # bytes of a request, its newline included
MAX_ANSWER = 1 << 24  # bytes, of its line and of what follows it
CHUNK = 1 << 16


class Client:
    """One running engine. Each call is a connection of its own, so any thread may call, and nothing is left to close.

    Parameters
    ----------
    path : of the engine's socket.
    timeout : s, of one call altogether.
    """

    def __init__(self, path: Path, timeout: float = TIMEOUT_S):
        self._path, self._timeout = path, timeout

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return int(self._path.stem)

    @classmethod
    def connect(cls, pid: int | None = None, *, timeout: float = TIMEOUT_S, folder: Path | None = None) -> Client:
        """The engine that runs, or the one with the process id `pid`.

        Parameters
        ----------
        folder : of the sockets; None: where this user's engines put them.

        Raises
        ------
        NoEngineRunning
            None does, or not that one.
        UsageError
            There are several, and no `pid`.
        ControlError
            Other users can reach the folder, or this system has no local sockets.
        """
        folder = folder or place.socket_folder()
        pids = list_engines(folder)
        if pid is not None:
            if pid not in pids:
                listed = ", ".join(map(str, pids)) or "none"
                raise NoEngineRunning(f"no jm-engine with control has the process id {pid}; running: {listed}")
            return cls(folder / f"{pid}{place.SUFFIX}", timeout)
        if not pids:
            raise NoEngineRunning("no jm-engine is running that takes commands; start one, as in: jm-engine -o camera")
        if len(pids) > 1:
            raise UsageError(f"{len(pids)} engines are running: {', '.join(map(str, pids))}; choose one with --pid")
        return cls(folder / f"{pids[0]}{place.SUFFIX}", timeout)

    def call(self, command: str, *arguments: str) -> dict[str, Any]:
        """What the engine answers to a command of `commands.COMMANDS`. A path is relative to this process's folder.

        Raises
        ------
        UsageError
            There is no such command, or its arguments are wrong.
        ControlError
            The engine cannot do it, or did not answer in time.
        NoEngineRunning
            It is gone.
        """
        return self._ask(command, arguments)[0]

    def snapshot(self, *, source: bool = False) -> bytes:
        """A JPEG of the picture as it is sent; `source`: of the frame as it comes, the real room. See `call`."""
        return self._ask("snapshot", ("source",) if source else ())[1]

    def _ask(self, command: str, arguments: tuple[str, ...]) -> tuple[dict[str, Any], bytes]:
        request = {"command": command, "arguments": list(arguments), "folder": _current_folder()}
        line = json.dumps(request).encode() + b"\n"
        if len(line) > MAX_LINE:
            raise UsageError(f"a command of {len(line)} bytes; at most {MAX_LINE} can be sent")
        try:
            answer, data = self._exchange(line, time.monotonic() + self._timeout)
        except TimeoutError:
            raise ControlError(
                f"jm-engine {self.pid} did not answer within {self._timeout:g} s; if it hangs, kill {self.pid}"
            ) from None
        except (ConnectionRefusedError, FileNotFoundError):
            raise NoEngineRunning(f"jm-engine {self.pid} is no longer running; start it again") from None
        except (OSError, ValueError, RecursionError) as error:
            raise ControlError(
                f"jm-engine {self.pid} gave no answer: {error or type(error).__name__}; ask again"
            ) from error
        if answer.get("ok"):
            return answer.get("result", {}), data
        message = str(answer.get("error", "no reason given"))
        raise UsageError(message) if answer.get("usage") else ControlError(message)

    def _exchange(self, line: bytes, deadline: float) -> tuple[dict[str, Any], bytes]:
        """OSError, TimeoutError among them, or ValueError where the answer is none."""
        with place.connect(self._path, self._timeout) as connection:
            with contextlib.suppress(BrokenPipeError):  # an engine that refuses before it has read everything says why
                connection.sendall(line)
            received = bytearray()
            while b"\n" not in received:
                received += _receive(connection, deadline)
                if len(received) > MAX_ANSWER:
                    raise ValueError("its line has no end")
            head, _, rest = bytes(received).partition(b"\n")
            answer = json.loads(head)
            if not isinstance(answer, dict):
                raise ValueError("its line is no object")
            size = answer.get("bytes", 0)
            if not isinstance(size, int) or not 0 <= size <= MAX_ANSWER:
                raise ValueError(f"it announces {size!r} bytes")
            data = bytearray(rest)
            while len(data) < size:
                data += _receive(connection, deadline)
            return answer, bytes(data[:size])


def list_engines(folder: Path | None = None) -> list[int]:
    """Process ids of this user's engines that take commands; ControlError where others could have put them there."""
    if not place.POSSIBLE:
        raise ControlError("this system has no local sockets (AF_UNIX), so no engine takes commands here")
    folder = folder or place.socket_folder()
    try:
        return place.running(folder)
    except OSError as error:
        raise ControlError(
            f"cannot look for engines: {error}; remove that folder, and start the engine again"
        ) from error


def _receive(connection: socket.socket, deadline: float) -> bytes:
    connection.settimeout(max(deadline - time.monotonic(), 0.001))
    chunk = connection.recv(CHUNK)
    if not chunk:
        raise ConnectionError("it hung up")
    return chunk


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return os.sep
