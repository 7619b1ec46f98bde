"""U²-Net and its small sibling U²-Net† (Qin et al., Pattern Recognition 2020, arXiv 2005.09007): salient objects.

Layers carry the names of the authors' state dict, so that their .pth loads as it is; the ONNX files that rembg
publishes run on ONNX Runtime. Knows where these files lie on a machine; downloads are the work of engine/assets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.assets import fetch
from engine.errors import ModelError

from .devices import Torch
from .onnx_segmenter import open_session

SIDE = 320  # pixels; what both were trained at
MEAN = np.array((0.485, 0.456, 0.406), np.float32)  # RGB, ImageNet's, of pixels in [0, 1]
STD = np.array((0.229, 0.224, 0.225), np.float32)

Network = Callable[[np.ndarray], np.ndarray]  # float32 (1, 3, SIDE, SIDE) -> float32 (1, 1, SIDE, SIDE) in [0, 1]


# -- the network -----------------------------------------------------------------------------------------------------


class Rebnconv(nn.Module):
    """3x3 convolution, batch norm, ReLU; the resolution stays."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1):
        super().__init__()
        self.conv_s1 = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn_s1(self.conv_s1(x)))


def shrink(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)


def grow(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class Rsu(nn.Module):
    """Residual U-block RSU-L (the paper's figure 2c): a small U of `levels` convolutions inside one stage.

    flat: RSU-4F, for stages that are small already: dilation instead of pooling.
    """

    def __init__(self, levels: int, inputs: int, middle: int, outputs: int, flat: bool = False):
        super().__init__()
        self.levels, self.flat = levels, flat
        self.rebnconvin = Rebnconv(inputs, outputs)
        for i in range(1, levels + 1):
            dilation = 2 ** (i - 1) if flat else 1 + (i == levels)
            self.add_module(f"rebnconv{i}", Rebnconv(outputs if i == 1 else middle, middle, dilation))
        for i in range(levels - 1, 0, -1):
            last = outputs if i == 1 else middle
            self.add_module(f"rebnconv{i}d", Rebnconv(2 * middle, last, 2 ** (i - 1) if flat else 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.rebnconvin(x)
        down: list[Tensor] = []
        inner = x
        for i in range(1, self.levels + 1):
            pooled = not self.flat and 1 < i < self.levels
            inner = self.get_submodule(f"rebnconv{i}")(shrink(inner) if pooled else inner)
            down.append(inner)
        inner = down.pop()
        for i in range(self.levels - 1, 0, -1):
            skip = down.pop()
            inner = self.get_submodule(f"rebnconv{i}d")(torch.cat((grow(inner, skip), skip), 1))
        return inner + x


# (levels, inputs, middle, outputs) of the six stages down and the five up; the paper's table 1
FULL = (
    ((7, 3, 32, 64), (6, 64, 32, 128), (5, 128, 64, 256), (4, 256, 128, 512), (4, 512, 256, 512), (4, 512, 256, 512)),
    ((7, 128, 16, 64), (6, 256, 32, 64), (5, 512, 64, 128), (4, 1024, 128, 256), (4, 1024, 256, 512)),
)
SMALL = (
    ((7, 3, 16, 64), (6, 64, 16, 64), (5, 64, 16, 64), (4, 64, 16, 64), (4, 64, 16, 64), (4, 64, 16, 64)),
    ((7, 128, 16, 64), (6, 128, 16, 64), (5, 128, 16, 64), (4, 128, 16, 64), (4, 128, 16, 64)),
)
FLAT_FROM = 5  # stages that use RSU-4F


class U2Net(nn.Module):
    """float32 (N, 3, h, w), RGB, normalised -> float32 (N, 1, h, w) in [0, 1]: the fused map, the authors' first.

    44.0 M parameters; small: U²-Net†, 1.13 M. The six side maps, which only training looks at alone, are fused here.
    """

    def __init__(self, small: bool):
        super().__init__()
        down, up = SMALL if small else FULL
        for i, shape in enumerate(down, start=1):
            self.add_module(f"stage{i}", Rsu(*shape, flat=i >= FLAT_FROM))
        for i, shape in enumerate(up, start=1):
            self.add_module(f"stage{i}d", Rsu(*shape, flat=i >= FLAT_FROM))
        for i, (_, _, _, outputs) in enumerate((*up, down[-1]), start=1):
            self.add_module(f"side{i}", nn.Conv2d(outputs, 1, 3, padding=1))
        self.outconv = nn.Conv2d(6, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        down: list[Tensor] = []
        inner = x
        for i in range(1, 7):
            inner = self.get_submodule(f"stage{i}")(inner if i == 1 else shrink(inner))
            down.append(inner)
        sides = [self.get_submodule("side6")(down.pop())]
        for i in range(5, 0, -1):
            skip = down.pop()
            inner = self.get_submodule(f"stage{i}d")(torch.cat((grow(inner, skip), skip), 1))
            sides.append(self.get_submodule(f"side{i}")(inner))
        finest = sides[-1]
        return torch.sigmoid(self.outconv(torch.cat([grow(side, finest) for side in reversed(sides)], 1)))


# -- its files -------------------------------------------------------------------------------------------------------


def find_file(name: str) -> Path:
    """The weights of `name`: NAME.pth or NAME.onnx in $U2NET_HOME, else in ~/.u2net, else rembg's by engine.assets.

    Raises
    ------
    ModelError
        U2NET_HOME is set and holds neither, or nothing gives the file; the message says how to get it.
    """
    home = os.environ.get("U2NET_HOME")
    folder = Path(home or "~/.u2net").expanduser()
    for path in (folder / f"{name}.pth", folder / f"{name}.onnx"):
        if path.is_file():
            return path
    if home:
        raise ModelError(
            f"U2NET_HOME is {home}, which has neither {name}.pth nor {name}.onnx. Put one there (the .pth from "
            "github.com/xuebinqin/U-2-Net, the .onnx from rembg's release v0.0.0), or unset U2NET_HOME"
        )
    return fetch(name)


def read_pth(path: Path, small: bool) -> U2Net:
    """The network with the authors' weights. Nothing in the file is executed.

    Raises
    ------
    ModelError
        It cannot be read, or is not the state dict of this network.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        net = U2Net(small)
        net.load_state_dict({key.removeprefix("module."): value for key, value in tensors.items()})
    except Exception as error:  # a file can be wrong in as many ways as pickle and zip have exceptions
        raise ModelError(
            f"{path} is not the state dict of {'u2netp' if small else 'u2net'}: {first_line(error)}. "
            "Take the .pth again from github.com/xuebinqin/U-2-Net"
        ) from error
    return net


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


# -- the teachers ----------------------------------------------------------------------------------------------------


class _U2NetTeacher:
    """A teacher (see `training.teachers.Teacher`) of what stands out, which near a webcam is the person."""

    name: str
    small: bool

    def __init__(self, threads: int = 1, network: U2Net | None = None, side: int = SIDE):
        """`network` instead of the weights on file; it takes any `side`, pixels, the ONNX files only theirs."""
        self._side = side
        self._answer = self._load(threads) if network is None else Torch(network, threads)

    def _load(self, threads: int) -> Network:
        path = find_file(self.name)
        if path.suffix == ".pth":
            return Torch(read_pth(path, self.small), threads)
        session = open_session(path, threads)
        image, first = session.get_inputs()[0].name, session.get_outputs()[0].name  # the first output is the fused map
        return lambda tensor: session.run([first], {image: tensor})[0]

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        alpha: Any = self._answer(prepare(bgr, self._side))
        # The authors stretch every map to [0, 1]; on a frame without anybody that paints noise. The sigmoid stays.
        return np.clip(alpha[0, 0], 0, 1)

    def many(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `training.teachers.BatchTeacher`."""
        if not isinstance(self._answer, Torch):  # rembg's graph is made for one picture
            return [self(bgr) for bgr in frames]
        alphas = self._answer(np.concatenate([prepare(bgr, self._side) for bgr in frames]))
        return list(np.clip(alphas[:, 0], 0, 1))


class U2NetFull(_U2NetTeacher):
    name, small = "u2net", False


class U2NetSmall(_U2NetTeacher):
    name, small = "u2netp", True


def prepare(bgr: np.ndarray, side: int = SIDE) -> np.ndarray:
    """uint8 (H, W, 3) -> float32 (1, 3, side, side): RGB, divided by the frame's own maximum as the authors do."""
    rgb = cv2.resize(bgr, (side, side), interpolation=cv2.INTER_AREA)[..., ::-1].astype(np.float32)
    rgb /= max(float(rgb.max()), 1.0)  # theirs divides a black frame by zero
    return np.ascontiguousarray(((rgb - MEAN) / STD).transpose(2, 0, 1)[None])
