"""What is remembered of places, as a list: ready for JSON, and in lines for people. Loads no NumPy by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .store import RoomStore


def listing(store: RoomStore, here: str | None = None) -> list[dict[str, Any]]:
    """Every room that can be read, the one seen last first; `here`: the name of the one at hand."""
    found = []
    for room in store.all():
        facts = room.facts
        try:
            seen = store.seen(facts.id)
        except FileNotFoundError:  # forgotten meanwhile
            continue
        found.append(
            {
                "id": facts.id,
                "seen": round(seen),  # s, Unix time
                "visits": facts.visits,
                "score": round(facts.score, 4),
                "student": facts.student,
                "camera": facts.camera,
                "believed": facts.believed,
                "here": facts.id == here,
            }
        )
    return found


def line(room: Mapping[str, Any]) -> str:
    """One of a `listing`, for people."""
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(room["seen"]))
    state = ("" if room["believed"] else ", taken back") + (", here now" if room["here"] else "")
    visits = "1 visit" if room["visits"] == 1 else f"{room['visits']} visits"
    return f"{room['id']}  {day}, {visits}, score {room['score']:.3f}, {room['student']}{state}  {room['camera']}"
