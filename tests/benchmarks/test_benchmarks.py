"""The benches run: a bench that nobody runs is broken by the next change. Times are not tested."""

import json

import cv2
import numpy as np
import pytest

from benchmarks import peers
from benchmarks.cli import BENCHES, main
from benchmarks.harness import painted
from engine.errors import ModelError
from engine.sources.synthetic import SyntheticPerson
from tests.clips import figure_clip, write_clip

FRAMES = 16
FIGURE = {"width": 160, "height": 120, "cut": 8}


@pytest.fixture
def bench(capsys, tmp_path):
    """Runs jm-bench; returns its JSON."""

    def run(*arguments, code=0):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == code
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


class Threshold:
    """A peer and a teacher in one: everything brighter than the middle is a person."""

    settings, random = "none", False

    def __init__(self, threads=1):
        pass

    def __call__(self, bgr):
        return (cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY) > 127).astype(np.float32)


class Absent:
    def __init__(self, threads=1):
        raise ModelError("no weights; get them from the moon")


class Guess(Threshold):
    """Has random weights: must be timed and never scored."""

    random = True


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Clips with a manifest, a reference teacher and three peers; none of them downloads or weighs anything."""
    folder = tmp_path / "clips"
    folder.mkdir()
    figure_clip(folder / "one.mp4", FRAMES, **FIGURE)
    manifest = tmp_path / "set.toml"
    manifest.write_text('title = "toy"\n[[clip]]\nname = "one"\nfile = "one.mp4"\ndifficulty = "medium"\ncuts = [8]\n')
    monkeypatch.setattr(painted, "load", lambda name, threads: Threshold())
    for name, fake in {"same": Threshold, "absent": Absent, "guess": Guess}.items():
        monkeypatch.setitem(peers.PEERS, name, lambda fake=fake: fake)
    return ["--clips", str(folder), "--manifest", str(manifest), "--teacher", "none", "--pace", "lockstep"]


@pytest.mark.parametrize("student", ["lite", "jitnet"])
def test_paint_measures_every_kernel_and_ends_in_json(student, bench):
    result = bench("paint", "--student", student, "--height", "120", "--repeats", "2")
    ms = result["ms"]["160x120"]
    assert {"preprocess", "student", "smooth_alpha", "estimate_foreground", "composite", "paint path"} <= ms.keys()
    assert ms["ratio"] > 0


def test_swap_counts_what_was_adopted(bench):
    assert bench("swap", "--swaps", "3")["swaps"] >= 3


def test_table3_has_every_stage_where_there_is_a_clip(bench, tmp_path):
    clip = figure_clip(tmp_path / "clip.mp4", 42, width=160, height=120)
    result = bench("table3", "--clip", clip, "--repeats", "3")
    assert result["ms"].keys() == {"camera", "preprocess", "student", "output"}


def test_table2_scores_whoever_has_weights_and_says_how_to_get_the_others(bench, stage, tmp_path):
    result = bench("table2", *stage, "--peers", "same", "absent", "guess", "--timed", "6")
    methods = result["methods"]
    assert methods["same"]["iou_acc"] == 1.0
    assert methods["guess"]["iou_acc"] is None
    assert methods["guess"]["period_ms"] > 0
    assert 0 < methods["jit-masker"]["iou_acc"] <= 1
    assert methods["jit-masker"]["clips"]["one"]["report"]["paint_path_ms"]["p50"] > 0
    text = (tmp_path / "out" / "table2.md").read_text()
    assert "get them from the moon" in text
    assert (tmp_path / "out" / "sheet-one.jpg").is_file()


def test_fig3_and_fig4_group_clips_by_difficulty(bench, stage, tmp_path):
    for figure in ("fig3", "fig4"):
        result = bench(figure, *stage, "--peers", "same", "--timed", "6")
        assert "same: medium" in result["metrics"]
        assert (tmp_path / "out" / f"{figure}.png").is_file()


def test_adapt_follows_every_cut_to_the_end(bench, stage):
    (cut,) = bench("adapt", *stage, "--peers", "same")["cuts"]
    assert cut["frame"] == 8
    assert cut["iou_acc"]["same"] == [1.0] * (FRAMES - 8)


def test_flicker_and_edges_know_a_perfect_peer(bench, stage):
    clip = bench("flicker", *stage, "--peers", "same")["clips"]["one"]
    assert clip["same"] == pytest.approx(clip["rvm"])
    (table,) = bench("edges", *stage, "--peers", "same")["edges"].values()
    assert table["same"] == {"edges": 1.0, "sad": 0.0, "gradient": 0.0}


def test_table1_has_a_row_for_every_teacher_that_is_not_there(bench, tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "set" / kind / "a.png"), np.zeros((64, 64), np.uint8))
    bench("table1", "--masks", str(tmp_path / "set"), "--teachers", "nobody")
    text = (tmp_path / "out" / "table1.md").read_text()
    assert "no teacher of this name" in text
    assert "davischallenge.org" in text


def test_the_manifest_of_a_folder_names_its_cuts(bench, tmp_path):
    figure = SyntheticPerson(width=160, height=120)
    write_clip(tmp_path / "a.mp4", [figure.picture(0)] * 4 + [255 - figure.picture(0)] * 4)
    assert bench("manifest", str(tmp_path)) | {"clips": None} == {
        "bench": "manifest", "clips": None, "metrics": {}, "command": "", "machine": {}
    }  # fmt: skip
    assert bench("manifest", str(tmp_path))["clips"] == {"a": [4]}


def test_the_page_needs_nothing_but_itself(bench, stage, tmp_path):
    bench("fig4", *stage, "--peers", "same", "--timed", "4")
    bench("table2", *stage, "--peers", "same", "--timed", "4")
    bench("report", str(tmp_path / "out"))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "data:image/jpeg;base64," in page
    assert "paper .895; toy" in page
    assert "http://" not in page
    assert "https://" not in page


def test_no_folder_of_this_machine_stands_beside_a_number(bench, stage, tmp_path):
    bench("fig4", *stage, "--peers", "absent", "--timed", "2", f"--labels={tmp_path}")
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "--quick" in capsys.readouterr().out
