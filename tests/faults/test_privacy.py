"""What must never be readable: the room once nobody is in it, and the colours behind where alpha is 0."""

import av
import numpy as np
import pytest

from engine.contracts import Frame, Origin
from engine.sources.synthetic import SyntheticPerson
from tests.clips import decoded_alpha
from tests.data.make_clip import PERSON
from tests.faults.whole_run import FRAMES, certainly_room

EMPTY = PERSON._scene(0).background
MAGENTA = (255, 0, 255)  # BGR


class Leaves:
    """A person for some frames, then the room alone; and the other way round."""

    live, fps, frames, origin = False, 25.0, FRAMES, Origin()

    def __init__(self, there):
        self._there = there

    def __iter__(self):
        for i in range(FRAMES):
            yield Frame(PERSON.picture(i) if i in self._there else EMPTY, i, 0.0, i / 25)

    def close(self):
        pass


@pytest.mark.parametrize("there", [range(12), range(12, FRAMES), range(0)], ids=["leaves", "comes", "nobody"])
def test_where_nobody_is_nothing_is_shown(paint, monkeypatch, there):
    monkeypatch.setattr("engine.parts.source_opener", lambda *_, **__: lambda: Leaves(there))
    run = paint()
    assert (run.code, run.frames, run.report["faults"]) == (0, FRAMES, 0)
    assert [alpha.any() for alpha in run.alphas] == [i in there for i in range(FRAMES)]
    assert all(alpha[certainly_room(i)].mean() <= 0.005 for i, alpha in enumerate(run.alphas))
    assert run.said.strip() == ""


def test_an_empty_room_at_the_start_of_a_stream_is_not_shown(paint):
    """By its own frames: `empty` of test:// is until when nobody is there."""
    figure = SyntheticPerson(width=320, height=240, seed=87, empty=10)
    assert not figure.mask(9).any()
    run = paint("-i", "test://?width=320&height=240&seed=87&empty=10")
    assert (run.code, run.frames) == (0, FRAMES)
    assert not any(alpha.any() for alpha in run.alphas[:10])
    assert all(alpha.any() for alpha in run.alphas[10:])


def test_before_a_colour_every_pixel_of_the_room_is_that_colour(paint, tmp_path):
    out = tmp_path / "out.mkv"
    run = paint("-o", out)
    run.painted_everything()
    with av.open(str(out)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for i, (picture, alpha) in enumerate(zip(pictures, run.alphas, strict=True)):
        hidden = certainly_room(i) & (alpha == 0)
        assert np.abs(picture[hidden].astype(int) - MAGENTA).max() < 48, i  # H.264's own error
        assert hidden.mean() > 0.3


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_where_alpha_is_zero_no_colour_hides_in_the_file(paint, tmp_path, suffix):
    """The room is 90 and brighter. VP9 leaves a trace of the person who moves before it."""
    out = tmp_path / f"out{suffix}"
    run = paint("-o", out, "--background", "none")
    assert (run.code, run.frames) == (0, FRAMES)
    if suffix == ".webm":
        pictures, largest = decoded_alpha(out), 40
    else:
        with av.open(str(out)) as container:
            pictures, largest = [frame.to_ndarray(format="bgra") for frame in container.decode(video=0)], 0
    assert len(pictures) == FRAMES
    for i, picture in enumerate(pictures):
        hidden = certainly_room(i) & (run.alphas[i] == 0)
        assert (colours := picture[hidden][:, :3]).max() <= largest, i
        assert colours.mean() <= largest / 400
