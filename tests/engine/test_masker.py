"""The face for other apps: pictures, fail-closed, swaps, and who may call when."""

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from engine import Masker
from engine.errors import CandidateRejected, ModelError, UsageError
from engine.painting.loaded_student import LoadedStudent, to_alpha
from engine.sources.synthetic import SyntheticPerson
from export.contracts import Probe, Published
from export.publish import Publisher, load_student
from export.students import STUDENTS
from tests.fakes import FaultyBackend


@pytest.fixture(scope="module")
def weights():
    return load_student("lite", (256, 256))


@pytest.fixture
def masker(room):
    with Masker(background=room, threads=1) as masker:
        yield masker


@pytest.fixture
def frame():
    return SyntheticPerson(seed=3).picture(0)


def publish(weights, change=None, probe=None):
    tensors = {k: v.copy() for k, v in weights.tensors.items()}
    if change:
        change(tensors)
    return Publisher(weights).publish(tensors, probe)


def test_importing_the_engine_loads_no_heavy_runtime():
    heavy = "('torch', 'cv2', 'onnxruntime', 'numba', 'onnx', 'av')"
    code = f"import sys, engine; sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_masker_without_a_teacher_never_imports_torch():
    code = (
        "import sys, numpy as np; from engine import Masker\n"
        "with Masker(backend='ort-cpu', teacher=None) as m: m(np.zeros((48, 64, 3), np.uint8))\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shape", [(480, 640, 3), (1, 1, 3), (5, 7, 3), (720, 1280, 3)])
def test_a_picture_has_the_size_of_its_frame(masker, shape):
    frame = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert masker(frame).shape == shape
    assert masker.alpha(frame).shape == shape[:2]


def test_the_size_may_change_between_two_frames(masker):
    for shape in [(480, 640, 3), (240, 320, 3), (480, 640, 3)]:
        assert masker(np.zeros(shape, np.uint8)).shape == shape
    assert masker.stats.faults == 0


@pytest.mark.parametrize("kind", ["grey", "16-bit", "bgra", "strided", "read-only"])
def test_other_kinds_of_frames_are_understood(masker, frame, kind):
    given = {
        "grey": frame[..., 0],
        "16-bit": frame.astype(np.uint16) << 8,
        "bgra": np.dstack([frame, frame[..., :1]]),
        "strided": frame[:, ::-1],
        "read-only": frame.copy(),
    }[kind]
    given.flags.writeable = kind != "read-only"
    assert masker(given).shape == frame.shape
    assert masker.stats.faults == 0


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), 7])
def test_what_is_no_frame_is_refused_with_what_was_expected(masker, bad):
    with pytest.raises(UsageError, match="expected"):
        masker(bad)


def test_a_person_is_found_and_the_room_is_replaced(masker, frame, magenta):
    truth, alpha = SyntheticPerson(seed=3).mask(0) > 127, masker.alpha(frame)
    picture = masker(frame)
    assert alpha[truth].mean() > alpha[~truth].mean() + 0.3
    surely_room = alpha == 0
    assert surely_room.any()
    assert (picture[surely_room] == magenta).all()


def test_the_picture_is_a_new_array_unless_one_is_given(masker, frame):
    first = masker(frame)
    assert masker(frame) is not first
    assert masker(frame, out=first) is first


def test_the_matte_is_the_alpha_that_was_painted(masker, frame):
    from engine.contracts import Frame

    out, matte = np.empty_like(frame), np.empty(frame.shape[:2], np.uint8)
    masker.paint(Frame(frame, 0, 0.0, 0.0), out, matte)
    assert np.abs(matte / 255 - masker.alpha(frame)).max() < 2 / 255


# -- fail closed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [np.nan, np.inf, 1e9, RuntimeError("the runtime broke")])
def test_a_fault_of_the_student_paints_the_background_alone(masker, frame, magenta, answer):
    masker._live.backend = FaultyBackend(answer)
    assert (masker(frame) == magenta).all()
    assert masker.stats.faults == 1


def test_a_fault_of_the_background_paints_black(masker, frame):
    masker.background.picture = lambda *_: 1 / 0
    assert not masker(frame).any()


def test_faults_are_told_once(masker, frame, caplog):
    masker._live.backend = FaultyBackend(*[np.nan] * 3)
    for _ in range(3):
        masker(frame)
    assert masker.stats.faults == 3
    assert len(caplog.records) == 1


def test_nobody_there_paints_the_background_alone(masker, frame, magenta):
    masker._live.backend = FaultyBackend(-20.0)
    assert (masker(frame) == magenta).all()
    assert masker.stats.faults == 0


@pytest.mark.parametrize("answer", [-20.0, np.nan, RuntimeError("the runtime broke")])
def test_the_foreground_fits_the_frame_though_nobody_was_painted(frame, answer):
    with Masker("ort-cpu", None, "none", threads=1) as masker:
        masker._live.backend = FaultyBackend(answer)
        masker(frame)
        assert masker.foreground.shape == frame.shape


