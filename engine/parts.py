"""What a run of `jm-engine` has besides its pipeline, from its options: a source that comes back, a first pass, rooms,
frames that are kept; and beside a live picture sleep, commands and keys. Knows no exit code.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from .closing import Closable
from .contracts import KeepOptions, RoomOptions, Sink, Source
from .control.remembered import Remembered, remembered_path
from .errors import SourceError, UsageError
from .first_pass import FirstPass
from .masker import Masker
from .media.naming import local_path
from .options import Options
from .outputs import is_file
from .personal.store import keep_frames
from .pipeline import Pipeline
from .rooms.store import rooms_folder
from .sinks import TkWindow, VirtualCamera, Window, is_image, is_watched
from .sources import CameraWish, can_return, is_camera, open_source, source_opener
from .sources.reopened import ReopenedSource

RECONNECT_S = 60.0  # that a lost source is waited for, where nobody watches and nothing was said


def choose_first_pass(
    options: Options, masker: Masker, pace: str, output: str, after_frame: Callable[[int], None]
) -> FirstPass | None:
    """What learns before the first picture, and tells `after_frame` how many frames it has seen; None: nothing does.

    Raises
    ------
    UsageError
        Two passes were asked for, and this cannot be read twice, or does not learn.
    """
    video = os.path.isfile(local_path(options.input)) and not options.loop and not is_image(output)
    able = pace == "lockstep" and video
    if options.passes == 2 and not able:
        raise UsageError(
            f"--passes is 2, and --input {options.input} at --pace {pace} is no video that is read in lockstep; "
            "leave --passes out, or give a video and --pace lockstep"
        )
    wanted = options.passes or (2 if is_file(output) else 1)
    if wanted == 1 or not able or masker.stats.learning is None:
        return None
    return FirstPass(masker, lambda: open_source(options.input, fps=options.fps), options.max_frames, after_frame)


def rooms_of(options: Options) -> RoomOptions | None:
    """Where rooms are remembered; None where they are not: unless told otherwise, of a camera alone."""
    camera = is_camera(options.input)
    mode = options.rooms or ("on" if camera else "off")
    if mode == "off":
        return None
    return RoomOptions(rooms_folder(), writes=mode == "on", camera=options.input if camera else "")  # no URL's password


def keep_of(options: Options) -> KeepOptions | None:
    """What the user agreed to keep; None: nothing.

    Raises
    ------
    UsageError
        Frames are to be kept, and nobody says what is on them: only what was labelled, and believed, is kept.
    """
    if not options.keep_frames:
        return None
    if options.teaching is None or not options.learning_budget or options.recipe == "paper":
        raise UsageError(
            f"--keep-frames is {options.keep_frames}, and frames are kept with a label that was believed: leave out "
            "--teacher none, --learning-budget 0 and --recipe paper, or leave out --keep-frames"
        )
    return keep_frames(options.keep_frames)


def open_returning(options: Options, watched: bool) -> tuple[Source, ReopenedSource | None]:
    """The source; and once more where it is live, and opened again when it is lost."""
    camera = CameraWish(options.camera_size, options.camera_fps, options.camera_format)
    open_it = source_opener(options.input, size=options.input_size, fps=options.fps, loop=options.loop, camera=camera)
    first = None
    try:
        first = open_it()
    except SourceError:
        if options.reconnect is None or not can_return(options.input):
            raise
    if first is not None and not (first.live and can_return(options.input)):
        return first, None
    patience = options.reconnect if options.reconnect is not None else math.inf if watched else RECONNECT_S
    returning = ReopenedSource(open_it, first, patience)
    return returning, returning


def accompany(
    pipeline: Pipeline,
    options: Options,
    output: str,
    source: ReopenedSource | None,
    sink: Sink,
    remembered: Remembered,
) -> list[Closable]:
    """What runs beside a live pipeline: sleep while nobody watches, and commands from outside."""
    from .control.commands import Controls  # late: a file needs none of these
    from .control.gallery import Gallery
    from .control.keys import Keys
    from .control.server import serve
    from .session import Session
    from .sleep import Sleep

    parts: list[Closable] = []
    sleep = None
    if options.sleep and source is not None and isinstance(sink, VirtualCamera):
        sleep = Sleep(source, sink.open_watch, lambda: pipeline.sent.asked_at)
        parts.append(sleep)
    session = Session(pipeline, options, output, source, sleep, rooms_of(options))
    # what is chosen in a call is kept for the next one; what a script does is not
    path = remembered_path() if is_watched(output) else None
    controls = Controls(session, Gallery(options.gallery), remembered, path)
    if options.control:
        parts.append(serve(controls))
    if isinstance(sink, (Window, TkWindow)):
        sink.on_key = keys = Keys(controls)
        parts.append(keys)
    return parts
