"""The teacher's side: labels, steps, publishing, and everything a teacher can do wrong."""

import threading
import time

import cv2
import numpy as np
import pytest
import torch

import kernels
from engine import Masker
from engine.backends import load
from engine.errors import TeacherError, UsageError
from engine.painting.contrast import sigmoid, stretched_sigmoid
from engine.painting.loaded_student import LoadedStudent
from engine.sources.synthetic import SyntheticPerson
from export.publish import Publisher, load_student, publish_initial
from export.students import STUDENTS, input_size
from tests.fakes import CollectingMasker, FigureTeacher, HangingTeacher, NonsenseTeacher, RaisingTeacher
from training.online.distiller import MEMORY, Distiller
from training.online.learner import OnlineLearner
from training.online.recipe import recipe as named
from training.online.schedule import Operation
from training.online.score import iou, iou_acc
from training.students import Student, tensors_of
from training.teachers import checked
from training.teachers import load as load_teacher
from training.teachers.deadline import DeadlineTeacher

KERNELS = kernels.load()
NOBODY = np.full(STUDENTS["lite"].size, -30, np.float32)  # logits


def make_distiller(teacher, publish, name="lite", recipe="default", **options):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    weights = load_student(name, input_size(name, None))
    student = Student(name)
    student.load_weights(weights.tensors)
    guard = teacher if isinstance(teacher, DeadlineTeacher) else DeadlineTeacher(lambda: teacher)
    publisher = Publisher(weights, input_size(name, None))
    return Distiller(student, publisher, guard, named(recipe, name), publish, KERNELS, **options), student, weights


def teach(figure, frames, name="lite", recipe="default"):
    """Lockstep by hand: paint with the exported student, then one operation. Returns scores, distiller, students."""
    live = []
    distiller, student, weights = make_distiller(
        FigureTeacher(figure, frames), lambda p: live.append(LoadedStudent(p, load("ort-cpu"), 1)), name, recipe
    )
    live.append(LoadedStudent(publish_initial(weights, input_size(name, None)), load("ort-cpu"), 1))
    scores = []
    for i in range(frames):
        bgr, painter = figure.picture(i), live[-1]
        KERNELS.preprocess(bgr, painter.mean, painter.std, painter.backend.image)
        logits = painter.logits()
        truth = cv2.resize(figure.mask(i), logits.shape[::-1], interpolation=cv2.INTER_AREA)
        scores.append(iou_acc(truth > 127, logits > 0))
        distiller.operate(bgr, logits)
    return scores, distiller, student, live[-1]


@pytest.fixture(scope="module", params=[("lite", "default"), ("jitnet", "default"), ("jitnet", "paper")], ids="-".join)
def taught(request):
    """A student after 64 frames of a moving figure, by each recipe."""
    return teach(SyntheticPerson(width=480, height=480, seed=5), 64, *request.param)


def test_learning_makes_the_painted_mask_better(taught):
    scores, *_ = taught
    assert np.mean(scores[-16:]) > scores[0]


def test_the_student_that_is_trained_is_the_student_that_is_exported(taught):
    """After N online steps on moving video: the same numbers from torch and from ONNX Runtime."""
    _, distiller, student, live = taught
    assert distiller.steps >= 15
    bgr = SyntheticPerson(width=480, height=480, seed=5).picture(70)
    KERNELS.preprocess(bgr, live.mean, live.std, live.backend.image)
    exported = np.empty(live.mask_size, np.float32)
    stretched_sigmoid(live.logits(), exported)
    with torch.inference_mode():
        logits = student.eval()(torch.from_numpy(live.backend.image))[0, 0].numpy()
    trained = np.empty_like(exported)
    stretched_sigmoid(logits, trained)
    assert np.abs(trained - exported).max() < 1e-3
    assert iou(trained, exported) > 0.999


def test_every_published_student_counts_up_and_has_a_probe_that_holds():
    masker = CollectingMasker()
    figure = SyntheticPerson(seed=5)
    distiller, *_ = make_distiller(FigureTeacher(figure, 20), masker.swap)
    for i in range(20):
        distiller.operate(figure.picture(i), NOBODY)
    versions = [p.version for p in masker.published]
    assert versions == sorted(set(versions))
    assert min(versions) >= 1
    for published in masker.published:
        LoadedStudent(published, load("ort-cpu"), 1)  # raises where the probe does not hold


