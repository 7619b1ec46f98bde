"""Which labelled frames a step is taken on."""

import numpy as np
import pytest
import torch

from training.online.replay import LabelledFrame, ReplayBuffer


def numbered(count, places=4, seed=0):
    """ReplayBuffer that were given `count` labelled frames, each of which is its number."""
    replay = ReplayBuffer(places, seed)
    for i in range(count):
        replay.add(LabelledFrame(torch.full((1, 3, 2, 2), float(i)), torch.full((1, 1, 1, 1), float(i))))
    return replay


def chosen(replay, batch, step=0):
    frames = replay.batch(batch, step)
    assert all(frame.image_array[0, 0, 0, 0] == frame.label_array[0, 0] for frame in frames)
    return [int(frame.label_array[0, 0]) for frame in frames]


def test_a_batch_of_one_is_the_newest_and_a_remembered_one_in_turn():
    replay = numbered(3)
    for step in range(10):
        (number,) = chosen(replay, 1, step)
        assert (number == 2) == (step % 2 == 0)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_batch_holds_the_newest_and_each_remembered_one_at_most_once(count):
    numbers = chosen(numbered(count), batch=4)
    assert numbers[0] == count - 1
    assert len(set(numbers)) == len(numbers) == min(count, 4)


def test_the_oldest_is_forgotten():
    assert sorted(chosen(numbered(9, places=4), batch=9)) == [4, 5, 6, 7, 8]


def test_nothing_is_left_of_a_scene_that_is_over():
    replay = numbered(3)
    replay.clear()
    assert replay.newest is None
    replay.add(LabelledFrame(torch.full((1, 3, 2, 2), 7.0), torch.full((1, 1, 1, 1), 7.0)))
    assert chosen(replay, batch=4) == [7]


def test_the_same_seed_chooses_the_same_ones():
    a, b = numbered(5, seed=3), numbered(5, seed=3)
    assert [chosen(a, 1, i) for i in range(20)] == [chosen(b, 1, i) for i in range(20)]


def test_an_example_is_laid_out_for_convolutions():
    image, label = np.zeros((1, 3, 4, 6), np.float32), np.ones((2, 3), np.float32)
    example = LabelledFrame.of(image, label, "cpu")
    assert example.image.is_contiguous(memory_format=torch.channels_last)
    assert example.label.shape == (1, 1, 2, 3)
