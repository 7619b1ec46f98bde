"""jm-bench manifest: where the scene changes of clips are, found as the learner finds them, and their manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.errors import UsageError
from engine.painting.scene import SceneDetector
from engine.sources import open_source
from training.datasets import VIDEO_SUFFIXES

from .harness.manifest import Clip, difficulty, write_manifest
from .harness.progress import bar
from .harness.result import Result, Table


def cuts_of(path: str) -> list[int]:
    """Frames of the clip at `path` that are the first of a new scene."""
    detector, source = SceneDetector(), open_source(path)
    found, last = [], 0
    for frame in bar(source, "looking for cuts", source.frames):
        scene = detector(frame.bgr, frame.position)
        if scene != last:
            found.append(frame.index)
        last = scene
    return found


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
