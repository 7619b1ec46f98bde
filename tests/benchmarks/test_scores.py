"""Scores of a bench on masks made by hand: numbers that a wrong implementation would change."""

from argparse import Namespace

import numpy as np
import pytest

from benchmarks.harness import evaluation
from benchmarks.harness.labels import KeptTeacher
from benchmarks.harness.quality import boundary_f, flicker, gradient_error, recovery, sad, still
from benchmarks.harness.runs import RecordedMattes
from benchmarks.harness.scores import EVERY, NOBODY, Scores, average, is_scored, score
from engine.contracts import Picture
from tests.clips import write_clip
from training.teachers import TEACHERS

H, W = 40, 50  # 2000 pixels: 5 % are 100


def strip(pixels):
    """float32 (H, W), 1 on the first `pixels` pixels, row after row."""
    flat = np.zeros(H * W, np.float32)
    flat[:pixels] = 1
    return flat.reshape(H, W)


def kept(mattes):
    """A RecordedMattes of {index: float (H, W)}."""
    sink = RecordedMattes(lambda index: True)
    for index, matte in mattes.items():
        sink.write(Picture(np.zeros((H, W, 3), np.uint8), np.rint(matte * 255).astype(np.uint8), index, 0.0))
    return sink


def scored(tmp_path, labels, mattes, cuts=(), frames=None):
    """Scores of `mattes` against `labels`, both by frame, on a grey clip where nothing moves."""
    count = max(mattes) + 1
    clip = write_clip(tmp_path / "clip.mp4", [np.full((H, W, 3), 90, np.uint8)] * count)
    answers = iter(labels[i] for i in sorted(mattes))
    return score(clip, cuts, lambda bgr: next(answers), {"x": kept(mattes)}, frames)["x"]


# -- IoU-Acc at the 5 % edge ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "matte", "expected"),
    [
        (100, 50, 0.5),  # 5.00 %: IoU
        (99, 49, 1 - 50 / 2000),  # 4.95 %: pixel accuracy
        (100, 0, 0.0),
        (99, 0, 1 - 99 / 2000),
        (0, 0, 1.0),
        (0, 2000, 0.0),
    ],
)
def test_iou_acc_changes_its_meaning_at_five_percent_of_the_full_frame(tmp_path, label, matte, expected):
    scores = scored(tmp_path, {0: strip(label)}, {0: strip(matte)})
    assert scores.iou_acc == [pytest.approx(expected)]


def test_the_label_is_taken_at_the_size_of_the_frame():
    """A teacher that answers half size: scored at full size, or 5 % would be counted in another grid."""
    small = strip(1000)[::2, ::2]
    label = KeptTeacher(lambda: lambda bgr: small, None).whole(np.zeros((H, W, 3), np.uint8))
    assert label.shape == (H, W)
    assert (label > 0.5).mean() == 0.5


@pytest.mark.parametrize("folder", ["labels", None])
def test_a_label_is_asked_for_once_for_what_a_frame_shows(tmp_path, folder):
    """Whatever its clip is called, and however often it comes; in a folder, for the next bench too."""
    asked = []
    kept_in = tmp_path / folder if folder else None
    teacher = KeptTeacher(lambda: lambda bgr: asked.append(1) or strip(300) * 0.7, kept_in)
    frame, other = np.zeros((H, W, 3), np.uint8), np.ones((H, W, 3), np.uint8)
    labels = [teacher(f) for f in (frame, other, frame.copy(), other)]
    assert len(asked) == 2
    np.testing.assert_allclose(labels[2], strip(300) * 0.7, atol=0.5 / 255)
    if folder:

        def absent():
            raise AssertionError("the teacher was made again")

        np.testing.assert_array_equal(KeptTeacher(absent, kept_in)(frame), labels[0])


