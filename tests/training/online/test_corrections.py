"""Strokes overrule the teacher: in labels, in what is painted, at the walls, in the file of the room."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from safetensors.numpy import load as read
from safetensors.numpy import save

from engine import Masker
from engine.backends import load
from engine.contracts import RoomOptions
from engine.errors import CandidateRejected, ModelError
from engine.painting.loaded_student import LoadedStudent
from engine.rooms.correction import MOST, SIDE, small
from engine.rooms.room import from_bytes, to_bytes
from engine.rooms.store import RoomStore
from engine.stroke import Stroke
from export.publish import load_student, publish_initial
from export.students import input_size
from tests.fakes import FigureTeacher
from tests.holding import SomebodyHolding
from training.online.corrections import Corrections
from training.teachers import TEACHERS

FRAMES = 130
STROKE_AT = 20
HOLDING = SomebodyHolding()
SIZE = (256, 256)


def at_mask_size(mask):
    return cv2.resize(mask.astype(np.float32), SIZE[::-1], interpolation=cv2.INTER_AREA)


def label(i):
    return at_mask_size(HOLDING.mask(i)) / 255


def thing(i):
    return at_mask_size(HOLDING.thing(i)) > 0.9


def corrected(keep=True, strokes=1):
    corrections = Corrections()
    for _ in range(strokes):
        corrections.add(Stroke.of(HOLDING.stroke(0), keep), small(HOLDING.picture(0)))
    return corrections


def overruled(corrections, i, teacher, predicted):
    return corrections.overrule(lambda: small(HOLDING.picture(i)), teacher, predicted)


# -- labels ------------------------------------------------------------------------------------------------------------


def test_without_a_stroke_a_label_stays_as_it_is():
    teacher = label(0)
    assert Corrections().overrule(lambda: pytest.fail("nobody has to look"), teacher, teacher) is teacher


def test_what_is_kept_is_in_every_label_from_then_on():
    corrections = corrected()
    for i in range(0, 60, 8):
        now = overruled(corrections, i, label(i), label(i))
        assert (now[thing(i)] > 0.5).mean() > 0.85
        outside = now[~(at_mask_size(HOLDING.thing(i)) > 0)] - label(i)[~(at_mask_size(HOLDING.thing(i)) > 0)]
        assert (np.abs(outside) > 0.5).mean() < 0.01
        assert corrections.all[0].found


def test_what_is_removed_is_in_none():
    corrections = corrected(keep=False)
    for i in range(0, 60, 8):
        sees_it = np.maximum(label(i), at_mask_size(HOLDING.thing(i)))
        now = overruled(corrections, i, sees_it, label(i))
        assert (now[thing(i)] > 0.5).mean() < 0.15
        assert (now[label(i) > 0.9] > 0.5).mean() > 0.98


def test_what_went_away_is_left_to_the_teacher_and_found_again_where_the_student_sees_it():
    corrections, without = corrected(), HOLDING._person.picture(0)
    before = corrections.overrule(lambda: small(without), label(0), label(0))
    np.testing.assert_array_equal(before, label(0))
    assert not corrections.all[0].found
    restored = Corrections(corrections.all)
    student = np.maximum(label(40), at_mask_size(HOLDING.thing(40)))
    assert (overruled(restored, 40, label(40), student)[thing(40)] > 0.5).mean() > 0.9


def test_undo_takes_back_the_last_one_and_no_more():
    corrections = corrected(strokes=2)
    corrections.undo()
    assert len(corrections.all) == 1
    corrections.undo()
    assert corrections.is_new
    corrections.undo()
    assert overruled(corrections, 0, label(0), label(0)) is not None
    assert not corrections.all
    assert not corrections.is_new


def test_the_oldest_of_too_many_goes():
    assert len(corrected(strokes=MOST + 2).all) == MOST


def test_a_stroke_over_nothing_in_particular_is_said_and_not_learnt(caplog):
    corrections = Corrections()
    wall = np.full((SIDE, SIDE, 3), 128, np.uint8)
    corrections.add(Stroke.of([(0.02, 0.02), (0.98, 0.98), (0.02, 0.98), (0.98, 0.02)], True), wall)
    assert not corrections.all
    assert not corrections.is_new
    assert "draw along the thing" in caplog.text


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def knows_the_person(monkeypatch):
    """A teacher of that name, which sees the person and never the board."""
    teacher = FigureTeacher(HOLDING, 2 * FRAMES)
    monkeypatch.setitem(TEACHERS, "knows the person", lambda: lambda threads: teacher)
    return "knows the person"


def shares(masker, begin, end, stroke_at=None, undo_at=None):
    """How much of the board is painted, on each frame."""
    painted = []
    for i in range(begin, end):
        if i == stroke_at:
            masker.correct(HOLDING.stroke(i))
        if i == undo_at:
            masker.undo_correction()
        alpha = masker.process(HOLDING.picture(i)).alpha
        painted.append(float((alpha[HOLDING.thing(i)] > 127).mean()))
    return np.array(painted)


def open_masker(teacher, rooms=None):
    return Masker("ort-cpu", teacher, "#204060", threads=1, lockstep=True, rooms=rooms)


@pytest.fixture
def left(knows_the_person, tmp_path):
    """A room that was corrected and left, its folder, and what was painted meanwhile."""
    rooms = RoomOptions(tmp_path)
    with open_masker(knows_the_person, rooms) as masker:
        painted = shares(masker, 0, FRAMES, stroke_at=STROKE_AT)
        stats = masker.stats
    return rooms, painted, stats


def test_after_one_stroke_it_is_painted_and_the_next_time_from_the_first_frame(left, knows_the_person):
    rooms, painted, stats = left
    assert np.mean(painted[:STROKE_AT]) < 0.3
    assert np.mean(painted[STROKE_AT + 25 :] > 0.5) > 0.9
    assert [correction.keep for correction in stats.learning.corrections] == [True]
    with open_masker(knows_the_person, rooms) as masker:
        again = shares(masker, FRAMES, FRAMES + 30)
        assert masker.stats.doubts == 0
    assert np.mean(again > 0.5) > 0.9
    assert again[0] > 0.7


def test_undone_it_goes_again(knows_the_person):
    with open_masker(knows_the_person) as masker:
        painted = shares(masker, 0, FRAMES, stroke_at=STROKE_AT, undo_at=80)
        assert masker.stats.learning.corrections == ()
    assert np.mean(painted[60:80]) > 0.7
    assert np.mean(painted[-20:]) < 0.3


def test_the_file_of_a_room_keeps_its_corrections_and_no_numbers_that_are_none(left):
    rooms, *_ = left
    (room,) = RoomStore(rooms.folder).all()
    (correction,) = room.corrections
    assert correction.keep
    np.testing.assert_allclose(from_bytes(to_bytes(room)).corrections[0].objects, correction.objects)
    damaged = replace(correction, objects=np.full_like(correction.objects, np.nan))
    with pytest.raises(ModelError, match="not finite"):
        from_bytes(to_bytes(replace(room, corrections=(damaged,))))
    with pytest.raises(ModelError, match="not as many as expected"):
        from_bytes(to_bytes(replace(room, corrections=(correction,) * (MOST + 1))))


def test_a_file_of_before_there_were_corrections_is_read(left):
    rooms, *_ = left
    (path,) = rooms.folder.glob("*.room")
    data = path.read_bytes()
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    tensors = read(data)
    del tensors["corrections"]
    assert from_bytes(save(tensors, json.loads(header)["__metadata__"])).corrections == ()


def test_a_student_is_vouched_for_on_its_own_grid_alone():
    size = input_size("lite", None)
    published = publish_initial(load_student("lite", size), size)
    with pytest.raises(CandidateRejected, match="vouched"):
        LoadedStudent(replace(published, vouched=np.zeros((3, 3), np.float32)), load("ort-cpu"), 1)
