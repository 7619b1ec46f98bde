"""Clips of people with a thing in front of them whose place is known exactly: cut out of another video, or a printed
picture, pasted over a real clip and moved as a hand moves it. Made frame by frame, the same each time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.errors import UsageError
from engine.sources import open_source
from engine.stroke import Stroke

FPS = 25.0
NOISE = 2.0  # grey levels, sigma of the sensor's
PORTRAIT = (480, 640)  # (w, h) that an upright clip is brought to, around its middle
PRINT = (190, 260)  # (w, h) of a printed picture
STROKE_POINTS = 14
COARSE = 4  # px; a stroke is drawn on a grid so fine


@dataclass(frozen=True)
class Held:
    """One clip."""

    name: str
    clip: str  # path in the folder of data
    thing: str  # a sequence of DAVIS 2016, or a picture of backgrounds/
    at: tuple[float, float]  # (x, y) of its middle, shares of the frame
    height: float  # of it, share of the frame's
    keep: bool  # what the user wants: the teacher wants the other


CLIPS = (
    Held("a white dog, kept", "clips/easy2_capture5.mp4", "dog", (0.60, 0.78), 0.40, True),
    Held("a print, kept", "clips/easy2_capture5.mp4", "000000000034", (0.66, 0.68), 0.40, True),
    Held("a bright print, kept", "clips/easy1_cap12.mp4", "000000000009", (0.30, 0.70), 0.42, True),
    Held("a white dog in a white room, kept", "clips/easy3_doctor.mp4", "dog", (0.35, 0.72), 0.42, True),
    Held("a print, removed", "clips2/phone2.mp4", "000000000034", (0.50, 0.78), 0.34, False),
    Held("a bright print, removed", "clips/easy3_doctor.mp4", "000000000009", (0.60, 0.70), 0.36, False),
    Held("a grey goat, removed", "clips/easy6_headturn.mp4", "goat", (0.35, 0.75), 0.42, False),
    Held("a black swan on black, removed", "clips2/phone2.mp4", "blackswan", (0.50, 0.75), 0.34, False),
)


@dataclass(frozen=True)
class HeldFrame:
    bgr: np.ndarray  # uint8 (H, W, 3)
    thing: np.ndarray  # float32 (H, W) in [0, 1], its alpha
    without: np.ndarray  # uint8 (H, W, 3), the clip without it


def frames(held: Held, data: Path, begin: int, end: int) -> Iterator[tuple[int, HeldFrame]]:
    """Frames `begin` to `end` of the clip with their numbers. UsageError where a file is missing."""
    looks = _looks(held.thing, data)
    with closing(open_source(str(data / held.clip))) as source:
        for frame in source:
            if frame.index >= end:
                return
            if frame.index >= begin:
                yield frame.index, _with_thing(held, looks, _landscape(frame.bgr), frame.index)


def stroke_over(thing: np.ndarray, keep: bool) -> Stroke:
    """As a user draws it over a thing, float32 (H, W): from one end to the other and inside of it. The longest of all
    cheapest paths, where its edge is dear.
    """
    height, width = thing.shape
    inside = cv2.resize(thing, (width // COARSE, height // COARSE), interpolation=cv2.INTER_AREA) > 0.9
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
    inside = parts == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
    depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    middle = np.unravel_index(np.argmax(depth), depth.shape)
    one, _ = _farthest((int(middle[0]), int(middle[1])), inside, depth)
    other, before = _farthest(one, inside, depth)
    path = [other]
    while path[-1] != one:
        path.append(before[path[-1]])
    chosen = [path[int(i)] for i in np.linspace(0, len(path) - 1, STROKE_POINTS)]
    return Stroke.of([((x + 0.5) / inside.shape[1], (y + 0.5) / inside.shape[0]) for y, x in chosen], keep)


Place = tuple[int, int]  # row, column


def _farthest(start: Place, inside: np.ndarray, depth: np.ndarray) -> tuple[Place, dict[Place, Place]]:
    """Which place well inside is the dearest to get to, and the step before each place (Dijkstra)."""
    cost, before, queue = {start: 0.0}, {}, [(0.0, start)]
    while queue:
        so_far, (y, x) = heapq.heappop(queue)
        for there in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx):
            if not (0 <= there[0] < inside.shape[0] and 0 <= there[1] < inside.shape[1] and inside[there]):
                continue
            step = so_far + float(1 + 8 / depth[there]) * float(np.hypot(there[0] - y, there[1] - x))
            if step < cost.get(there, np.inf):
                cost[there], before[there] = step, (y, x)
                heapq.heappush(queue, (step, there))
    deep = min(2.0, 0.6 * float(depth.max()))
    return max((place for place in cost if depth[place] >= deep), key=cost.__getitem__), before


def _looks(thing: str, data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Colours and alpha of the thing, cut to it, one for each frame of its own."""
    picture = data / "backgrounds" / f"{thing}.jpg"
    if picture.is_file():
        printed = cv2.resize(_read(picture), PRINT, interpolation=cv2.INTER_AREA)
        return [(printed, np.ones(printed.shape[:2], np.float32))]
    looks = []
    for path in sorted((data / "davis2016/JPEGImages/480p" / thing).glob("*.jpg")):
        mask = _read(data / "davis2016/Annotations/480p" / thing / f"{path.stem}.png")[..., 0]
        inside = cv2.erode((mask > 127).astype(np.uint8), np.ones((3, 3), np.uint8))
        x, y, w, h = cv2.boundingRect(inside)
        looks.append((_read(path)[y : y + h, x : x + w], inside[y : y + h, x : x + w].astype(np.float32)))
    if not looks:
        raise UsageError(f"there is no thing {thing!r} in {data}; expected backgrounds/ or davis2016/ with it")
    return looks


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    if image is None:
        raise UsageError(f"cannot read {path}")
    return image


