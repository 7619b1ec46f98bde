"""The socket against those who should not reach it, and those who reach it and mean harm."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from engine.control import place, server
from engine.control.client import MAX_LINE, Client
from engine.errors import ControlError, NoEngineRunning, UsageError

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user for a moment")
OTHER = 65534  # nobody


def said(caller):
    """What comes back until the other end hangs up."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := caller.recv(1 << 16):
            received += chunk
    return received


def exchange(run, *pieces):
    with place.connect(run.server.path, 20) as caller:
        with contextlib.suppress(BrokenPipeError):
            for piece in pieces:
                caller.sendall(piece)
        return json.loads(said(caller))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"stats",
        b"\x00\xff\xfe\x80",
        b"null",
        b"[]",
        b"{}",
        b"[" * 60_000,
        b'{"command":' * 5000,
        b"9" * 6000,
        b'{"command": 1}',
        b'{"command": "stats", "arguments": "no list"}',
        b'{"command": "stats", "arguments": [1]}',
        b'{"command": "stats", "arguments": ' + json.dumps(["x"] * 202).encode() + b"}",
        b'{"command": "stats", "folder": "here"}',
        b'{"command": "stats", "folder": "/\\u0000"}',
        b'{"command": "background", "arguments": ["\\ud800.jpg"]}',
        b'{"command": "__class__"}',
    ],
    ids=lambda line: line[:24].decode("latin-1"),
)
def test_garbage_is_answered_with_an_error_and_the_next_caller_is_served(run, line):
    answer = exchange(run, line + b"\n")
    assert answer["ok"] is False
    assert answer["error"]
    assert run.client.call("stats")["pid"] == os.getpid()


def test_ten_megabytes_without_a_newline_are_refused_after_a_line_too_many(run):
    answer = exchange(run, *[b"x" * MAX_LINE] * 160)
    assert f"no newline within {MAX_LINE} bytes" in answer["error"]
    assert run.client.call("stats")


def test_a_line_that_comes_in_pieces_is_one(run):
    assert exchange(run, b'{"comm', b'and": "st', b'ats"}\nand more')["result"]["pid"] == os.getpid()


def test_two_hundred_silent_callers_have_no_thread_and_lock_nobody_out(run):
    run.client.call("stats")
    threads = threading.active_count()
    with contextlib.ExitStack() as callers:
        silent = [callers.enter_context(place.connect(run.server.path)) for _ in range(200)]
        assert run.client.call("stats")["pid"] == os.getpid()
        assert threading.active_count() < threads + len(silent) // 10  # what else runs may begin a few
        assert said(silent[0]) == b""  # the oldest are hung up on
        assert len(run.server._waiting) <= server.MAX_WAITING


def test_a_caller_that_sends_no_line_in_time_is_hung_up_on(run, monkeypatch):
    monkeypatch.setattr(server, "LINE_TIMEOUT_S", 0.01)
    with place.connect(run.server.path, 20) as silent, place.connect(run.server.path, 20) as slow:
        slow.sendall(b'{"comm')
        assert (said(silent), said(slow)) == (b"", b"")


def test_a_caller_that_leaves_before_its_answer_harms_nobody(run):
    for _ in range(server.MAX_BUSY - 1):
        with place.connect(run.server.path) as caller:
            caller.sendall(b'{"command": "snapshot"}\n')
    assert run.client.call("stats")


def test_a_caller_that_does_not_read_is_left_after_a_while(run, monkeypatch):
    monkeypatch.setattr(server, "SEND_TIMEOUT_S", 0.01)
    monkeypatch.setattr(run.session, "status", lambda: {"long": "x" * 10_000_000})
    with place.connect(run.server.path) as caller:
        caller.sendall(b'{"command": "stats"}\n')
        caller.recv(1)
        for thread in run.server._answering():
            thread.join(30)
        assert run.server._answering() == []


def test_more_commands_than_may_run_at_once_are_told_to_come_again(run, monkeypatch):
    release, inside = threading.Event(), threading.Semaphore(0)

    def hang():
        inside.release()
        release.wait(30)

    monkeypatch.setattr(run.session, "forget", hang)
    callers = [threading.Thread(target=run.client.call, args=("forget",)) for _ in range(server.MAX_BUSY)]
    for caller in callers:
        caller.start()
    for _ in callers:
        inside.acquire(timeout=30)
    with pytest.raises(ControlError, match="8 commands are already running; try again later"):
        run.client.call("stats")
    release.set()
    for caller in callers:
        caller.join()
    for thread in run.server._answering():
        thread.join(30)
    assert run.client.call("stats")


# -- who reaches it ----------------------------------------------------------------------------------------------------


def test_folder_and_socket_are_the_users_alone(run):
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(run.server.path.stat().st_mode) == 0o600


