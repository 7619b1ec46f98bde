"""A student that fails while it paints, or that is damaged before it does: covered or refused, never the room."""

import logging

import numpy as np
import pytest

from engine import Masker, PaintState
from engine.backends import BACKENDS
from engine.errors import CandidateRejected, ModelError
from engine.painting.contrast import PROBE_TOLERANCE, alpha_difference
from engine.painting.loaded_student import LoadedStudent
from export.contracts import Probe, StudentWeights
from export.publish import Publisher, load_student
from export.store import save_weights
from tests.data.make_clip import PERSON
from tests.fakes import faulty_backend
from tests.faults.whole_run import FRAMES, MAX_ROOM, room_shown

FAULTS = {
    "raises": (RuntimeError("the session broke"), "RuntimeError: the session broke"),
    "has no memory": (MemoryError("no memory"), "MemoryError: no memory"),
    "NaN": (np.nan, "the student answered NaN"),
    "infinity": (np.inf, "the student answered NaN"),
    "1e30": (1e30, "the student answered NaN"),
    "-1e30": (-1e30, "the student answered NaN"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_student_that_fails_for_good_is_covered_on_every_frame_and_said_once(paint, monkeypatch, fault):
    answer, message = FAULTS[fault]
    monkeypatch.setitem(BACKENDS, "faulty", lambda: faulty_backend(answer))
    run = paint("--backend", "faulty")
    assert (run.code, run.frames, run.report["faults"]) == (0, FRAMES, FRAMES)
    assert run.room == max(alpha.max() for alpha in run.alphas) == 0
    assert run.said.count(f"frame 0 is painted as background only: {message}") == 1
    assert "Traceback" not in run.said


@pytest.mark.parametrize("fault", FAULTS)
def test_a_student_that_fails_now_and_then_is_covered_there_and_nowhere_else(paint, monkeypatch, fault):
    answer, message = FAULTS[fault]
    monkeypatch.setitem(BACKENDS, "faulty", lambda: faulty_backend(None, None, answer, None))
    run = paint("--backend", "faulty")
    assert (run.code, run.frames, run.report["faults"]) == (0, FRAMES, FRAMES // 4)
    assert run.room <= MAX_ROOM
    assert [not alpha.any() for alpha in run.alphas] == [i % 4 == 2 for i in range(FRAMES)]
    assert run.said.count(f"frame 2 is painted as background only: {message}") == 1


def test_a_weights_file_of_nan_is_refused_before_anything_is_written(paint, tmp_path):
    good = load_student("lite", (240, 320))
    tensors = {name: np.full_like(value, np.nan) for name, value in good.tensors.items()}
    save_weights(tmp_path / "nan.safetensors", StudentWeights("lite", (240, 320), tensors))
    run = paint("--weights", tmp_path / "nan.safetensors")
    assert (run.code, run.report, run.frames) == (5, None, 0)
    assert f"{tmp_path / 'nan.safetensors'} holds NaN or infinity" in run.said


# -- students that are swapped in --------------------------------------------------------------------------------------


@pytest.fixture
def published(masker):
    """The shipped student with a probe, a frame of the scene, as a learner publishes it."""
    student = load_student("lite", masker.size)
    publisher = Publisher(student, masker.size)
    bare = publisher.publish(dict(student.tensors))
    loaded = LoadedStudent(bare, masker._hot_swap.backend, 1)
    masker.kernels.preprocess(PERSON.picture(0), bare.mean, bare.std, loaded.image)
    return publisher.publish(dict(student.tensors), Probe(loaded.image.copy(), loaded.logits()[None, None].copy()))


@pytest.fixture
def masker(room):
    with Masker("ort-cpu", None, room, threads=1) as masker:
        yield masker


def flipped(model, seed):
    """One byte somewhere, all of its bits."""
    data, at = bytearray(model), int(np.random.default_rng(seed).integers(0, len(model)))
    data[at] ^= 0xFF
    return bytes(data)


DAMAGED = {f"byte {seed}": lambda model, seed=seed: flipped(model, seed) for seed in range(24)}
DAMAGED |= {f"cut at {share:.0%}": lambda model, s=share: model[: int(s * len(model))] for share in (0, 0.1, 0.5, 0.99)}


def test_a_damaged_student_is_refused_or_paints_as_it_should(masker, published, caplog):
    """A byte may lie where nothing is seen of it. Everything else is refused, and the live student paints on."""
    caplog.set_level(logging.WARNING)
    refused, alphas = 0, []
    for i, damage in enumerate(DAMAGED.values()):
        try:
            masker.swap(type(published)(i, damage(published.model), published.mean, published.std, published.probe))
        except (ModelError, CandidateRejected):
            refused += 1
        alphas.append(masker.process(PERSON.picture(i % FRAMES), i / 25).alpha / 255)
    assert refused >= 8
    assert masker.stats.rejected == refused
    assert masker.stats.frames == len(DAMAGED)
    assert masker.stats.faults == masker.stats.rollbacks == 0
    assert room_shown(alphas[:FRAMES]) <= MAX_ROOM


def test_what_the_probe_lets_through_paints_the_same(masker, published):
    """So that the test above means what it says: its probe notices one weight of the last layer."""
    live = LoadedStudent(published, masker._hot_swap.backend, 1)
    weights = load_student("lite", masker.size)
    tensors = dict(weights.tensors) | {"logits.bias": weights.tensors["logits.bias"] + 0.2}
    other = Publisher(weights, masker.size).publish(tensors, published.probe)
    with pytest.raises(CandidateRejected, match="differs from the trained one"):
        LoadedStudent(other, masker._hot_swap.backend, 1)
    assert alpha_difference(live.logits()[None, None], published.probe.logits) <= PROBE_TOLERANCE


def test_a_student_of_nan_that_is_swapped_in_is_refused_and_the_picture_goes_on(masker):
    weights = load_student("lite", masker.size)
    tensors = {name: np.full_like(value, np.nan) for name, value in weights.tensors.items()}
    alphas = [masker.process(PERSON.picture(i), i / 25).alpha / 255 for i in range(2)]
    with pytest.raises(CandidateRejected, match="answers NaN or infinity"):
        masker.swap(Publisher(weights, masker.size).publish(tensors))
    alphas += [masker.process(PERSON.picture(i), i / 25).alpha / 255 for i in range(2, 6)]
    assert room_shown(alphas) <= MAX_ROOM
    assert min(alpha.mean() for alpha in alphas) > 0.1
    assert (masker.stats.faults, masker.stats.version) == (0, 0)


def test_a_session_that_breaks_for_good_gives_way_to_the_student_before(masker, published, caplog):
    """Covered until it is left, and then the picture is back."""
    masker.process(PERSON.picture(0), 0)
    masker.swap(published)
    masker.process(PERSON.picture(1), 0.04)
    masker.live.backend.run = lambda: 1 / 0
    results = [masker.process(PERSON.picture(i), i / 25) for i in range(2, 8)]
    assert [result.state is PaintState.COVERED for result in results] == [True] * 3 + [False] * 3
    assert room_shown([result.alpha / 255 for result in results]) <= MAX_ROOM
    assert (masker.stats.rollbacks, masker.stats.faults, masker.stats.version) == (1, 3, 0)
    assert caplog.text.count("going back to student 0") == 1
