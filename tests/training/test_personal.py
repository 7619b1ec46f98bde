"""jm-train profile: frames kept apart by time, labels of several, and a student that is judged before it is used."""

import numpy as np
import pytest

from engine.cli import main as jm_engine
from engine.errors import UsageError
from engine.personal.frame import KeptFrame, When
from engine.personal.sealing import Seal
from engine.personal.start import find_profile
from engine.personal.store import FrameStore, keep_frames
from engine.sources.synthetic import SyntheticPerson
from tests.clips import figure_clip
from tests.toml_teacher import write_teacher
from training import personal, pretrain
from training.personal import Judgement, kept_apart, objection
from training.relabel import Relabeller, fuse

FIGURE = SyntheticPerson(width=320, height=240, seed=87)
PLAIN = Seal(None, "this test")
VISITS = ["a" * 12, "b" * 12]


def frame(number, visit=VISITS[0], scene=0, label=None):
    label = FIGURE.mask(number).astype(np.float32) / 255 if label is None else label
    return KeptFrame(FIGURE.picture(number), label, When(visit, 1000, scene, number))


# -- kept apart --------------------------------------------------------------------------------------------------------


def test_frames_are_kept_apart_by_time_and_their_neighbours_are_not_learnt():
    blank = np.zeros((2, 2), np.float32)
    frames = [frame(i, label=blank) for i in range(80)]
    learnt, apart = kept_apart(frames)
    numbers = [[kept.when.number for kept in block] for block in apart]
    assert numbers == [list(range(10, 20)), list(range(50, 60))]
    taught = {kept.when.number for kept in learnt}
    assert taught == set(range(80)) - set(range(9, 21)) - set(range(49, 61))


def test_of_many_visits_whole_ones_are_kept_apart():
    blank = np.zeros((2, 2), np.float32)
    frames = [frame(i, visit=f"{v:012x}", label=blank) for v in range(9) for i in range(6)]
    learnt, apart = kept_apart(frames)
    assert [block[0].when.visit[-1] for block in apart] == ["1", "5"]
    assert {kept.when.visit for block in apart for kept in block}.isdisjoint(kept.when.visit for kept in learnt)


@pytest.mark.parametrize("count", [0, 12, 39])
def test_too_few_frames_are_told(count):
    with pytest.raises(UsageError, match="too few; expected 40"):
        kept_apart([frame(i, label=np.zeros((2, 2), np.float32)) for i in range(count)])


# -- labels ------------------------------------------------------------------------------------------------------------


def test_where_labels_contradict_each_other_nothing_is_learnt():
    live = np.zeros((20, 20), np.float32)
    live[5:15, 5:15] = 1
    heavy = live.copy()
    heavy[5, 5:15] = 0
    fused = fuse(live, heavy)
    assert (fused.weight == 0).sum() == 10
    assert (fused.label[fused.weight > 0] == live[fused.weight > 0]).all()
    heavy[5:15, 5:10] = 0
    assert fuse(live, heavy) is None  # they mean different people
    assert fuse(live, live, np.roll(live, 8, axis=1)) is None  # the finder does
    nobody = np.zeros_like(live)
    assert fuse(nobody, nobody, nobody).weight.all()


def test_nothing_is_fetched_to_label(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JM_HOME", str(tmp_path))
    monkeypatch.delenv("JM_MODELS", raising=False)
    with pytest.raises(personal.JitMaskerError, match="no teacher is at hand") as failure:
        Relabeller(1)
    assert failure.value.exit_code == 5
    assert "fetching" not in capsys.readouterr().err


# -- judged ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "shown", "reason"),
    [
        ([[0.97, 0.97], [0.96]], 0.001, None),
        ([[0.95, 0.95], [0.95]], 0.001, "it gains"),
        ([[0.99, 0.99], [0.93]], 0.001, "worst frames"),
        ([[0.97, 0.97], [0.96]], 0.01, "of the room"),
    ],
)
def test_a_profile_has_to_be_better_and_nowhere_worse(scores, shown, reason):
    found = objection(Judgement([[0.95, 0.95], [0.95]], 0.001), Judgement(scores, shown))
    assert found is None if reason is None else reason in found