def test_the_same_seed_teaches_the_same_student():
    figure = SyntheticPerson(width=480, height=480, seed=6)
    assert teach(figure, 24)[0] == teach(figure, 24)[0]


def test_the_curve_scores_what_was_painted():
    figure = SyntheticPerson(seed=5)
    distiller, *_ = make_distiller(FigureTeacher(figure, 1), CollectingMasker().swap)
    distiller.operate(figure.picture(0), NOBODY)
    assert list(distiller.curve) == [(0, 0.0)]


def test_a_refused_student_is_taught_back_from_the_last_good_one():
    masker = CollectingMasker(refuse={3})
    figure = SyntheticPerson(seed=5)
    distiller, student, _ = make_distiller(FigureTeacher(figure, 12), masker.swap)
    for i in range(12):
        distiller.operate(figure.picture(i), NOBODY)
    assert distiller.rejected == 1
    assert len(masker.published) >= 3
    assert all(torch.isfinite(p).all() for p in student.parameters())


def test_weights_that_became_nan_recover_by_themselves():
    figure = SyntheticPerson(width=480, height=480, seed=5)
    with Masker(threads=1) as masker:
        distiller, student, _ = make_distiller(FigureTeacher(figure, 40), masker.swap)
        for i in range(40):
            if i == 20:
                poisoned = masker.stats.version
                with torch.no_grad():
                    student.stem.weight.fill_(float("nan"))
            masker(figure.picture(i))
            distiller.operate(figure.picture(i), masker.live.logits())
        assert distiller.rejected >= 1
        assert masker.stats.version > poisoned
        assert masker.alpha(figure.picture(39)).any()


def test_a_student_that_collapses_is_never_painted_and_recovers():
    """Its weights are finite and it sees nobody, as after a step too large."""
    figure = SyntheticPerson(width=480, height=480, seed=5)
    with Masker(threads=1) as masker:
        distiller, student, _ = make_distiller(FigureTeacher(figure, 48), masker.swap)
        areas = []
        for i in range(48):
            if i == 20:
                with torch.no_grad():
                    student.logits.weight.zero_()
                    student.logits.bias.fill_(-5)
            masker(figure.picture(i))
            areas.append(sigmoid(masker.live.logits(), np.empty(masker.live.mask_size, np.float32)).mean())
            distiller.operate(figure.picture(i), masker.live.logits())
        assert distiller.rejected >= 1
        assert min(areas) > 0.8 * areas[19]
        assert distiller.curve[-1][1] > 0.95
        assert areas[-1] != areas[30]  # it went on learning


def test_a_student_that_collapsed_and_was_painted_is_replaced_at_the_next_label():
    figure = SyntheticPerson(width=480, height=480, seed=5)
    with Masker(threads=1) as masker:
        distiller, student, weights = make_distiller(FigureTeacher(figure, 9), masker.swap)
        with torch.no_grad():
            student.logits.weight.zero_()
            student.logits.bias.fill_(-5)
        masker.swap(Publisher(weights, masker.size).publish(tensors_of(student)))
        assert not masker.alpha(figure.picture(0)).any()
        distiller.operate(figure.picture(0), masker.live.logits())
        assert distiller.rollbacks == 1
        assert masker.alpha(figure.picture(0)).mean() > 0.2


def test_what_the_student_knows_is_neither_stepped_on_nor_remembered():
    """An empty room for minutes must not crowd out the person."""
    figure = SyntheticPerson(width=480, height=480, seed=5)
    distiller, *_ = make_distiller(lambda bgr: np.zeros(bgr.shape[:2], np.float32), CollectingMasker().swap)
    for i in range(24):
        distiller.operate(figure.picture(i), NOBODY)
    assert distiller.calls == 3
    assert distiller.steps == 0
    assert not distiller.replay.older


