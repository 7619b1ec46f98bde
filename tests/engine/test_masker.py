"""The face for other apps: pictures, fail-closed, swaps, and who may call when."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from engine import Canvas, EdgeOptions, Masker, PaintState
from engine.backends import BACKENDS
from engine.backends.ort_cpu import OrtCpu
from engine.errors import CandidateRejected, ModelError, UsageError
from engine.painting.contrast import stretched_sigmoid
from engine.painting.loaded_student import LoadedStudent
from engine.sources.synthetic import SyntheticPerson
from export.contracts import Probe, Published
from export.publish import Publisher, load_student
from export.students import STUDENTS
from tests.fakes import RecordingLearner, faulty_backend


@pytest.fixture(scope="module")
def weights():
    return load_student("lite", (256, 256))


@pytest.fixture
def masker(room):
    with Masker(background=room, threads=1) as masker:
        yield masker


@pytest.fixture
def frame():
    return SyntheticPerson(seed=87).picture(0)


@pytest.fixture
def faulty(room, monkeypatch):
    """Makes a masker on a backend that misbehaves; see `faulty_backend`."""
    maskers = []

    def make(*answers, **options):
        monkeypatch.setitem(BACKENDS, "faulty", lambda: faulty_backend(*answers))
        maskers.append(Masker("faulty", **{"background": room, "threads": 1, **options}))
        return maskers[-1]

    yield make
    for masker in maskers:
        masker.close()


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
    truth, alpha = SyntheticPerson(seed=87).mask(0) > 127, masker.alpha(frame)
    picture = masker(frame)
    assert alpha[truth].mean() > alpha[~truth].mean() + 0.3
    surely_room = alpha == 0
    assert surely_room.any()
    assert (picture[surely_room] == magenta).all()


def test_the_picture_is_a_new_array_unless_one_is_given(masker, frame):
    first = masker(frame)
    assert masker(frame) is not first
    assert masker(frame, out=first) is first


# -- one result per frame --------------------------------------------------------------------------------------------


def test_a_result_says_what_was_painted_with_what_and_by_whom(masker, frame):
    first, second = masker.process(frame), masker.process(frame)
    assert (first.index, second.index) == (0, 1)
    assert (second.state, second.version) == (PaintState.UNSURE, 0)  # a scene begins
    blended = second.foreground * (second.alpha[..., None] / 255) + np.array((255, 0, 255)) * (
        1 - second.alpha[..., None] / 255
    )
    assert np.abs(second.picture - blended).max() <= 2
    assert first.picture is not second.picture


def test_alpha_and_picture_are_the_same_frame_run_once_counted_and_taught(room, frame):
    learner = RecordingLearner()
    with Masker(teacher="recording", background=room, threads=1, start_learner=lambda *_: learner) as masker:
        alpha = masker.alpha(frame)
        masker(frame)
        assert masker.stats.frames == 2
    assert len(learner.offered) == 2
    assert alpha.dtype == np.float32
    assert 0 < alpha.mean() < 1


def test_a_canvas_is_painted_into_and_fits_itself(masker, frame):
    canvas = Canvas()
    result = masker.process(frame, canvas=canvas)
    assert result.picture is canvas.picture
    assert masker.process(frame[:100], canvas=canvas).alpha.shape == frame[:100].shape[:2]


def test_after_a_reset_the_stream_begins_anew(masker, frame):
    expected = masker.process(frame, 0.0).alpha
    masker.process(np.roll(frame, 40, 1), 0.04)
    masker.reset()
    result = masker.process(frame, 0.0)
    assert result.index == 0
    assert np.array_equal(result.alpha, expected)


# -- the wall: what the user sees never reaches the learner ------------------------------------------------------------

CHOICES = {
    "threshold": {"edges": EdgeOptions(threshold=0.9)},
    "feather and light wrap": {"edges": EdgeOptions(feather=8, light_wrap=1)},
    "empty rule": {"min_area": 0.99},
    "background": {"background": "blur"},
}


def offered_to_the_learner(frames, out=None, **options):
    learner = RecordingLearner()
    options = {"background": "#ff00ff", **options}
    with Masker(teacher="recording", threads=1, start_learner=lambda *_: learner, **options) as masker:
        for frame in frames:
            masker(frame, **({"out": frame} if out == "in place" else {}))
    return learner.offered


@pytest.mark.parametrize("choice", CHOICES)
def test_what_the_user_chose_to_see_changes_nothing_that_is_learnt(choice):
    frames = [SyntheticPerson(seed=87).picture(i) for i in range(3)]
    plain, chosen = offered_to_the_learner(frames), offered_to_the_learner(frames, **CHOICES[choice])
    for (bgr, logits, scene), (other_bgr, other_logits, other_scene) in zip(plain, chosen, strict=True):
        assert np.array_equal(bgr, other_bgr)
        assert np.array_equal(logits, other_logits)
        assert scene == other_scene


def test_a_frame_that_is_painted_in_its_own_place_is_learnt_as_it_came():
    frames = [SyntheticPerson(seed=87).picture(i) for i in range(3)]
    offered = offered_to_the_learner([frame.copy() for frame in frames], out="in place")
    assert all(np.array_equal(bgr, frame) for (bgr, _, _), frame in zip(offered, frames, strict=True))


def test_in_place_and_apart_give_the_same_picture(masker, frame):
    apart = masker(frame)
    masker.reset()
    copy = frame.copy()
    assert masker(copy, out=copy) is copy
    assert np.array_equal(copy, apart)


def test_the_learner_hears_what_the_student_said_and_not_what_was_smoothed(room, frame):
    (_, logits, _), *_ = offered_to_the_learner([frame])
    with Masker(background=room, threads=1) as masker:
        masker(frame)
        assert np.array_equal(logits, masker.live.logits())
    assert logits.min() < 0 < logits.max()


# -- fail closed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [np.nan, np.inf, 1e9, RuntimeError("the runtime broke"), MemoryError()])
def test_a_fault_of_the_student_paints_the_background_alone(faulty, frame, magenta, answer):
    masker = faulty(answer)
    result = masker.process(frame)
    assert (result.picture == magenta).all()
    assert not result.alpha.any()
    assert result.state is PaintState.COVERED
    assert masker.stats.faults == 1


def test_a_fault_of_the_background_paints_black(masker, frame):
    masker.background.picture = lambda *_: 1 / 0
    assert not masker(frame).any()


def test_faults_are_told_once(faulty, frame, caplog):
    masker = faulty(np.nan, np.nan, None)
    for _ in range(5):
        masker(frame)
    assert masker.stats.faults == 4
    assert len(caplog.records) == 1


def test_nobody_there_paints_the_background_alone(faulty, frame, magenta):
    masker = faulty(-20.0)
    result = masker.process(frame)
    assert (result.picture == magenta).all()
    assert result.state is PaintState.NOBODY
    assert masker.stats.faults == 0


@pytest.mark.parametrize("answer", [-20.0, np.nan, RuntimeError("the runtime broke")])
def test_where_nobody_was_painted_no_colour_hides_in_the_foreground(faulty, frame, answer):
    masker = faulty(None, answer, background="none")
    masker.process(frame)
    result = masker.process(frame)
    assert result.foreground.shape == frame.shape
    assert not result.foreground.any()


def test_after_a_fault_the_next_frame_is_painted_again(faulty, frame, magenta):
    masker = faulty(np.nan, None)
    assert (masker(frame) == magenta).all()
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
    most = 0
    alive = weakref.WeakSet([masker.live])

    class Counted(LoadedStudent):
        def __init__(self, *args):
            nonlocal most
            gc.collect()
            alive.add(self)
            most = max(most, len(alive))
            super().__init__(*args)

    monkeypatch.setattr("engine.painting.hot_swap.LoadedStudent", Counted)
    publisher = Publisher(weights)
    for i in range(6):
        masker.swap(publisher.publish(dict(weights.tensors)))
        if i % 2:  # some are never adopted
            masker(frame)
    assert most == 2
    assert masker.stats.swaps == 3


def test_of_two_threads_that_swap_without_pause_the_newest_is_adopted(masker, frame, weights):
    """Each would take back the other's student before a frame sees it."""
    publisher, swapped = Publisher(weights, masker.size), []
    students = [publisher.publish(dict(weights.tensors)) for _ in range(20)]

    def swap_all(half):
        for student in half:
            masker.swap(student)
            swapped.append(student.version)

    swappers = [threading.Thread(target=swap_all, args=(students[i::2],)) for i in range(2)]
    for swapper in swappers:
        swapper.start()
    while any(swapper.is_alive() for swapper in swappers):
        masker(frame)
    masker(frame)
    assert masker.stats.version == swapped[-1]
    assert masker.stats.swaps >= len(students) / 2  # on a busy machine a frame takes longer than a swap waits


