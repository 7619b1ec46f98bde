"""RemoteTeacher against servers that are good, slow, unreachable, invalid or hostile."""

import gzip
import logging
import socket

import cv2
import numpy as np
import pytest

from engine import Masker
from engine.errors import TeacherError, UsageError
from engine.teacher_options import TeacherOptions
from tests.training.remote.teacher_servers import METADATA, ClosingServer, ScriptedServer, http, label_answer
from training.remote.client import RemoteTeacher
from training.teachers import load
from training.teachers.deadline import DeadlineTeacher

FRAME = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


class ManualClock:
    """Stands still until it is told to go on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def server():
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def ask(server, clock):
    """A teacher at `server` with options of the test's choice, closed at the end; its deadline is generous."""
    opened = []

    def make(url=None, *, real_clock=False, **options):
        options = {"deadline": 30.0} | options
        chosen = TeacherOptions(url or server.url, **options)
        teacher = RemoteTeacher(chosen, draw=lambda: 0.0) if real_clock else RemoteTeacher(chosen, clock, lambda: 0.0)
        opened.append(teacher)
        return teacher

    yield make
    for teacher in opened:
        teacher.close()


# -- requests and labels ----------------------------------------------------------------------------------------------


def test_a_label_comes_back_over_one_kept_connection(server, ask):
    server.label = np.repeat(np.uint8([[0, 255]]), 3, axis=0)
    teacher = ask()
    for _ in range(3):
        assert np.array_equal(teacher(FRAME), np.repeat(np.float32([[0, 1]]), 3, axis=0))
    assert server.connections == 1
    assert [r.path for r in server.requests] == ["/v2/models/thing", *["/v2/models/thing/infer"] * 3]
    parameters = server.inferences[0].tensors.parameters
    assert parameters == {"label_side": 256, "timeout": 27_000_000}  # microseconds; a tenth is left to the network


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_the_frame_arrives_as_it_was_and_no_larger_than_asked(server, ask, encoding):
    smooth = cv2.resize(np.uint8([[[10, 200, 90], [90, 30, 250]]]), (160, 120))
    ask(encoding=encoding, side=80)(smooth)
    ((name, tensor),) = server.inferences[0].tensors.inputs.items()
    if encoding == "jpeg":
        arrived = cv2.imdecode(np.frombuffer(tensor[0], np.uint8), cv2.IMREAD_COLOR)
    else:
        arrived = tensor[..., ::-1]
    assert name == {"jpeg": "jpeg", "raw": "image"}[encoding]
    assert arrived.shape == (60, 80, 3)
    assert np.abs(arrived.astype(int) - cv2.resize(smooth, (80, 60), interpolation=cv2.INTER_AREA)).mean() < 4


def test_a_foreign_server_that_wants_floats_and_answers_json_is_understood(ask):
    metadata = {
        "name": "thing",
        "inputs": [{"name": "src", "datatype": "FP32", "shape": [1, 3, 32, 48]}],
        "outputs": [{"name": "pha", "datatype": "FP32", "shape": [1, 1, 32, 48]}],
    }
    with ScriptedServer(metadata) as server:
        body = (
            b'{"model_name":"thing","outputs":[{"name":"pha","datatype":"FP32","shape":[1,1,2,2],"data":[0,0.5,1,1]}]}'
        )
        server.script = [http(body)]
        assert ask(server.url)(FRAME).tolist() == [[0, 0.5], [1, 1]]
        assert server.inferences[0].tensors.inputs["src"].shape == (1, 3, 32, 48)
        assert server.inferences[0].tensors.parameters == {}


@pytest.mark.parametrize(("close", "length"), [(True, True), (True, False), (False, False)])
def test_a_server_that_closes_after_each_response_gives_labels(ask, close, length):
    with ClosingServer(close, length) as server:
        server.label = np.full((300, 400), 255, np.uint8)  # more than one read
        teacher = ask(server.url)
        for _ in range(2):
            assert teacher(FRAME).sum() == 300 * 400
        assert teacher.traffic()["failures"] == {}
        assert server.connections == 3


def test_a_model_that_wants_huge_pictures_is_refused_before_one_is_made(ask):
    metadata = METADATA | {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 12_000, 12_000]}]}
    with ScriptedServer(metadata) as server:
        with pytest.raises(TeacherError, match=r"wants pictures of 12000x12000; at most 4096x4096 are sent"):
            ask(server.url)(FRAME)
        assert not server.inferences


def test_the_token_is_sent_and_is_in_no_message(server, ask):
    teacher = ask(token="secret")
    teacher(FRAME)
    assert {r.headers["authorization"] for r in server.requests} == {"Bearer secret"}
    server.script = [http(b'{"error":"a valid token is needed"}', "401 Unauthorized")]
    with pytest.raises(TeacherError, match="answered 401: a valid token is needed; check JM_TEACHER_TOKEN") as told:
        teacher(FRAME)
    assert "secret" not in str(told.value)


