"""The benches run: a bench that nobody runs is broken by the next change. Times are not tested."""

import json

import pytest

from benchmarks.cli import main


@pytest.fixture
def bench(capsys, tmp_path):
    """Runs jm-bench; returns its JSON."""

    def run(*arguments):
        assert main([*arguments, "--out", str(tmp_path)]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


@pytest.mark.parametrize("student", ["lite", "jitnet"])
def test_paint_measures_every_kernel_and_ends_in_json(student, bench):
    result = bench("paint", "--student", student, "--height", "120", "--repeats", "2")
    ms = result["ms"]["160x120"]
    assert {"preprocess", "student", "steady", "refine", "matte", "composite", "paint path"} <= ms.keys()
    assert ms["ratio"] > 0


def test_swap_counts_what_was_adopted(bench):
    assert bench("swap", "--swaps", "3")["swaps"] >= 3
