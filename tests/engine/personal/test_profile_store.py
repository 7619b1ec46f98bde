"""Kept frames as files: agreed to, a fair sample, encrypted or for their user alone; and all of it gone."""

import json
import os
import random
import stat
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

import kernels
from engine.errors import ModelError
from engine.personal import command, sealing
from engine.personal.frame import KeptFrame, When, from_bytes, shrunk, to_bytes
from engine.personal.sealing import KeyStoreError, Seal, seal_for
from engine.personal.start import START, find_profile, save_profile
from engine.personal.store import FrameStore, keep_frames
from engine.rooms.room import Facts, Room, fingerprint, in_steps, new_id
from engine.rooms.signature import Observer
from engine.rooms.store import RoomStore
from engine.sources.synthetic import SyntheticPerson
from export.publish import load_student
from export.store import load_weights
from tests.key_stores import KeyStoreInMemory, LockedKeyStore, use

FIGURE = SyntheticPerson(width=320, height=240, seed=87)
PLAIN = Seal(None, "this test")
SIZE = (240, 320)


def frame(number=0, visit="a" * 12, scene=0, began=1000):
    label = FIGURE.mask(number).astype(np.float32) / 255
    return KeptFrame(FIGURE.picture(number), label, When(visit, began, scene, number))


def filled(folder, count=6, seal=PLAIN, room=100):
    store = FrameStore(folder)
    options = keep_frames(room, folder)
    for number in range(count):
        assert store.keep(frame(number), options, seal)
    return store, options


# -- one frame ---------------------------------------------------------------------------------------------------------


def test_a_frame_comes_back_with_its_label_and_its_time():
    kept = frame(3, scene=2)
    found = from_bytes(to_bytes(kept))
    assert found.when == kept.when
    assert np.abs(found.bgr.astype(int) - kept.bgr).mean() < 3
    assert np.abs(found.label - kept.label).max() < 0.01


def test_a_large_frame_is_kept_small():
    assert shrunk(np.zeros((1080, 1920, 3), np.uint8)).shape == (360, 640, 3)


