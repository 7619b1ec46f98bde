"""The main job, without real footage: `jm-engine` as a user runs it puts a person before another background."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from engine.sources.synthetic import SyntheticPerson
from tests.clips import figure_clip, read_clip
from tests.data.make_clip import CLIP, FRAMES, PERSON
from tests.toml_teacher import write_teacher

MAGENTA = (255, 0, 255)  # BGR; nothing in the clips is near it
STRANGER = SyntheticPerson(width=320, height=240, seed=5)  # whom the shipped student finds badly


def paint(clip, folder, *arguments):
    """jm-engine in a process of its own: painted pictures, alphas in [0, 1], the report."""
    out, alpha, report = folder / "out.mkv", folder / "alpha.mkv", folder / "report.json"
    files = ["-i", clip, "-o", out, "--alpha", alpha, "--report", report, "--background", "#ff00ff", "--threads", "2"]
    command = [sys.executable, "-m", "engine.cli", *map(str, files), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    alphas = [frame[..., 0] / np.float32(255) for frame in read_clip(alpha)]
    return read_clip(out), alphas, json.loads(report.read_text())


def ious(person, alphas):
    """IoU of each alpha with the true mask of its frame."""
    truths = [person.mask(i) > 0 for i in range(len(alphas))]
    masks = [alpha > 0.5 for alpha in alphas]
    return [(m & t).sum() / (m | t).sum() for m, t in zip(masks, truths, strict=True)]


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    return paint(CLIP, tmp_path_factory.mktemp("painted"), "--teacher", "none")


def test_the_clip_is_what_the_synthetic_person_draws():
    frames = read_clip(CLIP)
    assert len(frames) == FRAMES
    assert max(np.abs(frame.astype(int) - PERSON.picture(i)).mean() for i, frame in enumerate(frames)) < 4


def test_every_frame_of_the_clip_is_painted(painted):
    pictures, alphas, report = painted
    assert len(pictures) == len(alphas) == report["frames"] == FRAMES
    assert (report["ended"], report["faults"], report["dropped"]) == ("ok", 0, 0)
    assert {picture.shape for picture in pictures} == {(240, 320, 3)}


def test_the_shipped_student_finds_the_person(painted):
    """In a scene that is fresh: what it is unsure of is background."""
    scores = ious(PERSON, painted[1])
    assert np.mean(scores) > 0.9
    assert min(scores) > 0.75


def shares(pictures, expected, where):
    """Of each picture, the share of the pixels in its mask `where` that are as `expected`."""
    near = [np.abs(a.astype(int) - b).max(axis=2) < 24 for a, b in zip(pictures, expected, strict=True)]
    return [n[w].mean() for n, w in zip(near, where, strict=True)]


def test_behind_the_person_only_the_new_background_is_seen(painted):
    far = [cv2.dilate(PERSON.mask(i), np.ones((15, 15), np.uint8)) == 0 for i in range(FRAMES)]
    replaced = shares(painted[0], [MAGENTA] * FRAMES, far)
    assert np.mean(replaced) > 0.99
    assert min(replaced) > 0.95


def test_the_person_is_not_painted_over(painted):
    inside = [cv2.erode(PERSON.mask(i), np.ones((15, 15), np.uint8)) > 0 for i in range(FRAMES)]
    kept = shares(painted[0], read_clip(CLIP), inside)
    assert np.mean(kept) > 0.9
    assert min(kept) > 0.75


def test_with_a_teacher_the_student_learns_to_find_somebody_it_did_not(tmp_path):
    clip = figure_clip(tmp_path / "stranger.mp4", frames=60, seed=5)
    folders = [tmp_path / name for name in ("alone", "taught")]
    for folder in folders:
        folder.mkdir()
    teacher = write_teacher(tmp_path, STRANGER._scene(0).background)
    alone, taught = (paint(clip, f, "--teacher", t) for f, t in zip(folders, ("none", teacher), strict=True))
    late = slice(30, None)
    before, after = (np.mean(ious(STRANGER, alphas)[late]) for _, alphas, _ in (alone, taught))
    assert taught[2]["learning"]["swaps"] > 0
    assert before < 0.3
    assert after > 0.9