def test_a_packed_answer_is_unpacked_and_an_endless_one_is_not(server, ask, monkeypatch):
    from training.remote import connection

    def packed(connection_, request):
        head, _, body = label_answer(request, server.label).partition(b"\r\n\r\n")
        lines = [line for line in head.decode().split("\r\n")[1:] if not line.startswith("Content-Length")]
        connection_.sendall(http(gzip.compress(body), headers=[*lines, "Content-Encoding: gzip"]))
        return True

    server.script = [packed, packed, http(b"no gzip", headers=["Content-Encoding: gzip"])]
    teacher = ask()
    assert teacher(FRAME).all()
    monkeypatch.setattr(connection, "MAX_RESPONSE", 64)
    with pytest.raises(TeacherError, match="the answer is larger than"):
        teacher(FRAME)
    monkeypatch.undo()
    with pytest.raises(TeacherError, match="is not the gzip it says it is"):
        teacher(FRAME)


# -- privacy -----------------------------------------------------------------------------------------------------------


def sent(request):
    return cv2.imdecode(np.frombuffer(request.tensors.inputs["jpeg"][0], np.uint8), cv2.IMREAD_UNCHANGED)


def test_grey_sends_no_colour(server, ask):
    ask(privacy="grey")(FRAME)
    assert sent(server.inferences[0]).ndim == 2


def test_region_sends_a_thumbnail_first_and_then_only_what_is_near_the_person(server, ask):
    frame = np.zeros((240, 320, 3), np.uint8)
    somebody = np.zeros((48, 64), np.uint8)
    somebody[12:36, 16:32] = 255  # in the thumbnail
    server.label = somebody
    inside = np.full((10, 10), 255, np.uint8)
    server.script = [lambda c, r: c.sendall(label_answer(r, somebody)) or True]
    server.label = inside
    label = ask(privacy="region")(frame)
    first, second = (sent(r) for r in server.inferences)
    assert max(first.shape) == 64
    assert second.shape == (180, 120, 3)  # the person's box, a quarter wider on each side
    assert label.shape == (240, 320)
    assert label[30:210, 60:180].all()
    assert label.sum() == 180 * 120


def test_region_sends_nothing_more_while_nobody_is_there(server, ask):
    server.label = np.zeros((48, 64), np.uint8)
    teacher = ask(privacy="region")
    for _ in range(3):
        assert not teacher(FRAME).any()
    assert {max(sent(r).shape) for r in server.inferences} == {64}


# -- failures ----------------------------------------------------------------------------------------------------------


def close_half(connection, request):
    connection.shutdown(socket.SHUT_WR)
    return False


def cut_short(connection, request):
    connection.sendall(label_answer(request, np.zeros((60, 80), np.uint8))[:-100])
    return False


def other_id(connection, request):
    connection.sendall(label_answer(request, np.zeros((6, 8), np.uint8), id="of another frame"))
    return True


def wrong_shape(connection, request):
    connection.sendall(label_answer(request, np.zeros((2, 6, 8), np.uint8)))
    return True


@pytest.mark.parametrize(
    ("step", "kind", "complaint"),
    [
        (http(b"", "500 Internal Server Error"), "server error", "answered 500"),
        (http(b'{"error":"no GPU"}', "500 Oops"), "server error", "answered 500: no GPU"),
        (http(b"", "503 Busy", ["Retry-After: 2"]), "busy", "answered 503"),
        (http(b"", "404 Not Found"), "not found", "answered 404; check the model's name"),
        (http(b"", "302 Found", ["Location: http://127.0.0.1:1/"]), "refused", "answered 302"),
        (http(b"not json"), "garbage", "answered nonsense: no JSON"),
        (http(b"{}"), "garbage", "expected label_u8"),
        (b"\x00\x01\x02 garbage\r\n\r\n", "garbage", "what came is no HTTP"),
        (other_id, "garbage", "belongs to the request 'of another frame'"),
        (wrong_shape, "garbage", "expected one mask"),
        (close_half, "unreachable", "the server hung up"),
        (cut_short, "unreachable", "the answer broke off"),
    ],
)
def test_each_failure_is_counted_by_kind_and_the_next_label_is_good(server, ask, step, kind, complaint):
    server.script = [step, step] if step is close_half else [step]  # a kept connection that breaks is tried anew
    teacher = ask()
    with pytest.raises(TeacherError, match=complaint):
        teacher(FRAME)
    teacher._clock.now += 60
    assert teacher(FRAME).all()
    assert teacher.traffic()["failures"] == {kind: 1}
    assert teacher.traffic()["labels"] == 1


def test_a_late_answer_is_dropped_and_never_taken_for_the_next_frames(server, ask):
    teacher = ask(real_clock=True)
    teacher(FRAME)
    server.script = [server.hang]
    teacher._options = TeacherOptions(server.url, deadline=0.5)
    with pytest.raises(TeacherError, match="no answer in time"):
        teacher(FRAME)
    teacher._options = TeacherOptions(server.url, deadline=30)
    assert teacher(FRAME).all()
    assert server.connections == 2


def test_a_server_that_drips_is_late_too(server, ask):
    """Each byte comes in time, the whole does not: the deadline is for the exchange."""

    def drip(connection, request):
        while not server.release.wait(0.01):
            connection.sendall(b"H")
        return False

    server.script = [drip]
    teacher = ask(real_clock=True, deadline=0.2)
    with pytest.raises(TeacherError, match=r"no answer in time|no HTTP"):
        teacher(FRAME)