@pytest.mark.parametrize("wrong", ["cut off", "noise", "a picture that is none", "a format of tomorrow"])
def test_what_is_no_frame_is_refused(wrong):
    data = to_bytes(frame())
    data = {
        "cut off": data[: len(data) // 2],
        "noise": np.random.default_rng(0).bytes(len(data)),
        "a picture that is none": data.replace(b"\xff\xd8\xff", b"\x00\x00\x00"),
        "a format of tomorrow": data.replace(b'format\\": 1', b'format\\": 2'),
    }[wrong]
    with pytest.raises(ModelError, match="no kept frame"):
        from_bytes(data)


# -- at rest -----------------------------------------------------------------------------------------------------------


def test_with_a_key_store_nothing_can_be_read_without_its_key(tmp_path, monkeypatch):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    use(monkeypatch, KeyStoreInMemory)
    seal = seal_for(tmp_path / "profile")
    store, _ = filled(tmp_path / "profile", 2, seal)
    for path in store.paths():
        assert sealing.is_sealed(path.read_bytes())
        assert b"\xff\xd8\xff" not in path.read_bytes()  # how a JPEG begins
        assert b"visit" not in path.read_bytes()
    assert len(store.all(seal_for(tmp_path / "profile"))[0]) == 2
    frames, wrong = store.all(Seal(bytes(32), "another"))
    assert not frames
    assert "another key" in wrong[0]
    frames, wrong = store.all(PLAIN)
    assert not frames
    assert "there is no key" in wrong[0]


def test_two_folders_have_two_keys(tmp_path, monkeypatch):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    use(monkeypatch, KeyStoreInMemory)
    assert seal_for(tmp_path / "a").key != seal_for(tmp_path / "b").key
    assert seal_for(tmp_path / "a").key == seal_for(tmp_path / "a").key


def test_a_key_store_that_stays_locked_is_no_reason_to_write_plain_files(tmp_path, monkeypatch):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    use(monkeypatch, LockedKeyStore)
    with pytest.raises(KeyStoreError, match="locked"):
        seal_for(tmp_path)


def test_without_a_key_store_files_are_for_their_user_alone(tmp_path, monkeypatch):
    use(monkeypatch, None)
    seal = seal_for(tmp_path / "profile")
    assert seal.key is None
    store, _ = filled(tmp_path / "profile", 2, seal)
    for path in (store.folder, store.frames):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (*store.paths(), store.folder / "consent"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_backend_of_keyring_is_used_but_those_of_a_system():
    """Neither a file in plain text, nor none at all, nor what an environment names."""
    allowed = {"SecretService", "kwallet", "macOS", "Windows"}
    assert {module.removeprefix("keyring.backends.") for module, _ in sealing.STORES} == allowed


# -- which frames are kept ---------------------------------------------------------------------------------------------


def test_what_is_kept_stands_for_all_that_was_seen(tmp_path, monkeypatch):
    """400 frames, 40 kept: each quarter of them has its share, and so has the last one no more."""
    monkeypatch.setattr("engine.personal.store.to_bytes", lambda kept: str(kept.when.number).encode())
    quarters = np.zeros(4)
    for seed in range(5):
        folder = tmp_path / str(seed)
        store, options = FrameStore(folder, random.Random(seed)), keep_frames(40, folder)
        for number in range(400):
            store.keep(KeptFrame(None, None, When("a" * 12, 0, 0, number)), options, PLAIN)
        assert len(store.paths()) == 40
        quarters += np.bincount([int(path.read_bytes()) // 100 for path in store.paths()], minlength=4)
    assert quarters.min() > 30  # of 50


def test_fewer_may_be_kept_next_time(tmp_path):
    filled(tmp_path, 6)
    filled(tmp_path, 30, room=3)
    assert len(FrameStore(tmp_path).paths()) == 3


def test_what_is_damaged_or_anothers_is_left_out_and_named(tmp_path):
    store, _ = filled(tmp_path, 4)
    paths = store.paths()
    paths[0].write_bytes(b"half")
    paths[1].chmod(0o666)
    paths[2].unlink()
    paths[2].symlink_to(paths[3])
    frames, wrong = store.all(PLAIN)
    assert len(frames) == 1
    assert [line.split(":")[0] for line in wrong] == [path.name for path in paths[:3]]


WRITER = """
import sys
from pathlib import Path
from tests.engine.personal.test_profile_store import FIGURE, PLAIN, frame
from engine.personal.store import FrameStore, keep_frames
folder = Path(sys.argv[1])
store, options, written = FrameStore(folder), keep_frames(10, folder), 0
for number in range(40):
    try:
        written += store.keep(frame(number, visit=sys.argv[2] * 12), options, PLAIN)
    except TimeoutError:
        pass
print(written)
"""


def test_two_engines_that_keep_frames_at_once_do_not_disturb_one_another(tmp_path):
    words = [sys.executable, "-c", WRITER, str(tmp_path / "profile")]
    both = [subprocess.Popen([*words, name], stdout=subprocess.PIPE, text=True) for name in "ab"]
    written = sum(int(one.communicate(timeout=120)[0]) for one in both)
    assert written > 40
    store = FrameStore(tmp_path / "profile")
    frames, wrong = store.all(PLAIN)
    assert (len(frames), wrong) == (10, [])
    assert int((store.frames / "seen").read_text()) == written
    assert not [path for path in store.frames.iterdir() if path.name.startswith(".")]


# -- forgotten ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JM_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def shipped(**card):
    start = load_student("lite", SIZE)
    return replace(start, size=SIZE, card={START: fingerprint(start), "score": "0.98", **card})


def traces(home, *secrets):
    """Files under `home` with a piece of 32 bytes of any of `secrets` in them."""
    found = []
    for path in home.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        pieces = (secret[at : at + 32] for secret in secrets for at in range(0, len(secret) - 32, 32))
        found += [path.name for piece in pieces if len(set(piece)) > 8 and piece in data][:1]
    return found


def secrets_of(store):
    """All that could be found of what is kept: as pixels, encoded anew, small, as it lies there, and the weights."""
    for path in store.paths():
        kept = from_bytes(path.read_bytes())
        yield path.read_bytes()
        yield kept.bgr.tobytes()
        yield cv2.imencode(".jpg", kept.bgr)[1].tobytes()
        yield cv2.imencode(".png", kept.bgr)[1].tobytes()
        yield cv2.resize(kept.bgr, (64, 48), interpolation=cv2.INTER_AREA).tobytes()
        yield np.rint(kept.label * 255).astype(np.uint8).tobytes()
    for path in store.folder.glob("*.safetensors"):
        for value in load_weights(path).tensors.values():
            yield value.tobytes()
            yield value.astype(np.float16).tobytes()


def test_forgotten_nothing_of_it_is_left_on_the_disk(home, capsys):
    store, options = filled(home / "profile", 6)
    save_profile(shipped(), options.token, store)
    (store.frames / f".{'b' * 12}.frame.tmp").write_bytes(store.paths()[0].read_bytes())  # of a run that was killed
    secrets = list(secrets_of(store))
    assert len(traces(home, *secrets)) == 8  # the search finds what is there
    assert command.main(["forget"]) == 0
    assert traces(home, *secrets) == []
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["profile.lock"]
    assert (home / "profile.lock").stat().st_size == 0
    assert "6 frames and 1 profiles forgotten" in capsys.readouterr().out


def test_forgotten_the_key_is_gone_from_the_key_store(home, monkeypatch):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    use(monkeypatch, KeyStoreInMemory)
    filled(home / "profile", 1, seal_for(home / "profile"))
    assert len(KeyStoreInMemory.secrets) == 1
    assert command.main(["forget"]) == 0
    assert KeyStoreInMemory.secrets == {}


def test_rooms_that_were_learnt_from_a_profile_go_with_it_and_others_stay(home):
    store, options = filled(home / "profile", 1)
    own = {name: value * np.float32(1.01) for name, value in shipped().tensors.items()}
    profile = replace(shipped(), tensors=own)
    save_profile(profile, options.token, store)
    look = Observer(kernels.load_fallback("a test"))(FIGURE.picture(0)).signature
    for start in (profile, shipped()):
        facts = Facts(new_id(), "lite", fingerprint(start), "0", 1, 1, 1, 0, 0.98)
        RoomStore().save(Room(facts, look, *in_steps(start.tensors, start.tensors)))
    assert command.main(["forget"]) == 0
    assert [room.facts.start for room in RoomStore().all()] == [fingerprint(shipped())]


def test_a_key_that_cannot_be_deleted_is_named_and_the_files_are_gone(home, monkeypatch, capsys):
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    filled(home / "profile", 1)
    use(monkeypatch, LockedKeyStore)
    assert command.main(["forget"]) == 1
    assert not (home / "profile").exists()
    assert "delete it there" in capsys.readouterr().err


def test_who_ran_when_all_was_forgotten_writes_nothing_more(home):
    store, options = filled(home / "profile", 2)
    assert command.main(["forget"]) == 0
    assert not store.keep(frame(3), options, PLAIN)
    with pytest.raises(ModelError, match="forgotten meanwhile"):
        save_profile(shipped(), options.token, store)
    assert not (home / "profile").exists()
    again = keep_frames(5)  # somebody agrees anew: that is not what the first one was told
    assert not store.keep(frame(3), options, PLAIN)
    assert store.keep(frame(3), again, PLAIN)


def test_a_folder_that_is_a_link_costs_the_link_alone(home):
    store, _ = filled(home / "elsewhere" / "profile", 2)
    (home / "profile").symlink_to(store.folder)
    assert command.main(["forget"]) == 0
    assert not (home / "profile").exists()
    assert len(store.paths()) == 2


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root can delete everything")
def test_what_cannot_be_deleted_is_named(home, capsys):
    store, _ = filled(home / "profile", 2)
    store.frames.chmod(0o500)
    try:
        assert command.main(["forget"]) == 1
    finally:
        store.frames.chmod(0o700)
    assert "is not deleted; delete" in capsys.readouterr().err


# -- jm-engine profile show, and the profile ---------------------------------------------------------------------------


def test_what_is_kept_is_shown(home, capsys):
    assert command.main(["show"]) == 0
    assert "nothing is kept" in capsys.readouterr().err
    store, options = filled(home / "profile", 3)
    save_profile(shipped(), options.token, store)
    assert command.main(["show"]) == 0
    said = capsys.readouterr().out
    assert "3 frames" in said
    assert "0 encrypted" in said
    assert "0.98 on frames kept apart" in said
    assert command.main(["show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3


def test_a_profile_is_found_for_its_student_and_size(home):
    store, options = filled(home / "profile", 1)
    path = save_profile(shipped(), options.token, store)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert find_profile("lite", SIZE).path == path
    assert find_profile("lite", (192, 336)) is None
    assert find_profile("jitnet", (240, 240)) is None


@pytest.mark.parametrize("fault", ["damaged", "of another start", "for everybody"])
def test_a_profile_that_cannot_be_believed_is_not_used_and_that_is_said(home, caplog, fault):
    store, options = filled(home / "profile", 1)
    path = save_profile(shipped(**{START: "0" * 16} if fault == "of another start" else {}), options.token, store)
    if fault == "damaged":
        path.write_bytes(path.read_bytes()[:1000])
    if fault == "for everybody":
        path.chmod(0o666)
    assert find_profile("lite", SIZE) is None
    assert caplog.text.count("is not used") == 1


def test_a_folder_that_cannot_be_written_costs_the_frames_alone(home, caplog):
    (home / "profile").write_text("a file")
    assert keep_frames(10) is None
    assert "no frames are kept" in caplog.text
