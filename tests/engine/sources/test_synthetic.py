"""The synthetic person of test://."""

import numpy as np
import pytest

from engine.errors import UsageError
from engine.sources import open_source
from engine.sources.synthetic import SyntheticPerson


def test_the_figure_is_the_same_each_time_and_has_a_true_mask():
    a, b = (open_source("test://?width=160&height=120&frames=3&seed=4") for _ in range(2))
    assert all(np.array_equal(x.bgr, y.bgr) for x, y in zip(a, b, strict=True))
    figure = SyntheticPerson(width=160, height=120, seed=4)
    changed = (figure.picture(0) != figure._scene(0).background).any(axis=2)
    assert 0.1 < (figure.mask(0) > 0).mean() < 0.6
    assert (changed <= (figure.mask(0) > 0)).all()


def test_a_figure_can_cut_and_come_late():
    figure = SyntheticPerson(width=160, height=120, cut=5, empty=2)
    assert not figure.mask(1).any()
    assert figure.mask(2).any()
    assert np.abs(figure.picture(5).astype(int) - figure.picture(4)).mean() > 20


@pytest.mark.parametrize(
    "query", ["colour=3", "width=0", "width=big", "width=²", "height=20000", "fps=5000", "seed=" + "9" * 5000]
)
def test_a_figure_with_impossible_options_is_refused(query):
    with pytest.raises(UsageError, match="test://"):
        open_source(f"test://?{query}")


def test_a_figure_takes_its_frame_rate_from_the_url_or_else_from_the_option():
    assert open_source("test://", fps=50).fps == 50
    assert open_source("test://?fps=10", fps=50).fps == 10
