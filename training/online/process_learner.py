"""The learner in a process of its own, so that nothing of it touches the picture: not its start, nor its interpreter
lock, nor a crash of native code, nor the system's hunt for memory. Stands in the process that paints; imports no torch.

    paint thread    offers frames through shared memory, and never waits
    learner thread  here: starts worker.py, swaps in the students it sends, starts it again where it dies

Linux only: elsewhere there is neither memory without a name, nor a way for the worker to end with this process.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from engine import process
from engine.contracts import LearnerOptions, LearningStats
from engine.errors import CandidateRejected, JitMaskerError, ModelError
from engine.stroke import Stroke
from engine.timing import Durations
from export.contracts import Published, StudentWeights

from .learner import CLOSE_TIMEOUT, check, lower_priority
from .messages import Answer, Candidate, Channel, Corrected, Failed, LogLine, Progress, Recalled, Start
from .restarts import RestartBudget
from .shared_sampler import SharedFrameSampler

log = logging.getLogger("jit_masker")

WORKER = "training.online.worker"
CURVE_LENGTH = 100_000  # scores kept for the report
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}  # its threads take turns: one pool of memory is enough, and 25 MB less
COUNTS = ("calls", "failures", "steps", "publishes", "rejected", "refused", "rollbacks")  # add up over restarts


class ProcessLearner:
    """See `engine.contracts.Learner`. Owns the worker, the shared memory, and the thread that looks after them."""

    def __init__(
        self,
        weights: StudentWeights,
        size: tuple[int, int],
        publish: Callable[[Published], None],
        options: LearnerOptions,
    ):
        self.failure: JitMaskerError | None = None
        self._weights, self._size, self._publish, self._options = weights, size, publish, options
        self._live: Mapping[str, np.ndarray] | None = None  # what the student that paints is made of; None: the start
        self._room: str | None = None  # a room whose student was recalled, and that no worker has learnt on from yet
        self._strokes: queue.SimpleQueue[Stroke | None] = queue.SimpleQueue()  # that no worker was told of yet
        self._version = 0  # of the last student that the worker sent
        self._version_before = 0  # of the last one that a worker before it sent
        self._restarted = False
        self._history = LearningHistory(options.teacher.name)
        self._died: str | None = None
        self._sampler = SharedFrameSampler()
        self._worker: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()  # held while a worker is started; after `close` none is
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)
        self._thread.start()

    def offer(self, bgr: np.ndarray, logits: np.ndarray, scene: int) -> None:
        if self._died is not None:
            return
        try:
            self._sampler.offer(bgr, logits, scene)
        except OSError as error:
            self._stop(f"no memory for a frame of {bgr.shape[1]}x{bgr.shape[0]}: {error}")

    def recalled(self, room_id: str) -> None:
        # the thread below tells the worker: a socket, and a lock that is held while one is written to, can make wait
        self._room = room_id

    def correct(self, stroke: Stroke | None) -> None:
        self._strokes.put(stroke)

    @property
    def stats(self) -> LearningStats:
        stats = self._history.stats
        return replace(stats, died=self._died) if self._died else stats

    def close(self) -> None:
        """End the worker, whatever it does."""
        with self._starting:
            self._closing.set()
            if self._worker is not None:
                self._worker.kill()
        self._thread.join(timeout=CLOSE_TIMEOUT)
        self._sampler.close()

    # -- the thread that looks after the worker --------------------------------------------------------------------

    def _run(self) -> None:
        # the worker inherits both: it gives way to the picture, and a Ctrl-C, which every process of a terminal gets,
        # is for this process to heed
        lower_priority()
        signal.pthread_sigmask(signal.SIG_BLOCK, process.SIGNALS)
        try:
            self._run_workers()
        except Exception as error:  # the system starts no process, or a worker says what nobody understands
            self._stop(f"{type(error).__name__}: {error}")

    def _run_workers(self) -> None:
        budget = RestartBudget()
        while (end := self._run_worker()) is not None and not self._closing.is_set():
            pause = budget.died(time.monotonic())
            if pause is None:
                self._stop(f"the learner's process {end}, again and again")
                return
            if not self._restarted:
                log.warning("the learner's process %s; it is started again, and the picture goes on", end)
            self._restarted = True
            self._history.restarted()
            self._version_before = self._version
            self._closing.wait(pause)

    def _stop(self, why: str) -> None:
        self._died = why
        if self._worker is not None:
            self._worker.kill()
        log.error("learning stopped: %s; the picture goes on with the last good student", why)

    def _run_worker(self) -> str | None:
        """Serve one worker to its end: how it ended, in words; None where nobody has to start another."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, self._starting:
                if self._closing.is_set():
                    return None
                self._worker = worker = self._spawn(theirs)
            channel = Channel(ours)
            try:
                level, told, corrections = log.getEffectiveLevel(), self._room, self._history.stats.corrections
                channel.send(Start(self._weights, self._live, self._size, self._options, level, told, corrections))
                while self._died is None:
                    self._heed(channel, channel.receive())  # its progress comes a few times a second
                    if self._room not in (None, told):
                        told = self._room
                        channel.send(Recalled(told))
                    while not self._strokes.empty():
                        channel.send(Corrected(self._strokes.get()))
            except (EOFError, OSError, pickle.UnpicklingError):  # it is gone, maybe in the middle of a word
                pass
        worker.kill()
        code = worker.wait()
        if self._died is not None:
            return None
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        descriptors = (theirs.fileno(), *self._sampler.descriptors)
        # the same modules from the same places, whatever the folder that we run in
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, *map(str, descriptors)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, pass_fds=descriptors,
        )  # fmt: skip

    def _heed(self, channel: Channel, message: object) -> None:
        match message:
            case Candidate():
                channel.send(Answer(self._swap(message)))
            case Progress():
                self._history.add(message)
                self._died = message.stats.died
            case LogLine():
                log.log(message.level, "%s", message.text)
            case Failed() if self._restarted:  # it was there once: no reason to end a run
                self._stop(str(message.error))
            case Failed():
                self.failure, self._died = message.error, str(message.error)
                log.error("%s", message.error)

    def _swap(self, candidate: Candidate) -> Exception | None:
        """Why a student did not go live. Its version counts on from those of the workers before."""
        self._version = self._version_before + candidate.published.version
        try:
            self._publish(replace(candidate.published, version=self._version))
        except (CandidateRejected, ModelError) as error:
            return error
        except Exception as error:  # of whatever class: it has to be understood elsewhere
            return RuntimeError(f"{type(error).__name__}: {error}")
        self._live, self._room = candidate.tensors, None
        return None


