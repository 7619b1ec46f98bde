"""The local socket of a running engine. One JSON line in, one JSON line out, then the bytes that it announces.

    {"command": "background", "arguments": ["beach.jpg"], "folder": "/home/me"}
    {"ok": true, "result": {"background": "/home/me/beach.jpg"}, "bytes": 0}
    {"ok": false, "error": "there is no background ...", "usage": false}

One connection carries one command. A thread of its own waits for all callers at once; only a caller that has sent a
whole line is given a thread. So those that are silent, slow or mad cost a file descriptor for a few seconds.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import threading
import time
from pathlib import Path
from typing import Any

from kernels.ownership import check_folder, make_folder

from ..closing import Closable
from ..errors import JitMaskerError, UsageError
from ..stroke import MAX_POINTS
from . import place
from .client import MAX_LINE
from .commands import Controls

log = logging.getLogger("jit_masker")

MAX_WAITING = 32  # callers whose line is not there yet; one more, and the oldest is hung up on
MAX_BUSY = 8  # commands that run at once
LINE_TIMEOUT_S = 5.0  # from connecting to the end of the line
SEND_TIMEOUT_S = 5.0  # for one answer
CLOSE_TIMEOUT_S = 1.0  # for the answers that are on their way when the engine ends
MAX_ARGUMENTS = MAX_POINTS + 1  # a stroke has the most


def serve(controls: Controls, folder: Path | None = None) -> Closable:
    """Take commands until closed. Where that cannot be, it is said once, and the engine runs without.

    `folder`: of the socket, made for this user alone; None: `place.socket_folder()`.
    """
    try:
        if not place.POSSIBLE:
            raise OSError("this system has no local sockets (AF_UNIX)")
        return ControlServer(controls, folder or place.socket_folder())
    except OSError as error:
        log.warning("jm-engine ctl and the panel cannot reach this run: %s", error)
        return contextlib.ExitStack()


class ControlServer:
    """Listens on PID.sock in `folder`. OSError where that folder is not this user's alone, or cannot be used."""

    def __init__(self, controls: Controls, folder: Path):
        self._controls = controls
        self._lock = threading.Lock()
        self._busy: set[threading.Thread] = set()
        self._waiting: dict[socket.socket, tuple[bytearray, float]] = {}  # what came, and when it has to be complete
        self._told = False
        self._closed = False
        self._listener, self.path = listen(folder)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._listen, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more commands and remove the socket; answers that are on their way are waited for, a little."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        with contextlib.suppress(BrokenPipeError):  # it woke by itself
            self._wake.send(b".")
        self._thread.join()
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        for thread in self._answering():
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._wake.close()

    # -- the thread that waits ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener, self._woken:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._closed:
                for key, _ in selector.select(self._patience()):
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._waiting:
                        self._receive(selector, key.fileobj)
                now = time.monotonic()
                for caller in [caller for caller, (_, deadline) in self._waiting.items() if deadline <= now]:
                    self._hang_up(selector, caller)
            for caller in list(self._waiting):
                self._hang_up(selector, caller)

    def _patience(self) -> float | None:
        """Seconds until the first caller has to be hung up on."""
        deadline = min((deadline for _, deadline in self._waiting.values()), default=None)
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            caller, _ = self._listener.accept()
        except BlockingIOError:
            return  # the caller left before
        except OSError as error:  # no descriptor is left: others may be given back meanwhile
            log.debug("no caller can be taken: %s", error)
            time.sleep(0.1)
            return
        caller.setblocking(False)
        user = place.peer(caller)
        if user not in (None, os.geteuid()):
            if not self._told:
                log.warning("user %s tried to control this run and was refused; it is told once", user)
            self._told = True
            caller.close()
            return
        if len(self._waiting) >= MAX_WAITING:
            self._hang_up(selector, next(iter(self._waiting)))
        self._waiting[caller] = bytearray(), time.monotonic() + LINE_TIMEOUT_S
        selector.register(caller, selectors.EVENT_READ)

    def _receive(self, selector: selectors.BaseSelector, caller: socket.socket) -> None:
        received, _ = self._waiting[caller]
        try:
            chunk = caller.recv(MAX_LINE + 1 - len(received))
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        received += chunk
        line, newline, _ = bytes(received).partition(b"\n")
        if newline:
            selector.unregister(caller)
            del self._waiting[caller]
            self._begin(caller, line)
        elif not chunk:
            self._hang_up(selector, caller)
        elif len(received) > MAX_LINE:
            self._refuse(
                caller, f"no newline within {MAX_LINE} bytes; expected one JSON object in one line", usage=True
            )
            self._hang_up(selector, caller)

    def _hang_up(self, selector: selectors.BaseSelector, caller: socket.socket) -> None:
        selector.unregister(caller)
        del self._waiting[caller]
        caller.close()

    def _begin(self, caller: socket.socket, line: bytes) -> None:
        thread = threading.Thread(target=self._answer, args=(caller, line), name="control", daemon=True)
        with self._lock:
            full = len(self._busy) >= MAX_BUSY
            if not full:
                self._busy.add(thread)
        if not full:
            thread.start()
            return
        self._refuse(caller, f"{MAX_BUSY} commands are already running; try again later")
        caller.close()

    def _answering(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._busy)

    # -- one thread per command -----------------------------------------------------------------------------------

    def _answer(self, caller: socket.socket, line: bytes) -> None:
        with caller:
            try:
                head, data = respond(self._controls, line)
                caller.settimeout(SEND_TIMEOUT_S)
                caller.sendall(head + data)
            except OSError:
                pass  # the caller left, or does not read
            finally:
                with self._lock:
                    self._busy.discard(threading.current_thread())

    @staticmethod
    def _refuse(caller: socket.socket, message: str, usage: bool = False) -> None:
        with contextlib.suppress(OSError):  # nothing was sent before, so that it fits; or the caller left
            caller.send(_line({"ok": False, "error": message, "usage": usage}))


