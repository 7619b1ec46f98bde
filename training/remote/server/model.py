"""A teacher as a v2 model: which tensors it takes and gives, and what a request may ask. No network, no thread.

    in    image  UINT8 (H, W, 3), RGB; or
          jpeg   BYTES (1), one JPEG
    out   label       FP32 (h, w) in [0, 1], 1 = person
          label_u8    UINT8 (h, w), 255 = person

The parameter `label_side` (pixels) limits the label's longer side; `timeout` (microseconds, as in Triton) says how long
the caller waits: a request that cannot be answered by then is refused at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from engine.teacher_options import MAX_DEADLINE

from ..oip_v2 import ProtocolError, Request, Response
from ..privacy import shrink
from ..signature import MAX_SIDE, PLATFORM

VERSION = "1"
INPUTS = ("image", "jpeg")
OUTPUTS = {"label": np.dtype(np.float32), "label_u8": np.dtype(np.uint8)}
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers that carry the picture's size
STANDALONE = {0x01, *range(0xD0, 0xD9)}  # JPEG's markers without a length


@dataclass(frozen=True)
class Limits:
    """What a caller may send."""

    body: int = 16 << 20  # bytes
    pixels: int = 2 << 20  # of a picture; 1920x1080 is 2.0 of 2.1 million
    seconds: float = 10.0  # for the body to arrive


def server_metadata(version: str) -> dict[str, Any]:
    return {"name": "jm-teacher", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [
            {"name": "image", "datatype": "UINT8", "shape": [-1, -1, 3]},
            {"name": "jpeg", "datatype": "BYTES", "shape": [1]},
        ],
        "outputs": [
            {"name": "label", "datatype": "FP32", "shape": [-1, -1]},
            {"name": "label_u8", "datatype": "UINT8", "shape": [-1, -1]},
        ],
    }


def picture_of(request: Request, limits: Limits) -> np.ndarray:
    """The picture in a request, uint8 (H, W, 3), BGR.

    Raises
    ------
    ProtocolError
        There is none, more than one or too large a one, or an unknown output is requested.
    """
    for wanted in request.outputs:
        if wanted.name not in OUTPUTS:
            raise ProtocolError(f"there is no output {wanted.name!r}; choose from {', '.join(OUTPUTS)}")
    if len(request.inputs) != 1 or not request.inputs.keys() <= set(INPUTS):
        raise ProtocolError(
            f"the inputs are {', '.join(request.inputs) or 'none'}; expected one of {', '.join(INPUTS)}"
        )
    ((name, tensor),) = request.inputs.items()
    if name == "jpeg":
        if tensor.dtype != np.object_ or tensor.size != 1:
            raise ProtocolError(f"jpeg is {tensor.dtype} {tensor.shape}; expected BYTES with one element")
        return decode_jpeg(tensor.reshape(1)[0], limits.pixels)
    if tensor.dtype != np.uint8 or tensor.ndim != 3 or tensor.shape[2] != 3 or not tensor.size:
        raise ProtocolError(f"image is {tensor.dtype} {tensor.shape}; expected UINT8 (H, W, 3)")
    check_size(tensor.shape[0], tensor.shape[1], limits.pixels)
    return np.ascontiguousarray(tensor[..., ::-1])


def timeout_of(request: Request) -> float:
    """Seconds that the caller waits; ProtocolError if `timeout` is no number of microseconds."""
    timeout = _count(request, "timeout", "microseconds")
    return MAX_DEADLINE if timeout is None else min(timeout / 1e6, MAX_DEADLINE)


def response_of(request: Request, label: np.ndarray, name: str) -> tuple[Response, set[str]]:
    """The response that gives `label`, float32 (h, w) in [0, 1], and the names of the outputs that travel in binary.

    Raises
    ------
    ProtocolError
        `label_side` is no number of pixels.
    """
    side = _count(request, "label_side", "pixels")
    if side is not None:
        label = shrink(label, side)
    made = {
        "label": lambda: np.ascontiguousarray(label, np.float32),
        "label_u8": lambda: np.rint(np.clip(label, 0, 1) * 255).astype(np.uint8),
    }
    named = {wanted.name: wanted.binary for wanted in request.outputs} or dict.fromkeys(OUTPUTS, request.binary)
    response = Response({output: made[output]() for output in named}, request.id, name)
    return response, {output for output, binary in named.items() if binary}


def _count(request: Request, name: str, unit: str) -> int | None:
    """A parameter that is a whole number of 64 bits, from 1 on; None where it is absent."""
    value = request.parameters.get(name)
    if value is not None and (type(value) is not int or not 1 <= value < 2**63):
        raise ProtocolError(f"{name} is {value!r}; expected a number of {unit}")
    return value


def decode_jpeg(data: bytes, max_pixels: int) -> np.ndarray:
    """A JPEG's picture, uint8 (H, W, 3), BGR; ProtocolError if it is none or has more than `max_pixels`.

    The size is read before anything is unpacked: a few kilobytes can claim gigabytes.
    """
    check_size(*jpeg_size(data), max_pixels)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise ProtocolError(f"jpeg holds {len(data)} bytes that are no JPEG")
    return picture


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(H, W) that a JPEG says it has (ITU-T T.81, B.2.2); ProtocolError where it says nothing."""
    at = 2
    if data[:2] == b"\xff\xd8":
        while at + 4 <= len(data) and data[at] == 0xFF:
            marker = data[at + 1]
            if marker in START_OF_FRAME and at + 9 <= len(data):
                return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            if marker == 0xFF:  # fill bytes
                at += 1
            elif marker in STANDALONE:
                at += 2
            else:
                at += 2 + max(int.from_bytes(data[at + 2 : at + 4]), 2)
    raise ProtocolError(f"jpeg holds {len(data)} bytes that are no JPEG")


def check_size(height: int, width: int, max_pixels: int) -> None:
    if not 0 < height * width <= max_pixels:
        raise ProtocolError(f"the picture has {height}x{width} pixels; at most {max_pixels} are taken")
    if max(height, width) > MAX_SIDE:
        raise ProtocolError(f"the picture has {height}x{width} pixels; at most {MAX_SIDE} a side are taken")
