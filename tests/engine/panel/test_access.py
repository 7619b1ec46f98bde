"""Who may ask the panel, over real connections. A stranger gets 403 and not a byte more."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.panel.conftest import ROOT, Panel, environment

NOTHING = (403, b"")


def refused(answer):
    status, headers, body = answer
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Set-Cookie"] is None
    return (status, body) == NOTHING


def test_the_printed_address_opens_the_page_and_sets_a_strict_cookie(panel):
    status, headers, body = panel.ask("GET", f"/?token={panel.token}", Cookie=None, Origin=None)
    assert status == 200
    assert b"<title>JIT-Masker</title>" in body
    assert headers["Set-Cookie"] == f"{panel.cookie}; Path=/; HttpOnly; SameSite=Strict"
    assert panel.ask("GET", "/stats", Origin=None)[0] == 503  # let in, and there is no engine


def test_every_answer_carries_the_headers_that_keep_it_private(panel):
    for path in ("/", "/panel.js", "/stats", "/there-is-none"):
        _, headers, _ = panel.ask("GET", path)
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "Access-Control-Allow-Origin" not in headers
        assert "Server" not in headers


@pytest.mark.parametrize("path", ["/", "/panel.js", "/stats", "/picture", "/source", "/gallery", "/thumbnail?name=a"])
@pytest.mark.parametrize(
    "changed",
    [
        {"Cookie": None},
        {"Cookie": "jm-panel-1=x; jm-panel=y"},
        {"Host": "evil.example"},  # its name leads here: DNS rebinding
        {"Host": "127.0.0.1"},  # another port's cookie would do
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},  # another port of this machine
    ],
    ids=str,
)
def test_a_stranger_reads_nothing(panel, path, changed):
    if "Host" in changed and changed["Host"] is None:
        status, _, body = panel.ask("GET", path, **changed)  # h11 refuses it before us
        assert status in (400, 403)
        assert b"JIT" not in body
        return
    assert refused(panel.ask("GET", path, **changed))


@pytest.mark.parametrize("token", ["", "x", "é", "%00", "a" * 5000])
def test_a_wrong_token_opens_nothing(panel, token):
    assert refused(panel.ask("GET", f"/?token={token.encode().hex() if token == 'é' else token}", Cookie=None))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_who_read_the_address_in_a_browsers_arguments_cannot_open_it(panel):
    request = f"GET /?token={panel.token} HTTP/1.1\r\nHost: 127.0.0.1:{panel.port}\r\n\r\n"
    ask = (
        "import encodings.idna, os, socket, sys; os.setuid(65534); "
        "c = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "
        "c.sendall(sys.argv[2].encode()); print(c.recv(12).decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, str(panel.port), request], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip() == "HTTP/1.1 403", done.stderr


def test_a_right_token_under_another_host_opens_nothing(panel):
    assert refused(panel.ask("GET", f"/?token={panel.token}", Cookie=None, Host="evil.example"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_what_may_change_something_has_to_come_from_our_page(panel, method):
    for path in ("/command", "/gallery?name=a.png"):
        for origin in (None, "null", "http://localhost:1", f"https://127.0.0.1:{panel.port}"):
            assert refused(panel.ask(method, path, b"{}", Origin=origin))


def test_a_strangers_command_does_not_reach_the_engine(panel, session):
    body = b'{"command": "mirror", "arguments": ["on"]}'
    assert refused(panel.ask("POST", "/command", body, Origin="http://127.0.0.1:1"))
    assert refused(panel.ask("POST", "/command", body, Cookie=None))
    assert session.told == []
    assert panel.ask("POST", "/command", body)[0] == 200
    assert session.told == [("mirror", True)]


def test_a_websocket_is_refused(panel):
    upgrade = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec_WebSocket_Version": "13",
    }  # fmt: skip
    assert refused(panel.ask("GET", "/picture", Origin="http://evil.example", **upgrade))
    assert refused(panel.ask("GET", "/picture", Origin=None, Cookie=None, **upgrade))


def test_localhost_is_our_name_too(panel):
    host = f"localhost:{panel.port}"
    assert panel.ask("GET", "/panel.css", Host=host, Origin=f"http://{host}")[0] == 200


def test_only_this_machine_is_listened_to(panel):
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    listening = [fields[1] for fields in sockets if fields[3] == "0A" and fields[1].endswith(f":{panel.port:04X}")]
    assert listening == [f"0100007F:{panel.port:04X}"]


def test_each_start_has_a_token_of_its_own(panel, place):
    other = Panel(place)
    try:
        assert len(other.token) >= 43  # 256 bits
        assert other.token != panel.token
        assert refused(other.ask("GET", "/stats", Cookie=f"jm-panel-{other.port}={panel.token}"))
    finally:
        other.close()


# -- starting and ending -----------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_left_for_the_next_and_named_where_it_was_asked_for(place):
    first, second = Panel(place, "--no-browser"), Panel(place, "--no-browser")
    try:
        assert second.port != first.port
        asked = Panel(place, "--port", str(first.port))
        assert asked.address == ""
        error = asked.process.communicate(timeout=30)[1]
        assert f"cannot listen at port {first.port} of 127.0.0.1" in error
        assert "choose another --port" in error
        assert asked.process.returncode == 2
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_word(panel, number):
    panel.process.send_signal(number)
    out, error = panel.process.communicate(timeout=30)
    assert (panel.process.returncode, out, error) == (130, "", "")


def test_an_address_is_neither_logged_nor_repeated(panel):
    panel.ask("GET", f"/?token={panel.token}", Cookie=None)
    panel.process.send_signal(signal.SIGINT)
    assert panel.process.communicate(timeout=30) == ("", "")


def test_without_starlette_the_extra_is_named(place):
    hidden = "import sys; sys.modules['starlette'] = None; from engine.cli import main; sys.exit(main(['panel']))"
    done = subprocess.run(
        [sys.executable, "-c", hidden], env=environment(place), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 4
    assert 'pip install "jit-masker[panel]"' in done.stderr


def test_it_needs_neither_torch_nor_what_paints(place):
    check = (
        "import sys; import engine.panel.app, engine.panel.access, engine.panel.command; "
        "print([m for m in ('torch', 'onnxruntime', 'numba', 'cv2', 'av') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], env=environment(place), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_silent_caller_does_not_keep_others_waiting(panel):
    with socket.create_connection(("127.0.0.1", panel.port)) as silent:
        silent.sendall(b"POST /gallery?name=a.png HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert silent.recv(12) == b"HTTP/1.1 403"  # answered without its body
        assert panel.ask("GET", "/panel.css")[0] == 200
