"""IoU-Acc on masks made by hand."""

import numpy as np
import pytest

from training.online.score import iou, iou_acc


def mask(pixels, size=400):
    flat = np.zeros(size, np.float32)
    flat[:pixels] = 1
    return flat.reshape(20, -1)


def test_iou_is_intersection_over_union():
    assert iou(mask(100), mask(50)) == 0.5


def test_two_empty_masks_agree():
    assert iou(mask(0), mask(0)) == 1.0


def test_at_five_percent_the_score_is_iou():
    assert iou_acc(mask(20), mask(10)) == 0.5


def test_below_five_percent_the_score_is_pixel_accuracy():
    assert iou_acc(mask(19), mask(9)) == pytest.approx(1 - 10 / 400)


def test_a_ghost_on_an_empty_frame_costs_its_area():
    assert iou_acc(mask(0), mask(100)) == 0.75


def test_only_the_label_decides_which_score_is_meant():
    assert iou_acc(mask(100), mask(0)) == 0.0


def test_soft_values_are_cut_at_one_half():
    assert iou_acc(mask(100) * 0.51, mask(100) * 0.6) == 1.0


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="resize one of them"):
        iou_acc(np.zeros((2, 2)), np.zeros((3, 3)))
