"""What jm-bench floor and threads stand on: blocks in turn, the rare frame, who has which priority, AVX-512 hidden."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import avx2, hot, rare
from benchmarks.harness.timing import in_blocks

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what a thread did")


def test_blocks_are_taken_in_turn_and_the_first_calls_of_each_do_not_count():
    calls = []
    ms = in_blocks({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, turns=2, calls=3, warm=1)
    assert calls == (["a"] * 4 + ["b"] * 4) * 2
    assert {name: len(series) for name, series in ms.items()} == {"a": 6, "b": 6}


def test_a_frame_that_computes_longer_is_ours_and_one_that_waits_for_a_core_is_not():
    wall, cpu = np.array([4.0, 4.1, 9.0, 4.0, 30.0]), np.array([4.0, 4.0, 8.9, 4.0, 4.2])
    counted = np.array([[0, 0, 0, 0, 2], [0, 0, 75, 0, 0]])
    assert rare.judged(wall, cpu, counted) == [
        rare.RareFrame(2, 9.0, 8.9, switches=0, faults=75, ours=True),
        rare.RareFrame(4, 30.0, 4.2, switches=2, faults=0, ours=False),
    ]


@linux
def test_every_call_of_a_long_run_is_timed():
    calls = []
    assert len(rare.watch(lambda: calls.append(None), 10).ms) == len(calls) == 10


@linux
def test_the_priority_of_a_thread_is_told_with_its_name():
    ready, end = threading.Event(), threading.Event()

    def low():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 7)
        ready.set()
        end.wait()

    thread = threading.Thread(target=low, name="a low one")
    thread.start()
    try:
        ready.wait()
        found = {one["name"]: (one["nice"], one["policy"]) for one in hot.threads_now(hot.cpu_of_threads())}
    finally:
        end.set()
        thread.join()
    assert found["a low one"] == (7, 0)


def test_in_a_process_without_avx512_nobody_who_asks_the_processor_finds_it():
    asks = (
        f"import sys; sys.path.insert(0, {str(Path(avx2.__file__).parent)!r})\n"
        "from avx2 import hide\n"
        "if not hide(): sys.exit('no faults')\n"
        "import numpy, cv2\n"
        "avx512f = 13  # CV_CPU_AVX_512F\n"
        "print(numpy._core._multiarray_umath.__cpu_features__['AVX512F'], cv2.checkHardwareSupport(avx512f))"
    )
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True)
    if done.stderr.strip() == "no faults":
        pytest.skip("CPUID cannot be made to fault on this machine")
    assert done.stdout.split() == ["False", "False"]
