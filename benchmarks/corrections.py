"""jm-bench corrections: a thing in somebody's hand that the teacher loses, or keeps, and one stroke that corrects it.

Where the thing is is known (`benchmarks.harness.held`); who is the person is the reference's label of the clip without
it. All in lockstep. Afterwards another masker comes into the same room, with what lies on disk and no stroke.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from engine import Masker
from engine.contracts import RoomOptions

from .harness import held, labels
from .harness.evaluation import REFERENCE, kept_teacher
from .harness.held import Held, HeldFrame
from .harness.methods import BACKGROUND
from .harness.progress import bar
from .harness.result import Metric, Result, Table
from .harness.scores import Label
from .harness.sheets import small, stacked

STROKE_AT = 50  # frame of the stroke
LEARNT = 12  # frames after it that are not scored: half a second
FRAMES = 300
AGAIN = 25  # frames of the next visit
RIGHT = 0.8  # share of the thing's pixels that have to be as the user wants them
EVERY = 10  # frames; so often the rest of the picture is scored
MOMENTS = (30, 66, 110, 160, 210, 260)  # frames of the sheet


@dataclass
class Scores:
    """Of one run."""

    right: list[bool] = field(default_factory=list)  # by frame
    shown: list[float] = field(default_factory=list)  # share of the frame that is room and painted
    lost: list[float] = field(default_factory=list)  # share of the frame that is person and is not
    pictures: list[np.ndarray] = field(default_factory=list)  # at MOMENTS

    def add(self, alpha: np.ndarray, frame: HeldFrame, keep: bool) -> None:
        self.right.append(is_right(alpha, frame, keep))

    def add_rest(self, alpha: np.ndarray, frame: HeldFrame, person: np.ndarray) -> None:
        """`person` : float32 (H, W), the label of the clip without the thing."""
        beside = frame.thing < 0.05
        self.shown.append(float(np.mean(alpha * (beside & (person < 0.1)))))
        self.lost.append(float(np.mean((1 - alpha) * (beside & (person > 0.9)))))


def is_right(alpha: np.ndarray, frame: HeldFrame, keep: bool) -> bool:
    """Whether the thing is painted, or not, as the user wants it; `alpha` float32 (H, W)."""
    painted = alpha[frame.thing > 0.9] > 0.5
    return bool(np.mean(painted == keep) >= RIGHT)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", required=True, help="clips/, clips2/, backgrounds/, davis2016/")
    labels.add_arguments(parser)


def main(args: argparse.Namespace) -> Result:
    data = Path(args.data)
    clips = held.CLIPS[:1] if args.quick else held.CLIPS
    frames = 120 if args.quick else FRAMES
    label = kept_teacher(REFERENCE, args).whole
    rows: list[tuple[object, ...]] = []
    strips: dict[str, list[np.ndarray]] = {}
    with_stroke = []
    for clip in bar(clips, "things"):
        teacher = _teacher_alone(clip, data, frames, label)
        before, _ = run(clip, data, frames, label, stroke=False)
        after, again = run(clip, data, frames, label, stroke=True)
        with_stroke.append(float(np.mean(after.right)))
        rows.append((
            clip.name, teacher, _percent(before.right), _percent(after.right), _percent(again[:1]), _percent(again),
            _percent(before.shown), _percent(after.shown), _percent(before.lost), _percent(after.lost),
        ))  # fmt: skip
        strips |= {f"{clip.name}:": before.pictures, f"{clip.name}, one stroke": after.pictures}
    means = np.mean([[float(str(cell)) for cell in row[1:]] for row in rows], axis=0)
    rows.append(("mean", *map(float, means)))
    columns = (
        "thing", f"{REFERENCE}: right, % of frames", "no stroke: right", "one stroke: right", "next visit, first frame",
        f"next visit, first {AGAIN}", "room shown, no stroke, % of frame", "one stroke", "person lost, no stroke",
        "one stroke ",
    )  # fmt: skip
    notes = [
        f"A frame is right where {RIGHT:.0%} of the thing's pixels are painted, or are not, as the user wants it. The "
        f"stroke comes at frame {STROKE_AT}; scored are frames {STROKE_AT + LEARNT} to {frames}. The thing is pasted "
        "over a real clip. Room and person: the reference's label of the clip without the thing.",
    ]
    metrics = {"right after one stroke": Metric([100 * float(np.mean(with_stroke))], "higher", "%")}
    table = Table("Corrected by one stroke", columns, rows, "lockstep")
    return Result("corrections", [table], {}, metrics, notes, sheets={"corrections": stacked(strips)})


def run(clip: Held, data: Path, frames: int, label: Label, stroke: bool) -> tuple[Scores, list[bool]]:
    """One run, with the stroke or without, and whether the thing is right on the frames of the next visit."""
    scores, again = Scores(), []
    with tempfile.TemporaryDirectory() as folder:
        rooms = RoomOptions(Path(folder))
        with _open(rooms) as masker:
            for index, frame in held.frames(clip, data, 0, frames):
                if stroke and index == STROKE_AT:
                    masker.correct(held.stroke_over(frame.thing, clip.keep).points, clip.keep)
                painted = masker.process(frame.bgr)
                alpha = painted.alpha.astype(np.float32) / 255
                if index in MOMENTS:
                    scores.pictures.append(_of_one_size(painted.picture))
                if index >= STROKE_AT + LEARNT:
                    scores.add(alpha, frame, clip.keep)
                    if index % EVERY == 0:
                        scores.add_rest(alpha, frame, label(frame.without))
        if stroke:
            with _open(rooms) as masker:
                for _, frame in held.frames(clip, data, frames, frames + AGAIN):
                    again.append(is_right(masker.alpha(frame.bgr), frame, clip.keep))
    return scores, again


def _open(rooms: RoomOptions) -> Masker:
    return Masker("ort-cpu", REFERENCE, BACKGROUND, threads=1, lockstep=True, rooms=rooms)


def _teacher_alone(clip: Held, data: Path, frames: int, label: Label) -> float:
    """Percent of frames that the reference gets right, each frame alone."""
    scored = held.frames(clip, data, STROKE_AT + LEARNT, frames)
    return _percent([is_right(label(frame.bgr), frame, clip.keep) for index, frame in scored if index % EVERY == 0])


def _percent(values: list[bool] | list[float]) -> float:
    return 100 * float(np.mean(values))


def _of_one_size(bgr: np.ndarray) -> np.ndarray:
    picture = small(bgr)
    return cv2.copyMakeBorder(picture, 0, 0, 0, max(0, 200 - picture.shape[1]), cv2.BORDER_CONSTANT)[:, :200]
