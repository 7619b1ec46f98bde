"""One place, as values and as bytes: what it looks like, when it was seen, how its student differs from the start.

The file is safetensors. Weights are stored as whole steps from those of the start, 31 up and down for each output
channel, deflated: 60 kB of the 75. It takes the start's own weights to make sense of them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from export.contracts import StudentWeights

from ..contracts import Correction
from ..errors import ModelError
from .correction import MOST
from .signature import CHANNELS, GRID, Signature

FORMAT = 1
STEPS = 31  # up and down; more are no better (docs/decisions.md)
MAX_INFLATED = 64 << 20  # bytes; more than the largest student's weights
ID_LENGTH = 12  # hexadecimal digits
CORRECTION = 2 + 4 + 2 * 65  # numbers of a correction: keep, area, box, two mixtures of Gaussians
MAX_CAMERA = 120  # letters


@dataclass(frozen=True)
class Facts:
    """What is known of a room beside its picture and its student; the header of its file."""

    id: str  # hexadecimal
    student: str  # a name in STUDENTS
    start: str  # `fingerprint` of the weights that it was taught from
    camera: str  # as the user called it
    turn: int  # of all visits to all rooms, the last one to this: no clock, which somebody can set, orders them
    visits: int  # times that it was come back to, and the first
    confirmed: int  # labels that its student fitted
    refused: int  # times that the first label of a visit was fitted better by the start
    score: float  # IoU-Acc of its student against the teacher, by the last label

    @property
    def believed(self) -> bool:
        return self.confirmed > self.refused


@dataclass(frozen=True)
class Room:
    """One place."""

    facts: Facts
    signature: Signature
    steps: bytes  # int8, of all weights by the order of their names; deflated
    scales: np.ndarray  # float32 (m,), what a step is worth in each output channel
    corrections: tuple[Correction, ...] = ()  # what the user drew over there


def new_id() -> str:
    return secrets.token_hex(ID_LENGTH // 2)


def fingerprint(weights: StudentWeights) -> str:
    """Tells one start from another: hexadecimal."""
    digest = hashlib.blake2b(weights.student.encode(), digest_size=8)
    for name in sorted(weights.tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights.tensors[name], np.float32).data)
    return digest.hexdigest()


# -- weights ---------------------------------------------------------------------------------------------------------


def in_steps(tensors: Mapping[str, np.ndarray], start: Mapping[str, np.ndarray]) -> tuple[bytes, np.ndarray]:
    """How `tensors` differ from those of the `start`, both float32 by name: a room's `steps` and `scales`."""
    steps, scales = [], []
    for name in sorted(start):
        rows = _rows(np.asarray(tensors[name], np.float32) - start[name])
        scale = np.abs(rows).max(1, keepdims=True) / STEPS
        steps.append(np.rint(rows / np.where(scale > 0, scale, 1)).astype(np.int8).ravel())
        scales.append(scale.ravel().astype(np.float32))
    return zlib.compress(np.concatenate(steps).tobytes(), 6), np.concatenate(scales)


def from_steps(room: Room, start: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of a room's student, float32 by name. ModelError where they are not made for this start."""
    try:
        all_steps = np.frombuffer(_inflated(room.steps), np.int8)
    except (zlib.error, ValueError) as error:
        raise ModelError(f"room {room.facts.id} is damaged: {error}; jm-engine rooms forget {room.facts.id}") from error
    shapes = {name: _rows(start[name]).shape for name in sorted(start)}
    if all_steps.size != sum(r * c for r, c in shapes.values()) or room.scales.size != sum(
        r for r, _ in shapes.values()
    ):
        raise ModelError(f"room {room.facts.id} is not one of this student's; jm-engine rooms forget {room.facts.id}")
    tensors, at, channel = {}, 0, 0
    for name, (rows, columns) in shapes.items():
        steps = all_steps[at : at + rows * columns].reshape(rows, columns)
        change = steps * room.scales[channel : channel + rows, None]
        tensors[name] = (start[name] + change.reshape(start[name].shape)).astype(np.float32)
        at, channel = at + rows * columns, channel + rows
    return tensors


def _rows(array: np.ndarray) -> np.ndarray:
    """A row for each output channel; a vector is one row."""
    return array.reshape(array.shape[0] if array.ndim > 1 else 1, -1)


# -- bytes -----------------------------------------------------------------------------------------------------------


def to_bytes(room: Room) -> bytes:
    tensors: dict[str, np.ndarray] = {
        "cells": room.signature.cells.astype(np.float16),
        "weights": room.signature.weights.astype(np.float16),
        "steps": np.frombuffer(room.steps, np.uint8),
        "scales": room.scales,
        "corrections": np.array([_row(one) for one in room.corrections], np.float32).reshape(-1, CORRECTION),
    }
    return save(tensors, {"room": json.dumps({"format": FORMAT, **vars(room.facts)})})


def from_bytes(data: bytes) -> Room:
    """A room from what `to_bytes` made. ModelError where it is anything else, or damaged."""
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        facts = _facts(json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["room"]))
        cells, weights = (np.asarray(tensors[name], np.float32) for name in ("cells", "weights"))
        scales = tensors["scales"]
        steps = tensors["steps"].tobytes()
        corrections = tensors.get(
            "corrections", np.zeros((0, CORRECTION), np.float32)
        )  # of a file of before there were
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"this is no room ({type(error).__name__}: {error})") from error
    fits = cells.shape == (*GRID, CHANNELS) and weights.shape == GRID and scales.dtype == np.float32
    fits = fits and corrections.ndim == 2 and corrections.shape[1] == CORRECTION and len(corrections) <= MOST
    if not fits or not all(np.isfinite(array).all() for array in (cells, weights, scales, corrections)):
        raise ModelError("this is no room: its numbers are not finite, or not as many as expected")
    understood = tuple(map(_correction, corrections))
    return Room(facts, Signature(cells, np.clip(weights, 0, 1)), steps, scales, understood)


def _row(correction: Correction) -> np.ndarray:
    """(CORRECTION,)"""
    head = (float(correction.keep), correction.area, *correction.box)
    return np.concatenate([head, correction.objects[0], correction.others[0]])


def _correction(row: np.ndarray) -> Correction:
    """From what `_row` made."""
    objects, others = np.split(row[6:].astype(np.float64), 2)
    area, left, top, right, bottom = map(float, np.clip(row[1:6], 0, 1))
    box = (left, top, right, bottom)
    return Correction(bool(row[0] > 0.5), area, False, box, objects[None].copy(), others[None].copy())


def _facts(header: object) -> Facts:
    """ValueError where they are not those of a room."""
    if not isinstance(header, dict) or header.pop("format", None) != FORMAT:
        raise ValueError(f"expected format {FORMAT}")
    types = {"id": str, "student": str, "start": str, "camera": str, "turn": int, "visits": int}
    types |= {"confirmed": int, "refused": int}
    for name, value in header.items():
        kind = types.get(name, (int, float))
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r:.80}")
    facts = Facts(**header)
    if len(facts.id) != ID_LENGTH or set(facts.id) - set("0123456789abcdef"):
        raise ValueError(f"id is {facts.id!r:.80}")
    return facts


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, MAX_INFLATED)
    if not inflater.eof:
        raise ValueError(f"its weights are cut off, or more than {MAX_INFLATED >> 20} MB")
    return inflated
