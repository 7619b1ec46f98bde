"""A student in training, and the students that it was: it takes a step, says what it sees, goes back to one of them.

It is the student that is exported: batch norm runs on the statistics that are folded. Knows nothing about teachers,
nor when it is good enough to go live.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..students import Student, tensors_of
from .recipe import Recipe
from .replay import Example

SETTLED = 7  # steps after which a student is worth remembering: those of one label


class OnlineTrainer:
    """One student with its optimiser. Kept are the one it all began with, the last good one, and those of rooms."""

    def __init__(self, student: Student, recipe: Recipe, device: str = "cpu"):
        self._student = student.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._recipe, self._device = recipe, device
        # elsewhere it is emulated, and slower than float32
        self._bf16 = recipe.bf16 and (
            torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
            if device == "cpu"
            else torch.cuda.is_bf16_supported()
        )
        self._freeze_or_follow()
        self._base = self._good = self._snapshot()
        self._rooms: deque[dict[str, Tensor]] = deque(maxlen=recipe.rooms)  # students of the scenes before
        self._steps_here = 0  # since the last cut
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
        if self._recipe.anchor:
            with torch.no_grad():
                for name, parameter in self._student.named_parameters():
                    parameter.lerp_(self._base[name], self._recipe.anchor)
        self._steps_here += 1

    def logits(self, *images: Tensor) -> Tensor:
        """What it says of these images, (1, 3, h, w) each, as it would be exported: (N, 1, h', w')."""
        # exact on a GPU, too: TF32 would be off by as much as the half precision that is held against it
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            self._student.eval()
            logits = self._student(torch.cat([image.to(self._device) for image in images]))
            self._freeze_or_follow()
        return logits

    # -- what is kept --------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """It is good as it is: `fall_back` leads here."""
        self._good = self._snapshot()

    def fall_back(self) -> None:
        """Go on from the last good one."""
        self._student.load_state_dict(self._good)
        self._forget_direction()

    def leave_room(self) -> None:
        """The scene is over: remember the student that was taught there, if it was for long enough."""
        if self._steps_here >= SETTLED:
            self._rooms.append(self._snapshot())
        self._steps_here = 0

    def start_from_best(self, example: Example, afresh: bool) -> bool:
        """Go on from whichever student fits `example` best; True if that is another one than at hand.

        Tried are the one at hand, the one it all began with, and those of the rooms before: a room that comes back is
        known. `afresh`: the optimiser begins anew, too.
        """
        candidates = [self._snapshot(), self._base, *self._rooms]
        losses = []
        with torch.inference_mode():
            for candidate in candidates:
                self._student.load_state_dict(candidate)
                logits = self._student(example.image)
                losses.append(float(F.binary_cross_entropy_with_logits(logits, example.label)))
        best = min(range(len(losses)), key=losses.__getitem__)
        self._student.load_state_dict(candidates[best])
        if afresh:
            self._optimizer = self._new_optimizer()
        if best:
            self._forget_direction()
        return best != 0

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
