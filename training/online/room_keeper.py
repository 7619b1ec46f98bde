"""Keeps what was learnt in the room at hand for the next visit: when, how good it was, whether a label bore it out.

A room is kept once labels say that its student is good there, and again when it has changed; so a process that is ended
loses little.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from engine.contracts import Correction
from engine.errors import JitMaskerError
from engine.rooms.memory import Recollection, RoomMemory
from engine.rooms.room import Facts, Room, in_steps, new_id
from engine.rooms.signature import Signature

from .candidates import Candidate

log = logging.getLogger("jit_masker")

GOOD = 0.9  # IoU-Acc of the last label, from which a student is worth keeping
KEEP_EVERY = 3  # labels; between two times that a room is written
NEW_LOOK = 0.3  # share of a signature that the newest frame makes


class RoomKeeper:
    """One visit after another. Used by the learner's thread."""

    def __init__(self, memory: RoomMemory):
        self._memory = memory
        self.room: str | None = None  # the name of the room at hand, where it was kept; else of the last one
        self._told = False
        self._leave()

    def _leave(self) -> None:
        self._facts: Facts | None = None  # of the room at hand; None: it was never kept
        self._signature: Signature | None = None
        self._good: Candidate | None = None  # the student that the last label found good
        self._kept: Candidate | None = None  # the student that the file holds
        self._corrections: tuple[Correction, ...] = ()
        self._labels = 0  # since it was kept
        self._unconfirmed = False  # its student was recalled, and no label has said yet whether it holds

    def enter(self, bgr: np.ndarray) -> Recollection | None:
        """Another scene begins with this frame: what is remembered of it, if the room is known."""
        self.leave()
        self.room = None
        recollection = self._memory.recall(bgr)
        return None if recollection is None else self._resume(recollection)

    def resume(self, room_id: str) -> Recollection | None:
        """The paint path has recognised this room: what is remembered of it, None where it is gone meanwhile."""
        try:
            return self._resume(self._memory.load(room_id))
        except (OSError, JitMaskerError) as error:
            log.info("room %s: %s", room_id, error)
            return None

    def _resume(self, recollection: Recollection) -> Recollection:
        self._leave()
        facts = recollection.facts
        self.room = facts.id
        self._facts = self._again(facts)
        self._signature, self._unconfirmed = recollection.signature, True
        return recollection

    def on_label(
        self,
        bgr: np.ndarray,
        score: float,
        live: Candidate,
        start: Candidate,
        taken_back: bool,
        corrections: tuple[Correction, ...] = (),
    ) -> None:
        """A label was believed.

        Parameters
        ----------
        bgr : uint8 (H, W, 3), a frame of this scene.
        score : of the live student on that label, in [0, 1].
        live, start : students.
        taken_back : another student fitted the label better, and `live` is that one.
        corrections : that hold in this scene.
        """
        signature = self._memory.look(bgr).signature
        self._signature = signature if self._signature is None else self._signature.merged(signature, NEW_LOOK)
        self._count(taken_back)
        self._labels += 1
        self._score, self._corrections = score, corrections
        if score >= GOOD and not taken_back and live is not start:
            self._good = live
            if self._kept is None or self._labels >= KEEP_EVERY:
                self._keep()

    def _count(self, taken_back: bool) -> None:
        """A label for the room's student, or against it: that of a visit's begin alone can be."""
        facts, first = self._facts, self._unconfirmed
        self._unconfirmed = False
        if facts is None or (taken_back and not first):
            return
        if not taken_back:
            self._facts = replace(facts, confirmed=facts.confirmed + 1)
            return
        self._facts = replace(facts, refused=facts.refused + 1)
        if not self._facts.believed:
            self._memory.forget(facts.id)

    def leave(self) -> None:
        """The scene is over."""
        self._keep()
        self._leave()

    def _keep(self) -> None:
        """Write the room, if there is something new to it."""
        good = self._good
        if good is None or good is self._kept or self._signature is None:
            return
        if self._facts is None:
            near = self._memory.nearest(self._signature)
            self._facts = self._again(near[0][0]) if near else self._new()
        self._facts = replace(self._facts, score=round(self._score, 4))
        tensors = {name: value.cpu().numpy() for name, value in good.weights.items()}
        steps, scales = in_steps(tensors, self._memory.start.tensors)
        try:
            self._memory.save(Room(self._facts, self._signature, steps, scales, self._corrections))
            self.room = self._facts.id
        except OSError as error:
            if not self._told:
                self._told = True
                log.warning("this room is not remembered: %s", error)
        self._kept, self._labels = good, 0

    def _again(self, facts: Facts) -> Facts:
        """Another visit."""
        return replace(facts, visits=facts.visits + 1, turn=self._memory.next_turn())

    def _new(self) -> Facts:
        memory = self._memory
        return Facts(
            new_id(), memory.start.student, memory.fingerprint, memory.options.camera, memory.next_turn(),
            visits=1, confirmed=1, refused=0, score=0.0,
        )  # fmt: skip
