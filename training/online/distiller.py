"""One operation per frame: label, step or rest; publishes. No thread, no clock that decides anything.

It is shown what the student said (logits) and never what the user chose to see. Every published student carries a probe
(an input and its logits), and whoever adopts it compares.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from engine.errors import CandidateRejected, ModelError, StudentFault, TeacherError
from engine.painting.contrast import sigmoid
from engine.rooms.correction import small
from engine.stroke import Stroke
from engine.timing import Durations
from export.contracts import Probe, Published
from export.publish import Publisher
from kernels import Kernels

from ..students import Student
from ..teachers.deadline import DeadlineTeacher
from .budget import CpuLaps, LearningBudget
from .candidates import Candidate, CandidateJudge
from .corrections import Corrections
from .earlier_students import EarlierStudents
from .frame_keeper import FrameKeeper
from .on_demand import ChangeTrigger, OnDemandSchedule
from .plausibility import PAUSE, LabelJudge
from .recipe import Recipe
from .replay import LabelledFrame, ReplayBuffer
from .room_keeper import RoomKeeper
from .schedule import Operation, Schedule, ScheduleOptions
from .score import iou_acc
from .trainer import OnlineTrainer

log = logging.getLogger("jit_masker")

MIN_STEPS = 7  # steps in a scene, from which its student is worth remembering: those of one label
MEMORY = 100  # frames that a teacher's memory is of use
PATIENCE = 8  # frames that may pass unseen where nothing is due: so late the triggers of the picture are heard
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
        budget: LearningBudget | None = None,
        rooms: RoomKeeper | None = None,
        keeper: FrameKeeper | None = None,
    ):
        """
        Parameters
        ----------
        publish : swaps a student in, or raises CandidateRejected or ModelError.
        device : of torch, where the steps are taken.
        overlap : go on while the teacher looks at its frame, as is right where it does so on another machine.
        budget : what may be spent; None: no limit, as a run that is to be repeatable needs.
        rooms : remembers what was learnt where; None: nobody does.
        keeper : keeps frames whose labels were believed; None: nobody does.
        """
        options = recipe.schedule
        self._thrifty = budget is not None and budget.limited
        self.schedule: OnDemandSchedule | Schedule = (
            Schedule(options) if isinstance(options, ScheduleOptions) else (OnDemandSchedule(options, self._thrifty))
        )
        self._trigger = ChangeTrigger()
        self.teacher_ms, self.publish_ms = Durations(), Durations()
        self.calls = self.failures = self.steps = self.publishes = self.rejected = self.rollbacks = 0
        self.curve: deque[tuple[int, float]] = deque(maxlen=CURVE_LENGTH)  # (frame, IoU-Acc as predicted)
        self.replay = ReplayBuffer(recipe.replay, seed)
        self._trainer = OnlineTrainer(student, recipe, device)
        self._device, self._overlap, self._budget = device, overlap, budget
        self._publisher, self._teacher, self._recipe, self._publish = publisher, teacher, recipe, publish
        self._kernels = kernels
        self._input = np.zeros((1, 3, *publisher.size), np.float32)
        self._predicted = np.empty((0, 0), np.float32)  # the live student's alpha for the frame at hand
        self.cpu = CpuLaps("watching", "steps", "publishing")
        self.teacher_cpu = 0.0  # s
        self._pending: PendingLabel | None = None
        self._dropped = False  # the last label, of a scene that was over
        self._frames = -1  # of the stream
        self._scene: int | None = None  # of the frame at hand
        self._awaiting_first_label = False  # of a new scene
        self._steps_in_scene = self._steps_since_publish = 0
        self._label_judge = LabelJudge()
        self._told_of_refusal = False
        self._labelled_at: int | None = None  # frame of the last label that was believed; None: not in this scene
        self._left_until = 0  # frame; a teacher that keeps lying is not asked before
        # version 0: what the paint path has loaded already, and here the witness that no teacher can change
        start = Candidate(publisher.publish(self._trainer.tensors), self._trainer.snapshot())
        self._students = CandidateJudge(start, recipe.min_area)
        self._rooms, self._keeper = rooms, keeper
        self.corrections = Corrections()
        self._strokes: list[Stroke | None] = []  # that came since the last frame; None: undo
        self._earlier = EarlierStudents(
            recipe.scenes, recipe.min_area, self._thrifty, self._students, self._picture
        )  # fmt: skip

    def resume(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Go on from these weights, which are live already; the start stays the witness. Before the first frame."""
        self._students.live = self._candidate_of(tensors)

    def recalled(self, room_id: str) -> None:
        """The student of a room that is remembered paints already; the next label confirms it or takes it back."""
        recollection = self._rooms.resume(room_id) if self._rooms is not None else None
        if recollection is not None:
            self.resume(recollection.tensors)
            self.corrections.restore(recollection.corrections)
            self._awaiting_first_label = True

    def correct(self, stroke: Stroke | None) -> None:
        """The user drew over something on the next frame; None: the last such thing is taken back."""
        self._strokes.append(stroke)
        if self._budget is not None:
            self._budget.grant()

    def _heed_strokes(self, bgr: np.ndarray) -> bool:
        """Whether there were any; `bgr` is the frame at hand."""
        strokes, self._strokes = self._strokes, []
        for stroke in strokes:
            if stroke is None:
                self.corrections.undo()
            else:
                self.corrections.add(stroke, self._picture(self._image(bgr)))
        return self.corrections.is_new and bool(strokes)

    @property
    def room(self) -> str | None:
        """The name under which the room at hand is remembered."""
        return self._rooms.room if self._rooms is not None else None

    def close(self) -> None:
        """Keep what was learnt in the room at hand."""
        if self._rooms is not None:
            self._rooms.leave()

    def _candidate_of(self, tensors: Mapping[str, np.ndarray]) -> Candidate:
        """Teach on from these weights."""
        self._trainer.resume(tensors)
        return Candidate(self._publisher.publish(self._trainer.tensors), self._trainer.snapshot())

    # -- one frame -------------------------------------------------------------------------------------------------

    def operate(self, bgr: np.ndarray, logits: np.ndarray, scene: int = 0, elapsed: int = 1) -> Operation:
        """Do one thing with this frame.

        Parameters
        ----------
        bgr : uint8 (H, W, 3), as it came.
        logits : float32 (h', w'), what the live student said of it.
        scene : of the stream, counted from 0; another number than the frame before is a cut.
        elapsed : frames of the stream since the last call.
        """
        self.cpu.begin()
        before = self.cpu.total
        try:
            return self._operate(bgr, logits, scene, elapsed)
        finally:
            self.cpu.lap("watching")
            self._spend(self.cpu.total - before)

    def _operate(self, bgr: np.ndarray, logits: np.ndarray, scene: int, elapsed: int) -> Operation:
        if self._predicted.shape != logits.shape:
            self._predicted = np.empty_like(logits)
        sigmoid(logits, self._predicted)
        cut = self._scene is not None and scene != self._scene
        self._scene = scene
        self._frames += elapsed
        if cut:
            self._on_scene_change(bgr)
        if self._pending is not None:
            self._poll(bgr, wait=False)
        if self._frames < self._left_until:
            return Operation.REST
        waiting = self._pending is not None or not self._can_pay()
        corrected = self._heed_strokes(bgr)
        operation = self.schedule.next(cut or corrected, waiting, self._trigger(self._predicted), elapsed)
        if operation is Operation.TEACH:
            self._request(bgr)
        elif operation is Operation.STEP and self.replay.newest is not None:
            self._step(bgr)
        return operation

    @property
    def patience(self) -> int:
        """Frames that may pass before it has to be shown another one; a cut it wants to see at once."""
        if self._frames < self._left_until or not self._can_pay():
            return PATIENCE
        return min(self.schedule.idle, PATIENCE) if self._pending is None else 1

    def _can_pay(self) -> bool:
        return self._budget is None or self._budget.allows(time.monotonic())

    def _spend(self, seconds: float) -> None:
        if self._budget is not None:
            self._budget.spend(seconds)

    def _image(self, bgr: np.ndarray) -> np.ndarray:
        """The frame as the student sees it, float32 (1, 3, h, w); borrowed until the next call."""
        return self._kernels.preprocess(bgr, self._publisher.mean, self._publisher.std, self._input)

    def _on_scene_change(self, bgr: np.ndarray) -> None:
        self._labelled_at = None
        self.replay.clear()  # what was seen elsewhere would hold back what has to be learnt here
        if self._recipe.scenes:
            if self._steps_in_scene >= MIN_STEPS:
                self._earlier.leave(self.corrections.all)
            self._steps_in_scene = 0
            self._awaiting_first_label = True
            known = self._rooms.enter(bgr) if self._rooms is not None else None
            self.corrections.restore(known.corrections if known is not None else ())
            if known is not None:
                self._go_live_again(self._candidate_of(known.tensors))
            elif self._students.live is not self._students.start:  # what was learnt elsewhere may be wrong here
                self._go_live_again(self._students.start)

    # -- a label -----------------------------------------------------------------------------------------------------

    def _request(self, bgr: np.ndarray) -> None:
        self.calls += 1
        try:
            fresh = self._labelled_at is not None and self._frames - self._labelled_at <= MEMORY
            self._teacher.request(bgr, forget=not fresh)
        except TeacherError as error:
            self._on_failure(error)
            return
        if self._keeper is not None:
            self._keeper.asked(bgr)
        assert self._scene is not None
        self._pending = PendingLabel(self._image(bgr).copy(), self._predicted.copy(), self._frames, self._scene)
        if not self._overlap:
            self._poll(bgr, wait=True)

    def _poll(self, bgr: np.ndarray, wait: bool) -> None:
        """Learn from the pending label, if it is there; `bgr` is the frame at hand."""
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
        self.teacher_cpu += self._teacher.cpu
        self._spend(self._teacher.cpu)
        if pending.scene == self._scene or self._dropped:
            self._on_label(pending, label, bgr)
            self._dropped = False
        else:  # but never two in a row: every frame of a stream may look like a cut
            self._dropped = True

    def _on_failure(self, error: TeacherError) -> None:
        self.failures += 1
        if self.failures == 1:
            log.warning("%s; the picture goes on with the student as it is", error)

    def _on_label(self, pending: PendingLabel, label: np.ndarray, bgr: np.ndarray) -> None:
        """Score the live student on the pending frame; if there is something to learn, it is the newest one."""
        label = cv2.resize(label, pending.predicted.shape[::-1], interpolation=cv2.INTER_AREA)
        if self._recipe.judge_labels and not self._believes(pending, label):
            return
        if self._keeper is not None:
            self._keeper.believed(label, pending.scene)
        label = self._overruled(pending, label)
        self.curve.append((pending.frame, iou_acc(label, pending.predicted)))
        score = iou_acc(label, pending.predicted, self._recipe.min_area)
        if not self._recipe.soft_labels:
            label = (label > 0.5).astype(np.float32)
        labelled = LabelledFrame.of(pending.image, label, self._device)
        self.schedule.labelled(score, self._gain(labelled, score))
        self._trigger.labelled()
        live = self._students.live
        if score < self._recipe.schedule.target:  # else nothing to learn: an empty room would crowd out the person
            self.replay.add(labelled)
            if self._recipe.scenes:
                self._go_back(labelled, score)
        if self._rooms is not None and pending.scene == self._scene:
            self._rooms.on_label(
                bgr, score, live, self._students.start, self._students.live is not live, self.corrections.all
            )
        self._students.on_label()
        self._awaiting_first_label = False

    def _overruled(self, pending: PendingLabel, label: np.ndarray) -> np.ndarray:
        """The label with the user's corrections. What a new one contradicts is not replayed."""
        if self.corrections.is_new:
            self.replay.clear()
        return self.corrections.overrule(lambda: self._picture(pending.image), label, pending.predicted)

    @property
    def _vouched(self) -> np.ndarray | None:
        """Where the user wants seen what no other student sees: as in `export.contracts.Published`."""
        return self.corrections.vouched(self._predicted.shape)

    def _picture(self, image: np.ndarray) -> np.ndarray:
        """What `image`, float32 (1, 3, h, w), shows, as corrections look at it."""
        rgb = image[0].transpose(1, 2, 0) * self._publisher.std + self._publisher.mean
        return small(np.ascontiguousarray((rgb[..., ::-1] * 255).clip(0, 255).astype(np.uint8)))

    def _gain(self, labelled: LabelledFrame, score: float) -> float | None:
        """What the label before was worth: the live student's `score` minus that of the student before it."""
        before = self._students.before
        if before is None or before is self._students.live:
            return None
        return score - before.score(labelled, self._recipe.min_area)

    def _go_back(self, labelled: LabelledFrame, painted: float) -> None:
        """Put an earlier student in the place of the live one, where that fits a new label better; `painted` in [0, 1]
        is the score of what was painted.
        """
        here = self.corrections.all
        left = self._earlier.better(labelled, painted, here, self._awaiting_first_label)
        if left is None:
            return
        self.rollbacks += 1
        if left.corrections != here:
            self.corrections.restore(left.corrections)
        self._go_live_again(left.student)

    def _go_live_again(self, candidate: Candidate) -> None:
        """Teach on from an earlier student, and publish it as it was."""
        self._trainer.load(candidate.weights, new_optimizer=candidate is self._students.start)
        probe = Probe(self._input.copy(), candidate.logits(self._input)[None, None].copy())
        try:
            published = self._publisher.publish(self._trainer.tensors)
            self._publish(replace(published, probe=probe, vouched=self._vouched))
        except (CandidateRejected, ModelError) as error:
            self._reject(str(error))
        else:
            self.publishes += 1
            self._students.live = candidate

    def _believes(self, pending: PendingLabel, label: np.ndarray) -> bool:
        """Whether a label can be true. One that cannot is asked for again, on another frame; a teacher that keeps lying
        is left for a while.
        """
        start = self._students.start.alpha(pending.image)
        verdict = self._label_judge(label, start, pending.predicted, pending.scene)
        self._labelled_at = pending.frame if verdict.reason is None and pending.scene == self._scene else None
        if self.refused and not self._told_of_refusal:
            self._told_of_refusal = True
            log.warning("%s; it is not learnt", verdict.reason or "a label contradicts those around it")
        if verdict.reason is None:
            return True
        if verdict.leave:
            self._left_until = self._frames + PAUSE
        self.schedule.ask_again()
        return False

    @property
    def refused(self) -> int:
        """Labels that were not believed."""
        return self._label_judge.refused

    # -- a step ------------------------------------------------------------------------------------------------------

    def _step(self, bgr: np.ndarray) -> None:
        self.cpu.lap("watching")
        whole = not (self._thrifty and self.schedule.settled)
        self._trainer.step(self.replay.batch(self._recipe.batch, self.steps), whole, not self.schedule.struggling)
        self.cpu.lap("steps")
        self.steps += 1
        self._steps_in_scene += 1
        self._steps_since_publish += 1
        often = not self._thrifty and self._steps_since_publish >= self._recipe.publish_every
        if often or not self.schedule.updates_left:
            newest = self.replay.newest
            assert newest is not None
            self._publish_student([newest, *list(self.replay.older)[:1]], self._image(bgr))

    def _publish_student(self, frames: Sequence[LabelledFrame], image: np.ndarray) -> None:
        """Publish the student as it is, if it holds: on labelled `frames`, the newest first, and on the frame at hand,
        `image` float32 (1, 3, h, w).
        """
        began, self._steps_since_publish = time.perf_counter(), 0
        try:
            candidate = Candidate(self._publisher.publish(self._trainer.tensors), self._trainer.snapshot())
            reason = None
            if self._recipe.validate_before_publish:
                reason = self._students(candidate, frames, image, self._vouched)
            if reason is None:
                newest = frames[0]
                probe = Probe(newest.image_array, candidate.logits(newest.image_array)[None, None].copy())
                self.schedule.report(candidate.score(newest, self._recipe.min_area))
                self._publish(replace(candidate.published, probe=probe, vouched=self._vouched))
        except (CandidateRejected, ModelError, StudentFault) as error:
            reason = str(error)
        self.cpu.lap("publishing")
        if reason is not None:
            self._reject(reason)
            return
        self.publish_ms.add(time.perf_counter() - began)
        self.publishes += 1
        self._students.live = candidate

    def _reject(self, reason: str) -> None:
        """A student that may not go live is not worth teaching on: go on from the one that did."""
        self.rejected += 1
        if self.rejected == 1:
            log.warning("%s; going back to the one before", reason)
        self._trainer.load(self._students.live.weights)
