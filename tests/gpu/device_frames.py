"""The paint path on the device against the reference, frame after frame. Run by tests/gpu/test_gpu_kernels.py in
Numba's simulator, on a device of NumPy arrays whose student is one line."""

import types

import numpy as np
import pytest
from numba import config

import kernels
from engine.errors import GpuFault
from engine.painting.edge_options import EdgeOptions
from engine.painting.gpu_painter import GpuPainter, gpu_painter_for
from engine.painting.loaded_student import to_alpha
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


class ReferencePath:
    """What Masker does, with the reference's kernels."""

    def __init__(self):
        self.last_grey, self.smoothed = np.full(MASK, kernels.NO_BRIGHTNESS, np.float32), np.zeros(MASK, np.float32)

    def mask(self, bgr, threshold=0.0):
        self.bgr = bgr
        self.image = reference.preprocess(bgr, MEAN, STD, np.empty((1, 3, *MASK), np.float32))
        self.alpha = np.empty(MASK, np.float32)
        area = to_alpha(8 * self.image[0, 0] - 1, self.alpha, threshold)
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
    return types.SimpleNamespace(backend=backend, alpha=np.zeros(MASK, np.float32), mean=MEAN, std=STD)


@pytest.fixture
def path(device):
    kernels_on_device = device_module.DeviceKernels()
    return GpuPainter(device, kernels_on_device, lambda array: FakeCUDAArray(device.of(array)))


def frames(count):
    rng = np.random.default_rng(3)
    scene = rng.integers(0, 256, (*FRAME, 3))
    for i in range(count):
        frame = np.clip(scene + rng.integers(-2, 3, scene.shape), 0, 255).astype(np.uint8)
        frame[2:7, 1 + i : 5 + i] = 230
        yield frame


def paint(path, student, frame, background, still=True):
    out, matte = np.empty((*FRAME, 3), np.uint8), np.empty(FRAME, np.uint8)
    area = path.mask(frame, student, 0.0)
    path.picture(background, still, out, matte)
    return area, out, matte


def test_every_frame_is_the_reference_to_two_grey_levels(path, student):
    background, expected = np.full((*FRAME, 3), 90, np.uint8), ReferencePath()
    for frame in frames(3):
        area, out, matte = paint(path, student, frame, background)
        assert area == pytest.approx(expected.mask(frame), abs=2e-3)
        picture, drawn = expected.picture(background)
        assert np.abs(student.alpha - expected.alpha).max() < 1e-3
        assert np.abs(matte.astype(int) - drawn).max() <= 2
        assert np.abs(out.astype(int) - picture).max() <= 2


def test_a_frame_goes_up_once_and_its_picture_comes_down_once(path, student, device):
    background = np.full((*FRAME, 3), 90, np.uint8)
    first, second, third = frames(3)
    for frame in (first, second):
        paint(path, student, frame, background)
    device.copies.clear()
    paint(path, student, third, background)
    whole = third.nbytes
    assert device.copies.count(("up", whole)) == 1
    assert device.copies.count(("down", whole)) == 1
    assert sum(direction == "up" for direction, _ in device.copies) == 1


def test_a_background_that_changes_goes_up_each_time(path, student, device):
    background, expected = np.full((*FRAME, 3), 90, np.uint8), ReferencePath()
    for i, frame in enumerate(frames(2)):
        background[:] = 60 * i
        expected.mask(frame)
        _, out, _ = paint(path, student, frame, background, still=False)
        assert np.abs(out.astype(int) - expected.picture(background)[0]).max() <= 2


def test_each_part_is_captured_once_and_replayed(path, student, device):
    background = np.full((*FRAME, 3), 90, np.uint8)
    for frame in frames(3):
        paint(path, student, frame, background)
    assert device.captures == 3
    assert student.backend.engine.runs == 3


def test_a_swap_of_engines_captures_nothing_anew(path, student, device):
    background = np.full((*FRAME, 3), 90, np.uint8)
    first, second, third = frames(3)
    paint(path, student, first, background)
    paint(path, student, second, background)
    student.backend.engine, captured = LineEngine(device), device.captures
    paint(path, student, third, background)
    assert device.captures == captured


def test_without_captures_the_same_is_painted(student, device, path):
    device.refuse_capture = True
    background, expected = np.full((*FRAME, 3), 90, np.uint8), ReferencePath()
    for frame in frames(2):
        expected.mask(frame)
        _, out, _ = paint(path, student, frame, background)
        assert np.abs(out.astype(int) - expected.picture(background)[0]).max() <= 2


def test_what_was_seen_can_be_forgotten(path, student):
    background, (first, second) = np.full((*FRAME, 3), 90, np.uint8), frames(2)
    paint(path, student, first, background)
    path.forget()
    paint(path, student, second, background)
    fresh = ReferencePath()
    fresh.mask(second)
    assert np.abs(student.alpha - fresh.alpha).max() < 1e-3


def test_the_size_may_change_between_two_frames(path, student):
    for size in (FRAME, (7, 5)):
        frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        path.mask(frame, student, 0.0)
        matte = np.empty(size, np.uint8)
        path.matte(matte)
        assert matte.any()


def test_no_graph_outlives_the_buffers_it_was_captured_with(path, student):
    """A size that comes back, after another at which nobody was painted: the second half was not captured there."""
    background, expected = np.full((*FRAME, 3), 90, np.uint8), ReferencePath()
    first, second, third = frames(3)
    paint(path, student, first, background)
    paint(path, student, second, background)
    path.mask(np.zeros((7, 5, 3), np.uint8), student, 0.0)
    expected.mask(third)
    _, out, _ = paint(path, student, third, background)
    assert np.abs(out.astype(int) - expected.picture(background)[0]).max() <= 2


def test_a_student_that_answers_nan_is_a_fault(path, student):
    student.backend.engine.answer = lambda image: np.nan * image[:, :1]
    assert path.mask(next(frames(1)), student, 0.0) is None


def test_a_card_that_fails_raises_and_is_asked_nothing_more_when_the_masker_forgets(path, student):
    def broken(image):
        raise GpuFault("CUDA error 719")

    student.backend.engine.answer = broken
    with pytest.raises(GpuFault):
        path.mask(next(frames(1)), student, 0.0)
    path.forget(seen=True)


def test_feather_and_light_wrap_are_left_to_the_cpu(student):
    assert gpu_painter_for(student.backend, EdgeOptions(feather=2.0)) is None
    assert gpu_painter_for(student.backend, EdgeOptions(), transparent=True) is None
    assert gpu_painter_for(types.SimpleNamespace(), EdgeOptions()) is None
