"""Which place is this, and whose student paints there? Asked at the first frame of a stream, and by a learner at a cut.

A room is taken for the one at hand where its signature is near, and its student agrees with the shipped one where that
is sure of somebody, and shows nothing that this one does not see. The next label confirms it or takes it back
(training.online.room_keeper).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from export.contracts import Published, StudentWeights
from export.publish import Publisher
from kernels import Kernels

from ..contracts import Correction, RoomOptions
from ..errors import JitMaskerError
from ..painting.contrast import sigmoid
from ..painting.loaded_student import load_on_cpu
from ..painting.witness import added
from .correction import as_mask, find, region_of, small, where_one_sees
from .room import Facts, Room, fingerprint, from_steps
from .signature import Look, Observer, Signature
from .store import RoomStore

log = logging.getLogger("jit_masker")

SIMILAR = 0.75  # of signatures; one room from one place: from .80, other rooms: up to .60 (docs/decisions.md)
TRIED = 2  # rooms, the most similar first
MAX_MORE = 0.03  # share of the frame where a room's student may see somebody and the shipped one does not
SURE = 0.9  # alpha, from which the shipped student is sure of a person
MAX_LESS = 0.3  # share of whom it is sure of that a room's student may not see
LEAST_PERSON = 0.01  # share of the frame; less says nothing about how much is missing


@dataclass(frozen=True)
class Recollection:
    """A room that was recognised."""

    facts: Facts
    signature: Signature
    tensors: Mapping[str, np.ndarray]  # float32, the weights of its student
    published: Published  # likewise
    corrections: tuple[Correction, ...] = ()  # what the user drew over there


class RoomMemory:
    """The rooms of one student. Used by one thread at a time."""

    def __init__(self, options: RoomOptions, start: StudentWeights, size: tuple[int, int], kernels: Kernels):
        """Read what is there.

        Parameters
        ----------
        start : the weights that every room's differ from; rooms of others are left alone.
        size : (h, w) of the student's input.

        Raises
        ------
        ModelError
            The shipped student cannot be loaded.
        """
        self.options, self.start, self.size = options, start, size
        self.fingerprint = fingerprint(start)
        self.store = RoomStore(options.folder)
        self._kernels, self._observe = kernels, Observer(kernels)
        self._publisher = Publisher(start, size)
        rooms = self.store.all()
        if options.writes:
            rooms = self.store.fade(rooms)
        self._known = {room.facts.id: (room.facts, room.signature) for room in rooms if self._ours(room)}

        self._turn = max((room.facts.turn for room in rooms), default=0)

    def next_turn(self) -> int:
        """Of the visit that begins."""
        self._turn += 1
        return self._turn

    def __len__(self) -> int:
        return len(self._known)

    def look(self, bgr: np.ndarray) -> Look:
        """What the shipped student says of a frame uint8 (H, W, 3)."""
        return self._observe(bgr)

    def recall(self, bgr: np.ndarray) -> Recollection | None:
        """The room that a frame uint8 (H, W, 3) shows, where it is known and its student holds."""
        if not self._known:
            return None
        look = self.look(bgr)
        for facts, _ in self.nearest(look.signature)[:TRIED]:
            try:
                recollection = self.load(facts.id)
                vouched, objection = self._examine(recollection, bgr, look.alpha)
            except (OSError, JitMaskerError) as error:  # deleted meanwhile, or damaged
                objection = str(error)
                self._known.pop(facts.id, None)
            if objection is None:
                return replace(recollection, published=replace(recollection.published, vouched=vouched))
            log.info("room %s is not taken for this one: %s", facts.id, objection)
        return None

    def nearest(self, signature: Signature) -> list[tuple[Facts, float]]:
        """Rooms that look like it with their similarity, the most similar first."""
        if not self._known:
            return []
        facts, known = zip(*self._known.values(), strict=True)
        alike = signature.similarities(np.stack([one.cells for one in known]), np.stack([one.weights for one in known]))
        return [(facts[i], float(alike[i])) for i in np.argsort(-alike) if alike[i] >= SIMILAR]

    def load(self, room_id: str) -> Recollection:
        """A room by its name, read from its file. OSError, UsageError, ModelError."""
        room = self.store.get(room_id)
        tensors = from_steps(room, self.start.tensors)
        published = self._publisher.publish(dict(tensors))
        return Recollection(room.facts, room.signature, tensors, published, room.corrections)

    def save(self, room: Room) -> None:
        """Write a room, and know it from now on. OSError where the folder cannot be written."""
        if self.options.writes:
            self.store.save(room)
            self._known[room.facts.id] = (room.facts, room.signature)

    def forget(self, room_id: str) -> None:
        """It is not recalled any more, and where rooms are written it is deleted."""
        self._known.pop(room_id, None)
        if self.options.writes:
            with contextlib.suppress(OSError):  # then it stays, and is tried again next time
                self.store.forget(room_id)

    def _ours(self, room: Room) -> bool:
        facts = room.facts
        return facts.student == self.start.student and facts.start == self.fingerprint and facts.believed

    def _examine(
        self, recollection: Recollection, bgr: np.ndarray, shipped: np.ndarray
    ) -> tuple[np.ndarray | None, str | None]:
        """What the user vouches for in this frame, as in `Published`, and why the room's student may not paint it; of
        the frame the `shipped` one says float32 (h, w).
        """
        student = load_on_cpu(recollection.published)
        self._kernels.preprocess(bgr, student.mean, student.std, student.image)
        logits = student.logits()
        alpha = sigmoid(logits, np.empty_like(logits))
        shipped = cv2.resize(shipped, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
        kept: list[np.ndarray] = []
        removed: list[np.ndarray] = []
        for correction in recollection.corrections:
            one, other = (alpha, shipped) if correction.keep else (shipped, alpha)
            region = find(correction, small(bgr), region_of(correction.box) | where_one_sees(one, other))
            (kept if correction.keep else removed).append(region)
        vouched = as_mask(kept, alpha.shape)
        if vouched is not None:
            shipped = np.maximum(shipped, vouched)
        if (gone := as_mask(removed, alpha.shape)) is not None:
            shipped = shipped * (1 - gone)
        return vouched, disagreement(alpha, shipped)


def disagreement(alpha: np.ndarray, shipped: np.ndarray) -> str | None:
    """Why a student that answers `alpha` where the shipped one answers `shipped`, both float32 (h, w) in [0, 1], is not
    believed without a label; None where it is.
    """
    more = added(alpha > 0.5, shipped)
    if more > MAX_MORE:
        return f"its student sees a person on {more:.0%} of the frame where the shipped one sees none"
    person = shipped > SURE
    if person.mean() < LEAST_PERSON:
        return None
    less = float(np.mean(alpha[person] < 0.5))
    if less > MAX_LESS:
        return f"its student does not see {less:.0%} of the person whom the shipped one is sure of"
    return None
