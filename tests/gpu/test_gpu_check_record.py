""" "auto" takes a GPU backend only where gpu-check has passed: the decision, the record on disk, and what is said."""

import ctypes
import dataclasses
import os
import sys

import pytest

from engine import backends
from engine.backends import gpu_check_record, load
from engine.backends import gpu_detection as gpu
from engine.backends.gpu_check_record import GpuSetup, why_unchecked
from engine.backends.trt import Trt
from engine.cli import main
from engine.errors import JitMaskerError

CARD = gpu.Gpu("a scripted card", (8, 9), "580.65.06, CUDA 13.0")
HERE = GpuSetup("trt", CARD.name, CARD.driver, "tensorrt 10.0", "1.0")


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A machine with a card and a TensorRT that can be used, and nothing recorded."""
    monkeypatch.setenv("JM_HOME", str(tmp_path))
    monkeypatch.setattr(gpu, "find", lambda: CARD)
    monkeypatch.setattr(Trt, "require", staticmethod(lambda: None))
    monkeypatch.setitem(gpu_check_record.LIBRARIES, "trt", ("no-such-tensorrt", "numpy"))
    backends._warn_once.cache_clear()
    return CARD


def recorded(backend="trt", **changes):
    """Leave the record of a gpu-check that passed here, or with `changes` somewhere else."""
    setup = dataclasses.replace(gpu_check_record.this_setup(backend, CARD), **changes)
    gpu_check_record.write({setup: True})
    return setup


# -- the decision --------------------------------------------------------------------------------------------------


def test_a_record_that_matches_allows_the_backend():
    assert why_unchecked([HERE], HERE) is None


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("backend", "ort-cuda", "it has not passed on this machine"),
        ("gpu", "another card", "it has not passed on this machine"),
        ("driver", "550.0", "it passed with driver 550.0, and here is 580.65.06, CUDA 13.0"),
        ("runtime", "tensorrt 9.0", "it passed with libraries tensorrt 9.0, and here is tensorrt 10.0"),
        ("version", "0.9", "it passed with jit-masker 0.9, and here is 1.0"),
    ],
)
def test_a_record_of_another_setup_does_not_and_the_difference_is_named(field, value, reason):
    assert why_unchecked([dataclasses.replace(HERE, **{field: value})], HERE) == reason


def test_no_record_and_libraries_without_a_version_do_not():
    assert why_unchecked([], HERE) == "it has not passed on this machine"
    nameless = dataclasses.replace(HERE, runtime="")
    assert "version" in why_unchecked([nameless], nameless)


# -- the file --------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_and_a_later_verdict_replaces_it(card):
    other = dataclasses.replace(HERE, backend="ort-cuda")
    gpu_check_record.write({HERE: True, other: True})
    assert gpu_check_record.read() == [HERE, other]
    newer = dataclasses.replace(HERE, driver="600.0")
    gpu_check_record.write({newer: True, other: False})
    assert gpu_check_record.read() == [newer]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"passed": 3}', '{"passed": [3]}', '{"passed": [{}]}', '{"failed": []}', "[" * 100_000,
        '{"passed": [{"backend": "trt", "gpu": 1, "driver": "", "runtime": "", "version": ""}]}', b"\xff\xfe\x00",
    ],
    ids=lambda text: repr(text[:24]),
)  # fmt: skip
def test_a_damaged_record_counts_as_absent_and_is_said(card, caplog, text):
    data = text if isinstance(text, bytes) else text.encode()
    gpu_check_record.path().write_bytes(data)
    assert load("auto").name == "numba-cpu"
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        f"{gpu_check_record.path()} counts as absent, because it cannot be read"
    ]
    recorded()  # and gpu-check replaces it
    assert load("auto").name == "trt"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user who cannot write everywhere")
def test_a_folder_that_cannot_be_written_is_said_with_the_remedy(card, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(JitMaskerError, match=r"cannot write .*gpu-check.json: Permission denied; set JM_HOME"):
            recorded()
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_is_a_file_is_said_and_reads_as_no_record(card, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JM_HOME", str(tmp_path / "file"))
    assert gpu_check_record.read() == []
    with pytest.raises(JitMaskerError, match="set JM_HOME to a folder that can be written"):
        recorded()


# -- what is chosen, what is said ------------------------------------------------------------------------------------


def test_auto_takes_the_gpu_where_gpu_check_passed(card):
    recorded()
    choice = load("auto")
    assert (choice.name, choice.reason) == ("trt", "on a scripted card, where gpu-check has passed")


def test_auto_stays_on_the_cpu_without_a_record_and_says_which_command_allows_the_gpu(card):
    choice = load("auto")
    assert choice.name == "numba-cpu"
    assert "trt: it has not passed on this machine" in choice.reason
    assert choice.reason.endswith("run python -m benchmarks.gpu.check (in a checkout: make gpu-check)")


def test_auto_imports_nothing_for_a_gpu_without_a_record(card, monkeypatch):
    monkeypatch.setitem(backends.BACKENDS, "trt", lambda: pytest.fail("imported"))
    assert load("auto").name == "numba-cpu"


def test_auto_stays_on_the_cpu_after_the_driver_changed(card):
    recorded(driver="550.0, CUDA 12.4")
    assert "trt: it passed with driver 550.0, CUDA 12.4, and here is 580.65.06" in load("auto").reason


def test_by_name_it_runs_and_one_line_says_that_no_gpu_check_passed(card, caplog):
    assert [load("trt").name for _ in range(3)] == ["trt"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "backend 'trt' runs because it was asked for by name; gpu-check: it has not passed on this machine"
    ]


def test_by_name_nothing_is_said_where_it_passed(card, caplog):
    recorded()
    assert load("trt").name == "trt"
    assert not caplog.records


def test_the_list_of_backends_says_where_gpu_check_has_passed(card, capsys):
    assert main(["--list-backends"]) == 0
    said = capsys.readouterr().out
    assert "trt          available, gpu-check not passed: it has not passed on this machine; run python -m" in said
    recorded()
    assert main(["--list-backends"]) == 0
    assert "trt          available, gpu-check passed\n" in capsys.readouterr().out


# -- the driver's version ----------------------------------------------------------------------------------------------


class ScriptedNvml:
    """As much of NVML as is asked."""

    def __init__(self, version=b"580.65.06", code=0):
        self.version, self.code = version, code

    def nvmlInit_v2(self):  # noqa: N802 (NVIDIA's name)
        return self.code

    def nvmlSystemGetDriverVersion(self, buffer, length):  # noqa: N802 (NVIDIA's name)
        buffer.value = self.version[: length - 1]
        return 0

    def nvmlShutdown(self):  # noqa: N802 (NVIDIA's name)
        return 0


def test_the_drivers_version_is_nvmls_and_empty_where_it_gives_none(monkeypatch):
    answers = [ScriptedNvml(), ScriptedNvml(code=9), object()]
    monkeypatch.setattr(ctypes, "CDLL", lambda name: answers.pop(0))
    assert [gpu._driver() for _ in range(3)] == ["580.65.06", "", ""]
