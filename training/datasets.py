"""People with masks, as arrays in memory. Knows nothing about training.

Layout: `DIR/images/NAME.*` and `DIR/masks/NAME.*`, 255 = person; file names match by stem.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from engine.errors import UsageError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
Pair = tuple[np.ndarray, np.ndarray]  # bgr uint8 (H, W, 3), mask uint8 (H, W), 255 = person


def images_in(folder: Path) -> list[Path]:
    """The image files of `folder`, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def load_pairs(folder: str | Path) -> list[Pair]:
    """Every image of `folder/images` with its mask from `folder/masks`.

    Raises
    ------
    UsageError
        A folder or a mask is missing, a file cannot be read, or nothing is there.
    """
    root = Path(folder)
    if not (root / "images").is_dir() or not (root / "masks").is_dir():
        raise UsageError(f"{root} is no data set: it needs the folders images/ and masks/")
    masks = {p.stem: p for p in images_in(root / "masks")}
    pairs = []
    for path in images_in(root / "images"):
        if path.stem not in masks:
            raise UsageError(f"{path} has no mask; expected {root / 'masks' / path.stem}.png")
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        mask = cv2.imread(str(masks[path.stem]), cv2.IMREAD_GRAYSCALE)
        if bgr is None or mask is None or bgr.shape[:2] != mask.shape:
            raise UsageError(f"cannot use {path} with {masks[path.stem]}: unreadable, or the sizes differ")
        pairs.append((bgr, mask))
    if not pairs:
        raise UsageError(f"{root}/images holds no image; expected one of {', '.join(sorted(IMAGE_SUFFIXES))}")
    return pairs


def load_images(folder: str | Path) -> list[np.ndarray]:
    """Every image of `folder` as uint8 BGR: backgrounds without people."""
    read = [cv2.imread(str(p), cv2.IMREAD_COLOR) for p in images_in(Path(folder))]
    images = [image for image in read if image is not None]
    if not images or len(images) < len(read):
        raise UsageError(f"{folder} holds no images, or one that cannot be read; expected pictures without people")
    return images
