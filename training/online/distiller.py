"""One operation per frame: label, step or rest; publishes. No thread, no clock that decides anything.

Every published student carries a probe (an input and its logits in torch), and whoever adopts it compares. How a step
is taken and what there is to go back to is the OnlineTrainer's; what is learnt from, the ReplayBuffer'.
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

from engine.errors import CandidateRejected, ModelError, TeacherError
from engine.timing import Durations
from export.contracts import Probe, Published
from export.publish import Publisher
from kernels import Kernels

from ..students import Student
from ..teachers.deadline import DeadlineTeacher
from .recipe import Recipe
from .replay import Example, ReplayBuffer
from .scene import CutDetector
from .schedule import Operation, Schedule
from .score import iou_acc
from .trainer import OnlineTrainer

log = logging.getLogger("jit_masker")

LOST = 0.9  # IoU-Acc; a student that paints worse is compared with those before
WORSE = 0.05  # IoU-Acc; a student that fits the newest label so much worse than what was painted is not published
JUMP = 0.2  # share of the frame; nor is one that sees so much more of a person, or less, than was painted and labelled
CURVE_LENGTH = 100_000  # scores kept for the report: a day of labels every eighth frame at 10 labels a second


@dataclass(frozen=True)
class Question:
    """A frame that the teacher is looking at."""

    image: np.ndarray  # float32 (1, 3, h, w), normalised RGB
    painted: np.ndarray  # float32 (h', w'), the alpha it was painted with
    frame: int  # of the distiller's count
    scene: int  # of the distiller's count


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
        publish : adopts a student, or raises CandidateRejected.
        device : of torch, where the steps are taken.
        overlap : go on while the teacher looks at its frame, as is right where it does so on another machine.
        """
        self.schedule = Schedule(recipe.schedule)
        self.teacher_ms, self.publish_ms = Durations(), Durations()
        self.calls = self.failures = self.steps = self.publishes = self.rejected = self.returns = 0
        self.curve: deque[tuple[int, float]] = deque(maxlen=CURVE_LENGTH)  # (frame, IoU-Acc as painted)
        self._trainee = OnlineTrainer(student, recipe, device)
        self._examples = ReplayBuffer(recipe.replay, seed)
        self._device = device
        self._publisher, self._teacher, self._recipe, self._publish = publisher, teacher, recipe, publish
        self._kernels = kernels
        self._cut = CutDetector(publisher.std)
        self._image = np.empty((1, 3, *publisher.size), np.float32)
        self._painted = 0.0  # IoU-Acc of what was painted, when the newest label came
        self._area = 0.0  # share of the frame that was painted as person, of the frame at hand
        self._overlap = overlap
        self._question: Question | None = None  # on its way
        self._dropped = False  # the last label, of a scene that was over
        self._frames = self._scene = 0  # seen; cuts seen
        self._elsewhere = False  # after a cut, until there is a label
        self._publisher.publish(self._trainee.tensors)  # version 0: what the paint path has loaded already

    # -- one frame -----------------------------------------------------------------------------------------------

    def operate(self, bgr: np.ndarray, painted: np.ndarray) -> Operation:
        """Do one thing with this frame.

        Parameters
        ----------
        bgr : uint8 (H, W, 3).
        painted : float32 (h', w'), the alpha that this frame was painted with; what a label is scored against.
        """
        self._kernels.preprocess(bgr, self._publisher.mean, self._publisher.std, self._image)
        self._area = float(painted.mean())
        cut = self._cut(self._image)
        if cut:  # what was seen elsewhere would hold back what has to be learnt here
            self._examples.clear()
            if self._recipe.rooms:
                self._trainee.leave_room()
                self._elsewhere = True
            self._scene += 1
        if self._question is not None:
            self._hear(wait=False)
        operation = self.schedule.next(cut, waiting=self._question is not None)
        if operation is Operation.TEACH:
            self._ask(bgr, painted)
        elif operation is Operation.STEP and self._examples.newest is not None:
            self._step()
        self._frames += 1
        return operation

    def _ask(self, bgr: np.ndarray, painted: np.ndarray) -> None:
        self.calls += 1
        try:
            self._teacher.ask(bgr)
        except TeacherError as error:
            self._fail(error)
            return
        self._question = Question(self._image.copy(), painted.copy(), self._frames, self._scene)
        if not self._overlap:
            self._hear(wait=True)

    def _hear(self, wait: bool) -> None:
        """Learn from the label of the question that is out, if it is there."""
        assert self._question is not None
        try:
            label = self._teacher.answer(wait)
        except TeacherError as error:
            self._question = None
            self._fail(error)
            return
        if label is None:
            return
        question, self._question = self._question, None
        self.teacher_ms.add(self._teacher.took)
        if question.scene == self._scene or self._dropped:
            self._learn(question, label)
            self._dropped = False
        else:  # but never two in a row: where a light flickers, every frame looks like a cut
            self._dropped = True

    def _fail(self, error: TeacherError) -> None:
        self.failures += 1
        if self.failures == 1:
            log.warning("%s; the picture goes on with the student as it is", error)

    def _learn(self, question: Question, label: np.ndarray) -> None:
        """Score what was painted on the question's frame; if there is something to learn, it is the newest example."""
        label = cv2.resize(label, question.painted.shape[::-1], interpolation=cv2.INTER_AREA)
        score = iou_acc(label, question.painted)
        self.curve.append((question.frame, score))
        self.schedule.labelled(score)
        self._painted = score
        if score >= self._recipe.schedule.target:  # nothing to learn here; an empty room would crowd out the person
            self._elsewhere = False
            return
        if not self._recipe.soft_labels:
            label = (label > 0.5).astype(np.float32)
        example = Example.of(question.image, label, self._device)
        self._examples.add(example)
        if self._elsewhere or (score < LOST and self._recipe.rooms):
            if self._trainee.start_from_best(example, afresh=self._elsewhere):
                self.returns += 1
                self._predict_and_publish()
            self._elsewhere = False

    def _step(self) -> None:
        self._trainee.step(*self._examples.choose(self._recipe.batch, self.steps))
        self.steps += 1
        if self.steps % self._recipe.publish_every == 0:
            self._predict_and_publish()

    def _predict_and_publish(self) -> None:
        """See what the student says of the newest label and of the frame at hand; hand it over if all is well."""
        newest = self._examples.newest
        assert newest is not None
        logits = self._trainee.logits(newest.image, torch.from_numpy(self._image))
        learnt, now = torch.sigmoid(logits)[:, 0].cpu().numpy()
        label = newest.label[0, 0].cpu().numpy()
        score = iou_acc(label, learnt)
        why = self._objection(score, float(now.mean()), float(label.mean()))
        if why is not None:
            self._relapse(why)
            return
        self.schedule.report(score)
        probe = Probe(newest.image.contiguous().cpu().numpy(), logits[:1].cpu().numpy())
        began = time.perf_counter()
        try:
            self._publish(self._publisher.publish(self._trainee.tensors, probe, score))
        except (CandidateRejected, ModelError) as error:
            self._relapse(str(error))
            return
        self.publish_ms.add(time.perf_counter() - began)
        self.publishes += 1
        self._trainee.keep()

    def _objection(self, score: float, area: float, labelled: float) -> str | None:
        """Why a student may not go live: it fits the newest label by `score`, and sees `area` of the frame at hand.

        A step too far can fit the one frame it was made on, and paint half of the room on the next.
        """
        if not self._recipe.gated:
            return None
        if not score >= self._painted - WORSE:
            return f"a student fits its label by {score:.3f}, and {self._painted:.3f} was painted"
        if not min(self._area, labelled) - JUMP <= area <= max(self._area, labelled) + JUMP:
            return f"a student sees a person on {area:.0%} of the frame, and {self._area:.0%} was painted"
        return None

    def _relapse(self, why: str) -> None:
        """A student that may not go live is not worth teaching on: back to the one that is."""
        self.rejected += 1
        if self.rejected == 1:
            log.warning("%s; going back to the one before", why)
        self._trainee.fall_back()
