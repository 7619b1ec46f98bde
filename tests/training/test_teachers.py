"""Teachers on this machine: one contract for all of them, and what is particular to each."""

import importlib.util
import warnings

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from engine.cli import main
from engine.errors import BackendUnavailable, ModelError, TeacherError, UsageError
from engine.options import read_options
from engine.sources.synthetic import SyntheticPerson
from engine.teacher_options import TeacherOptions
from tests.fakes import HangingTeacher, RaisingTeacher
from tests.tiny_yolo import tiny_yolo
from training.online.score import iou
from training.teachers import TEACHERS, SubjectFilter, checked, load, mrcnn50
from training.teachers.deadline import DeadlineTeacher
from training.teachers.mrcnn50 import MaskRcnn50
from training.teachers.subjects import MAX_MISSED, PATIENCE, SubjectSelector, split_people
from training.teachers.u2net import MEAN, STD, U2Net, U2NetFull, U2NetSmall, find_file, prepare


def tiny_segmenter(folder, activation="Sigmoid", layout="NCHW", channels=1):
    """An ONNX file that answers its own input's first `channels` channels, and a TOML that describes it."""
    shape = [1, 3, 32, 48] if layout == "NCHW" else [1, 32, 48, 3]
    axis = shape.index(3)
    shape_out = [channels if i == axis else side for i, side in enumerate(shape)]
    first = helper.make_node("Slice", ["image", "start", "end", "axis"], ["cut"])
    last = helper.make_node(activation, ["cut"], ["label"])
    bounds = [
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (("start", 0), ("end", channels), ("axis", axis))
    ]
    graph = helper.make_graph(
        [first, last],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("label", TensorProto.FLOAT, shape_out)],
        bounds,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "tiny.onnx")
    toml = folder / "tiny.toml"
    toml.write_text(f'model = "tiny.onnx"\nlayout = "{layout}"\n')
    return toml


def need_torchvision():
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed: pip install --no-deps torchvision -c constraints.txt")


def random_mask_rcnn():
    """Mask R-CNN with random weights, at a size a test can wait for."""
    need_torchvision()
    torch.manual_seed(0)
    network = mrcnn50.new_torchvision_network()
    network.transform.min_size = (64,)
    return network


@pytest.fixture(scope="module", params=[*TEACHERS, "toml"])
def teacher(request, tmp_path_factory):
    """Every registered teacher: with its weights where they are small, else random ones at a size one can wait for."""
    torch.manual_seed(0)
    if request.param == "u2net":
        return U2NetFull(1, U2Net(small=False), side=96)
    if request.param == "u2netp":
        return U2NetSmall(1, U2Net(small=True), side=96)
    if request.param == "mrcnn50":
        return MaskRcnn50(1, mrcnn50.Torchvision(random_mask_rcnn()))
    if request.param.startswith("yolo-seg"):
        return TEACHERS[request.param]()(1, tiny_yolo(), side=96)
    if request.param == "toml":
        return load(str(tiny_segmenter(tmp_path_factory.mktemp("segmenter"))), 1)
    request.getfixturevalue("rvm")
    return load(request.param, 1)


# -- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(97, 61), (1, 1), (3, 200)])
def test_a_label_has_the_contracts_shape_range_and_dtype(teacher, shape):
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    before = frame.copy()
    label = checked(teacher(frame))
    assert label.dtype == np.float32
    assert 0 <= label.min() <= label.max() <= 1
    assert np.array_equal(frame, before)


def test_a_frame_that_shows_nothing_gets_a_label_without_nan(teacher):
    assert np.isfinite(checked(teacher(np.zeros((48, 64, 3), np.uint8)))).all()


def test_what_is_no_frame_becomes_a_teacher_error(teacher):
    guarded = DeadlineTeacher(lambda: teacher, deadline=60)
    for nonsense in (np.zeros((0, 0, 3), np.uint8), np.zeros((4, 4), np.uint8)):
        with pytest.raises(TeacherError, match="the teacher failed"):
            guarded(nonsense)
    assert guarded(np.zeros((4, 4, 3), np.uint8)).size  # and it goes on
    guarded.close()


