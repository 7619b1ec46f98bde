"""The paint path on the device against the reference, frame after frame. Run by tests/gpu/test_gpu_kernels.py in
Numba's simulator, on a device of NumPy arrays whose student is one line."""

import types

import numpy as np
import pytest
from numba import config

import kernels
from engine.contracts import Canvas
from engine.errors import GpuFault, StudentFault
from engine.painting.contrast import STRETCH, stretched_sigmoid
from engine.painting.edge_options import EdgeOptions
from engine.painting.gpu_painter import GpuPainter, gpu_painter_for
from engine.timing import Stages
from kernels import device as device_module
from kernels import reference
from tests.gpu.fakes_gpu import FakeDevice

if not config.ENABLE_CUDASIM:
    pytest.skip("these frames are painted on a fake device, in Numba's simulator only", allow_module_level=True)

from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

FRAME, MASK = (9, 11), (5, 6)
MEAN, STD = (0.4, 0.5, 0.3), (0.3, 0.2, 0.25)


class LineEngine:
    """Says of each pixel what its red says."""

    def __init__(self, device):
        self.device = device
        self.image, self.logits = device.array((1, 3, *MASK), np.float32), device.array((1, 1, *MASK), np.float32)
        self.answer = lambda image: 8 * image[:, :1] - 1
        self.runs = 0

    def enqueue(self, stream):
        self.runs += 1
        self.device.of(self.logits)[:] = self.answer(self.device.of(self.image))


class ReferencePainter:
    """What a painter does, with the reference's kernels."""

    def __init__(self):
        self.last_grey, self.smoothed = np.full(MASK, kernels.NO_BRIGHTNESS, np.float32), np.zeros(MASK, np.float32)

    def mask(self, bgr, threshold=0.0):
        self.bgr = bgr
        self.image = reference.preprocess(bgr, MEAN, STD, np.empty((1, 3, *MASK), np.float32))
        self.alpha = np.empty(MASK, np.float32)
        area = stretched_sigmoid(8 * self.image[0, 0] - 1, self.alpha, threshold)
        reference.smooth_alpha(self.image, MEAN, STD, self.alpha, self.last_grey, self.smoothed)
        return area

    def picture(self, background):
        coefficients = reference.fit_guided_filter(self.last_grey, self.alpha, np.empty((2, *MASK), np.float32))
        matte = reference.apply_guided_filter(self.bgr, coefficients, np.empty(FRAME, np.uint8))
        grid = np.empty((2, *kernels.colour_grid(MASK), 3), np.float32)
        colours = reference.local_colours(self.image, MEAN, STD, self.alpha, grid)
        foreground = reference.estimate_foreground(self.bgr, matte, colours, np.empty_like(self.bgr))
        return reference.composite(foreground, matte, background, np.empty_like(self.bgr)), matte


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(device_module, "BLOCK", (8, 4))


@pytest.fixture
def device():
    return FakeDevice()


@pytest.fixture
def student(device):
    backend = types.SimpleNamespace(engine=LineEngine(device))
    return types.SimpleNamespace(backend=backend, mask_size=MASK, mean=MEAN, std=STD)


class ScriptedGuard:
    """Believes everybody, or objects with `doubtful` and leaves nothing of alpha."""

    stretch, doubtful = STRETCH, None

    def begin(self, bgr, timestamp):
        pass

    def objection(self, bgr, student, logits, alpha, area):
        if self.doubtful is not None:
            alpha.fill(0)
        return self.doubtful


@pytest.fixture
def guard():
    return ScriptedGuard()


@pytest.fixture
def painter(device, guard):
    stages, view = Stages(("student", "composite")), lambda array: FakeCUDAArray(device.of(array))
    return GpuPainter(device, guard, EdgeOptions(), stages, device_module.DeviceKernels(), view)


class Behind:
    """A background, and a gate that lets everybody in unless `empty`; keeps the alpha and the area it was shown."""

    def __init__(self, picture, still=True, empty=False):
        self.still, self._picture, self._empty = still, picture, empty

    def picture(self, bgr, alpha, position):
        self.alpha = alpha.copy()
        return self._picture

    def admits(self, area):
        self.area = area
        return not self._empty


def frames(count):
    rng = np.random.default_rng(3)
    scene = rng.integers(0, 256, (*FRAME, 3))
    for i in range(count):
        frame = np.clip(scene + rng.integers(-2, 3, scene.shape), 0, 255).astype(np.uint8)
        frame[2:7, 1 + i : 5 + i] = 230
        yield frame


def paint(painter, student, frame, behind):
    canvas = Canvas().fit(frame)
    painted = painter.paint(frame, student, behind, behind, 0.0, canvas)
    return painted, canvas.picture, canvas.alpha


@pytest.fixture
def grey():
    return Behind(np.full((*FRAME, 3), 90, np.uint8))


def test_every_frame_is_the_reference_to_two_grey_levels(painter, student, grey):
    expected = ReferencePainter()
    for frame in frames(3):
        painted, out, matte = paint(painter, student, frame, grey)
        assert grey.area == pytest.approx(expected.mask(frame), abs=2e-3)
        picture, drawn = expected.picture(np.full((*FRAME, 3), 90, np.uint8))
        assert np.abs(grey.alpha - expected.alpha).max() < 1e-3
        assert np.abs(painted.logits - (8 * expected.image[0, 0] - 1)).max() < 1e-4
        assert np.abs(matte.astype(int) - drawn).max() <= 2
        assert np.abs(out.astype(int) - picture).max() <= 2


