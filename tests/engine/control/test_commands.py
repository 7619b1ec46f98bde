"""Every command, through the real socket of a real run."""

import os
import threading

import cv2
import numpy as np
import pytest

from engine.control.client import Client
from engine.control.commands import COMMANDS, parse
from engine.control.keys import KEYS, Keys
from engine.control.remembered import Remembered
from engine.errors import ControlError, NoEngineRunning, UsageError
from engine.stroke import Stroke

ALONE = ("next", "previous", "gallery", "resume", "forget", "undo", "stats", "stop")  # they take no argument
MISTAKES = {
    "background": [[], ["a", "b"], [""], ["a\0b"]],
    "blur": [["7"], ["0"], ["nan"], ["much"], ["0.5", "0.6"]],
    "mirror": [[], ["up"], ["on", "off"]],
    "frame": [[], ["on"]],
    "learn": [[], ["please"]],
    "pause": [["now"]],
    "snapshot": [["x"], ["source", "source"]],
    "correct": [
        [], ["keep"], ["0.5"], ["0.5,0.5,0.5"], ["a,b"], ["0.5;0.5"], ["nan,0"], ["1.1,0"], ["0.5,-0.1"],
        ["0.5,0.5", "maybe"], ["drop", "0.5,0.5"], ["0.5,0.5"] * 201,
    ],
    "rooms": [["forget"], ["all"], ["forget", ""], ["forget", "a", "b"], ["delete", "all"]],
} | {name: [["x"]] for name in ALONE}  # fmt: skip


@pytest.fixture
def forgets(run, rooms, monkeypatch):
    """The files of rooms that were there each time that the masker forgot."""
    seen = []
    forget = run.session._masker.forget

    def spied():
        seen.append(sorted(path.stem for path in rooms.folder.iterdir()))
        forget()

    monkeypatch.setattr(run.session._masker, "forget", spied)
    return seen


def corner(jpeg):
    """The colour of a picture's corner, where nobody is, BGR."""
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[0, 0].astype(int)


def near(colour, expected):
    return np.abs(colour - expected).max() < 25


@pytest.mark.parametrize(("name", "arguments"), [(n, a) for n in COMMANDS for a in MISTAKES[n]])
def test_a_mistake_names_the_command_and_what_to_write(name, arguments):
    with pytest.raises(UsageError, match=rf"{name}.*(write: |expected .* as in ){name}"):
        parse(name, arguments)


def test_an_unknown_command_names_those_there_are(run):
    with pytest.raises(UsageError, match="unknown command 'dance'; choose one of background, blur"):
        run.client.call("dance")


def test_a_background_is_found_from_the_callers_folder_and_is_what_is_sent(run, monkeypatch):
    monkeypatch.chdir(run.pictures)
    assert run.client.call("background", "beach2.png") == {"background": str(run.pictures / "beach2.png")}
    run.client.snapshot()  # painted before
    assert near(corner(run.client.snapshot()), (200, 0, 0))


def test_a_bare_name_is_one_of_the_gallery(run):
    assert run.client.call("background", "beach10")["background"] == str(run.pictures / "beach10.png")


@pytest.mark.parametrize(
    "spec", ["nothing.jpg", "http://127.0.0.1:9/x.mp4", "/dev/null", "beach3.png", "#nix", "blur:7"]
)
def test_a_background_that_cannot_be_shown_is_refused_and_the_one_before_stays(run, spec):
    before = run.client.call("stats")["background"]
    with pytest.raises(ControlError):
        run.client.call("background", spec)
    assert run.client.call("stats")["background"] == before
    assert Remembered.load(run.path) == Remembered()


def test_a_named_pipe_is_not_waited_for(run):
    os.mkfifo(run.pictures / "pipe.png")
    with pytest.raises(ControlError, match=r"no background 'pipe\.png'"):
        run.client.call("background", "pipe.png")


def test_next_and_previous_go_round_the_gallery_past_what_cannot_be_read(run):
    seen = [run.client.call(step)["background"] for step in ("next", "next", "next", "previous")]
    assert [os.path.basename(path) for path in seen] == ["beach2.png", "beach10.png", "beach2.png", "beach10.png"]


def test_an_empty_gallery_is_named(run):
    for path in run.pictures.iterdir():
        path.unlink()
    with pytest.raises(ControlError, match=rf"{run.pictures} is empty; put pictures or videos there"):
        run.client.call("next")
    assert run.client.call("gallery")["names"] == []


