"""What a room lets out is counted as it is: of mattes that are known to show all, nothing, or what is true."""

import json
from argparse import Namespace

import cv2
import numpy as np
import pytest

from benchmarks import cli, leak, peers
from benchmarks.harness import truth
from benchmarks.harness.cutouts import Data, dancer, emptied, extended, portrait
from benchmarks.harness.leaks import AFTER_CUT, Attack, Leaks, Reader, certain, ssim
from benchmarks.harness.methods import OURS, PLAIN, STILL
from benchmarks.harness.truth import Clip, Scene
from engine.errors import UsageError
from engine.sources.synthetic import SyntheticPerson
from tests.clips import write_clip
from tests.people import people_and_rooms
from training.teachers import TEACHERS


@pytest.fixture
def data(tmp_path):
    """Two portraits and two rooms."""
    return Data(people_and_rooms(tmp_path), lambda bgr: np.zeros(bgr.shape[:2], np.float32))


def scene(person="anna", room="hall", **options):
    return Scene(person, f"backgrounds/{room}.jpg", **options)


# -- clips with a known truth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["sway", "lean", "walk"])
@pytest.mark.parametrize("camera", list(truth.CAMERAS))
def test_a_frame_is_what_its_matte_says_of_person_and_room(data, path, camera):
    seen = [
        list(truth.frames(Clip("c", (scene(room=r, path=path, camera=camera),)), data, 7)) for r in ("hall", "attic")
    ]
    shown = 0
    for here, there in zip(*seen, strict=True):
        np.testing.assert_array_equal(here.alpha, there.alpha)  # the room has no part in it
        weight = here.alpha[..., None]
        # two composites over two rooms, less one another: the person drops out of I = a F + (1 - a) B
        difference = here.bgr.astype(np.float32) - there.bgr
        expected = (1 - weight) * (here.room.astype(np.float32) - there.room)
        assert np.abs(difference - expected).max() <= 1.01
        shown += int(here.alpha.max() == 1)
    assert shown > 0


def test_the_old_wall_does_not_come_along_at_the_edge(data):
    for frame in truth.frames(Clip("c", (scene(path="lean"),)), data, 5):
        solid = frame.alpha > 0.5
        foreground = (frame.bgr - (1 - frame.alpha[..., None]) * frame.room) / np.maximum(frame.alpha, 1e-3)[..., None]
        np.testing.assert_allclose(foreground[solid], np.broadcast_to((20, 30, 220), (solid.sum(), 3)), atol=12)