def test_a_frame_goes_up_once_and_its_picture_comes_down_once(painter, student, device, grey):
    first, second, third = frames(3)
    for frame in (first, second):
        paint(painter, student, frame, grey)
    device.copies.clear()
    paint(painter, student, third, grey)
    whole = third.nbytes
    assert device.copies.count(("up", whole)) == 1
    assert device.copies.count(("down", whole)) == 1
    assert sum(direction == "up" for direction, _ in device.copies) == 1


def test_a_background_that_changes_goes_up_each_time(painter, student):
    background, expected = np.full((*FRAME, 3), 90, np.uint8), ReferencePainter()
    for i, frame in enumerate(frames(2)):
        background[:] = 60 * i
        expected.mask(frame)
        _, out, _ = paint(painter, student, frame, Behind(background, still=False))
        assert np.abs(out.astype(int) - expected.picture(background)[0]).max() <= 2


def test_each_part_is_captured_once_and_replayed(painter, student, device, grey):
    for frame in frames(3):
        paint(painter, student, frame, grey)
    assert device.captures == 3
    assert student.backend.engine.runs == 3


def test_a_swap_of_engines_captures_nothing_anew(painter, student, device, grey):
    first, second, third = frames(3)
    paint(painter, student, first, grey)
    paint(painter, student, second, grey)
    student.backend.engine, captured = LineEngine(device), device.captures
    paint(painter, student, third, grey)
    assert device.captures == captured


def test_without_captures_the_same_is_painted(student, device, painter, grey):
    device.refuse_capture = True
    expected = ReferencePainter()
    for frame in frames(2):
        expected.mask(frame)
        _, out, _ = paint(painter, student, frame, grey)
        assert np.abs(out.astype(int) - expected.picture(np.full((*FRAME, 3), 90, np.uint8))[0]).max() <= 2


def test_after_a_reset_nothing_is_remembered(painter, student, grey):
    first, second = frames(2)
    paint(painter, student, first, grey)
    painter.reset()
    paint(painter, student, second, grey)
    fresh = ReferencePainter()
    fresh.mask(second)
    assert np.abs(grey.alpha - fresh.alpha).max() < 1e-3


def test_where_nobody_is_seen_the_background_alone_is_painted(painter, student):
    behind = Behind(np.full((*FRAME, 3), 90, np.uint8), empty=True)
    painted, out, matte = paint(painter, student, next(frames(1)), behind)
    assert not painted.person
    assert (out == 90).all()
    assert not matte.any()
    assert not behind.alpha.any()


def test_the_size_may_change_between_two_frames(painter, student):
    for size in (FRAME, (7, 5)):
        frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        _, _, matte = paint(painter, student, frame, Behind(np.zeros((*size, 3), np.uint8)))
        assert matte.any()


def test_no_graph_outlives_the_buffers_it_was_captured_with(painter, student, grey):
    """A size that comes back, after another at which nobody was painted: the second half was not captured there."""
    expected = ReferencePainter()
    first, second, third = frames(3)
    paint(painter, student, first, grey)
    paint(painter, student, second, grey)
    paint(painter, student, np.zeros((7, 5, 3), np.uint8), Behind(np.zeros((7, 5, 3), np.uint8), empty=True))
    expected.mask(third)
    _, out, _ = paint(painter, student, third, grey)
    assert np.abs(out.astype(int) - expected.picture(np.full((*FRAME, 3), 90, np.uint8))[0]).max() <= 2


def test_a_student_that_answers_nan_is_a_fault(painter, student, grey):
    student.backend.engine.answer = lambda image: np.nan * image[:, :1]
    with pytest.raises(StudentFault, match="NaN"):
        paint(painter, student, next(frames(1)), grey)


def test_a_card_that_fails_is_a_fault_and_is_asked_nothing_more_when_the_stream_is_reset(painter, student, grey):
    def broken(image):
        raise GpuFault("CUDA error 719")

    student.backend.engine.answer = broken
    with pytest.raises(StudentFault, match="CUDA error 719"):
        paint(painter, student, next(frames(1)), grey)
    painter.reset()


def test_what_the_guard_takes_away_is_not_painted(painter, guard, student, grey):
    frame = next(frames(1))
    for doubt in (None, "it is not believed", None):
        guard.doubtful = doubt
        painted, picture, matte = paint(painter, student, frame, grey)
        assert painted.objection == doubt
        assert matte.any() == (doubt is None)
        assert (picture == 90).all() == (doubt is not None)


def test_an_unsure_student_is_drawn_in(painter, guard, student, grey):
    frame = next(frames(1))
    whole = paint(painter, student, frame, grey)[2].astype(int)
    painter.reset()
    guard.stretch = (0.5, 0.6)
    drawn_in = paint(painter, student, frame, grey)[2]
    assert 0 < drawn_in.sum() < whole.sum()


def test_feather_and_light_wrap_are_left_to_the_cpu(student, guard):
    stages = Stages(())
    assert gpu_painter_for(student.backend, guard, EdgeOptions(feather=2.0), stages) is None
    assert gpu_painter_for(student.backend, guard, EdgeOptions(), stages, transparent=True) is None
    assert gpu_painter_for(types.SimpleNamespace(), guard, EdgeOptions(), stages) is None
