"""One operation per frame: label, step or rest; publishes. No thread, no clock that decides anything.

It is shown what the student said (logits) and never what the user chose to see. Every published student carries a probe
(an input and its logits in torch), and whoever adopts it compares.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from engine import backends
from engine.errors import CandidateRejected, ModelError, TeacherError
from engine.painting.contrast import sigmoid
from engine.painting.loaded_student import LoadedStudent
from engine.timing import Durations
from export.contracts import Probe, Published
from export.publish import Publisher
from kernels import Kernels

from ..students import Student
from ..teachers.deadline import DeadlineTeacher
from .on_demand import ChangeTrigger, OnDemandOptions, OnDemandSchedule
from .plausibility import PAUSE, LabelJudge
from .recipe import Recipe
from .replay import LabelledFrame, ReplayBuffer
from .schedule import Operation, Schedule
from .score import iou_acc
from .trainer import OnlineTrainer

log = logging.getLogger("jit_masker")

ROLLBACK_BELOW = 0.9  # IoU-Acc; a student that predicts worse is compared with earlier ones
MAX_REGRESSION = 0.05  # IoU-Acc; a student that fits the newest label so much worse than the live one is not published
MAX_AREA_CHANGE = 0.2  # share of the frame; nor is one that sees so much more of a person, or less, than live and label
CURVE_LENGTH = 100_000  # scores kept for the report: a day of labels every eighth frame at 10 labels a second


@dataclass(frozen=True)
class PendingLabel:
    """A frame that the teacher was asked about."""

    image: np.ndarray  # float32 (1, 3, h, w), normalised RGB
    predicted: np.ndarray  # float32 (h', w'), the live student's alpha for it
    frame: int  # of the distiller's count
    scene: int  # of the stream


class Distiller:
    """Teaches one student. Used by one thread at a time."""

    def __init__(
        self,
        student: Student,
        publisher: Publisher,
        teacher: DeadlineTeacher,
        recipe: Recipe,
        publish: Callable[[Published], None],
        kernels: Kernels,
        seed: int = 0,
        device: str = "cpu",
        overlap: bool = False,
    ):
        """
        Parameters
        ----------
        publish : swaps a student in, or raises CandidateRejected or ModelError.
        device : of torch, where the steps are taken.
        overlap : go on while the teacher looks at its frame, as is right where it does so on another machine.
        """
        options = recipe.schedule
        self.schedule = OnDemandSchedule(options) if isinstance(options, OnDemandOptions) else Schedule(options)
        self._trigger = ChangeTrigger()
        self.teacher_ms, self.publish_ms = Durations(), Durations()
        self.calls = self.failures = self.steps = self.publishes = self.rejected = self.rollbacks = 0
        self.curve: deque[tuple[int, float]] = deque(maxlen=CURVE_LENGTH)  # (frame, IoU-Acc as predicted)
        self.replay = ReplayBuffer(recipe.replay, seed)
        self._trainer = OnlineTrainer(student, recipe, device)
        self._device, self._overlap = device, overlap
        self._publisher, self._teacher, self._recipe, self._publish = publisher, teacher, recipe, publish
        self._kernels = kernels
        self._image = np.empty((1, 3, *publisher.size), np.float32)
        self._predicted = np.empty((0, 0), np.float32)  # the live student's alpha for the frame at hand
        self._live_score = 0.0  # IoU-Acc of the live student, when the newest label came
        self._pending: PendingLabel | None = None
        self._dropped = False  # the last label, of a scene that was over
        self._frames = 0  # seen
        self._scene: int | None = None  # of the frame at hand
        self._awaiting_first_label = False  # of a new scene
        self._judge = LabelJudge()
        self._left_until = 0  # frame; a teacher that keeps lying is not asked before
        # version 0: what the paint path has loaded already, and here the witness that no teacher can change
        self._start = LoadedStudent(self._publisher.publish(self._trainer.tensors), backends.load("ort-cpu"), 1)

    # -- one frame -------------------------------------------------------------------------------------------------

    def operate(self, bgr: np.ndarray, logits: np.ndarray, scene: int = 0) -> Operation:
        """Do one thing with this frame.

        Parameters
        ----------
        bgr : uint8 (H, W, 3), as it came.
        logits : float32 (h', w'), what the live student said of it.
        scene : of the stream, counted from 0; another number than the frame before is a cut.
        """
        self._kernels.preprocess(bgr, self._publisher.mean, self._publisher.std, self._image)
        if self._predicted.shape != logits.shape:
            self._predicted = np.empty_like(logits)
        sigmoid(logits, self._predicted)
        cut = self._scene is not None and scene != self._scene
        self._scene = scene
        if cut:
            self._on_scene_change()
        if self._pending is not None:
            self._poll(wait=False)
        if self._frames < self._left_until:
            self._frames += 1
            return Operation.REST
        operation = self.schedule.next(cut, self._pending is not None, self._trigger(self._predicted))
        if operation is Operation.TEACH:
            self._request(bgr)
        elif operation is Operation.STEP and self.replay.newest is not None:
            self._step()
        self._frames += 1
        return operation

    def _on_scene_change(self) -> None:
        self.replay.clear()  # what was seen elsewhere would hold back what has to be learnt here
        if self._recipe.scenes:
            self._trainer.on_scene_change()
            self._awaiting_first_label = True

    # -- a label -----------------------------------------------------------------------------------------------------

    def _request(self, bgr: np.ndarray) -> None:
        self.calls += 1
        try:
            self._teacher.request(bgr)
        except TeacherError as error:
            self._on_failure(error)
            return
        assert self._scene is not None
        self._pending = PendingLabel(self._image.copy(), self._predicted.copy(), self._frames, self._scene)
        if not self._overlap:
            self._poll(wait=True)

    def _poll(self, wait: bool) -> None:
        """Learn from the pending label, if it is there."""
        assert self._pending is not None
        try:
            label = self._teacher.poll(wait)
        except TeacherError as error:
            self._pending = None
            self._on_failure(error)
            return
        if label is None:
            return
        pending, self._pending = self._pending, None
        self.teacher_ms.add(self._teacher.took)
        if pending.scene == self._scene or self._dropped:
            self._on_label(pending, label)
            self._dropped = False
        else:  # but never two in a row: every frame of a stream may look like a cut
            self._dropped = True

    def _on_failure(self, error: TeacherError) -> None:
        self.failures += 1
        if self.failures == 1:
            log.warning("%s; the picture goes on with the student as it is", error)

    def _on_label(self, pending: PendingLabel, label: np.ndarray) -> None:
        """Score the live student on the pending frame; if there is something to learn, it is the newest one."""
        label = cv2.resize(label, pending.predicted.shape[::-1], interpolation=cv2.INTER_AREA)
        if self._recipe.judge_labels and not self._believes(pending, label):
            return
        self.curve.append((pending.frame, iou_acc(label, pending.predicted)))
        score = iou_acc(label, pending.predicted, self._recipe.min_area)
        self.schedule.labelled(score)
        self._trigger.labelled()
        self._live_score = score
        if score >= self._recipe.schedule.target:  # nothing to learn here; an empty room would crowd out the person
            self._awaiting_first_label = False
            return
        if not self._recipe.soft_labels:
            label = (label > 0.5).astype(np.float32)
        labelled = LabelledFrame.of(pending.image, label, self._device)
        self.replay.add(labelled)
        if self._awaiting_first_label or (score < ROLLBACK_BELOW and self._recipe.scenes):
            if self._trainer.roll_back_to_best(labelled, new_optimizer=self._awaiting_first_label):
                self.rollbacks += 1
                self._validate_and_publish()
            self._awaiting_first_label = False

    def _believes(self, pending: PendingLabel, label: np.ndarray) -> bool:
        """Whether a label can be true. One that cannot is asked for again, on another frame; a teacher that keeps lying
        is left for a while.
        """
        np.copyto(self._start.image, pending.image)
        witness = sigmoid(self._start.logits(), np.empty_like(pending.predicted))
        verdict = self._judge(label, witness, pending.predicted)
        if verdict.reason is None:
            return True
        if self.refused == 1:
            log.warning("%s; it is not learnt", verdict.reason)
        if verdict.leave:
            self._left_until = self._frames + PAUSE
        self.schedule.ask_again()
        return False

    @property
    def refused(self) -> int:
        """Labels that were not believed."""
        return self._judge.refused

    # -- a step ------------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._trainer.step(*self.replay.batch(self._recipe.batch, self.steps))
        self.steps += 1
        often = not self.schedule.settled and self.steps % self._recipe.publish_every == 0
        if often or not self.schedule.updates_left:
            self._validate_and_publish()

    def _validate_and_publish(self) -> None:
        """Predict the newest label's frame and the frame at hand; publish the student if all is well."""
        newest = self.replay.newest
        assert newest is not None
        logits = self._trainer.logits(newest.image, torch.from_numpy(self._image))
        learnt, now = torch.sigmoid(logits)[:, 0].cpu().numpy()
        label = newest.label[0, 0].cpu().numpy()
        score = iou_acc(label, learnt, self._recipe.min_area)
        reason = self._rejection_reason(score, float(now.mean()), float(label.mean()))
        if reason is not None:
            self._reject(reason)
            return
        self.schedule.report(score)
        probe = Probe(newest.image.contiguous().cpu().numpy(), logits[:1].cpu().numpy())
        began = time.perf_counter()
        try:
            self._publish(self._publisher.publish(self._trainer.tensors, probe))
        except (CandidateRejected, ModelError) as error:
            self._reject(str(error))
            return
        self.publish_ms.add(time.perf_counter() - began)
        self.publishes += 1
        self._trainer.on_publish()

    def _rejection_reason(self, score: float, area: float, labelled: float) -> str | None:
        """Why a student may not go live: it fits the newest label by `score`, and sees `area` of the frame at hand.

        A step too far can fit the one frame it was made on, and see half of the room as a person on the next.
        """
        if not self._recipe.validate_before_publish:
            return None
        if not score >= self._live_score - MAX_REGRESSION:
            return f"a student fits its label by {score:.3f}, and the live one by {self._live_score:.3f}"
        live = float(self._predicted.mean())
        if not min(live, labelled) - MAX_AREA_CHANGE <= area <= max(live, labelled) + MAX_AREA_CHANGE:
            return f"a student sees a person on {area:.0%} of the frame, and the live one on {live:.0%}"
        return None

    def _reject(self, reason: str) -> None:
        """A student that may not go live is not worth teaching on: go on from the one that did."""
        self.rejected += 1
        if self.rejected == 1:
            log.warning("%s; going back to the one before", reason)
        self._trainer.revert()
