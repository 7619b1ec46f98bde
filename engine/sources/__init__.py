"""Where frames come from: `open_source` turns what a user names into a Source. Knows nothing about painting.

camera.py, video.py (files and streams), piped.py, images.py, raw_frames.py, synthetic.py; threaded.py is around those
that can hang, paced.py around those that should keep to the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..contracts import Source
from ..errors import SourceError, UsageError
from ..media.naming import is_pipe, is_remote, is_stream, local_path
from ..media.stills import is_animated, is_still, read_head
from .camera import Camera
from .devices import CameraWish, RememberedCamera
from .images import AnimatedImage, Images, hidden_in, images_in
from .paced import PacedSource
from .piped import PipedVideo
from .raw_frames import RawFrames
from .threaded import ThreadedSource
from .video import FALLBACK_FPS, Video

__all__ = ["CameraWish", "PacedSource", "can_return", "is_camera", "open_source", "source_opener"]

NAMED = "camera:"  # and a part of a camera's name
MAX_FPS, MAX_SIDE = 1000.0, 16384  # frames per second, pixels; beyond, it is a slip of the finger


def open_source(
    spec: str, *, size: tuple[int, int] | None = None, fps: float | None = None, loop: bool = False
) -> Source:
    """The source that `spec` names.

    Parameters
    ----------
    spec : a camera's number, device or "camera:" and a part of its name, a file, a folder of images, a URL, "-" (raw
        BGR frames on standard input), or "test://".
    size : (W, H) of raw frames, sides from 1 to MAX_SIDE.
    fps : of raw frames, images and test://, above 0 and at most MAX_FPS; others know their own.
    loop : start a file or images again at the end.

    Raises
    ------
    UsageError
        `size`, `fps` or an option of test:// is invalid.
    SourceError
        It cannot be opened.
    """
    return source_opener(spec, size=size, fps=fps, loop=loop)()


def source_opener(
    spec: str,
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    loop: bool = False,
    camera: CameraWish | None = None,
) -> Callable[[], Source]:
    """What opens the source that `spec` names, each time it is called; see `open_source`. A camera that comes back is
    that very camera, also under another number. `camera`: how its pictures are to come."""
    _check(size, fps)
    if is_camera(spec):
        remembered = RememberedCamera(spec.removeprefix(NAMED))
        return lambda: Camera(remembered.locate(), camera)
    return lambda: _open(spec, size, fps, loop)


def can_return(spec: str) -> bool:
    """Whether `spec` names a camera or a stream: what may be lost and come back."""
    return is_camera(spec) or is_remote(spec)


def is_camera(spec: str) -> bool:
    """A number, a device, or `camera:` and a part of a name, unless a file is called so."""
    if spec.startswith(NAMED):
        return not Path(spec).exists()
    return spec.isdecimal() or spec.startswith(("/dev/video", "/dev/v4l/"))


def _open(spec: str, size: tuple[int, int] | None, fps: float | None, loop: bool) -> Source:
    if spec.startswith("test://"):
        from .synthetic import SyntheticPerson  # late: it loads OpenCV

        return SyntheticPerson.from_url(spec, fps)
    if spec == "-":
        return ThreadedSource(lambda: RawFrames(size, fps or FALLBACK_FPS))
    if is_remote(spec):
        return ThreadedSource(lambda: Video(spec, live=is_stream(spec), loop=loop))
    return _open_local(local_path(spec), fps, loop)


def _open_local(spec: str, fps: float | None, loop: bool) -> Source:
    """A folder, a file or a pipe. Which kind of file it is, its first bytes say; a pipe's are left to FFmpeg."""
    path = Path(spec)
    if path.is_dir():
        return Images(images_in(path), fps or FALLBACK_FPS, loop, hidden_in(path))
    if is_pipe(str(path)):
        if loop:
            raise UsageError(f"{path} is a pipe, which can be read once only; leave out --loop")
        return ThreadedSource(lambda: PipedVideo(spec))
    if not path.is_file():
        raise SourceError(
            f"no file {spec}; expected a camera's number, a file, a folder of images, a URL, - or test://"
        )
    if is_animated(read_head(path)):
        return AnimatedImage(path, loop)
    if is_still(str(path)):
        return Images([path], fps or FALLBACK_FPS, loop)
    return Video(str(path), loop=loop)


def _check(size: tuple[int, int] | None, fps: float | None) -> None:
    if fps is not None and not 0 < fps <= MAX_FPS:  # NaN is not, either
        raise UsageError(f"fps is {fps!r}; expected frames per second above 0, at most {MAX_FPS:g}, as in --fps 25")
    if size is not None and not (len(size) == 2 and all(side in range(1, MAX_SIDE + 1) for side in size)):
        raise UsageError(
            f"the size of raw frames is {size}; expected a width and a height from 1 to {MAX_SIDE}, as in "
            "--input-size 640x480"
        )