# -- a student that fails while it paints ------------------------------------------------------------------------------


def broken_from(version, error):
    """A backend class whose students fail from the second on, counted as they are loaded, once they paint."""

    class Broken(OrtCpu):
        loaded = 0

        def __init__(self, model, threads=1):
            super().__init__(model, threads)
            self.number, Broken.loaded, self.runs = Broken.loaded, Broken.loaded + 1, 0

        def run(self):
            self.runs += 1
            if self.number in version and self.runs > 1:
                raise error
            return super().run()

    return Broken


def test_a_student_that_fails_for_good_gives_way_to_the_one_before(room, magenta, frame, weights, monkeypatch, caplog):
    monkeypatch.setitem(BACKENDS, "broken", lambda: broken_from({1}, RuntimeError("the session broke")))
    with Masker("broken", background=room, threads=1) as masker:
        masker(frame)
        masker.swap(publish(weights))
        covered = [masker.process(frame).state is PaintState.COVERED for _ in range(5)]
        assert covered == [True, True, True, False, False]
        stats = masker.stats
        assert (stats.version, stats.rollbacks, stats.faults) == (0, 1, 3)
    assert sum("going back to student 0" in record.message for record in caplog.records) == 1


def test_where_the_one_before_fails_too_the_start_is_loaded_again(room, frame, weights, monkeypatch):
    monkeypatch.setitem(BACKENDS, "broken", lambda: broken_from({0, 1}, RuntimeError("the card is gone")))
    with Masker("broken", background=room, threads=1) as masker:
        masker.swap(publish(weights))
        until = time.monotonic() + 30
        while masker.process(frame).state is PaintState.COVERED:
            assert time.monotonic() < until
        assert masker.stats.rollbacks == 2
        assert masker.stats.version == 0


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
    area = stretched_sigmoid(logits, out)
    assert np.allclose(out, np.clip((1 / (1 + np.exp(-logits)) - 0.1) / 0.8, 0, 1), atol=1e-6)
    assert area == pytest.approx(out.mean())


