"""Measures against a true matte equal their definitions typed out; made clips hold several people and small ones."""

import json
from argparse import Namespace
from collections import deque

import cv2
import numpy as np
import pytest

from benchmarks import cli, peers, report, truth
from benchmarks.harness import truth as made
from benchmarks.harness.cutouts import Data
from benchmarks.harness.leaks import regions
from benchmarks.harness.methods import OURS, STILL
from benchmarks.harness.quality import THETA, connectivity_error, dtssd, mad
from benchmarks.harness.true_scores import MEASURES, ON_MASKS, TrueScores, averages, verdict
from benchmarks.harness.truth import Clip, Scene
from engine.errors import ModelError, UsageError
from engine.sources.synthetic import SyntheticPerson
from tests.people import people_and_rooms
from training.teachers import TEACHERS

H, W = 48, 64


def blob(y=24, x=32, radius=12, soft=2.0):
    """float32 (H, W): a disk with a soft edge."""
    rows, columns = np.mgrid[:H, :W]
    alpha = np.clip((radius - np.hypot(rows - y, columns - x)) / soft + 0.5, 0, 1)
    return np.rint(255 * alpha).astype(np.float32) / 255


def seen(*frames, measures=tuple(MEASURES), cuts=()):
    """TrueScores of (alpha, truth), float (H, W) each."""
    scores = TrueScores(measures)
    for i, (alpha, true) in enumerate(frames):
        scores.look(np.rint(255 * alpha).astype(np.uint8), true, regions(true), i in cuts)
    return scores


# -- measures against their definitions ----------------------------------------------------------------------------


def largest_region(mask):
    """The largest 4-connected set of pixels, by a search from every pixel."""
    left, found = set(zip(*np.nonzero(mask), strict=True)), set()
    while left:
        region, edge = set(), deque([min(left)])
        while edge:
            y, x = edge.popleft()
            if (y, x) in left:
                left.remove((y, x))
                region.add((y, x))
                edge.extend([(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)])
        found = region if len(region) > len(found) else found
    return found


def brute_force_connectivity(label, alpha):
    """Pixel by pixel: l is the last level before the first at which the pixel is not in the source."""
    sources = [largest_region(np.minimum(label, alpha) >= np.float32(k / 10)) for k in range(1, 11)]
    total = 0.0
    for y in range(label.shape[0]):
        for x in range(label.shape[1]):
            outside = [k for k, source in enumerate(sources) if (y, x) not in source]
            level = np.float32(min(outside, default=10) / 10)
            degrees = []
            for matte in (label, alpha):
                apart = matte[y, x] - level
                degrees.append(1 - (apart if apart >= THETA else 0))
            total += abs(degrees[0] - degrees[1])
    return total / 1000


@pytest.mark.parametrize("seed", range(8))
def test_connectivity_is_its_definition_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    label, alpha = (np.clip(cv2.GaussianBlur(rng.random((17, 23)), (0, 0), 1.5) * 4 - 1.5, 0, 1) for _ in range(2))
    label, alpha = (np.rint(255 * m).astype(np.float32) / 255 for m in (label, 0.7 * label + 0.3 * alpha))
    found = connectivity_error(label, alpha)
    assert found > 0
    assert found == pytest.approx(brute_force_connectivity(label, alpha), rel=1e-5)


def test_what_is_not_connected_to_the_person_counts_with_its_alpha():
    true = blob(radius=10, soft=0.01)
    island = true.copy()
    island[2:6, 2:7] = 0.5
    assert connectivity_error(true, island) == pytest.approx(20 * 0.5 / 1000)
    island[2:6, 2:7] = THETA - 0.01
    assert connectivity_error(true, island) == 0
    assert connectivity_error(true, true) == 0


def test_regions_that_touch_at_a_corner_are_not_connected():
    true, alpha = np.zeros((2, 6, 6), np.float32)
    true[:4, :4] = alpha[:4, :4] = 1
    alpha[4, 4] = 1
    assert connectivity_error(true, alpha) == pytest.approx(1 / 1000)


def test_where_nobody_is_everything_painted_is_unconnected():
    assert connectivity_error(np.zeros((H, W)), np.full((H, W), 0.4)) == pytest.approx(0.4 * H * W / 1000)


