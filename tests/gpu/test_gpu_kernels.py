"""The device kernels, and the paint path made of them, without a GPU: Numba's simulator, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent


SIMULATED = ("device_kernels.py", "device_frames.py")  # not named test_*: they need the simulator, or a GPU


def test_the_device_kernels_are_the_reference_in_the_simulator():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x", *(str(TESTS / f) for f in SIMULATED)]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, cwd=TESTS.parents[1], env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
