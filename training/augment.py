"""Webcam-like variation of a person with a mask: framing, light, another room. Seeded by the caller."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from .datasets import Sample

PASTE = 0.35  # share of samples whose room is replaced
EMPTY = 0.03  # share of samples that show a room without a person
ASPECTS = (4 / 3, 16 / 9, 1.0, 3 / 4)  # cameras', W / H; all are squashed to the student's square, as live


def _place(sample: Sample, aspect: float, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, int]]:
    """A random similarity that puts `sample` on a canvas of `aspect`: (2x3 matrix, (W, H) of the canvas)."""
    h, w = sample.mask.shape
    canvas_h = 288
    canvas_w = round(canvas_h * aspect)
    cover = max(canvas_w / w, canvas_h / h)
    scale = cover * rng.uniform(0.75, 1.6)
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), rng.normal(0, 6), scale)
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, w], [0, 1, 0], [0, 0, 1.0]])
    centre = matrix @ (w / 2, h / 2, 1)
    target = (0.5 + rng.uniform(-0.18, 0.18, 2)) * (canvas_w, canvas_h)
    matrix[:, 2] = matrix[:, 2] + target - centre
    return matrix, (canvas_w, canvas_h)


def _cover(image: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A random crop of `image` with the aspect of `size` (W, H), resized to it."""
    h, w = image.shape[:2]
    scale = min(w / size[0], h / size[1]) * rng.uniform(0.6, 1.0)
    cw, ch = int(size[0] * scale), int(size[1] * scale)
    x, y = rng.integers(0, w - cw + 1), rng.integers(0, h - ch + 1)
    crop = cv2.resize(image[y : y + ch, x : x + cw], size, interpolation=cv2.INTER_AREA)
    return crop[:, ::-1].copy() if rng.random() < 0.5 else crop


def _light(bgr: np.ndarray, rng: np.random.Generator) -> Any:
    """Exposure, contrast, colour temperature, low light with noise, blur, JPEG."""
    x = bgr.astype(np.float32) / 255
    x = np.power(x, np.exp(rng.normal(0, 0.3)), dtype=np.float32)
    x = (x - 0.5) * np.float32(np.exp(rng.normal(0, 0.15))) + 0.5
    x *= np.exp(rng.normal(0, 0.08, 3)).astype(np.float32) * np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.3:
        x += rng.normal(0, rng.uniform(0.01, 0.06), (*x.shape[:2], 1)).astype(np.float32)
    out: Any = np.clip(x * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.3:
        out = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])[1], 1)
    return out


def augment(
    sample: Sample, rooms: list[np.ndarray], size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`sample` as a webcam might have seen it.

    Parameters
    ----------
    rooms : uint8 BGR pictures without people; may be empty, then nobody changes rooms.
    size : (h, w) of the student's input.

    Returns
    -------
    bgr uint8 (h, w, 3), mask uint8 (h, w).
    """
    matrix, canvas = _place(sample, ASPECTS[rng.choice(len(ASPECTS), p=(0.5, 0.2, 0.15, 0.15))], rng)
    draw = rng.random()
    if rooms and draw < EMPTY:
        bgr, mask = _cover(rooms[rng.integers(len(rooms))], canvas, rng), np.zeros(canvas[::-1], np.uint8)
    else:
        paste = bool(rooms) and draw < EMPTY + PASTE
        border = cv2.BORDER_CONSTANT if paste else cv2.BORDER_REPLICATE
        bgr = cv2.warpAffine(sample.bgr, matrix, canvas, flags=cv2.INTER_LINEAR, borderMode=border)
        mask = cv2.warpAffine(sample.mask, matrix, canvas, flags=cv2.INTER_LINEAR, borderMode=border)
        if paste:
            room = _cover(rooms[rng.integers(len(rooms))], canvas, rng)
            soft = cv2.GaussianBlur(mask, (0, 0), 1.0)[..., None].astype(np.float32) / 255
            bgr = (bgr * soft + room * (1 - soft)).astype(np.uint8)
    bgr = cv2.resize(_light(bgr, rng), size[::-1], interpolation=cv2.INTER_LINEAR)
    return bgr, cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
