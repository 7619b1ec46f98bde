"""The harness under the benches: who paints, what is timed and what is not, which benches `all` runs."""

import argparse
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from benchmarks import peers
from benchmarks.cli import BENCHES, READERS, _parser
from benchmarks.harness.evaluation import Scorer
from benchmarks.harness.machine import header
from benchmarks.harness.manifest import Clip
from benchmarks.harness.methods import BACKGROUND, Method, PeerPainter
from benchmarks.harness.runs import WARM, Run, run
from benchmarks.harness.scores import is_scored
from benchmarks.harness.timing import block_medians, percentiles, side_by_side
from benchmarks.run_all import ALONE, ON_CLIPS, plan
from engine import Masker
from tests.clips import figure_clip
from training.teachers import TEACHERS

FRAMES = 16
COLOUR = tuple(int(BACKGROUND[i : i + 2], 16) for i in (5, 3, 1))  # BGR


class LeftHalf:
    """A peer: who stands to the left is a person."""

    settings, remembers = "none", False

    def __call__(self, bgr):
        alpha = np.zeros(bgr.shape[:2], np.float32)
        alpha[:, : bgr.shape[1] // 2] = 1
        return alpha


class WaitsForTheSource(PeerPainter):
    """Paints its first frame only when the last one was read, or the source has waited for `patience` s in vain."""

    def __init__(self, patience):
        super().__init__(LeftHalf(), threads=1)
        self.patience = patience

    def process(self, bgr, timestamp=None, canvas=None):
        for thread in threading.enumerate():
            if thread.name == "source" and timestamp == 0:
                thread.join(self.patience)
        return super().process(bgr, timestamp, canvas)


@pytest.fixture
def clip(tmp_path):
    return figure_clip(tmp_path / "clip.mp4", FRAMES, width=64, height=48)


def test_a_peer_paints_over_the_background_of_ours_with_the_whole_budget():
    bgr = np.full((12, 16, 3), 200, np.uint8)
    cv2.setNumThreads(3)
    with PeerPainter(LeftHalf(), threads=2) as painter:
        result = painter.process(bgr)
    assert cv2.getNumThreads() == 2
    assert (result.picture[:, :8] == 200).all()
    assert (result.picture[:, 8:] == COLOUR).all()
    assert (result.alpha == 255 * LeftHalf()(bgr)).all()
    with Masker("ort-cpu", None, BACKGROUND, threads=1, min_area=1.1) as ours:
        assert (ours(bgr) == COLOUR).all()


def test_a_peer_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(peers.UsageError, match=r"unknown peer 'nobody'; choose of selfie, selfie-landscape, meet-full"):
        peers.load("nobody", 1)


# -- what is painted for scoring -----------------------------------------------------------------------------------


class Counts:
    """A peer that draws the frame's brightness, and knows how often it was asked."""

    settings, remembers = "none", False
    asked = 0

    def __init__(self, threads=1):
        pass

    def __call__(self, bgr):
        Counts.asked += 1
        return bgr[..., 1].astype(np.float32) / 255


class CountsAndRemembers(Counts):
    remembers = True


class Bright(Counts):
    """The reference."""

    def __call__(self, bgr):
        return (bgr[..., 1] > 127).astype(np.float32)


@pytest.mark.parametrize(("frames", "flicker"), [(None, True), (23, True), (None, False)])
def test_who_remembers_nothing_paints_what_is_scored_alone_and_has_the_same_numbers(
    tmp_path, monkeypatch, frames, flicker
):
    cut = 31
    clip = Clip("one", figure_clip(tmp_path / "one.mp4", 90, width=64, height=48), "medium", (cut,), ())
    for name, peer in {"forgets": Counts, "remembers": CountsAndRemembers, "rvm": Bright}.items():
        monkeypatch.setitem(peers.PEERS, name, lambda peer=peer: peer)
        monkeypatch.setitem(TEACHERS, name, lambda peer=peer: peer)
    args = argparse.Namespace(threads=1, labels=None, frames=frames, pace="lockstep")
    scorer, mattes, asked = Scorer(args, flicker), {}, {}
    for name in ("forgets", "remembers"):
        method = Method(name, args)
        Counts.asked = 0
        mattes[name], asked[name] = scorer.paint(clip, method), Counts.asked
    wanted = [i for i in range(frames or 90) if is_scored(clip.cuts, flicker)(i)]
    assert asked == {"forgets": len(wanted), "remembers": frames or 90}
    assert mattes["forgets"].indices() == mattes["remembers"].indices() == wanted
    assert all((mattes["forgets"][i] == mattes["remembers"][i]).all() for i in wanted)
    forgets, remembers = (vars(scores) for scores in scorer.score(clip, mattes).values())
    assert {key: np.hstack(value) for key, value in forgets.items() if value} == {
        key: pytest.approx(np.hstack(value), abs=1e-9) for key, value in remembers.items() if value
    }
    assert len(forgets["iou_acc"]) > 4


# -- what is timed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", ["flat out", "live", "lockstep"])
def test_a_file_loses_no_frame(clip, pace):
    done = run(WaitsForTheSource(patience=1), clip, pace)
    assert (len(done.stamps), done.pipeline.dropped) == (FRAMES, 0)
    assert done.stamps == sorted(done.stamps)


def test_as_a_camera_a_clip_waits_for_nobody(clip):
    done = run(WaitsForTheSource(patience=60), clip, "camera")
    assert len(done.stamps) <= 2
    assert len(done.stamps) + done.pipeline.dropped == FRAMES


def test_the_first_pictures_of_a_run_are_not_timed_where_there_are_others():
    long = Run([float(i**2) for i in range(2 * WARM + 1)], [float(i) for i in range(2 * WARM + 1)], None)
    assert long.periods_ms[0] == pytest.approx(1e3 * ((WARM + 1) ** 2 - WARM**2))
    assert len(long.periods_ms) == WARM
    assert long.latencies_ms[0] == WARM
    short = Run([0.0, 0.5], [7.0, 8.0], None)
    assert (short.periods_ms, short.latencies_ms) == ([500.0], [7.0, 8.0])


def test_functions_are_timed_in_turn_and_the_first_rounds_do_not_count():
    calls = []
    ms = side_by_side({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3, warm=2)
    assert calls == ["a", "b"] * 5
    assert {name: len(series) for name, series in ms.items()} == {"a": 3, "b": 3}


def test_the_repeats_of_a_series_are_the_medians_of_its_stretches():
    assert block_medians([1, 2, 9, 4, 5, 6], blocks=2) == [2.0, 5.0]
    assert block_medians([3, 1], blocks=7) == [3.0, 1.0]
    assert percentiles(range(101), 50, 95) == {"p50": 50.0, "p95": 95.0}


@pytest.mark.parametrize(("busy", "word"), [(0.15, "(quiet)"), (0.16, "(BUSY: do not trust the times)")])
def test_others_who_keep_the_machine_busy_are_said(busy, word):
    machine = {"cpu": "x", "cores": 2, "system": "Linux", "python": "3", "threads": 1, "commit": "c", "versions": {}}
    assert header({**machine, "others": {"before": 0.0, "during": busy}}).endswith(word)


# -- every bench after the other -----------------------------------------------------------------------------------


@pytest.mark.parametrize("with_clips", [False, True])
def test_all_runs_every_bench_that_has_what_it_needs_with_options_that_it_takes(clip, tmp_path, with_clips):
    manifest = tmp_path / "set.toml"
    manifest.write_text('[[clip]]\nname = "a"\nfile = "clip.mp4"\ndifficulty = "easy"\ncuts = []\n')
    args = argparse.Namespace(
        clips=str(tmp_path) if with_clips else None, manifest=str(manifest), only=["a"], frames=5, quick=True, out="o",
        davis="d", data="p", supervisely="s", masks=["m"], labels=None, minutes=1.0,
    )  # fmt: skip
    steps = plan(args)
    for bench, options in steps:
        assert isinstance(_parser([bench]).parse_args([bench, *options]), argparse.Namespace)
    names = [bench for bench, _ in steps]
    assert set(names) == {
        *ALONE,
        *(ON_CLIPS if with_clips else ()),
        "edges",
        "davis",
        "leak",
        "corrections",
        "truth",
        "table1",
        "report",
    }
    if with_clips:
        assert set(names) == BENCHES.keys() - {*READERS} | {"report"}
    nothing = SimpleNamespace(**{**vars(args), "clips": None, "davis": None, "masks": []})
    assert "edges" not in [bench for bench, _ in plan(nothing)]