def test_the_gallery_is_in_natural_order(run):
    assert run.client.call("gallery") == {
        "folder": str(run.pictures),
        "names": ["beach2.png", "beach3.png", "beach10.png"],
    }


def test_blur_without_a_strength_is_as_strong_as_last_time(run):
    assert run.client.call("blur")["background"] == "blur:0.6"
    assert run.client.call("blur", "0.8")["background"] == "blur:0.8"
    run.client.call("background", "#00ff00")
    assert run.client.call("blur")["background"] == "blur:0.8"


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [("mirror", "mirrored", ("on", "off")), ("frame", "framing", ("auto", "off")), ("pause", "paused", ("on", "off"))],
)
def test_a_switch_goes_on_and_off_and_over(run, name, key, words):
    for word, expected in zip([*words, "toggle", "toggle"], [True, False, True, False], strict=True):
        run.client.call(name, word)
        assert run.client.call("stats")[key] is expected


def test_pause_shows_the_card_and_resume_the_picture(run):
    run.client.snapshot()  # before a first frame there is no size for a card
    run.client.call("pause")
    run.client.snapshot()
    assert run.client.call("stats")["state"] == "paused"
    assert run.client.call("resume") == {"paused": False}
    run.client.snapshot(), run.client.snapshot()
    assert run.client.call("stats")["state"] != "paused"


def test_learning_that_nobody_teaches_is_refused_with_the_remedy(run):
    with pytest.raises(ControlError, match="--teacher rvm"):
        run.client.call("learn", "on")


def test_forget_paints_with_the_shipped_student(run):
    assert run.client.call("forget") == {"forgot": True}
    assert run.client.call("stats")["version"] == 0


@pytest.mark.parametrize(
    ("words", "points", "keep"),
    [
        ("0.25,0.5", [(0.25, 0.5)], True),
        ("0,0 1,1 keep", [(0, 0), (1, 1)], True),
        (".1,.2 .3,.4 .5,.6 drop", [(0.1, 0.2), (0.3, 0.4), (0.5, 0.6)], False),
        (" ".join(["0.5,0.5"] * 200), [(0.5, 0.5)] * 200, True),
    ],
)
def test_a_stroke_reaches_the_session_as_it_was_drawn(run, monkeypatch, words, points, keep):
    drawn = []
    monkeypatch.setattr(run.session, "correct", drawn.append)
    assert run.client.call("correct", *words.split()) == {"keep": keep, "points": len(points)}
    assert drawn == [Stroke(tuple(points), keep)]


@pytest.mark.parametrize("words", ["correct 0.5,0.5", "undo"])
def test_a_correction_that_nobody_learns_is_refused_with_the_remedy(run, words):
    with pytest.raises(ControlError, match="--teacher rvm"):
        run.client.call(*words.split())


# -- rooms -------------------------------------------------------------------------------------------------------------


def test_rooms_are_listed_with_the_one_at_hand_first(run, rooms):
    told = run.client.call("rooms")
    assert (told["mode"], told["folder"]) == ("on", str(rooms.folder))
    assert [(room["id"], room["here"], room["believed"]) for room in told["rooms"]] == [
        ("bbbbbbbbbbbb", False, True),
        ("aaaaaaaaaaaa", False, False),
    ]
    assert told["rooms"][0] | {"seen": 0} == {
        "id": "bbbbbbbbbbbb", "seen": 0, "visits": 3, "score": 0.93, "student": "lite", "camera": "0",
        "believed": True, "here": False,
    }  # fmt: skip
    assert abs(told["rooms"][0]["seen"] - rooms.seen("bbbbbbbbbbbb")) <= 1


def test_a_room_is_forgotten_by_its_name(run, rooms, forgets):
    assert run.client.call("rooms", "forget", "aaaaaaaaaaaa") == {"forgotten": 1}
    assert [room["id"] for room in run.client.call("rooms")["rooms"]] == ["bbbbbbbbbbbb"]
    with pytest.raises(ControlError, match="no room aaaaaaaaaaaa in .*; see jm-engine ctl rooms"):
        run.client.call("rooms", "forget", "aaaaaaaaaaaa")
    with pytest.raises(ControlError, match="expected its hexadecimal name"):
        run.client.call("rooms", "forget", "../poison")
    assert forgets == []  # another room than the one at hand costs this run nothing


