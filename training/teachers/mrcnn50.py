"""Mask R-CNN R50-FPN, the paper's teacher: the union of its person masks with a score of at least 0.5.

On detectron2 where that is installed, as in the paper, else on torchvision, which is logged. An InstanceTeacher;
knows nothing about subject selection (subjects.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from engine.assets import fetch
from engine.errors import BackendUnavailable, ModelError

from ..remote.privacy import shrink
from .devices import best_device, use_threads
from .subjects import SubjectSelector
from .torchvision_ops import prepare

log = logging.getLogger("jit_masker")

SCORE = 0.5  # section 4: a detection counts from here
SOLID = 0.5  # of a mask's probability
SHORT_SIDE = 480  # pixels; both were trained at 800, which costs 2.8 times as much and helps people far away only
LONG_SIDE = 800  # pixels
CONFIG = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"  # detectron2's, the paper's


class Detector(Protocol):
    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """For each frame uint8 (H, W, 3) of at most LONG_SIDE its people, bool (N, H, W)."""
        ...


class MaskRcnn50:
    """A teacher (see `training.teachers.Teacher`) that tells people apart."""

    def __init__(self, threads: int = 1, detector: Detector | None = None):
        """`detector` instead of the best one that is installed.

        Raises
        ------
        BackendUnavailable
            Neither detectron2 nor torchvision is installed.
        ModelError
            The weights are not available.
        """
        self._detect = detector or _best_detector()
        self._threads = threads

    def people(self, bgr: np.ndarray) -> np.ndarray:
        """float32 (N, h, w), 0 or 1: one mask for each person."""
        return self._people([bgr])[0]

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        return self.many([bgr])[0]

    def many(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `training.teachers.BatchTeacher`."""
        everybody = SubjectSelector("all")
        return [everybody(people) for people in self._people(frames)]

    def _people(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        use_threads(self._threads)
        return [people.astype(np.float32) for people in self._detect([shrink(bgr, LONG_SIDE) for bgr in frames])]


def _best_detector() -> Detector:
    try:
        return Detectron2()
    except ImportError as error:
        missing = error.name or str(error)
    try:
        prepare()
    except ImportError as error:
        raise BackendUnavailable(
            "the teacher mrcnn50 needs detectron2 (the paper's) or torchvision, and neither is installed; "
            'pip install "jit-masker[mrcnn]", or see docs/teachers.md'
        ) from error
    log.warning("mrcnn50: %s is not installed; torchvision's Mask R-CNN R50-FPN teaches instead", missing)
    return Torchvision(load_torchvision_weights(fetch("mrcnn50")))


# -- torchvision -----------------------------------------------------------------------------------------------------


class Torchvision:
    """torchvision's Mask R-CNN R50-FPN as a Detector."""

    PERSON = 1  # COCO's category; 0 is the background

    def __init__(self, network: torch.nn.Module):
        self._device = best_device()
        self._network = network.eval().to(self._device)

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            return [self._people(found) for found in self._network([self._prepare(bgr) for bgr in frames])]

    def _prepare(self, bgr: np.ndarray) -> torch.Tensor:
        rgb = np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1))
        return torch.from_numpy(rgb).to(self._device).float() / 255

    def _people(self, found: dict[str, torch.Tensor]) -> np.ndarray:
        people = (found["labels"] == self.PERSON) & (found["scores"] >= SCORE)
        return (found["masks"][people, 0] >= SOLID).cpu().numpy()


def new_torchvision_network() -> torch.nn.Module:
    """Mask R-CNN R50-FPN with random weights. ImportError where torchvision is not installed."""
    prepare()
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    return maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=SHORT_SIDE, max_size=LONG_SIDE, box_score_thresh=SCORE
    )


def load_torchvision_weights(path: Path) -> torch.nn.Module:
    """The network with the weights in `path`; nothing in the file is executed. ModelError where they do not fit."""
    network = new_torchvision_network()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a file can be wrong in as many ways as pickle and zip have exceptions
        raise ModelError(f"{path} does not fit torchvision's Mask R-CNN R50-FPN: {type(error).__name__}") from error
    return network


# -- detectron2 ------------------------------------------------------------------------------------------------------


class Detectron2:
    """detectron2's Mask R-CNN R50-FPN 3x as a Detector."""

    PERSON = 0  # COCO's category, without a background

    def __init__(self, weights: str | None = None):
        """`weights`: a file, or "" for random ones; None: the published ones, by detectron2's own model zoo.

        Raises
        ------
        ImportError
            detectron2 is not installed.
        ModelError
            The weights are not available.
        """
        prepare()  # detectron2 uses torchvision's operators
        from detectron2 import model_zoo
        from detectron2.config import get_cfg
        from detectron2.engine import DefaultPredictor

        options: Any = get_cfg()
        options.merge_from_file(model_zoo.get_config_file(CONFIG))
        options.MODEL.WEIGHTS = model_zoo.get_checkpoint_url(CONFIG) if weights is None else weights
        options.MODEL.DEVICE = best_device().type
        options.MODEL.ROI_HEADS.SCORE_THRESH_TEST = SCORE
        options.INPUT.MIN_SIZE_TEST, options.INPUT.MAX_SIZE_TEST = SHORT_SIDE, LONG_SIDE
        try:
            self._predict = DefaultPredictor(options)
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelError(
                f"detectron2 cannot load {options.MODEL.WEIGHTS}: {error}. Put the file where the model zoo keeps it "
                "(docs/teachers.md)"
            ) from error

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self._people(self._predict(bgr)["instances"]) for bgr in frames]

    def _people(self, found: Any) -> np.ndarray:
        return found.pred_masks[found.pred_classes == self.PERSON].cpu().numpy()
