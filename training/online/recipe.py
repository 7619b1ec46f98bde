"""How the student learns: constants only, with where they come from. What was tried stands in docs/decisions.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import UsageError

from .on_demand import OnDemandOptions
from .schedule import ScheduleOptions
from .score import MIN_AREA, SMALL_PERSON


@dataclass(frozen=True)
class Recipe:
    """Everything about a step that is a choice."""

    optimizer: Literal["sgd", "adam"]
    rate: float  # learning rate
    norm_momentum: float | None  # of batch norm's statistics; None: frozen
    soft_labels: bool  # False: labels are cut at 0.5
    replay: int  # labelled frames remembered besides the newest
    batch: int  # labelled frames in a step; 1: the newest and a remembered one in turn
    publish_every: int  # steps between two published students; under a budget one goes live per label
    schedule: ScheduleOptions | OnDemandOptions
    eps: float = 1e-8  # Adam's; a larger one takes small steps where the student is right already
    l2_sp: float = 0.0  # share of the way back to the start on each step (L2-SP, Li et al. 2018)
    validate_before_publish: bool = True  # a student that looks worse than the one that paints does not go live
    bf16: bool = False  # bfloat16 where the CPU has it: faster for dense convolutions, slower for depthwise ones
    judge_labels: bool = True  # a label that no student can confirm is refused
    min_area: float = SMALL_PERSON  # share of the frame, from which a label is scored by IoU
    scenes: int = 0  # snapshots of scenes before that are tried after a cut; 0: the student goes on as it is


NAMES = ("default", "paper")

# Section 4.4. The paper does not give batch norm's momentum; the authors' .001 exports a net that was not trained
# (docs/decisions.md), so the statistics follow here.
PAPER = Recipe(
    optimizer="sgd", rate=0.2, norm_momentum=0.3, soft_labels=False, replay=0, batch=1, publish_every=1,
    schedule=ScheduleOptions(), validate_before_publish=False, bf16=True, judge_labels=False, min_area=MIN_AREA,
)  # fmt: skip

DEFAULT = {
    "lite": Recipe("adam", 5e-4, None, True, 4, 2, 2, OnDemandOptions(), eps=1e-5, l2_sp=0.01, scenes=4),
    "jitnet": Recipe("adam", 1e-3, None, True, 4, 1, 2, OnDemandOptions(), bf16=True, scenes=4),
    "jitnet-fig2": Recipe("adam", 1e-3, None, True, 4, 1, 2, OnDemandOptions(), bf16=True, scenes=4),
}


def recipe(name: str, student: str) -> Recipe:
    """The recipe called `name`, "default" or "paper", for `student`, or lite's; UsageError if there is none."""
    if name not in NAMES:
        raise UsageError(f"unknown recipe {name!r}; choose one of {', '.join(NAMES)}")
    return PAPER if name == "paper" else DEFAULT.get(student, DEFAULT["lite"])
