"""Who has a device open, on a plain file: inotify and /proc make no difference between the two."""

import subprocess
import sys

import pytest

from engine.sinks.readers import OpenWatch, others_holding

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify and /proc are Linux's")
HOLD = "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
PATIENCE_S = 30


@pytest.fixture
def device(tmp_path):
    path = tmp_path / "video10"
    path.touch()
    return str(path)


@pytest.fixture
def reader(device):
    """Starts a program that opens the device and holds it until its input ends."""
    started = []

    def start():
        process = subprocess.Popen([sys.executable, "-c", HOLD, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_reader_that_comes_and_goes_is_noticed(device, reader):
    watch = OpenWatch(device)
    assert not watch.watched
    program = reader()
    assert watch.wait(PATIENCE_S)
    assert watch.watched
    program.communicate()
    assert watch.wait(PATIENCE_S)
    assert not watch.watched
    watch.close()


def test_a_reader_that_was_there_before_counts(device, reader):
    program = reader()
    assert others_holding(device) == 1
    watch = OpenWatch(device)
    assert watch.watched
    program.communicate()
    assert watch.wait(PATIENCE_S)
    assert not watch.watched
    watch.close()


def test_what_this_process_holds_does_not_count(device):
    with open(device) as _:
        assert others_holding(device) == 0
        watch = OpenWatch(device)
        assert not watch.watched
        watch.close()


def test_without_news_it_waits_no_longer_than_it_is_told(device):
    watch = OpenWatch(device)
    assert watch.wait(0.01) is False
    watch.close()
    assert watch.wait(0.01) is False


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        OpenWatch(str(tmp_path / "video11"))
