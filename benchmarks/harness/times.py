"""The two times of a method on a clip: mean time between paints, and latency from capture to paint. Scores nothing."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from engine import report
from engine.errors import UsageError
from engine.pipeline import Pipeline

from .manifest import Clip
from .methods import OURS, STILL, Method
from .runs import run

TIMED = 150  # frames of each clip; a slow peer needs half a minute for them
QUICK_TIMED = 30  # frames


@dataclass(frozen=True)
class Times:
    """Of one method on one clip."""

    periods_ms: list[float]  # between two paints, flat out
    latencies_ms: list[float]  # from capture to paint, the clip as a camera
    dropped: int  # frames that the camera had and nobody saw
    report: dict[str, Any] | None  # what jm-engine --report says of the run as a camera; None for a peer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timed", type=int, default=TIMED, help=f"frames of each clip that are timed; default: {TIMED}"
    )


def periods_ms(method: Method, clip: Clip, args: argparse.Namespace) -> list[float]:
    """Time between paints, ms, with the clip read as fast as it can be; learning is on where the method learns."""
    return _timed(method, clip, "flat out", args)[0]


def times(method: Method, clip: Clip, args: argparse.Namespace) -> Times:
    """Both times."""
    _, latencies, pipeline = _timed(method, clip, "camera", args)
    told = None
    if method.name in (OURS, STILL):
        whole = report.build(pipeline, "ok")
        told = {key: whole[key] for key in ("period_ms", "latency_ms", "paint_path_ms", "stages_ms", "dropped")}
    return Times(periods_ms(method, clip, args), latencies, pipeline.dropped, told)


def _timed(
    method: Method, clip: Clip, pace: str, args: argparse.Namespace
) -> tuple[list[float], list[float], Pipeline]:
    """(periods, latencies, what painted) of one run without a sink that costs anything."""
    painter = method.open(lockstep=False)
    try:
        done = run(painter, clip.path, pace, min(args.timed, QUICK_TIMED) if args.quick else args.timed)
    finally:
        painter.close()
    if len(done.stamps) < 2:
        raise UsageError(f"{clip.path} is too short to be timed; expected two frames or more")
    return done.periods_ms, done.latencies_ms, done.pipeline