def test_a_teacher_that_hangs_costs_its_labels_and_comes_back(teacher):
    gate = HangingTeacher()

    def hanging(bgr):
        gate(bgr)
        return teacher(bgr)

    guarded = DeadlineTeacher(lambda: hanging, deadline=0.05)
    frame = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(TeacherError, match="did not answer within"):
        guarded(frame)
    with pytest.raises(TeacherError, match="has not come back"):
        guarded(frame)
    gate.release.set()
    guarded._deadline = 60
    guarded._labels.put(guarded._labels.get(timeout=60))  # it has come back
    assert guarded(frame).size
    guarded.close()


def test_every_teacher_can_be_limited_to_some_people(teacher):
    label = checked(SubjectFilter(teacher, "same")(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)))
    assert label.dtype == np.float32


def test_a_teacher_that_knows_it_failed_is_not_wrapped_twice():
    with pytest.raises(TeacherError, match="^no labels today$"):
        DeadlineTeacher(lambda: RaisingTeacher(TeacherError("no labels today")))(np.zeros((4, 4, 3), np.uint8))


# -- U²-Net ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("small", "parameters"), [(False, 44_009_869), (True, 1_131_181)])
def test_u2net_has_the_published_number_of_parameters_and_the_authors_names(small, parameters):
    net = U2Net(small)
    assert sum(p.numel() for p in net.parameters()) == parameters
    names = net.state_dict().keys()
    for name in (
        "stage1.rebnconvin.conv_s1.weight",
        "stage1.rebnconv7.bn_s1.running_var",
        "stage5.rebnconv4.conv_s1.bias",
        "stage1d.rebnconv1d.bn_s1.weight",
        "stage5d.rebnconv3d.conv_s1.weight",
        "side6.weight",
        "outconv.bias",
    ):
        assert name in names
    assert net.stage5.rebnconv4.conv_s1.dilation == (8, 8)
    assert net.stage1.rebnconv7.conv_s1.dilation == (2, 2)
    assert net.outconv.weight.shape == (1, 6, 1, 1)


def test_the_fused_map_takes_the_side_maps_in_the_authors_order():
    """outconv's weights belong to side1 ... side6: with all weight on one of them, that one is the answer."""
    torch.manual_seed(0)
    net = U2Net(small=True).eval()
    seen = {}
    net.side1.register_forward_hook(lambda *a: seen.update(first=a[2]))
    with torch.inference_mode():
        net.outconv.weight.zero_()
        net.outconv.bias.zero_()
        net.outconv.weight[0, 0] = 1
        answer = net(torch.rand(1, 3, 64, 64))
    assert torch.allclose(answer, torch.sigmoid(seen["first"]))


