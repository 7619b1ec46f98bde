"""Where nothing moves the student is not asked again; whatever moves, or may not be believed, is looked at."""

import json

import cv2
import numpy as np
import pytest

import kernels
from engine import Masker, PaintState
from engine.backends import BACKENDS
from engine.painting.guard import EARNED_AFTER
from engine.painting.still import MAX_AGE, StillGate
from engine.sources.synthetic import SyntheticPerson
from export.publish import Publisher
from tests.clips import write_clip
from tests.fakes import faulty_backend

PERSON = SyntheticPerson(seed=90)  # the shipped student is sure of this one, and of the empty room
FPS = 25
SETTLED = 2 * EARNED_AFTER  # frames, after which the gate works


def noisy(bgr, seed, sigma=1.5):
    """As a camera sees it: the same noise in all three colours, grey levels."""
    noise = np.random.default_rng(seed).normal(0, sigma, (*bgr.shape[:2], 1))
    return np.clip(bgr + noise, 0, 255).round().astype(np.uint8)


def with_arm(bgr, x, y, lighter=40):
    """Six pixels wide, over the person's edge, lighter than what is there by `lighter` grey levels."""
    arm = np.zeros(bgr.shape[:2], np.uint8)
    start, end = ((round(256 * (x + dx)), round(256 * (y + dy))) for dx, dy in ((-70, 10), (70, -10)))
    cv2.line(arm, start, end, 255, 6, cv2.LINE_AA, 8)
    return np.clip(bgr + arm[..., None] * (lighter / 255), 0, 255)


class Stream:
    """Frames of a still picture, one after the other; `asked` says whether the student was asked about one."""

    def __init__(self, masker, fps=FPS, bgr=None):
        self.masker, self.fps, self.bgr, self.index = masker, fps, PERSON.picture(0) if bgr is None else bgr, 0

    def paint(self, bgr=None):
        self.index += 1
        bgr = noisy(self.bgr if bgr is None else bgr, self.index)
        return self.masker.process(bgr, self.index / self.fps)

    def asked(self, bgr=None):
        before = self.masker.stats.reused
        self.paint(bgr)
        return self.masker.stats.reused == before

    def settle(self):
        """Until trust is earned, and the last frame is the first for which an answer was reused."""
        for _ in range(SETTLED):
            self.paint()
        while not self.asked():
            assert self.index < SETTLED + FPS
        assert not self.asked()


@pytest.fixture
def masker(room):
    with Masker("ort-cpu", None, room, threads=1, lockstep=True, still_gate=True) as masker:
        yield masker


@pytest.fixture
def still(masker):
    stream = Stream(masker)
    stream.settle()
    return stream


def test_while_nothing_moves_the_student_is_asked_twice_a_second(still, room):
    assert sum(still.asked() for _ in range(4 * FPS)) <= 4 / MAX_AGE + 1


@pytest.mark.parametrize("backend", ["ort-cpu", "numba-cpu"])
def test_what_is_painted_meanwhile_is_what_it_would_say(room, backend):
    with (
        Masker(backend, None, room, threads=1, lockstep=True, still_gate=True) as masker,
        Masker(backend, None, room, threads=1, lockstep=True) as anew,
    ):
        still, ungated = Stream(masker), Stream(anew)
        still.settle()
        while ungated.index < still.index:
            ungated.paint()
        for _ in range(FPS):
            pair = still.paint().alpha, ungated.paint().alpha
            assert np.abs(np.subtract(*pair, dtype=np.int16)).max() < 26  # a tenth of alpha
        assert anew.stats.reused == 0 < still.masker.stats.reused


@pytest.mark.parametrize(
    ("dx", "dy", "lighter"),
    [(1, 0, 40), (0, 1, 40), (-2, 0, 40), (0, -2, 40), (0, 1, -24), (-2, 0, -24), (0, -2, -24)],
)
def test_a_thin_arm_that_moves_is_seen_on_every_frame(masker, dx, dy, lighter):
    still = Stream(masker, bgr=with_arm(PERSON.picture(0), 400, 180, lighter))
    still.settle()
    asked = [still.asked(with_arm(PERSON.picture(0), 400 + dx * i, 180 + dy * i, lighter)) for i in range(1, 25)]
    assert all(asked)


