"""Which student paints: the next one is built beside the picture, adopted between two frames, and left where it fails.

    swap     any thread     build and check a published student; it waits to be adopted
    adopt    paint thread   between two frames; the one before is retired, and kept to go back to
    failed   paint thread   the student had no answer, or none that is believed; after a few in a row the retired one,
                            else the start, paints

At most two are alive: the one that paints, and one that waits, is retired or is being built.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from export.contracts import Published

from .. import backends
from ..backends import BackendChoice
from ..errors import UnsupportedStudent
from ..timing import Durations
from .loaded_student import LoadedStudent

log = logging.getLogger("jit_masker")

MAX_FAILURES = (
    3  # frames in a row without an answer to believe, then another student paints: one odd frame is no reason
)
ADOPTION_TIMEOUT = 0.1  # s that a new student waits for the one before it to be adopted; then it takes its place
ADOPTION_POLL = 0.002  # s
REBUILD_INTERVAL = 1.0  # s between two reloads of the start: where that fails, too, it is not the student


class HotSwap:
    """Owns every student that is alive. `close()` may be called twice."""

    def __init__(self, backend: str, start: Published, threads: int, wait: bool = True):
        """Load the first student. `wait`: see `engine.backends.load`.

        Raises
        ------
        UsageError, BackendUnavailable, ModelError, CandidateRejected
            No such backend, its runtime is missing, or it cannot run the student.
        """
        self.stall = Durations()  # what adopting a student cost the paint thread
        self.swaps = self.rejected = self.rollbacks = 0
        self.backend, self.current = load_first(backend, start, threads, wait)
        self._start, self._threads = start, threads
        self._waiting: deque[LoadedStudent] = deque(maxlen=1)  # built, not yet adopted; its operations are atomic
        self._retired: LoadedStudent | None = None  # freed by the next builder: freeing a session takes time
        self._failures = 0  # in a row
        self._rebuild_after = 0.0  # s, monotonic
        self._building = threading.Lock()  # held by whoever builds; never by the paint thread
        # A runtime's pool inherits the priority of the thread that makes it, and a learner's is low: the pool that is
        # going to paint is made on a thread of this one's priority. With one thread there is no pool.
        self._builder = ThreadPoolExecutor(1, "builder") if threads > 1 else None
        if self._builder is not None:
            self._builder.submit(lambda: None).result()  # the thread starts here, not where a learner first asks

    # -- any thread ------------------------------------------------------------------------------------------------

    def swap(self, published: Published) -> None:
        """Build and check a student; the paint thread adopts it between two frames.

        Raises
        ------
        ModelError, CandidateRejected
            It cannot be loaded or is bad; the current student stays.
        """
        with self._building:
            self._wait_for_adoption()
            self._waiting.clear()
            self._retired = None
            try:
                candidate = self._build(published)
            except Exception:
                self.rejected += 1
                raise
            self._waiting.append(candidate)

    def start_from(self, published: Published) -> None:
        """Another start, from the next `forget` or reload on."""
        self._start = published

    def forget(self) -> None:
        """The student as it was at the start is adopted next; none that was built since is gone back to.

        Raises
        ------
        ModelError, CandidateRejected
            It cannot be loaded again; the current student stays.
        """
        with self._building:
            self._waiting.clear()
            self._retired = None
            start = self._build(self._start, judged=False)
            self._waiting.append(start)
            self._wait_for_adoption()
            self._retired = None  # the one that was just left

    def _build(self, published: Published, judged: bool | None = None) -> LoadedStudent:
        judged = published.probe is not None if judged is None else judged
        arguments = (published, self.backend, self._threads, judged)
        if self._builder is None:
            return LoadedStudent(*arguments)
        return self._builder.submit(LoadedStudent, *arguments).result()

    def _wait_for_adoption(self) -> None:
        """Give the paint thread time to adopt the student before this one, so that none replaces another for ever."""
        until = time.monotonic() + ADOPTION_TIMEOUT
        while self._waiting and time.monotonic() < until:
            time.sleep(ADOPTION_POLL)

    # -- paint thread ------------------------------------------------------------------------------------------------

    def adopt(self) -> LoadedStudent:
        """The student for the next frame: the one that waits, if there is one."""
        if self._waiting:
            began = time.perf_counter()
            try:
                candidate = self._waiting.popleft()
            except IndexError:  # a builder took it back in this moment; its successor comes
                return self.current
            self._retired, self.current = self.current, candidate
            self._failures = 0
            self.swaps += 1
            self.stall.add(time.perf_counter() - began)
        return self.current

    def answered(self) -> None:
        """The current student answered a frame, and is believed."""
        self._failures = 0

    def failed(self) -> None:
        """The current student had no answer for a frame, or none that is believed. Never waits."""
        self._failures += 1
        if self._failures % MAX_FAILURES:
            return
        retired, self._retired = self._retired, None
        if retired is not None:
            self._rolled_back_to(retired)
            self.current = retired
        elif time.monotonic() >= self._rebuild_after and not self._building.locked():  # whoever builds brings another
            self._rebuild_after = time.monotonic() + REBUILD_INTERVAL
            threading.Thread(target=self._rebuild_start, args=(self.current,), name="builder", daemon=True).start()

    def _rebuild_start(self, failing: LoadedStudent) -> None:
        with self._building:
            if self._waiting or self.current is not failing:  # another one came meanwhile: it goes first
                return
            try:
                start = self._build(self._start)
            except Exception as error:  # then the picture stays covered
                log.error("the student as it was at the start cannot be loaded again: %s", error)
                return
            self._waiting.append(start)
            self._rolled_back_to(start)

    def _rolled_back_to(self, student: LoadedStudent) -> None:
        self.rollbacks += 1
        if self.rollbacks == 1:
            log.warning("student %d fails; going back to student %d", self.current.version, student.version)

    def close(self) -> None:
        if self._builder is not None:
            self._builder.shutdown(wait=False)


def load_first(name: str, published: Published, threads: int, wait: bool = True) -> tuple[BackendChoice, LoadedStudent]:
    """The backend called `name` with the first student on it. "auto" leaves a GPU on which that fails, and says so, and
    goes on where a backend has not the layers of this student.

    Raises
    ------
    UsageError, BackendUnavailable, ModelError, CandidateRejected
        No such backend, its runtime is missing, or it cannot run the student.
    """
    failed: dict[str, str] = {}
    while True:
        choice = backends.load(name, failed, wait)
        try:
            return choice, LoadedStudent(published, choice, threads, judged=False)
        except UnsupportedStudent as error:
            if name != "auto":
                raise
            failed[choice.name] = str(error)
        except Exception as error:  # a driver can fail in any way
            if name != "auto" or choice.name not in backends.ON_GPU:
                raise
            why = f"{type(error).__name__}: {error}"
            failed[choice.name] = f"backend {choice.name!r} cannot run the student: {why}"
            log.warning("backend %s is passed over: %s", choice.name, why)
