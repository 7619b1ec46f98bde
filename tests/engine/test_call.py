"""In a call: what is shown while there is no picture, what can be changed, sleep. Real maskers, scripted sources."""

import itertools
import threading
import time

import cv2
import numpy as np
import pytest

from engine import Masker, sleep
from engine.card import Card
from engine.contracts import Canvas, Frame, Origin, PaintState
from engine.errors import UsageError
from engine.options import Options
from engine.pipeline import Pipeline
from engine.session import Session
from engine.sleep import Sleep
from engine.sources.synthetic import SyntheticPerson
from engine.view import Framing, View, person_box

GREEN = "#00b140"
FIGURE = SyntheticPerson(seed=87, width=160, height=120)


class Camera:
    """Gives frames as long as `on` is set; `absence` is what a source that is reopened would say."""

    live, fps, frames, origin = True, 25.0, None, Origin()

    def __init__(self):
        self.on, self.closed, self.absence, self.losses = threading.Event(), False, None, 0
        self.on.set()

    def __iter__(self):
        for i in itertools.count():
            while not self.on.wait(0.01):
                if self.closed:
                    return
            if self.closed:
                return
            now = time.perf_counter()
            yield Frame(FIGURE.picture(i % 50), i, now, now)
            time.sleep(0.005)

    def suspend(self):
        self.on.clear()
        self.absence = PaintState.ASLEEP

    def resume(self):
        self.absence = None
        self.on.set()

    def close(self):
        self.closed = True


class Screen:
    """Keeps what it is shown; `until(condition)` waits for a picture that fulfils it."""

    needs_alpha, wanted = False, True

    def __init__(self):
        self._changed, self._last, self.shown = threading.Condition(), None, 0

    def write(self, picture):
        with self._changed:
            self._last, self.shown = picture.bgr.copy(), self.shown + 1
            self._changed.notify_all()

    def until(self, condition):
        with self._changed:
            assert self._changed.wait_for(lambda: self._last is not None and condition(self._last), 20)
            return self._last

    def close(self):
        pass


class Call:
    """A running pipeline from `camera` to `screen`, and its session."""

    def __init__(self, **options):
        self.camera, self.screen = Camera(), Screen()
        self.masker = Masker(background=GREEN, threads=1, **options)
        self.card = Card(GREEN)
        self.pipeline = Pipeline(self.camera, self.masker, [self.screen], card=self.card, repeats=True, view=View())
        self.session = Session(self.pipeline, Options(input="0", background=GREEN), "window")
        self._thread = threading.Thread(target=self.pipeline.run)

    def __enter__(self):
        self._thread.start()
        self.screen.until(lambda bgr: not self.is_card(bgr))
        return self

    def is_card(self, bgr):
        return np.array_equal(bgr, self.card.picture(bgr.shape[:2]))

    def __exit__(self, *_):
        self.session.stop()
        self._thread.join(20)
        self.masker.close()
        assert not self._thread.is_alive()


@pytest.mark.parametrize(("absence", "state"), [(PaintState.LOST, "lost"), (None, "covered")])
def test_without_frames_the_card_is_shown_again_and_again_and_then_the_picture(absence, state):
    """Whether the source says that it is lost, or hangs without a word."""
    with Call() as call:
        call.camera.absence = absence
        call.camera.on.clear()
        call.screen.until(call.is_card)
        assert call.session.status()["state"] == state
        shown = call.screen.shown
        call.screen.until(lambda _: call.screen.shown > shown + 3)
        call.camera.absence = None
        call.camera.on.set()
        call.screen.until(lambda bgr: not call.is_card(bgr))


def test_paused_the_card_is_shown_and_nothing_is_painted():
    with Call() as call:
        call.session.pause()
        call.screen.until(call.is_card)
        painted = call.pipeline.frames
        shown = call.screen.shown
        call.screen.until(lambda _: call.screen.shown > shown + 3)
        assert call.pipeline.frames <= painted + 1  # one may have been under way
        assert call.session.status()["state"] == "paused"
        call.session.resume()
        call.screen.until(lambda bgr: not call.is_card(bgr))


def test_a_run_from_file_to_file_has_no_pause():
    with Masker(background=GREEN, threads=1) as masker:
        session = Session(Pipeline(FIGURE, masker, []), Options(), "out.mp4")
        with pytest.raises(UsageError, match="has no pause"):
            session.pause()


def test_the_background_changes_while_it_runs_and_a_bad_one_leaves_it(tmp_path):
    picture = tmp_path / "red.png"
    cv2.imwrite(str(picture), np.full((30, 40, 3), (0, 0, 255), np.uint8))
    with Call() as call:
        corner = tuple(call.screen.until(lambda bgr: True)[2, 2])
        assert corner == (0x40, 0xB1, 0)
        call.session.set_background(str(picture))
        call.screen.until(lambda bgr: tuple(bgr[2, 2]) == (0, 0, 255))
        for bad, message in [("nowhere.jpg", "cannot read the background nowhere.jpg"), ("none", "alpha was off")]:
            with pytest.raises(UsageError, match=message):
                call.session.set_background(bad)
        assert call.session.status()["background"] == str(picture)
        call.session.pause()  # the card has the new background, too
        card = call.screen.until(call.is_card)
        assert card[2, 2, 2] > 100 > card[2, 2, 1]