class LearningHistory:
    """The statistics of all workers, one after the other, put together. One thread adds."""

    def __init__(self, teacher: str):
        self._sum = LearningStats(teacher, 0, 0, 0, 0, 0, 0, 0, 0, [], Durations(), Durations(), {}, None)
        self._curve: deque[tuple[int, float]] = deque(maxlen=CURVE_LENGTH)
        self._before = self._sum  # of the workers that are gone
        self._first_frame = 0  # of the worker at hand, in the count of all of them

    @property
    def stats(self) -> LearningStats:
        return replace(self._sum, curve=list(self._curve))

    def add(self, progress: Progress) -> None:
        """What the worker at hand says."""
        summed = self._sum
        for durations, added in (summed.teacher_ms, progress.teacher_ms), (summed.publish_ms, progress.publish_ms):
            for ms in added:
                durations.add(ms / 1e3)
        self._curve.extend((self._first_frame + frame, score) for frame, score in progress.curve)
        counts = {name: getattr(self._before, name) + getattr(progress.stats, name) for name in COUNTS}
        before, now = self._before.cpu_s, progress.stats.cpu_s
        cpu_s = {what: before.get(what, 0.0) + now.get(what, 0.0) for what in (*before, *now)}
        self._sum = replace(
            progress.stats, **counts, cpu_s=cpu_s, teacher_ms=summed.teacher_ms, publish_ms=summed.publish_ms
        )  # fmt: skip

    def restarted(self) -> None:
        """Another worker counts from 0."""
        self._before = self._sum
        if self._curve:
            self._first_frame = self._curve[-1][0] + 1


def start(
    weights: StudentWeights,
    size: tuple[int, int],
    publish: Callable[[Published], None],
    options: LearnerOptions,
) -> ProcessLearner:
    """A learner that is about to run; see `engine.contracts.StartLearner`. What only the worker can find out is in
    `failure` afterwards.
    """
    check(weights.student, options)
    return ProcessLearner(weights, size, publish, options)
