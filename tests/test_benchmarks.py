"""The benches run: a bench that nobody runs is broken by the next change. Times are not tested."""

import json

import pytest

from benchmarks.cli import main


@pytest.mark.parametrize("student", ["lite", "jitnet"])
def test_paint_measures_every_kernel_and_ends_in_json(student, capsys):
    assert main(["paint", "--student", student, "--height", "120", "--repeats", "2"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"preprocess", "student", "steady", "refine", "matte", "composite", "paint path"} <= result["ms"].keys()
    assert result["ratio"] > 0


def test_swap_counts_what_was_adopted(capsys):
    assert main(["swap", "--swaps", "3"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["swaps"] >= 3
