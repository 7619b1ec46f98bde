"""Which clips a bench runs on: a TOML with each clip's name, file, difficulty and cuts, as for the paper's VideoCall.

    title = "…"                          what the set is; shown beside every number
    stand_in = true                      it is not the paper's own set
    [[clip]]
    name = "med1"
    file = "med1.mp4"                    in the folder given with --clips
    difficulty = "medium"                the paper's rule, checked: see `difficulty`
    cuts = [600]                         frames that are the first of a new scene
    changes = [900]                      frames where the scene changes without a cut: somebody comes or goes; optional

Knows nothing about pixels: where the cuts are is told, or found by `benchmarks.cuts`.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UsageError

STAND_IN = Path(__file__).with_name("stand_in.toml")
DIFFICULTIES = ("easy", "medium", "hard")
QUICK = ("easy2_capture5", "med3_noface_face", "hard5_rooms")  # one of each; the rest is left out by --quick
QUICK_FRAMES = 50  # frames of each clip
WHERE = (
    "The paper's VideoCall set (17 one-minute recordings) is not published; put clips of your own into a folder and "
    "write their manifest with `jm-bench manifest FOLDER`"
)


@dataclass(frozen=True)
class Clip:
    """One clip of a manifest."""

    name: str
    path: str  # what `engine.sources.open_source` takes
    difficulty: str  # one of DIFFICULTIES
    cuts: tuple[int, ...]  # frames, each the first of a new scene; not the clip's first
    changes: tuple[int, ...] = ()  # frames where somebody comes or goes, without a cut


@dataclass(frozen=True)
class Manifest:
    """A set of clips, and how to name it beside a number."""

    title: str
    clips: list[Clip]


def difficulty(changes: int) -> str:
    """The paper's rule for Figures 3 and 4: easy without a scene change, medium with one, hard with two or more."""
    return DIFFICULTIES[min(changes, 2)]


def read_manifest(path: str | Path, folder: str | Path) -> Manifest:
    """The manifest in `path`, for the clips in `folder`.

    Raises
    ------
    UsageError
        The manifest, the folder or a clip is missing, or the manifest cannot be meant; the message names the path and
        says where such a set is had.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the manifest {path}: {error}. {WHERE}") from error
    if not Path(folder).is_dir():
        raise UsageError(f"no folder {folder}; expected the clips of {path}. {WHERE}")
    clips = [_clip(entry, Path(path), Path(folder)) for entry in table.get("clip", [])]
    if not clips:
        raise UsageError(f"{path} lists no clip; expected [[clip]] with name, file, difficulty and cuts")
    title = str(table.get("title", Path(path).stem))
    return Manifest(f"{title} (stand-in)" if table.get("stand_in") else title, clips)


def _clip(entry: dict[str, Any], manifest: Path, folder: Path) -> Clip:
    missing = sorted({"name", "file", "difficulty", "cuts"} - entry.keys())
    if missing:
        raise UsageError(f"{manifest}: clip {entry.get('name', '?')!r} has no {missing[0]!r}")
    name = str(entry["name"])
    cuts, changes = (_moments(entry.get(key, []), f"{manifest}: {key} of {name!r}") for key in ("cuts", "changes"))
    scenes = len(cuts) + len(changes)
    if entry["difficulty"] != difficulty(scenes):
        raise UsageError(
            f"{manifest}: {name!r} is called {entry['difficulty']!r} and has {scenes} scene change(s); by the paper's "
            f"rule that is {difficulty(scenes)!r}"
        )
    path = folder / str(entry["file"])
    if not path.is_file():
        raise UsageError(f"no file {path}, which {manifest} lists as {name!r}. {WHERE}")
    return Clip(name, str(path), entry["difficulty"], cuts, changes)


def _moments(frames: Any, what: str) -> tuple[int, ...]:
    if not isinstance(frames, list) or not all(isinstance(frame, int) and frame > 0 for frame in frames):
        raise UsageError(f"{what} are {frames!r}; expected frame numbers above 0")
    if frames != sorted(set(frames)):
        raise UsageError(f"{what} are {frames!r}; expected them to rise")
    return tuple(frames)


def write_manifest(title: str, clips: Sequence[Clip], stand_in: bool) -> str:
    """The TOML of `clips`, which lie in one folder."""
    lines = [f'title = "{title}"', f"stand_in = {str(stand_in).lower()}"]
    for clip in clips:
        lines += ["", "[[clip]]", f'name = "{clip.name}"', f'file = "{Path(clip.path).name}"']
        lines += [f'difficulty = "{clip.difficulty}"', f"cuts = {list(clip.cuts)}"]
        lines += [f"changes = {list(clip.changes)}"] if clip.changes else []
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options by which every bench over clips is told which."""
    folder = os.environ.get("JM_CLIPS")
    parser.add_argument("--clips", default=folder, metavar="DIR", help="folder of the manifest's clips, or JM_CLIPS")
    parser.add_argument("--manifest", default=str(STAND_IN), metavar="TOML", help="default: the stand-in clips'")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these clips of the manifest and no other")
    parser.add_argument("--frames", type=int, help="at most so many of each clip; default: all")


def chosen(args: argparse.Namespace, quick_frames: int = QUICK_FRAMES) -> Manifest:
    """The clips that `args` asks for; `--quick` takes a few, and sets `args.frames` where it is not given.

    Raises
    ------
    UsageError
        As `read_manifest`, or there is no clip of a name.
    """
    if args.clips is None:
        raise UsageError(f"this bench needs clips: --clips DIR, or JM_CLIPS in the environment. {WHERE}")
    manifest = read_manifest(args.manifest, args.clips)
    names = args.only
    if args.quick:
        names = names or [name for name in QUICK if any(c.name == name for c in manifest.clips)]
        args.frames = args.frames or quick_frames
    if not names:
        return manifest
    unknown = sorted(set(names) - {clip.name for clip in manifest.clips})
    if unknown:
        known = ", ".join(clip.name for clip in manifest.clips)
        raise UsageError(f"no clip {unknown[0]!r} in {args.manifest}; choose of {known}")
    return Manifest(manifest.title, [clip for clip in manifest.clips if clip.name in names])
