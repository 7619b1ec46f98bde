"""Shared fixtures, and what is skipped where data is absent."""

import os
from pathlib import Path

import numpy as np
import pytest

import kernels
from engine.media.saying import say_once
from kernels.fused import network

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """The kernels are compiled before the first test: a start without them paints with the fallback at first."""
    if "NUMBA_ENABLE_CUDASIM" in os.environ:  # settings decide what is kept: these would write over everybody's
        return
    kernels.load()
    network.warm()


@pytest.fixture(scope="session")
def shared():
    """The folder of real clips and weights; tests that need it are skipped where it is not there."""
    if not (SHARED / "clips").is_dir():
        pytest.skip("the folder shared/data with real clips is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def rvm(shared):
    """Makes the teacher's weights available without a download."""
    previous = os.environ.get("JM_MODELS")
    os.environ["JM_MODELS"] = str(shared / "weights")
    yield "rvm"
    if previous is None:
        del os.environ["JM_MODELS"]
    else:
        os.environ["JM_MODELS"] = previous


@pytest.fixture
def room():
    """A background that no frame resembles, as a colour: magenta, BGR (255, 0, 255)."""
    return "#ff00ff"


@pytest.fixture
def magenta():
    return np.array((255, 0, 255), np.uint8)


@pytest.fixture(autouse=True)
def nothing_said_yet():
    """What was said of a file in another test may be said again."""
    say_once.cache_clear()