def _landscape(bgr: np.ndarray) -> np.ndarray:
    if bgr.shape[0] <= bgr.shape[1]:
        return bgr
    width, height = PORTRAIT
    whole = cv2.resize(bgr, (width, round(width * bgr.shape[0] / bgr.shape[1])), interpolation=cv2.INTER_AREA)
    top = (whole.shape[0] - height) // 2
    return np.ascontiguousarray(whole[top : top + height])


def _with_thing(held: Held, looks: list[tuple[np.ndarray, np.ndarray]], bgr: np.ndarray, index: int) -> HeldFrame:
    period = max(1, 2 * (len(looks) - 1))
    there = index % period
    colours, inside = looks[there if there < len(looks) else period - there]
    height, width = bgr.shape[:2]
    seconds = index / FPS
    scale = held.height * height / max(colours.shape[0], 0.75 * colours.shape[1])
    alpha = cv2.GaussianBlur(inside, (0, 0), 0.7 / max(scale, 0.3))
    x = held.at[0] + 0.07 * np.sin(1.1 * seconds) + 0.03 * np.sin(2.7 * seconds)
    y = held.at[1] + 0.05 * np.sin(0.8 * seconds + 1) + 0.02 * np.sin(3.1 * seconds)
    middle = colours.shape[1] / 2, colours.shape[0] / 2
    angle = 12 * np.sin(0.9 * seconds) + 5 * np.sin(2.3 * seconds)
    pose = cv2.getRotationMatrix2D(middle, angle, scale * (1 + 0.08 * np.sin(0.6 * seconds)))
    pose[:, 2] += np.array([x * width - middle[0], y * height - middle[1]])
    placed = cv2.warpAffine(alpha, pose, (width, height), flags=cv2.INTER_AREA)
    painted = cv2.warpAffine(colours, pose, (width, height), borderMode=cv2.BORDER_REPLICATE)
    together = bgr + placed[..., None] * (painted.astype(np.float32) - bgr)
    noise = np.random.default_rng(index).normal(0, NOISE, bgr.shape)
    return HeldFrame(np.clip(together + noise, 0, 255).astype(np.uint8), placed, bgr)