# -- teachers that fail ----------------------------------------------------------------------------------------------


def test_a_teacher_that_raises_becomes_a_teacher_error():
    with pytest.raises(TeacherError, match="the teacher failed: RuntimeError: no labels today"):
        DeadlineTeacher(lambda: RaisingTeacher())(np.zeros((4, 4, 3), np.uint8))


def test_a_teacher_that_hangs_is_not_waited_for_beyond_its_deadline():
    teacher = HangingTeacher()
    guarded = DeadlineTeacher(lambda: teacher, deadline=0.05)
    with pytest.raises(TeacherError, match="did not answer within 0.05 s"):
        guarded(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(TeacherError, match="has not come back"):
        guarded(np.zeros((4, 4, 3), np.uint8))
    teacher.release.set()


def test_a_teacher_that_comes_back_is_asked_again():
    teacher = HangingTeacher()
    guarded = DeadlineTeacher(lambda: teacher, deadline=0.05)
    with pytest.raises(TeacherError):
        guarded(np.zeros((4, 4, 3), np.uint8))
    teacher.release.set()
    while guarded._labels.empty():
        pass
    assert guarded(np.zeros((4, 4, 3), np.uint8)).all()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.full((4, 4), np.nan, np.float32),
        np.full((4, 4), 2.0, np.float32),
        np.zeros((0, 4), np.float32),
    ],
)
def test_nonsense_is_no_label(answer):
    with pytest.raises(TeacherError, match="the teacher answered"):
        checked(NonsenseTeacher(answer)(None))


@pytest.mark.parametrize("teacher", [RaisingTeacher(), NonsenseTeacher(None)])
def test_a_failing_teacher_costs_learning_only_and_is_told_once(teacher, caplog):
    distiller, *_ = make_distiller(DeadlineTeacher(lambda: teacher), CollectingMasker().swap)
    for i in range(20):
        distiller.operate(SyntheticPerson(seed=5).picture(i), NOBODY)
    assert distiller.failures == distiller.calls == 3
    assert distiller.steps == 0
    assert len(caplog.records) == 1


class SlowTeacher(FigureTeacher):
    """Answers when it is told to."""

    def __init__(self, figure, frames):
        super().__init__(figure, frames)
        self.told = threading.Semaphore(0)

    def __call__(self, bgr):
        self.told.acquire(timeout=30)
        return super().__call__(bgr)


@pytest.fixture
def apart():
    """A distiller whose teacher is on another machine: (operate on the figure's frame i, answer, distiller)."""
    figure = SyntheticPerson(width=480, height=480, seed=5, cut=30)
    teacher = SlowTeacher(figure, 60)
    guard = DeadlineTeacher(lambda: teacher)
    distiller, *_ = make_distiller(guard, CollectingMasker().swap, overlap=True)

    def answer():
        teacher.told.release()
        while guard._labels.empty():
            time.sleep(0.001)

    yield lambda i: distiller.operate(figure.picture(i), NOBODY, scene=int(i >= 30)), answer, distiller
    teacher.told.release(100)
    guard.close()


def test_while_a_label_is_on_its_way_learning_goes_on_and_no_other_is_asked_for(apart):
    operate, answer, distiller = apart
    assert operate(0) is Operation.TEACH
    answer()
    operations = [operate(i) for i in range(1, 20)]
    assert operations[:7] == [Operation.STEP] * 7
    assert operations[7] is Operation.TEACH
    assert set(operations[8:]) == {Operation.REST}
    assert distiller.calls == 2


