"""jm-teacher as it is run: real processes on 127.0.0.1, asked by our client, by a foreign one, and by vandals."""

import contextlib
import http.client
import json
import resource
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from engine import Masker
from engine.errors import TeacherError, UsageError
from engine.teacher_options import TeacherOptions
from tests.fakes import HangingTeacher
from tests.training.remote.teacher_servers import ServedTeacher, TeacherProcess
from tests.training.test_teachers import tiny_segmenter
from training.remote import client as remote
from training.remote.circuit_breaker import CircuitBreaker, CircuitBreakerOptions
from training.remote.client import RemoteTeacher
from training.remote.server import connections
from training.remote.server.cli import check_exposure, main, model_name
from training.teachers import load

pytest.importorskip("uvicorn", reason='jm-teacher is not installed: pip install "jit-masker[serve]"')

FRAME = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    """A segmenter that calls dark red the person: sigmoid of the red channel."""
    return tiny_segmenter(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def teacher(toml):
    with TeacherProcess(toml, "--max-bytes", 200_000, "--max-pixels", 10_000, token="secret") as process:
        yield process


def options(url, **changes):
    return TeacherOptions(url, **({"token": "secret", "deadline": 30.0} | changes))


def ask(url, bgr=FRAME, **changes):
    """The label of one frame, over a connection of its own."""
    client = RemoteTeacher(options(url, **changes))
    try:
        return client(bgr)
    finally:
        client.close()


def request(process, method, path, body=b"", **headers):
    """(status, headers, body) of one plain HTTP request with the token."""
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
    headers = {"Authorization": "Bearer secret"} | {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    result = answer.status, answer.headers, answer.read()
    connection.close()
    return result


# -- our client ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_a_label_from_there_is_the_label_from_here(teacher, toml, encoding):
    smooth = cv2.resize(FRAME[:4, :6], (80, 60), interpolation=cv2.INTER_CUBIC)
    there, here = ask(teacher.url, smooth, encoding=encoding), load(str(toml), 1)(smooth)
    assert there.shape == here.shape
    assert np.abs(there - here).max() < {"raw": 1 / 255, "jpeg": 0.05}[encoding]


def test_an_expired_token_is_denied_and_told(teacher):
    for token in (None, "secre", "secret2", "geheim-ß"):
        with pytest.raises(TeacherError, match="answered 401: a valid token is needed; check JM_TEACHER_TOKEN"):
            ask(teacher.url, token=token)


def test_what_is_too_large_is_refused_before_it_is_unpacked(teacher):
    with pytest.raises(TeacherError, match="answered 400: the picture has 120x160 pixels; at most 10000"):
        ask(teacher.url, np.zeros((120, 160, 3), np.uint8))
    with pytest.raises(TeacherError, match="answered 413: the body has"):
        ask(teacher.url, np.zeros((300, 400, 3), np.uint8), encoding="raw")


def red_thing(i):
    """A frame of something that the students here call nobody and the teacher a person; it moves, and is never learnt
    to the last pixel.
    """
    frame = np.full((240, 320, 3), 40, np.uint8)
    cv2.circle(frame, (160 + round(80 * np.sin(i)), 120 + i * 7 % 40), 40 + i * 3 % 20, (0, 0, 230), -1)
    return frame


@pytest.mark.parametrize("lockstep", [True, False])
def test_killed_and_restarted_it_costs_no_picture_and_learning_resumes(tmp_path, room, monkeypatch, lockstep):
    toml = tiny_segmenter(tmp_path, activation="Identity")  # red is the person
    monkeypatch.setattr(
        remote, "CircuitBreaker", lambda: CircuitBreaker(CircuitBreakerOptions(first_delay=0.01, max_delay=0.05))
    )
    with (
        TeacherProcess(toml) as process,
        Masker(background=room, threads=1, lockstep=lockstep, teacher=options(process.url, deadline=4)) as masker,
    ):
        frames = 0

        def paint_until(condition):
            nonlocal frames
            while not condition(masker.stats.learning):
                masker(red_thing(frames))
                frames += 1

        paint_until(lambda learning: learning.traffic["labels"] >= 2 and learning.steps)
        process.kill()
        failed = masker.stats.learning.failures
        paint_until(lambda learning: learning.failures >= failed + 3)
        before = masker.stats.learning
        with TeacherProcess(toml, port=process.port):
            paint_until(lambda learning: learning.steps >= before.steps + 8)
        assert masker.stats.learning.traffic["labels"] > before.traffic["labels"]
        assert masker.stats.frames == frames
        assert masker.stats.faults == 0
        assert masker.stats.learning.died is None


# -- a foreign client ------------------------------------------------------------------------------------------------


FOREIGN = """
import json, sys
import numpy as np
import tritonclient.http as triton

address, frame = sys.argv[1], np.load(sys.argv[2])
client = triton.InferenceServerClient(address)
headers = {"Authorization": "Bearer secret"}
assert client.is_server_live() and client.is_server_ready(), "health"
assert client.is_model_ready("tiny", headers=headers)
server, model = client.get_server_metadata(headers=headers), client.get_model_metadata("tiny", headers=headers)
assert server["name"] == "jm-teacher" and "binary_tensor_data" in server["extensions"], server

def ask(tensor, name, datatype, output, binary_in, binary_out, **options):
    given = triton.InferInput(name, list(tensor.shape), datatype)
    given.set_data_from_numpy(tensor, binary_data=binary_in)
    wanted = [triton.InferRequestedOutput(output, binary_data=binary_out)] if output else None
    return client.infer("tiny", [given], outputs=wanted, headers=dict(headers), **options)  # it writes into them

reference = ask(frame, "image", "UINT8", "label", True, True).as_numpy("label")
assert reference.dtype == np.float32 and reference.shape == (32, 48), reference.shape
for binary_in in (True, False):
    for binary_out in (True, False):
        answer = ask(frame, "image", "UINT8", "label", binary_in, binary_out, request_id="41")
        assert np.array_equal(answer.as_numpy("label"), reference)
        assert answer.get_response()["id"] == "41"
both = ask(frame, "image", "UINT8", None, True, True)
assert np.array_equal(both.as_numpy("label_u8"), np.rint(reference * 255)), "both outputs where none is named"
packed = ask(frame, "image", "UINT8", "label", True, True, response_compression_algorithm="gzip")
assert np.array_equal(packed.as_numpy("label"), reference)
small = ask(frame, "image", "UINT8", "label_u8", True, True, parameters={"label_side": 24})
assert small.as_numpy("label_u8").shape == (16, 24)
jpeg = np.array([open(sys.argv[3], "rb").read()], dtype=np.object_)
assert np.abs(ask(jpeg, "jpeg", "BYTES", "label", True, True).as_numpy("label") - reference).max() < 0.1
try:
    ask(frame[..., :2].copy(), "image", "UINT8", "label", True, True)
    raise SystemExit("a bad shape was taken")
except triton.InferenceServerException as error:
    assert "expected UINT8 (H, W, 3)" in str(error), error
client.close()
print(json.dumps(model))
"""


def test_a_foreign_client_is_understood(teacher, tmp_path):
    """In a process of its own: tritonclient patches sockets for gevent."""
    pytest.importorskip("tritonclient", reason='tritonclient is not installed: pip install "tritonclient[http]"')
    smooth = cv2.resize(FRAME[:4, :6], (80, 60), interpolation=cv2.INTER_CUBIC)
    np.save(tmp_path / "frame.npy", smooth)
    cv2.imwrite(str(tmp_path / "frame.jpg"), smooth[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    command = [
        sys.executable,
        "-c",
        FOREIGN,
        f"127.0.0.1:{teacher.port}",
        tmp_path / "frame.npy",
        tmp_path / "frame.jpg",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [port["name"] for port in json.loads(done.stdout)["inputs"]] == ["image", "jpeg"]


# -- vandals, and those who only look --------------------------------------------------------------------------------


def raw(process, data, half_close=False):
    """What comes back for bytes on a bare socket, until the server hangs up."""
    with socket.create_connection(("127.0.0.1", process.port), timeout=60) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
        return received


def test_garbage_and_half_closed_sockets_leave_it_standing(teacher):
    head = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"
    assert b" 400 " in raw(teacher, b"\x16\x03\x01 garbage\r\n\r\n")
    raw(teacher, head + b"Content-Length: 100\r\n\r\nabc", half_close=True)
    raw(teacher, head, half_close=True)
    for body in (b"", b"\x00\xff", b"{}", b'{"inputs":[]}', b"[" * 50_000):
        status, _, said = request(teacher, "POST", "/v2/models/tiny/infer", body)
        assert status == 400
        assert json.loads(said)["error"]
    status, _, said = request(teacher, "POST", "/v2/models/tiny/infer", b"{}", Inference_Header_Content_Length="9")
    assert (status, "and the body has 2 bytes" in json.loads(said)["error"]) == (400, True)
    chunked = (
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        + b"30000\r\n"
        + b"x" * 0x30000
        + b"\r\n"
        + b"2\r\nxx\r\n" * 2
    )
    assert b" 413 " in raw(teacher, head + chunked + b"10000\r\n" + b"y" * 0x10000 + b"\r\n0\r\n\r\n")
    assert ask(teacher.url).size


def entry(**changes):
    return {"name": "image", "datatype": "UINT8", "shape": [1, 1, 3], "data": [1, 2, 3]} | changes


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [entry(shape=[0, 2**63], data=[])]},
        {"inputs": [entry(datatype="BYTES", shape=[0, 2**63], parameters={"binary_data_size": 0})]},
        {"inputs": [entry(shape=[0, 2**63], parameters={"binary_data_size": 0})]},
        {"inputs": [entry(shape=[0, *[2**31 - 1] * 7], parameters={"binary_data_size": 0})]},
        {"inputs": [entry()], "parameters": {"timeout": 10**400}},
        {"inputs": [entry()], "parameters": {"label_side": 10**400}},
        {"inputs": [entry()], "outputs": [{"name": "\ud800"}]},
        {"inputs": [entry(name="\ud800", datatype="FP33")]},
        {"inputs": [entry(shape=[1, 5000, 3], data=[0] * 15000)]},
        {"inputs": [entry(shape=[5000, 1, 3], data=[0] * 15000)]},
    ],
)
def test_numbers_out_of_range_are_a_400(teacher, body):
    payload = json.dumps(body).encode()
    size = {"Inference_Header_Content_Length": str(len(payload))}
    status, _, said = request(teacher, "POST", "/v2/models/tiny/infer", payload, **size)
    assert status == 400
    assert len(json.loads(said)["error"]) <= 500


@pytest.mark.parametrize("digits", [4000, 5000])
def test_a_header_of_thousands_of_digits_is_a_400(teacher, digits):
    size = {"Inference_Header_Content_Length": "9" * digits}
    status, _, said = request(teacher, "POST", "/v2/models/tiny/infer", b"{}", **size)
    assert (status, "Inference-Header-Content-Length is" in json.loads(said)["error"]) == (400, True)


def test_a_long_complaint_is_cut(teacher):
    body = json.dumps({"inputs": [entry(shape=["x"] * 10_000)]}).encode()
    status, _, said = request(teacher, "POST", "/v2/models/tiny/infer", body)
    assert (status, len(said) < 1000) == (400, True)


def test_health_needs_no_token_and_everything_else_does(teacher):
    for path, status in [
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        ("/v2", 401),
        ("/v2/models/tiny", 401),
        ("/v2/models/tiny/ready", 401),
        ("/metrics", 401),
    ]:
        assert request(teacher, "GET", path, Authorization="Bearer wrong")[0] == status
        assert request(teacher, "GET", path)[0] == 200
    assert request(teacher, "GET", "/v2/models/tiny/versions/1")[0] == 200
    assert request(teacher, "GET", "/v2/models/tiny/versions/2")[0] == 404
    assert request(teacher, "GET", "/v2/models/other")[0] == 404
    assert request(teacher, "GET", "/nowhere")[0] == 404
    assert request(teacher, "GET", "/v2/models/tiny/infer")[0] == 405


def test_metrics_count_what_happened(toml):
    with TeacherProcess(toml) as process:
        ask(process.url)
        ask(process.url)
        request(process, "POST", "/v2/models/tiny/infer", b"{}")
        page = request(process, "GET", "/metrics")[2].decode()
    assert 'jm_teacher_requests_total{status="200"} 2.0' in page
    assert 'jm_teacher_requests_total{status="400"} 1.0' in page
    assert "jm_teacher_label_seconds_count 2.0" in page
    assert "jm_teacher_waiting 0.0" in page


def test_a_teacher_that_fails_is_a_500_with_its_reason_and_the_server_stands(tmp_path):
    toml = tiny_segmenter(tmp_path)
    toml.write_text(toml.read_text() + "channel = 7\n")
    with TeacherProcess(toml) as process:
        for _ in range(2):
            with pytest.raises(TeacherError, match="answered 500: the teacher failed: UsageError: channel is 7"):
                ask(process.url)
        assert request(process, "GET", "/v2/health/ready")[0] == 200


def test_told_to_stop_it_stops_with_its_callers_still_connected(toml):
    with TeacherProcess(toml) as process:
        client = RemoteTeacher(TeacherOptions(process.url, deadline=30.0))
        client(FRAME)
        code, said = process.stop()
        assert (code, said) == (0, "")
        client.close()


# -- silent connections, bad batches ---------------------------------------------------------------------------------


def wait_until(condition):
    while not condition():
        time.sleep(0.001)


def silent(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def test_six_hundred_silent_connections_do_not_lock_out_an_honest_caller(toml):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1000:
        pytest.skip("fewer than 1000 open files are allowed here: ulimit -n 1024")
    with TeacherProcess(toml) as process, contextlib.ExitStack() as stack:
        connections_ = [stack.enter_context(silent(process.port)) for _ in range(600)]
        for _ in range(2):
            assert ask(process.url).size
        assert connections_[0].recv(1) == b""  # the oldest made room


def test_a_new_connection_replaces_the_longest_idle_one_and_none_that_is_served(monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    teacher = HangingTeacher()
    with ServedTeacher(teacher) as served, contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        busy = pool.submit(ask, served.url)
        wait_until(lambda: served.worker.waiting)
        first, second, third = [stack.enter_context(silent(served.port)) for _ in range(3)]
        assert first.recv(1) == b""
        teacher.release.set()
        assert busy.result().all()
        for connection in (second, third):
            connection.sendall(WHOLE)
            assert connection.recv(12) == b"HTTP/1.1 200"


WHOLE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(("before", "start"), [(b"", b""), (b"", WHOLE[:-2]), (WHOLE, b"GET")])
def test_a_connection_whose_headers_do_not_arrive_is_closed(monkeypatch, before, start):
    monkeypatch.setattr(connections, "HEADERS_TIMEOUT", 0.05)
    with ServedTeacher(HangingTeacher()) as served, silent(served.port) as connection:
        if before:
            connection.sendall(before)
            assert connection.recv(12) == b"HTTP/1.1 200"
        with contextlib.suppress(ConnectionResetError):
            connection.sendall(start)
            while connection.recv(4096):
                pass


class OnceBad(HangingTeacher):
    """Labels white; the first batch that is larger than one gets one label too few."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def many(self, frames):
        labels = [self(bgr) for bgr in frames]
        self.batches.append(len(frames))
        return labels[1:] if len(self.batches) == 1 else labels


def test_a_bad_batch_over_http_and_the_next_is_served():
    teacher = OnceBad()
    with ServedTeacher(teacher) as served, ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            teacher.release.clear()
            asked = [pool.submit(ask, served.url) for _ in range(4)]
            wait_until(lambda: served.worker.waiting == 4)
            teacher.release.set()
            assert all(label.result().all() for label in asked)
        assert teacher.batches[0] == 3
        assert len(teacher.batches) > 1
        assert request(served, "GET", "/v2/health/live")[0] == 200


def test_a_teacher_thread_that_ended_makes_live_a_503():
    with ServedTeacher(HangingTeacher()) as served:
        assert request(served, "GET", "/v2/health/live")[0] == 200
        served.worker.close()
        assert request(served, "GET", "/v2/health/live")[0] == 503
        with pytest.raises(TeacherError, match="answered 500: the teacher's thread has ended"):
            ask(served.url)


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
    ]  # fmt: skip
    try:
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"openssl cannot make a certificate here: {error}")
    return folder / "cert.pem", folder / "key.pem"


def test_a_certificate_is_verified(toml, certificate):
    cert, key = certificate
    with TeacherProcess(toml, "--certificate", cert, "--key", key) as process:
        assert urlsplit(process.url).scheme == "https"
        assert ask(process.url, authority=str(cert)).size
        with pytest.raises(TeacherError, match="the certificate is not trusted"):
            ask(process.url)


# -- the command line ------------------------------------------------------------------------------------------------


def test_nobody_serves_other_machines_without_a_token(capsys, monkeypatch):
    monkeypatch.delenv("JM_TEACHER_TOKEN", raising=False)
    with pytest.raises(UsageError, match=r"--host 0.0.0.0 can be reached by other machines; set JM_TEACHER_TOKEN"):
        check_exposure("0.0.0.0", None, None)
    check_exposure("127.0.0.1", None, None)
    assert main(["rvm", "--host", "0.0.0.0"]) == 2
    assert main(["gpt"]) == 2
    assert "unknown teacher 'gpt'" in capsys.readouterr().err


@pytest.mark.parametrize("token", [" ", "   \t", " secret", "secret\n", "two words", "\N{EURO SIGN}"])
def test_a_token_that_no_caller_could_send_is_refused_at_the_start(capsys, monkeypatch, token):
    monkeypatch.setenv("JM_TEACHER_TOKEN", token)
    assert main(["rvm", "--host", "0.0.0.0"]) == 2
    said = capsys.readouterr().err
    assert "JM_TEACHER_TOKEN cannot be sent in a header" in said
    assert "secret" not in said
    with pytest.raises(UsageError, match="the teacher's token cannot be sent in a header"):
        load(TeacherOptions("http://127.0.0.1:1/v2/models/m", token=token), 1)


def test_a_port_that_is_taken_is_told(toml, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main([str(toml), "--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --host or --port" in capsys.readouterr().err


def test_a_models_name_is_the_teachers_or_its_files():
    assert (model_name("rvm"), model_name("/some where/selfie.toml")) == ("rvm", "selfie")
    with pytest.raises(UsageError, match="cannot stand in a URL; give --name"):
        model_name("/x/my selfie.toml")