def test_the_room_at_hand_is_let_go_of_before_its_file_goes(run, rooms, forgets, monkeypatch):
    monkeypatch.setattr(type(run.session), "_room", "bbbbbbbbbbbb")
    assert [room["here"] for room in run.client.call("rooms")["rooms"]] == [True, False]
    assert run.client.call("rooms", "forget", "bbbbbbbbbbbb") == {"forgotten": 1}
    assert forgets == [["aaaaaaaaaaaa", "bbbbbbbbbbbb"]]  # all were there when the learner let go
    assert rooms.count() == 1


def test_all_rooms_are_forgotten_the_damaged_ones_too(run, rooms, forgets):
    (rooms.folder / "cccccccccccc.room").write_bytes(b"no room")
    assert run.client.call("rooms", "forget", "all") == {"forgotten": 3}
    assert len(forgets) == 1
    assert run.client.call("rooms")["rooms"] == []
    assert rooms.count() == 0


def test_a_run_without_rooms_says_so(run, monkeypatch):
    monkeypatch.setattr(run.session, "_rooms", None)
    assert run.client.call("rooms") == {"mode": "off", "folder": None, "rooms": []}
    with pytest.raises(ControlError, match="remembers no rooms.*jm-engine rooms forget"):
        run.client.call("rooms", "forget", "all")


def test_a_snapshot_is_what_is_sent_and_shows_the_room_only_when_asked_for(run):
    assert near(corner(run.client.snapshot()), (255, 0, 255))
    assert not near(corner(run.client.snapshot(source=True)), (255, 0, 255))


def test_stop_is_answered_and_ends_the_run(run):
    assert run.client.call("stop") == {"stopping": True}
    run.thread.join(30)
    assert not run.thread.is_alive()


def test_what_was_chosen_is_remembered(run):
    for words in ("background beach2.png", "mirror on", "frame auto", "blur 0.7"):
        run.client.call(*words.split())
    assert Remembered.load(run.path) == Remembered("blur:0.7", True, True, 0.7)


def test_a_command_that_fails_unforeseen_is_an_answer_and_the_next_one_runs(run, monkeypatch, caplog):
    monkeypatch.setattr(run.session, "forget", lambda: 1 / 0)
    with pytest.raises(ControlError, match="the command failed: ZeroDivisionError"):
        run.client.call("forget")
    assert "ZeroDivisionError" in caplog.text
    assert run.client.call("stats")["frames"] >= 0


def test_a_background_that_hangs_keeps_the_next_one_but_not_stop(run, monkeypatch):
    monkeypatch.setattr("engine.control.commands.TURN_TIMEOUT_S", 0.01)
    inside, release = threading.Event(), threading.Event()

    def hang(spec):
        inside.set()
        release.wait(30)

    monkeypatch.setattr(run.session, "set_background", hang)
    caller = threading.Thread(target=run.client.call, args=("blur",))
    caller.start()
    inside.wait(30)
    with pytest.raises(ControlError, match="still being opened; try again later"):
        run.client.call("next")
    assert run.client.call("stop") == {"stopping": True}
    release.set()
    caller.join()


# -- the client --------------------------------------------------------------------------------------------------------


def test_without_an_engine_the_client_says_to_start_one(tmp_path):
    with pytest.raises(NoEngineRunning, match="start one"):
        Client.connect(folder=tmp_path / "nothing")


def test_an_engine_that_ended_is_no_longer_running(run):
    run.server.close()
    assert list(run.folder.iterdir()) == []
    with pytest.raises(NoEngineRunning, match="no longer running"):
        run.client.call("stats")


def test_another_process_id_names_those_that_run(run):
    with pytest.raises(NoEngineRunning, match=f"process id 1; running: {os.getpid()}"):
        Client.connect(1)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_every_key_is_a_command():
    assert all(parse(words.split()[0], words.split()[1:]) is not None for words, _ in KEYS.values())


def test_keys_do_what_they_say_in_their_order(run, caplog):
    keys = Keys(run.controls)
    with caplog.at_level("INFO", "jit_masker"):
        for key in "mMmb?lh":
            keys(ord(key))
        keys.close()
    keys.close()
    status = run.session.status()
    assert (status["mirrored"], status["background"]) == (True, str(run.pictures / "beach2.png"))
    assert "nobody teaches" in caplog.text  # l
    assert "p pause, go on, m mirror" in caplog.text  # h
