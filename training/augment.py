"""Webcam-like variation of people with a mask: framing, light, rooms, several people, motion. Seeded by the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .datasets import Sample

PASTE = 0.55  # share of samples whose room is replaced
FAR = 0.25  # share of those who stand far from the camera
PART = 0.15  # share of those who are mostly outside the frame
EMPTY = 0.04  # share of samples that show a room without a person
ANOTHER = 0.2  # share of samples with another person beside, or behind, the first
MOVING = 0.2  # share of samples blurred by motion
CANVAS_HEIGHT = 288  # px; what a sample is put together at
ASPECTS = (4 / 3, 16 / 9, 1.0, 3 / 4)  # cameras', W / H; all are squashed to the student's square, as live
SOLID, REACH = 0.95, 8  # alpha from which a colour is the person's own; px, how far it is carried outwards, twice
LONGEST = 13  # px of a motion's trace


@dataclass(frozen=True)
class Layer:
    """A picture and its mask, of one size."""

    bgr: np.ndarray  # uint8 (H, W, 3)
    mask: np.ndarray  # uint8 (H, W), 255 = person

    def over(self, below: Layer) -> Layer:
        """This person before `below`; whoever is in either is in the mask."""
        alpha = self.mask[..., None].astype(np.float32) / 255
        bgr = own_colours(self) * alpha + below.bgr * (1 - alpha)
        mask = 255 - (255 - self.mask.astype(np.float32)) * (255 - below.mask.astype(np.float32)) / 255
        return Layer(bgr.astype(np.uint8), np.rint(mask).astype(np.uint8))


def own_colours(layer: Layer) -> np.ndarray:
    """`layer.bgr`, where it is partly room with the person's colours from further inside: no halo of the old room."""
    inside = (layer.mask >= 255 * SOLID).astype(np.float32)
    near: np.ndarray = inside
    carried: np.ndarray = layer.bgr * inside[..., None]
    for _ in range(2):
        near, carried = (cv2.blur(values, (2 * REACH + 1, 2 * REACH + 1)) for values in (near, carried))
    edge = (inside < 1) & (near > 1e-3)
    return np.where(edge[..., None], carried / np.maximum(near, 1e-3)[..., None], layer.bgr)


def _placed(sample: Sample, canvas: tuple[int, int], pasted: bool, rng: np.random.Generator) -> Layer:
    """`sample` on a canvas (W, H), turned, mirrored and moved a little; `pasted`: at any size, on the lower border."""
    h, w = sample.mask.shape
    if pasted:
        scale = canvas[1] / h * (rng.uniform(0.25, 0.6) if rng.random() < FAR else rng.uniform(0.6, 1.5))
    else:
        scale = max(canvas[0] / w, canvas[1] / h) * rng.uniform(0.75, 1.6)
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), rng.normal(0, 6), scale)
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, w], [0, 1, 0], [0, 0, 1.0]])
    x, y = rng.uniform(-0.18, 0.18, 2)
    if pasted:  # nobody is cut off in the air
        x, y = 2.5 * x, 0.5 - (0.5 - abs(y)) * scale * h / canvas[1]
        if rng.random() < PART:
            x, y = np.copysign(rng.uniform(0.45, 0.75), x), rng.uniform(y - 0.3, y + 0.5)
    target = np.array(((0.5 + x) * canvas[0], (0.5 + y) * canvas[1]))
    matrix[:, 2] += target - matrix @ (w / 2, h / 2, 1)
    border = cv2.BORDER_CONSTANT if pasted else cv2.BORDER_REPLICATE
    bgr, mask = (
        cv2.warpAffine(image, matrix, canvas, flags=cv2.INTER_LINEAR, borderMode=border)
        for image in (sample.bgr, sample.mask)
    )
    return Layer(bgr, mask)


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


def _moved(layer: Layer, rng: np.random.Generator) -> Layer:
    """As seen while it moves evenly along a straight line: picture and mask."""
    length = int(rng.integers(3, LONGEST + 1))
    trace = np.zeros((length, length), np.float32)
    reach = (length - 1) / 2 * np.array((np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)))
    begin, end = (np.rint((length - 1) / 2 + side * reach).astype(int).tolist() for side in (-1, 1))
    cv2.line(trace, begin, end, 1.0)
    bgr, mask = (cv2.filter2D(image, -1, trace / trace.sum()) for image in (layer.bgr, layer.mask))
    return Layer(bgr, mask)


def augment(
    sample: Sample,
    rooms: list[np.ndarray],
    size: tuple[int, int],
    rng: np.random.Generator,
    others: list[Sample] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`sample` as a webcam might have seen it.

    Parameters
    ----------
    rooms : uint8 BGR pictures without people; may be empty, then nobody changes rooms.
    size : (h, w) of the student's input.
    others : people who may come beside `sample`'s; may be empty.

    Returns
    -------
    bgr uint8 (h, w, 3), mask uint8 (h, w).
    """
    aspect = ASPECTS[rng.choice(len(ASPECTS), p=(0.5, 0.2, 0.15, 0.15))]
    canvas = (round(CANVAS_HEIGHT * aspect), CANVAS_HEIGHT)
    draw, moving = rng.random(), rng.random() < MOVING
    if rooms and draw < EMPTY + PASTE:
        seen = Layer(_cover(rooms[rng.integers(len(rooms))], canvas, rng), np.zeros(canvas[::-1], np.uint8))
        people = [] if draw < EMPTY else [_placed(sample, canvas, True, rng)]
    else:
        seen, people = _placed(sample, canvas, False, rng), []
    if others and draw >= EMPTY and rng.random() < ANOTHER:
        people.insert(0, _placed(others[rng.integers(len(others))], canvas, True, rng))
    for person in people:
        seen = (_moved(person, rng) if moving else person).over(seen)
    if moving and not people:  # the camera is
        seen = _moved(seen, rng)
    bgr = cv2.resize(_light(seen.bgr, rng), size[::-1], interpolation=cv2.INTER_LINEAR)
    return bgr, cv2.resize(seen.mask, size[::-1], interpolation=cv2.INTER_AREA)
