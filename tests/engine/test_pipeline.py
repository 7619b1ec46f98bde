"""Figure 1's threads: what is lost, what is not, and how it ends."""

import threading
import time

import numpy as np
import pytest

from engine import Masker
from engine.contracts import Frame, Origin
from engine.errors import SinkError, SourceError
from engine.pipeline import Pipeline
from engine.sources.synthetic import SyntheticPerson

SMALL = {"width": 64, "height": 48}


@pytest.fixture
def masker(room):
    with Masker(background=room, threads=1) as masker:
        yield masker


class CollectingSink:
    """Keeps a copy of every picture; runs `then` after each."""

    needs_alpha = False
    wanted = True

    def __init__(self, then=lambda sink: None):
        self.indices, self.pictures, self.closed, self._then = [], [], 0, then

    def write(self, picture):
        self.indices.append(picture.index)
        self.pictures.append(picture.bgr.copy())
        self._then(self)

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_file_loses_no_frame_and_keeps_their_order(masker, lockstep):
    sink = CollectingSink()
    pipeline = Pipeline(SyntheticPerson(frames=60, **SMALL), masker, [sink], lockstep=lockstep)
    pipeline.run()
    assert sink.indices == list(range(60))
    assert (pipeline.frames, pipeline.dropped, sink.closed) == (60, 0, 1)


def test_threads_and_lockstep_paint_the_same_pictures(room):
    sinks = CollectingSink(), CollectingSink()
    for sink, lockstep in zip(sinks, (False, True), strict=True):
        with Masker(background=room, threads=1) as masker:
            Pipeline(SyntheticPerson(frames=10, **SMALL), masker, [sink], lockstep=lockstep).run()
    assert all(np.array_equal(a, b) for a, b in zip(sinks[0].pictures, sinks[1].pictures, strict=True))


class BurstSource:
    """A live source that gives all its frames at once, then waits for `close`."""

    live, fps, frames, origin = True, 25.0, None, Origin()

    def __init__(self, count):
        self._figure, self._count, self._end = SyntheticPerson(**SMALL), count, threading.Event()

    def __iter__(self):
        for i in range(self._count):
            yield Frame(self._figure.picture(i), i, 0.0, i / 25)
        self._end.wait(30)

    def close(self):
        self._end.set()


def test_a_live_source_skips_to_its_newest_frame_and_counts_the_rest(masker):
    source = BurstSource(50)
    sink = CollectingSink(then=lambda s: s.indices[-1] == 49 and source.close())
    pipeline = Pipeline(source, masker, [sink])
    pipeline.run()
    assert sink.indices[-1] == 49
    assert sink.indices == sorted(set(sink.indices))
    assert pipeline.dropped == 50 - len(sink.indices)


def test_stop_finishes_soon_and_closes_the_sinks(masker):
    pipeline = None
    sink = CollectingSink(then=lambda s: len(s.indices) == 5 and pipeline.stop())
    pipeline = Pipeline(SyntheticPerson(frames=10_000, **SMALL), masker, [sink])
    pipeline.run()
    assert 5 <= pipeline.frames < 50
    assert sink.closed == 1


def test_no_more_frames_than_asked_for(masker):
    sink = CollectingSink()
    Pipeline(SyntheticPerson(frames=100, **SMALL), masker, [sink], max_frames=7).run()
    assert sink.indices == list(range(7))


def test_a_sink_that_nobody_looks_at_ends_the_run(masker):
    def leave(sink):
        sink.wanted = len(sink.indices) < 3

    sink = CollectingSink(then=leave)
    Pipeline(SyntheticPerson(frames=100, **SMALL), masker, [sink]).run()
    assert sink.indices == [0, 1, 2]


class LostSource:
    """Gives five frames, then is lost."""

    live, fps, frames, origin = False, 25.0, None, Origin()

    def __iter__(self):
        yield from list(SyntheticPerson(frames=5, **SMALL))
        raise SourceError("the source is lost")

    def close(self):
        pass


@pytest.mark.parametrize("lockstep", [False, True])
def test_what_came_before_a_lost_source_is_written(masker, lockstep):
    sink = CollectingSink()
    with pytest.raises(SourceError, match="the source is lost"):
        Pipeline(LostSource(), masker, [sink], lockstep=lockstep).run()
    assert sink.indices == [0, 1, 2, 3, 4]
    assert sink.closed == 1


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_sink_that_fails_ends_the_run_and_closes_the_others(masker, lockstep):
    def fail(sink):
        raise SinkError("the disk is full")

    good, bad = CollectingSink(), CollectingSink(then=fail)
    with pytest.raises(SinkError, match="the disk is full"):
        Pipeline(SyntheticPerson(frames=100, **SMALL), masker, [good, bad], lockstep=lockstep).run()
    assert (good.closed, bad.closed) == (1, 1)


class UnfinishableSink(CollectingSink):
    """Cannot be closed."""

    def close(self):
        super().close()
        raise SinkError("the index cannot be written")


@pytest.mark.parametrize("lockstep", [False, True])
def test_the_error_that_ended_the_run_is_raised_and_one_of_a_close_is_logged(masker, lockstep, caplog):
    def fail(sink):
        raise SinkError("the disk is full")

    bad, good = UnfinishableSink(then=fail), CollectingSink()
    with pytest.raises(SinkError, match="the disk is full"):
        Pipeline(SyntheticPerson(frames=100, **SMALL), masker, [bad, good], lockstep=lockstep).run()
    assert (bad.closed, good.closed) == (1, 1)
    assert "closing UnfinishableSink failed as well: the index cannot be written" in caplog.text


def test_an_error_of_a_close_alone_is_raised_once_all_are_closed(masker):
    bad, good = UnfinishableSink(), CollectingSink()
    with pytest.raises(SinkError, match="the index cannot be written"):
        Pipeline(SyntheticPerson(frames=3, **SMALL), masker, [bad, good]).run()
    assert good.indices == [0, 1, 2]
    assert good.closed == 1


class ResizingSource:
    """Changes its size in mid-stream."""

    live, fps, frames, origin = False, 25.0, None, Origin()

    def __iter__(self):
        for i, size in enumerate([(48, 64), (24, 32), (7, 5), (1, 1), (48, 64)]):
            yield Frame(np.zeros((*size, 3), np.uint8), i, 0.0, i / 25)

    def close(self):
        pass


@pytest.mark.parametrize("lockstep", [False, True])
def test_pictures_follow_the_size_of_their_frames(masker, lockstep):
    sink = CollectingSink()
    Pipeline(ResizingSource(), masker, [sink], lockstep=lockstep).run()
    assert [p.shape[:2] for p in sink.pictures] == [(48, 64), (24, 32), (7, 5), (1, 1), (48, 64)]


class StaleSource(ResizingSource):
    """20 frames at once, each captured a hundred seconds ago."""

    def __iter__(self):
        for i in range(20):
            yield Frame(np.zeros((48, 64, 3), np.uint8), i, time.perf_counter() - 100.0, i / 25)


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_frame_is_late_by_its_capture_however_soon_the_next_one_is_written(masker, lockstep):
    pipeline = Pipeline(StaleSource(), masker, [CollectingSink()], lockstep=lockstep)
    began = time.perf_counter()
    pipeline.run()
    whole_ms = 1e3 * (time.perf_counter() - began)
    assert (pipeline.period.count, pipeline.latency.count, pipeline.output.count) == (19, 20, 20)
    assert 100e3 <= pipeline.latency.summary("p0")["p0"] <= pipeline.latency.summary("max")["max"] < 100e3 + whole_ms
    assert 0 < pipeline.period.summary("max")["max"] < whole_ms