def test_what_is_sent_and_what_came_can_be_looked_at():
    with Call() as call:
        assert call.session.picture().shape == (120, 160, 3)
        came = call.session.source_picture()
        assert any(np.array_equal(came, FIGURE.picture(i)) for i in range(50))


def test_the_mirror_turns_the_person_and_not_the_background(tmp_path):
    picture, frame = tmp_path / "half.png", FIGURE.picture(0)
    half = np.zeros((120, 160, 3), np.uint8)
    half[:, 80:] = 255
    cv2.imwrite(str(picture), half)
    with Masker(background=str(picture), threads=1) as masker:
        view = View(mirrored=True)
        turned = masker.process(view.before(frame).copy())
        masker.reset()
        straight = masker.process(frame)
    assert np.abs(turned.alpha.astype(int) - straight.alpha[:, ::-1]).mean() < 12
    assert (turned.picture[2, 2].max(), turned.picture[2, -3].min()) == (0, 255)


def test_forget_brings_back_the_student_as_it_came():
    with Masker(background=GREEN, threads=1) as masker:
        before = masker.process(FIGURE.picture(0)).alpha.copy()
        from export.publish import publish_initial

        other = publish_initial(masker.student, masker.size)
        masker.swap(other)
        masker.process(FIGURE.picture(0))
        masker.forget()
        masker.reset()
        assert np.array_equal(masker.process(FIGURE.picture(0)).alpha, before)
        assert masker.stats.swaps == 2


def test_learning_cannot_be_switched_on_where_nobody_teaches():
    with Call() as call, pytest.raises(UsageError, match="nobody teaches in this run"):
        call.session.set_learning(True)


# -- sleep -------------------------------------------------------------------------------------------------------------


class Readers:
    """A watch that is told."""

    watched = True

    def __init__(self):
        self.changed = threading.Event()

    def wait(self, timeout):
        return self.changed.wait(0.001)

    def close(self):
        pass


class Device:
    """Counts what it is told; `told` is set by each."""

    absence, losses = None, 0

    def __init__(self):
        self.calls, self.told = [], threading.Semaphore(0)

    def suspend(self):
        self.calls.append("suspend")
        self.told.release()

    def resume(self):
        self.calls.append("resume")
        self.told.release()


def test_it_sleeps_while_nobody_watches_and_wakes_for_a_reader_or_a_look(monkeypatch):
    monkeypatch.setattr(sleep, "DROWSY_S", 0.01)
    monkeypatch.setattr(sleep, "LOOKED_S", 0.05)
    device, readers, looked_at = Device(), Readers(), [-1e9]
    sleeping = Sleep(device, lambda: readers, lambda: looked_at[0])
    readers.watched = False
    assert device.told.acquire(timeout=10)
    readers.watched = True
    assert device.told.acquire(timeout=10)
    readers.watched = False
    assert device.told.acquire(timeout=10)
    looked_at[0] = time.perf_counter()
    assert device.told.acquire(timeout=10)
    sleeping.close()
    assert device.calls[:4] == ["suspend", "resume", "suspend", "resume"]


def test_who_cannot_tell_whether_anybody_watches_never_sleeps(monkeypatch):
    monkeypatch.setattr(sleep, "DROWSY_S", 0.0)
    device, readers = Device(), Readers()
    readers.watched = None
    sleeping = Sleep(device, lambda: readers, lambda: -1e9)
    assert not device.told.acquire(timeout=0.1)
    sleeping.close()


# -- framing -----------------------------------------------------------------------------------------------------------


def test_the_frame_follows_the_person_smoothly_and_stays_inside():
    framing, box = Framing(), (0.6, 0.4, 0.8, 1.0)
    parts = [framing.next(box, i / 25) for i in range(200)]
    assert parts[0] == (0.0, 0.0, 1.0)
    assert all(x >= 0 and y >= 0 and x + 1 / z <= 1 + 1e-9 and y + 1 / z <= 1 + 1e-9 for x, y, z in parts)
    assert max(abs(a[2] - b[2]) for a, b in itertools.pairwise(parts)) < 0.05
    x, y, zoom = parts[-1]
    assert zoom > 1.2
    assert (x < 0.6, x + 1 / zoom > 0.8, y < 0.4, y + 1 / zoom > 0.99) == (True, True, True, True)


def test_a_cut_picture_shows_nothing_that_was_not_there():
    canvas = Canvas().fit(np.empty((120, 160, 3), np.uint8))
    canvas.picture[:] = (0, 255, 0)
    canvas.alpha[:] = 0
    canvas.picture[40:, 60:100], canvas.alpha[40:, 60:100] = (0, 0, 255), 255
    view = View(follows=True)
    for i in range(100):
        frame = Canvas().fit(canvas.picture)
        frame.picture[:], frame.alpha[:] = canvas.picture, canvas.alpha
        view.after(frame, i / 25)
    assert person_box(frame.alpha)[0] < person_box(canvas.alpha)[0]  # the person is larger
    assert (frame.alpha > 128).mean() > 1.2 * (canvas.alpha > 128).mean()
    assert set(np.unique(frame.picture[..., 0])) == {0}
