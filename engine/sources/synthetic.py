"""test://: a synthetic person who moves before a background, with the true mask. For tests, demos and benchmarks.

Options stand in the query: test://?width=640&height=480&fps=25&frames=100&seed=0&live=0&cut=50&empty=0
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import cv2
import numpy as np

from ..contracts import Frame, Origin
from ..errors import UsageError

DEFAULTS = {"width": 640, "height": 480, "fps": 25, "frames": 250, "seed": 0, "live": 0, "cut": 0, "empty": 0}
LARGEST = {"width": 16384, "height": 16384, "fps": 1000}  # pixels, frames per second; the smallest is 1


class SyntheticPerson:
    """Source of a figure whose head, torso and arms move; the same seed gives the same frames.

    From frame `cut` on it is another person before another background; before frame `empty` nobody is there; 0: never.
    """

    origin = Origin()

    def __init__(self, width=640, height=480, fps=25, frames=250, seed=0, live=0, cut=0, empty=0):
        self.size = (height, width)
        self.fps, self.live = float(fps), bool(live)
        self.frames: int | None = None if live else frames
        self._limit, self._cut, self._empty = frames, cut, empty
        self._scenes = [_Scene(self.size, seed + 1000 * i) for i in range(2 if cut else 1)]
        self._closed = False

    @classmethod
    def from_url(cls, url: str, fps: float | None = None) -> SyntheticPerson:
        """`fps` where the URL does not say. UsageError for an option that does not exist or is no fit number."""
        given = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        for name, value in given.items():
            if name not in DEFAULTS or not value.isdecimal() or len(value) > 15:
                raise UsageError(f"{url}: {name}={value!r}; expected whole numbers for {', '.join(DEFAULTS)}")
        options = DEFAULTS | ({} if fps is None else {"fps": fps}) | {name: int(value) for name, value in given.items()}
        for name, largest in LARGEST.items():
            if not 0 < options[name] <= largest:
                raise UsageError(f"{url}: {name} is {options[name]}; expected a whole number from 1 to {largest}")
        return cls(**options)

    def __iter__(self) -> Iterator[Frame]:
        began = time.perf_counter()
        index = 0
        while not self._closed and (self.live or index < self._limit):
            if self.live:
                time.sleep(max(0.0, began + index / self.fps - time.perf_counter()))
            yield Frame(self.picture(index), index, time.perf_counter(), index / self.fps)
            index += 1

    def picture(self, index: int) -> np.ndarray:
        """Frame `index`, uint8 (H, W, 3) BGR."""
        scene = self._scene(index)
        return scene.background.copy() if index < self._empty else scene.paint(index / self.fps)

    def mask(self, index: int) -> np.ndarray:
        """The true mask of frame `index`, uint8 (H, W), 255 = person."""
        if index < self._empty:
            return np.zeros(self.size, np.uint8)
        return self._scene(index).mask(index / self.fps)

    def close(self) -> None:
        self._closed = True

    def _scene(self, index: int) -> _Scene:
        return self._scenes[bool(self._cut and index >= self._cut)]


class _Scene:
    """One person before one background."""

    def __init__(self, size: tuple[int, int], seed: int):
        rng = np.random.default_rng(seed)
        self.size = size
        self.background = _background(size, rng)
        self.texture = cv2.resize(rng.integers(0, 40, (24, 24, 3), dtype=np.uint8), size[::-1])
        self.centre = rng.uniform(0.42, 0.58)  # of the width
        self.phase = rng.uniform(0, 6.28)
        self.skin = np.array((120, 150, 205)) * rng.uniform(0.55, 1.1)
        self.hair = rng.uniform(15, 70, 3)
        self.shirt = rng.uniform(30, 200, 3)

    def paint(self, seconds: float) -> np.ndarray:
        out = self.background.copy()
        for part, colour in zip(self._parts(seconds), self._colours(), strict=True):
            part(out, tuple(float(min(c, 255)) for c in colour))
        mask = self.mask(seconds)[..., None] > 0
        shaded = cv2.add(out, self.texture)
        np.copyto(out, shaded, where=mask)
        return out

    def mask(self, seconds: float) -> np.ndarray:
        mask = np.zeros(self.size, np.uint8)
        for part in self._parts(seconds):
            part(mask, (255.0,))
        return mask

    def _colours(self):
        dark = self.shirt * 0.8
        return [self.hair, self.shirt, dark, dark, self.skin, self.skin, self.skin, self.skin, self.hair]

    def _parts(self, seconds: float):
        """Functions (image, colour) that draw hair, torso, arms, hands, neck, face and fringe."""
        H, W = self.size
        unit = min(H, W)
        sway = 0.05 * W * np.sin(0.9 * seconds + self.phase)
        x, y = self.centre * W + sway, 0.36 * H + 0.015 * H * np.sin(1.7 * seconds)
        head = (0.13 * unit, 0.17 * unit)
        shoulder_y = y + 0.30 * unit

        def ellipse(cx, cy, rx, ry, angle=0.0, start=0, end=360):
            box = (round(cx), round(cy)), (max(1, round(rx)), max(1, round(ry)))
            return lambda image, colour: cv2.ellipse(image, *box, angle, start, end, colour, -1)

        def limb(ax, ay, bx, by):
            ends, width = ((round(ax), round(ay)), (round(bx), round(by))), max(1, round(0.09 * unit))
            return lambda image, colour: cv2.line(image, *ends, colour, width)

        hands = []
        for side in (-1, 1):
            lift = 0.5 + 0.5 * np.sin(1.3 * seconds + self.phase + side)
            hands.append((x + side * (0.36 + 0.06 * lift) * unit, shoulder_y + (0.45 - 0.55 * lift) * unit))
        arms = [limb(x + s * 0.17 * unit, shoulder_y + 0.08 * unit, *h) for s, h in zip((-1, 1), hands, strict=True)]
        return [
            ellipse(x, y - 0.02 * unit, head[0] * 1.2, head[1] * 1.12),
            ellipse(x, shoulder_y + 0.55 * unit, 0.29 * unit, 0.57 * unit),
            *arms,
            *(ellipse(*hand, 0.055 * unit, 0.065 * unit) for hand in hands),
            ellipse(x, y + 0.18 * unit, 0.055 * unit, 0.10 * unit),
            ellipse(x, y + 0.01 * unit, *head),
            ellipse(x, y - 0.03 * unit, head[0] * 1.02, head[1] * 0.95, 0, 195, 345),
        ]


def _background(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A wall with a gradient, a window or picture or two, a shelf, grain."""
    H, W = size
    top, bottom = rng.uniform(90, 200, 3), rng.uniform(50, 150, 3)
    fade = np.linspace(0, 1, H)[:, None, None]
    wall = np.ascontiguousarray(np.broadcast_to(top * (1 - fade) + bottom * fade, (H, W, 3)).astype(np.uint8))
    for _ in range(5):
        x, y = int(rng.uniform(0, 0.85) * W), int(rng.uniform(0, 0.7) * H)
        w, h = max(1, int(rng.uniform(0.08, 0.25) * W)), max(1, int(rng.uniform(0.1, 0.35) * H))
        cv2.rectangle(wall, (x, y), (x + w, y + h), tuple(rng.uniform(20, 240, 3)), -1)
        cv2.rectangle(wall, (x, y), (x + w, y + h), tuple(rng.uniform(20, 90, 3)), max(1, W // 160))
    grain = cv2.resize(rng.integers(0, 30, (max(1, H // 6), max(1, W // 6), 3), dtype=np.uint8), (W, H))
    return cv2.add(wall, grain)
