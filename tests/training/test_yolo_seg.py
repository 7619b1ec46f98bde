"""YOLO for instance segmentation: reading its files safely, its layers, and who is found where."""

import builtins
import io
import os
import pickle
import sys
import types
import zipfile

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine import assets
from engine.errors import ModelError
from tests.tiny_yolo import tiny_architecture, tiny_yolo
from training.datasets import load_dataset
from training.online.score import iou
from training.teachers import InstanceTeacher, SubjectFilter, checked, load, yolo_layers
from training.teachers.torch_checkpoint import read_module
from training.teachers.yolo_layers import BOX, NORM_EPS, STRIDES, Conv, Segment, Yolo
from training.teachers.yolo_seg import MAX_PEOPLE, SAME_IOU, YoloSeg, draw_masks, letterbox, load_network, suppress

# -- files -----------------------------------------------------------------------------------------------------------


class Calls:
    """Pickled, it has its reader call `function`."""

    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def write_zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return path


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, f"{os.name}.system"),
        (builtins.eval, "eval"),
        (builtins.exec, "exec"),
        (torch.load, "serialization.load"),
    ],
)
def test_a_file_that_would_run_a_program_is_refused_and_runs_nothing(tmp_path, function, name, deep):
    marker = tmp_path / "was run"
    evil = Calls(function, f"touch '{marker}'" if function is os.system else f"open({str(marker)!r}, 'w')")
    path = write_zip(tmp_path / "evil.pt", pickle.dumps({"model": {"names": [evil]} if deep else evil}, protocol=2))
    with pytest.raises(ModelError, match=rf"is refused: it names .*{name}, which is no part of a network.*Delete it"):
        read_module(path)
    with pytest.raises(ModelError, match="is refused"):
        load_network(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["modelsx.common\nConv", "os\nsystem", "torch\nload", "torch._utils\n_import_dotted_name"]
)
def test_names_that_only_look_like_a_networks_are_refused(tmp_path, name):
    path = write_zip(tmp_path / "evil.pt", f"c{name}\n.".encode())
    with pytest.raises(ModelError, match="which is no part of a network"):
        read_module(path)


def test_getattr_as_methods_are_saved_reaches_nothing(tmp_path):
    reach = b"c__builtin__\ngetattr\n(cmodels.common\nConv\nX\x07\x00\x00\x00__doc__tR."
    with pytest.raises(ModelError, match="is not a network saved by torch: TypeError"):  # it answered None
        read_module(write_zip(tmp_path / "reach.pt", reach))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_what_is_no_checkpoint_is_refused_with_a_remedy(tmp_path, content):
    (tmp_path / "cut.pt").write_bytes(content)
    with pytest.raises(ModelError, match="is not a network saved by torch: BadZipFile.*pull it again"):
        read_module(tmp_path / "cut.pt")


def test_numbers_beyond_what_the_file_holds_are_refused(tmp_path, published):
    content = io.BytesIO()
    torch.save({"model": published(nn.Linear(2, 2))}, content)
    with zipfile.ZipFile(content) as whole, zipfile.ZipFile(tmp_path / "cut.pt", "w") as cut:
        for name in whole.namelist():
            cut.writestr(name, whole.read(name)[:4] if "/data/" in name else whole.read(name))
    with pytest.raises(ModelError, match="is not a network saved by torch: ValueError"):
        read_module(tmp_path / "cut.pt")


@pytest.fixture
def published(monkeypatch):
    """A function: a module as the authors' programs pickle theirs, of classes that nobody here can import."""

    class Layer:
        def forward(self):
            raise AssertionError("never called")

    Layer.__module__, Layer.__qualname__, Layer.forward.__qualname__ = "models.common", "Layer", "Layer.forward"
    Layer.forward.__module__ = "models.common"
    package = types.ModuleType("models.common")
    package.Layer = Layer
    monkeypatch.setitem(sys.modules, "models", types.ModuleType("models"))
    monkeypatch.setitem(sys.modules, "models.common", package)

    def publish(module):
        layer = Layer()
        layer.detect = Layer.forward  # pickled as a call of getattr, as theirs is
        layer._parameters, layer._buffers = dict(module._parameters), dict(module._buffers)
        layer._modules = {name: publish(child) for name, child in module._modules.items()}
        return layer

    return publish


class ConvAndNorm(nn.Module):
    """A layer as it is trained."""

    def __init__(self, conv):
        super().__init__()
        self.conv = nn.Conv2d(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=False
        )
        self.bn = nn.BatchNorm2d(conv.out_channels, eps=NORM_EPS)
        for tensor, low in (
            (self.bn.weight, 0.5),
            (self.bn.bias, -1),
            (self.bn.running_mean, -1),
            (self.bn.running_var, 0.1),
        ):
            nn.init.uniform_(tensor, low, 1.5)

    def forward(self, x):
        return F.silu(self.bn(self.conv(x)))


