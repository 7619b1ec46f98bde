"""The mailboxes: what wins, what waits, what is counted."""

import threading

import numpy as np
import pytest

from engine.mailboxes import FrameSampler, LatestSlot, LosslessSlot


def test_the_newest_item_wins_and_the_loss_is_counted():
    slot = LatestSlot()
    assert slot.put(1) is None
    assert slot.put(2) == 1
    assert slot.take() == 2
    assert slot.dropped == 1


def test_what_lies_in_a_closed_slot_can_still_be_taken():
    slot = LatestSlot()
    slot.put(1)
    slot.close()
    assert slot.take() == 1
    assert slot.take() is None


def test_taking_gives_up_after_its_timeout():
    assert LatestSlot().take(timeout=0.01) is None


def test_a_full_lossless_slot_makes_the_sender_wait_and_loses_nothing():
    slot = LosslessSlot(places=2)
    sent = list(range(100))
    sender = threading.Thread(target=lambda: [slot.put(i) for i in sent] and slot.close())
    sender.start()
    received = []
    while (item := slot.take()) is not None:
        received.append(item)
    sender.join()
    assert received == sent
    assert slot.dropped == 0


def test_closing_a_full_lossless_slot_frees_its_sender_and_hands_the_item_back():
    slot = LosslessSlot(places=1)
    slot.put("kept")
    returned = []
    sender = threading.Thread(target=lambda: returned.append(slot.put("late")))
    sender.start()
    slot.close()
    sender.join(5)
    assert returned == ["late"]
    assert slot.take() == "kept"


@pytest.fixture
def frame():
    return np.arange(24, dtype=np.uint8).reshape(2, 4, 3), np.ones((2, 2), np.float32), 0


def test_a_sampler_skips_what_nobody_waits_for(frame):
    sampler = FrameSampler()
    sampler.offer(*frame)
    assert sampler.skipped == 1


def take_in_a_thread(sampler, patience=1):
    taken = []
    thread = threading.Thread(target=lambda: taken.append(sampler.take(patience)))
    thread.start()
    while not sampler._wants_frame and thread.is_alive():
        pass
    return thread, taken


def test_a_wants_frame_taker_gets_a_copy(frame):
    bgr, logits, _ = frame
    sampler = FrameSampler()
    thread, taken = take_in_a_thread(sampler)
    sampler.offer(bgr, logits, 0)
    thread.join(5)
    (copy, *_), expected = taken[0], bgr.copy()
    bgr[:] = 0
    assert np.array_equal(copy, expected)


def test_while_the_taker_works_its_frame_is_not_overwritten(frame):
    bgr, logits, _ = frame
    sampler = FrameSampler()
    thread, taken = take_in_a_thread(sampler)
    sampler.offer(bgr, logits, 0)
    thread.join(5)
    sampler.offer(np.zeros_like(bgr), logits, 0)
    assert np.array_equal(taken[0][0], bgr)


def test_a_patient_taker_lets_frames_pass_and_knows_how_many(frame):
    bgr, logits, _ = frame
    sampler = FrameSampler()
    thread, taken = take_in_a_thread(sampler, patience=3)
    for level in range(5):
        sampler.offer(np.full_like(bgr, level), logits, 0)
    thread.join(5)
    (got, _, _, elapsed) = taken[0]
    assert (got[0, 0, 0], elapsed, sampler.skipped) == (2, 3, 4)


def test_another_scene_ends_the_patience(frame):
    bgr, logits, _ = frame
    sampler = FrameSampler()
    thread, taken = take_in_a_thread(sampler, patience=100)
    sampler.offer(bgr, logits, 0)
    sampler.offer(bgr, logits, 1)
    thread.join(5)
    assert taken[0][2:] == (1, 2)


def test_closing_a_sampler_wakes_its_taker():
    sampler = FrameSampler()
    thread, taken = take_in_a_thread(sampler)
    sampler.close()
    thread.join(5)
    assert taken == [None]


def test_taking_from_a_closed_sampler_returns_at_once():
    sampler = FrameSampler()
    sampler.close()
    assert sampler.take() is None
