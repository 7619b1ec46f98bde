"""A student in training, and snapshots of it: it takes a step, predicts, and is reverted to an earlier snapshot.

What is trained is what is exported: batch norm runs on the statistics that are folded. When a student is good enough to
go live is the distiller's to decide.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..students import Student, tensors_of
from .recipe import Recipe
from .replay import LabelledFrame

MIN_STEPS = 7  # steps in a scene, from which its student is worth remembering: those of one label


class OnlineTrainer:
    """One student with its optimiser. Snapshots: the start, the last one that went live, one for each scene before."""

    def __init__(self, student: Student, recipe: Recipe, device: str = "cpu"):
        self._student = student.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._recipe, self._device = recipe, device
        # elsewhere it is emulated, and slower than float32
        self._bf16 = recipe.bf16 and (
            torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
            if device == "cpu"
            else torch.cuda.is_bf16_supported()
        )
        self._set_norm_mode()
        self._start = self._published = self._snapshot()
        self._scenes: deque[dict[str, Tensor]] = deque(maxlen=recipe.scenes)  # oldest first
        self._steps_in_scene = 0
        self._optimizer = self._new_optimizer()

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by name, to publish."""
        return tensors_of(self._student)

    def step(self, images: Tensor, labels: Tensor) -> None:
        """One update on images (N, 3, h, w) with labels (N, 1, h', w')."""
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bf16):
            logits = self._student(images)
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        if self._recipe.l2_sp:
            with torch.no_grad():
                for name, parameter in self._student.named_parameters():
                    parameter.lerp_(self._start[name], self._recipe.l2_sp)
        self._steps_in_scene += 1

    def logits(self, *images: Tensor) -> Tensor:
        """Its logits (N, 1, h', w') for these images, (1, 3, h, w) each, as it would be exported."""
        # exact on a GPU, too: TF32 would be off by as much as the half precision that is held against it
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            self._student.eval()
            logits = self._student(torch.cat([image.to(self._device) for image in images]))
            self._set_norm_mode()
        return logits

    # -- snapshots -------------------------------------------------------------------------------------------------

    def on_publish(self) -> None:
        """The student went live as it is: `revert` leads here."""
        self._published = self._snapshot()

    def revert(self) -> None:
        """Go on from the student that went live last."""
        self._student.load_state_dict(self._published)
        self._reset_momentum()

    def on_scene_change(self) -> None:
        """The scene is over: remember the student that was taught there, if it was for long enough."""
        if self._steps_in_scene >= MIN_STEPS:
            self._scenes.append(self._snapshot())
        self._steps_in_scene = 0

    def roll_back_to_best(self, labelled: LabelledFrame, new_optimizer: bool) -> bool:
        """Go on from whichever student fits `labelled` best; True if that is another one than at hand.

        Tried are the one at hand, the start, and those of the scenes before: a scene that comes back is known.
        """
        candidates = [self._snapshot(), self._start, *self._scenes]
        losses = []
        with torch.inference_mode():
            for candidate in candidates:
                self._student.load_state_dict(candidate)
                logits = self._student(labelled.image)
                losses.append(float(F.binary_cross_entropy_with_logits(logits, labelled.label)))
        best = min(range(len(losses)), key=losses.__getitem__)
        self._student.load_state_dict(candidates[best])
        if new_optimizer:
            self._optimizer = self._new_optimizer()
        if best:
            self._reset_momentum()
        return best != 0

    def _reset_momentum(self) -> None:
        """Forget the first moment, keep the second: a new Adam's first steps are its largest."""
        for state in self._optimizer.state.values():
            if "exp_avg_sq" not in state:  # SGD has neither
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

    def _set_norm_mode(self) -> None:
        """Batch norm on the statistics that are exported: frozen, or following with the recipe's momentum."""
        self._student.train()
        for module in self._student.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = self._recipe.norm_momentum or 0.0
                module.train(self._recipe.norm_momentum is not None)
