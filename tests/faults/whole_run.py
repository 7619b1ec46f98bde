"""A whole run of jm-engine on a clip whose truth is known: frames, the room shown, messages, exit code.

The clip is tests/data/person.mp4: the shipped student finds its person (IoU > .9) and shows .004 of its room.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.clips import read_clip
from tests.data.make_clip import CLIP, PERSON

FRAMES = 24  # of a run, where nothing else is said
MAX_ROOM = 0.02  # share of the room that may be shown, on the worst frame
NO_LEARNING = ("--teacher", "none")


@dataclass
class Run:
    """What is left of a run."""

    code: int
    said: str  # on standard error
    report: dict | None
    alphas: list[np.ndarray]  # float32 (H, W) in [0, 1], as far as they were written

    @property
    def frames(self) -> int:
        return len(self.alphas)

    @property
    def room(self) -> float:
        return room_shown(self.alphas)

    def painted_everything(self, frames: int = FRAMES) -> None:
        """The picture went on as if nothing was: every frame, the person and no more than them."""
        assert (self.code, self.report["ended"], self.report["frames"]) == (0, "ok", frames), self.said
        assert (self.frames, self.report["faults"], self.report["dropped"]) == (frames, 0, 0)
        assert self.room <= MAX_ROOM
        assert min(alpha.mean() for alpha in self.alphas) > 0.1
        assert "Traceback" not in self.said


def room_shown(alphas) -> float:
    """Mean alpha where the truth is certainly room, 8 pixels and more from the person, on the worst frame."""
    return max((float(alpha[certainly_room(i)].mean()) for i, alpha in enumerate(alphas)), default=0.0)


def certainly_room(i: int) -> np.ndarray:
    """bool (H, W) of frame `i` of the clip."""
    return cv2.dilate(PERSON.mask(i), np.ones((17, 17), np.uint8)) == 0


def arguments(folder: Path, *given, clip=CLIP, frames: int | None = FRAMES) -> list[str]:
    """A command line that paints the clip over magenta, matte and report in `folder`; nobody teaches unless asked."""
    files = [
        "-y",
        *([] if "-i" in given else ["-i", clip]),
        "--alpha",
        folder / "alpha.mkv",
        "--report",
        folder / "report.json",
    ]
    rest = ["--background", "#ff00ff", "--threads", 1, *(["--max-frames", frames] if frames else []), *given]
    rest += [] if "--teacher" in given else NO_LEARNING
    return [*map(str, files), *([] if "-o" in given else ["--headless"]), *map(str, rest)]


def left(folder: Path, code: int, said: str) -> Run:
    """The run that ended with `code`, by what it wrote into `folder`."""
    report, alpha = folder / "report.json", folder / "alpha.mkv"
    document = json.loads(report.read_text()) if report.exists() and report.stat().st_size else None
    alphas = [frame[..., 0] / np.float32(255) for frame in read_clip(alpha)] if alpha.exists() else []
    return Run(code, said, document, alphas)


def start(*command, **options) -> subprocess.Popen:
    """jm-engine as a process that heeds signals, whoever runs this suite; standard error is a pipe."""
    defaults = {"stderr": subprocess.PIPE, "preexec_fn": heed, "env": os.environ | {"PYTHONUNBUFFERED": "1"}}
    return subprocess.Popen([sys.executable, "-m", "engine.cli", *map(str, command)], **{**defaults, **options})


def heed() -> None:
    """In the child: the background jobs of a shell ignore the interrupt, and their children with them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Exit code and standard error of a process, which gets a minute."""
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, (said or b"").decode()


RAW = ("-i", "-", "--input-size", f"{PERSON.size[1]}x{PERSON.size[0]}", "--pace", "lockstep")
READ_AHEAD = 6  # frames of standard input that may be read and not yet written, in lockstep


def fed(folder: Path, *given, frames: int, **options) -> subprocess.Popen:
    """A run that paints standard input, and was given so many frames: all but the last READ_AHEAD are written.

    A frame is larger than a pipe, so what was put into it before is out of it.
    """
    process = start(*arguments(folder, *RAW, *given, frames=None), stdin=subprocess.PIPE, **options)
    feed(process, range(frames))
    return process


def feed(process: subprocess.Popen, indices) -> None:
    for i in indices:
        process.stdin.write(PERSON.picture(i).tobytes())
    process.stdin.flush()
