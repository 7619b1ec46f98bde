"""What the panel's paths answer, with an engine behind its real control socket."""

import json
import os
import socket
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from engine.panel.additions import safe_name
from engine.stroke import Stroke
from tests.engine.panel.conftest import ScriptedSession, remembered, start_session


def png(side=8, colour=90):
    return cv2.imencode(".png", np.full((side, side, 3), colour, np.uint8))[1].tobytes()


def decoded(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def command(panel, name, *arguments):
    status, _, body = panel.ask("POST", "/command", json.dumps({"command": name, "arguments": arguments}).encode())
    return status, json.loads(body)


def add(panel, name, data):
    status, _, body = panel.ask("POST", f"/gallery?name={quote(name)}", data)
    return status, json.loads(body)


def test_stats_are_the_engines(panel, session):
    status, headers, body = panel.ask("GET", "/stats")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == session.status()


def test_an_engine_is_found_when_it_comes_and_missed_when_it_goes(panel, place):
    status, _, body = panel.ask("GET", "/stats")
    assert status == 503
    assert "no jm-engine is running" in json.loads(body)["error"]
    for _ in range(2):
        server = start_session(ScriptedSession(), place)
        assert panel.ask("GET", "/stats")[0] == 200
        server.close()
        assert panel.ask("GET", "/stats")[0] == 503
        assert panel.ask("GET", "/picture")[0] == 503


def test_the_picture_is_what_is_sent_and_the_room_comes_only_from_its_own_path(panel, session):
    assert np.abs(decoded(panel.ask("GET", "/picture")[2]).astype(int) - session.sent).max() < 4
    assert session.sources == 0
    assert np.abs(decoded(panel.ask("GET", "/source")[2]).astype(int) - session.room).max() < 4
    assert session.sources == 1


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (("blur", "0.8"), ("background", "blur:0.8")),
        (("background", "#3c4753"), ("background", "#3c4753")),
        (("mirror", "on"), ("mirror", True)),
        (("frame", "auto"), ("frame", True)),
        (("learn", "off"), ("learn", False)),
        (("forget",), ("forget",)),
        (("correct", "0.25,0.5", "1,1", "drop"), ("correct", Stroke(((0.25, 0.5), (1.0, 1.0)), False))),
        (("undo",), ("undo",)),
        (("rooms", "forget", "all"), ("forget room", None)),
        (("pause",), ("pause",)),
        (("resume",), ("resume",)),
    ],
)
def test_a_command_reaches_the_engine(panel, session, sent, told):
    assert command(panel, *sent)[0] == 200
    assert session.told == [told]


def test_a_background_is_one_of_the_gallery(panel, session, gallery):
    assert command(panel, "background", "blue beach.png")[0] == 200
    assert session.told == [("background", str(gallery / "blue beach.png"))]


@pytest.mark.parametrize("spec", ["/etc/passwd", "../gallery/forest.jpg", "nothing.png", "", "none", "blur:1; #000"])
def test_another_file_is_none(panel, session, spec):
    status, answer = command(panel, "background", spec)
    assert status == 400
    assert "in the gallery" in answer["error"]
    assert session.told == []


def test_the_longest_stroke_of_the_page_fits_into_a_command(panel, session):
    assert command(panel, "correct", *["0.1234,0.5678"] * 64, "keep")[0] == 200
    assert session.told == [("correct", Stroke(((0.1234, 0.5678),) * 64, True))]


def test_rooms_are_the_engines(panel, session):
    session.remembered = [remembered("a" * 12, "0")]
    status, headers, body = panel.ask("GET", "/rooms")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == session.rooms()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"command": "stop"}', b'{"command": "mirror", "arguments": "on"}', b"[" * 3000]
)
def test_what_is_no_command_of_the_panel_is_refused(panel, session, body):
    status, _, answer = panel.ask("POST", "/command", body)
    assert status == 400
    assert "no command of the panel" in json.loads(answer)["error"]
    assert session.told == []


def test_a_command_has_a_bound(panel, session):
    assert panel.ask("POST", "/command", b" " * 5000)[0] == 400


def test_what_the_engine_refuses_is_said_in_its_words(panel, session, gallery):
    (gallery / "broken.png").write_bytes(png())
    status, answer = command(panel, "background", "broken.png")
    assert status == 409
    assert "no image that is known here" in answer["error"]
    status, answer = command(panel, "mirror", "sideways")
    assert status == 400
    assert "expected on or off" in answer["error"]


