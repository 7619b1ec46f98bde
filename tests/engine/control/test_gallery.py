"""A folder of backgrounds, and the last choice kept for the next run."""

import json
import os
import stat
from pathlib import Path

import pytest

from engine.control.gallery import Gallery, natural
from engine.control.remembered import Remembered
from engine.options import Options


def test_digits_are_sorted_by_their_number():
    names = ["b.png", "a10.png", "A2.png", "a1b30.png", "a1b4.png", "10.png", "9.png", "²."]
    expected = ["9.png", "10.png", "a1b4.png", "a1b30.png", "A2.png", "a10.png", "b.png", "²."]
    assert sorted(names, key=lambda name: natural(Path(name))) == expected


def test_a_missing_gallery_is_empty(tmp_path):
    gallery = Gallery(str(tmp_path / "nothing"))
    assert gallery.paths() == gallery.around("x", 1) == []
    assert gallery.find("beach2") is None


def test_folders_hidden_files_and_other_files_are_no_backgrounds(pictures):
    (pictures / "folder.png").mkdir()
    assert [path.name for path in Gallery(str(pictures)).paths()] == ["beach2.png", "beach3.png", "beach10.png"]


@pytest.mark.parametrize(
    ("current", "step", "order"),
    [("beach3.png", 1, "10 2 3"), ("beach3.png", -1, "2 10 3"), ("blur", 1, "2 3 10"), ("blur", -1, "10 3 2")],
)
def test_the_gallery_goes_round(pictures, current, step, order):
    around = Gallery(str(pictures)).around(str(pictures / current), step)
    assert [path.name for path in around] == [f"beach{number}.png" for number in order.split()]


def test_the_choice_is_for_this_user_alone_and_comes_back(tmp_path):
    path, choice = tmp_path / "new" / "remembered.json", Remembered("blur:0.7", True, False, 0.7)
    choice.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Remembered.load(path) == choice
    assert os.listdir(path.parent) == [path.name]


def test_nothing_is_remembered_before_a_first_choice(tmp_path, caplog):
    assert Remembered.load(tmp_path / "nothing.json") == Remembered()
    assert caplog.text == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b"9" * 5000,
        b'{"blur": 7}',
        b'{"blur": NaN}',
        b'{"blur": true}',
        b'{"mirrored": 1}',
        b'{"background": 1}',
    ],
)
def test_a_damaged_choice_costs_a_warning_and_the_defaults(tmp_path, caplog, data):
    path = tmp_path / "remembered.json"
    path.write_bytes(data)
    path.chmod(0o600)
    assert Remembered.load(path) == Remembered()
    assert f"the last choice in {path} cannot be used" in caplog.text


def test_a_choice_that_others_could_have_written_is_not_believed(tmp_path, caplog):
    path = tmp_path / "remembered.json"
    Remembered(mirrored=True).save(path)
    path.chmod(0o666)
    assert Remembered.load(path) == Remembered()
    assert "this user alone can write" in caplog.text


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path, caplog):
    (tmp_path / "file").touch()
    Remembered().save(tmp_path / "file" / "remembered.json")
    assert "the choice is not remembered" in caplog.text


def test_what_options_say_wins_over_what_is_remembered():
    remembered = Remembered("#00ff00", True, True)
    assert remembered.under(Options(background="#0000ff", mirror=False)) == Options(
        background="#0000ff", mirror=False, frame="auto"
    )
    assert remembered.under(Options()) == Options(background="#00ff00", mirror=True, frame="auto")
    assert Remembered().under(Options()) == Options()


def test_a_remembered_background_that_is_gone_gives_way_to_the_default(tmp_path, caplog):
    assert Remembered(str(tmp_path / "gone.png")).under(Options()) == Options()
    assert "the last background is not shown" in caplog.text


def test_keys_that_a_later_version_wrote_are_ignored(tmp_path):
    path = tmp_path / "remembered.json"
    Remembered(mirrored=True).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sparkle": 1}))
    assert Remembered.load(path) == Remembered(mirrored=True)