# -- the program that we run in ----------------------------------------------------------------------------------------


def test_the_pool_that_paints_keeps_its_priority_when_a_learner_of_low_priority_swaps(weights):
    """In a process of its own: /proc says how nice each thread is."""
    code = """
import os, threading, numpy as np
from engine import CpuBudget, Masker
from export.publish import Publisher
from training.online.learner import lower_priority

def niceness():
    return {int(t): os.getpriority(os.PRIO_PROCESS, int(t)) for t in os.listdir("/proc/self/task")}

frame = np.zeros((48, 64, 3), np.uint8)
with Masker("ort-cpu", background="#ff00ff", threads=CpuBudget(2, 0)) as masker:
    masker(frame)
    def swap():
        lower_priority()
        publisher = Publisher(masker.student, masker.size)
        for _ in range(3):
            masker.swap(publisher.publish(dict(masker.student.tensors)))
    learner = threading.Thread(target=swap)
    before = set(niceness())
    learner.start(); learner.join()
    masker(frame)
    # the system may take its time with a thread that ended
    new = {t: n for t, n in niceness().items() if t not in before and t != learner.native_id}
    print(masker.stats.swaps, len(new), sorted(set(new.values())))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split(maxsplit=1)[0] == "1", done.stderr
    assert int(done.stdout.split()[1]) >= 1
    assert done.stdout.strip().endswith("[0]")


def test_a_masker_that_learns_leaves_torchs_chance_and_threads_alone():
    code = """
import threading, torch, numpy as np
torch.set_num_threads(2)
torch.manual_seed(7)
chance = torch.random.get_rng_state()
from engine import Masker
from engine.sources.synthetic import SyntheticPerson
from tests.fakes import FigureTeacher
from training.teachers import TEACHERS

figure = SyntheticPerson(width=320, height=240, seed=87)
TEACHERS["truth"] = lambda: lambda threads: FigureTeacher(figure, 8)
for lockstep in (True, False):
    with Masker(teacher="truth", threads=1, lockstep=lockstep) as masker:
        painted = 0
        while masker.stats.learning.steps < 2:
            masker(figure.picture(painted % 8))
            painted += 1
        later = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert (torch.get_num_threads(), later) == (2, [2]), later
assert torch.equal(chance, torch.random.get_rng_state())
print("same")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "same", done.stderr


def test_the_teachers_pool_is_made_at_the_teachers_priority():
    code = """
import os, threading
from training.online.learner import NICENESS, lower_priority
from training.teachers.deadline import DeadlineTeacher

seen = []
def make():
    seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    return lambda bgr: None
DeadlineTeacher(make, on_thread=lower_priority).close()
print(seen == [NICENESS], os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "0"], done.stderr


def test_beside_a_learner_a_pool_of_two_paints_at_its_own_priority_swap_after_swap():
    code = """
import os, threading, numpy as np
from engine import CpuBudget, Masker
from engine.sources.synthetic import SyntheticPerson
from tests.fakes import FigureTeacher
from training.teachers import TEACHERS

figure = SyntheticPerson(width=320, height=240, seed=87)
frames = [figure.picture(i) for i in range(8)]
TEACHERS["truth"] = lambda: lambda threads: FigureTeacher(figure, 8)
with Masker("ort-cpu", "truth", "#ff00ff", threads=CpuBudget(2, 1)) as masker:
    painted = 0
    while masker.stats.swaps < 3:
        masker(frames[painted % 8])
        painted += 1
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    nice = {int(t): os.getpriority(os.PRIO_PROCESS, int(t)) for t in os.listdir("/proc/self/task")}
    low = sorted(names.get(t, "a pool's") for t, n in nice.items() if n)
    print(masker.stats.faults, masker.stats.frames == painted, low)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "0 True ['learner', 'teacher']", done.stdout + done.stderr
