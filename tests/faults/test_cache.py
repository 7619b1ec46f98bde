"""What is kept from run to run: damaged, within another's reach, or nowhere to be kept. The picture is the same.

Each kind of damage: tests/kernels/test_cache.py for machine code, tests/engine/test_assets.py for models.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernels import fused
from kernels.fused import cache
from tests.faults.whole_run import arguments, ended, left, start
from tests.kernels.test_cache import RIGHT, SMALL, flipped, folder_of


@pytest.fixture
def home(tmp_path):
    """A folder for JM_HOME with the machine code that was kept."""
    fused.warm()
    kept = cache.folder()
    latest = max(os.path.getmtime(file) for file in kept.iterdir() if not file.name.startswith("hdr."))  # made on need
    older = [
        file.name for file in kept.iterdir() if os.path.getmtime(file) < latest - 600 or file.stat().st_mode & 0o77
    ]
    shutil.copytree(kept, tmp_path / "home" / kept.name, ignore=lambda *_: older)  # what other versions left there
    return tmp_path / "home"


def test_machine_code_that_is_damaged_is_repaired_and_the_run_is_as_any_other(tmp_path, home):
    used = [file for file in folder_of(home).iterdir() if not file.name.startswith("hdr.")]  # the clip is no HDR
    file = max(used, key=os.path.getsize)
    whole = file.read_bytes()
    file.write_bytes(flipped(whole))
    run = left(tmp_path, *ended(start(*arguments(tmp_path), env=os.environ | {"JM_HOME": str(home)})))
    run.painted_everything()
    assert run.report["backend"]["kernels"] == "fused"
    assert run.said == ""
    assert file.stat().st_size > 1000
    assert file.read_bytes() != flipped(whole)


def test_machine_code_that_others_can_write_is_not_run(tmp_path, home):
    folder_of(home).chmod(0o777)
    (tmp_path / "temporary").mkdir()
    trusted = tmp_path / "temporary" / f"jit-masker-{os.geteuid()}-{folder_of(home).name}"
    shutil.copytree(folder_of(home), trusted)
    trusted.chmod(0o700)
    environ = os.environ | {"JM_HOME": str(home), "TMPDIR": str(tmp_path / "temporary")}
    run = left(tmp_path, *ended(start(*arguments(tmp_path), env=environ)))
    run.painted_everything()
    assert len(run.said.splitlines()) == 1
    assert f"compiled kernels are kept in {trusted}: " in run.said


def test_four_that_start_at_once_with_nothing_kept_do_not_disturb_one_another(tmp_path):
    (tmp_path / "small.py").write_text(SMALL)
    environ = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
        "JM_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environ}
    starts = [subprocess.Popen([sys.executable, tmp_path / "small.py"], **pipes) for _ in range(4)]
    for process in starts:
        out, err = process.communicate(timeout=100)
        assert (process.returncode, err) == (0, "")
        assert f"'numbers': {RIGHT}, 'again': {RIGHT}" in out
    assert len(list(folder_of(tmp_path / "home").iterdir())) == 1


@pytest.mark.parametrize("damage", ["flipped", "cut", "text"])
def test_a_damaged_teacher_ends_the_run_with_5(paint, tmp_path, damage):
    from tests.data.make_clip import PERSON
    from tests.toml_teacher import write_teacher

    teacher = write_teacher(tmp_path, PERSON._scene(0).background)
    model = tmp_path / "difference.onnx"
    data = model.read_bytes()
    model.write_bytes(
        {"flipped": bytes(b ^ 0xFF for b in data), "cut": data[: len(data) // 2], "text": b"no graph"}[damage]
    )
    run = paint("--teacher", teacher)
    assert (run.code, run.report, run.frames) == (5, None, 0)
    assert f"ONNX Runtime cannot load {model}" in run.said
