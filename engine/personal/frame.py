"""One kept frame and its label, as values and as bytes: safetensors with a JPEG, a PNG, and when it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..errors import ModelError

FORMAT = 1
MAX_SIDE = 640  # pixels; a larger frame is shrunk
MAX_PIXELS = MAX_SIDE**2
QUALITY = 92  # percent, of the JPEG
TYPICAL_BYTES = 35_000  # of a file; 640x480, measured: docs/profile.md
HEADER = "profile"  # its name among the metadata


@dataclass(frozen=True)
class When:
    """What of a frame tells which others were seen at about the same time."""

    visit: str  # hexadecimal, of one run of an engine
    began: int  # frames that there had been to choose from when that run began: orders runs, and is no clock
    scene: int  # of the stream
    number: int  # labels of that run before this one


@dataclass(frozen=True)
class KeptFrame:
    """A frame that was labelled, and the label that was believed."""

    bgr: np.ndarray  # uint8 (H, W, 3), at most MAX_SIDE
    label: np.ndarray  # float32 (h, w) in [0, 1], as the student learnt it
    when: When


def shrunk(bgr: np.ndarray) -> np.ndarray:
    """A copy of a frame uint8 (H, W, 3), its longer side at most MAX_SIDE."""
    scale = MAX_SIDE / max(bgr.shape[:2])
    return bgr.copy() if scale >= 1 else cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def to_bytes(frame: KeptFrame) -> bytes:
    _, jpeg = cv2.imencode(".jpg", frame.bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    _, png = cv2.imencode(".png", np.rint(frame.label * 255).astype(np.uint8))
    header = json.dumps({"format": FORMAT, **asdict(frame.when)})
    return save({"jpeg": jpeg.ravel(), "png": png.ravel()}, {HEADER: header})


def from_bytes(data: bytes) -> KeptFrame:
    """What `to_bytes` wrote; ModelError for everything else."""
    try:
        tensors = load(data)
        bgr, label = _picture(tensors["jpeg"], cv2.IMREAD_COLOR), _picture(tensors["png"], cv2.IMREAD_GRAYSCALE)
        return KeptFrame(bgr, label.astype(np.float32) / 255, _when(data))
    except (SafetensorError, ValueError, KeyError, TypeError, cv2.error) as error:
        raise ModelError(f"it is no kept frame: {error}") from error


def _when(data: bytes) -> When:
    length = int.from_bytes(data[:8], "little")
    known = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][HEADER])
    if known.pop("format") != FORMAT:
        raise ValueError("its format is another version's")
    types: dict[str, Any] = {"visit": str, "began": int, "scene": int, "number": int}
    for name, value in known.items():
        if not isinstance(value, types[name]) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r:.80}")
    return When(**known)


def _picture(encoded: np.ndarray, mode: int) -> np.ndarray:
    if encoded.dtype != np.uint8 or encoded.ndim != 1:
        raise ValueError(f"a picture is {encoded.dtype} {encoded.shape}")
    image = cv2.imdecode(encoded, mode)
    if image is None or image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise ValueError("a picture cannot be decoded, or is too large")
    return image
