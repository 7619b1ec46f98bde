"""Timing functions again and again, in turn. Knows nothing about what they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from .progress import bar

WARM = 5  # rounds that are not counted
BLOCKS = 7  # a series is cut into so many; the spread of their medians is its noise


def side_by_side(functions: dict[str, Callable[[], object]], repeats: int, warm: int = WARM) -> dict[str, list[float]]:
    """Milliseconds of each function in each round.

    They are taken in turn, so that a busy moment of the machine falls on all of them. The first `warm` rounds are not
    counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in bar(range(warm + repeats), "rounds"):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if round_ >= warm:
                taken[name].append((time.perf_counter() - began) * 1e3)
    return taken


def in_blocks(
    functions: dict[str, Callable[[], object]], turns: int, calls: int, warm: int = WARM, pause: float = 0.0
) -> dict[str, list[float]]:
    """Milliseconds of each function, hot: `calls` in a row at each of `turns`, `warm` before them that are not counted.

    In turn, call by call, everybody would pay for the caches that a slow one left behind. With a `pause` (s) before
    each call that is counted, everybody pays for those that others filled meanwhile, as with a camera.
    """
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in bar(range(turns), "turns"):
        for name, function in functions.items():
            for _ in range(warm):
                function()
            taken[name] += series(function, calls, pause)
    return taken


def series(function: Callable[[], object], calls: int, pause: float = 0.0) -> list[float]:
    """Milliseconds of each of `calls` calls in a row, `pause` s before each."""
    taken = []
    for _ in range(calls):
        if pause:
            time.sleep(pause)
        began = time.perf_counter()
        function()
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def percentiles(ms: Sequence[float], *keys: int) -> dict[str, float]:
    """{"p50": …} of `ms` for each percentile in `keys`."""
    return {f"p{key}": round(float(np.percentile(ms, key)), 4) for key in keys}


def block_medians(ms: Sequence[float], blocks: int = BLOCKS) -> list[float]:
    """Medians of `blocks` stretches of a series: its repeats, for `compare`. Fewer where it is shorter."""
    return [float(np.median(block)) for block in np.array_split(np.asarray(ms), min(blocks, len(ms)))]
