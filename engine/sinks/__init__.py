"""Where pictures go: `open_sink` turns what a user asks for into a Sink. Knows nothing about masks and threads.

window.py (tk_window.py where OpenCV has none), virtual_camera.py (readers.py: who reads it), video_file.py
(containers.py, hidden_file.py: its name; other_tracks.py: what goes along with the pictures), image_files.py,
stdout.py, null.py.
"""

from __future__ import annotations

import os

from ..contracts import Origin, Sink
from ..errors import UsageError
from .containers import CONTAINERS, container_of
from .image_files import FORMATS, ImageFiles, check_image, is_image
from .null import Null
from .other_tracks import SoundMode
from .stdout import Stdout
from .tk_window import TkWindow
from .video_file import AlphaFile, VideoFile
from .virtual_camera import VirtualCamera
from .window import NoWindow, Window

__all__ = [
    "CONTAINERS", "AlphaFile", "ImageFiles", "Null", "Stdout", "TkWindow", "VideoFile", "VirtualCamera", "Window",
    "check_output", "is_image", "is_watched", "open_sink",
]  # fmt: skip

NOWHERE = Origin()
POSSIBLE = f"window, camera, camera:DEVICE, -, null, a video ({', '.join(CONTAINERS)}), " \
    f"an image ({', '.join(FORMATS)}), or a folder, which ends with a slash"  # fmt: skip


def is_watched(spec: str) -> bool:
    """Whether the output `spec` is looked at while it runs, so that it has to keep to the clock."""
    return spec.partition(":")[0] in ("window", "camera")


def open_window() -> Window | TkWindow:
    """OpenCV's window, or Tk's where OpenCV has none; SinkError where neither can be."""
    try:
        return Window()
    except NoWindow:
        return TkWindow()


def check_output(path: str, transparent: bool, matte: bool = False) -> None:
    """UsageError where a file of this name cannot be written, or not with alpha. `matte`: it is for the alpha alone."""
    if is_image(path):
        check_image(path, transparent)
    elif matte:
        if os.path.splitext(path)[1].lower() != ".mkv":
            raise UsageError(f"cannot write alpha to {path!r}: name an .mkv, lossless grey video, or an image")
    elif os.path.splitext(path)[1].lower() not in CONTAINERS:
        raise UsageError(f"cannot write to {path!r}: unknown output; choose one of {POSSIBLE}")
    elif transparent and container_of(path).transparent is None:
        able = ", ".join(suffix for suffix, other in CONTAINERS.items() if other.transparent)
        raise UsageError(f"{path}: {container_of(path).format} cannot hold alpha; use one of {able}")


def open_sink(
    spec: str,
    *,
    fps: float,
    origin: Origin = NOWHERE,
    sound: SoundMode | None = None,
    transparent: bool = False,
    threads: int = 1,
) -> Sink:
    """The sink that `spec` names.

    Parameters
    ----------
    spec : "window", "camera", "camera:DEVICE", "-" (raw frames to stdout), "null", or the path of a video
        (.mp4, .mov, .mkv, .webm) or of an image (.png, .jpg, …), which takes one picture.
    fps : frames per second, 0 if unknown.
    origin : of the pictures; its sound, subtitles, chapters and tags go into a video that is written.
    sound : "copy", "encode" or "none"; None copies what the container takes and encodes the rest.
    transparent : keep alpha; `Picture.bgr` is then the straight colour, not blended over anything.
    threads : of the encoder.

    Raises
    ------
    UsageError
        An unknown `spec`, or alpha into something that cannot hold it.
    SinkError
        It cannot be opened here.
    """
    if spec == "-":
        return Stdout(transparent=transparent)
    if spec == "null":
        return Null(transparent=transparent)
    kind, _, device = spec.partition(":")
    if kind in ("window", "camera") and transparent:
        raise UsageError(f"a {kind} cannot show alpha; choose a background, or write to .webm, .mkv or -")
    if spec == "window":
        return open_window()
    if kind == "camera":
        return VirtualCamera(fps, device or None)
    if is_image(spec):
        return ImageFiles([spec], transparent)
    if os.path.splitext(spec)[1].lower() in CONTAINERS:
        return VideoFile(spec, fps, origin.again, origin.unheard, sound, transparent, threads)
    raise UsageError(f"cannot write to {spec!r}: unknown output; choose one of {POSSIBLE}")
