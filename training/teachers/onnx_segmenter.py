"""Any ONNX segmenter as a teacher, described by a small TOML. Knows nothing about any model in particular.

model = "selfie_segmentation.onnx"  # beside this file, or an absolute path
size = [256, 256]                   # h, w in pixels; left out: what the model's input says
layout = "NHWC"                     # of input and output: NCHW (default) or NHWC
order = "RGB"                       # or BGR
mean = [0.0, 0.0, 0.0]              # of pixels in [0, 1], in that order: input = (pixel - mean) / std
std = [1.0, 1.0, 1.0]
output = 0                          # index or name; default: the first
activation = "none"                 # what makes a probability of it: none, sigmoid or softmax (over channels)
channel = 0                         # of the output, the one that is the person
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import onnxruntime as ort
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.backends.ort_cpu import PROVIDER, session_options
from engine.errors import ModelError, UsageError

CUDA = "CUDAExecutionProvider"


class Description(BaseModel):
    """The TOML, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    size: tuple[int, int] | None = None  # h, w, pixels
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    order: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    output: int | str = 0
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    channel: int = Field(0, ge=0)


def read_description(path: Path) -> Description:
    """The description in `path`; UsageError names the invalid value."""
    try:
        return Description(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"cannot read the teacher in {path}: {error}; expected a TOML file, see docs/teachers.md"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {name} is {first['input']!r}: {first['msg']}; see docs/teachers.md") from error


def find_model(path: Path) -> tuple[Description, Path]:
    """The description in `path`, and the file that it names; UsageError, or ModelError where there is no such file."""
    description = read_description(path)
    model = path.parent / Path(description.model).expanduser()
    if not model.is_file():
        raise ModelError(f"{path} names the model {description.model}, and there is no file {model}")
    return description, model


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A session on the GPU where this ONNX Runtime has one, else on `threads` threads of the CPU; ModelError."""
    providers = [p for p in (CUDA, PROVIDER) if p in ort.get_available_providers()]
    options = session_options(threads)
    options.enable_mem_pattern = False  # it saves 2 % of RVM's time, and holds 77 MB more for it
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # the runtime's own exception classes are private
        raise ModelError(f"ONNX Runtime cannot load {path}: {error}") from error


class OnnxSegmenter:
    """A teacher (see `training.teachers.Teacher`) from a description on file."""

    def __init__(self, path: Path, threads: int = 1):
        """
        Raises
        ------
        UsageError
            The description is invalid, or does not fit its model.
        ModelError
            The model cannot be loaded.
        """
        d, model = find_model(path)
        self._d = d
        self._session = open_session(model, threads)
        source = self._session.get_inputs()[0]  # further inputs of old exports are weights, which have defaults
        self._source = source.name
        self._size = d.size or self._own_size(source.shape, path)
        outputs = [o.name for o in self._session.get_outputs()]
        if d.output not in outputs and d.output not in range(len(outputs)):
            raise UsageError(f"{path}: output is {d.output!r}; {model.name} has {', '.join(outputs)}")
        self._output = d.output if isinstance(d.output, str) else outputs[d.output]
        self._mean, self._std = np.array(d.mean, np.float32), np.array(d.std, np.float32)

    def _own_size(self, shape: list, path: Path) -> tuple[int, int]:
        sides = shape[2:4] if self._d.layout == "NCHW" else shape[1:3]
        if len(shape) != 4 or not all(isinstance(side, int) for side in sides):
            raise UsageError(f"{path}: the model's input is {shape}, which fixes no size; add size = [h, w]")
        return sides[0], sides[1]

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        pixels = cv2.resize(bgr, self._size[::-1], interpolation=cv2.INTER_AREA)
        pixels = pixels[..., ::-1] if self._d.order == "RGB" else pixels
        image = ((pixels.astype(np.float32) / 255 - self._mean) / self._std)[None]
        if self._d.layout == "NCHW":
            image = image.transpose(0, 3, 1, 2)
        (answer,) = self._session.run([self._output], {self._source: np.ascontiguousarray(image)})
        return np.clip(self._person(np.asarray(answer, np.float32)), 0, 1)

    def _person(self, answer: np.ndarray) -> np.ndarray:
        """The person's channel of an output (1, C, h, w), (1, h, w, C), (1, h, w) or (h, w), as probabilities."""
        scores = answer[0] if answer.ndim > 2 else answer
        if scores.ndim == 2:
            scores = scores[None]
        elif self._d.layout == "NHWC":
            scores = scores.transpose(2, 0, 1)
        if self._d.channel >= len(scores):
            raise UsageError(f"channel is {self._d.channel}; {self._output} has {len(scores)}: {answer.shape}")
        if self._d.activation == "softmax":
            scores = np.exp(scores - scores.max(0))
            scores /= scores.sum(0)
        chosen = scores[self._d.channel]
        return 1 / (1 + np.exp(-chosen)) if self._d.activation == "sigmoid" else chosen
