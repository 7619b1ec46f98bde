"""A room is learnt, left and come back to: by another masker, in another process, and where it is forgotten."""

import math
import sys
import time

import numpy as np
import pytest

from engine import Masker
from engine.contracts import RoomOptions
from engine.rooms.store import RoomStore
from engine.sources.synthetic import SyntheticPerson
from tests.toml_teacher import write_teacher

FIGURE = SyntheticPerson(width=320, height=240, seed=87)
OTHER = SyntheticPerson(width=320, height=240, seed=3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return str(write_teacher(tmp_path_factory.mktemp("teacher"), FIGURE._scene(0).background))


def open_masker(teacher, folder, **options):
    rooms = RoomOptions(folder, **options)
    return Masker(teacher=teacher, background="#ff00ff", threads=1, lockstep=True, rooms=rooms)


def watch(masker, figure, frames):
    return [masker.process(figure.picture(i)) for i in frames]


@pytest.fixture(scope="module")
def learnt(teacher, tmp_path_factory):
    """A folder with the room of FIGURE in it, and the last alpha painted there."""
    folder = tmp_path_factory.mktemp("home") / "rooms"
    with open_masker(teacher, folder) as masker:
        last = watch(masker, FIGURE, range(80))[-1].alpha.copy()
    return folder, last


def copied(folder, tmp_path):
    target = tmp_path / "rooms"
    target.mkdir(mode=0o700)
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
        (target / path.name).chmod(0o600)
    return target


def test_what_was_learnt_is_kept_and_paints_the_first_frame_of_the_next_visit(learnt, teacher):
    folder, last = learnt
    (room,) = RoomStore(folder).all()
    assert room.facts.score >= 0.9
    with Masker(background="#ff00ff", threads=1, lockstep=True, rooms=RoomOptions(folder, writes=False)) as masker:
        first = masker.process(FIGURE.picture(79))
    assert first.version == 1
    assert np.mean(np.abs(first.alpha.astype(float) - last)) < 4  # grey levels


def test_a_visit_that_is_confirmed_counts(learnt, teacher, tmp_path):
    folder = copied(learnt[0], tmp_path)
    (before,) = RoomStore(folder).all()
    with open_masker(teacher, folder) as masker:
        watch(masker, FIGURE, range(80, 120))
        assert masker.stats.learning.room == before.facts.id
    (after,) = RoomStore(folder).all()
    assert after.facts.id == before.facts.id
    assert after.facts.visits == before.facts.visits + 1
    assert after.facts.confirmed > before.facts.confirmed


def test_another_room_is_another_file(learnt, teacher, tmp_path):
    folder = copied(learnt[0], tmp_path)
    with Masker(background="#ff00ff", threads=1, lockstep=True, rooms=RoomOptions(folder)) as masker:
        assert masker.process(OTHER.picture(0)).version == 0
    assert len(RoomStore(folder).all()) == 1


def test_what_is_only_read_is_not_written(learnt, teacher, tmp_path):
    folder = copied(learnt[0], tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with open_masker(teacher, folder, writes=False) as masker:
        assert watch(masker, FIGURE, range(40))[0].version == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_cut_to_a_known_room_needs_no_label(learnt, teacher, tmp_path):
    folder = copied(learnt[0], tmp_path)
    with open_masker(teacher, folder) as masker:
        watch(masker, OTHER, range(30))
        assert masker.stats.learning.room not in {room.facts.id for room in RoomStore(learnt[0]).all()}
        calls = masker.stats.learning.calls
        watch(masker, FIGURE, [0])  # the cut: it is painted with the student of the room before
        assert masker.stats.learning.room == RoomStore(learnt[0]).all()[0].facts.id
        assert masker.stats.learning.calls <= calls + 1


def test_what_is_forgotten_is_gone_from_the_disk(learnt, teacher, tmp_path):
    folder = copied(learnt[0], tmp_path)
    with open_masker(teacher, folder) as masker:
        watch(masker, FIGURE, range(20))
        masker.forget()
        assert list(folder.iterdir()) == []
        assert masker.process(FIGURE.picture(20)).version == 0


def test_a_room_is_forgotten_where_nobody_learns(learnt, tmp_path):
    folder = copied(learnt[0], tmp_path)
    with Masker(background="#ff00ff", threads=1, rooms=RoomOptions(folder)) as masker:
        assert masker.process(FIGURE.picture(0)).version == 1
        masker.forget()
        assert list(folder.iterdir()) == []
        assert masker.process(FIGURE.picture(1)).version == 0


def test_a_folder_that_cannot_be_written_costs_the_memory_alone(teacher, tmp_path, caplog):
    (tmp_path / "rooms").write_text("a file")
    with open_masker(teacher, tmp_path / "rooms") as masker:
        watch(masker, FIGURE, range(80))
        assert masker.stats.learning.died is None
        assert masker.stats.learning.publishes > 0
    assert caplog.text.count("not remembered") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the learner's process needs Linux")
def test_a_learner_in_a_process_goes_on_from_the_room(learnt, teacher, tmp_path):
    folder = copied(learnt[0], tmp_path)
    (before,) = RoomStore(folder).all()
    with Masker(
        teacher=teacher, background="#ff00ff", threads=1, learner="process", learning_budget=math.inf,
        rooms=RoomOptions(folder),
    ) as masker:  # fmt: skip
        assert masker.process(FIGURE.picture(0)).version == 1
        deadline, i = time.monotonic() + 150, 0
        while masker.stats.learning.calls < 4:
            assert time.monotonic() < deadline, masker.stats
            assert masker.stats.learning.died is None
            i += 1
            masker.process(FIGURE.picture(i % 80))
            time.sleep(0.01)
        assert masker.stats.learning.room == before.facts.id
        assert masker.stats.learning.curve[0][1] > 0.9  # of the room's student, on the first label
