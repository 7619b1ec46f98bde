"""U²-Net† (Qin et al., 2020), the paper's own baseline, on ONNX Runtime, at its makers' size and at the paper's 240.

Its weights are in no package index. Where $U2NET_HOME holds no u2netp.pth the net runs with random ones: its time does
not depend on them, and every table says so.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from training.teachers.u2net import U2Net

from . import session

FILE = "u2netp.pth"
WHERE = "github.com/xuebinqin/U-2-Net (saved_models/u2netp)"
MEAN, STD = np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32)


class U2NetP:
    """A peer. Squashed to a square, divided by its brightest pixel, ImageNet's normalisation; as its makers run it."""

    side = 320  # pixels

    def __init__(self, threads: int = 1):
        net = U2Net(small=True)
        path = Path(os.environ.get("U2NET_HOME", os.environ.get("JM_MODELS", "."))) / FILE
        self.random = not path.is_file()
        if not self.random:
            net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        told = f", random weights (get {FILE} from {WHERE}, set U2NET_HOME)" if self.random else ""
        self.settings = f"{self.side}x{self.side}, every frame{told}"
        self._session = session(exported(net.eval(), self.side), threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        image = cv2.resize(bgr, (self.side, self.side), interpolation=cv2.INTER_LINEAR)[..., ::-1].astype(np.float32)
        normalised = (image / max(float(image.max()), 1.0) - MEAN) / STD
        saliency = self._session.run(None, {self._input: normalised.transpose(2, 0, 1)[None]})[0][0, 0]
        low, high = float(saliency.min()), float(saliency.max())
        stretched = (saliency - low) / max(high - low, 1e-6)  # theirs: the map is normalised to [0, 1]
        return cv2.resize(stretched, bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)


class U2NetP240(U2NetP):
    """The same at the size of the paper's student."""

    side = 240


class FirstOutput(torch.nn.Module):
    """The net's fused map alone: its side outputs are for training, and cost time."""

    def __init__(self, net: torch.nn.Module):
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        answer: Any = self.net(image)
        return answer[0] if isinstance(answer, (tuple, list)) else answer


def exported(net: torch.nn.Module, side: int) -> bytes:
    """`net` as ONNX for an input of (1, 3, side, side)."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own successor
        path = Path(folder) / "net.onnx"
        torch.onnx.export(FirstOutput(net), (torch.zeros(1, 3, side, side),), path, input_names=["image"], dynamo=False)
        return path.read_bytes()