@pytest.fixture
def u2net_home(tmp_path, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    return tmp_path


def export(net, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (torch.zeros(1, 3, 320, 320),), str(path), dynamo=False, opset_version=11)


def test_the_authors_pth_and_rembgs_onnx_give_the_same_label(u2net_home):
    torch.manual_seed(0)
    net = U2Net(small=True)
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    export(net, u2net_home / "u2netp.onnx")
    from_onnx = load("u2netp", 1)(frame)
    torch.save({f"module.{name}": value for name, value in net.state_dict().items()}, u2net_home / "u2netp.pth")
    assert find_file("u2netp").suffix == ".pth"
    assert np.abs(load("u2netp", 1)(frame) - from_onnx).max() < 1e-4


def test_a_missing_or_foreign_u2net_file_is_told_with_the_way_out(u2net_home):
    with pytest.raises(ModelError, match="has neither u2netp.pth nor u2netp.onnx. Put one there"):
        load("u2netp", 1)
    torch.save({"weight": torch.zeros(1)}, u2net_home / "u2netp.pth")
    with pytest.raises(ModelError, match="is not the state dict of u2netp: RuntimeError: Error.*Take the .pth again"):
        load("u2netp", 1)
    (u2net_home / "u2netp.pth").unlink()
    (u2net_home / "u2netp.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="ONNX Runtime cannot load"):
        load("u2netp", 1)


def test_u2nets_input_is_the_authors():
    frame = np.zeros((320, 320, 3), np.uint8)
    frame[..., 2] = 50  # red is the brightest: it becomes 1
    image = prepare(frame)
    assert np.allclose(image[0, :, 0, 0], (np.array((1, 0, 0)) - MEAN) / STD)
    assert np.isfinite(prepare(np.zeros_like(frame))).all()


# -- Mask R-CNN ------------------------------------------------------------------------------------------------------


class ScriptedNetwork(torch.nn.Module):
    """Answers what it was given, in torchvision's shape."""

    def __init__(self, labels, scores, masks):
        super().__init__()
        self._answer = {"labels": torch.tensor(labels), "scores": torch.tensor(scores), "masks": torch.stack(masks)}

    def forward(self, images):
        return [self._answer]


def half(columns):
    mask = torch.zeros(1, 8, 12)
    mask[..., columns] = 0.9
    return mask


def test_the_label_is_the_union_of_person_masks_from_score_a_half():
    left, middle, right = half(slice(0, 4)), half(slice(4, 8)), half(slice(8, 12))
    network = ScriptedNetwork([1, 1, 1, 62], [0.9, 0.5, 0.49, 0.99], [left, middle, right, right])
    teacher = MaskRcnn50(1, mrcnn50.Torchvision(network))
    label = teacher(np.zeros((8, 12, 3), np.uint8))
    assert label[:, :8].all()
    assert not label[:, 8:].any()
    assert len(teacher.people(np.zeros((8, 12, 3), np.uint8))) == 2


def test_a_real_forward_with_random_weights_finds_masks_of_the_frames_size():
    network = random_mask_rcnn().eval()
    network.roi_heads.score_thresh = 0.0
    with torch.inference_mode():
        (found,) = network([torch.rand(3, 48, 64)])
    assert found["masks"].shape[1:] == (1, 48, 64)
    assert len(found["masks"])
    assert torch.isfinite(found["masks"]).all()


def test_torchvision_weights_on_file_are_used_and_foreign_ones_refused(tmp_path):
    network = random_mask_rcnn()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    loaded = mrcnn50.load_torchvision_weights(tmp_path / "weights.pth")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), loaded.parameters(), strict=True))
    torch.save({}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="does not fit torchvision's Mask R-CNN R50-FPN"):
        mrcnn50.load_torchvision_weights(tmp_path / "weights.pth")


def test_torchvision_instead_of_detectron2_is_said_aloud(monkeypatch, caplog):
    monkeypatch.setattr(mrcnn50, "fetch", lambda name: name)
    monkeypatch.setattr(mrcnn50, "load_torchvision_weights", lambda path: ScriptedNetwork([1], [0.9], [half(0)]))
    if importlib.util.find_spec("detectron2"):
        pytest.skip("detectron2 is installed")
    need_torchvision()
    load("mrcnn50", 1)
    assert [r.getMessage() for r in caplog.records] == [
        "mrcnn50: detectron2 is not installed; torchvision's Mask R-CNN R50-FPN teaches instead"
    ]


def test_without_either_the_message_says_what_to_install(monkeypatch):
    def absent(*_):
        raise ImportError("no module", name="torchvision")

    monkeypatch.setattr(mrcnn50, "Detectron2", absent)
    monkeypatch.setattr(mrcnn50, "prepare", absent)
    with pytest.raises(BackendUnavailable, match=r'pip install "jit-masker\[mrcnn\]"'):
        load("mrcnn50", 1)


# -- torchvision's operators -----------------------------------------------------------------------------------------


def brute_nms(boxes, scores, threshold):
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        for k in kept:
            w, h = np.maximum(np.minimum(boxes[i, 2:], boxes[k, 2:]) - np.maximum(boxes[i, :2], boxes[k, :2]), 0)
            union = sum(np.prod(boxes[j, 2:] - boxes[j, :2]) for j in (i, k)) - w * h
            if w * h > threshold * union:
                break
        else:
            kept.append(i)
    return kept


