"""Whether a label can be believed. A label is a claim: it is held against what students saw on the same frame, and
against the label before it.

Refused is what no honest label was seen to do: to add much of the frame ("all is person", an inverse, noise, a part of
the room), or to see nobody where the student as it was at the start is sure of a person and the live one sees it too.
Set aside is somebody who appeared or vanished and neither the live student nor the label before bears it out: it is
believed once the next labels say the same, so that one wrong label among good ones is never learnt.

The student as it was at the start is a witness that no teacher can change. It takes a lamp or an animal for a person,
but is never as sure of them as of somebody at a desk: the numbers are in docs/decisions.md. A label that is not
believed costs learning only, and a teacher whose labels are not believed again and again is left for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.painting.witness import added

MAX_ADDED = 0.15  # share of the frame that a label may add to what the start *and* the live student see
MAX_ADDED_TO_START = 0.25  # and to what the start sees, whatever was learnt since: many small lies are one large one
APPEARED = 0.03  # share of the frame that a label may add to what both students and the label before it show
MIN_PERSON = 0.003  # share of the frame; less than that can vanish without a doubt
VANISHED = 0.5  # share of a person that a label may take away from whom live student and label before agree on
CONFIRMATIONS = 2  # labels that have to say the same as one that was set aside
SURE, SURE_AREA = 0.93, 0.02  # mean alpha and share of the frame of a person whom the start student is sure of
NOBODY = 0.9  # share of that person that a label takes away which says that nobody is there
MAX_REFUSALS = 8  # labels that are not believed in a row, then the teacher is left
PAUSE = 750  # frames until it is asked again


@dataclass(frozen=True)
class Verdict:
    """What was found about one label."""

    reason: str | None  # why it is not learnt; None: it is believed
    leave: bool = False  # the teacher is left for PAUSE frames
    set_aside: bool = False  # it is believed if the next labels say the same, and refused if they do not


class LabelJudge:
    """Remembers the labels of one scene. Pure: arrays in, a verdict out."""

    def __init__(self) -> None:
        self.refused = 0  # labels; one that was set aside counts when the next ones contradict it
        self._scene = 0
        self._before: np.ndarray | None = None  # bool (h, w), what the last label that was believed claims
        self._in_a_row = 0  # labels that were not believed
        self._doubt: str | None = None  # what the labels say that are set aside
        self._set_aside = 0  # of those

    def __call__(self, label: np.ndarray, start: np.ndarray, live: np.ndarray, scene: int = 0) -> Verdict:
        """
        Parameters
        ----------
        label : float32 (h, w) in [0, 1], what the teacher says.
        start, live : float32 (h, w) in [0, 1], alpha of the student as it was at the start, and of the one that paints.
        scene : of the stream; another number than the last label's: that one says nothing about this one.
        """
        if scene != self._scene:
            self._scene, self._before, self._set_aside = scene, None, 0
        claimed = label > 0.5
        reason = impossible(claimed, start, live)
        doubt = self._doubtful(claimed, start, live) if reason is None else None
        if doubt is None or doubt != self._doubt:  # the labels that are set aside are contradicted
            self.refused += self._set_aside
            self._doubt, self._set_aside = doubt, 0
        if reason is not None:
            self.refused += 1
            return self._not_believed(reason)
        if doubt is not None and self._set_aside < CONFIRMATIONS:
            self._set_aside += 1
            return self._not_believed(f"{doubt}; the next labels have to say so too", set_aside=True)
        self._before, self._in_a_row, self._set_aside = claimed, 0, 0
        return Verdict(None)

    def _doubtful(self, claimed: np.ndarray, start: np.ndarray, live: np.ndarray) -> str | None:
        """What a label says that nobody else bears out; None where there is nothing."""
        before = self._before
        if before is not None and added(claimed, start, live, before) > APPEARED:
            return "a label sees somebody where neither a student nor the label before sees one"
        person = (live > 0.5) & (start > 0.5 if before is None else before)
        if np.mean(person) >= MIN_PERSON and left_out(person, claimed) > VANISHED:
            witness = "the start student" if before is None else "the label before"
            return f"a label sees nobody where the live student and {witness} do"
        return None

    def _not_believed(self, reason: str, set_aside: bool = False) -> Verdict:
        self._in_a_row += 1
        leave = self._in_a_row >= MAX_REFUSALS
        if leave:
            self._in_a_row = 0
        return Verdict(reason, leave, set_aside)


def impossible(claimed: np.ndarray, start: np.ndarray, live: np.ndarray) -> str | None:
    """Why a label that claims bool (h, w) cannot be true, whatever other labels say; None where it can."""
    to_start = added(claimed, start)
    if to_start > MAX_ADDED_TO_START or min(to_start, added(claimed, live)) > MAX_ADDED:
        return f"a label says that {to_start:.0%} of the frame are a person where no student sees one"
    person = (start > 0.5) & (live > 0.5)
    area = float(np.mean(person))
    if area >= SURE_AREA and start[person].mean() >= SURE and left_out(person, claimed) > NOBODY:
        return f"a label sees nobody where both students are sure of a person on {area:.0%} of the frame"
    return None


def left_out(person: np.ndarray, claimed: np.ndarray) -> float:
    """Share of `person`, bool (h, w), not empty, that `claimed`, bool (h, w), leaves out."""
    return 1.0 - np.count_nonzero(person & claimed) / np.count_nonzero(person)
