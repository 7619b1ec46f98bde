"""A student that goes wrong, however it came to paint: the room is not shown, and the picture comes back by itself."""

import dataclasses
import subprocess
import sys

import cv2
import numpy as np
import pytest

from engine import Masker, PaintState
from engine.backends import BACKENDS
from engine.backends.ort_cpu import OrtCpu
from engine.errors import CandidateRejected
from engine.painting.hot_swap import MAX_FAILURES
from export.publish import Publisher, load_student
from export.store import save_weights
from tests.clips import read_clip
from tests.data.make_clip import CLIP, PERSON

MAX_SHOWN = 0.02  # share of the room, on any frame
FAR = 17  # pixels, side of the band around the person that counts neither as person nor as room


def plus20(tensors):
    tensors["logits.bias"] += 20


def zero(tensors):
    for tensor in tensors.values():
        tensor.fill(0)


def scrambled(tensors):
    rng = np.random.default_rng(0)
    for name, tensor in tensors.items():
        tensors[name] = rng.normal(tensor.mean(), tensor.std() + 0.1, tensor.shape).astype(np.float32)


def inverse(tensors):
    tensors["logits.weight"] *= -1
    tensors["logits.bias"] *= -1


WEIGHTS = {"+20": plus20, "zero": zero, "random": scrambled, "inverse": inverse}
LOGITS = {
    "+20": lambda logits: logits + 20,
    "zero": lambda logits: 0 * logits,
    "random": lambda logits: np.random.default_rng(0).normal(0, 10, logits.shape),
    "inverse": lambda logits: -logits,
    "1e3": lambda logits: np.full_like(logits, 1e3),
}


@pytest.fixture(scope="module")
def weights():
    return load_student("lite", (240, 320))


def changed(weights, fault):
    tensors = {name: tensor.copy() for name, tensor in weights.tensors.items()}
    WEIGHTS[fault](tensors)
    return tensors


@pytest.fixture(scope="module")
def frames():
    """(frame, bool (H, W) what is certainly room) of a person before a wall."""
    around = np.ones((FAR, FAR), np.uint8)
    return [(bgr, cv2.dilate(PERSON.mask(i), around) == 0) for i, bgr in enumerate(read_clip(CLIP))]


class Turning(OrtCpu):
    """Students that say something else from the `after`th frame on: all of them, or those of `versions` alone."""

    after, fault, made, only = 0, "+20", 0, None

    def __init__(self, model, threads=1):
        super().__init__(model, threads)
        self.number, self.runs = type(self).made, -1  # loading runs it once
        type(self).made += 1

    def run(self):
        logits, self.runs = super().run(), self.runs + 1
        if self.runs > self.after and self.only in (None, self.number):
            return LOGITS[self.fault](logits).astype(np.float32)
        return logits


@pytest.fixture
def turning(monkeypatch):
    def make(fault, after, only=None):
        backend = type("Turning", (Turning,), {"fault": fault, "after": after, "only": only})
        monkeypatch.setitem(BACKENDS, "turning", lambda: backend)
        masker = Masker("turning", background="#ff00ff", threads=1)
        masker._painting.guard._witness.wait()
        return masker

    return make


@pytest.fixture(scope="module")
def undisturbed(frames):
    """The last alpha of a run in which nothing went wrong."""
    with Masker(background="#ff00ff", threads=1) as masker:
        return [masker.process(bgr).alpha for bgr, _ in frames][-1]


def shown(result, room):
    return result.alpha[room].mean() / 255


@pytest.mark.parametrize("fault", LOGITS)
@pytest.mark.parametrize("after", [0, 8])
def test_a_student_that_turns_while_it_paints_shows_no_room(turning, frames, fault, after):
    """The start, too, and for good: it is loaded again and turns again."""
    with turning(fault, after) as masker:
        results = [(masker.process(bgr), room) for bgr, room in frames]
        assert max(shown(result, room) for result, room in results) <= MAX_SHOWN
        assert masker.stats.doubts > 0
        assert results[-1][0].state in (PaintState.UNSURE, PaintState.COVERED)


@pytest.mark.parametrize("fault", LOGITS)
def test_a_good_student_brings_the_picture_back_within_a_second(turning, frames, weights, undisturbed, fault):
    with turning(fault, 2, only=0) as masker:
        for bgr, _ in frames[:-25]:
            masker.process(bgr)
        masker.swap(Publisher(weights, masker.size).publish(dict(weights.tensors)))
        doubts = masker.stats.doubts
        last = [masker.process(bgr) for bgr, _ in frames[-25:]][-1]
        assert masker.stats.doubts == doubts > 0
        assert np.abs(last.alpha.astype(int) - undisturbed).mean() < 2


@pytest.mark.parametrize("fault", LOGITS)
def test_a_student_that_turns_once_it_is_adopted_gives_way_to_the_one_before(
    turning, frames, weights, undisturbed, fault, caplog
):
    with turning(fault, 0, only=1) as masker:
        for bgr, _ in frames[:-25]:
            masker.process(bgr)
        masker.swap(Publisher(weights, masker.size).publish(dict(weights.tensors)))
        results = [(masker.process(bgr), room) for bgr, room in frames[-25:]]
        assert max(shown(result, room) for result, room in results) <= MAX_SHOWN
        assert (masker.stats.rollbacks, masker.stats.doubts) == (1, MAX_FAILURES)
        assert np.abs(results[-1][0].alpha.astype(int) - undisturbed).mean() < 2
    assert sum("is not believed" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("fault", WEIGHTS)
def test_such_a_student_is_refused_where_it_is_swapped_in(frames, weights, fault):
    with Masker(background="#ff00ff", threads=1) as masker:
        before = masker.process(frames[0][0])
        with pytest.raises(CandidateRejected, match=r"(% of a bare wall|NaN)"):
            masker.swap(Publisher(weights).publish(changed(weights, fault)))
        after = masker.process(frames[0][0])
        assert (after.version, masker.stats.rejected) == (before.version, 1)
        assert np.array_equal(after.alpha, before.alpha)


@pytest.mark.parametrize("fault", WEIGHTS)
def test_such_weights_are_refused_at_the_start(tmp_path, weights, fault):
    bad = tmp_path / "bad.safetensors"
    save_weights(bad, dataclasses.replace(weights, tensors=changed(weights, fault)))
    out = tmp_path / "out.mkv"
    command = [sys.executable, "-m", "engine.cli", "-i", str(CLIP), "-o", str(out), "--weights", str(bad)]
    done = subprocess.run([*command, "--teacher", "none"], capture_output=True, text=True)
    assert done.returncode == 5
    assert "bare wall" in done.stderr or "NaN" in done.stderr
    assert not out.exists()
