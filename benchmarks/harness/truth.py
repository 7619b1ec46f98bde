"""Clips with a known truth: people with their mattes, pasted into rooms. I = alpha F + (1 - alpha) B, then the camera.

Made frame by frame, the same each time. A scene is a person or several, a room, how each person moves and how the
camera does; a clip is one scene or several, seen through one sensor. They are chosen by name out of one set of files,
so that a number is always of the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import chain, repeat

import cv2
import numpy as np

from . import marker
from .cutouts import Cutout, Data

WIDTH, HEIGHT, FPS = 640, 480, 25.0
LONG, SHORT = 1500, 300  # frames
BELOW = 40  # px; so far below the frame a person is cut off, which neither a lean nor a pan may show
OVERSCAN = 1.2  # of a room, so that a camera may move
POSTER_HEIGHT, POSTER_LEFT, POSTER_TOP = 160, 482, 24  # px
SEED = 13
PHOTOGRAPHS = "backgrounds/"  # our student was trained with people pasted into them: what it says there flatters it


@dataclass(frozen=True)
class Scene:
    """One person in one room, or several; the true matte is of all of them together."""

    person: str  # a name in people/valid; or "dancer N", from frame N on
    room: str  # a picture, or a clip whose people are taken out of it
    path: str = "sway"  # a key of PATHS
    camera: str = "still"  # a key of CAMERAS
    across: float = 0.5  # where a room that is too wide is cut: 0 leaves its left side, 1 its right
    others: tuple[tuple[str, str], ...] = ()  # (person, path) of who else is there, each in front of those before


@dataclass(frozen=True)
class Clip:
    """What a bench paints."""

    name: str
    scenes: tuple[Scene, ...]  # of equal length, with a cut between two
    frames: int = SHORT
    drift: float = 0.0  # stops; the exposure goes so far up and down, about what the pictures have less half of that
    noise: float = 0.0  # grey levels, sigma of the sensor's
    jpeg: int | None = None  # quality
    poster: bool = False  # hangs in the room; still cameras only

    @property
    def is_still(self) -> bool:
        """One room that never moves: what is seen of it may be put together over time."""
        return len(self.scenes) == 1 and self.scenes[0].camera == "still" and not self.drift

    @property
    def is_trained_on(self) -> bool:
        """Whether our student has seen a room of it before."""
        return any(scene.room.startswith(PHOTOGRAPHS) for scene in self.scenes)


@dataclass(frozen=True)
class TruthFrame:
    """One frame, and what it is made of."""

    bgr: np.ndarray  # uint8 (H, W, 3), as the camera gives it
    alpha: np.ndarray  # float32 (H, W), the true matte
    room: np.ndarray  # uint8 (H, W, 3), what stands behind, before the sensor's noise and JPEG
    is_cut: bool  # the first of another scene; not the clip's first


MAP, LAMP = "clips/easy2_capture5.mp4", "clips/easy1_cap12.mp4"
TABLE, MEETING = "clips/hard2_onebyone.mp4", "clips2/meeting2.webm"
CLIPS = (
    Clip("desk", (Scene("1359", MAP),), noise=2.0, poster=True),
    Clip("dancer", (Scene("dancer 696", LAMP, "own"),), noise=2.0, poster=True),
    Clip("walk", (Scene("1386", TABLE, "walk"),), jpeg=75),
    Clip(
        "cuts",
        (
            Scene("1319", MEETING, "lean", across=1.0), Scene("dancer 1440", MAP, "own", "shake"),
            Scene("1375", TABLE, "sway"), Scene("1348", LAMP, "lean", "shake"),
        ),
        noise=2.0, jpeg=75,
    ),
    Clip("minute", (Scene("1348", MEETING, "lean", across=1.0),), LONG, noise=2.0),
    Clip("handheld", (Scene("1333", f"{PHOTOGRAPHS}000000000089.jpg", "sway", "shake"),), noise=2.0, jpeg=75),
    Clip("pan", (Scene("dancer 31", f"{PHOTOGRAPHS}000000000486.jpg", "near", "pan"),)),
    Clip("exposure", (Scene("1392", f"{PHOTOGRAPHS}000000000560.jpg", "lean"),), drift=0.6, noise=3.0),
)  # fmt: skip
MORE = (  # what the clips above, whose numbers are kept, do not show
    Clip("several", (Scene("1386", LAMP, "right", others=(("dancer 720", "across"), ("1333", "left"))),), noise=2.0),
    Clip("small", (Scene("dancer 31", TABLE, "far"), Scene("dancer 1200", TABLE, "far", "shake")), noise=2.0),
)
QUICK = ("desk", "exposure")


def frames(clip: Clip, data: Data, count: int) -> Iterator[TruthFrame]:
    """The first `count` frames of `clip`, or as many as it has; with fewer, its scenes are shorter.

    Raises
    ------
    UsageError
        A file is missing; the message says what is expected.
    """
    sensor = Sensor(clip)
    bounds = np.linspace(0, count, len(clip.scenes) + 1).round().astype(int)
    for number, (scene, begin, end) in enumerate(zip(clip.scenes, bounds[:-1], bounds[1:], strict=True)):
        cast = ((scene.person, scene.path), *scene.others)
        people, room = [_people(name, data) for name, _ in cast], _room(data.room(scene.room), scene, clip.poster)
        middle = _moved(-(room.shape[1] - WIDTH) / 2, -(room.shape[0] - HEIGHT) / 2)
        for index in range(begin, end):
            camera = CAMERAS[scene.camera](index / FPS)
            behind = cv2.warpAffine(room, (camera @ middle)[:2], (WIDTH, HEIGHT))
            gain = 2 ** (clip.drift * (_wave(index / FPS, 0.11) - 0.5))
            lit, layers = cv2.convertScaleAbs(behind, alpha=gain), []
            for (name, path), cutouts in zip(cast, people, strict=True):
                pose = camera @ PATHS[path](index / FPS, (index - begin) / max(1, end - begin))
                colours, alpha = _placed(next(cutouts), pose, HEIGHT if name.startswith("dancer") else None)
                layers.append((cv2.convertScaleAbs(colours, alpha=gain), alpha))
            bgr = sensor(composed(lit, *layers), index)
            together = reduce(lambda far, near: far + near * (1 - far), [alpha for _, alpha in layers])
            yield TruthFrame(bgr, together, lit, is_cut=number > 0 and index == begin)


def composed(room: np.ndarray, *people: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """alpha F + (1 - alpha) B, rounded once: uint8 (H, W, 3) of such a room and of people from the farthest on.

    Of each person colours, uint8 (H, W, 3), and matte, float32 (H, W).
    """
    picture: np.ndarray = room.astype(np.float32)
    for colours, alpha in people:
        picture = picture + alpha[..., None] * (colours - picture)
    return np.rint(picture).astype(np.uint8)


def poster() -> tuple[np.ndarray, np.ndarray]:
    """The poster of the clips that have one, uint8 (h, w, 3), and its corners in the frame, float32 (4, 2)."""
    return marker.poster(POSTER_HEIGHT), marker.upright(POSTER_LEFT, POSTER_TOP, POSTER_HEIGHT)


class Sensor:
    """Noise and JPEG of a clip."""

    def __init__(self, clip: Clip):
        self._clip, self._rng = clip, np.random.default_rng(SEED)
        if clip.noise:
            self._noise = self._rng.normal(0, clip.noise, (HEIGHT + 64, WIDTH + 64, 3)).round().astype(np.int16)

    def __call__(self, bgr: np.ndarray, index: int) -> np.ndarray:
        if self._clip.noise:
            y, x = self._rng.integers(0, 64, 2)
            bgr = np.clip(bgr + self._noise[y : y + HEIGHT, x : x + WIDTH], 0, 255).astype(np.uint8)
        if self._clip.jpeg is not None:
            packed = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, self._clip.jpeg))[1]
            bgr = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
        return bgr


# -- who and where -------------------------------------------------------------------------------------------------


def _people(person: str, data: Data) -> Iterator[Cutout]:
    if person.startswith("dancer"):
        return data.dancer(int(person.split()[1]))
    return chain(repeat(data.portrait(person)))


def _room(picture: np.ndarray, scene: Scene, has_poster: bool) -> np.ndarray:
    """`picture` as large as the frame, or OVERSCAN times that where the camera moves; the poster where it belongs."""
    width, height = (side if scene.camera == "still" else round(OVERSCAN * side) for side in (WIDTH, HEIGHT))
    scale = max(width / picture.shape[1], height / picture.shape[0])
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (large.shape[0] - height) // 2, round(scene.across * (large.shape[1] - width))
    room = np.ascontiguousarray(large[top : top + height, left : left + width])
    return marker.hang(room, *poster()) if has_poster else room


def _placed(cutout: Cutout, pose: np.ndarray, own_height: float | None) -> tuple[np.ndarray, np.ndarray]:
    """A person standing at the middle of the lower border, then moved by `pose`: colours and matte of the frame.

    A portrait is as high as the frame and BELOW allow with some air above; a dancer's frames fill the height.
    """
    height, width = cutout.alpha.shape
    top = np.flatnonzero(cutout.alpha.max(axis=1) > 0.5)
    head = int(top[0]) if len(top) and own_height is None else 0
    scale = (0.8 * HEIGHT + BELOW) / (height - head) if own_height is None else (own_height + BELOW) / height
    stand = np.array([[scale, 0, (WIDTH - scale * width) / 2], [0, scale, HEIGHT + BELOW - scale * height], [0, 0, 1]])
    colours, alpha, placed, size = cutout.colours, cutout.alpha, pose @ stand, (WIDTH, HEIGHT)
    while np.linalg.det(placed[:2, :2]) < 1 / 4:  # less than half as large: a warp alone would skip pixels
        colours, alpha = (
            cv2.resize(layer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for layer in (colours, alpha)
        )
        placed = placed @ np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    colours = cv2.warpAffine(colours, placed[:2], size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return colours, cv2.warpAffine(alpha, placed[:2], size, flags=cv2.INTER_LINEAR)


# -- how they move: affine maps of the frame, float64 (3, 3) ---------------------------------------------------------


def _moved(x: float = 0.0, y: float = 0.0, lean: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """By (x, y) px; turned by `lean` degrees and scaled about the middle of the lower border."""
    turned = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT + BELOW), lean, scale)
    turned[:, 2] += np.array([x, y])
    return np.vstack([turned, (0, 0, 1)])


def _wave(seconds: float, hertz: float, phase: float = 0.0) -> float:
    return float(np.sin(2 * np.pi * (hertz * seconds + phase)))


def _sway(seconds: float, share: float) -> np.ndarray:
    x = 50 * _wave(seconds, 0.11) + 18 * _wave(seconds, 0.31, 0.2)
    return _moved(x, 0, 3 * _wave(seconds, 0.17, 0.4), 1 + 0.03 * _wave(seconds, 0.13))


def _lean(seconds: float, share: float) -> np.ndarray:
    """To the camera and back, and to the sides."""
    closer = 0.5 + 0.5 * _wave(seconds, 0.14, -0.25)
    return _moved(35 * _wave(seconds, 0.09, 0.1), 0, 6 * _wave(seconds, 0.21), 1 + 0.25 * closer)


def _walk(seconds: float, share: float) -> np.ndarray:
    """In from the left, out to the right, in again; `share` of the scene is gone."""
    far = 1.1 * WIDTH
    x = np.interp(share, (0.0, 0.2, 0.5, 0.65, 0.8, 0.95), (-far, 0, 0, far, far, 0))
    return _moved(float(x), 5 * abs(_wave(seconds, 0.9)), 1.5 * _wave(seconds, 0.9), 1.0)


def _left(seconds: float, share: float) -> np.ndarray:
    return _moved(-185 + 20 * _wave(seconds, 0.13), 0, 2 * _wave(seconds, 0.19, 0.3), 0.72)


def _right(seconds: float, share: float) -> np.ndarray:
    return _moved(185 + 15 * _wave(seconds, 0.1, 0.5), 0, 2 * _wave(seconds, 0.23), 0.78)


def _across(seconds: float, share: float) -> np.ndarray:
    """From the right side out of the picture on the left, and back to the middle."""
    x = np.interp(share, (0.0, 0.1, 0.6, 1.0), (300, 300, -WIDTH, 0))
    return _moved(float(x), 0, 0, 0.8)


def _far(seconds: float, share: float) -> np.ndarray:
    """On the floor at the back, nearer and farther: of the frame's height, a tenth to a third."""
    scale = 0.23 + 0.13 * _wave(seconds, 0.15, -0.25)
    return _moved(140 * _wave(seconds, 0.12), -230 + 300 * scale, 0, scale)


PATHS = {
    "own": lambda seconds, share: np.eye(3),
    "near": lambda seconds, share: _moved(0, 0.72 * HEIGHT, 0, 1.75),  # of somebody who stands far from the camera
    "sway": _sway,
    "lean": _lean,
    "walk": _walk,
    "left": _left,
    "right": _right,
    "across": _across,
    "far": _far,
}


def _shake(seconds: float) -> np.ndarray:
    x = 7 * _wave(seconds, 0.9) + 3 * _wave(seconds, 2.3, 0.3)
    return _moved(x, 5 * _wave(seconds, 1.3, 0.1) + 2 * _wave(seconds, 2.9), 0.4 * _wave(seconds, 0.7))


CAMERAS = {
    "still": lambda seconds: np.eye(3),
    "shake": _shake,
    "pan": lambda seconds: _moved(50 * _wave(seconds, 0.08), 3 * _wave(seconds, 0.5)),
}
