"""make gpu-check where there is no GPU: it says so; and a rehearsal of every section on the CPU."""

import json

import pytest

from benchmarks.gpu import check as gpu_check
from benchmarks.gpu import correctness as gpu_correctness
from benchmarks.gpu import times as gpu_times
from benchmarks.gpu.verdict import KERNELS, LEARNING, LOGITS, OK, PICTURES, WRONG, objections
from engine import backends
from engine.backends import gpu_check_record
from engine.backends import gpu_detection as gpu


def test_without_a_gpu_it_ends_with_4_and_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("engine.backends.gpu_detection.find", lambda: "no NVIDIA driver: libcuda.so.1 is not installed")
    assert gpu_check.main(["--out", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert said.startswith("gpu-check: no NVIDIA driver")
    assert "nothing was measured" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not isinstance(gpu.find(), str), reason="this machine has a GPU: run make gpu-check")
def test_a_rehearsal_runs_every_section_writes_both_files_and_records_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("JM_HOME", str(tmp_path / "home"))
    for module in (gpu_times, gpu_correctness):
        monkeypatch.setattr(module, "STUDENTS", (("lite", (64, 64)),))
    monkeypatch.setattr(gpu_times, "HEIGHTS", (480,))
    monkeypatch.setattr(gpu_times, "SHORT_SIDE", 64)  # where torchvision is installed, its teacher is slow
    assert gpu_check.main(["--rehearse", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "rehearsal.json").read_text())
    broken = {t for t, rows in report["sections"].items() for row in rows if "broke" in str(row.get("verdict"))}
    assert not gpu_check_record.path().exists()
    assert broken == {"kernels against the reference"}  # they want Numba's simulator, in a process of its own
    assert report["passed"] == {"ort-cpu": True, "torch-cpu": True}
    assert (tmp_path / "rehearsal.md").read_text() == capsys.readouterr().out.rstrip("\n") + "\n"


def test_a_section_that_breaks_costs_only_itself_and_what_is_wrong_fails(monkeypatch, capsys, tmp_path):
    wrong = [{"what": "matte", "difference": 9.0, "allowed": 1, "verdict": "WRONG"}]
    monkeypatch.setattr(gpu_check, "_sections", lambda *_: [("one", lambda: 1 / 0), ("two", lambda: wrong)])
    assert gpu_check.main(["--rehearse", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "broke: ZeroDivisionError" in said.out
    assert "gpu-check: WRONG: matte" in said.err


def test_what_would_begin_too_late_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "LIMIT", -1.0)
    monkeypatch.setattr(gpu_check, "_sections", lambda *_: [("one", lambda: 1 / 0)])
    assert gpu_check.main(["--rehearse"]) == 0
    assert "left out" in capsys.readouterr().out


def test_operations_are_those_of_the_convolutions():
    from export.publish import publish_initial

    model = publish_initial(gpu_times.student_weights("jitnet", (240, 240))).model
    assert gpu_times.operations(model) / 2 == pytest.approx(438e6, rel=0.02)  # the multiplications that were counted


# -- what it passes for, and what it leaves on this machine ------------------------------------------------------------


def sections(**changes):
    """Those of a gpu-check in which trt and torch-cuda are right."""
    per_backend = [{"what": name, "verdict": OK, "backend": name} for name in ("trt", "torch-cuda")]
    right = {
        KERNELS: [{"what": "matte", "verdict": OK}],
        LOGITS: per_backend,
        PICTURES: per_backend,
        LEARNING: [{"what": "IoU-Acc", "verdict": OK, "backend": "trt"}, {"what": "a step, ms", "p50": 3.0}],
        "student, ms": [{"what": "torch eager", "verdict": "not run: no CUDA"}],
    }
    return right | changes


def test_backends_that_are_right_in_every_section_pass():
    assert objections(sections(), "trt", fastest="trt") == []
    assert objections(sections(), "torch-cuda", fastest="trt") == []


ONLY_TORCH = [{"what": "torch-cuda", "verdict": OK, "backend": "torch-cuda"}]


@pytest.mark.parametrize(
    ("title", "rows", "objection"),
    [
        (KERNELS, [{"what": "matte", "verdict": WRONG}], "matte: WRONG"),
        (KERNELS, [{"what": KERNELS, "verdict": "broke: RuntimeError: CUDA error 719"}], "broke: RuntimeError"),
        (LOGITS, [{"what": "trt", "verdict": "not run: ModelError", "backend": "trt"}, *ONLY_TORCH], "not run: Model"),
        (PICTURES, [{"what": "trt", "verdict": WRONG, "backend": "trt"}, *ONLY_TORCH], "trt: WRONG"),
        (PICTURES, ONLY_TORCH, f"{PICTURES}: not run"),
        (LEARNING, [{"what": LEARNING, "verdict": "left out: 450 s are over"}], "left out"),
        (LEARNING, [{"what": "students", "verdict": WRONG, "backend": "trt"}], "students: WRONG"),
    ],
)
def test_what_is_wrong_broken_or_left_out_counts_against_the_backend_that_it_concerns(title, rows, objection):
    (found,) = objections(sections(**{title: rows}), "trt", fastest="trt")
    assert objection in found
    assert objections(sections(**{title: rows}), "torch-cuda", fastest="trt") == []


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A machine with a card, on which trt and torch-cuda can be used; gpu-check is told what to find."""
    found = gpu.Gpu("a scripted card", (8, 9), "580.65.06, CUDA 13.0")
    monkeypatch.setenv("JM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(gpu, "find", lambda: found)
    monkeypatch.setattr(gpu_check, "_can_be_used", lambda name: name != "ort-cuda")
    monkeypatch.setattr(gpu_check_record, "LIBRARIES", dict.fromkeys(backends.ON_GPU, ("numpy",)))
    return found


def told(monkeypatch, found):
    monkeypatch.setattr(gpu_check, "_sections", lambda *_: [(t, lambda rows=rows: rows) for t, rows in found.items()])


def test_it_records_what_passed_and_forgets_what_no_longer_does(card, monkeypatch, capsys, tmp_path):
    told(monkeypatch, sections())
    assert gpu_check.main(["--out", str(tmp_path)]) == 0
    assert gpu_check_record.unchecked(backends.ON_GPU, card).keys() == {"ort-cuda"}
    assert "gpu-check: --backend auto may choose trt, torch-cuda" in capsys.readouterr().err
    told(monkeypatch, sections(**{KERNELS: [{"what": "matte", "verdict": WRONG}]}))
    assert gpu_check.main(["--out", str(tmp_path)]) == 1
    assert gpu_check_record.unchecked(backends.ON_GPU, card).keys() == {"trt", "ort-cuda"}
    assert "--backend auto may choose torch-cuda" in capsys.readouterr().err
    assert json.loads((tmp_path / "a-scripted-card.json").read_text())["passed"]["torch-cuda"] is True


def test_a_folder_that_cannot_be_written_costs_the_record_and_not_the_results(card, monkeypatch, capsys, tmp_path):
    (tmp_path / "home").touch()
    told(monkeypatch, sections())
    assert gpu_check.main(["--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "gpu-check: --backend auto stays on the CPU: cannot write" in said
    assert "set JM_HOME to a folder that can be written" in said
    assert (tmp_path / "a-scripted-card.md").is_file()