def test_nms_equals_its_definition():
    from training.teachers.torchvision_ops import nms

    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (40, 2)).astype(np.float32)
    boxes = np.hstack((corner, corner + rng.uniform(1, 30, (40, 2)).astype(np.float32)))
    scores = rng.uniform(size=40).astype(np.float32)
    ours = nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.4).tolist()
    assert ours == brute_nms(boxes, scores, 0.4)
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.4).tolist() == []


def bilinear(feature, y, x):
    """The paper's sample: zero more than one pixel outside, the border's value nearer."""
    height, width = feature.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    top = feature[y0, x0] * (1 - x + x0) + feature[y0, x1] * (x - x0)
    bottom = feature[y1, x0] * (1 - x + x0) + feature[y1, x1] * (x - x0)
    return top * (1 - y + y0) + bottom * (y - y0)


@pytest.mark.parametrize("sampling", [2, 0])
@pytest.mark.parametrize("aligned", [False, True])
def test_roi_align_equals_its_definition(sampling, aligned):
    from training.teachers.torchvision_ops import roi_align

    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 3, 9, 13)).astype(np.float32)
    rois = np.array([[0, 1, 2, 19, 15], [1, -6, -4, 30, 9], [1, 5, 5, 5.2, 5.1], [0, 20, 14, 40, 40]], np.float32)
    ours = roi_align(torch.from_numpy(features), torch.from_numpy(rois), 0.5, 2, 3, sampling, aligned).numpy()
    for r, (image, *corners) in enumerate(rois):
        x1, y1, x2, y2 = np.float32(corners) * np.float32(0.5) - (0.5 if aligned else 0)
        w, h = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
        down, across = (sampling or int(np.ceil(side)) for side in (h / 2, w / 3))
        for c, i, j in np.ndindex(3, 2, 3):
            samples = [
                bilinear(
                    features[int(image), c], y1 + (i + (a + 0.5) / down) * h / 2, x1 + (j + (b + 0.5) / across) * w / 3
                )
                for a in range(down)
                for b in range(across)
            ]
            assert ours[r, c, i, j] == pytest.approx(np.mean(samples), abs=1e-4)


# -- subject selection -----------------------------------------------------------------------------------------------


def person(left, right, value=1.0):
    mask = np.zeros((10, 40), np.float32)
    mask[:, left:right] = value
    return mask


PEOPLE = np.stack([person(0, 14), person(17, 24), person(30, 32)])  # the largest, the central one, a third


@pytest.mark.parametrize(("who", "kept"), [("all", (0, 1, 2)), ("largest", (0,)), ("central", (1,)), ("same", (1,))])
def test_each_selection_keeps_its_people(who, kept):
    assert np.array_equal(SubjectSelector(who)(PEOPLE), PEOPLE[list(kept)].max(0))


def test_same_follows_its_person_to_the_side_and_past_bigger_ones():
    choose = SubjectSelector("same")
    for left in (17, 20, 23, 26, 29):
        label = choose(np.stack([person(0, 14), person(left, left + 7)]))
        assert np.array_equal(label, person(left, left + 7))


RED, BLUE = (40, 40, 200), (200, 60, 40)  # shirts, BGR


def dressed(*people):
    """A grey frame with `people`, (mask, colour), the last in front."""
    bgr = np.full((*people[0][0].shape, 3), 128, np.uint8)
    for mask, colour in people:
        bgr[mask > 0.5] = colour
    return bgr


def test_same_follows_whoever_looks_the_same_where_two_cross():
    choose = SubjectSelector("same")
    for left, other in ((13, 0), (16, 8), (19, 16), (13, 22), (13, 24)):  # they change sides between two labels
        mine, theirs = person(left, left + 6), person(other, other + 6)
        bgr = dressed((theirs, BLUE), (mine, RED))
        label = choose(np.stack([theirs, mine]), bgr)
        assert np.array_equal(label, mine), left


def test_same_knows_its_person_again_on_the_other_side_after_any_time():
    choose = SubjectSelector("same")
    mine, theirs = person(13, 19), person(24, 30)
    choose(np.stack([mine]), dressed((mine, RED)))
    for _ in range(MAX_MISSED + 2):
        assert not choose(np.stack([theirs]), dressed((theirs, BLUE))).any()
    back = person(0, 6)
    assert np.array_equal(choose(np.stack([theirs, back]), dressed((theirs, BLUE), (back, RED))), back)


