"""The learner in a process of its own: what happens to it does not happen to the picture. Real processes throughout."""

import functools
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engine import Masker
from engine.contracts import LearnerOptions
from engine.errors import CandidateRejected, ModelError, UsageError
from engine.sources.synthetic import SyntheticPerson
from engine.teacher_options import TeacherOptions
from export.publish import load_student
from tests.toml_teacher import write_teacher
from training.online import process_learner, restarts
from training.online.process_learner import ProcessLearner
from training.online.restarts import PAUSES, WINDOW, RestartBudget

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the learner's process needs Linux")

FIGURE = SyntheticPerson(width=320, height=240, seed=87)  # whom the shipped student finds badly at 64x64
FRAMES = [FIGURE.picture(i) for i in range(16)]
LIVE = ["-i", "test://?width=160&height=120&frames=100000", "--headless", "--pace", "live", "--threads", "1"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return str(write_teacher(tmp_path_factory.mktemp("teacher"), FIGURE._scene(0).background))


@contextmanager
def learning(teacher, **options):
    """A masker whose learner is a process; 64x64, so that a step is short."""
    with Masker(
        teacher=teacher,
        background="#ff00ff",
        threads=1,
        size=64,
        learner="process",
        learning_budget=math.inf,
        **options,
    ) as masker:
        yield masker


def paint_until(masker, done, frames=FRAMES):
    """Paint one frame after the other until `done`; every one of them is painted."""
    deadline, painted = time.monotonic() + 150, masker.stats.frames
    while not done():
        assert time.monotonic() < deadline, masker.stats
        masker(frames[painted % len(frames)])
        painted += 1
        time.sleep(0.005)  # as a camera does
    assert (masker.stats.frames, masker.stats.faults) == (painted, 0)


def worker_of(masker):
    """The process id of its learner, 0 as long as there is none."""
    worker = masker._learning.learner._worker
    return worker.pid if worker is not None else 0


def children(pid):
    """The learners that process `pid` started and that run."""
    return [int(child) for child in Path(f"/proc/{pid}/task").glob("*/children") for child in child.read_text().split()]


def wait_for(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def running(pid):
    """Whether there is such a process, and it is not only waiting to be asked how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- a worker that dies ------------------------------------------------------------------------------------------------


def test_a_learner_that_dies_is_started_again_and_the_picture_goes_on(teacher, caplog, monkeypatch):
    monkeypatch.setattr(restarts, "PAUSES", (0.0, 0.0, 0.0))
    with learning(teacher) as masker:
        for number in (signal.SIGKILL, signal.SIGSEGV):
            version = masker.stats.version
            paint_until(masker, lambda v=version: masker.stats.version > v + 5)
            worker, before = worker_of(masker), masker.stats
            os.kill(worker, number)
            paint_until(masker, lambda w=worker: worker_of(masker) != w)
        old, versions = masker._learning.learner._live, [masker.stats.version]
        paint_until(masker, lambda: masker.stats.version > versions[0])
        new, after = masker._learning.learner._live, masker.stats
    assert before.version <= versions[0] < after.version
    assert before.learning.publishes <= after.learning.publishes
    assert after.learning.died is None
    frames = [frame for frame, _ in after.learning.curve]
    assert frames == sorted(set(frames))
    assert distance(new, old) < distance(new, masker.student.tensors)  # what was learnt is not learnt anew
    assert [message for message in caplog.messages if "process" in message] == [
        "the learner's process was ended by SIGKILL; it is started again, and the picture goes on"
    ]


def test_a_stroke_reaches_the_learner_and_outlives_it(teacher, monkeypatch):
    monkeypatch.setattr(restarts, "PAUSES", (0.0, 0.0, 0.0))
    rows, columns = np.nonzero(FIGURE.mask(0) > 127)
    line = [(columns.mean() / 320, share) for share in np.linspace(rows.min() / 240 + 0.1, 0.8, 5)]
    with learning(teacher) as masker:
        masker.correct(line, keep=False)
        masker.correct(line, keep=True)
        paint_until(masker, lambda: len(masker.stats.learning.corrections) == 2)
        masker.undo_correction()
        paint_until(masker, lambda: len(masker.stats.learning.corrections) == 1)
        worker = worker_of(masker)
        os.kill(worker, signal.SIGKILL)
        paint_until(masker, lambda: worker_of(masker) not in (worker, 0))
        calls = masker.stats.learning.calls
        paint_until(masker, lambda: masker.stats.learning.calls > calls)
        assert [correction.keep for correction in masker.stats.learning.corrections] == [False]


def distance(one, other):
    """Between two students' weights."""
    return sum(float(np.abs(one[name] - other[name]).sum()) for name in one)


def test_restarts_come_later_each_time_and_end():
    budget = RestartBudget()
    assert [budget.died(now) for now in (0.0, 10.0, 20.0, 30.0)] == [*PAUSES, None]
    assert list(PAUSES) == sorted(PAUSES)


def test_a_restart_that_lies_long_back_is_forgotten():
    budget = RestartBudget()
    for now in (0.0, 10.0, 20.0):
        budget.died(now)
    assert budget.died(WINDOW + 5) == PAUSES[-1]


def test_a_learner_that_dies_again_and_again_is_left(teacher, caplog, monkeypatch):
    monkeypatch.setattr(restarts, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(process_learner, "WORKER", "this")  # a module that does something else, and ends
    with learning(teacher) as masker:
        paint_until(masker, lambda: masker.stats.learning.died)
        assert masker.stats.learning.died == "the learner's process ended with code 0, again and again"
        assert masker.learner_failure is None
    assert [r.levelname for r in caplog.records] == ["WARNING", "ERROR"]


# -- students and errors that cross ------------------------------------------------------------------------------------


@contextmanager
def taught(teacher, publish):
    """A learner alone, with a function that offers it the figure until something is so."""
    weights = load_student("lite", (64, 64))
    learner = ProcessLearner(
        weights, (64, 64), publish, LearnerOptions(TeacherOptions(teacher), "default", 1, 0, math.inf, False, False)
    )

    def offer_until(done):
        deadline, nobody, i = time.monotonic() + 150, np.full((64, 64), -5, np.float32), 0
        while not done():
            assert time.monotonic() < deadline, learner.stats
            learner.offer(FRAMES[i % len(FRAMES)], nobody, 0)
            time.sleep(0.001)
            i += 1

    try:
        yield learner, offer_until
    finally:
        learner.close()


def test_the_learner_is_told_why_a_student_was_rejected(teacher, caplog):
    versions = []

    def refuse(published):
        versions.append(published.version)
        raise CandidateRejected("refused by this test")

    with taught(teacher, refuse) as (learner, offer_until):
        offer_until(lambda: learner.stats.rejected >= 2 and versions)
        assert (learner.stats.publishes, learner.stats.died) == (0, None)
    assert versions == sorted(set(versions))
    # said once, of the first: the learner may have refused one itself before
    (said,) = [message for message in caplog.messages if message.endswith("; going back to the one before")]
    assert said.startswith(("refused by this test", "a student "))


def test_a_learner_that_raises_stops_and_says_why_and_is_not_started_again(teacher, caplog):
    def fail(published):
        raise ValueError("a bug")

    with taught(teacher, fail) as (learner, offer_until):
        offer_until(lambda: learner.stats.died)
        assert learner.stats.died == "RuntimeError: ValueError: a bug"
        wait_for(lambda: not running(learner._worker.pid), "the worker stays")
    assert [record.levelname for record in caplog.records].count("ERROR") == 1  # a candidate may be refused before


def test_frames_may_change_their_size_while_it_learns(teacher):
    with learning(teacher) as masker:
        paint_until(masker, lambda: masker.stats.learning.steps)
        for step in (2, 3):
            calls, smaller = masker.stats.learning.calls, [np.ascontiguousarray(f[::step, ::step]) for f in FRAMES]
            paint_until(masker, lambda c=calls: masker.stats.learning.calls > c + 1, smaller)
        assert masker.stats.learning.failures == 0


# -- what was asked for and is not there -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"teacher": "gpt"}, UsageError, "unknown teacher 'gpt'; choose one of none, rvm"),
        ({"teacher": "none.toml"}, UsageError, "cannot read the teacher in none.toml"),
        ({"teacher": "http://127.0.0.1:1/somewhere"}, UsageError, "expected http(s)://host:port/v2/models/NAME"),
        ({"recipe": "soup"}, UsageError, "unknown recipe 'soup'"),
        ({"lockstep": True}, UsageError, "learner is 'process'; expected thread"),
    ],
)
def test_what_can_be_known_at_once_is_said_at_once(teacher, options, error, message):
    before = children(os.getpid())
    with pytest.raises(error) as caught:
        Masker(**{"teacher": teacher, "background": "#ff00ff", "threads": 1, "learner": "process", **options})
    assert message in str(caught.value)
    assert children(os.getpid()) == before


def test_a_model_that_is_not_there_is_said_at_once(tmp_path):
    (tmp_path / "teacher.toml").write_text('model = "none.onnx"\n')
    with pytest.raises(ModelError, match=r"names the model none.onnx, and there is no file"):
        Masker(teacher=str(tmp_path / "teacher.toml"), threads=1, learner="process")


def test_what_only_the_worker_finds_out_ends_the_run_with_its_exit_code_after_pictures_were_painted(tmp_path):
    (tmp_path / "damaged.onnx").write_bytes(b"no graph")
    (tmp_path / "teacher.toml").write_text('model = "damaged.onnx"\n')
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "engine.cli", *LIVE, "--teacher", tmp_path / "teacher.toml", "--report", report]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=150)
    assert done.returncode == 5, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"jm-engine: ONNX Runtime cannot load {tmp_path / 'damaged.onnx'}")
    document = json.loads(report.read_text())
    assert document["frames"] > 0
    assert f"jm-engine: {document['ended']}" == line


