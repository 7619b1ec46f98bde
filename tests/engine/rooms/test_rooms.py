"""Rooms as files: written and read back; what is damaged or another's is left alone; what is forgotten is gone."""

import os
import stat
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

import kernels
from engine.contracts import RoomOptions
from engine.errors import ModelError, UsageError
from engine.rooms import command, store
from engine.rooms.memory import RoomMemory, disagreement
from engine.rooms.room import Facts, Room, fingerprint, from_bytes, from_steps, in_steps, new_id, to_bytes
from engine.rooms.signature import Observer
from engine.rooms.store import RoomStore, faded
from engine.sources.synthetic import SyntheticPerson
from export.publish import load_student
from export.students import input_size

SIZE = input_size("lite", None)
START = load_student("lite", SIZE)
FIGURE = SyntheticPerson(width=320, height=240, seed=87)
OTHER = SyntheticPerson(width=320, height=240, seed=3)


@pytest.fixture(scope="module")
def look():
    return Observer(kernels.load())


def facts(**changes):
    known = Facts(new_id(), "lite", fingerprint(START), "0", 1000, 1, 1, 0, 0.98)
    return replace(known, **changes)


def moved(share, seed=0):
    """The shipped student's weights, each by up to `share` of the largest of its tensor."""
    rng = np.random.default_rng(seed)
    return {
        name: (value + share * np.abs(value).max() * rng.uniform(-1, 1, value.shape)).astype(np.float32)
        for name, value in START.tensors.items()
    }


def room_of(look, bgr, tensors=None, **changes):
    steps = in_steps(tensors or moved(0.002), START.tensors)
    return Room(facts(**changes), look(bgr).signature, *steps)


def memory(folder, **options):
    return RoomMemory(RoomOptions(folder, **options), START, SIZE, kernels.load())


# -- what a place looks like -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.3])
def test_a_place_looks_alike_under_another_exposure_and_with_the_person_elsewhere(look, gain):
    first = look(FIGURE.picture(0)).signature
    later = look(cv2.convertScaleAbs(FIGURE.picture(40), alpha=gain)).signature
    assert first.similarity(later) > 0.8
    assert first.similarity(look(OTHER.picture(0)).signature) < 0.7


def test_a_signature_that_saw_nothing_is_like_none(look):
    seen = look(FIGURE.picture(0)).signature
    blind = replace(seen, weights=np.zeros_like(seen.weights))
    assert seen.similarity(blind) == 0


def test_two_looks_merged_know_what_either_saw(look):
    ours, theirs = look(FIGURE.picture(0)).signature, look(FIGURE.picture(60)).signature
    merged = ours.merged(theirs, 0.3)
    assert np.array_equal(merged.weights, np.maximum(ours.weights, theirs.weights))
    assert merged.similarity(ours) > 0.95


# -- a file ------------------------------------------------------------------------------------------------------------


def test_weights_come_back_to_within_half_a_step(look):
    tensors = moved(0.05)
    room = from_bytes(to_bytes(room_of(look, FIGURE.picture(0), tensors)))
    for name, value in from_steps(room, START.tensors).items():
        change = np.abs(tensors[name] - START.tensors[name])
        rows = change.reshape(change.shape[0], -1).max(1) if change.ndim > 1 else change.max()
        worst = np.abs(value - tensors[name])
        worst = worst.reshape(worst.shape[0], -1).max(1) if worst.ndim > 1 else worst.max()
        assert (worst <= rows / 31 * 0.51 + 1e-6).all(), name


def test_a_room_is_less_than_100_kb(look):
    assert len(to_bytes(room_of(look, FIGURE.picture(0), moved(0.05)))) < 100_000


