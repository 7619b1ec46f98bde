"""Clocks that are set while a run goes on, and times of a source that stand still, run back, leap or are no number."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from engine.contracts import Frame, Origin
from engine.sources.video import SteadyClock
from tests.clips import write_clip
from tests.data.make_clip import CLIP, PERSON
from tests.faults.whole_run import FRAMES, arguments, ended, left, start
from tests.toml_teacher import write_teacher

ROOT = Path(__file__).resolve().parents[2]

# -- the system's clock ------------------------------------------------------------------------------------------------

WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}


@pytest.mark.parametrize("package", ["kernels", "export", "engine", "training"])
def test_no_clock_is_read_that_somebody_can_set(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                name = f"{getattr(node.value, 'attr', getattr(node.value, 'id', ''))}.{node.attr}"
                assert name not in WALL_CLOCKS, f"{path}:{node.lineno}"


JUMPS = """
import itertools, time
jumps, real = itertools.cycle((0, 86_400, -31_536_000, 3.15e9, -1)), time.time
time.time = lambda: real() + next(jumps)
time.time_ns = lambda: int(1e9 * time.time())
"""


@pytest.mark.parametrize("pace", ["lockstep", "live"])
def test_while_the_systems_clock_jumps_every_frame_is_painted_and_learning_goes_on(tmp_path, pace):
    """Backwards and forwards, at every look at it, in the learner's process too; sitecustomize is what Python runs at
    its start.
    """
    (tmp_path / "sitecustomize.py").write_text(JUMPS)
    teacher = write_teacher(tmp_path, PERSON._scene(0).background)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    command = arguments(tmp_path, "--teacher", teacher, "--pace", pace, "-o", tmp_path / "out.mkv", frames=9)
    run = left(tmp_path, *ended(start(*command, env=os.environ | {"PYTHONPATH": path})))
    run.painted_everything(9)
    assert run.said == ""
    assert run.report["learning"]["died"] is None
    assert 0 < run.report["duration_s"] < 60
    assert times(tmp_path / "out.mkv") == pytest.approx([i / 25 for i in range(9)], abs=0.001)


def times(path):
    """Of the pictures of a file, s."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_on_a_machine_that_has_run_for_years_the_clock_is_as_any_other(tmp_path):
    years = ["unshare", "-rUT", "--monotonic", "300000000"]
    if subprocess.run([*years, "true"], capture_output=True).returncode:
        pytest.skip("a time namespace is not permitted here")
    command = ["-m", "engine.cli", *arguments(tmp_path, "--pace", "live")]
    done = subprocess.run([*years, sys.executable, *command], capture_output=True, text=True, timeout=60)
    left(tmp_path, done.returncode, done.stderr).painted_everything()


# -- a source's times --------------------------------------------------------------------------------------------------

PACE = 1 / 25
NAN, INF = float("nan"), float("inf")
TIMES = {
    "stand still": lambda i: 0.2,
    "repeat": lambda i: i // 3 * 3 * PACE,
    "run back": lambda i: (i - 1000 * (i >= 12)) * PACE,
    "run backwards": lambda i: -i * PACE,
    "zigzag": lambda i: (i + 5 * (-1) ** i) * PACE,
    "leap": lambda i: i * PACE + 1e6 * (i >= 12),
    "are NaN": lambda i: NAN,
    "are NaN once": lambda i: NAN if i == 5 else i * PACE,
    "are infinite": lambda i: INF if i == 5 else i * PACE,
    "are minus infinity": lambda i: -INF if i == 5 else i * PACE,
    "are no time": lambda i: 1e300 if i == 5 else i * PACE,
}


class OddlyTimed:
    """The clip's frames, at times of their own."""

    live, fps, frames, origin = False, 25.0, FRAMES, Origin()

    def __init__(self, time):
        self._time = time

    def __iter__(self):
        for i in range(FRAMES):
            yield Frame(PERSON.picture(i), i, 0.0, self._time(i))

    def close(self):
        pass


@pytest.mark.parametrize(("pace", "suffix"), [("lockstep", ".mp4"), ("fast", ".mkv")])
@pytest.mark.parametrize("oddity", TIMES)
def test_whatever_the_times_of_a_source_are_every_frame_is_painted_and_kept(
    paint, tmp_path, monkeypatch, oddity, pace, suffix
):
    """Before a video, which is shown by the same times."""
    monkeypatch.setattr("engine.parts.source_opener", lambda *_, **__: lambda: OddlyTimed(TIMES[oddity]))
    out = tmp_path / f"out{suffix}"
    run = paint("-o", out, "--background", CLIP, "--pace", pace)
    run.painted_everything()
    assert len(times(out)) == FRAMES
    assert times(out) == sorted(set(times(out)))
    assert run.said.strip() == ""


def test_recordings_laid_end_to_end_keep_their_pace(paint, tmp_path):
    """The second one's clock begins anew."""
    parts = [write_clip(tmp_path / f"{i}.ts", [PERSON.picture(j) for j in range(12 * i, 12 * i + 12)]) for i in (0, 1)]
    clip, out = tmp_path / "both.ts", tmp_path / "out.mp4"
    clip.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    run = paint("-o", out, clip=clip)
    run.painted_everything()
    assert np.diff(times(out)) == pytest.approx([PACE] * (FRAMES - 1), abs=PACE)


def test_a_clock_that_runs_back_or_leaps_goes_on_a_step_later():
    clock = SteadyClock(PACE)
    given = [0.0, 0.04, 5.0, 4.9, 1e6, 1e6 + 0.04, -3.0, -2.96, 1e6]
    expected = [0.0, 0.04, 5.0, 4.9, 4.94, 4.98, 5.02, 5.06, 5.1]
    assert [clock(time) for time in given] == pytest.approx(expected, abs=1e-6)