# -- the end -----------------------------------------------------------------------------------------------------------


def test_closing_while_it_starts_leaves_neither_process_nor_memory(teacher):
    before = shared_memories(os.getpid())
    with learning(teacher) as masker:
        wait_for(lambda: worker_of(masker), "no worker")
        worker = worker_of(masker)
        assert shared_memories(os.getpid()) > before
    masker._learning.learner.close()
    assert not Path(f"/proc/{worker}").exists()
    assert masker.stats.learning.died is None
    assert shared_memories(os.getpid()) == before


def shared_memories(pid):
    """How many descriptors of our shared memory a process holds."""
    found = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += os.readlink(path).startswith("/memfd:frames")
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


@contextmanager
def engine(teacher, *arguments):
    """jm-engine in a session of its own, and the process id of its learner."""
    command = [sys.executable, "-m", "engine.cli", *LIVE, "--teacher", teacher, *map(str, arguments)]
    # whoever runs this suite in the background has it ignore the interrupt, and its children with it
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed) as run:
        try:
            wait_for(lambda: run.poll() is not None or children(run.pid), "no worker")
            yield run, children(run.pid)[0]
        finally:
            run.kill()


def test_when_the_painting_process_is_killed_the_learner_and_its_memory_are_gone(teacher):
    with engine(teacher) as (run, worker):
        wait_for(lambda: shared_memories(worker), "no shared memory")
        wait_for(lambda: core_limit(worker) == "0", "a crash would write pictures of the room to a disk")
        run.kill()
        wait_for(lambda: not running(worker), "the worker outlives the picture")


