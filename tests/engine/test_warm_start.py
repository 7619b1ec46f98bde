"""What a process that only paints loads, once the kernels are compiled: each library that it can do without costs a
start tens of milliseconds, and tens of megabytes for as long as it runs."""

import ast
import platform
import subprocess
import sys

import pytest

import kernels

PAINT = """
import sys
import numpy as np
from engine import Masker
with Masker("ort-cpu", None, "#204060") as masker:
    masker(np.full((48, 64, 3), 127, np.uint8))
    print([masker.kernels_name, *sorted({name.split(".")[0] for name in sys.modules})])
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="elsewhere LLVM loads the kernels' machine code"
)
def test_a_warm_start_imports_no_compiler_and_nothing_that_writes_graphs():
    kernels.load()
    done = subprocess.run([sys.executable, "-c", PAINT], capture_output=True, text=True, check=True)
    used, *modules = ast.literal_eval(done.stdout)
    assert used == "fused"
    assert {"numba", "llvmlite", "onnx", "google", "torch", "av", "pydantic"}.isdisjoint(modules)