def test_a_clip_is_the_same_each_time_and_its_sensor_is_seen(data):
    clean = Clip("c", (scene(),))
    noisy = Clip("c", (scene(),), noise=3.0, jpeg=75)
    first, again = ([f.bgr for f in truth.frames(noisy, data, 4)] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    difference = first[2].astype(int) - next(f.bgr for i, f in enumerate(truth.frames(clean, data, 4)) if i == 2)
    assert 1 < np.abs(difference).mean() < 4


def test_scenes_share_the_frames_and_a_cut_is_the_first_of_the_next(data):
    clip = Clip("c", (scene(), scene("ben", "attic"), scene("anna", "attic")))
    for count in (9, 60):
        frames = [frame.is_cut for frame in truth.frames(clip, data, count)]
        assert (len(frames), np.flatnonzero(frames).tolist()) == (count, [count // 3, 2 * count // 3])


def test_the_exposure_drifts_for_the_person_and_the_room_alike(data):
    frames = list(truth.frames(Clip("c", (scene("ben"),), drift=0.6), data, 81))
    levels = [(f.room.mean(), f.bgr[f.alpha == 1].mean()) for f in frames[::40]]
    ratios = [room / person for room, person in levels]
    assert max(ratios) < 1.05 * min(ratios)
    assert max(a for a, _ in levels) > 1.1 * min(a for a, _ in levels)


def test_who_walks_out_leaves_the_room_alone(data):
    frames = list(truth.frames(Clip("c", (scene(path="walk"),)), data, 60))
    assert frames[0].alpha.max() == 0 == frames[42].alpha.max()
    assert frames[25].alpha.mean() > 0.05


def test_a_poster_hangs_where_it_is_looked_for(data):
    printed, corners = truth.poster()
    frame = next(truth.frames(Clip("c", (scene(path="walk"),), poster=True), data, 1))
    reader = Reader(printed, corners)
    reader.look(frame.room)
    assert (reader.looked, reader.read, reader.read_in_mean()) == (1, 1, True)


def test_a_missing_file_is_named_with_what_is_expected(data):
    for clip in (scene("nobody"), scene(room="nowhere"), Scene("dancer 3", "backgrounds/hall.jpg", "own")):
        with pytest.raises(UsageError, match=r"cannot read .*(nobody|nowhere|dancer_alpha).*people/valid"):
            next(truth.frames(Clip("c", (clip,)), data, 2))


def test_the_room_of_a_clip_is_what_its_people_uncover(tmp_path):
    room = cv2.resize(np.random.default_rng(0).integers(40, 216, (6, 8, 3), dtype=np.uint8), (160, 120))
    pictures = []
    for i in range(30):
        picture = room.copy()
        picture[50:, 3 * i : 3 * i + 40] = (255, 0, 255)
        pictures.append(picture)
    path = write_clip(tmp_path / "clip.mp4", pictures)

    def magenta(bgr):
        return ((bgr[..., 1] < 90) & (bgr[..., 0] > 170) & (bgr[..., 2] > 170)).astype(np.float32)

    difference = cv2.absdiff(emptied(path, magenta), room)
    assert np.median(difference) <= 4
    assert np.percentile(difference, 99) < 60


def test_colours_are_carried_past_the_edge():
    bgr = np.full((20, 30, 3), 200, np.uint8)
    bgr[:, 10:20] = 50
    inside = np.zeros((20, 30), bool)
    inside[:, 12:18] = True
    np.testing.assert_array_equal(extended(bgr, inside), 50)
    assert portrait(bgr, bgr[..., 0] == 50).colours.max() == 50


def test_the_green_of_a_keyed_clip_is_gone():
    bgra = np.zeros((60, 60, 4), np.uint8)
    bgra[10:, 20:40] = (90, 100, 180, 255)
    bgra[10:, 20:22, :3] = (60, 220, 80)  # the fringe
    bgra[0:3, 50:53, 3] = 200  # the codec's
    person = dancer(bgra)
    blue, green, red = (person.colours[..., i].astype(int) for i in range(3))
    assert (green <= (blue + red) / 2 + 1).all()
    assert person.alpha[:5].max() == 0
    assert person.alpha[30, 30] == 1


# -- what is counted -----------------------------------------------------------------------------------------------


def regions():
    """A true matte float32 (H, W), where there certainly is room, and person."""
    alpha = np.zeros((48, 64), np.float32)
    alpha[16:, 20:44] = 1
    return alpha, certain(alpha == 0, 2), certain(alpha == 1, 2)


def looked_at(*mattes, cuts=()):
    leaks = Leaks()
    for i, matte in enumerate(mattes):
        leaks.look(np.rint(255 * matte).astype(np.uint8), *regions()[1:], i in cuts)
    return leaks.summary()


def test_a_perfect_matte_shows_nothing_and_loses_nothing():
    summary = looked_at(regions()[0])
    assert (summary["leak"], summary["worst"], summary["lost"]) == (0, 0, 0)


def test_all_ones_show_the_whole_room_and_zeros_lose_the_whole_person():
    ones, zeros = np.ones((48, 64)), np.zeros((48, 64))
    assert (looked_at(ones)["leak"], looked_at(ones)["lost"]) == (1, 0)
    assert (looked_at(zeros)["leak"], looked_at(zeros)["lost"]) == (0, 1)


def test_the_margin_belongs_to_nobody():
    alpha, room, person = regions()
    near = cv2.dilate(alpha, np.ones((5, 5)))  # two pixels too large
    assert looked_at(near)["leak"] == 0
    assert looked_at(cv2.dilate(alpha, np.ones((7, 7))))["leak"] > 0
    assert not (room & person).any()
    assert room[0, 0]  # the picture's border is no edge


def test_worst_first_second_and_cuts_are_of_the_frames_they_say():
    quiet, loud = np.zeros((48, 64)), np.full((48, 64), 0.2)
    summary = looked_at(*[quiet] * 30, *[loud] * AFTER_CUT, *[quiet] * 20, cuts=(30,))
    assert (summary["first second"], summary["worst"], summary["after cuts"]) == (0, *[pytest.approx(0.2)] * 2)
    assert summary["leak"] == pytest.approx(0.2 * AFTER_CUT / (50 + AFTER_CUT))
    assert looked_at(quiet)["after cuts"] is None


def test_frames_without_a_person_are_no_loss():
    leaks, alpha = Leaks(), np.zeros((8, 8), np.uint8)
    leaks.look(alpha, np.ones((8, 8), bool), np.zeros((8, 8), bool))
    assert (leaks.summary()["leak"], leaks.summary()["lost"]) == (0, None)
    assert leaks.worst() == 0


@pytest.mark.parametrize(("alpha", "share"), [(255, 1.0), (0, 0.0), (12, 0.0)])
def test_who_shows_everything_gives_the_room_away_and_who_shows_nothing_none(alpha, share):
    room = np.random.default_rng(0).integers(100, 256, (48, 64, 3), dtype=np.uint8)
    attack = Attack(room.shape)
    background = np.full_like(room, PLAIN)
    for _ in range(3):
        attack.look(room, np.full((48, 64), alpha, np.uint8), room, regions()[1])
    found, likeness = attack.found(room, background)
    assert found == share
    assert likeness == pytest.approx(1.0, abs=1e-5) if share else likeness < 0.2


def test_a_room_is_put_together_of_what_each_frame_shows():
    room = np.random.default_rng(0).integers(100, 256, (48, 64, 3), dtype=np.uint8)
    attack, everywhere = Attack(room.shape), np.ones((48, 64), bool)
    for half in (slice(0, 32), slice(32, 48)):
        alpha = np.zeros((48, 64), np.uint8)
        alpha[:, half] = 255
        attack.look(room, alpha, room, everywhere)
    assert attack.found(room, np.full_like(room, PLAIN))[0] == pytest.approx(48 / 64)


def test_ssim_is_one_of_the_same_and_little_of_another():
    one, other = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    assert ssim(one, one).min() == pytest.approx(1.0, abs=1e-5)
    assert abs(ssim(one, other).mean()) < 0.1


def test_a_poster_is_read_in_a_room_and_not_on_a_plain_wall():
    printed, corners = truth.poster()
    blank = np.full((480, 640, 3), PLAIN, np.uint8)
    reader = Reader(printed, corners)
    reader.look(blank)
    assert (reader.looked, reader.read, reader.read_in_mean()) == (1, 0, False)


# -- the bench -----------------------------------------------------------------------------------------------------


class Everything:
    settings, remembers = "none", False

    def __init__(self, threads=1):
        pass

    def __call__(self, bgr):
        return np.ones(bgr.shape[:2], np.float32)


class Nothing(Everything):
    def __call__(self, bgr):
        return np.zeros(bgr.shape[:2], np.float32)


def test_everybody_paints_the_same_clips_and_each_number_has_its_extremes(data, monkeypatch):
    for name, peer in {"everything": Everything, "nothing": Nothing}.items():
        monkeypatch.setitem(peers.PEERS, name, lambda peer=peer: peer)
    monkeypatch.setitem(TEACHERS, "rvm", lambda: Nothing)
    clips = (Clip("desk", (scene(),), poster=True), Clip("cuts", (scene(), scene("ben", "attic"))))
    monkeypatch.setattr(truth, "CLIPS", clips)
    given = ["leak", "--data", str(data.folder), "--frames", "6", "--teacher", "none"]
    given += ["--peers", "everything", "nothing"]
    result = leak.main(cli._parser(given).parse_args(given))
    desk, cuts = result.numbers["clips"]["desk"], result.numbers["clips"]["cuts"]
    assert list(desk) == [leak.CONTROL, OURS, STILL, "everything", "nothing"]
    assert (desk["everything"]["leak"], desk["everything"]["lost"]) == (1, 0)
    assert (desk["nothing"]["leak"], desk["nothing"]["lost"]) == (0, 1)
    assert (desk[leak.CONTROL]["leak"], desk[leak.CONTROL]["lost"]) == (0, 0)
    assert desk["everything"]["recovered"][0] > 0.99
    assert desk["nothing"]["recovered"][0] == 0
    assert cuts["everything"]["after cuts"] == 1
    assert desk["everything"]["after cuts"] is None
    assert cuts["everything"]["recovered"] is None  # two rooms
    poster = next(table for table in result.tables if "poster" in table.title)
    read = {(row[0], row[1]): (row[4], row[5]) for row in poster.rows}
    assert read["everything", leak.BACKGROUND] == read[leak.CAMERA, "the room"] == (2, "yes")
    assert read["nothing", leak.BACKGROUND] == read[leak.CONTROL, leak.BACKGROUND] == (0, "no")
    assert {background for name, background in read if name == OURS} == {leak.BACKGROUND, *leak.BLURS}
    assert result.sheets["leak-desk"].shape[0] > 0
    assert result.metrics["everything: room shown; photographs that ours was trained on"].values == [100]


def seen(share, readable=False):
    found = leak.Seen(reader=Reader(*truth.poster()))
    found.leaks.shown, found.leaks.lost = [0.0, share], [0.0, 0.0]
    found.reader.read = int(readable)
    found.reader.look(np.zeros((480, 640, 3), np.uint8))
    return found


@pytest.mark.parametrize(
    ("ours", "blurred", "peer", "kept"),
    [
        (seen(0.02), seen(0.0), seen(1.0, readable=True), True),
        (seen(0.021), seen(0.0), seen(0.0), False),
        (seen(0.0, readable=True), seen(0.0), seen(0.0), False),
        (seen(0.0), seen(0.0, readable=True), seen(0.0), False),
    ],
)
def test_the_bench_fails_where_ours_shows_the_room_or_can_be_read(ours, blurred, peer, kept):
    assert leak.keeps_the_room({"clip": {OURS: ours, f"{OURS}, blur": blurred, "peer": peer}}) is kept


def test_without_a_folder_it_says_what_is_wanted(monkeypatch):
    with pytest.raises(UsageError, match=r"--data DIR.*people/valid.*--clips DIR"):
        leak.main(Namespace(data=None, clips=None))


def test_the_quick_bench_runs_on_real_rooms(shared, rvm, tmp_path, capsys):
    given = ["leak", "--quick", "--data", str(shared), "--peers", "meet-full", "meet-lite"]
    assert cli.main([*given, "--out", str(tmp_path)]) in (0, 1)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["clips"]
    assert list(found) == list(truth.QUICK)
    for clip in found.values():
        assert list(clip) == [leak.CONTROL, OURS, STILL, *given[-2:]]
        assert all(numbers["leak"] < 0.2 and numbers["lost"] < 0.2 for numbers in clip.values())
    assert {path.name for path in tmp_path.glob("sheet-*.jpg")} == {f"sheet-leak-{name}.jpg" for name in truth.QUICK}


def test_a_manifest_s_clips_are_held_against_labels(tmp_path, monkeypatch):
    figure = SyntheticPerson(width=160, height=120)
    write_clip(tmp_path / "one.mp4", [figure.picture(i) for i in range(6)])
    (tmp_path / "set.toml").write_text(
        'title = "toy"\n[[clip]]\nname = "one"\nfile = "one.mp4"\ndifficulty = "easy"\ncuts = []\n'
    )
    monkeypatch.setitem(peers.PEERS, "nothing", lambda: Nothing)
    monkeypatch.setitem(peers.PEERS, "everything", lambda: Everything)

    class Left(Everything):
        def __call__(self, bgr):
            return np.repeat((np.arange(bgr.shape[1]) < 80)[None], bgr.shape[0], axis=0).astype(np.float32)

    monkeypatch.setitem(TEACHERS, "left", lambda: Left)
    given = ["leak", "--clips", str(tmp_path), "--manifest", str(tmp_path / "set.toml"), "--teacher", "left"]
    given += ["--peers", "everything", "nothing"]
    one = leak.main(cli._parser(given).parse_args(given)).numbers["clips"]["one"]
    assert (one["everything"]["leak"], one["everything"]["lost"]) == (1, 0)
    assert (one["nothing"]["leak"], one["nothing"]["lost"]) == (0, 1)
