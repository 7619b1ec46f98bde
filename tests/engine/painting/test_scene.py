"""Which frames begin another scene: a cut does; a lamp, an exposure, a pan, a person who moves do not."""

import cv2
import numpy as np
import pytest

from engine.painting.scene import REFRACTORY, SceneDetector
from engine.sources.synthetic import SyntheticPerson

FPS = 25.0


def scenes(pictures, fps=FPS):
    detector = SceneDetector()
    return [detector(picture, i / fps) for i, picture in enumerate(pictures)]


def brighter(bgr, gain):
    return np.clip(bgr * gain, 0, 255).astype(np.uint8)


def test_a_cut_begins_another_scene_and_movement_does_not():
    figure = SyntheticPerson(cut=20)
    assert scenes(figure.picture(i) for i in range(40)) == [0] * 20 + [1] * 20


@pytest.mark.parametrize("gain", [0.75, 1.15, 1.25])
def test_a_lamp_that_flickers_is_no_cut(gain):
    figure = SyntheticPerson(seed=4)
    assert set(scenes(brighter(figure.picture(i), gain if i % 2 else 1) for i in range(40))) == {0}


def test_light_that_turns_warm_is_no_cut():
    picture = SyntheticPerson(seed=4).picture(0)
    assert scenes([picture, brighter(picture, np.array([0.7, 1.0, 1.2]))]) == [0, 0]


def test_a_pan_is_no_cut():
    rng = np.random.default_rng(0)
    room = cv2.resize(rng.integers(0, 256, (8, 21, 3), dtype=np.uint8), (1280, 480), interpolation=cv2.INTER_CUBIC)
    assert set(scenes(room[:, 13 * i : 13 * i + 640] for i in range(40))) == {0}  # 2 % of the frame each time


def test_after_a_cut_a_flash_is_no_other_until_its_time_is_over():
    first, second = (SyntheticPerson(seed=seed).picture(0) for seed in (0, 1000))
    assert scenes([first, second, first, second]) == [0, 1, 1, 1]
    assert scenes([first, second, first, second], fps=1 / REFRACTORY) == [0, 1, 2, 3]


def test_black_frames_and_frames_of_another_size_are_compared_too():
    picture = SyntheticPerson(seed=4).picture(0)
    assert scenes([np.zeros_like(picture)] * 2 + [picture]) == [0, 0, 1]
    assert scenes([picture, picture[::2, ::2]]) == [0, 0]
    assert scenes([np.zeros((1, 1, 3), np.uint8)] * 2) == [0, 0]


def test_another_stream_is_another_scene():
    detector = SceneDetector()
    picture = SyntheticPerson(seed=4).picture(0)
    detector.reset()
    assert detector(picture, 9.0) == 0
    detector.reset()
    assert detector(picture, 0.0) == 1


@pytest.mark.parametrize("name", ["dance-twirl", "parkour", "paragliding-launch"])
def test_a_camera_that_follows_a_person_makes_no_cut(shared, name):
    paths = sorted((shared / "davis2016/JPEGImages/480p" / name).glob("*.jpg"))
    assert len(paths) > 50
    assert set(scenes(cv2.imread(str(path)) for path in paths)) == {0}


def test_the_cuts_of_real_clips_are_found_and_no_others(shared):
    from benchmarks.harness.manifest import STAND_IN, read_manifest
    from engine.sources import open_source

    for clip in read_manifest(STAND_IN, shared / "clips").clips:
        if clip.name not in ("hard4_asl", "med1_cap13_capture4", "easy7_dimmer"):
            continue
        detector, last, found = SceneDetector(), 0, []
        for frame in open_source(clip.path):
            scene = detector(frame.bgr, frame.position)
            if scene != last:
                found.append(frame.index)
            last = scene
        assert found == list(clip.cuts), clip.name