def test_same_takes_another_once_its_person_is_away_for_long():
    choose = SubjectSelector("same")
    mine, theirs = person(13, 19), person(24, 30)
    choose(np.stack([mine]), dressed((mine, RED)))
    for _ in range(PATIENCE):
        assert not choose(np.stack([theirs]), dressed((theirs, BLUE))).any()
    assert choose(np.stack([theirs]), dressed((theirs, BLUE))).any()


def test_same_goes_by_place_where_a_lamp_changes_all_colours():
    choose = SubjectSelector("same")
    mine = person(13, 19)
    choose(np.stack([mine]), dressed((mine, RED)))
    assert choose(np.stack([mine]), dressed((mine, RED)) // 4).any()


def test_same_keeps_nobody_while_its_person_is_away_and_then_takes_another():
    choose = SubjectSelector("same")
    choose(np.stack([person(17, 24)]))
    for _ in range(MAX_MISSED):
        assert not choose(np.stack([person(0, 6)])).any()
    assert choose(np.stack([person(0, 6)])).any()


def test_nobody_there_is_an_empty_label():
    for who in ("all", "largest", "central", "same"):
        assert not SubjectSelector(who)(np.zeros((0, 4, 5), np.float32)).any()


def test_a_connected_component_is_one_person_and_tiny_ones_are_nobody():
    label = np.repeat(np.maximum(person(2, 12), person(20, 30, 0.8)), 10, axis=0)
    label[5, 36] = 1
    found = split_people(label)
    assert [np.flatnonzero(part[0]).tolist() for part in found] == [list(range(2, 12)), list(range(20, 30))]


# -- any ONNX segmenter ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_description_says_how_pixels_go_in_and_which_channel_comes_out(tmp_path, layout):
    toml = tiny_segmenter(tmp_path, "Identity", layout, channels=3)
    toml.write_text(toml.read_text() + "mean = [0.1, 0.2, 0.3]\nstd = [2, 2, 2]\nchannel = 1\n")
    frame = np.full((7, 9, 3), (30, 153, 240), np.uint8)  # BGR
    label = load(str(toml), 1)(frame)
    assert label.shape == (32, 48)
    assert np.allclose(label, (153 / 255 - 0.2) / 2)
    toml.write_text(toml.read_text() + 'order = "BGR"\nsize = [32, 48]\noutput = "label"\nactivation = "sigmoid"\n')
    assert np.allclose(load(str(toml), 1)(frame), 1 / (1 + np.exp(-(153 / 255 - 0.2) / 2)))


def test_softmax_is_taken_over_the_channels(tmp_path):
    toml = tiny_segmenter(tmp_path, "Identity", channels=2)
    toml.write_text(toml.read_text() + 'activation = "softmax"\nchannel = 1\n')
    label = load(str(toml), 1)(np.full((7, 9, 3), (0, 255, 51), np.uint8))
    assert np.allclose(label, np.exp(1) / (np.exp(1) + np.exp(0.2)))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("modle = 1", "modle is 1: Extra inputs"),
        ('layout = "CHW"', "layout is 'CHW'"),
        ("output = 3", "output is 3; tiny.onnx has label"),
        ('output = "alpha"', "output is 'alpha'; tiny.onnx has label"),
        ("= 1", "cannot read the teacher in .*expected a TOML file"),
    ],
)
def test_an_invalid_description_is_refused_with_its_value(tmp_path, line, complaint):
    toml = tiny_segmenter(tmp_path)
    toml.write_text(f'model = "tiny.onnx"\n{line}\n')
    with pytest.raises(UsageError, match=complaint):
        load(str(toml), 1)


def test_a_description_without_its_model_is_told(tmp_path):
    toml = tiny_segmenter(tmp_path)
    toml.write_text('model = "other.onnx"')
    with pytest.raises(ModelError, match="names the model other.onnx, and there is no file"):
        load(str(toml), 1)


