"""jm-train, on a handful of small pictures: what it writes, and that an interrupted run loses nothing."""

import cv2
import numpy as np
import pytest

from export.publish import load_student
from export.store import load_weights
from tests.training.test_datasets import write_pairs
from training import pretrain
from training.augment import Layer, augment
from training.datasets import Sample
from training.students import Student


@pytest.fixture
def data(tmp_path):
    return write_pairs(tmp_path / "people", frames=4)


def arguments(data, out, *more):
    return ["--data", str(data), "--valid", str(data), "--student", "lite", "--size", "64", "--batch", "2",
            "--threads", "1", "--epochs", "3", "--out", str(out), *more]  # fmt: skip


def test_training_writes_weights_that_paint_and_a_card(data, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    assert pretrain.main(arguments(data, out, "--plot", str(tmp_path / "curve.png"))) == 0
    weights = load_student("lite", (64, 64), out)
    assert weights.card["data"] == "people (4 images)"
    assert "IoU" in weights.card["score"]
    assert weights.card["start"] == "random, seed 0"
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert "best" in capsys.readouterr().out


def test_the_same_seed_trains_the_same_weights(data, tmp_path):
    for name in ("a", "b"):
        assert pretrain.main(arguments(data, tmp_path / name)) == 0
    a, b = (load_weights(tmp_path / name).tensors for name in ("a", "b"))
    assert all(np.array_equal(a[key], b[key]) for key in a)


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(data, tmp_path, monkeypatch):
    assert pretrain.main(arguments(data, tmp_path / "whole")) == 0
    validate, calls = pretrain.validate, []

    def interrupted(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validate(*given)

    monkeypatch.setattr(pretrain, "validate", interrupted)
    assert pretrain.main(arguments(data, tmp_path / "parts")) == 130
    assert pretrain.main(arguments(data, tmp_path / "parts", "--resume")) == 0
    whole, parts = (
        pretrain.torch.load(tmp_path / f"{name}.checkpoint", weights_only=True) for name in ("whole", "parts")
    )
    assert whole["progress"]["step"] == parts["progress"]["step"] == 6
    assert all(pretrain.torch.equal(whole["student"][key], parts["student"][key]) for key in whole["student"])


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--resume"], 2, "nothing to resume: there is no"),
        (["--batch", "5"], 2, "4 images are less than one batch of 5; lower --batch"),
        (["--init", "absent.safetensors"], 5, "absent.safetensors"),
        (["--teacher", "gpt"], 2, "unknown teacher 'gpt'"),
    ],
)
def test_what_cannot_be_trained_says_why(data, tmp_path, capsys, more, code, message):
    assert pretrain.main(arguments(data, tmp_path / "w", *more)) == code
    assert message in capsys.readouterr().err


def test_a_damaged_checkpoint_says_how_to_begin_anew(data, tmp_path, capsys):
    (tmp_path / "w.checkpoint").write_bytes(b"half of it")
    assert pretrain.main(arguments(data, tmp_path / "w", "--resume")) == 5
    assert "delete it to begin anew" in capsys.readouterr().err


def test_training_stops_when_nothing_gets_better(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrain, "validate", lambda *_: 0.5)
    assert pretrain.main(arguments(data, tmp_path / "w", "--epochs", "50", "--patience", "2")) == 0
    assert "in epoch 1" in capsys.readouterr().out
    assert pretrain.torch.load(tmp_path / "w.checkpoint", weights_only=True)["progress"]["epoch"] == 3


def test_mistakes_in_a_batch_come_out_of_the_thread_that_makes_it():
    def broken():
        yield 1
        raise RuntimeError("no such picture")

    items = pretrain.one_ahead(broken())
    assert next(items) == 1
    with pytest.raises(RuntimeError, match="no such picture"):
        next(items)


def test_augmentation_keeps_mask_and_picture_together():
    """A white person before a black room: wherever the mask says person, the picture is brighter."""
    mask = np.zeros((96, 128), np.uint8)
    mask[24:80, 40:90] = 255
    sample, rng = Sample(np.repeat(mask[..., None], 3, 2), mask, "one"), np.random.default_rng(0)
    rooms = [np.zeros((60, 80, 3), np.uint8)]
    for _ in range(30):
        bgr, drawn = augment(sample, rooms, (64, 64), rng)
        assert bgr.shape == (64, 64, 3)
        assert drawn.shape == (64, 64)
        if (drawn > 250).any() and (drawn < 5).any():
            assert bgr[drawn > 250].mean() > bgr[drawn < 5].mean() + 50


def test_whoever_comes_beside_somebody_is_in_the_mask_too():
    """A white person before black, and a white one beside: two of them are in some masks."""
    mask = np.zeros((96, 128), np.uint8)
    mask[20:, 50:80] = 255
    sample, rooms = Sample(np.repeat(mask[..., None], 3, 2), mask, "one"), [np.zeros((60, 80, 3), np.uint8)]

    def most(others):
        rng = np.random.default_rng(1)
        masks = [augment(sample, rooms, (64, 64), rng, others)[1] for _ in range(100)]
        return max(cv2.connectedComponents((m > 127).astype(np.uint8))[0] - 1 for m in masks)

    assert (most([]), most([sample])) == (1, 2)


def test_a_pasted_person_brings_no_halo_of_the_old_room():
    """White, cut out of a green room by a soft mask: over black there is no green."""
    soft = cv2.GaussianBlur(np.pad(np.full((60, 60), 255, np.uint8), 30), (0, 0), 3)
    alpha = soft[..., None] / np.float32(255)
    bgr = (alpha * 255 + (1 - alpha) * (0, 255, 0)).astype(np.uint8)
    nobody = Layer(np.zeros_like(bgr), np.zeros_like(soft))
    pasted = Layer(bgr, soft).over(nobody)
    green = pasted.bgr[..., 1].astype(int) - pasted.bgr[..., 2]
    assert green.max() <= 15  # of 255; without it 64
    assert np.array_equal(pasted.mask, soft)


def test_what_is_kept_is_the_mean_of_the_steps():
    student = Student("lite")
    average = pretrain.Average(student)
    for value in range(400):
        with pretrain.torch.no_grad():
            student.get_parameter("stem.bias").fill_(value % 2)
        average.take_in(student)
    assert np.allclose(average.student.get_parameter("stem.bias").numpy(), 0.5, atol=0.05)


def test_a_real_start_agrees_with_the_peer_it_comes_from(shared, data, tmp_path):
    """--init selfie: one epoch at a rate of nothing leaves selfie's own masks."""
    from training.pretrain import start

    tensors = start(str(shared / "weights" / "selfie_segmentation.onnx"), "lite")
    assert tensors["logits.weight"].shape == (4, 16, 1, 1)
    out = tmp_path / "w.safetensors"
    init = str(shared / "weights" / "selfie_segmentation.onnx")
    assert pretrain.main(arguments(data, out, "--init", init, "--rate", "0")) == 0
    assert np.allclose(load_weights(out).tensors["stem.weight"], tensors["stem.weight"], atol=1e-3)  # half precision
