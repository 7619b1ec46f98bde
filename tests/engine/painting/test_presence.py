"""The empty rule."""

from engine.painting.presence import MIN_AREA, PresenceGate


def test_the_first_frame_is_judged_by_the_plain_threshold():
    assert PresenceGate().admits(MIN_AREA)
    assert not PresenceGate().admits(MIN_AREA - 1e-6)


def test_once_shut_it_opens_only_for_clearly_more():
    gate = PresenceGate()
    gate.admits(0.0)
    assert not gate.admits(MIN_AREA * 1.1)
    assert gate.admits(MIN_AREA * 1.21)


def test_once_open_it_stays_open_down_to_the_threshold():
    gate = PresenceGate()
    gate.admits(0.5)
    assert gate.admits(MIN_AREA * 1.1)
    assert not gate.admits(MIN_AREA * 0.99)