class Implicit(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.implicit = nn.Parameter(torch.rand(1, channels, 1, 1))


def as_trained(network):
    """Replace what was folded by what it was folded from."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Conv):
                setattr(module, name, ConvAndNorm(child.conv))
    head = network.model[-1]
    head.ia = nn.ModuleList(Implicit(conv.in_channels) for conv in head.m)
    head.im = nn.ModuleList(Implicit(3) for _ in head.m)
    for conv, implicit in zip(head.m, head.ia, strict=True):
        conv.register_forward_pre_hook(lambda _, x, added=implicit.implicit: (x[0] + added,))
    return network.eval()


@pytest.mark.parametrize("head", ["Segment", "ISegment"])
def test_a_network_read_from_a_file_computes_what_it_computed_when_it_was_trained(tmp_path, published, head):
    torch.manual_seed(0)
    architecture = tiny_architecture(head)
    trained = as_trained(Yolo(architecture))
    model = published(trained)
    model.yaml = architecture
    torch.save({"model": model, "ema": None}, tmp_path / "weights.pt")
    picture = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        for ours, theirs in zip(load_network(tmp_path / "weights.pt").eval()(picture), trained(picture), strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_an_architecture_with_an_unknown_layer_is_refused_by_name(tmp_path, published):
    model = published(nn.Identity())
    model.yaml = {**tiny_architecture(), "head": [[-1, 1, "Transformer", [64]]]}
    torch.save({"model": model}, tmp_path / "weights.pt")
    with pytest.raises(
        ModelError, match="no YOLO segmentation network that is known here.*unknown layer 'Transformer'"
    ):
        load_network(tmp_path / "weights.pt")


# -- layers ----------------------------------------------------------------------------------------------------------


def test_the_real_architectures_first_lines_have_their_channels_and_depths():
    scale = {"width_multiple": 0.5, "depth_multiple": 0.33}
    assert yolo_layers.make_layer("Conv", [3], 1, [64, 6, 2, 2], scale)[1] == 32
    for number, depth in ((3, 1), (6, 2), (9, 3)):
        layer, outputs = yolo_layers.make_layer("C3", [64], number, [128], scale)
        assert (len(layer.m), outputs) == (depth, 64)


def test_a_head_of_zeros_finds_a_box_of_each_anchors_size_in_the_middle_of_each_cell():
    anchors = [[8, 10, 16, 20], [32, 30, 40, 64], [99, 98, 97, 96]]
    head = Segment([4, 4, 4], classes=2, anchors=anchors, masks=3, middle=8)
    for conv in head.m:
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)
    maps = [torch.rand(1, 4, 64 // stride, 96 // stride) for stride in STRIDES]
    with torch.inference_mode():
        found, protos = head(maps)
    expected = [
        (stride * (column + 0.5), stride * (row + 0.5), *sizes[i : i + 2], 0.5, 0.5, 0.5, 0, 0, 0)
        for stride, sizes in zip(STRIDES, anchors, strict=True)
        for i in (0, 2)
        for row in range(64 // stride)
        for column in range(96 // stride)
    ]
    assert torch.allclose(found[0], torch.tensor(expected), atol=1e-4)
    assert protos.shape == (1, 3, 16, 24)


# -- who is found where ----------------------------------------------------------------------------------------------


def slow_suppress(boxes, scores):
    def overlap(a, b):
        w, h = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
        common = max(w, 0) * max(h, 0)
        return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)

    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[i], boxes[j]) <= SAME_IOU for j in kept):
            kept.append(i)
    return kept[:MAX_PEOPLE]


@pytest.mark.parametrize("count", [0, 1, 2, 60, 400])
def test_of_boxes_that_are_alike_the_surest_stays(count):
    random = np.random.default_rng(count)
    corner, size = random.uniform(0, 90, (count, 2)), random.uniform(5, 40, (count, 2))
    boxes, scores = np.concatenate((corner, corner + size), 1).astype(np.float32), random.random(count, np.float32)
    assert suppress(boxes, scores) == slow_suppress(boxes.tolist(), scores.tolist())


def test_a_mask_ends_where_its_box_ends():
    boxes = torch.tensor([[10.0, 4.0, 30.0, 12.0], [-5.0, 20.0, 8.0, 99.0]])
    masks = draw_masks(boxes, torch.tensor([[9.0], [-9.0]]), torch.ones(1, 8, 16), (32, 64)).numpy()
    expected = np.zeros((32, 64), bool)
    expected[4:12, 10:30] = True
    assert np.array_equal(masks[0] > 0.5, expected)
    assert not masks[0][~expected].any()
    assert masks[1].max() < 1e-3


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (97, 61), (1, 1), (3, 200), (1080, 1920)])
def test_a_picture_is_put_into_grey_without_distortion(shape):
    bgr = np.full((*shape, 3), (250, 0, 20), np.uint8)
    tensor, (rows, columns) = letterbox(bgr, 640)
    inside = tensor[0][:, rows, columns]
    assert tensor.shape[2] % 32 == tensor.shape[3] % 32 == 0
    assert max(inside.shape[1:]) == 640
    assert abs(min(inside.shape[1:]) - max(640 * min(shape) / max(shape), 1)) <= 0.5
    assert np.allclose(inside, np.array((20, 0, 250))[:, None, None] / 255)
    around = np.ones(tensor.shape[2:], bool)
    around[rows, columns] = False
    assert np.allclose(tensor[0][:, around], 114 / 255)


class ScriptedYolo(nn.Module):
    """Finds what it was told, as a head says it: (x, y, w, h, objectness, two classes), and one prototype of ones."""

    classes = 2

    def __init__(self, *found):
        super().__init__()
        rows = torch.tensor(found, dtype=torch.float32).reshape(-1, BOX + self.classes)
        self._found = torch.cat((rows, torch.full((len(rows), 1), 8.0)), 1)[None]

    def forward(self, x):
        return self._found, torch.ones(1, 1, x.shape[2] // 4, x.shape[3] // 4)


LEFT = (20, 30, 24, 40, 0.9, 0.9, 0.1)  # centre, size, objectness, person, dog
AGAIN = (21, 31, 24, 40, 0.8, 0.9, 0.1)
RIGHT = (70, 30, 36, 48, 0.7, 0.8, 0.1)
DOG = (48, 30, 12, 30, 0.9, 0.6, 0.8)
DOUBTFUL = (48, 30, 12, 30, 0.4, 0.6, 0.1)


def test_everybody_is_one_mask_and_the_label_is_all_of_them():
    teacher = YoloSeg(1, ScriptedYolo(DOG, LEFT, AGAIN, RIGHT, DOUBTFUL), side=96)
    frame = np.zeros((64, 96, 3), np.uint8)
    left, right = teacher.people(frame)
    assert isinstance(teacher, InstanceTeacher)
    assert left.dtype == np.float32
    assert (left[10:50, 8:32] > 0.99).all()
    assert (right[6:54, 52:88] > 0.99).all()
    assert np.array_equal(teacher(frame), np.maximum(left, right))
    assert np.count_nonzero(teacher(frame)) == 24 * 40 + 36 * 48
    assert np.array_equal(SubjectFilter(teacher, "largest")(frame), right)


def test_where_nobody_is_the_label_is_zero():
    for network in (ScriptedYolo(), ScriptedYolo(DOG, DOUBTFUL)):
        teacher = YoloSeg(1, network, side=96)
        label = checked(teacher(np.zeros((64, 96, 3), np.uint8)))
        assert label.shape == (64, 96)
        assert not label.any()
        assert teacher.people(np.zeros((64, 96, 3), np.uint8)).shape == (0, 64, 96)


@pytest.mark.parametrize("shape", [(97, 61), (1, 1), (3, 200), (480, 640)])
@pytest.mark.parametrize("sees_people", [False, True])
def test_with_random_weights_labels_are_valid_and_masks_have_the_pictures_shape(shape, sees_people):
    teacher = YoloSeg(1, tiny_yolo(sees_people), side=96)
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    people, label = teacher.people(frame), checked(teacher(frame))
    assert (len(people) > 0) == sees_people
    assert len(people) <= MAX_PEOPLE
    assert people.dtype == np.float32
    assert people.shape[1:] == label.shape
    assert max(label.shape) == 96
    assert np.array_equal(label, people.max(0, initial=0))


# -- the real weights ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["yolo-seg", "yolo-seg-small"])
def real(request):
    """Each teacher with its weights, where these are on this machine already."""
    asset = assets.find(request.param)
    try:
        there = assets.user_file(asset)
    except ModelError:
        there = None
    if there is None and not assets.is_good(assets.cache_folder() / asset.file, asset):
        pytest.skip(f"{asset.file} is neither in JM_MODELS nor in the cache: jm-engine models pull {asset.name}")
    return load(request.param, 1)


def test_the_real_weights_find_people_where_others_drew_them(real, shared):
    samples = load_dataset(shared / "people" / "coco62")
    large = [sample for sample in samples if np.mean(sample.mask > 127) > 0.1][:8]
    scores = [iou(sample.mask / 255, cv2.resize(real(sample.bgr), sample.bgr.shape[1::-1])) for sample in large]
    assert np.mean(scores) > 0.75


def test_the_real_weights_tell_two_people_apart(real, shared):
    portrait = cv2.imread(str(shared / "people" / "valid" / "images" / "1319.jpg"))  # shoulders inside the picture
    people = real.people(np.hstack((portrait, cv2.flip(portrait, 1)))) > 0.5
    middle = people.shape[2] // 2
    left, right = people[:, :, :middle].sum((1, 2)), people[:, :, middle:].sum((1, 2))
    assert len(people) == 2
    assert (np.minimum(left, right) < 0.05 * np.maximum(left, right)).all()
    assert {bool(of_left) for of_left in left > right} == {False, True}


def test_the_real_weights_see_nobody_in_noise(real):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert not real(noise).any()
