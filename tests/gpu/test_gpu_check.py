"""make gpu-check where there is no GPU: it says so; and a rehearsal of every section on the CPU."""

import json

import pytest

from benchmarks.gpu import check as gpu_check
from benchmarks.gpu import correctness as gpu_correctness
from benchmarks.gpu import times as gpu_times
from engine.backends import gpu_detection as gpu


def test_without_a_gpu_it_ends_with_4_and_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("engine.backends.gpu_detection.find", lambda: "no NVIDIA driver: libcuda.so.1 is not installed")
    assert gpu_check.main(["--out", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert said.startswith("gpu-check: no NVIDIA driver")
    assert "nothing was measured" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not isinstance(gpu.find(), str), reason="this machine has a GPU: run make gpu-check")
def test_a_rehearsal_runs_every_section_and_writes_both_files(monkeypatch, capsys, tmp_path):
    for module in (gpu_times, gpu_correctness):
        monkeypatch.setattr(module, "STUDENTS", (("lite", (64, 64)),))
    monkeypatch.setattr(gpu_times, "HEIGHTS", (480,))
    monkeypatch.setattr(gpu_times, "SHORT_SIDE", 64)  # where torchvision is installed, its teacher is slow
    assert gpu_check.main(["--rehearse", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "rehearsal.json").read_text())
    broken = {t for t, rows in report["sections"].items() for row in rows if "broke" in str(row.get("verdict"))}
    assert broken == {"kernels against the reference"}  # they want Numba's simulator, in a process of its own
    assert (tmp_path / "rehearsal.md").read_text() == capsys.readouterr().out.rstrip("\n") + "\n"


def test_a_section_that_breaks_costs_only_itself_and_what_is_wrong_fails(monkeypatch, capsys, tmp_path):
    wrong = [{"what": "matte", "difference": 9.0, "allowed": 1, "verdict": "WRONG"}]
    monkeypatch.setattr(gpu_check, "_sections", lambda _: [("one", lambda: 1 / 0), ("two", lambda: wrong)])
    assert gpu_check.main(["--rehearse", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "broke: ZeroDivisionError" in said.out
    assert "gpu-check: WRONG: matte" in said.err


def test_what_would_begin_too_late_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "LIMIT", -1.0)
    monkeypatch.setattr(gpu_check, "_sections", lambda _: [("one", lambda: 1 / 0)])
    assert gpu_check.main(["--rehearse"]) == 0
    assert "left out" in capsys.readouterr().out


def test_operations_are_those_of_the_convolutions():
    from export.publish import publish_initial

    model = publish_initial(gpu_times.student_weights("jitnet", (240, 240))).model
    assert gpu_times.operations(model) / 2 == pytest.approx(438e6, rel=0.02)  # the multiplications that were counted
