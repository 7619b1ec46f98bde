"""The device kernels through NVIDIA's compiler, without a GPU: the simulator runs Python and would accept anything.

`make trt-check` installs the compiler; elsewhere these tests are skipped.
"""

import importlib
import os
import types

import pytest
from numba import cuda
from numba import types as t

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed; make trt-check installs it")
if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

from kernels import device

U3, U2, I1 = t.Array(t.uint8, 3, "C"), t.Array(t.uint8, 2, "C"), t.Array(t.int32, 1, "C")
F2, F3, F4 = (t.Array(t.float32, dimensions, "C") for dimensions in (2, 3, 4))
F = t.float32

ARGUMENTS = {
    "preprocess": (U3, *[F] * 6, F4),
    "clear": (I1,),
    "alpha_of_logits": (F2, F, F, F, F, F2, I1),
    "grey_change": (F4, F, F, F, F, F2, F2),
    "mean_3x3": (F2, F2),
    "smooth": (F2, F2, F2),
    "fit_coefficients": (F2, F2, F3),
    "mean_coefficients": (F3, F3),
    "evaluate": (U3, F3, U2),
    "sum_cells": (F4, F2, F3),
    "mean_colours": (F3, *[F] * 6, F4),
    "estimate": (U3, U2, F4, U3),
    "blend": (U3, U2, U3, U3),
}


def test_every_kernel_is_compiled_here():
    launched = {name for name, value in vars(device).items() if hasattr(value, "py_func")}
    on_device = {name for name in launched if vars(device)[name].targetoptions.get("device")}
    assert launched - on_device == ARGUMENTS.keys()


@pytest.mark.parametrize("card", [(8, 6), (9, 0), (12, 0)], ids=str)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_kernel_compiles_and_computes_nothing_in_double_precision(name, card, monkeypatch):
    dispatcher = importlib.import_module(f"{cuda.__name__}.dispatcher")
    # device functions ask for the card that is there, instead of the one that is compiled for
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: types.SimpleNamespace(compute_capability=card))
    try:
        ptx, _ = cuda.compile_ptx(getattr(device, name).py_func, t.void(*ARGUMENTS[name]), cc=card)
    except Exception as error:
        if "nvvm" in str(error).lower() and "not" in str(error).lower():
            pytest.skip(f"NVIDIA's compiler is not installed ({error}); make trt-check installs it")
        raise
    assert ".f64" not in ptx
