"""Which clips and datasets a bench runs on: the paper's rule of difficulty; errors say what is missing and where."""

import argparse

import cv2
import numpy as np
import pytest

from benchmarks.harness.by_difficulty import spread
from benchmarks.harness.datasets import open_dataset
from benchmarks.harness.manifest import STAND_IN, Clip, chosen, difficulty, read_manifest, write_manifest
from engine.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.mp4").touch()
    return tmp_path


def entry(name="a", cuts="[]", word="easy", more=""):
    return f'[[clip]]\nname = "{name}"\nfile = "{name}.mp4"\ndifficulty = "{word}"\ncuts = {cuts}\n{more}\n'


def read(folder, text):
    (folder / "set.toml").write_text(text)
    return read_manifest(folder / "set.toml", folder)


def test_difficulty_is_the_papers_rule():
    assert [difficulty(changes) for changes in (0, 1, 2, 3, 19)] == ["easy", "medium", "hard", "hard", "hard"]


def test_a_manifest_that_contradicts_the_rule_is_refused(folder):
    with pytest.raises(UsageError, match="'easy' and has 1 scene change.*that is 'medium'"):
        read(folder, entry(cuts="[50]"))


def test_people_who_come_and_go_are_scene_changes_and_not_cuts(folder):
    (clip,) = read(folder, entry(cuts="[50]", word="hard", more="changes = [80]")).clips
    assert clip.cuts == (50,)
    assert clip.difficulty == "hard"


@pytest.mark.parametrize("cuts", ["[5, 5]", "[9, 4]", "[0]", "[1.5]", '"7"'])
def test_cuts_are_rising_frames(folder, cuts):
    with pytest.raises(UsageError, match="cuts of 'a' are"):
        read(folder, entry(cuts=cuts, word="hard"))


def test_a_stand_in_says_so_beside_every_number(folder):
    assert read(folder, f'title = "toy"\nstand_in = true\n{entry()}').title == "toy (stand-in)"
    assert read(folder, f'title = "toy"\n{entry()}').title == "toy"


def test_a_missing_clip_is_named_with_where_such_a_set_is_had(folder):
    (folder / "a.mp4").unlink()
    with pytest.raises(UsageError, match=r"no file .*a\.mp4, which .*set\.toml lists.*jm-bench manifest FOLDER"):
        read(folder, entry())


def test_a_missing_manifest_folder_or_field_is_named(folder, tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the manifest .*none\.toml"):
        read_manifest(tmp_path / "none.toml", folder)
    with pytest.raises(UsageError, match="no folder .*nowhere.*not published"):
        read_manifest(STAND_IN, tmp_path / "nowhere")
    with pytest.raises(UsageError, match="clip 'a' has no 'cuts'"):
        read(folder, entry().replace("cuts = []", ""))
    with pytest.raises(UsageError, match="lists no clip"):
        read(folder, 'title = "toy"')


def test_what_is_written_is_read_again(folder):
    clips = [
        Clip("a", str(folder / "a.mp4"), "medium", (7,)),
        Clip("b", str(folder / "b.mp4"), "hard", (), (3, 9)),
    ]
    assert read(folder, write_manifest("toy", clips, stand_in=False)).clips == clips


def test_only_the_clips_asked_for_are_run(folder):
    (folder / "set.toml").write_text(entry() + entry("b"))
    args = argparse.Namespace(
        clips=str(folder), manifest=str(folder / "set.toml"), only=["b"], frames=None, quick=False
    )
    assert [clip.name for clip in chosen(args).clips] == ["b"]
    assert args.frames is None
    args.quick = True
    assert [clip.name for clip in chosen(args, 30).clips] == ["b"]
    assert args.frames == 30
    args.only = ["c"]
    with pytest.raises(UsageError, match="no clip 'c'.*choose of a, b"):
        chosen(args)
    args.clips = None
    with pytest.raises(UsageError, match="--clips DIR, or JM_CLIPS"):
        chosen(args)


def test_a_bar_counts_each_clip_once_and_its_error_every_frame():
    clips = [Clip("a", "", "easy", ()), Clip("b", "", "easy", ()), Clip("c", "", "medium", (1,))]
    series = {"a": [1.0, 1.0, 1.0, 1.0], "b": [0.0]}
    assert spread(series, clips, "easy") == (0.5, pytest.approx(np.std([1, 1, 1, 1, 0])))
    assert spread(series, clips, "medium") is None


# -- sets with masks -----------------------------------------------------------------------------------------------


def test_a_missing_folder_of_a_set_is_named_with_where_it_is_had(tmp_path):
    with pytest.raises(UsageError, match=r"DAVIS 2016.*no folder .*nowhere.*--davis DIR.*davischallenge\.org"):
        open_dataset("davis", tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"Supervisely Person.*nowhere.*dsN/img.*supervisely\.com"):
        open_dataset("supervisely", tmp_path / "nowhere")


def test_a_missing_annotation_is_named(tmp_path):
    images = tmp_path / "JPEGImages" / "480p" / "bear"
    images.mkdir(parents=True)
    cv2.imwrite(str(images / "00000.jpg"), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(UsageError, match=r"Annotations.480p.bear.00000\.png.*davischallenge\.org"):
        open_dataset("davis", tmp_path)
    supervisely = tmp_path / "s" / "ds1" / "img"
    supervisely.mkdir(parents=True)
    (tmp_path / "s" / "ds1" / "ann").mkdir()
    cv2.imwrite(str(supervisely / "x.png"), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(UsageError, match=r"ann.x\.png\.json.*supervisely\.com"):
        open_dataset("supervisely", tmp_path / "s")


def test_davis_is_read_in_its_official_layout(tmp_path):
    for kind, suffix, value in (("JPEGImages", "jpg", 0), ("Annotations", "png", 255)):
        place = tmp_path / kind / "480p" / "bear"
        place.mkdir(parents=True)
        cv2.imwrite(str(place / f"00000.{suffix}"), np.full((48, 64), value, np.uint8))
    (sample,) = open_dataset("davis", tmp_path)
    assert sample.mask.all()
