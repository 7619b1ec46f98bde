"""What was drawn over: understood, and found again by its colours."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.rooms.correction import MAX_AREA, SIDE, as_mask, find, small, understand, where_one_sees
from engine.stroke import Stroke
from tests.holding import SomebodyHolding

HOLDING = SomebodyHolding()
NOWHERE = np.zeros((SIDE, SIDE), bool)
EVERYWHERE = ~NOWHERE


def there(i):
    return cv2.resize(HOLDING.thing(i).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0.5


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.fixture(scope="module")
def understood():
    return understand(Stroke.of(HOLDING.stroke(0), True), small(HOLDING.picture(0)))


def test_a_stroke_across_a_thing_means_the_thing(understood):
    correction, region = understood
    assert correction.keep
    assert correction.found
    assert iou(region, there(0)) > 0.9
    assert correction.area == region.mean()


@pytest.mark.parametrize("i", [4, 8, 16])
def test_it_is_found_where_it_went(understood, i):
    correction, region = understood
    assert iou(find(correction, small(HOLDING.picture(i)), region), there(i)) > 0.85


def test_it_is_not_found_where_it_is_not(understood):
    correction, region = understood
    without = HOLDING._person.picture(0)
    assert not find(correction, small(without), region).any()
    assert not find(correction, small(HOLDING.picture(0)), NOWHERE).any()


def test_what_is_not_expected_is_not_looked_for(understood):
    correction, _ = understood
    far = NOWHERE.copy()
    far[-20:, -20:] = True
    assert not find(correction, small(HOLDING.picture(0)), far).any()


def test_the_room_is_no_thing():
    """A stroke over a bare wall, from corner to corner."""
    wall = np.full((SIDE, SIDE, 3), 128, np.uint8)
    correction, region = understand(Stroke.of([(0.02, 0.02), (0.98, 0.98), (0.02, 0.98), (0.98, 0.02)], True), wall)
    assert not correction.found
    assert not correction.area
    assert not region.any()
    assert not find(correction, wall, EVERYWHERE).any()


def test_a_thing_that_would_flood_the_frame_is_not_found(understood):
    correction, _ = understood
    board = cv2.resize(HOLDING.picture(0)[60:120, 40:140], (SIDE, SIDE))
    assert MAX_AREA < 1
    assert not find(correction, board, EVERYWHERE).any()


@pytest.mark.parametrize(
    "mixture", [np.zeros((1, 65)), np.full((1, 65), 1e30), -np.ones((1, 65))], ids=["0", "1e30", "-1"]
)
def test_colours_that_are_no_mixture_find_nothing_and_do_no_harm(understood, mixture):
    correction, region = understood
    find(replace(correction, objects=mixture), small(HOLDING.picture(0)), region)
    find(replace(correction, others=mixture), small(HOLDING.picture(0)), region)


def test_edges_on_which_two_masks_differ_are_not_what_one_sees_alone():
    one, other = np.zeros((256, 256), np.float32), np.zeros((256, 256), np.float32)
    one[50:150, 50:150], other[53:153, 50:150] = 1, 1
    assert not where_one_sees(one, other).any()
    one[180:220, 180:220] = 1
    assert iou(where_one_sees(one, other), cv2.resize(one, (SIDE, SIDE))[...] * (np.arange(SIDE) > 80) > 0.5) > 0.8


def test_regions_become_one_mask_of_any_size():
    region = NOWHERE.copy()
    region[10:20, 10:20] = True
    assert as_mask([NOWHERE], (60, 80)) is None
    assert as_mask([], (60, 80)) is None
    mask = as_mask([region, NOWHERE], (60, 80))
    assert mask.shape == (60, 80)
    assert mask.mean() == pytest.approx(region.mean(), rel=0.2)
    assert as_mask([region], (60, 80), around=0.05).mean() > 2 * mask.mean()
