"""People with masks, as arrays in memory, from the layouts in which such sets are published. Knows nothing of training.

    DIR/images/NAME.*, DIR/masks/NAME.*                             any set of pictures; 255 = person
    DIR/JPEGImages/480p/SEQUENCE/*.jpg, DIR/Annotations/480p/...    DAVIS 2016
    DIR/dsN/img/NAME, DIR/dsN/ann/NAME.json                         Supervisely Person
    DIR/*.mp4 ...                                                   videos, labelled by a teacher

Every sample carries its group: pictures of one video, one sequence, or pictures that look alike. A split holds back
whole groups, so that nobody is validated on who was trained on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from engine.errors import UsageError
from engine.sources import open_source

from .online.score import iou

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi"}
MAX_SIDE = 640  # pixels; larger pictures are shrunk when read: a student sees no more, and memory is short
LOOK, ALIKE = "look ", 6  # what marks the 64 bits of `_look`; so many may differ in pictures that look alike
EVERY = 6  # frames of a video between two that are labelled
BAND = 0.02  # of the longer side; so near to a mask's edge a teacher's matte is finer than the mask
SAME_PERSON = 0.8  # IoU of a mask and a teacher's label, from which they mean the same
LAYOUTS = "images/ and masks/, DAVIS 2016 (JPEGImages/480p), Supervisely Person (dsN/img and dsN/ann), or videos"

Label = Callable[[np.ndarray], np.ndarray]  # a teacher: bgr uint8 (H, W, 3) -> float (h, w) in [0, 1]


@dataclass(frozen=True)
class Sample:
    """One picture of a person, or of nobody."""

    bgr: np.ndarray  # uint8 (H, W, 3)
    mask: np.ndarray  # uint8 (H, W), 255 = person; soft where a teacher made it
    group: str  # samples of one group are never divided


def load_dataset(folder: str | Path, teacher: Label | None = None) -> list[Sample]:
    """Every sample of `folder`, whichever of the layouts it has; `teacher` labels videos, and refines masks' edges.

    Raises
    ------
    UsageError
        The folder has none of the layouts, a mask is missing, or a file cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"no folder {root}; expected one with {LAYOUTS}")
    if (root / "JPEGImages" / "480p").is_dir():
        samples = [_refined(sample, teacher) for sample in _davis(root)]
    elif (root / "images").is_dir() and (root / "masks").is_dir():
        samples = [_refined(sample, teacher) for sample in _pairs(root)]
    elif any(root.glob("*/ann")):
        samples = [_refined(sample, teacher) for sample in _supervisely(root)]
    elif _files(root, VIDEO_SUFFIXES):
        if teacher is None:
            raise UsageError(f"{root} holds videos without masks; say who labels them with --teacher rvm")
        samples = [sample for path in _files(root, VIDEO_SUFFIXES) for sample in _video(path, teacher)]
    else:
        raise UsageError(f"{root} is no data set; expected {LAYOUTS}")
    if not samples:
        raise UsageError(f"{root} holds no pictures; expected {', '.join(sorted(IMAGE_SUFFIXES))}")
    return samples


