"""The learner's process: python -m training.online.worker SOCKET MEMORY EVENT, three descriptors that it inherits.

Started by `training.online.process_learner`, already at low priority and deaf to the signals that end a run: those go
to every process of a terminal, and the one that paints says when this one ends. It ends with that one, also where that
one is killed.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import queue
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy as np

from engine import process
from engine.contracts import Learner, LearningStats
from engine.errors import JitMaskerError
from engine.timing import Durations
from export.contracts import Probe, Published
from export.publish import Publisher
from kernels import load_fallback

from .messages import Answer, Candidate, Channel, Corrected, Failed, LogLine, Progress, Recalled, Start
from .shared_sampler import SharedFrameSampler

PROGRESS_INTERVAL = 0.25  # s
PR_SET_PDEATHSIG = 1  # linux/prctl.h
NOTHING = Durations(0)
OOM_SCORE = 500  # of 1000, added to our share of the memory: where that is short, the picture is not what is ended


def main() -> None:
    """Learn until the other process, or the learner, is gone."""
    process.prepare()
    end_with_the_parent()
    be_ended_first()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # where native code crashes: pictures of a room stay off the disk
    end, memory, event = (int(descriptor) for descriptor in sys.argv[1:])
    channel = Channel(socket.socket(fileno=end))
    start: Start = channel.receive()
    forward_log(channel, start.log_level)
    inbox = Inbox(start.room)
    threading.Thread(target=listen, args=(channel, inbox), name="listener", daemon=True).start()
    try:
        learner = start_learner(start, channel, inbox.answers, SharedFrameSampler((memory, event)))
    except JitMaskerError as error:
        channel.send(Failed(error))
        return
    except Exception as error:
        logging.getLogger("jit_masker").exception("the learner cannot start")
        channel.send(Failed(JitMaskerError(f"{type(error).__name__}: {error}")))
        return
    inbox.tell(learner)
    report, rest = ProgressReport(channel), Rest()
    while (stats := learner.stats).died is None:
        report.send(stats)
        rest.look(stats)
        time.sleep(PROGRESS_INTERVAL)
    report.send(stats)


def end_with_the_parent() -> None:
    """Be killed when the thread that started this process is gone, whatever this process is doing then."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def be_ended_first() -> None:
    """Where memory is short the system ends somebody: rather us than the picture."""
    score = Path("/proc/self/oom_score_adj")
    try:
        score.write_text(str(min(int(score.read_text()) + OOM_SCORE, 1000)))
    except OSError:  # a system without /proc
        return


def forward_log(channel: Channel, level: int) -> None:
    """What our modules log is said by the other process, as its user wants it."""

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            channel.send(LogLine(record.levelno, self.format(record)))

    log = logging.getLogger("jit_masker")
    log.addHandler(Forward())
    log.setLevel(level)
    log.propagate = False


class Inbox:
    """What the other process says, for whoever waits for it."""

    def __init__(self, room: str | None):
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        # that the learner was not told of yet
        self._waiting: list[Recalled | Corrected] = [Recalled(room)] if room is not None else []
        self._learner: Learner | None = None
        self._telling = threading.Lock()

    def put(self, message: Answer | Recalled | Corrected) -> None:
        if isinstance(message, Answer):
            self.answers.put(message)
            return
        with self._telling:
            self._waiting.append(message)
            self._tell()

    def tell(self, learner: Learner) -> None:
        """There is a learner now."""
        with self._telling:
            self._learner = learner
            self._tell()

    def _tell(self) -> None:
        if self._learner is None:
            return
        for message in self._waiting:
            if isinstance(message, Recalled):
                self._learner.recalled(message.room)
            else:
                self._learner.correct(message.stroke)
        self._waiting.clear()


def listen(channel: Channel, inbox: Inbox) -> NoReturn:
    """Hand on what comes until the other process is gone. There is nothing that this one would have to save."""
    try:
        while True:
            inbox.put(channel.receive())
    finally:
        os._exit(0)


def start_learner(start: Start, channel: Channel, answers: queue.SimpleQueue[Answer], sampler: SharedFrameSampler):
    """The learner of `Start`; errors as `engine.contracts.StartLearner`."""
    import cv2
    import torch

    from . import learner

    cv2.setNumThreads(start.options.threads)
    NoCompiler(torch)
    # of all kernels only the first is needed here, and Numba would be a third of a second and 110 MB
    kernels = load_fallback("the learner's process does without Numba")
    publisher = RememberingPublisher(start.weights, start.size)

    def publish(published: Published) -> None:
        channel.send(Candidate(published, publisher.tensors))
        answer = answers.get()
        if answer.error is not None:
            raise answer.error

    return learner.start(
        start.weights, start.size, publish, start.options, live=start.live, corrections=start.corrections,
        sampler=sampler, publisher=publisher, kernels=kernels,
    )  # fmt: skip


class NoCompiler(ModuleType):
    """Stands for torch's compiler, which costs a second and 90 MB: an optimiser imports it to tell it what it is not to
    compile, and nothing is compiled here. Whoever asks for more of it gets the real one.
    """

    def __init__(self, torch: ModuleType):
        super().__init__("torch._dynamo")
        self.torch = torch
        sys.modules[self.__name__] = torch._dynamo = self  # type: ignore[attr-defined]

    @staticmethod
    def disable(function: Callable[..., object], *_: object, **__: object) -> Callable[..., object]:
        return function

    @staticmethod
    def graph_break() -> None:
        """Nothing is traced."""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__], self.torch._dynamo
        return getattr(importlib.import_module(self.__name__), name)


class RememberingPublisher(Publisher):
    """Keeps what it was given last."""

    tensors: Mapping[str, np.ndarray]

    def publish(self, tensors: dict[str, np.ndarray], probe: Probe | None = None) -> Published:
        self.tensors = tensors
        return super().publish(tensors, probe)


class ProgressReport:
    """Sends the learner's statistics: of what grows, only what was added since the last time."""

    def __init__(self, channel: Channel):
        self._channel = channel
        self._scored = -1  # frame of the last score that was sent
        self._labels = self._publishes = 0  # durations that were sent

    def send(self, stats: LearningStats) -> None:
        cpu_s = {**stats.cpu_s, "process": time.process_time()}
        curve = list(takewhile(lambda point: point[0] > self._scored, reversed(stats.curve)))[::-1]
        labels, publishes = stats.teacher_ms.since(self._labels), stats.publish_ms.since(self._publishes)
        bare = replace(stats, curve=[], teacher_ms=NOTHING, publish_ms=NOTHING, cpu_s=cpu_s)
        self._channel.send(Progress(bare, curve, labels, publishes))
        self._scored = curve[-1][0] if curve else self._scored
        self._labels, self._publishes = self._labels + len(labels), self._publishes + len(publishes)


class Rest:
    """Gives memory back while the learner has nothing to do: what a step or a label needed is 100 MB and more."""

    def __init__(self) -> None:
        self._work = (0, 0)  # labels and steps, when it was looked at last
        self._tidy = False  # nothing was done since the memory was given back

    def look(self, stats: LearningStats) -> None:
        work = (stats.calls, stats.steps)
        if work != self._work:
            self._work, self._tidy = work, False
        elif not self._tidy:
            ctypes.CDLL(None).malloc_trim(0)
            self._tidy = True


if __name__ == "__main__":
    main()
    os._exit(0)  # without tearing down the interpreter under a thread that computes
