"""A student in training: it takes steps, and can be set back to an earlier snapshot.

What is trained is what is exported: batch norm runs on the statistics that are folded. When a student is good enough to
go live is the distiller's to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.silence import keep_torch_in_cache

from ..students import Student, tensors_of
from .recipe import Recipe
from .replay import LabelledFrame


class OnlineTrainer:
    """One student with its optimiser."""

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
        self._start = self.snapshot()
        self._encoder = 0  # counts the encoders there were
        keep_torch_in_cache()
        self._optimizer = self._new_optimizer()

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by name, to publish."""
        return tensors_of(self._student)

    def step(self, batch: Sequence[LabelledFrame], whole: bool = True, anchored: bool = True) -> None:
        """One update on these frames.

        Parameters
        ----------
        whole : train the whole student; else its decoder alone, on features that are computed once per frame.
        anchored : pull it back to the start a little (the recipe's `l2_sp`).
        """
        labels = torch.cat([frame.label for frame in batch])
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bf16):
            if whole:
                logits = self._student(torch.cat([frame.image for frame in batch]))
            else:
                features = zip(*(self._features(frame) for frame in batch), strict=True)
                logits = self._student.decode(tuple(torch.cat(several) for several in features))
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        if self._recipe.l2_sp and anchored:
            with torch.no_grad():
                for name, parameter in self._student.named_parameters():
                    if parameter.grad is not None:  # an encoder that rests keeps the features true
                        parameter.lerp_(self._start[name], self._recipe.l2_sp)
        if whole:
            self._encoder += 1

    def _features(self, frame: LabelledFrame) -> tuple[Tensor, ...]:
        """What the encoder, as it is, says of a frame."""
        if frame.encoder != self._encoder:
            with torch.no_grad():
                frame.features, frame.encoder = self._student.encode(frame.image), self._encoder
        return frame.features

    # -- snapshots -------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Tensor]:
        """Its weights as they are, copied; for `load`."""
        return {name: value.clone() for name, value in self._student.state_dict().items()}

    def resume(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Go on from these weights, as `tensors` gives them."""
        self._student.load_weights(tensors)
        self._encoder += 1

    def load(self, snapshot: Mapping[str, Tensor], new_optimizer: bool = False) -> None:
        """Go on from these weights."""
        self._student.load_state_dict(snapshot)
        self._encoder += 1
        if new_optimizer:
            self._optimizer = self._new_optimizer()
        else:
            self._reset_momentum()

    def _reset_momentum(self) -> None:
        """Forget the first moment, keep the second: a new Adam's first steps are its largest."""
        for state in self._optimizer.state.values():
            if "exp_avg_sq" not in state:  # SGD has neither
                return
            if not torch.isfinite(state["exp_avg_sq"]).all():
                self._optimizer = self._new_optimizer()
                return
            state["exp_avg"].zero_()

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