def test_two_teachers_share_a_folder_and_no_label(tmp_path, monkeypatch):
    for name, level in (("rvm", 0.2), ("http://there:1/x", 0.8)):
        monkeypatch.setitem(TEACHERS, name, lambda level=level: lambda threads: lambda bgr: np.full((H, W), level))
    args, frame = Namespace(labels=str(tmp_path), threads=1), np.zeros((H, W, 3), np.uint8)
    monkeypatch.setattr(evaluation, "load", lambda name, threads: TEACHERS[name]()(threads))
    labels = [evaluation.kept_teacher(name, args)(frame)[0, 0] for name in ("rvm", "http://there:1/x", "rvm")]
    assert labels == pytest.approx([0.2, 0.8, 0.2])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["http-there-1-x"]
    assert len(list(tmp_path.glob("*.png"))) == 1  # the reference's, where every bench looks for it


def test_only_frames_that_are_scored_are_labelled_and_only_as_many_as_were_painted(tmp_path):
    asked = []
    clip = write_clip(tmp_path / "clip.mp4", [np.full((H, W, 3), 90, np.uint8)] * 12)
    mattes = {"x": kept({i: strip(500) for i in range(12)})}
    assert score(clip, (), lambda bgr: asked.append(1) or strip(500), mattes, frames=10)["x"].iou_acc == [
        1.0,
        1.0,
    ]  # 0, 5
    assert len(asked) == 4  # and 1, 6 for flicker


def test_the_outline_is_measured_where_the_label_has_somebody(tmp_path):
    labels = {i: strip(500 if i < 5 else 50) for i in range(6)}
    mattes = {i: strip(400 if i < 5 else 0) for i in range(6)}
    scores = scored(tmp_path, {i: labels[i] for i in (0, 1, 5)}, {i: mattes[i] for i in (0, 1, 5)})
    assert scores.edges == [boundary_f(strip(500), strip(400))]
    assert scores.edges[0] < 1
    assert scores.sad == [pytest.approx(0.1)]
    assert scores.gradient == [pytest.approx(gradient_error(strip(500), strip(400)))]


def test_a_summary_tells_the_second_half_and_the_worst_frames_from_the_mean():
    summary = Scores(iou_acc=[0.0] * 10 + [1.0] * 10).summary()
    assert (summary["frames"], summary["mean"], summary["second half"], summary["p5"]) == (20, 0.5, 1.0, 0.0)
    assert Scores(iou_acc=[1.0], flicker=[1.0, 1.0, 100.0]).summary()["flicker"] == 1.0  # a jump is no flicker


def test_every_fifth_frame_is_scored_and_the_next_one_for_flicker():
    wanted = is_scored(())
    assert [i for i in range(12) if wanted(i)] == [0, 1, 5, 6, 10, 11]
    assert [i for i in range(12) if is_scored((), flicker=False)(i)] == [0, 5, 10]


def test_all_frames_after_a_cut_are_scored_and_recovery_is_counted_from_the_cut(tmp_path):
    mattes = {i: strip(500) for i in range(12)}
    mattes[7], mattes[8] = strip(0), strip(400)
    scores = scored(tmp_path, {i: strip(500) for i in range(12)}, mattes, cuts=(7,))
    assert scores.after_cuts == [[0.0, 0.8, 1.0, 1.0, 1.0]]
    assert scores.summary()["recovery"] == [2]


def test_a_ghost_is_somebody_painted_where_the_teacher_sees_nobody(tmp_path):
    frames = range(4 * EVERY)
    label = int(NOBODY * H * W) - 1
    mattes = {i: strip(200) if 5 <= i < 15 else strip(0) for i in frames}
    assert scored(tmp_path, {i: strip(label) for i in frames}, mattes).ghosts == 2 * EVERY
    assert scored(tmp_path, {i: strip(200) for i in frames}, mattes).ghosts == 0  # the teacher sees who is painted


def test_flicker_is_the_change_of_alpha_where_nothing_moves(tmp_path):
    scores = scored(tmp_path, {0: strip(500), 1: strip(500)}, {0: strip(500), 1: strip(500) * 0.8})
    assert scores.flicker == [pytest.approx(255 * 0.2 * 500 / 2000)]
    assert scores.teacher_flicker == [0.0]


