"""Makes torchvision usable beside a torch that its binary was not built for.

The package index serves torchvision for Linux built against CUDA; its C++ part does not load beside the CPU build of
torch, and then `import torchvision` fails. The two operators that Mask R-CNN needs are written here in torch, and only
where the binary does not load. Knows nothing about any network.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 64  # regions sampled at once: 64 regions of 256 channels are some 13 MB
SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",  # only asked for by the import
)


@cache
def prepare() -> str:
    """Make `import torchvision` work; says what runs its operators, "binary" or "torch". ImportError without it."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("torchvision is not installed", name="torchvision")
    if _binary_loads(Path(next(iter(spec.submodule_search_locations)))):
        return "binary"
    library = torch.library.Library("torchvision", "DEF")
    for signature in SIGNATURES:
        library.define(signature)
    library.impl("nms", nms, "CompositeExplicitAutograd")
    library.impl("roi_align", roi_align, "CompositeExplicitAutograd")
    import torchvision.extension

    torchvision.extension._has_ops = lambda: True
    # torchvision.ops.roi_align is the function; its module took the name before
    sys.modules["torchvision.ops.roi_align"]._has_ops = lambda: True  # type: ignore[attr-defined]
    _KEPT.append(library)
    return "torch"


_KEPT: list[torch.library.Library] = []  # operators live as long as the library that defined them


def _binary_loads(folder: Path) -> bool:
    for binary in (*folder.glob("_C*.so"), *folder.glob("_C*.pyd")):
        try:
            torch.ops.load_library(str(binary))
            return True
        except OSError:
            continue
    return False


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression: indices int64 of the boxes (N, 4), x1 y1 x2 y2, that are kept, best score first.

    A box falls if its IoU with a better one that is kept is above `threshold`.
    """
    order = scores.argsort(descending=True, stable=True)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[order, :2])
        high = torch.minimum(boxes[best, 2:], boxes[order, 2:])
        common = (high - low).clamp(min=0).prod(1)
        order = order[common <= threshold * (area[best] + area[order] - common)]
    return torch.stack(kept) if kept else order


def roi_align(
    features: Tensor, rois: Tensor, scale: float, height: int, width: int, sampling: int, aligned: bool
) -> Tensor:
    """RoIAlign (He et al., Mask R-CNN, section 3): each region's features as a grid of bilinear samples, averaged.

    Parameters
    ----------
    features : float32 (N, C, H, W).
    rois : float32 (R, 5): index into N, then x1 y1 x2 y2 in the image's pixels.
    scale : of the features against the image.
    sampling : samples per bin and axis; 0 or less: as many as the bin has pixels.
    aligned : True: pixel centres at half integers; False: the older convention, where a region is at least 1 wide.

    Returns float32 (R, C, height, width).
    """
    out = features.new_zeros(len(rois), features.shape[1], height, width)
    corners = rois[:, 1:] * scale - (0.5 if aligned else 0.0)
    sides = corners[:, 2:] - corners[:, :2]
    if not aligned:
        sides = sides.clamp(min=1)
    alike: dict[tuple[int, int, int], list[int]] = defaultdict(list)  # (image, samples down, across) -> regions
    for i, (image, (across, down)) in enumerate(zip(rois[:, 0].tolist(), sides.tolist(), strict=True)):
        if sampling > 0:
            alike[int(image), sampling, sampling].append(i)
        elif across > 0 and down > 0:
            alike[int(image), math.ceil(down / height), math.ceil(across / width)].append(i)
    for (image, down, across), regions in alike.items():
        for start in range(0, len(regions), CHUNK):
            chosen = regions[start : start + CHUNK]
            y, y_inside = _positions(corners[chosen, 1], sides[chosen, 1], height * down, features.shape[2])
            x, x_inside = _positions(corners[chosen, 0], sides[chosen, 0], width * across, features.shape[3])
            grid = torch.stack(
                (x[:, None, :].expand(-1, y.shape[1], -1), y[:, :, None].expand(-1, -1, x.shape[1])), -1
            ).flatten(0, 1)[None]
            samples = F.grid_sample(features[image, None], grid, "bilinear", "border", align_corners=True)
            samples = samples.view(-1, len(chosen), height, down, width, across)
            inside = y_inside[:, :, None] & x_inside[:, None, :]
            samples = samples * inside.view(len(chosen), height, down, width, across)
            out[chosen] = samples.mean((3, 5)).transpose(0, 1)
    return out


def _positions(first: Tensor, side: Tensor, count: int, limit: int) -> tuple[Tensor, Tensor]:
    """`count` positions along one axis for each region (R, count), in grid_sample's unit, and which are inside."""
    steps = (torch.arange(count, dtype=first.dtype, device=first.device) + 0.5) / count
    at = first[:, None] + steps * side[:, None]
    inside = (at >= -1) & (at <= limit)  # beyond, a sample is zero; nearer, it is the border's
    return at.clamp(0, limit - 1) * (2 / max(limit - 1, 1)) - 1, inside