def test_a_label_that_comes_late_is_scored_and_learnt_on_its_own_frame(apart):
    operate, answer, distiller = apart
    for i in range(12):
        operate(i)
    assert distiller.steps == 0
    answer()
    assert operate(12) is Operation.STEP  # first, although a label is due since frame 8
    assert list(distiller.curve) == [(0, 0.0)]
    figure = SyntheticPerson(width=480, height=480, seed=5, cut=30)
    truth = cv2.resize(figure.mask(0).astype(np.float32) / 255, NOBODY.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.array_equal(distiller.replay.newest.label_array, truth)
    assert [operate(i) for i in range(13, 20)] == [Operation.STEP] * 6 + [Operation.TEACH]


def test_a_label_of_a_scene_that_is_over_is_not_learnt(apart):
    operate, answer, distiller = apart
    for i in range(28, 31):
        operate(i)
    answer()
    assert operate(31) is Operation.TEACH  # the cut's label is due since
    assert not distiller.curve
    answer()
    operate(32)
    assert [frame for frame, _ in distiller.curve] == [3]


def test_where_every_frame_is_another_scene_every_second_label_is_learnt(apart):
    _, answer, distiller = apart
    figure = SyntheticPerson(width=480, height=480, seed=5, cut=30)
    for i in range(8):
        distiller.operate(figure.picture(i), NOBODY, scene=i)
        answer()
    assert [frame for frame, _ in distiller.curve] == [1, 3, 5]


class LampTeacher(FigureTeacher):
    """Knows the truth about a figure under a lamp that flickers: which of its frames are 25 % brighter."""

    def __init__(self, figure, frames):
        self.pictures = [
            np.clip(figure.picture(i) * (1.25 if i % 2 else 1), 0, 255).astype(np.uint8) for i in range(frames)
        ]
        self._masks = {picture.tobytes(): figure.mask(i) for i, picture in enumerate(self.pictures)}


def test_under_a_lamp_that_flickers_labels_are_rare_and_steps_are_taken(room):
    teacher = LampTeacher(SyntheticPerson(width=480, height=480, seed=5), 40)
    with Masker(teacher="lamp", background=room, threads=1, lockstep=True, start_learner=taught_by(teacher)) as masker:
        for picture in teacher.pictures:
            masker(picture)
        learning = masker.stats.learning
    assert learning.calls == 5
    assert learning.steps >= 25
    assert learning.curve[-1][1] > learning.curve[0][1]


def test_while_the_teacher_is_away_nothing_is_stepped_on_beyond_what_the_last_label_granted():
    figure = SyntheticPerson(width=480, height=480, seed=5)
    truth = FigureTeacher(figure, 1)
    distiller, *_ = make_distiller(truth, CollectingMasker().swap)  # it knows the first frame only
    for i in range(40):
        distiller.operate(figure.picture(i), NOBODY)
    assert (distiller.calls, distiller.failures) == (5, 4)
    assert distiller.steps == 7


def taught_by(teacher, change=lambda distiller: None):
    """Starts a learner whose teacher is `teacher`, and whose distiller was changed by `change`."""

    def start(weights, size, publish, options):
        guard = DeadlineTeacher(lambda: teacher)
        distiller, *_ = make_distiller(guard, publish)
        change(distiller)
        return OnlineLearner(distiller, options.teacher.name, guard, lockstep=options.lockstep)

    return start


def test_while_the_teacher_hangs_every_frame_is_painted(room):
    """The paint path never waits for the learner's thread."""
    teacher, figure = HangingTeacher(), SyntheticPerson(seed=5)
    with Masker(teacher="hanging", background=room, threads=1, start_learner=taught_by(teacher)) as masker:
        for i in range(30):
            masker(figure.picture(i))
        assert masker.stats.frames == 30
        assert masker.stats.learning.calls <= 1
        teacher.release.set()


def test_a_learner_that_dies_is_reported_and_the_picture_goes_on(room, caplog):
    def broken(distiller):
        distiller.operate = lambda *_: 1 / 0

    figure, start = SyntheticPerson(seed=5), taught_by(RaisingTeacher(), broken)
    with Masker(teacher="none at all", background=room, threads=1, lockstep=True, start_learner=start) as masker:
        for i in range(3):
            masker(figure.picture(i))
        assert masker.stats.learning.died == "ZeroDivisionError: division by zero"
        assert masker.stats.faults == 0
    assert len(caplog.records) == 1


def test_an_unknown_teacher_lists_those_that_exist():
    with pytest.raises(UsageError, match="unknown teacher 'gpt'; choose one of none, rvm"):
        load_teacher("gpt", 1)


def test_an_unknown_recipe_lists_those_that_exist():
    with pytest.raises(UsageError, match="unknown recipe 'soup'; choose one of default, paper"):
        named("soup", "lite")


# -- the real teacher ------------------------------------------------------------------------------------------------


def test_a_teacher_labels_a_real_person(rvm, shared):
    path = sorted((shared / "people/valid/images").iterdir())[0]
    bgr, mask = cv2.imread(str(path)), cv2.imread(str(shared / "people/valid/masks" / f"{path.stem}.png"), 0)
    label = checked(load_teacher("rvm", 1)(bgr))
    assert iou(mask > 127, cv2.resize(label, mask.shape[::-1])) > 0.85


def test_a_teacher_forgets_between_two_calls(rvm, shared):
    a, b = (cv2.imread(str(p)) for p in sorted((shared / "people/valid/images").iterdir())[:2])
    teacher = load_teacher("rvm", 1)
    alone = teacher(b)
    teacher(a)
    assert np.array_equal(teacher(b), alone)


def test_learning_from_a_real_teacher_on_a_real_clip(rvm, shared):
    """The main job: painted by a student that is being taught while it runs, and it gets better."""
    from engine.sources import open_source

    with Masker(teacher="rvm", background="#204060", threads=2, lockstep=True) as masker:
        for frame in open_source(str(shared / "clips/easy2_capture5.mp4")):
            masker(frame.bgr)
            if frame.index == 40:
                break
        learning = masker.stats.learning
    scores = [score for _, score in learning.curve]
    assert learning.failures == learning.rejected == 0
    assert scores[-1] > 0.94
    assert scores[-1] > scores[0]


class ForgetfulTeacher(FigureTeacher):
    """Notes before which frame it was told to forget what it knows."""

    def __init__(self, figure, frames):
        super().__init__(figure, frames)
        self.asked, self.fresh, self._forgot = 0, [], False

    def forget(self):
        self._forgot = True

    def __call__(self, bgr):
        if self._forgot:
            self.fresh.append(self.asked)
        self.asked, self._forgot = self.asked + 1, False
        return super().__call__(bgr)


def test_a_teacher_keeps_its_memory_through_a_scene_and_for_a_while():
    figure = SyntheticPerson(width=480, height=480, seed=5)
    teacher = ForgetfulTeacher(figure, 60)
    distiller, *_ = make_distiller(DeadlineTeacher(lambda: teacher), CollectingMasker().swap)
    logits = np.where(cv2.resize(figure.mask(0), NOBODY.shape[::-1]) > 127, 30, -30).astype(np.float32)
    for i in range(20):
        distiller.operate(figure.picture(i), logits)
    before = teacher.asked
    assert (before > 1, teacher.fresh) == (True, [0])
    while teacher.asked == before:
        distiller.operate(figure.picture(20), logits, scene=1)
    assert teacher.fresh == [0, before]
    while teacher.asked <= before + 1:
        distiller.operate(figure.picture(21), logits, scene=1, elapsed=MEMORY + 1)
    assert teacher.fresh == [0, before, before + 1]


def test_what_a_lie_was_made_of_is_forgotten():
    figure = SyntheticPerson(width=480, height=480, seed=5)
    teacher = ForgetfulTeacher(figure, 60)
    teacher._masks = {key: np.full_like(mask, 255) for key, mask in teacher._masks.items()}  # all is person
    distiller, *_ = make_distiller(DeadlineTeacher(lambda: teacher), CollectingMasker().swap)
    for i in range(6):
        distiller.operate(figure.picture(i), NOBODY)
    assert distiller.refused == teacher.asked > 1
    assert teacher.fresh == list(range(teacher.asked))


def test_a_recipe_that_believes_every_label_has_no_memory():
    figure = SyntheticPerson(width=240, height=240, seed=5)
    teacher = ForgetfulTeacher(figure, 60)
    distiller, *_ = make_distiller(DeadlineTeacher(lambda: teacher), CollectingMasker().swap, "jitnet", "paper")
    for i in range(20):
        distiller.operate(figure.picture(i), np.full((120, 120), -30, np.float32))
    assert teacher.fresh == list(range(teacher.asked))