def test_a_profile_that_is_better_at_one_time_alone_is_not_believed():
    start, profile = [[0.95] * 3] * 4, [[0.99] * 3, *[[0.949] * 3] * 3]
    assert "1 of 4 times" in objection(Judgement(start, 0.0), Judgement(profile, 0.0))


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JM_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("JM_MODELS", raising=False)
    return tmp_path


@pytest.fixture
def teacher(tmp_path):
    return str(write_teacher(tmp_path, FIGURE._scene(0).background))


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(personal, "EPOCHS", 8)


def filled(count=56):
    store, options = FrameStore(), keep_frames(100)
    for number in range(count):
        store.keep(frame(number), options, PLAIN)
    return store


SMALL = ["profile", "--size", "160x128"]


def test_a_profile_is_taught_judged_and_used(home, teacher, tmp_path, capsys, caplog):
    filled()
    assert pretrain.main([*SMALL, "--teacher", teacher]) == 0
    out = capsys.readouterr().out
    assert "written" in out, out
    profile = find_profile("lite", (128, 160))
    assert float(profile.weights.card["score"]) > float(profile.weights.card["score of the start"])
    clip = figure_clip(tmp_path / "clip.mp4", frames=4, width=160, height=120)
    run = ["-i", clip, "-o", "null", "--teacher", "none", "--size", "160x128", "--threads", "1", "-v"]
    caplog.set_level("INFO")
    assert jm_engine(run) == 0
    assert caplog.text.count("your profile begins") == 1
    caplog.clear()
    assert jm_engine([*run, "--profile", "off"]) == 0
    assert "profile" not in caplog.text


def test_a_student_that_is_no_better_is_not_written(home, teacher, monkeypatch, capsys):
    filled()
    monkeypatch.setattr(personal, "EPOCHS", 0)
    assert pretrain.main([*SMALL, "--teacher", teacher]) == 0
    assert "no profile is written: it gains" in capsys.readouterr().out
    assert find_profile("lite", (128, 160)) is None


def test_a_student_that_shows_a_bare_wall_is_not_written(home, teacher, monkeypatch, capsys):
    filled()
    learn = personal.Lesson.run

    def everywhere(self, *given):
        tensors = learn(self, *given)
        name = next(name for name in tensors if name.startswith("logits") and name.endswith("bias"))
        return tensors | {name: tensors[name] + 30}

    monkeypatch.setattr(personal, "EPOCHS", 1)
    monkeypatch.setattr(personal.Lesson, "run", everywhere)
    assert pretrain.main([*SMALL, "--teacher", teacher]) == 0
    assert "bare wall" in capsys.readouterr().out
    assert find_profile("lite", (128, 160)) is None


def test_what_was_forgotten_while_it_was_learnt_stays_so(home, teacher, monkeypatch, capsys):
    store = filled()
    learn = personal.Lesson.run

    def forgetting(self, *given):
        store.forget()
        return learn(self, *given)

    monkeypatch.setattr(personal.Lesson, "run", forgetting)
    assert pretrain.main([*SMALL, "--teacher", teacher]) == 5
    assert "forgotten meanwhile" in capsys.readouterr().err
    assert not (home / "profile").exists()


def test_what_cannot_be_taught_says_why(home, teacher, capsys):
    assert pretrain.main(SMALL) == 2
    assert "no frames are kept" in capsys.readouterr().err
    filled(12)
    assert pretrain.main([*SMALL, "--teacher", teacher]) == 2
    assert "12 frames of 2 times are too few" in capsys.readouterr().err
    filled(56)
    assert pretrain.main(SMALL) == 5
    assert "no teacher is at hand" in capsys.readouterr().err
    assert pretrain.main([*SMALL, "--teacher", "gpt"]) == 2


def test_frames_without_a_teacher_cannot_be_kept(home, tmp_path, capsys):
    clip = figure_clip(tmp_path / "clip.mp4", frames=2)
    for more in (["--teacher", "none"], ["--recipe", "paper"], ["--learning-budget", "0"]):
        assert jm_engine(["-i", clip, "-o", "null", "--keep-frames", "5", *more]) == 2
        assert "--keep-frames is 5" in capsys.readouterr().err
    assert not (home / "profile").exists()