def test_mad_is_per_mille_of_the_frame():
    assert mad(np.zeros((H, W)), np.full((H, W), 0.25)) == pytest.approx(250)
    half = np.zeros((H, W))
    half[:, : W // 2] = 1
    assert mad(half, np.zeros((H, W))) == mad(np.zeros((H, W)), half) == pytest.approx(500)


def test_dtssd_is_of_changes_alone_and_its_root_is_taken_per_frame():
    before, after = blob(x=30), blob(x=33)
    assert dtssd((before, after), (before, after)) == 0
    assert dtssd((before, after), (0.5 + before / 2, 0.5 + after / 2)) > 0  # half the change
    offset = (before - 0.2, after - 0.2)  # wrong, but it does not flicker
    assert dtssd((before, after), offset) == pytest.approx(0, abs=1e-5)
    flat = np.zeros((H, W))
    assert dtssd((flat, flat), (flat, flat + 0.3)) == pytest.approx(30)
    one = flat.copy()
    one[0, 0] = 1
    assert dtssd((flat, flat), (flat, one)) == pytest.approx(100 / np.sqrt(H * W))


# -- scores of a clip ----------------------------------------------------------------------------------------------


def test_a_true_alpha_has_the_best_of_every_measure():
    means = seen(*[(blob(x=30 + i),) * 2 for i in range(4)]).means()
    best = {key: float(measure.better == "higher") for key, measure in MEASURES.items()}
    assert means == pytest.approx(best, abs=1e-4)


def test_who_paints_all_shows_the_room_and_who_paints_nothing_loses_the_person():
    everything, nothing = (seen((matte, blob())).means() for matte in (np.ones((H, W)), np.zeros((H, W))))
    assert (everything["leak"], everything["lost"]) == (100, 0)
    assert (nothing["leak"], nothing["lost"], nothing["iou"], nothing["edges"]) == (0, 100, 0, 0)


def test_frames_without_a_person_say_nothing_of_iou_and_all_of_what_is_painted():
    nobody, painted = np.zeros((H, W), np.float32), np.full((H, W), 0.6)
    scores = seen((blob(), blob()), (painted, nobody))
    assert np.isnan(scores.values["iou"]).tolist() == np.isnan(scores.values["edges"]).tolist() == [False, True]
    assert scores.means()["iou"] == 1
    assert scores.values["mad"][1] == pytest.approx(600)
    assert scores.values["leak"][1] == pytest.approx(60)
    assert np.isnan(scores.values["lost"][1])
    assert seen((painted, nobody)).means()["iou"] is None


def test_no_change_is_asked_for_over_a_cut():
    here, there = blob(x=20), blob(x=44)
    assert seen((here, here), (here, there), cuts=(1,)).means()["dtssd"] is None
    assert seen((here, here), (here, there)).means()["dtssd"] > 0


def test_the_worst_frame_is_the_one_with_the_largest_difference():
    scores, worst = TrueScores(), []
    for x in (32, 36, 34, 40, 40):
        scores.look(np.rint(255 * blob(x=x)).astype(np.uint8), blob(), regions(blob()))
        worst.append(scores.is_worst())
    assert worst == [True, True, False, True, False]


def test_masks_are_asked_for_no_half_tones():
    assert list(seen((blob(), blob()), measures=ON_MASKS).means()) == [key for key in MEASURES if key in ON_MASKS]


def test_each_clip_counts_once_in_the_mean():
    long, short = seen(*[(blob(), blob())] * 5), seen((np.zeros((H, W)), blob()))
    assert averages([{"x": long}, {"x": short}])["x"]["iou"] == 0.5
    nobody = seen((np.zeros((H, W)), np.zeros((H, W), np.float32)))
    assert averages([{"x": long}, {"x": nobody}])["x"]["iou"] == 1


def test_a_verdict_names_who_is_ahead():
    means = {"ours": {"iou": 0.9, "mad": 3.0, "leak": 0.0, "lost": None}}
    means |= {
        "a": {"iou": 0.8, "mad": 2.0, "leak": 0.0, "lost": 1.0},
        "b": {"iou": 0.7, "mad": 2.5, "leak": 1.0, "lost": 1.0},
    }
    means["not a rival"] = {"iou": 1.0, "mad": 0.0, "leak": 0.0, "lost": 0.0}
    assert verdict(means, "ours", ["a", "b"]) == [
        ("IoU ↑", 0.9, "a", 0.8, "yes"),
        ("MAD ↓, ‰", 3.0, "a", 2.0, "NO: a; b"),
        ("room shown ↓, %", 0.0, "a", 0.0, "even"),
    ]


# -- clips with several people, and with small ones ------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    """Two portraits and two rooms."""
    return Data(people_and_rooms(tmp_path), lambda bgr: np.zeros(bgr.shape[:2], np.float32))


def scene(person="anna", room="hall", **options):
    return Scene(person, f"backgrounds/{room}.jpg", **options)


def of(data, room="hall", count=9, **options):
    return list(made.frames(Clip("c", (scene(room=room, **options),)), data, count))


COUPLE = {"path": "right", "others": (("ben", "across"),)}


@pytest.mark.parametrize("options", [COUPLE, {"path": "far"}, {"path": "far", "camera": "shake"}])
def test_a_frame_is_what_its_matte_says_of_all_its_people_and_the_room(data, options):
    for here, there in zip(of(data, "hall", **options), of(data, "attic", **options), strict=True):
        np.testing.assert_array_equal(here.alpha, there.alpha)
        # two composites over two rooms, less one another: people drop out of I = a F + (1 - a) B
        expected = (1 - here.alpha[..., None]) * (here.room.astype(np.float32) - there.room)
        assert np.abs(here.bgr.astype(np.float32) - there.bgr - expected).max() <= 1.01


def test_the_matte_of_several_is_the_union_of_each_one_s(data):
    together = of(data, **COUPLE)
    apart = [of(data, path="right"), [f.alpha for f in of(data, person="ben", path="across")]]
    overlap = 0
    for both, anna, ben in zip(together, *apart, strict=True):
        np.testing.assert_allclose(both.alpha, 1 - (1 - anna.alpha) * (1 - ben), atol=1e-6)
        overlap += int(((anna.alpha == 1) & (ben == 1)).any())
    assert overlap > 0


def test_who_is_named_later_stands_in_front(data):
    red = {"anna": 220, "ben": 120}
    for first, second in (("anna", "ben"), ("ben", "anna")):
        frame = of(data, person=first, path="sway", others=((second, "sway"),), count=1)[0]
        assert np.abs(frame.bgr[frame.alpha == 1][:, 2].astype(int) - red[second]).max() < 12


def test_several_are_the_same_each_time(data):
    for first, again in zip(of(data, **COUPLE), of(data, **COUPLE), strict=True):
        np.testing.assert_array_equal(first.bgr, again.bgr)


def test_who_is_small_keeps_area_and_edge(data):
    """A warp that skips pixels would make holes, and a matte that jumps."""
    frames = of(data, path="far", count=100)
    areas = np.array([frame.alpha.mean() for frame in frames])
    assert 0.001 < areas.min() < areas.max() < 0.1
    scales = np.array([np.sqrt(np.linalg.det(made.PATHS["far"](i / made.FPS, 0.0)[:2, :2])) for i in range(100)])
    sizes = np.sqrt(areas) / scales
    assert sizes.max() < 1.1 * sizes.min()
    assert all(frame.alpha.max() > 0.99 for frame in frames)


def test_a_clip_shows_a_person_up_to_a_third_of_the_frame_s_height_and_one_three_people():
    several, small = made.MORE
    assert len(several.scenes[0].others) == 2
    assert {scene.path for scene in small.scenes} == {"far"}
    assert {clip.name for clip in made.CLIPS}.isdisjoint(clip.name for clip in made.MORE)


# -- the bench -----------------------------------------------------------------------------------------------------


class Everything:
    settings, remembers = "none", False

    def __init__(self, threads=1):
        pass

    def __call__(self, bgr):
        return np.ones(bgr.shape[:2], np.float32)


class Absent:
    def __init__(self, threads=1):
        raise ModelError("no weights; get them from the moon")


class Red(Everything):
    """Finds the people of `people_and_rooms`: a teacher and a peer in one."""

    def __call__(self, bgr):
        return ((bgr[..., 2] > 100) & (bgr[..., 1] < 60) & (bgr[..., 0] < 60)).astype(np.float32)


@pytest.fixture
def stage(monkeypatch, data):
    """Peers and a teacher that weigh nothing; two short clips."""
    for name, peer in {"everything": Everything, "red": Red, "absent": Absent}.items():
        monkeypatch.setitem(peers.PEERS, name, lambda peer=peer: peer)
    for name in ("rvm", "red"):
        monkeypatch.setitem(TEACHERS, name, lambda: Red)
    clips = (Clip("desk", (scene(),)), Clip("cuts", (scene(), scene("ben", "attic"))))
    monkeypatch.setattr(truth, "CLIPS", clips)
    monkeypatch.setattr(truth, "MORE", (Clip("several", (scene(**COUPLE),)),))
    return ["--frames", "6", "--teacher", "red", "--peers", "everything", "red", "absent"]


def write_sequence(folder, name, figure, frames=4):
    """A sequence in the layout of DAVIS."""
    for kind, image, suffix in (("JPEGImages", figure.picture, "jpg"), ("Annotations", figure.mask, "png")):
        place = folder / kind / "480p" / name
        place.mkdir(parents=True)
        for i in range(frames):
            cv2.imwrite(str(place / f"{i:05d}.{suffix}"), image(i))


def run(*given):
    return truth.main(cli._parser(["truth", *given]).parse_args(["truth", *given]))


def test_everybody_is_scored_on_the_same_frames_and_the_best_is_named(data, stage):
    result = run("--data", str(data.folder), *stage)
    found = result.numbers["clips"]
    assert list(found) == ["desk", "cuts", "several"]
    for clip in found.values():
        assert list(clip["methods"]) == [OURS, STILL, "everything", "red", "red, each frame alone"]
        assert clip["frames"] == 6
        everything = clip["methods"]["everything"]
        assert (everything["leak"], everything["lost"]) == pytest.approx((100, 0))
        assert clip["methods"]["red"]["iou"] > 0.97
        assert clip["methods"]["red, each frame alone"]["iou"] == pytest.approx(clip["methods"]["red"]["iou"], abs=1e-6)
        assert everything["iou"] == pytest.approx(clip["person"], abs=0.01)
    mean, judged = result.tables[:2]
    assert mean.pace == judged.pace == "lockstep"
    column = mean.columns.index("IoU ↑")
    rows = {row[0]: row[column] for row in mean.rows}
    assert rows["red"] == pytest.approx(np.mean([clip["methods"]["red"]["iou"] for clip in found.values()]))
    assert {row[0]: row[4] for row in judged.rows}["IoU ↑"] == "NO: everything; red; red, each frame alone"
    assert result.metrics["red: IoU; made clips"].better == "higher"
    assert result.metrics["everything: MAD; made clips"].better == "lower"
    assert "absent: no weights; get them from the moon" in result.notes
    assert any(row[0] == "several" and row[1].startswith("2 at once") for row in result.tables[-1].rows)


def test_a_sheet_shows_the_frame_on_which_ours_is_worst(data, stage):
    result = run("--data", str(data.folder), "--truth", "desk", *stage)
    assert list(result.sheets) == ["truth-desk"]
    rows = ("frame", OURS, STILL, "everything", "red", "red, each frame alone")
    assert result.sheets["truth-desk"].shape[0] == len(rows) * 150


def test_the_report_puts_a_sheet_below_the_bench_it_is_of(tmp_path):
    names = ("sheet-truth-desk.jpg", "sheet-leak-desk.jpg", "sheet-easy1.jpg")
    assert [report._bench_of(tmp_path / name) for name in names] == ["truth", "leak", "table2"]


def test_without_a_teacher_there_is_no_row_of_it_and_nobody_learns(data, stage):
    result = run("--data", str(data.folder), "--truth", "desk", *stage, "--teacher", "none")
    methods = result.numbers["clips"]["desk"]["methods"]
    assert list(methods) == [OURS, STILL, "everything", "red"]
    assert methods[OURS] == methods[STILL]


def test_sequences_with_people_are_scored_against_their_masks_and_ours_goes_over_them_twice(stage, tmp_path):
    for name in ("parkour", "camel"):
        write_sequence(tmp_path / "davis", name, SyntheticPerson(width=160, height=120))
    result = run("--davis", str(tmp_path / "davis"), *stage)
    assert list(result.numbers["clips"]) == ["parkour"]
    found = result.numbers["clips"]["parkour"]["methods"]
    assert list(found)[-1] == truth.AGAIN
    assert list(found[OURS]) == [key for key in MEASURES if key in ON_MASKS]
    assert truth.AGAIN not in {row[2] for row in result.tables[1].rows}  # no rival to itself
    (tmp_path / "davis" / "JPEGImages" / "480p" / "parkour").rename(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"none of dance-twirl, parkour, .* is in .*davis"):
        run("--davis", str(tmp_path / "davis"), *stage)


def test_ours_learns_of_the_teacher_that_is_asked_for(stage, tmp_path, monkeypatch):
    """Whom the shipped student sees as well: a label of somebody whom no student sees is not learnt."""
    figure, asked = SyntheticPerson(width=160, height=120), []

    class Counts(Everything):
        def __call__(self, bgr):
            asked.append(1)
            return figure.mask(0).astype(np.float32) / 255

    monkeypatch.setitem(TEACHERS, "red", lambda: Counts)
    write_sequence(tmp_path, "parkour", figure, frames=12)
    found = run("--davis", str(tmp_path), *stage, "--frames", "12").numbers["clips"]["parkour"]["methods"]
    assert found[OURS] != found[STILL]
    assert len(asked) == 12  # each frame once, for the learner and for the teacher's own row


def test_without_a_folder_it_says_what_is_wanted():
    with pytest.raises(UsageError, match=r"--data DIR.*people/valid.*--davis DIR"):
        truth.main(Namespace(data=None, davis=None))


def test_the_quick_bench_runs_on_real_rooms(shared, rvm, tmp_path, capsys):
    given = ["truth", "--quick", "--data", str(shared), "--peers", "meet-lite"]
    assert cli.main([*given, "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["clips"]
    assert list(found) == list(truth.QUICK)
    for clip in found.values():
        assert list(clip["methods"]) == [OURS, STILL, "meet-lite", "rvm, each frame alone"]
        assert all(numbers["iou"] > 0.8 and numbers["mad"] < 100 for numbers in clip["methods"].values())
    assert {path.name for path in tmp_path.glob("sheet-*.jpg")} == {f"sheet-truth-{name}.jpg" for name in truth.QUICK}
