"""People cut out of where they were: their colours, carried past their edge, and a matte; and rooms without people.

Whoever is pasted into another room must not bring the old one along, at no pixel of the edge: colours near it are
taken from further inside. A matte may be wrong about a hair; pasted with it, it is the truth by construction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from engine.errors import UsageError
from engine.sources import open_source
from training.datasets import VIDEO_SUFFIXES

from .leaks import certain
from .scores import Label

SOLID = 0.95  # alpha from which a pixel's colour is the person's own
SMALL = 200  # px; a lone patch of the dancer's matte below that is the codec's
KEY_LOW, KEY_HIGH = 24, 232  # of 255: the dancer's matte is stretched to that, which takes the codec's ripple out
SHRINK, INSIDE = 1, 2  # px of a portrait: what its mask loses at the edge, and how far inside its colours are taken
DANCER_INSIDE = 3  # px; its green fringe is so wide
SOFTNESS = 0.7  # px, sigma of a portrait's edge
EMPTY, AWAY = 0.03, 15  # alpha below which, and px from anything above it, a clip shows its room alone
LOOKS = 15  # frames of a clip, at least, that its room is put together from
COARSE = 8  # px; a hole that people left in it is filled so smoothly


@dataclass(frozen=True)
class Cutout:
    """A person, cut off at the lower border."""

    colours: np.ndarray  # uint8 (h, w, 3), BGR, everywhere
    alpha: np.ndarray  # float32 (h, w) in [0, 1]


class Data:
    """A folder with people/valid/{images,masks}, backgrounds/, clips/ and clips2/dancer_alpha.webm."""

    def __init__(self, folder: Path, label: Label):
        """`label` finds the people who have to go out of a clip's room."""
        self.folder, self._label = folder, label
        self._emptied: dict[Path, np.ndarray] = {}

    def room(self, name: str) -> np.ndarray:
        """A room, uint8 (h, w, 3): a picture by its path in the folder, or what is behind the people of a clip."""
        path = self.folder / name
        if path.suffix not in VIDEO_SUFFIXES:
            return _read(path, cv2.IMREAD_COLOR)
        if not path.is_file():
            raise UsageError(_missing(path))
        if path not in self._emptied:
            self._emptied[path] = emptied(str(path), self._label)
        return self._emptied[path]

    def portrait(self, name: str) -> Cutout:
        """Somebody of people/valid, down to where the picture's sides cut them off."""
        folder = self.folder / "people" / "valid"
        bgr = _read(folder / "images" / f"{name}.jpg", cv2.IMREAD_COLOR)
        mask = _read(folder / "masks" / f"{name}.png", cv2.IMREAD_GRAYSCALE) > 127
        cut_off = np.flatnonzero(mask[:, 0] | mask[:, -1])
        height = cut_off[0] if len(cut_off) else len(mask)
        return portrait(bgr[:height], mask[:height])

    def dancer(self, start: int) -> Iterator[Cutout]:
        """Frames of the dancer from the one numbered `start` on."""
        path = self.folder / "clips2" / "dancer_alpha.webm"
        if not path.is_file():
            raise UsageError(_missing(path))
        return (dancer(bgra) for bgra in islice(_with_alpha(path), start, None))


def portrait(bgr: np.ndarray, mask: np.ndarray) -> Cutout:
    """A picture uint8 (h, w, 3) and its mask, bool (h, w)."""
    shrunk = _eroded(mask, SHRINK)
    alpha = cv2.GaussianBlur(shrunk.astype(np.float32), (0, 0), SOFTNESS)
    return Cutout(extended(bgr, _eroded(shrunk, INSIDE)), alpha)


def dancer(bgra: np.ndarray) -> Cutout:
    """A frame that was keyed out of a green screen, uint8 (h, w, 4)."""
    bgr, key = np.ascontiguousarray(bgra[..., :3]), bgra[..., 3]
    _, labels, stats, _ = cv2.connectedComponentsWithStats((key >= KEY_LOW).astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] >= SMALL
    large[0] = False  # what is below KEY_LOW
    alpha = np.clip((key.astype(np.float32) - KEY_LOW) / (KEY_HIGH - KEY_LOW), 0, 1) * large[labels]
    blue, green, red = (bgr[..., i].astype(np.int16) for i in range(3))
    grey = (blue + red) // 2  # skin, cloth and hair have no more green than that; what has is spill
    inside = _eroded(alpha > SOLID, DANCER_INSIDE) & (green <= grey + grey // 4)
    bgr[..., 1] = np.minimum(green, grey)
    return Cutout(extended(bgr, inside), alpha)


def emptied(clip: str, label: Label) -> np.ndarray:
    """The room of a clip whose camera stands still, uint8 (h, w, 3): the median of what is seen beside the people.

    Where somebody always was, it is what the edge of that hole continues to.
    """
    frames = _spread(clip)
    people = np.stack([~certain(label(bgr) < EMPTY, AWAY) for bgr in frames])
    hole = np.logical_and.reduce(people)
    room = np.empty_like(frames[0])
    for y, looks in enumerate(np.stack(frames, axis=1)):  # line by line: all in floating point would be a gigabyte
        seen = np.where((people[:, y] & ~hole[y])[..., None], np.nan, looks)
        room[y] = np.nanmedian(seen, axis=0)
    if not hole.any():
        return room
    size = room.shape[1] // COARSE, room.shape[0] // COARSE
    coarse_hole = cv2.dilate(cv2.resize(hole.astype(np.uint8), size, interpolation=cv2.INTER_AREA), np.ones((3, 3)))
    coarse = cv2.inpaint(cv2.resize(room, size, interpolation=cv2.INTER_AREA), coarse_hole, 3, cv2.INPAINT_NS)
    edge = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), COARSE / 2)[..., None]
    filled = cv2.resize(coarse, room.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.rint(np.where(hole[..., None], filled, filled * edge + room * (1 - edge))).astype(np.uint8)


def _spread(clip: str) -> list[np.ndarray]:
    """LOOKS frames of a clip or up to twice as many, evenly spread; how long it is need not be known."""
    kept: list[np.ndarray] = []
    step = 1
    for frame in open_source(clip):
        if frame.index % step == 0:
            kept.append(frame.bgr)
        if len(kept) == 2 * LOOKS:
            kept, step = kept[::2], 2 * step
    return kept


def extended(bgr: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """`bgr`, uint8 (h, w, 3), with the nearest colour of `inside`, bool (h, w), everywhere else, a little blurred."""
    if not inside.any():
        return bgr
    outside = (~inside).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    place = np.zeros(int(nearest.max()) + 1, np.intp)
    place[nearest[inside]] = np.flatnonzero(inside)
    filled = bgr.reshape(-1, 3)[place[nearest]]
    filled[~inside] = cv2.blur(filled, (5, 5))[~inside]
    return filled


def _eroded(mask: np.ndarray, pixels: int) -> np.ndarray:
    """bool (h, w); the picture's border is no edge."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.erode(mask.astype(np.uint8), disk) > 0


def _with_alpha(path: Path) -> Iterator[np.ndarray]:
    """Frames uint8 (h, w, 4) of a VP8 clip whose alpha FFmpeg's own decoder would drop."""
    from engine.media.ffmpeg import av

    decoder = av.CodecContext.create("libvpx", "r")
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            for picture in decoder.decode(packet):
                yield picture.to_ndarray(format="bgra")


def _read(path: Path, mode: int) -> np.ndarray:
    image = cv2.imread(str(path), mode)
    if image is None:
        raise UsageError(_missing(path))
    return image


def _missing(path: Path) -> str:
    return f"cannot read {path}; --data expects {Data.__doc__}"