def test_after_a_fault_the_next_frame_is_painted_again(masker, frame, magenta):
    good = masker._live.backend
    masker._live.backend = FaultyBackend(np.nan)
    masker(frame)
    masker._live.backend = good
    assert not (masker(frame) == magenta).all()


# -- swaps -----------------------------------------------------------------------------------------------------------


def test_a_swapped_student_paints_the_next_frame(masker, frame, weights):
    def shut(tensors):
        tensors["logits.bias"] = tensors["logits.bias"] - 100

    masker.swap(publish(weights, shut))
    assert not masker.alpha(frame).any()
    assert masker.stats.swaps == 1


@pytest.mark.parametrize("name", ["logits.bias", "enc2.depthwise.weight"])
def test_a_student_with_nan_never_goes_live(masker, frame, weights, name):
    before = masker.alpha(frame)

    def poison(tensors):
        tensors[name] = np.full_like(tensors[name], np.nan)

    with pytest.raises(CandidateRejected, match="NaN"):
        masker.swap(publish(weights, poison))
    assert np.array_equal(masker.alpha(frame), before)
    assert (masker.stats.swaps, masker.stats.rejected) == (0, 1)


def test_a_student_that_answers_other_numbers_than_the_trained_one_never_goes_live(masker, weights):
    image = np.zeros((1, 3, 256, 256), np.float32)
    probe = Probe(image, np.full((1, 1, 256, 256), 3.0, np.float32))
    with pytest.raises(CandidateRejected, match=r"differs from the trained one by .* at most 0.01"):
        masker.swap(publish(weights, probe=probe))


def test_a_student_with_a_probe_of_another_shape_never_goes_live(masker, weights):
    probe = Probe(np.zeros((1, 3, 320, 320), np.float32), np.zeros((1, 1, 320, 320), np.float32))
    with pytest.raises(CandidateRejected, match="its probe is"):
        masker.swap(publish(weights, probe=probe))


def test_bytes_that_are_no_model_never_go_live(masker):
    with pytest.raises(ModelError, match="cannot load this student"):
        masker.swap(Published(1, b"not a model", STUDENTS["lite"].mean, STUDENTS["lite"].std))


def test_a_student_of_another_size_can_take_over(masker, frame, weights):
    masker.swap(Publisher(weights, (320, 320)).publish(dict(weights.tensors)))
    assert masker.alpha(frame).shape == frame.shape[:2]
    assert masker.live.backend.image.shape == (1, 3, 320, 320)


def test_at_most_two_students_are_alive(masker, frame, weights, monkeypatch):
    alive = weakref.WeakSet()
    most = 0

    class Counted(LoadedStudent):
        def __init__(self, *args):
            nonlocal most
            super().__init__(*args)
            alive.add(self)
            gc.collect()
            most = max(most, len(alive) + 1)  # and the first one, which is not counted

    monkeypatch.setattr("engine.masker.LoadedStudent", Counted)
    publisher = Publisher(weights)
    for i in range(6):
        masker.swap(publisher.publish(dict(weights.tensors)))
        if i % 2:  # some are never adopted
            masker(frame)
            alive.discard(masker._retired)
    assert most <= 3  # counted at the moment when the new one is built and the old ones are being freed
    assert len(alive) <= 2


def test_swaps_from_another_thread_do_not_disturb_frames(masker, frame, weights):
    publisher = Publisher(weights, masker.size)
    expected = masker.alpha(frame)
    swapper = threading.Thread(
        target=lambda: [masker.swap(publisher.publish(dict(weights.tensors))) for _ in range(20)]
    )
    swapper.start()
    seen = [masker.alpha(frame)]
    while swapper.is_alive():
        seen.append(masker.alpha(frame))
    assert all(np.abs(alpha - expected).max() < 1e-4 for alpha in seen)
    assert masker.stats.faults == 0


# -- the end ---------------------------------------------------------------------------------------------------------


def test_closing_twice_is_fine_and_a_closed_masker_refuses_frames(frame):
    masker = Masker(threads=1)
    masker.close()
    masker.close()
    with pytest.raises(UsageError, match="this masker is closed"):
        masker(frame)


def test_closing_while_frames_are_in_flight(frame):
    masker = Masker(threads=1)
    errors = []

    def paint():
        try:
            while True:
                masker(frame)
        except UsageError as error:
            errors.append(str(error))

    painter = threading.Thread(target=paint)
    painter.start()
    while not masker.stats.frames:
        pass
    masker.close()
    painter.join(5)
    assert errors == ["this masker is closed; make a new one"]
    assert masker.stats.faults == 0


def test_alpha_is_the_stretched_sigmoid_and_its_mean_the_area():
    logits = np.array([[-40.0, 0.0], [1.0, 40.0]], np.float32)
    out = np.empty_like(logits)
    area = to_alpha(logits, out)
    assert np.allclose(out, np.clip((1 / (1 + np.exp(-logits)) - 0.1) / 0.8, 0, 1), atol=1e-6)
    assert area == pytest.approx(out.mean())