def fused(mask: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Who finds people and who draws their edges: `mask` decides, `label` refines what is near its edge.

    Parameters
    ----------
    mask : uint8 (H, W), 255 = person, hard: people's own, or a finder's.
    label : uint8 (H, W), a matte; not used where it means another person, or nobody.
    """
    if iou(mask > 127, label / np.float32(255)) < SAME_PERSON:
        return mask
    side = 2 * max(1, round(BAND * max(mask.shape))) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.clip(label, cv2.erode(mask, disk), cv2.dilate(mask, disk))


def load_images(folder: str | Path) -> list[np.ndarray]:
    """Every image of `folder` as uint8 BGR: backgrounds without people."""
    images = [_read(path, cv2.IMREAD_COLOR) for path in _files(Path(folder), IMAGE_SUFFIXES)]
    if not images:
        raise UsageError(f"{folder} holds no images; expected pictures without people")
    return images


def split(samples: list[Sample], share: float) -> tuple[list[Sample], list[Sample]]:
    """(train, held back): about `share` of the groups, chosen by their names alone, so the same on every machine.

    Pictures that nearly look alike are one group.
    """
    same = _alike(sorted({s.group for s in samples}))
    back = {group for group, first in same.items() if _fraction(first) < share}
    return [s for s in samples if s.group not in back], [s for s in samples if s.group in back]


def _alike(groups: list[str]) -> dict[str, str]:
    """Each group -> the first of those that it belongs together with, directly or by way of others."""
    looks = [group for group in groups if group.startswith(LOOK)]
    bits = np.array([list(bytes.fromhex(look.removeprefix(LOOK))) for look in looks], np.uint8).reshape(-1, 8)
    near = [np.unpackbits(bits ^ own, axis=1).sum(1) <= ALIKE for own in bits]
    first, settled = np.arange(len(looks)), False
    while not settled:
        before = first.copy()
        for neighbours in near:
            first[neighbours] = first[neighbours].min()  # each is its own neighbour
        settled = np.array_equal(first, before)
    return {group: group for group in groups} | {look: looks[k] for look, k in zip(looks, first, strict=True)}


def _fraction(group: str) -> float:
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") / 2**32


# -- the layouts ---------------------------------------------------------------------------------------------------


def _pairs(root: Path) -> Iterator[Sample]:
    masks = {p.stem: p for p in _files(root / "masks", IMAGE_SUFFIXES)}
    for path in _files(root / "images", IMAGE_SUFFIXES):
        if path.stem not in masks:
            raise UsageError(f"{path} has no mask; expected {root / 'masks' / path.stem}.png")
        yield _sample(_read(path, cv2.IMREAD_COLOR), _read(masks[path.stem], cv2.IMREAD_GRAYSCALE), path)


def _davis(root: Path) -> Iterator[Sample]:
    for sequence in sorted(p for p in (root / "JPEGImages" / "480p").iterdir() if p.is_dir()):
        for path in _files(sequence, IMAGE_SUFFIXES):
            annotation = root / "Annotations" / "480p" / sequence.name / f"{path.stem}.png"
            if not annotation.is_file():
                raise UsageError(f"{path} has no annotation; expected {annotation}")
            mask = (_read(annotation, cv2.IMREAD_GRAYSCALE) > 0).astype(np.uint8) * 255
            yield _sample(_read(path, cv2.IMREAD_COLOR), mask, path, group=f"davis {sequence.name}")


def _supervisely(root: Path) -> Iterator[Sample]:
    """docs.supervisely.com: every object of the class person is drawn, as a bitmap or a polygon."""
    for path in sorted(root.glob("*/img/*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        folder = path.parent.parent / "ann"
        annotation = next(
            (p for p in (folder / f"{path.name}.json", folder / f"{path.stem}.json") if p.is_file()), None
        )
        if annotation is None:
            raise UsageError(f"{path} has no annotation; expected {folder / path.name}.json")
        bgr = _read(path, cv2.IMREAD_COLOR)
        mask = np.zeros(bgr.shape[:2], np.uint8)
        try:
            for thing in json.loads(annotation.read_text(encoding="utf-8"))["objects"]:
                if thing["classTitle"].startswith("person"):
                    _draw(thing, mask)
        except (KeyError, ValueError, TypeError, zlib.error) as error:
            raise UsageError(f"cannot use {annotation}: {error!r}; expected Supervisely's format") from error
        yield _sample(bgr, mask, path)


def _draw(thing: dict, mask: np.ndarray) -> None:
    if thing.get("bitmap"):
        packed = np.frombuffer(zlib.decompress(base64.b64decode(thing["bitmap"]["data"])), np.uint8)
        bitmap = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)
        if bitmap is None:
            raise ValueError("a bitmap that is no picture")
        person = bitmap[..., -1] > 0 if bitmap.ndim == 3 else bitmap > 0
        x, y = thing["bitmap"]["origin"]
        window = mask[y : y + person.shape[0], x : x + person.shape[1]]
        window[person[: window.shape[0], : window.shape[1]]] = 255
    else:
        rings = [thing["points"]["exterior"], *thing["points"]["interior"]]
        own = np.zeros_like(mask)  # holes are cut out of this person, not out of the one behind
        cv2.fillPoly(own, [np.rint(np.array(ring)).astype(np.int32) for ring in rings if len(ring) > 2], 255)
        np.maximum(mask, own, out=mask)


def _refined(sample: Sample, teacher: Label | None) -> Sample:
    return sample if teacher is None else replace(sample, mask=fused(sample.mask, _label(sample.bgr, teacher)))


def _label(bgr: np.ndarray, teacher: Label) -> np.ndarray:
    """uint8 (H, W), at the picture's size."""
    return np.rint(cv2.resize(teacher(bgr), bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR) * 255).astype(np.uint8)


def _video(path: Path, teacher: Label) -> Iterator[Sample]:
    for frame in open_source(str(path)):
        if frame.index % EVERY == 0:
            bgr = _shrunk(frame.bgr)
            yield Sample(bgr, _label(bgr, teacher), f"video {path.name}")


# -- files ---------------------------------------------------------------------------------------------------------


def _files(folder: Path, suffixes: set[str]) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes)


def _read(path: Path, mode: int) -> np.ndarray:
    image = cv2.imread(str(path), mode)
    if image is None:
        raise UsageError(f"cannot read the image {path}; expected one of {', '.join(sorted(IMAGE_SUFFIXES))}")
    return image


def _sample(bgr: np.ndarray, mask: np.ndarray, path: Path, group: str | None = None) -> Sample:
    if bgr.shape[:2] != mask.shape:
        raise UsageError(f"{path} is {bgr.shape[1]}x{bgr.shape[0]} and its mask {mask.shape[1]}x{mask.shape[0]}")
    bgr, mask = _shrunk(bgr), _shrunk(mask)
    return Sample(bgr, mask, group or _look(bgr))


def _shrunk(image: np.ndarray) -> np.ndarray:
    scale = MAX_SIDE / max(image.shape[:2])
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _look(bgr: np.ndarray) -> str:
    """The same for pictures that differ only in size, compression or a little light: which neighbour is brighter."""
    grey = cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    return LOOK + np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()
