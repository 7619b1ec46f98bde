"""Where a run's pictures go, by its options: one file, a folder of images, and the mattes beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .contracts import Sink, Source
from .errors import SourceError, UsageError
from .media.naming import local_path
from .options import Options

LOOKS = 32  # at a photograph, on which the student learns meanwhile; see docs/decisions.md


def is_file(output: str) -> bool:
    """Whether `--output` names a file or a folder."""
    return output not in ("window", "null", "-", "camera") and not output.startswith("camera:")


def folder_targets(options: Options, folder: str, images: Sequence[Path] | None = None) -> list[str]:
    """The files in `folder` that a folder of `images` becomes, by their index; None: those that lie in it now."""
    from .sinks.image_files import image_names
    from .sources.images import images_in

    if images is None:
        try:
            images = images_in(Path(local_path(options.input)))
        except SourceError:
            return []  # told where the source is opened
    lossless = folder == options.alpha or options.background == "none"
    return [os.path.join(folder, name) for name in image_names([path.name for path in images], lossless)]


def looks(output: str, learns: bool) -> int | None:
    """How often each frame is looked at, where they are photographs: images that are to be images again."""
    from .sinks import is_image

    if not output.endswith("/") and not is_image(output):
        return None
    return LOOKS if learns else 1


def open_sinks(options: Options, output: str, source: Source, transparent: bool) -> Iterator[Sink]:
    """Where the pictures go, and the mattes; a folder of images goes into folders."""
    from .sinks import AlphaFile, ImageFiles, is_image, open_sink

    for flag, path in (("--output", output), ("--alpha", options.alpha)):
        if path is not None and is_image(path) and source.frames != 1 and options.max_frames != 1:
            raise UsageError(
                f"{flag} {path} holds one picture, and {options.input} has {source.frames or 'several'}; name a video, "
                "a folder (for a folder of images), or say --max-frames 1"
            )
    fps = source.fps or 25.0
    origin = source.origin
    if output.endswith("/"):
        yield ImageFiles(folder_targets(options, output, origin.images), transparent, origins=origin.images)
    elif is_image(output):
        yield ImageFiles([output], transparent, origins=origin.images)
    else:
        yield open_sink(
            output, fps=fps, origin=origin,
            sound=options.sound, transparent=transparent,
        )  # fmt: skip
    if options.alpha and options.alpha.endswith("/"):
        yield ImageFiles(folder_targets(options, options.alpha, origin.images), matte=True)
    elif options.alpha:
        yield ImageFiles([options.alpha], matte=True) if is_image(options.alpha) else AlphaFile(options.alpha, fps)