SELFIE = 'model = "{}/selfie_segmentation.onnx"\nlayout = "NHWC"\n'
SINET = """model = "{}/SINet_Softmax_simple.onnx"
order = "BGR"
mean = [0.4035, 0.4363, 0.4977]
std = [62.93, 62.82, 66.36]
channel = 1
"""


@pytest.mark.parametrize(("text", "least"), [(SELFIE, 0.93), (SINET, 0.89)])
def test_real_segmenters_label_real_people(shared, tmp_path, text, least):
    toml = tmp_path / "teacher.toml"
    toml.write_text(text.format(shared / "weights"))
    teacher = load(str(toml), 1)
    scores = []
    for path in sorted((shared / "people/valid/images").iterdir())[:20]:
        bgr, mask = cv2.imread(str(path)), cv2.imread(str(shared / "people/valid/masks" / f"{path.stem}.png"), 0)
        scores.append(iou(mask > 127, cv2.resize(teacher(bgr), mask.shape[::-1])))
    assert np.mean(scores) > least


# -- loading ---------------------------------------------------------------------------------------------------------


def test_the_command_lines_options_reach_the_teacher(monkeypatch):
    monkeypatch.setenv("JM_TEACHER_TOKEN", "secret")
    options, _ = read_options(["--teacher", "mrcnn50", "--who", "same", "--teacher-deadline", "1.5"])
    assert options.teaching == TeacherOptions("mrcnn50", "same", deadline=1.5, token="secret")
    assert "secret" not in repr(options.teaching)
    assert read_options(["--teacher", "none"])[0].teaching is None
    with pytest.raises(UsageError, match="--who is 'me'"):
        read_options(["--who", "me"])


@pytest.mark.parametrize("flag", [["--teacher-token", "hush"], ["--teacher-token=hush"], ["--teacher-tok", "hush"]])
def test_a_token_among_the_arguments_is_refused_and_not_repeated(capsys, flag):
    assert main(["-i", "test://", "--headless", *flag]) == 2
    said = capsys.readouterr().err
    assert "other users of this machine can read it there; set JM_TEACHER_TOKEN, or teacher_token in a file" in said
    assert "hush" not in said


def test_a_token_in_the_options_file_is_taken_and_an_invalid_one_is_not_repeated(tmp_path):
    file = tmp_path / "options.toml"
    file.write_text('teacher_token = "hush"\n')
    assert read_options(["--config", str(file)])[0].teacher_token == "hush"
    file.write_text("teacher_token = 4711\n")
    with pytest.raises(UsageError, match="JM_TEACHER_TOKEN is invalid: Input should be a valid string") as told:
        read_options(["--config", str(file)])
    assert "4711" not in str(told.value)


def test_a_selection_wraps_the_teacher(tmp_path):
    toml = str(tiny_segmenter(tmp_path))
    assert isinstance(load(TeacherOptions(toml, who="largest"), 1), SubjectFilter)
    assert not isinstance(load(toml, 1), SubjectFilter)


def test_rvm_remembers_what_it_is_told_to_and_nothing_of_it_as_it_is(rvm):
    figure = SyntheticPerson(width=160, height=120, seed=87)
    teacher = load(rvm, 1)
    alone = [teacher(figure.picture(i)) for i in (0, 8)]
    stream = load(rvm, 1, remembers=True)
    assert np.array_equal(stream(figure.picture(0)), alone[0])
    assert not np.array_equal(stream(figure.picture(8)), alone[1])  # better for what it saw
    stream.forget()
    assert np.array_equal(stream(figure.picture(8)), alone[1])
    assert stream(np.zeros((96, 128, 3), np.uint8)).shape == (96, 128)  # another size is another stream
    assert np.array_equal(teacher(figure.picture(8)), alone[1])


def test_whoever_selects_people_passes_on_that_all_is_to_be_forgotten(rvm):
    figure = SyntheticPerson(width=160, height=120, seed=87)
    stream = load(TeacherOptions(rvm, who="largest"), 1, remembers=True)
    first = stream(figure.picture(0))
    stream(figure.picture(20))
    stream.forget()
    assert np.array_equal(stream(figure.picture(0)), first)
