"""Many callers on one teacher: batches and replicas on a real, local Ray Serve; what needs no Ray runs without."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from engine.teacher_options import TeacherOptions
from tests.training.remote.teacher_servers import TeacherProcess
from tests.training.test_teachers import tiny_segmenter
from training.remote.client import RemoteTeacher
from training.remote.server.cli import replica_range
from training.teachers import load

CALLERS = 8
FRAMES = [np.full((24 + i, 32, 3), 30 * i, np.uint8) for i in range(CALLERS)]


def test_replicas_are_a_number_or_two():
    assert (replica_range("2"), replica_range("1:4")) == ((2, 2), (1, 4))
    for nonsense in ("0", "4:1", "x"):
        with pytest.raises(ValueError):  # noqa: PT011 - argparse says the rest
            replica_range(nonsense)


# -- Ray Serve -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    return tiny_segmenter(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def served(toml):
    """Two replicas."""
    pytest.importorskip("ray", reason='Ray Serve is not installed: pip install "jit-masker[ray]"')
    with TeacherProcess(toml, "--ray", "--replicas", 2) as process:
        yield process
        process.stop()


def ask_all(url, times, after_first=lambda: None):
    """Every caller asks `times` times, at once with the others: their labels, and the failures they saw."""
    together = threading.Barrier(CALLERS)

    def call(number):
        teacher = RemoteTeacher(TeacherOptions(url, deadline=60.0, encoding="raw"))
        together.wait()
        labels = []
        try:
            for i in range(times):
                labels.append(teacher(FRAMES[number]))
                if number == i == 0:
                    after_first()
            return labels, teacher.traffic()["failures"]
        finally:
            teacher.close()

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(call, range(CALLERS)))


def test_every_caller_gets_its_own_label(served, toml):
    here = load(str(toml), 1)
    for frame, (labels, failures) in zip(FRAMES, ask_all(served.url, 2), strict=True):
        assert not failures
        for label in labels:
            assert np.abs(label - here(frame)).max() <= 1 / 255


def replicas_of(process):
    children = psutil.Process(process.process.pid).children(recursive=True)
    return [child for child in children if "ServeReplica" in " ".join(child.cmdline())]


def test_a_killed_replica_loses_no_caller(served):
    victims = replicas_of(served)
    assert victims
    results = ask_all(served.url, 6, after_first=lambda: os.kill(victims[0].pid, signal.SIGKILL))
    assert all(len(labels) == 6 and not failures for labels, failures in results)
