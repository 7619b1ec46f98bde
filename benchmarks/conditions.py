"""jm-bench conditions: learning against not learning where the light, the camera or the format makes it hard.

Both paint the same frames, side by side and in lockstep. What is made from a clip has a truth: the label of the frame
before it was changed. A video as it comes is scored against the teacher's labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from engine.errors import UsageError
from engine.painting.scene import SceneDetector
from engine.sources import open_source
from training.datasets import VIDEO_SUFFIXES, load_images
from training.online.score import SMALL_PERSON, iou_acc
from training.teachers import load

from .harness import labels, manifest, methods
from .harness.labels import KeptTeacher, registered
from .harness.methods import OURS, STILL
from .harness.plots import Panel, panels
from .harness.progress import bar
from .harness.result import Metric, Result, Table
from .harness.scores import EVERY

FPS = 25.0  # frames per second that are painted; faster videos are thinned
FRAMES, QUICK_FRAMES = 750, 10  # of each condition
MADE_FROM = 2  # easy clips of the manifest
FLICKER, FLICKER_HZ = 0.25, 2.7  # share of the brightness; what a shutter makes of a lamp
STOPS, RAMP = 1.0, 20.0  # of the exposure, down and then up; s
PAN_WINDOW, PAN_SPEED = 0.75, 0.02  # of the width; and of it per second
SMALL_AREA = 0.03  # share of the frame that the small person has at first
View = tuple[np.ndarray, Callable[[], np.ndarray]]  # a frame uint8 (H, W, 3), and what its truth is, float32 (H, W)


@dataclass
class Curves:
    """Of one condition: scores of every EVERYth frame."""

    frames: list[int] = field(default_factory=list)
    learning: list[float] = field(default_factory=list)
    still: list[float] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)  # as the learner's detector sees them
    counts: dict[str, int] = field(default_factory=dict)  # of the learner

    def differences(self) -> tuple[float, float]:
        """Learning less not learning: of the means, and of the 5th percentiles."""
        mean = float(np.mean(self.learning) - np.mean(self.still))
        return mean, float(np.percentile(self.learning, 5) - np.percentile(self.still, 5))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    parser.add_argument("--videos", metavar="DIR", help="folder of more videos, each of which is a condition as it is")
    parser.add_argument("--rooms", metavar="DIR", help="pictures without people, for the small person")
    parser.add_argument(
        "--conditions", nargs="+", metavar="WORD", help="those alone that have one of these in the name"
    )
    methods.add_arguments(parser)
    labels.add_arguments(parser)


def main(args: argparse.Namespace) -> Result:
    args.frames = args.frames or (QUICK_FRAMES if args.quick else FRAMES)
    clips = manifest.chosen(args).clips if args.clips is not None else []
    teacher = KeptTeacher(lambda: load(args.teacher, args.threads), args.labels)
    chosen = conditions(args, clips, teacher)
    with registered(teacher) as name:
        taught = argparse.Namespace(**{**vars(args), "teacher": name})
        found = {
            title: paint(islice(views(), args.frames), taught) for title, views in bar(chosen.items(), "conditions")
        }
    mean, p5 = (min(curves.differences()[i] for curves in found.values()) for i in (0, 1))
    metrics = {
        "worst difference of means": Metric([mean], "higher", "IoU"),
        "worst difference of p5": Metric([p5], "higher", "IoU"),
    }
    metrics |= {
        f"{title}: learning": Metric([float(np.mean(c.learning))], "higher", "IoU") for title, c in found.items()
    }
    drawn = {t: Panel({OURS: (c.frames, c.learning), STILL: (c.frames, c.still)}, c.cuts) for t, c in found.items()}
    figure = panels(drawn, "frame", "IoU", f"Learning and not learning, taught by {args.teacher}; lockstep")
    numbers = {title: vars(curves) for title, curves in found.items()}
    return Result(
        "conditions", [_table(found)], {"conditions": numbers}, metrics, [_note(args)], {"conditions": figure}
    )


def _table(found: dict[str, Curves]) -> Table:
    columns = (
        "condition", "scored frames", f"{STILL}: mean", f"{OURS}: mean", "difference", f"{STILL}: p5", f"{OURS}: p5",
        "difference of p5", "cuts seen", "steps", "labels", "rollbacks", "refused",
    )  # fmt: skip
    rows = [
        (
            title, len(c.frames), float(np.mean(c.still)), float(np.mean(c.learning)), c.differences()[0],
            float(np.percentile(c.still, 5)), float(np.percentile(c.learning, 5)), c.differences()[1], len(c.cuts),
            *c.counts.values(),
        )
        for title, c in found.items()
    ]  # fmt: skip
    return Table(f"Learning against not learning, every {EVERY}th frame", columns, rows, "lockstep")


def _note(args: argparse.Namespace) -> str:
    return (
        f"IoU down to people on {SMALL_PERSON:.1%} of the frame, below that pixel accuracy. Truth: the label by "
        f"{args.teacher} of the frame as it was before it was made darker, cropped or smaller; of the other videos, of "
        "the frame as it comes."
    )


# -- painting ------------------------------------------------------------------------------------------------------


def paint(views: Iterator[View], args: argparse.Namespace) -> Curves:
    """Both sides over the same frames; the truth is asked for where it is scored."""
    curves, scene = Curves(), SceneDetector()
    with (
        methods.Method(OURS, args).open(lockstep=True) as learning,
        methods.Method(STILL, args).open(lockstep=True) as still,
    ):
        for index, (bgr, truth) in enumerate(views):
            before = scene.scene
            if scene(bgr, index / FPS) != before:
                curves.cuts.append(index)
            alphas = learning.alpha(bgr), still.alpha(bgr)
            if index % EVERY == 0:
                label = truth()
                curves.frames.append(index)
                curves.learning.append(iou_acc(label, alphas[0], SMALL_PERSON))
                curves.still.append(iou_acc(label, alphas[1], SMALL_PERSON))
        stats = learning.stats.learning
    if not curves.frames:
        raise UsageError("a condition has no frames; expected clips with pictures in them")
    assert stats is not None
    curves.counts = {key: getattr(stats, key) for key in ("steps", "calls", "rollbacks", "refused")}
    return curves


# -- what is painted -----------------------------------------------------------------------------------------------


def conditions(
    args: argparse.Namespace, clips: list[manifest.Clip], teacher: KeptTeacher
) -> dict[str, Callable[[], Iterator[View]]]:
    """title -> its views, for everything that can be made of what was given."""
    found: dict[str, Callable[[], Iterator[View]]] = {}
    easy = [clip for clip in clips if clip.difficulty == "easy"] or clips
    rooms = load_images(args.rooms) if args.rooms else []
    for i, clip in enumerate(easy[: 1 if args.quick else MADE_FROM]):
        found[f"lamp, {clip.name}"] = partial(made, clip.path, teacher, lamp)
        found[f"exposure, {clip.name}"] = partial(made, clip.path, teacher, exposure)
        found[f"pan, {clip.name}"] = partial(made, clip.path, teacher, pan)
        if rooms:
            found[f"small person, {clip.name}"] = partial(small_person, clip.path, teacher, rooms[i % len(rooms)])
    if args.videos:
        paths = sorted(p for p in Path(args.videos).iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        found |= {path.stem: partial(as_it_comes, str(path), teacher) for path in paths}
    if args.conditions:
        found = {title: views for title, views in found.items() if any(word in title for word in args.conditions)}
    if not found:
        raise UsageError(f"nothing to paint; give --clips DIR or --videos DIR, or other --conditions. {manifest.WHERE}")
    return found


def frames_of(path: str) -> Iterator[np.ndarray]:
    """The frames of a video at about FPS."""
    source = open_source(path)
    step = max(1, round((source.fps or FPS) / FPS))
    try:
        yield from (frame.bgr for frame in source if frame.index % step == 0)
    finally:
        source.close()


def as_it_comes(path: str, teacher: KeptTeacher) -> Iterator[View]:
    for bgr in frames_of(path):
        yield bgr, partial(teacher.whole, bgr)


Change = Callable[[np.ndarray, float, bool], np.ndarray]  # of a picture or its label, at a time (s)


def made(path: str, teacher: KeptTeacher, change: Change) -> Iterator[View]:
    """A clip, and the labels of its own frames, both changed in the same way."""

    def truth(bgr: np.ndarray, at: float) -> np.ndarray:
        return change(teacher.whole(bgr), at, True)

    for index, bgr in enumerate(frames_of(path)):
        yield change(bgr, index / FPS, False), partial(truth, bgr, index / FPS)


def lamp(image: np.ndarray, at: float, label: bool) -> np.ndarray:
    """A lamp that flickers."""
    return image if label else brighter(image, 1 + FLICKER * np.sin(2 * np.pi * FLICKER_HZ * at))


def exposure(image: np.ndarray, at: float, label: bool) -> np.ndarray:
    """A camera that sets its exposure: STOPS down and up again."""
    return image if label else brighter(image, 2 ** (-STOPS * np.sin(2 * np.pi * at / RAMP)))


def pan(image: np.ndarray, at: float, label: bool) -> np.ndarray:
    """A window that moves slowly over the picture, to its end and back."""
    width = image.shape[1]
    window = round(PAN_WINDOW * width)
    room = width - window
    moved = round(PAN_SPEED * width * at) % (2 * room)
    left = min(moved, 2 * room - moved)
    return np.ascontiguousarray(image[:, left : left + window])


def brighter(bgr: np.ndarray, gain: float) -> np.ndarray:
    """`bgr` uint8, `gain` times as bright."""
    return cv2.convertScaleAbs(bgr, alpha=gain)


def small_person(path: str, teacher: KeptTeacher, room: np.ndarray) -> Iterator[View]:
    """The person of a clip, smaller, standing at the lower edge of a still room uint8 (H, W, 3)."""
    scale = 0.0
    for bgr in frames_of(path):
        matte = teacher.whole(bgr)
        scale = scale or float(min(1.0, (SMALL_AREA / max(matte.mean(), SMALL_AREA)) ** 0.5))
        height, width = matte.shape
        picture = cv2.resize(room, (width, height), interpolation=cv2.INTER_AREA)
        small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(matte, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        left = (width - small.shape[1]) // 2
        there = slice(height - small.shape[0], height), slice(left, left + small.shape[1])
        truth = np.zeros(matte.shape, np.float32)
        truth[there] = alpha
        picture[there] = np.rint(small * alpha[..., None] + picture[there] * (1 - alpha[..., None]))
        yield picture, truth.copy