def test_a_drift_too_slow_to_be_seen_from_frame_to_frame_adds_up(masker):
    """A twentieth of a pixel per frame, in so little time that no answer is too old."""
    still = Stream(masker, bgr=with_arm(PERSON.picture(0), 400, 180))
    still.settle()
    still.fps, still.index = 10_000, 10_000 * still.index // FPS
    asked = [still.asked(with_arm(PERSON.picture(0), 400, 180 + i / 20)) for i in range(1, 101)]
    assert 4 <= sum(asked) < 50


def test_whoever_comes_in_is_seen_at_once(masker):
    room, person = PERSON._scene(0).background, PERSON.picture(0)
    still = Stream(masker, bgr=room)
    still.settle()
    for column in range(8, 320, 8):
        entering = room.copy()
        entering[:, :column] = person[:, 320 - column : 320]
        assert still.asked(entering)


def test_another_student_is_asked(still):
    published = Publisher(still.masker.student, still.masker.size).publish(dict(still.masker.student.tensors))
    still.masker.swap(published)
    assert still.asked()
    assert still.masker.stats.version == published.version
    assert not still.asked()


def test_another_scene_is_looked_at_until_the_student_is_trusted_in_it(still):
    other = SyntheticPerson(seed=94).picture(0)
    assert [still.asked(other) for _ in range(EARNED_AFTER)] == [True] * EARNED_AFTER


def test_another_stream_is_looked_at_until_the_student_is_trusted_in_it(still):
    still.masker.reset()
    assert [still.asked() for _ in range(EARNED_AFTER)] == [True] * EARNED_AFTER


def test_a_frame_of_another_size_is_looked_at(still):
    assert still.asked(cv2.resize(still.bgr, (320, 240), interpolation=cv2.INTER_AREA))


def test_a_stream_that_runs_back_is_looked_at(still):
    still.index -= FPS
    assert still.asked()


def test_after_a_fault_no_answer_from_before_it_is_painted(room, monkeypatch):
    answers = [None] * (SETTLED + 1) + [RuntimeError("driver")] + [None] * 100
    monkeypatch.setitem(BACKENDS, "faulty", lambda: faulty_backend(*answers))
    with Masker("faulty", None, room, threads=1, lockstep=True, still_gate=True) as masker:
        still = Stream(masker)
        while still.paint().state is not PaintState.COVERED:
            assert still.index < 1000
        assert masker.stats.reused > 0
        assert still.asked()
        assert masker.stats.faults == 1


def test_a_student_in_doubt_is_asked_about_every_frame(still):
    """The guard says so; here the gate alone, on the student that paints."""
    gate, student = StillGate(kernels.load()), still.masker.live
    reused = [
        gate.answer(student, 0.04 * i, settled)[1] for i, settled in enumerate((True, True, False, False, True, True))
    ]
    assert reused == [False, True, False, False, False, True]


def test_without_being_told_to_every_frame_is_looked_at(room):
    with Masker("ort-cpu", None, room, threads=1, lockstep=True) as masker:
        for _ in range(SETTLED):
            masker.process(PERSON.picture(0))
        assert masker.stats.reused == 0


@pytest.mark.parametrize(
    ("arguments", "saves"),
    [
        (["--pace", "live"], True),
        (["--pace", "live", "--still-gate", "off"], False),
        (["--pace", "lockstep"], False),
        (["--pace", "lockstep", "--still-gate", "on"], True),
    ],
)
def test_live_frames_are_saved_and_files_are_not_unless_told_otherwise(tmp_path, paint, arguments, saves):
    clip, report = write_clip(tmp_path / "still.mp4", [PERSON.picture(0)] * 2 * SETTLED), tmp_path / "report.json"
    assert paint("-i", clip, "-o", "null", "--backend", "ort-cpu", "--report", report, *arguments)[0] == 0
    assert (json.loads(report.read_text())["reused"] > 0) == saves
