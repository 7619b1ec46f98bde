"""YOLOv7-seg, and YOLOv5s-seg where time is short: they find each person, also small ones and many.

An InstanceTeacher; knows nothing about subject selection (subjects.py). Its weights are GPL-3.0 and fetched, never
shipped; they are read without executing what is in the file (torch_checkpoint.py).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from engine.assets import fetch
from engine.errors import ModelError

from .devices import best_device, use_threads
from .subjects import SubjectSelector
from .torch_checkpoint import read_module
from .yolo_layers import BOX, STRIDES, Yolo, fold

PERSON = 0  # COCO's category, without a background
SIDE = 640  # pixels, longer side; what both were trained at
GREY = 114  # of 255, around the picture, as in their training
SCORE = 0.25  # a detection counts from here; higher ones find fewer of the small people (docs/teachers.md)
SAME_IOU = 0.45  # of two boxes, from which both are the same person
MAX_PEOPLE = 32  # in one frame; each mask takes 4 bytes a pixel


class _YoloTeacher:
    """A teacher (see `training.teachers.Teacher`) that tells people apart."""

    name: str

    def __init__(self, threads: int = 1, network: Yolo | None = None, side: int = SIDE):
        """`network` instead of the weights on file."""
        self._threads, self._side, self._device = threads, side, best_device()
        self._network = (network or load_network(fetch(self.name))).eval().to(self._device)
        self._everybody = SubjectSelector("all")

    def people(self, bgr: np.ndarray) -> np.ndarray:
        """float32 (N, h, w) in [0, 1]: one mask for each person, the surest first; the longer side is SIDE pixels."""
        use_threads(self._threads)
        picture, inner = letterbox(bgr, self._side)
        with torch.inference_mode():
            found, protos = self._network(torch.from_numpy(picture).to(self._device))
            boxes, coefficients = select_people(found[0], self._network.classes)
            return draw_masks(boxes, coefficients, protos[0], picture.shape[2:])[:, *inner].cpu().numpy()

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        return self._everybody(self.people(bgr))


class YoloSeg(_YoloTeacher):
    name = "yolo-seg"


class YoloSegSmall(_YoloTeacher):
    name = "yolo-seg-small"


def load_network(path: Path) -> Yolo:
    """The network with the weights in `path`. Nothing in the file is executed.

    Raises
    ------
    ModelError
        It cannot be read, or is no segmentation network of this family.
    """
    saved = read_module(path)
    try:
        network = Yolo(saved.attributes["yaml"])
        network.load_state_dict(fold(saved.tensors))
    except Exception as error:  # an architecture can be wrong in as many ways as there are layers
        raise ModelError(
            f"{path} is no YOLO segmentation network that is known here: {type(error).__name__}: {error}. "
            "Delete it and pull it again"
        ) from error
    return network


def letterbox(bgr: np.ndarray, side: int) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The network's input, float32 (1, 3, H, W), RGB in [0, 1], and which rows and columns of it are the picture.

    The picture's longer side becomes `side`; around it is grey, up to the next multiple of the coarsest stride.
    """
    scale = side / max(bgr.shape[:2])
    height, width = (max(round(n * scale), 1) for n in bgr.shape[:2])
    resized = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    rows, columns = (-(-n // STRIDES[-1]) * STRIDES[-1] for n in (height, width))
    top, left = (rows - height) // 2, (columns - width) // 2
    inner = slice(top, top + height), slice(left, left + width)
    padded = np.full((rows, columns, 3), GREY, np.uint8)
    padded[inner] = resized[..., ::-1]
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / 255, inner


def select_people(found: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of what the head found (boxes, BOX + classes + masks) the people, the surest first.

    Returns their boxes (N, 4) as left, top, right, bottom in pixels, and their mask coefficients (N, masks).
    """
    found = found[found[:, BOX - 1] >= SCORE]
    sure, kind = found[:, BOX : BOX + classes].max(1)
    scores = sure * found[:, BOX - 1]
    chosen = (kind == PERSON) & (scores >= SCORE)
    found, scores = found[chosen], scores[chosen]
    boxes = torch.cat((found[:, :2] - found[:, 2:4] / 2, found[:, :2] + found[:, 2:4] / 2), 1)
    kept = suppress(boxes.cpu().numpy(), scores.cpu().numpy())
    return boxes[kept], found[kept, BOX + classes :]


def suppress(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Non-maximum suppression: indices of `boxes` (N, 4), best first, each unlike all that are better; MAX_PEOPLE."""
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept: list[int] = []
    while len(order) and len(kept) < MAX_PEOPLE:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        sides = np.minimum(boxes[best, 2:], boxes[rest, 2:]) - np.maximum(boxes[best, :2], boxes[rest, :2])
        common = sides.clip(min=0).prod(1)
        order = rest[common <= SAME_IOU * (areas[best] + areas[rest] - common)]
    return kept


def draw_masks(
    boxes: torch.Tensor, coefficients: torch.Tensor, protos: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """float32 (N, H, W) in [0, 1] of `size`: what the prototypes (masks, h, w) make of each person, inside the box.

    Logits are enlarged, not what the sigmoid makes of them: that keeps an edge sharp where the prototypes are coarse.
    """
    logits = (coefficients @ protos.flatten(1)).view(1, len(coefficients), *protos.shape[1:])
    if not len(coefficients):
        return logits.new_zeros((0, *size))
    masks = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[0].sigmoid()
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    rows = torch.arange(size[0], device=boxes.device) + 0.5
    columns = torch.arange(size[1], device=boxes.device) + 0.5
    inside_rows, inside_columns = (rows > top) & (rows < bottom), (columns > left) & (columns < right)
    return masks * (inside_rows[:, :, None] & inside_columns[:, None, :])