# -- the gallery -------------------------------------------------------------------------------------------------------


def test_thumbnails_are_small_and_of_the_gallery_alone(panel, session, gallery):
    status, headers, body = panel.ask("GET", "/thumbnail?name=blue%20beach.png")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert decoded(body).shape == (135, 240, 3)
    assert np.abs(decoded(body).astype(int) - (200, 120, 40)).max() < 8
    for name in ("../remembered.json", "/etc/passwd", "..%2F..%2Fetc%2Fpasswd", "nothing.png"):
        assert panel.ask("GET", f"/thumbnail?name={name}")[0] == 400


def test_a_file_is_added_and_never_over_another(panel, session, gallery):
    assert add(panel, "forest.jpg", cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[1].tobytes()) == (
        201,
        {"name": "forest 2.jpg"},
    )
    assert cv2.imread(str(gallery / "forest.jpg")).shape == (90, 160, 3)
    assert cv2.imread(str(gallery / "forest 2.jpg")).shape == (9, 9, 3)
    assert add(panel, "Ängstlich.PNG", png()) == (201, {"name": "Ängstlich.png"})
    assert (gallery / "Ängstlich.png").stat().st_mode & 0o777 == 0o644


def test_a_video_is_added(panel, session, gallery):
    clip = (os.path.dirname(__file__), "..", "..", "data", "person.mp4")
    with open(os.path.join(*clip), "rb") as file:
        assert add(panel, "clip.mp4", file.read()) == (201, {"name": "clip.mp4"})


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("page.png", b"<html>"),
        ("empty.jpg", b""),
        ("cut.png", png(64)[:60]),
        ("video.mp4", png()),
        ("a.gif", b"GIF89a"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_decoded_is_refused_and_leaves_nothing(panel, session, gallery, name, data):
    before = sorted(os.listdir(gallery))
    status, answer = add(panel, name, data)
    assert status == 400
    assert "cannot be decoded" in answer["error"]
    assert sorted(os.listdir(gallery)) == before


@pytest.mark.parametrize("name", ["run.sh", "page.html", "picture.svg", "png", "", ".png/", "a.png\0.sh"])
def test_another_kind_of_file_is_refused(panel, session, gallery, name):
    before = sorted(os.listdir(gallery))
    status, answer = add(panel, name, png())
    assert status == 400
    assert "no picture or video" in answer["error"]
    assert sorted(os.listdir(gallery)) == before


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".gif"])
def test_a_playlist_that_calls_itself_a_video_opens_nothing_else(panel, session, gallery, suffix):
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n"
        assert add(panel, f"list{suffix}", playlist.encode())[0] == 400
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(panel, session, gallery):
    before = sorted(os.listdir(gallery))
    status, _, body = panel.ask("POST", "/gallery?name=a.png", None, Content_Length="200000001")
    assert status == 400
    assert "more than 200 MB" in json.loads(body)["error"]
    assert sorted(os.listdir(gallery)) == before


def test_a_picture_that_is_small_as_a_file_and_huge_when_decoded_is_refused(panel, session, gallery):
    bomb = cv2.imencode(".png", np.zeros((20000, 20000), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    assert len(bomb) < 10_000_000
    status, answer = add(panel, "bomb.png", bomb)
    assert status == 400
    assert "cannot be decoded" in answer["error"]


def test_a_sender_who_leaves_midway_leaves_nothing(panel, session, gallery):
    before = sorted(os.listdir(gallery))
    with socket.create_connection(("127.0.0.1", panel.port)) as sender:
        head = f"POST /gallery?name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{panel.port}\r\nCookie: {panel.cookie}\r\n"
        sender.sendall(f"{head}Origin: {panel.origin}\r\nContent-Length: 9999\r\n\r\n".encode() + png())
    while sorted(os.listdir(gallery)) != before:  # the panel has to see it leave
        assert panel.ask("GET", "/panel.css")[0] == 200


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/beach.png", "beach.png"),
        (r"C:\Users\me\beach.PNG", "beach.png"),
        (".hidden.jpg", "hidden.jpg"),
        ("a\nb;$(rm).jpg", "a_b__(rm).jpg"),
        ("con.png", "background con.png"),
        (" . .jpg", "background.jpg"),
        ("x" * 300 + ".webp", "x" * 80 + ".webp"),
        ("Caf\u0065\u0301.png", "Café.png"),
        ("a\u202egnp.png", "a_gnp.png"),
    ],
)
def test_names_are_made_safe(name, safe):
    assert safe_name(name) == safe