def test_an_unreachable_server_opens_the_circuit_breaker(ask, clock):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v2/models/thing"
    teacher = ask(url)
    for complaint in ("no connection", "no connection", "was not asked", "was not asked"):
        with pytest.raises(TeacherError, match=complaint):
            teacher(FRAME)
    clock.now += 0.25
    with pytest.raises(TeacherError, match="no connection"):
        teacher(FRAME)
    assert teacher.traffic()["failures"] == {"unreachable": 3, "away": 2}


def test_retry_after_is_respected(server, ask, clock):
    server.script = [http(b"", "503 Busy", ["Retry-After: 2"])]
    teacher = ask()
    with pytest.raises(TeacherError, match="answered 503"):
        teacher(FRAME)
    clock.now += 1.9
    with pytest.raises(TeacherError, match="was not asked"):
        teacher(FRAME)
    clock.now += 0.2
    assert teacher(FRAME).all()


def test_a_connection_that_idled_too_long_for_the_server_costs_no_label(server, ask):
    server.script = [lambda c, r: c.sendall(label_answer(r, server.label)) and False]  # closes afterwards
    teacher = ask()
    for _ in range(2):
        assert teacher(FRAME).all()
    assert teacher.traffic()["failures"] == {}


def test_each_kind_of_failure_is_logged_once_and_the_recovery_too(server, ask, clock, caplog):
    caplog.set_level(logging.INFO, "jit_masker")
    teacher = ask()
    bad, worse = http(b"", "500 Oops"), http(b"{}")
    server.script = [bad, worse, worse, bad]
    for _ in range(4):
        with pytest.raises(TeacherError):
            teacher(FRAME)
        clock.now += 60
    teacher(FRAME)
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 2  # the learner tells the very first
    assert "answered nonsense" in said[0]
    assert said[1].endswith("is back")


def test_the_budget_of_bytes_is_kept_and_counted(server, ask, clock):
    teacher = ask(encoding="raw", bandwidth=4000)
    teacher(FRAME)  # 14.4 kB: overdrawn
    clock.now += 1
    with pytest.raises(TeacherError, match="4000 bytes/s are used up"):
        teacher(FRAME)
    clock.now += 4
    teacher(FRAME)
    wire = teacher.traffic()
    assert wire["sent_bytes"] > 2 * FRAME.nbytes
    assert wire["received_bytes"] > 2 * server.label.nbytes
    assert wire["failures"] == {"over budget": 1}


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["http://host/thing", "http://user:pw@host/v2/models/m", "http:///v2/models/m", "http://host:99999/v2/models/m"],
)
def test_an_invalid_url_is_refused_without_repeating_secrets(url):
    with pytest.raises(UsageError, match="the teacher's URL") as told:
        load(url, 1)
    assert "pw" not in str(told.value)


def test_an_authority_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UsageError, match="cannot read the authority in .*expected a PEM file"):
        load(TeacherOptions("https://localhost/v2/models/m", authority=str(tmp_path / "none.pem")), 1)


@pytest.mark.parametrize(("token", "what"), [(None, "the pictures"), ("secret", "the pictures and the token")])
def test_plain_http_to_another_machine_is_warned_about_once(caplog, token, what):
    url = f"http://192.0.2.1/v2/models/{'with' if token else 'without'}"
    for _ in range(2):
        load(TeacherOptions(url, token=token), 1)
    assert [r.getMessage() for r in caplog.records] == [
        f"{what} for {url} travel unencrypted, and whoever is on the way can see them; use https"
    ]


@pytest.mark.parametrize("token", [None, "secret"])
@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://localhost", "http://[::1]", "https://192.0.2.1"])
def test_loopback_and_https_need_no_warning(caplog, url, token):
    load(TeacherOptions(f"{url}/v2/models/m", token=token), 1)
    assert not caplog.records


def test_the_picture_goes_on_while_the_teacher_is_away_and_the_report_knows(server, room):
    from engine.sources.synthetic import SyntheticPerson

    figure = SyntheticPerson(seed=5)
    server.label = cv2.resize(figure.mask(0), (128, 128))
    server.script = [http(b"", "500 Oops")]
    with Masker(background=room, threads=1, lockstep=True, teacher=TeacherOptions(server.url, deadline=4)) as masker:
        for i in range(17):
            masker(figure.picture(i))
        learning = masker.stats.learning
        assert masker.stats.faults == 0
    assert learning.teacher == server.url
    assert (learning.calls, learning.failures) == (3, 1)
    assert learning.steps > 0
    assert learning.traffic["failures"] == {"server error": 1}
    assert learning.died is None


def test_the_guards_deadline_is_beyond_the_longest_that_can_be_asked_for():
    from engine.teacher_options import MAX_DEADLINE
    from training.teachers.deadline import DEADLINE

    assert DEADLINE > MAX_DEADLINE
    assert DeadlineTeacher(lambda: load("http://127.0.0.1:1/v2/models/m", 1))
