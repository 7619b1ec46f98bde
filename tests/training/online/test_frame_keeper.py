"""Frames that are kept while somebody learns: what was labelled and believed, by the learner, and never in its way."""

import math
import sys
import time

import numpy as np
import pytest

from engine import Masker
from engine.personal import command
from engine.personal.sealing import Seal, is_sealed
from engine.personal.start import START, path_of, save_profile
from engine.personal.store import FrameStore, keep_frames
from engine.rooms.room import fingerprint
from engine.sources.synthetic import SyntheticPerson
from export.contracts import StudentWeights
from export.publish import load_student
from tests.key_stores import HangingKeyStore, KeyStoreInMemory, LockedKeyStore, use
from tests.toml_teacher import write_teacher
from training.online.frame_keeper import FrameKeeper
from training.online.score import iou

FIGURE = SyntheticPerson(width=320, height=240, seed=87)
PLAIN = Seal(None, "this test")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return str(write_teacher(tmp_path_factory.mktemp("teacher"), FIGURE._scene(0).background))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JM_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def open_masker(teacher, keep, **options):
    return Masker(teacher=teacher, background="#ff00ff", threads=1, lockstep=True, keep=keep, **options)


def watch(masker, frames):
    return [masker.process(FIGURE.picture(i)) for i in frames]


def test_what_was_labelled_is_kept_with_its_label(teacher, home, caplog):
    with open_masker(teacher, keep_frames(20)) as masker:
        watch(masker, range(60))
        calls = masker.stats.learning.calls
    frames, wrong = FrameStore().all(PLAIN)
    assert not wrong
    assert 0 < len(frames) <= min(calls, 20)
    pictures = [FIGURE.picture(i).astype(int) for i in range(60)]
    for kept in frames:
        nearest = min(range(60), key=lambda i: np.abs(pictures[i] - kept.bgr).mean())
        assert iou(FIGURE.mask(nearest) / 255, kept.label) > 0.9
    assert caplog.text.count("up to 20 frames of this input are kept") == 1
    assert caplog.text.count("not encrypted") == 1


def test_nothing_is_kept_unless_it_is_asked_for(teacher, home):
    with open_masker(teacher, None) as masker:
        watch(masker, range(20))
    assert not (home / "profile").exists()


def test_a_frame_whose_label_was_not_believed_is_not_kept(home):
    keep = keep_frames(20)
    keeper = FrameKeeper(keep, waits=True)
    keeper.asked(FIGURE.picture(0))
    keeper.asked(FIGURE.picture(40))  # the first was refused, or never came
    keeper.believed(FIGURE.mask(40) / np.float32(255), scene=0)
    keeper.believed(FIGURE.mask(40) / np.float32(255), scene=0)  # of no frame
    (kept,), _ = FrameStore().all(PLAIN)
    assert np.abs(kept.bgr.astype(int) - FIGURE.picture(40)).mean() < 3


def test_kept_frames_are_encrypted_where_there_is_a_key_store(teacher, home, monkeypatch, caplog):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    use(monkeypatch, KeyStoreInMemory)
    with open_masker(teacher, keep_frames(20)) as masker:
        watch(masker, range(20))
    paths = FrameStore().paths()
    assert paths
    assert all(is_sealed(path.read_bytes()) for path in paths)
    assert "encrypted with a key in the key store" in caplog.text


def test_a_key_store_that_is_locked_costs_the_frames_alone(teacher, home, monkeypatch, caplog):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    use(monkeypatch, LockedKeyStore)
    with open_masker(teacher, keep_frames(20)) as masker:
        watch(masker, range(20))
        assert masker.stats.learning.died is None
    assert FrameStore().paths() == []
    assert caplog.text.count("no frames are kept") == 1


def test_a_key_store_that_asks_its_user_holds_up_nobody(home, monkeypatch):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    use(monkeypatch, HangingKeyStore)
    keeper = FrameKeeper(keep_frames(20))
    label = FIGURE.mask(0) / np.float32(255)
    keeper.asked(FIGURE.picture(0))
    keeper.believed(label, scene=0)
    assert keeper.kept == 0
    HangingKeyStore.answer.set()
    keeper._asking.join()
    keeper.asked(FIGURE.picture(0))
    keeper.believed(label, scene=0)
    assert keeper.kept == 1


def test_a_key_made_while_all_was_forgotten_is_gone_too(home, monkeypatch):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    use(monkeypatch, HangingKeyStore)
    keeper = FrameKeeper(keep_frames(20))
    FrameStore().forget()
    HangingKeyStore.answer.set()
    keeper._asking.join()
    keeper.asked(FIGURE.picture(0))
    keeper.believed(FIGURE.mask(0) / np.float32(255), scene=0)
    assert keeper.kept == 0
    assert KeyStoreInMemory.secrets == {}


def test_a_disk_that_is_full_costs_the_frames_alone_and_is_said_once(home, caplog):
    """A file may not grow beyond 100 bytes: the system says so as it does of a disk."""
    resource = pytest.importorskip("resource", reason="this system has no limits on files")
    keeper = FrameKeeper(keep_frames(20), waits=True)
    keeper._asking.join()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    failures = []
    for _ in range(3):
        keeper.asked(FIGURE.picture(0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            keeper.believed(FIGURE.mask(0) / np.float32(255), scene=0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        failures.append(keeper._failures)
    assert failures == [1, 2, 3]
    assert keeper.kept == 0
    assert [path.name for path in FrameStore().frames.iterdir()] == ["seen"]


def test_who_forgets_while_it_runs_is_not_kept_again(teacher, home, caplog):
    with open_masker(teacher, keep_frames(20)) as masker:
        watch(masker, range(20))
        assert command.main(["forget"]) == 0
        watch(masker, range(20, 60))
        masker.forget()  # and a learner that begins anew was not told otherwise
        watch(masker, range(20))
        assert masker.stats.learning.steps
    assert not (home / "profile").exists()
    assert caplog.text.count("the profile was forgotten") == 1


def test_a_profile_that_is_forgotten_paints_no_more(teacher, home):
    size = (240, 320)
    shipped = load_student("lite", size)
    other = {name: value * np.float32(1.01) for name, value in shipped.tensors.items()}
    keep = keep_frames(20)
    card = {START: fingerprint(shipped)}
    path = save_profile(StudentWeights("lite", size, other, card), keep.token, FrameStore())
    with open_masker(teacher, keep, weights=path) as masker:
        watch(masker, range(3))
        masker.forget()  # a room; the profile is there, and begins again
        assert fingerprint(masker.student) == fingerprint(StudentWeights("lite", size, other))
        FrameStore().forget()
        masker.forget()
        watch(masker, range(3))
        assert fingerprint(masker.student) == fingerprint(shipped)
    assert not path_of("lite", size).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the learner's process needs Linux")
def test_a_learner_in_a_process_keeps_frames(teacher, home):
    with Masker(
        teacher=teacher, background="#ff00ff", threads=1, learner="process", learning_budget=math.inf,
        keep=keep_frames(20),
    ) as masker:  # fmt: skip
        deadline, i = time.monotonic() + 150, 0
        while len(FrameStore().paths()) < 2:
            assert time.monotonic() < deadline, masker.stats
            assert masker.stats.learning.died is None
            masker.process(FIGURE.picture(i % 80))
            i += 1
            time.sleep(0.01)
        FrameStore().forget()
        calls = masker.stats.learning.calls
        while masker.stats.learning.calls < calls + 2:
            assert time.monotonic() < deadline, masker.stats
            masker.process(FIGURE.picture(i % 80))
            i += 1
            time.sleep(0.01)
    assert not (home / "profile").exists()
