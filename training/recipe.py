"""How the student learns: constants only, with where they come from. What was tried stands in docs/decisions.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import UsageError

from .schedule import ScheduleOptions


@dataclass(frozen=True)
class Recipe:
    """Everything about a step that is a choice."""

    optimizer: Literal["sgd", "adam"]
    rate: float  # learning rate
    norm_momentum: float | None  # of batch norm's statistics; None: frozen
    soft_labels: bool  # False: labels are cut at 0.5
    replay: int  # labelled frames remembered besides the newest; a step uses the newest or one of them
    publish_every: int  # steps between two published students, at most
    schedule: ScheduleOptions


RECIPES = {
    # Section 4.4. The paper does not give batch norm's momentum; the authors' .001 exports a net that was not trained
    # (docs/decisions.md), so the statistics follow here.
    "paper": Recipe("sgd", 0.2, 0.3, False, 0, 1, ScheduleOptions()),
    "default": Recipe(
        "adam", 1e-3, None, True, 4, 2, ScheduleOptions(delta_max=8, target=1.01, cut_delta=4, cut_labels=4)
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`; UsageError if there is none."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
