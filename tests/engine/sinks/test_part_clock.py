"""The times of recordings that were laid end to end, as sums."""

from fractions import Fraction

import pytest

from engine.sinks.part_clock import PictureClock, TrackClock

STEP = Fraction(1, 25)


def clock(*parts):
    """The clock of pictures whose parts are (begin, end), s."""
    pictures = PictureClock(Fraction(parts[0][0]), STEP)
    for begin, end in parts:
        for i in range(round((end - begin) * 25)):
            pictures.see(Fraction(begin) + i * STEP)
    return pictures


def test_parts_of_a_recording_follow_each_other():
    assert clock((10, 13), (10, 12), (90000, 90001)).offsets == [-10, -7, -89995]


def test_pictures_in_the_order_of_decoding_are_one_part():
    pictures = PictureClock(Fraction(0), STEP)
    for time in (0, 4, 2, 1, 3, 8, 6, 5, 7):
        pictures.see(time * STEP)
    assert (pictures.offsets, pictures.now) == ([0], 8 * STEP)


def test_sound_moves_with_the_pictures_though_it_ended_before_them():
    track = TrackClock(clock((10, 13), (10, 12)))
    assert track.place(Fraction("12.7"), Fraction("0.02"), final=False) == Fraction("2.7")
    assert track.place(Fraction("9.98"), Fraction("0.02"), final=False) == Fraction("2.98")


def test_sound_that_leaps_before_its_pictures_waits_for_them():
    pictures = clock((10, 13))
    track = TrackClock(pictures)
    track.place(Fraction("12.9"), Fraction("0.02"), final=False)
    assert track.place(Fraction("10"), Fraction("0.02"), final=False) is None
    pictures.see(Fraction(10))
    assert track.place(Fraction("10"), Fraction("0.02"), final=False) == 3


@pytest.mark.parametrize("time", [0, 100, 90000])
def test_sound_that_leaps_alone_goes_on_where_it_was(time):
    track = TrackClock(clock((10, 13)))
    track.place(Fraction("12.9"), Fraction("0.1"), final=True)
    assert track.place(Fraction(time), Fraction("0.1"), final=True) == 3


def test_sound_that_is_away_for_minutes_has_a_gap():
    track = TrackClock(clock((10, 200)))
    track.place(Fraction("12.9"), Fraction("0.1"), final=False)
    assert track.place(Fraction(199), Fraction("0.1"), final=False) == 189


def test_where_no_pictures_tell_a_gap_is_an_hour_at_most():
    track = TrackClock(PictureClock(Fraction(0), STEP))
    track.place(Fraction(1), Fraction("0.1"), final=True)
    assert track.place(Fraction(1000), Fraction("0.1"), final=True) == 1000
    assert track.place(Fraction(90000), Fraction("0.1"), final=True) == Fraction("1000.1")


def test_what_has_no_time_comes_after_what_was_before():
    track = TrackClock(clock((10, 13)))
    track.place(Fraction("12.9"), Fraction("0.1"), final=False)
    assert track.next == 3