AS_ANOTHER_USER = """
import os, socket, sys
os.setgroups([]); os.setgid({user}); os.setuid({user})
caller = socket.socket(socket.AF_UNIX)
try:
    caller.connect(sys.argv[1])
    caller.sendall(b'{{"command": "stop"}}\\n')
    print(caller.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


def as_another_user(path):
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER.format(user=OTHER), str(path)], capture_output=True, text=True, cwd="/"
    )
    return done.stdout.strip()


@ROOT_ONLY
def test_another_user_cannot_connect(run):
    assert as_another_user(run.server.path) == "PermissionError"


@ROOT_ONLY
def test_another_user_for_whom_all_doors_were_opened_gets_no_answer(run, caplog):
    for place_ in (run.folder, *run.folder.parents[:-1]):
        if not place_.stat().st_mode & stat.S_IXOTH:
            place_.chmod(0o711)
    run.server.path.chmod(0o666)
    answers = {as_another_user(run.server.path) for _ in range(3)}
    run.folder.chmod(0o700)
    assert answers <= {"b''", "ConnectionResetError", "BrokenPipeError"}
    assert caplog.text.count(f"user {OTHER} tried to control this run") == 1
    assert run.client.call("stats")["frames"] >= 0  # not stopped


@ROOT_ONLY
def test_a_folder_of_another_user_is_refused_by_engine_and_client(run, tmp_path, caplog):
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, OTHER, OTHER)
    server.serve(run.controls, folder).close()
    assert f"cannot reach this run: {folder} belongs to another user, with the number {OTHER}" in caplog.text
    assert list(folder.iterdir()) == []
    with pytest.raises(ControlError, match="belongs to another user"):
        Client.connect(folder=folder)


@pytest.mark.parametrize("target", ["elsewhere", "missing"])
def test_a_folder_that_is_a_link_is_refused_by_engine_and_client(run, tmp_path, caplog, target):
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / target)
    server.serve(run.controls, link).close()
    assert f"{link} is a link or a file" in caplog.text
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755
    assert not (tmp_path / "missing").exists()
    with pytest.raises(ControlError, match="is a link or a file"):
        Client.connect(folder=link)


def test_a_folder_that_others_may_enter_is_closed_to_them(run, tmp_path):
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    with contextlib.closing(server.serve(run.controls, folder)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert Client.connect(folder=folder).call("stats")


@pytest.mark.parametrize("name", ["x" * 200, "file/below"])
def test_where_no_socket_can_be_the_run_goes_on_and_says_so_once(run, tmp_path, caplog, name):
    (tmp_path / "file").touch()
    server.serve(run.controls, tmp_path / name).close()
    assert caplog.text.count("jm-engine ctl and the panel cannot reach this run") == 1


def test_a_system_without_local_sockets_is_told_once(run, monkeypatch, caplog):
    monkeypatch.setattr(place, "POSSIBLE", False)
    server.serve(run.controls).close()
    assert "this system has no local sockets (AF_UNIX)" in caplog.text
    with pytest.raises(ControlError, match="AF_UNIX"):
        Client.connect()


# -- several, and dead ones --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(path):
    """A process id in the name of which somebody listens who says nothing."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener


def test_the_socket_of_a_dead_engine_is_replaced_and_a_live_one_respected(run, tmp_path):
    folder = tmp_path / "several"
    folder.mkdir(mode=0o700)
    dead, alive = folder / f"{os.getpid()}.sock", folder / "1.sock"
    with listening(dead):
        pass
    with listening(alive), contextlib.closing(server.serve(run.controls, folder)):
        assert Client.connect(os.getpid(), folder=folder).call("stats")["pid"] == os.getpid()
        assert place.running(folder) == [1, os.getpid()]
        with pytest.raises(UsageError, match=rf"2 engines are running: 1, {os.getpid()}; choose one with --pid"):
            Client.connect(folder=folder)
    assert alive.exists()
    assert not dead.exists()


def test_a_second_server_of_one_process_leaves_the_first_its_socket(run, caplog):
    server.serve(run.controls, run.folder).close()
    assert f"another engine listens at {run.server.path}" in caplog.text
    assert run.client.call("stats")


def test_an_engine_that_does_not_answer_is_named_with_the_way_out(tmp_path):
    tmp_path.chmod(0o700)
    with listening(tmp_path / "7.sock"):
        began = time.monotonic()
        with pytest.raises(ControlError, match=r"jm-engine 7 did not answer within 0\.05 s; if it hangs, kill 7"):
            Client.connect(folder=tmp_path, timeout=0.05).call("stats")
        assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"x",
        b"\n",
        b"[]\n",
        b"[" * 9000 + b"\n",
        b'{"ok": true, "bytes": -1}\n',
        b'{"ok": true, "bytes": "x"}\n',
        b'{"ok": true, "bytes": 99999999999}\n',
        b'{"ok": true, "bytes": 9}\n123',
    ],
)
def test_an_answer_that_is_none_is_an_error_of_ours(tmp_path, answer):
    tmp_path.chmod(0o700)

    def serve_one(listener):
        with listener.accept()[0] as caller:
            caller.recv(1 << 16)
            caller.sendall(answer)

    with listening(tmp_path / "7.sock") as listener:
        thread = threading.Thread(target=serve_one, args=(listener,))
        client = Client(tmp_path / "7.sock")
        thread.start()
        with pytest.raises(ControlError, match="jm-engine 7 gave no answer: .*; ask again"):
            client.call("stats")
        thread.join()


def test_close_twice_removes_the_socket_and_ends_the_thread(run):
    run.server.close()
    run.server.close()
    assert not run.server.path.exists()
    assert not run.server._thread.is_alive()
    with pytest.raises(NoEngineRunning):
        Client.connect()
