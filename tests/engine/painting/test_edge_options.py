"""What a user may choose about edges: feather, light wrap, threshold."""

import numpy as np
import pytest

from engine import Masker
from engine.errors import UsageError
from engine.painting.edge_options import EdgeOptions, Feather, LightWrap
from engine.sources.synthetic import SyntheticPerson


def half(size=(48, 64)):
    """A person on the left half."""
    matte = np.zeros(size, np.uint8)
    matte[:, : size[1] // 2] = 255
    return matte


def test_a_feather_outwards_keeps_all_of_the_person_and_fades_beyond():
    matte = half((480, 64))
    Feather(4)(matte)
    assert (matte[:, :32] == 255).all()
    assert 0 < matte[100, 33] < 255
    assert not matte[:, 37:].any()


def test_a_feather_inwards_shows_nothing_of_the_room_and_fades_before():
    matte = half((480, 64))
    Feather(-4)(matte)
    assert not matte[:, 32:].any()
    assert 0 < matte[100, 30] < 255
    assert (matte[:, :27] == 255).all()


def test_a_feather_is_as_wide_in_a_larger_frame():
    small, large = half((480, 640)), half((960, 1280))
    Feather(6)(small)
    Feather(6)(large)
    assert np.count_nonzero(large[0] % 255) == pytest.approx(2 * np.count_nonzero(small[0] % 255), abs=2)


def test_light_falls_on_the_edge_and_not_on_the_middle():
    foreground, background = np.full((96, 128, 3), 50, np.uint8), np.full((96, 128, 3), 200, np.uint8)
    LightWrap(0.5)(foreground, half((96, 128)), background)
    assert foreground[48, 63, 0] > 60
    assert (foreground[:, :40] == 50).all()


def test_light_of_a_black_background_is_no_light():
    foreground = np.full((96, 128, 3), 50, np.uint8)
    LightWrap(1.0)(foreground, half((96, 128)), np.zeros_like(foreground))
    assert (foreground == 50).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 0.0}, "threshold is 0; expected above 0 and below 1"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"feather": 40.0}, "feather is 40; expected from -32 to 32 pixels"),
        ({"light_wrap": 2.0}, "light wrap is 2; expected from 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        EdgeOptions(**values)


def test_a_lower_threshold_keeps_more():
    frame = SyntheticPerson(width=320, height=240, seed=5).picture(10)
    areas = []
    for threshold in (0.1, 0.5, 0.9):
        with Masker(threads=1, edges=EdgeOptions(threshold=threshold)) as masker:
            areas.append(masker.alpha(frame).mean())
    assert areas[0] > areas[1] > areas[2]


def test_everything_together_paints_the_same_matte_that_it_reports(room):
    frame = SyntheticPerson(width=320, height=240, seed=5).picture(10)
    with Masker(background=room, threads=1, edges=EdgeOptions(feather=-3, light_wrap=0.5)) as masker:
        result = masker.process(frame)
    picture, matte = result.picture, result.alpha
    assert (picture[matte == 0] == (255, 0, 255)).all()