def damaged(data):
    """Every way to damage a file."""
    yield "empty", b""
    yield "cut off", data[: len(data) // 2]
    yield "noise", np.random.default_rng(0).bytes(len(data))
    yield "a format of tomorrow", data.replace(b'format\\": 1', b'format\\": 2')
    yield "a number as a name", data.replace(b'student\\": \\"lite\\"', b'student\\": 1234567')


def test_what_is_no_room_is_refused(look):
    data = to_bytes(room_of(look, FIGURE.picture(0)))
    for what, wrong in damaged(data):
        with pytest.raises(ModelError, match="no room"):
            from_bytes(wrong)
            pytest.fail(what)


def test_numbers_that_are_none_are_refused(look):
    room = room_of(look, FIGURE.picture(0))
    with pytest.raises(ModelError, match="not finite"):
        from_bytes(to_bytes(replace(room, scales=np.full_like(room.scales, np.nan))))


def test_weights_that_inflate_without_end_are_refused(look, monkeypatch):
    monkeypatch.setattr("engine.rooms.room.MAX_INFLATED", 1000)
    with pytest.raises(ModelError, match="more than"):
        from_steps(room_of(look, FIGURE.picture(0)), START.tensors)


def test_a_room_of_another_student_is_refused(look):
    room = room_of(look, FIGURE.picture(0))
    fewer = zlib.compress(zlib.decompress(room.steps)[:-1])
    with pytest.raises(ModelError, match="not one of this student"):
        from_steps(replace(room, steps=fewer), START.tensors)


@pytest.mark.parametrize("steps", [b"", b"noise", zlib.compress(bytes(1000))[:-4]])
def test_weights_that_are_damaged_are_refused(look, steps):
    with pytest.raises(ModelError, match="is damaged"):
        from_steps(replace(room_of(look, FIGURE.picture(0)), steps=steps), START.tensors)


# -- a folder ----------------------------------------------------------------------------------------------------------


def test_a_room_is_for_its_user_alone(look, tmp_path):
    folder = tmp_path / "rooms"
    RoomStore(folder).save(room_of(look, FIGURE.picture(0)))
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_room_seen_longest_ago_goes_first(look, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CAPACITY", 3)
    rooms = RoomStore(tmp_path)
    for turn in range(5):
        rooms.save(room_of(look, FIGURE.picture(0), turn=turn))
    assert [room.facts.turn for room in rooms.all()] == [4, 3, 2]


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({}, False),
        ({"turn": 100}, False),
        ({"turn": -100}, True),
        ({"confirmed": 1, "refused": 2}, True),
        ({"confirmed": 0, "refused": 1}, False),
        ({"confirmed": 0, "refused": 0, "turn": 979}, True),
    ],
)
def test_what_is_not_seen_or_not_confirmed_fades(changes, gone):
    assert faded(facts(**changes), newest=1000) is gone


def test_a_damaged_file_is_told_once_and_the_others_are_used(look, tmp_path, caplog):
    rooms = RoomStore(tmp_path)
    good = room_of(look, FIGURE.picture(0))
    rooms.save(good)
    for name in ("a" * 12, "b" * 12):
        (tmp_path / f"{name}.room").write_bytes(b"{}")
    assert [room.facts.id for room in rooms.all()] == [good.facts.id]
    rooms.all()
    assert caplog.text.count("is not used") == 1


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no file modes to check on Windows")
def test_a_file_that_others_can_write_is_not_believed(look, tmp_path, caplog):
    rooms = RoomStore(tmp_path)
    rooms.save(room_of(look, FIGURE.picture(0)))
    (path,) = tmp_path.iterdir()
    path.chmod(0o666)
    assert rooms.all() == []
    assert "is not used" in caplog.text


def test_a_room_under_another_name_is_not_believed(look, tmp_path):
    rooms = RoomStore(tmp_path)
    rooms.save(room_of(look, FIGURE.picture(0)))
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / ("c" * 12 + ".room"))
    assert rooms.all() == []


@pytest.mark.parametrize("name", ["", "../secret", "ABCDEF", "all"])
def test_a_name_is_never_a_path(tmp_path, name):
    with pytest.raises(UsageError, match="hexadecimal"):
        RoomStore(tmp_path).forget(name)


