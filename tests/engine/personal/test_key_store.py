"""The key store of a real session: GNOME's, on a bus of its own, unlocked with a password of the test's."""

import os
import shutil
import subprocess
import sys

import pytest

UNLOCKED = 'printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null & sleep 2; exec "$@"'
PROGRAM = """
from pathlib import Path
import sys
from engine.personal.sealing import forget_key, seal_for
folder = Path(sys.argv[1])
seal, again = seal_for(folder), seal_for(folder, make=False)
assert seal.why == "the key store SecretService", seal.why
assert again.open(seal.close(b"a frame")) == b"a frame"
assert b"a frame" not in seal.close(b"a frame")
assert forget_key(folder)
assert not forget_key(folder)
assert seal_for(folder, make=False).key is None
"""


def test_a_real_key_store_gives_a_key_keeps_it_and_forgets_it(tmp_path):
    pytest.importorskip("keyring", reason='keyring is not installed: pip install "jit-masker[profile]"')
    pytest.importorskip("cryptography", reason='cryptography is not installed: pip install "jit-masker[profile]"')
    for program in ("dbus-run-session", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(run), "PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "profile")]
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", UNLOCKED, "sh", *program], env=environment, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