def respond(controls: Controls, line: bytes) -> tuple[bytes, bytes]:
    """The answer to one line, and the bytes that follow it; whatever the line holds, it is an answer."""
    try:
        answer = controls.run(*read_request(line))
        return _line({"ok": True, "result": answer.result, "bytes": len(answer.data)}), answer.data
    except JitMaskerError as error:
        return _line({"ok": False, "error": str(error), "usage": isinstance(error, UsageError)}), b""
    except Exception as error:  # a command must not end the run
        log.warning("a command failed: %s: %s", type(error).__name__, error)
        return _line(
            {"ok": False, "error": f"the command failed: {type(error).__name__}: {error}", "usage": False}
        ), b""


def read_request(line: bytes) -> tuple[str, list[str], str]:
    """Command, arguments, folder. UsageError where the line is no request."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:  # the encoding's, 5000 digits, 5000 brackets
        raise UsageError(f"no JSON ({error or type(error).__name__}); expected one object in one line") from None
    if not isinstance(request, dict) or not isinstance(command := request.get("command"), str):
        raise UsageError('expected an object with a command, as in {"command": "stats"}')
    arguments, folder = request.get("arguments", []), request.get("folder", os.sep)
    texts = isinstance(arguments, list) and all(isinstance(argument, str) for argument in arguments)
    if not texts or len(arguments) > MAX_ARGUMENTS:
        raise UsageError(f"arguments: expected a list of at most {MAX_ARGUMENTS} texts")
    if not isinstance(folder, str) or not os.path.isabs(folder) or "\0" in folder:
        raise UsageError(f"folder is {folder!r:.80}; expected an absolute path")
    return command, arguments, folder


def listen(folder: Path) -> tuple[socket.socket, Path]:
    """A listening socket and its path in `folder`; sockets of engines that died are removed. OSError.

    It is bound under another name and renamed once it listens: nobody finds it before, and takes it for a dead one.
    """
    make_folder(folder)
    if not folder.is_symlink() and folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)
    place.check_private(folder)
    check_folder(folder)  # and what lies above it
    for path in folder.glob(f"*{place.SUFFIX}"):
        if not place.is_alive(path):
            path.unlink(missing_ok=True)
    path, new = folder / f"{os.getpid()}{place.SUFFIX}", folder / f".{os.getpid()}.new"
    if path.exists():
        raise OSError(f"another engine listens at {path}; set XDG_RUNTIME_DIR to a folder of its own for one of them")
    new.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(new))
        new.chmod(0o600)
        listener.listen(MAX_WAITING)
        listener.setblocking(False)
        new.rename(path)
    except BaseException:
        listener.close()
        new.unlink(missing_ok=True)
        raise
    return listener, path


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