# -- which room is this? -----------------------------------------------------------------------------------------------


def test_a_room_is_recognised_and_another_is_not(look, tmp_path):
    kept = room_of(look, FIGURE.picture(0))
    RoomStore(tmp_path).save(kept)
    known = memory(tmp_path)
    recalled = known.recall(FIGURE.picture(50))
    assert recalled is not None
    assert recalled.facts == kept.facts
    assert known.recall(OTHER.picture(0)) is None


def test_nothing_is_recalled_where_nothing_is_known(tmp_path):
    assert memory(tmp_path / "none").recall(FIGURE.picture(0)) is None
    assert not (tmp_path / "none").exists()


def test_a_room_that_was_taken_back_or_belongs_to_another_start_is_left_alone(look, tmp_path):
    RoomStore(tmp_path).save(room_of(look, FIGURE.picture(0), confirmed=1, refused=1))
    RoomStore(tmp_path).save(room_of(look, FIGURE.picture(0), start="0" * 16))
    assert len(memory(tmp_path)) == 0


def test_a_room_whose_student_shows_the_room_is_not_taken(look, tmp_path):
    """Everything is a person: whatever its file says, the picture is not painted with it."""
    liar = dict(START.tensors)
    bias = next(name for name in liar if name.startswith("logits") and name.endswith("bias"))
    liar[bias] = liar[bias] + 100
    RoomStore(tmp_path).save(room_of(look, FIGURE.picture(0), liar))
    assert memory(tmp_path).recall(FIGURE.picture(0)) is None


def test_a_room_that_is_deleted_meanwhile_is_no_error(look, tmp_path):
    rooms = RoomStore(tmp_path)
    rooms.save(room_of(look, FIGURE.picture(0)))
    known = memory(tmp_path)
    rooms.forget_all()
    assert known.recall(FIGURE.picture(0)) is None


def test_who_only_reads_writes_nothing(look, tmp_path):
    memory(tmp_path / "rooms", writes=False).save(room_of(look, FIGURE.picture(0)))
    assert not (tmp_path / "rooms").exists()


def test_students_disagree_where_one_shows_more_or_loses_a_person():
    person = np.zeros((60, 80), np.float32)
    person[20:, 30:50] = 1
    more, less = person.copy(), person.copy()
    more[:20, :20] = 1
    less[20:, 30:42] = 0
    assert disagreement(person, person) is None
    assert "sees a person" in disagreement(more, person)
    assert "does not see" in disagreement(less, person)
    assert disagreement(np.zeros_like(person), np.zeros_like(person)) is None


# -- jm-engine rooms ---------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JM_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def test_rooms_are_listed_shown_exported_imported_and_forgotten(look, home, capsys):
    kept = room_of(look, FIGURE.picture(0), camera="camera:logitech")
    RoomStore().save(kept)
    assert command.main(["list"]) == 0
    assert kept.facts.id in capsys.readouterr().out
    assert command.main(["show", kept.facts.id]) == 0
    assert '"camera": "camera:logitech"' in capsys.readouterr().out
    file = home / "mine.room"
    assert command.main(["export", kept.facts.id, str(file)]) == 0
    assert command.main(["export", kept.facts.id, str(file)]) == 2  # nothing is overwritten
    assert command.main(["import", str(file)]) == 0  # under another name
    assert len(RoomStore().all()) == 2
    assert command.main(["forget", kept.facts.id]) == 0
    assert command.main(["forget", kept.facts.id]) == 2
    assert command.main(["forget", "all"]) == 0
    assert list((home / "rooms").iterdir()) == []


def test_what_is_no_room_is_not_imported(home, capsys):
    (home / "poison.room").write_bytes(b"x" * 1000)
    assert command.main(["import", str(home / "poison.room")]) == 5
    assert command.main(["import", str(home / "absent.room")]) == 3
    assert "no room" in capsys.readouterr().err
