"""jm-bench manifest: where the scene changes of clips are, found as the learner finds them, and their manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from training.online.scene import CutDetector

from engine.errors import UsageError
from engine.sources import open_source
from training.datasets import VIDEO_SUFFIXES

from .harness.manifest import Clip, difficulty, write_manifest
from .harness.progress import bar
from .harness.result import Result, Table

SIDE = 256  # pixels; what the detector is shown, as the student's input


def cuts_of(path: str) -> list[int]:
    """Frames of the clip at `path` that are the first of a new scene."""
    detector, source = CutDetector((1.0, 1.0, 1.0)), open_source(path)
    found = []
    for frame in bar(source, "looking for cuts", source.frames):
        if detector(shrunk(frame.bgr)):
            found.append(frame.index)
    return found


def shrunk(bgr: np.ndarray) -> np.ndarray:
    """What CutDetector wants: float32 (1, 3, h, w) in [0, 1], of uint8 (H, W, 3)."""
    return cv2.resize(bgr, (SIDE, SIDE)).transpose(2, 0, 1)[None].astype(np.float32) / 255


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="of clips")
    parser.add_argument("--title", help="of the set; default: the folder's name")
    parser.add_argument(
        "--stand-in", action="store_true", help="say beside every number that it is not the paper's set"
    )


def main(args: argparse.Namespace) -> Result:
    """A manifest on standard output, as the result's first note; look at the cuts before it is used."""
    folder = Path(args.folder)
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}; expected one with clips ({', '.join(sorted(VIDEO_SUFFIXES))})")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise UsageError(f"{folder} holds no clips; expected {', '.join(sorted(VIDEO_SUFFIXES))}")
    clips = []
    for path in paths:
        cuts = tuple(cuts_of(str(path)))
        clips.append(Clip(path.stem, str(path), difficulty(len(cuts)), cuts))
    rows = [(clip.name, clip.difficulty, len(clip.cuts), " ".join(map(str, clip.cuts))) for clip in clips]
    table = Table(f"Cuts of {folder.name}", ("clip", "difficulty", "cuts", "frames"), rows, None)
    text = write_manifest(args.title or folder.name, clips, args.stand_in)
    return Result(
        "manifest", [table], {"clips": {c.name: list(c.cuts) for c in clips}}, notes=[f"```toml\n{text}\n```"]
    )
