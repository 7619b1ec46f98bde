"""One operation per frame: label, step or rest; publishes. No thread, no clock that decides anything.

The student here is the one that is exported: batch norm runs on the statistics that are folded, every published
student carries a probe (an input and its logits in torch), and whoever adopts it compares.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.contracts import Probe, Published
from engine.errors import CandidateRejected, ModelError, TeacherError
from engine.timing import Durations
from export.publish import Publisher
from kernels import Kernels

from .cuts import CutDetector
from .recipe import Recipe
from .schedule import Operation, Schedule
from .score import iou_acc
from .student import Student, tensors_of
from .teachers.guard import GuardedTeacher

log = logging.getLogger("jit_masker")

LOST = 0.9  # IoU-Acc; a student that paints worse is compared with those before
WORSE = 0.05  # IoU-Acc; a student that fits the newest label so much worse than what was painted is not published
JUMP = 0.2  # share of the frame; nor is one that sees so much more of a person, or less, than was painted and labelled
SETTLED = 7  # steps after which a student is worth remembering: those of one label
CURVE_LENGTH = 100_000  # scores kept for the report: a day of labels every eighth frame at 10 labels a second


@dataclass(frozen=True)
class Example:
    """A frame with its label, as the student sees them."""

    image: Tensor  # float32 (1, 3, h, w), normalised RGB
    label: Tensor  # float32 (1, 1, h', w') in [0, 1], at the resolution of the logits


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
        teacher: GuardedTeacher,
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
        self._student = student.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device
        self._publisher, self._teacher, self._recipe, self._publish = publisher, teacher, recipe, publish
        self._kernels = kernels
        self._random = random.Random(seed)
        self._cut = CutDetector(publisher.std)
        self._image = np.empty((1, 3, *publisher.size), np.float32)
        self._newest: Example | None = None
        self._painted = 0.0  # IoU-Acc of what was painted, when the newest label came
        self._area = 0.0  # share of the frame that was painted as person, of the frame at hand
        self._replay: deque[Example] = deque(maxlen=recipe.replay)
        self._overlap = overlap
        self._question: Question | None = None  # on its way
        self._dropped = False  # the last label, of a scene that was over
        self._frames = self._scene = 0  # seen; cuts seen
        # elsewhere it is emulated, and slower than float32
        self._bf16 = recipe.bf16 and (
            torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
            if device == "cpu"
            else torch.cuda.is_bf16_supported()
        )
        self._freeze_or_follow()
        self._publisher.publish(tensors_of(self._student))  # version 0: what the paint path has loaded already
        self._good = self._snapshot()
        self._base = self._snapshot()
        self._rooms: deque[dict[str, Tensor]] = deque(maxlen=recipe.rooms)  # students of the scenes before
        self._steps_here = 0  # since the last cut
        self._elsewhere = False  # after a cut, until there is a label
        self._optimizer = self._new_optimizer()

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
            self._replay.clear()
            self._newest = None
            if self._recipe.rooms:
                if self._steps_here >= SETTLED:
                    self._rooms.append(self._snapshot())
                self._steps_here, self._elsewhere = 0, True
            self._scene += 1
        if self._question is not None:
            self._hear(wait=False)
        operation = self.schedule.next(cut, waiting=self._question is not None)
        if operation is Operation.TEACH:
            self._ask(bgr, painted)
        elif operation is Operation.STEP and self._newest is not None:
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
        if self._newest is not None:
            self._replay.append(self._newest)
        image = torch.from_numpy(question.image).to(self._device).contiguous(memory_format=torch.channels_last)
        self._newest = Example(image, torch.from_numpy(label)[None, None].to(self._device))
        if self._elsewhere or (score < LOST and self._recipe.rooms):
            self._start_from_best()

    def _start_from_best(self) -> None:
        """After a cut, or lost: go on from whichever student fits the newest label best.

        Tried are the one that paints, the one it all began with, and those of the rooms before: a room that comes back
        is known.
        """
        assert self._newest is not None
        candidates = [self._snapshot(), self._base, *self._rooms]
        losses = []
        with torch.inference_mode():
            for candidate in candidates:
                self._student.load_state_dict(candidate)
                logits = self._student(self._newest.image)
                losses.append(float(F.binary_cross_entropy_with_logits(logits, self._newest.label)))
        best = min(range(len(losses)), key=losses.__getitem__)
        self._student.load_state_dict(candidates[best])
        if self._elsewhere:
            self._optimizer = self._new_optimizer()
        if best:
            self.returns += 1
            self._forget_direction()
            self._predict_and_publish()
        self._elsewhere = False

    def _step(self) -> None:
        images, labels = self._choose()
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bf16):
            logits = self._student(images)
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        if self._recipe.anchor:
            with torch.no_grad():
                for name, parameter in self._student.named_parameters():
                    parameter.lerp_(self._base[name], self._recipe.anchor)
        self.steps += 1
        self._steps_here += 1
        if self.steps % self._recipe.publish_every == 0:
            self._predict_and_publish()

    def _choose(self) -> tuple[Tensor, Tensor]:
        """Images (N, 3, h, w) and labels (N, 1, h', w') of a step: the newest labelled frame and remembered ones."""
        assert self._newest is not None
        chosen = [self._newest]
        if self._recipe.batch == 1 and self._replay and self.steps % 2:
            chosen = [self._random.choice(self._replay)]
        more = min(self._recipe.batch - 1, len(self._replay))
        chosen += self._random.sample(self._replay, more)
        if len(chosen) == 1:
            return chosen[0].image, chosen[0].label
        return torch.cat([e.image for e in chosen]), torch.cat([e.label for e in chosen])

    def _predict_and_publish(self) -> None:
        """See what the student says of the newest label and of the frame at hand; hand it over if all is well."""
        assert self._newest is not None
        # exact on a GPU, too: TF32 would be off by as much as the half precision that is held against it
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            self._student.eval()
            logits = self._student(torch.cat([self._newest.image, torch.from_numpy(self._image).to(self._device)]))
            learnt, now = torch.sigmoid(logits)[:, 0].cpu().numpy()
            self._freeze_or_follow()
        label = self._newest.label[0, 0].cpu().numpy()
        score = iou_acc(label, learnt)
        why = self._objection(score, float(now.mean()), float(label.mean()))
        if why is not None:
            self._relapse(why)
            return
        self.schedule.report(score)
        probe = Probe(self._newest.image.contiguous().cpu().numpy(), logits[:1].cpu().numpy())
        began = time.perf_counter()
        try:
            self._publish(self._publisher.publish(tensors_of(self._student), probe, score))
        except (CandidateRejected, ModelError) as error:
            self._relapse(str(error))
            return
        self.publish_ms.add(time.perf_counter() - began)
        self.publishes += 1
        self._good = self._snapshot()

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

    # -- what is kept --------------------------------------------------------------------------------------------

    def _relapse(self, why: str) -> None:
        """A student that may not go live is not worth teaching on: back to the one that is."""
        self.rejected += 1
        if self.rejected == 1:
            log.warning("%s; going back to the one before", why)
        self._student.load_state_dict(self._good)
        self._forget_direction()

    def _forget_direction(self) -> None:
        """Let the optimiser keep its sense of scale: a new Adam's first steps are its largest."""
        for state in self._optimizer.state.values():
            if "exp_avg_sq" not in state:  # SGD has no sense of either
                return
            if not torch.isfinite(state["exp_avg_sq"]).all():
                self._optimizer = self._new_optimizer()
                return
            state["exp_avg"].zero_()

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._student.state_dict().items()}

    def _new_optimizer(self) -> torch.optim.Optimizer:
        if self._recipe.optimizer == "sgd":
            return torch.optim.SGD(self._student.parameters(), self._recipe.rate)
        return torch.optim.Adam(self._student.parameters(), self._recipe.rate, eps=self._recipe.eps, fused=True)

    def _freeze_or_follow(self) -> None:
        """Batch norm on the statistics that are exported: frozen, or following with the recipe's momentum."""
        self._student.train()
        for module in self._student.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = self._recipe.norm_momentum or 0.0
                module.train(self._recipe.norm_momentum is not None)