def test_pixels_around_movement_are_not_counted_as_flicker():
    before = np.full((H, W, 3), 90, np.uint8)
    after = before.copy()
    after[10:20, 10:20] = 200
    where = still((before, after))
    assert not where[6:24, 12:18].any()  # two pixels of the mean, and two around that
    assert where[:6].all()
    assert where[24:].all()
    assert flicker(np.zeros((H, W), bool), (strip(0), strip(2000))) == 0.0


def test_clips_count_once_each_in_the_average():
    one = {"recovery": [1], "frames": 100, "ghosts": 0, "mean": 1.0, "edges": None}
    two = {"recovery": [None], "frames": 1, "ghosts": 5, "mean": 0.5, "edges": 0.4}
    assert average([one, two]) == {"recovery": [1, None], "frames": 101, "ghosts": 5, "mean": 0.75, "edges": 0.4}


def test_recovery_counts_from_the_cut_and_may_never_come():
    assert recovery([0.2, 0.96]) == 1
    assert recovery([0.95]) == 0
    assert recovery([0.9, 0.94]) is None


# -- edges ---------------------------------------------------------------------------------------------------------


def brute_force_f(label, alpha, radius):
    """Boundary F pixel by pixel, from its definition alone: no morphology, no library."""

    def edge(mask):
        found = []
        for y in range(mask.shape[0]):
            for x in range(mask.shape[1]):
                around = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                if mask[y, x] and not around.all():
                    found.append((y, x))
        return found

    def share(these, those):
        near = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in those) for y, x in these]
        return sum(near) / len(these)

    ours, theirs = edge(alpha > 0.5), edge(label > 0.5)
    precision, recall = share(ours, theirs), share(theirs, ours)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def disk(height, width, y, x, radius):
    rows, columns = np.mgrid[:height, :width]
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.float32)


@pytest.mark.parametrize("shift", [(0, 0), (0, 1), (1, 1), (0, 2), (3, 0), (0, 9)])
def test_boundary_f_is_its_definition_pixel_by_pixel(shift):
    label = disk(60, 70, 30, 30, 15)
    alpha = disk(60, 70, 30 + shift[0], 30 + shift[1], 14)
    assert boundary_f(label, alpha) == pytest.approx(brute_force_f(label, alpha, 1))


def test_boundary_f_at_480_lines_allows_two_pixels():
    label, alpha = np.zeros((480, 24), np.float32), np.zeros((480, 24), np.float32)
    label[:, :10] = 1
    for distance, expected in ((0, 1.0), (2, 1.0), (3, 0.0)):
        alpha[:] = 0
        alpha[:, : 10 + distance] = 1
        assert boundary_f(label, alpha) == expected


def test_boundary_f_on_random_blobs_is_the_brute_force_one():
    rng = np.random.default_rng(3)
    for _ in range(5):
        label, alpha = (
            np.maximum.reduce([disk(48, 56, *rng.integers(8, 40, 2), rng.integers(4, 12)) for _ in range(3)])
            for _ in range(2)
        )
        assert boundary_f(label, alpha) == pytest.approx(brute_force_f(label, alpha, 1))


def test_boundary_f_of_empty_masks():
    empty, full = strip(0), strip(1000)
    assert boundary_f(empty, empty) == 1.0
    assert boundary_f(empty, full) == 0.0


def test_sad_is_counted_in_thousands_of_pixels():
    assert sad(strip(0), strip(1000) * 0.5) == pytest.approx(0.5)


def test_the_gradient_error_of_a_shifted_edge_is_the_one_of_two_gaussians():
    """A straight edge smoothed by a Gaussian has a Gaussian gradient, whose square has the integral 1 / (2 σ √π)."""
    height, sigma = 60, 1.4
    edge, shifted = np.zeros((2, height, 80), np.float32)
    edge[:, 30:], shifted[:, 50:] = 1, 1
    assert gradient_error(edge, edge) == 0.0
    assert gradient_error(edge, shifted) == pytest.approx(height / (sigma * np.sqrt(np.pi)) / 1000, rel=0.15)


def test_the_gradient_error_does_not_see_a_constant():
    assert gradient_error(strip(0), strip(0) + 0.3) == pytest.approx(0.0, abs=1e-9)