def core_limit(pid):
    """Bytes of memory that a process leaves in a file where it crashes."""
    return Path(f"/proc/{pid}/limits").read_text().split("Max core file size")[1].split()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_both_processes_ends_the_run_cleanly(teacher, tmp_path, number):
    report, out = tmp_path / "report.json", tmp_path / "out.mp4"
    with engine(teacher, "--report", report, "-o", out) as (run, worker):
        wait_for(lambda: out.exists() and out.stat().st_size > 10_000, "no picture")
        os.killpg(run.pid, number)
        _, err = run.communicate(timeout=60)
        assert run.returncode == 130
        assert [line for line in err.splitlines() if "it is not learnt" not in line] == []  # the teacher is a dummy
        assert not running(worker)
    assert json.loads(report.read_text())["ended"] == "interrupted"


def test_where_memory_is_short_the_learner_is_ended_and_not_the_picture(teacher):
    with engine(teacher) as (run, worker):
        own = int(Path(f"/proc/{run.pid}/oom_score_adj").read_text())
        score = Path(f"/proc/{worker}/oom_score_adj")
        wait_for(lambda: int(score.read_text()) > own, "the picture would be ended")
        assert os.getpriority(os.PRIO_PROCESS, worker) > os.getpriority(os.PRIO_PROCESS, run.pid)


def test_the_worker_does_without_torchs_compiler_and_whoever_needs_it_gets_it():
    """In a process of its own: only the worker may do so."""
    code = """
import sys, torch
from training.online.worker import NoCompiler
NoCompiler(torch)
weight = torch.nn.Parameter(torch.ones(3))
for optimizer in (torch.optim.Adam([weight], 0.1, fused=True), torch.optim.SGD([weight], 0.1)):
    optimizer.zero_grad(set_to_none=True)
    weight.sum().backward()
    optimizer.step()
print(bool((weight < 1).all()), [name for name in sys.modules if name.startswith("torch._dynamo.")])
print(torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item(), "torch._dynamo.config" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150)
    assert done.stdout.splitlines() == ["True []", "2.0 True"], done.stderr
