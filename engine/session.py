"""What a user can change while it runs, and what can be seen of it: the one face of a run for window keys, control
socket and panel. Every method may be called from any thread; none is called by the paint thread.
"""

from __future__ import annotations

import math
import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .contracts import LearningStats, RoomOptions
from .errors import SinkError, UsageError
from .options import Options
from .pipeline import Pipeline
from .rooms.listing import listing
from .sleep import Sleep
from .sources.reopened import ReopenedSource
from .stroke import Stroke

if TYPE_CHECKING:
    from .rooms.store import RoomStore

SNAPSHOT_TIMEOUT_S = 1.0  # for the next picture
NO_ROOMS = "this run remembers no rooms (--rooms off, the default where the input is no camera)"
RATE_INTERVAL_S = 1.0  # the least over which a share of a core is taken


class Session:
    """A run that can be told things.

    Parameters
    ----------
    source : the one that is reopened, if there is one.
    sleep : if it can sleep.
    rooms : where this run remembers them; None: it does not.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        options: Options,
        output: str,
        source: ReopenedSource | None = None,
        sleep: Sleep | None = None,
        rooms: RoomOptions | None = None,
    ):
        self._pipeline, self._masker = pipeline, pipeline.masker
        self._options, self._output, self._source, self._sleep = options, output, source, sleep
        self._rooms = rooms
        self._background = options.background
        self._began = time.monotonic()
        self._rates = Rates({"process": time.process_time(), "learning": 0.0})

    # -- commands ------------------------------------------------------------------------------------------------------

    def set_background(self, spec: str) -> None:
        """As in `open_background`; UsageError where it cannot be shown, and the one before stays."""
        self._masker.set_background(spec)
        self._background = spec
        if self._pipeline.card is not None:
            self._pipeline.card.set_background(spec)

    def pause(self) -> None:
        """Show a card instead of the picture."""
        if self._pipeline.card is None:
            raise UsageError("this run is from file to file and has no pause; it can be stopped")
        self._pipeline.paused = True

    def resume(self) -> None:
        self._pipeline.paused = False

    def set_mirrored(self, on: bool) -> None:
        """Turn the person as a mirror does."""
        self._pipeline.view.mirrored = on

    def set_framing(self, on: bool) -> None:
        """Follow the person, or show the whole frame."""
        self._pipeline.view.follows = on

    def set_learning(self, on: bool) -> None:
        """Go on learning, or rest; what was learnt stays.

        Raises
        ------
        UsageError
            Nobody teaches here, or the learner died.
        """
        learning = self._masker.stats.learning
        if on and learning is None:
            raise UsageError("nobody teaches in this run; start it with a teacher, as in --teacher rvm")
        if on and learning is not None and learning.died is not None:
            raise UsageError(f"the learner has ended: {learning.died}; `forget` starts it anew")
        self._masker.learning = on

    def correct(self, stroke: Stroke) -> None:
        """Learn a stroke in the camera's own picture, see `Masker.correct`. UsageError where nobody learns."""
        stroke = stroke.mirrored() if self._pipeline.view.mirrored else stroke
        self._masker.correct(stroke.points, stroke.keep)

    def undo_correction(self) -> None:
        """See `Masker.undo_correction`."""
        self._masker.undo_correction()

    def forget(self) -> None:
        """Paint with the shipped student again; what was learnt is gone. See `Masker.forget`."""
        self._masker.forget()

    def forget_rooms(self, room_id: str | None) -> int:
        """Delete what is remembered of one room, or with None of all; how many. The one at hand as `forget` does.

        Raises
        ------
        UsageError
            There is no such room, or none is remembered in this run.
        SinkError
            A file cannot be deleted.
        """
        if self._store is None:
            raise UsageError(f"{NO_ROOMS}; `jm-engine rooms forget` deletes those of other runs")
        files, here = self._store.count(), room_id is not None and room_id == self._room
        if room_id is None or here:
            self._masker.forget()  # lets go first, so that it is not written again; its file goes with it
        try:
            if room_id is None:
                self._store.forget_all()
                return files
            if self._store.forget(room_id) or here:
                return 1
        except OSError as error:
            raise SinkError(f"{error.filename} is not deleted: {error.strerror}; delete it") from error
        raise UsageError(f"no room {room_id} in {self._store.folder}; see jm-engine ctl rooms")

    def stop(self) -> None:
        """End the run, as Ctrl-C does."""
        self._pipeline.stop()

    # -- what can be seen ----------------------------------------------------------------------------------------------

    def picture(self) -> np.ndarray | None:
        """A copy of the next picture that is sent, uint8 (H, W, 3) BGR; None where none is within a second."""
        return self._pipeline.sent.take(SNAPSHOT_TIMEOUT_S)

    def source_picture(self) -> np.ndarray | None:
        """A copy of the next frame as it comes, the real room and all; None where none comes within a second."""
        return self._pipeline.came.take(SNAPSHOT_TIMEOUT_S)

    def rooms(self) -> dict[str, Any]:
        """What is remembered of places, ready for JSON: see `engine.rooms.listing`. Reads every file."""
        if self._rooms is None or self._store is None:
            return {"mode": "off", "folder": None, "rooms": []}
        mode = "on" if self._rooms.writes else "read"
        return {"mode": mode, "folder": str(self._store.folder), "rooms": listing(self._store, self._room)}

    @cached_property
    def _store(self) -> RoomStore | None:
        """Loaded where it is first asked for: a start does not wait for it."""
        from .rooms.store import RoomStore

        return RoomStore(self._rooms.folder) if self._rooms is not None else None

    @property
    def _room(self) -> str | None:
        """The name of the room at hand, where somebody learns."""
        learning = self._masker.stats.learning
        return learning.room if learning is not None else None

    def status(self) -> dict[str, Any]:
        """What is going on, ready for JSON."""
        pipeline, masker = self._pipeline, self._masker
        stats = masker.stats
        period, latency = pipeline.period.recent(), pipeline.latency.recent()
        cpu = stats.learning.cpu_s if stats.learning is not None else {}
        rates = self._rates({"process": time.process_time(), "learning": sum(cpu.values())})
        sent = pipeline.sent_size
        return {
            "state": pipeline.state.value if pipeline.state is not None else None,
            "background": self._background,
            "paused": pipeline.paused,
            "mirrored": pipeline.view.mirrored,
            "framing": pipeline.view.follows,
            "source": self._options.input,
            "camera": self._source.format if self._source is not None else "",
            "output": self._output,
            "watched": self._sleep.watched if self._sleep is not None else None,
            "fps": round(1000 / period, 1) if period else 0.0,
            "latency_ms": round(latency, 1) if latency else None,
            "paint_ms": masker.paint_path.summary("p50")["p50"],
            "cpu_percent": rates["process"],
            "size": [sent[1], sent[0]] if sent is not None else None,
            "frames": pipeline.frames,
            "dropped": pipeline.dropped,
            "reopened": pipeline.losses,
            "faults": stats.faults,
            "unsure": stats.unsure,
            "doubts": stats.doubts,
            "version": stats.version,
            "swaps": stats.swaps,
            "rejected": stats.rejected,
            "rollbacks": stats.rollbacks,
            "teacher": stats.learning.teacher if stats.learning is not None else None,
            "who": self._options.who,
            "learning": self._learning(stats.learning, rates["learning"]),
            "uptime_s": round(time.monotonic() - self._began, 1),
            "pid": os.getpid(),
            "program_version": __version__,
        }

    def _learning(self, stats: LearningStats | None, percent: float) -> dict[str, Any] | None:
        if stats is None:
            return None
        budget = self._options.learning_budget
        return {
            "on": self._masker.learning and stats.died is None,
            "cpu_percent": percent,
            "budget_percent": budget if math.isfinite(budget) else None,
            "score": round(stats.curve[-1][1], 4) if stats.curve else None,
            "curve": [[frame, round(score, 4)] for frame, score in stats.curve],
            "calls": stats.calls,
            "steps": stats.steps,
            "publishes": stats.publishes,
            "refused": stats.refused,
            "room": stats.room,
            "corrections": [correction.summary() for correction in stats.corrections],
            "died": stats.died,
        }


class Rates:
    """Shares of a core, from counters of CPU seconds: since the call before, at least RATE_INTERVAL_S ago."""

    def __init__(self, counters: dict[str, float]) -> None:
        self._at, self._counters = time.monotonic(), counters
        self._percent = dict.fromkeys(counters, 0.0)

    def __call__(self, counters: dict[str, float]) -> dict[str, float]:
        """Per counter: percent of one core."""
        now = time.monotonic()
        elapsed = now - self._at
        if elapsed >= RATE_INTERVAL_S:
            before = self._counters
            self._percent = {name: round(100 * max(0.0, counters[name] - before[name]) / elapsed, 1) for name in before}
            self._at, self._counters = now, counters
        return self._percent
