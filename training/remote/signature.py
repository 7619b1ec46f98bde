"""The input and output tensors of a remote model, read from its v2 metadata: pictures <-> its tensors. No network.

Supported are pictures as JPEG (BYTES), as pixels (UINT8) and as numbers in [0, 1] (FP32, FP16), RGB, height and width
before or after the channels, with or without a batch; and a mask as UINT8 (255 = person) or as numbers in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from engine.teacher_options import Encoding

from .oip_v2 import ProtocolError, Request, RequestedOutput, Response

PLATFORM = "jit-masker"  # of a jm-teacher, in its metadata
MAX_SIDE = 4096  # pixels, of a picture that is sent or accepted
LABEL_SIDE = 256  # pixels, longer side of the label requested from a jm-teacher: the student sees no more
NETWORK_SHARE = 0.1  # of a request's time; the rest is the server's
ORDER = {"jpeg": ("BYTES", "UINT8", "FP32", "FP16"), "raw": ("UINT8", "FP32", "FP16", "BYTES")}
FLOATS = {"FP32": np.float32, "FP16": np.float16}
LABELS = ("UINT8", "FP32", "FP16", "FP64")  # preferred in this order: the fewest bytes first


@dataclass(frozen=True)
class ModelSignature:
    """Name, type and shape of the tensors that are exchanged with one model."""

    input: str
    datatype: str  # BYTES, UINT8, FP32 or FP16
    shape: tuple[int, ...]  # of the input; -1: any
    output: str
    ours: bool  # a jm-teacher, which also takes the label's size and a timeout

    def request(self, bgr: np.ndarray, number: str, *, quality: int, colour: bool, within: float) -> Request:
        """The request for a label of `bgr`, uint8 (H, W, 3), due `within` seconds. `colour` is False for a picture that
        is grey already.
        """
        microseconds = max(int(1e6 * within * (1 - NETWORK_SHARE)), 1)
        parameters = {"label_side": LABEL_SIDE, "timeout": microseconds} if self.ours else {}
        tensor = self._jpeg(bgr, quality, colour) if self.datatype == "BYTES" else self._pixels(bgr)
        return Request({self.input: tensor}, (RequestedOutput(self.output, binary=True),), number, parameters)

    def label(self, response: Response) -> np.ndarray:
        """The label float32 (h, w) in [0, 1] in a response; ProtocolError if there is none."""
        if self.output not in response.outputs:
            raise ProtocolError(f"the answer has {', '.join(response.outputs) or 'no outputs'}; expected {self.output}")
        mask = response.outputs[self.output]
        kept = mask.reshape([side for side in mask.shape[:-2] if side != 1] + list(mask.shape[-2:]))
        if kept.ndim == 3 and kept.shape[-1] == 1:
            kept = kept[..., 0]
        if kept.ndim != 2 or not kept.size or mask.dtype.kind not in "fu":
            raise ProtocolError(f"{self.output} is {mask.dtype} {mask.shape}; expected one mask (h, w)")
        if kept.dtype == np.uint8:
            return kept.astype(np.float32) / 255
        if not (np.isfinite(kept).all() and kept.min() >= -1e-3 and kept.max() <= 1 + 1e-3):
            raise ProtocolError(f"{self.output} leaves [0, 1]")
        return np.clip(kept, 0, 1).astype(np.float32)

    def _jpeg(self, bgr: np.ndarray, quality: int, colour: bool) -> np.ndarray:
        picture = bgr if colour else bgr[..., 0]
        tensor = np.empty((1,) * max(len(self.shape), 1), np.object_)
        tensor[...] = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        return tensor

    def _pixels(self, bgr: np.ndarray) -> np.ndarray:
        last = channels_last(self.shape)
        height, width = size_of(self.shape)
        size = (width if width > 0 else bgr.shape[1], height if height > 0 else bgr.shape[0])
        if size != bgr.shape[1::-1]:
            bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        rgb = bgr[..., ::-1]
        if self.datatype in FLOATS:
            rgb = (rgb.astype(np.float32) / 255).astype(FLOATS[self.datatype])
        rgb = rgb if last else rgb.transpose(2, 0, 1)
        return np.ascontiguousarray(rgb.reshape((1,) * (len(self.shape) - 3) + rgb.shape))


def channels_last(shape: tuple[int, ...]) -> bool:
    """Whether a picture's shape ends in its channels; assumed where the shape leaves it open."""
    return shape[-1] == 3 or shape[-3] != 3


def size_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(H, W) of a picture's shape; -1: any."""
    return shape[-3:-1] if channels_last(shape) else shape[-2:]


def read_signature(metadata: dict[str, Any], encoding: Encoding) -> ModelSignature:
    """The signature of the model that `metadata` describes, with the input nearest to `encoding`.

    Raises
    ------
    ProtocolError
        It takes no picture, or one larger than MAX_SIDE, or gives no mask; the message lists what it has.
    """
    inputs, outputs = _ports(metadata, "inputs"), _ports(metadata, "outputs")
    pictures = [port for port in inputs if port[1] in ORDER[encoding] and _could_be_picture(port)]
    masks = [port for port in outputs if port[1] in LABELS]
    if not pictures or not masks:
        listed = "; ".join(f"{name} {datatype} {list(shape)}" for name, datatype, shape in (*inputs, *outputs))
        raise ProtocolError(
            f"the model has {listed or 'no tensors'}; expected a picture to go in and a mask to come out"
        )
    name, datatype, shape = min(pictures, key=lambda port: ORDER[encoding].index(port[1]))
    if datatype != "BYTES" and max(size := size_of(shape)) > MAX_SIDE:
        wanted = "x".join(map(str, size))
        raise ProtocolError(f"the model wants pictures of {wanted}; at most {MAX_SIDE}x{MAX_SIDE} are sent")
    output = min(masks, key=lambda port: LABELS.index(port[1]))
    return ModelSignature(name, datatype, shape, output[0], metadata.get("platform") == PLATFORM)


def _could_be_picture(port: tuple[str, str, tuple[int, ...]]) -> bool:
    _, datatype, shape = port
    if datatype == "BYTES":
        return len(shape) <= 2
    return len(shape) in (3, 4) and (3 in (shape[-1], shape[-3]) or -1 in (shape[-1], shape[-3]))


def _ports(metadata: dict[str, Any], key: str) -> list[tuple[str, str, tuple[int, ...]]]:
    try:
        return [
            (str(port["name"]), str(port["datatype"]), tuple(int(side) for side in port["shape"]))
            for port in metadata[key]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the model's metadata has no {key} that can be read") from error
