"""Animated images: every frame, for as long as it lasts, as source and as background."""

import numpy as np
import pytest
from PIL import Image

from engine.backgrounds import open_background
from engine.backgrounds.animation import AnimatedPicture
from engine.media import animation
from engine.media.animation import animation_frames
from engine.sources import open_source

DURATIONS = [100, 50, 200, 100, 100]  # ms
LEVELS = [200, 20, 60, 100, 140]  # red of each frame
KINDS = [
    ("webp", {"lossless": True, "exact": True}),
    ("png", {}),
    ("png", {"disposal": 1, "blend": 0}),
    ("avif", {"quality": 100, "subsampling": "4:4:4"}),
]


def animate(path, **options):
    """Frames of one red level each, with a square that is transparent and hides green."""
    frames = []
    for level in LEVELS:
        rgba = np.zeros((40, 60, 4), np.uint8)
        rgba[..., 0], rgba[..., 3] = level, 255
        rgba[:10, :10] = (0, 255, 0, 0)
        frames.append(Image.fromarray(rgba))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=DURATIONS, loop=0, **options)
    return path


@pytest.mark.parametrize(("suffix", "options"), KINDS)
def test_every_frame_comes_in_its_time_and_nothing_hidden_is_seen(suffix, options, tmp_path):
    source = open_source(str(animate(tmp_path / f"a.{suffix}", **options)))
    frames = list(source)
    assert [int(frame.bgr[20, 30, 2]) for frame in frames] == pytest.approx(LEVELS, abs=4)
    assert [frame.position for frame in frames] == pytest.approx([0, 0.1, 0.15, 0.35, 0.45])
    assert max(frame.bgr[:8, :8].max() for frame in frames) <= 4
    assert not source.live


@pytest.mark.parametrize(("suffix", "options"), KINDS)
@pytest.mark.parametrize("lossless", [True, False])
def test_a_background_shows_the_frame_that_is_due_over_and_over(suffix, options, lossless, tmp_path):
    background = open_background(str(animate(tmp_path / f"a.{suffix}", **options)), lossless=lossless)
    seen = [
        int(background.picture(np.zeros((20, 30, 3), np.uint8), None, at)[15, 15, 2])
        for at in (0.0, 0.12, 0.2, 0.34, 0.5, 0.56, 0.55 * 7 + 0.12)
    ]
    assert seen == pytest.approx([200, 20, 60, 60, 140, 200, 20], abs=4)
    background.close()


def test_frames_are_decoded_some_at_a_time(tmp_path, monkeypatch):
    path = animate(tmp_path / "a.webp", lossless=True)
    whole = [(frame.tobytes(), lasts) for frame, lasts in animation_frames(path)]
    monkeypatch.setattr(animation, "CHUNK_FRAMES", 2)
    assert [(frame.tobytes(), lasts) for frame, lasts in animation_frames(path)] == whole
    assert len(whole) == 5


def test_a_background_too_large_to_be_kept_is_kept_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.backgrounds.animation.MAX_BYTES", 3 * 60 * 40 * 3)
    background = AnimatedPicture(str(animate(tmp_path / "a.webp", lossless=True)))
    assert background.picture(np.zeros((40, 60, 3), np.uint8), None, 0.12)[30, 30, 2] == 20
    assert sum(frame.nbytes for frame in background._frames) <= 3 * 60 * 40 * 3


def test_a_looped_animation_goes_on(tmp_path):
    source = open_source(str(animate(tmp_path / "a.webp", lossless=True)), loop=True)
    positions = [frame.position for frame, _ in zip(source, range(7), strict=False)]
    assert positions == pytest.approx([0, 0.1, 0.15, 0.35, 0.45, 0.55, 0.65])


def test_an_animated_gif_is_a_video_with_all_its_frames(tmp_path):
    path = animate(tmp_path / "a.gif", disposal=2)
    frames = list(open_source(str(path)))
    assert [int(frame.bgr[20, 30, 2]) for frame in frames] == pytest.approx(LEVELS, abs=8)
    assert [frame.position for frame in frames] == pytest.approx([0, 0.1, 0.15, 0.35, 0.45])
