"""The first start after an installation, with nothing compiled: each is a process of its own, with an empty folder."""

import ast
import os
import subprocess
import sys

import pytest

START = """
import logging, sys, time
import numpy as np
logging.basicConfig(level=logging.INFO)
from kernels import yuv
from engine import Masker
sys.executable = {executable!r}
if not {lockstep}:
    yuv.load(wait=False)
frame = np.full((48, 64, 3), 127, np.uint8)
with Masker("ort-cpu", None, "#204060", lockstep={lockstep}) as masker:
    masker(frame)
    first = masker.kernels_name
    until = time.monotonic() + 100
    while masker.kernels_name != "fused" and time.monotonic() < until:
        masker(frame)
        time.sleep(0.01)
    faults = masker.stats.faults
    while not yuv.load().bgr_from_yuv.__module__.endswith("fused.yuv") and time.monotonic() < until:
        time.sleep(0.01)
heavy = [name for name in ("numba", "llvmlite") if name in sys.modules]
print([first, masker.kernels_name, yuv.load().bgr_from_yuv.__module__, faults, heavy])
"""
FUSED_YUV = "kernels.fused.yuv"


def start(folder, lockstep=False, executable=sys.executable):
    """What painted at first and at last, what converts video at last, faults and what was imported; what was said."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    program = START.format(lockstep=lockstep, executable=executable)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout), done.stderr


def test_the_first_start_paints_at_once_and_imports_no_compiler_and_the_next_one_finds_all_compiled(tmp_path):
    loads_itself = ["llvmlite"] if sys.platform != "linux" or os.uname().machine != "x86_64" else []
    found, said = start(tmp_path)
    assert found == ["fallback", "fused", FUSED_YUV, 0, loads_itself]
    assert said.count("Numba compiles the others in the background, once after an installation") == 1
    found, said = start(tmp_path)
    assert found == ["fused", "fused", FUSED_YUV, 0, loads_itself]
    assert "kernels" not in said


def test_in_lockstep_the_first_start_waits_for_the_compiler_so_that_it_is_repeatable(tmp_path):
    found, _ = start(tmp_path, lockstep=True)
    assert found == ["fused", "fused", FUSED_YUV, 0, ["numba", "llvmlite"]]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no program that does nothing")
def test_where_no_other_process_compiles_this_one_does(tmp_path):
    found, said = start(tmp_path, executable="/bin/false")
    assert found == ["fallback", "fused", FUSED_YUV, 0, ["numba", "llvmlite"]]
    assert "take over" in said
