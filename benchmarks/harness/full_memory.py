"""As many rooms as are ever kept: for what reading and searching them costs. None of them looks like another."""

from __future__ import annotations

import numpy as np

from engine.rooms.room import Facts, Room, fingerprint, in_steps, new_id
from engine.rooms.signature import CHANNELS, GRID, Signature
from engine.rooms.store import CAPACITY, RoomStore
from export.publish import load_student
from export.students import input_size


def fill(store: RoomStore, student: str) -> None:
    """Write rooms until there are CAPACITY."""
    start, rng = load_student(student, input_size(student, None)), np.random.default_rng(0)
    tensors = {name: value + 0.01 * rng.standard_normal(value.shape) for name, value in start.tensors.items()}
    steps, scales = in_steps(tensors, start.tensors)
    for _ in range(CAPACITY - len(store.all())):
        facts = Facts(new_id(), start.student, fingerprint(start), "", 1, 1, 1, 0, 0.98)
        cells = rng.standard_normal((*GRID, CHANNELS)).astype(np.float32)
        store.save(Room(facts, Signature(cells, np.ones(GRID, np.float32)), steps, scales))
