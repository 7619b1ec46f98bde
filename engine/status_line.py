"""One line on the terminal about a run. Knows nothing about how it is run."""

from __future__ import annotations

import sys
import time

from .pipeline import Pipeline

INTERVAL_S = 0.25  # between two updates
BAR = 20  # characters


class StatusLine:
    """One line on the terminal, rewritten a few times a second: how far it is, how fast, and how the student learns."""

    def __init__(self) -> None:
        self._next = 0.0
        self._began = time.perf_counter()
        self._painting_since: float | None = None  # s; what was learnt before says nothing of the time left

    def first_pass(self, taught: int) -> None:
        """After a frame of the first of two passes; how many were taught."""
        print(f"\rlearning first: {taught} frames\033[K", end="", file=sys.stderr, flush=True)

    def finish(self, pipeline: Pipeline) -> None:
        """Say how it ended, and leave the line to whoever comes next."""
        if pipeline.frames:
            self._next = 0.0
            self(pipeline)
            print(file=sys.stderr, flush=True)

    def __call__(self, pipeline: Pipeline) -> None:
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + INTERVAL_S
        self._painting_since = self._painting_since or now
        stats, period = pipeline.masker.stats, pipeline.period.summary("p50")["p50"]
        paint = pipeline.masker.paint_path.summary("p50")["p50"]
        line = self._progress(pipeline, now - self._painting_since)
        line += f"  {1000 / period if period else 0:.1f} fps  paint {paint or 0:.1f} ms"
        share = 100 / (now - self._began + 1e-9)  # of one core, on average
        line += f"  cpu {share * stats.cpu_s:.0f} %"
        if pipeline.state is not None:
            line += f"  {pipeline.state.value}"
        if stats.learning is not None:
            line += f" + learning {share * sum(stats.learning.cpu_s.values()):.0f} %"
            curve = stats.learning.curve
            score = f"{curve[-1][1]:.3f}" if curve else "-"
            line += f"  IoU-Acc {score}  δ {stats.learning.delta}  version {stats.version}"
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)

    def _progress(self, pipeline: Pipeline, spent: float) -> str:
        """How many frames are painted; where it is known how many there are, a bar and the time left as well."""
        share = pipeline.progress
        if not share:
            return f"frame {pipeline.frames}"
        left = round(spent * (1 / share - 1))
        bar = "█" * round(share * BAR) + "·" * (BAR - round(share * BAR))
        return f"{bar} {share:.0%}  {left // 60}:{left % 60:02} left  frame {pipeline.frames}"
