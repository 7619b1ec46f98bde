"""A source that comes back, on sources that are scripted to go."""

import itertools
import threading
import time

import numpy as np
import pytest

from engine.contracts import Frame, Origin, PaintState
from engine.errors import SourceError
from engine.sources import reopened
from engine.sources.reopened import ReopenedSource, delay


class Going:
    """Gives `count` frames, then is lost; `held`: waits for `close` instead."""

    live, fps, frames, origin = True, 25.0, None, Origin()

    def __init__(self, count, held=False):
        self._count, self._held, self.closed = count, held, threading.Event()

    def __iter__(self):
        for i in range(self._count):
            yield Frame(np.zeros((4, 4, 3), np.uint8), i, time.perf_counter(), i / 25)
        if self._held:
            self.closed.wait(30)
            return
        raise SourceError("it is unplugged")

    def close(self):
        self.closed.set()


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(reopened, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(reopened, "MAX_DELAY_S", 0.01)


def opening(*sources):
    """Opens these in turn; what is None cannot be opened."""
    left = list(sources)

    def open_it():
        source = left.pop(0)
        if source is None:
            raise SourceError("it is not there")
        return source

    return open_it


def test_a_lost_source_is_opened_until_it_is_back_and_frames_go_on(caplog):
    source = ReopenedSource(opening(None, None, Going(4, held=True)), Going(3))
    frames = list(itertools.islice(source, 7))
    source.close()
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4, 5, 6]
    assert all(a.position <= b.position for a, b in itertools.pairwise(frames))
    assert (source.losses, source.absence) == (1, None)
    assert [record.message.split(" after")[0] for record in caplog.records] == [
        "it is unplugged. It is opened again until it is back",
        "the source is back",
    ]


def test_while_it_is_lost_it_says_so_and_can_be_closed():
    tried = threading.Semaphore(0)

    def open_it():
        tried.release()
        raise SourceError("it is not there")

    source = ReopenedSource(open_it, None)
    reader = threading.Thread(target=lambda: list(source))
    reader.start()
    assert all(tried.acquire(timeout=10) for _ in range(5))
    assert source.absence is PaintState.LOST
    source.close()
    reader.join(10)
    assert not reader.is_alive()


def test_patience_ends():
    with pytest.raises(SourceError, match=r"it is unplugged \(it did not come back within 0 s\)"):
        list(ReopenedSource(opening(), Going(3), patience=0.0))


def test_asleep_it_lets_go_of_the_device_and_awake_it_opens_it_again():
    first, second = Going(1, held=True), Going(1, held=True)
    source = ReopenedSource(opening(second), first)
    frames = iter(source)
    assert next(frames).index == 0
    came = []
    reader = threading.Thread(target=lambda: came.append(next(frames)))
    source.suspend()
    assert (first.closed.is_set(), source.absence) == (True, PaintState.ASLEEP)
    reader.start()
    source.resume()
    reader.join(10)
    assert came[0].index == 1
    assert (source.absence, source.losses) == (None, 0)
    source.close()


def test_a_source_that_flaps_is_opened_more_and_more_slowly():
    assert [delay(i) for i in range(3)] == [0.001, 0.002, 0.004]
    assert delay(1000) == 0.01
