"""Pictures into a file, with the sound that belongs to them. Knows nothing about masks, threads or the command line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import Picture
from ..errors import SinkError, UsageError
from ..media.naming import for_ffmpeg
from ..media.pictures import tag_colours, to_frame
from .containers import CONTAINERS, GREY, KEYFRAME_EVERY, Codec, Container, container_of
from .frame_size import FALLBACK_FPS, FixedSize, alpha_of, as_bgra
from .sound import open_sound

log = logging.getLogger("jit_masker")


class VideoFile:
    """Sink: pictures, and the sound that belongs to them, into an .mp4, .mkv or .webm. Every picture is written.

    The size is the first picture's (`FixedSize`), the time each picture's own position: a variable frame rate is kept.

    Parameters
    ----------
    path : file to write; one that is there is replaced with the first picture.
    fps : frames per second, 0 if unknown; tells how long the last picture lasts.
    sound : path of a file whose first audio stream is copied packet by packet; without one the file is silent.
    transparent : write straight alpha. VP9 (.webm) or lossless FFV1 (.mkv).
    threads : of the encoder.

    Raises
    ------
    UsageError
        Unknown suffix, alpha into mp4, or `path` and `sound` are one file.
    SinkError
        `path` cannot be written, or its container cannot hold that sound; also from `write` and `close`.
    """

    wanted = True

    def __init__(
        self, path: str, fps: float, sound: str | None = None, transparent: bool = False, threads: int = 1
    ) -> None:
        container = container_of(path)
        codec = container.transparent if transparent else container.codec
        if codec is None:
            able = ", ".join(suffix for suffix, other in CONTAINERS.items() if other.transparent)
            raise UsageError(f"{path}: {container.format} cannot hold alpha; use one of {able}")
        self.needs_alpha = transparent
        self._bgra: np.ndarray | None = None
        self._size = FixedSize(path, codec.even)
        self._writer = Writer(path, container, codec, fps, sound, threads)

    def write(self, picture: Picture) -> None:
        if self.needs_alpha:
            self._bgra = as_bgra(picture, self._bgra)
            self._writer.write(self._size(self._bgra), "bgra", picture.position)
        else:
            self._writer.write(self._size(picture.bgr), "bgr24", picture.position)

    def close(self) -> None:
        self._writer.close()


class AlphaFile:
    """Sink: each picture's alpha as one grey frame of an .mkv, lossless (FFV1). Raises as `VideoFile` does."""

    wanted = True
    needs_alpha = True

    def __init__(self, path: str, fps: float, threads: int = 1) -> None:
        if Path(path).suffix.lower() != ".mkv":
            raise UsageError(f"cannot write alpha to {path!r}: lossless grey video needs an .mkv; name it so")
        self._size = FixedSize(path)
        self._writer = Writer(path, CONTAINERS[".mkv"], GREY, fps, None, threads)

    def write(self, picture: Picture) -> None:
        self._writer.write(self._size(alpha_of(picture)), "gray", picture.position)

    def close(self) -> None:
        self._writer.close()


class Writer:
    """One file being written. Opened with the first frame, whose size it takes; after an error it is over."""

    def __init__(
        self, path: str, container: Container, codec: Codec, fps: float, sound: str | None, threads: int
    ) -> None:
        self._path = path
        self._container = container
        self._codec = codec
        self._rate = Fraction(fps if fps > 0 else FALLBACK_FPS).limit_denominator(1001)
        self._threads = threads
        self._output: Any = None
        self._stream: Any = None
        self._last_tick: int | None = None
        self._last_key = -KEYFRAME_EVERY
        self._finished = False
        if sound is not None and os.path.exists(path) and os.path.samefile(path, sound):
            raise UsageError(f"cannot write {path}: its sound would be read from the same file; name another output")
        check_writable(path)
        self._sound = open_sound(sound, container) if sound is not None else None

    def write(self, pixels: np.ndarray, layout: str, position: float) -> None:
        """Encode one frame. `pixels` C-contiguous in `layout` (bgr24, bgra, gray); `position` in s."""
        from ..media.ffmpeg import av

        if self._finished:
            raise SinkError(f"cannot write to {self._path}: it is closed; open it anew")
        with self._as_sink_error():
            if self._output is None:
                self._open(pixels)
            frame = to_frame(pixels, layout, self._codec.pixels)
            frame.pts, frame.time_base = self._next_tick(position), Fraction(1, self._container.ticks)
            if position - self._last_key >= KEYFRAME_EVERY:
                frame.pict_type = av.video.frame.PictureType.I
                self._last_key = position
            self._mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file. Without a single frame there is none."""
        if self._finished:
            return
        self._finished = True
        with self._as_sink_error():
            if self._output is not None:
                self._mux(self._stream.encode())
                if self._sound is not None:
                    self._sound.copy_until(self._end, self._output)
                self._output.close()
        self._release()

    @property
    def _end(self) -> float:
        return (self._last_tick or 0) / self._container.ticks + float(1 / self._rate)

    def _open(self, pixels: np.ndarray) -> None:
        from ..media.ffmpeg import av

        codec, tick = self._codec, Fraction(1, self._container.ticks)
        options = dict(self._container.options)
        self._output = av.open(for_ffmpeg(self._path), "w", format=self._container.format, container_options=options)
        stream = self._output.add_stream(codec.name, rate=self._rate, options=dict(codec.options))
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = codec.pixels
        context = stream.codec_context
        context.time_base = tick
        context.thread_count = self._threads
        # Between the keyframes asked for by time, the encoder is to set none by count; FFV1 has no other kind.
        context.gop_size = 1 if codec.intra else 10_000
        if codec.pixels.startswith("yuv"):
            tag_colours(context)
        self._stream = stream
        if self._sound is not None:
            self._sound.join(self._output)

    def _next_tick(self, position: float) -> int:
        tick = round(position * self._container.ticks)
        if self._last_tick is not None:
            tick = max(tick, self._last_tick + 1)  # no container takes a time that stands still
        self._last_tick = tick
        return tick

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if self._sound is not None:
                self._sound.copy_until(float(packet.dts * packet.time_base), self._output)
            self._output.mux(packet)

    @contextmanager
    def _as_sink_error(self) -> Iterator[None]:
        from ..media.ffmpeg import av

        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self._finished = True
            self._release()
            reason = getattr(error, "strerror", None) or str(error)
            raise SinkError(
                f"cannot write {self._path}: {reason}. What was written stays; free space or name another file"
            ) from error

    def _release(self) -> None:
        from ..media.ffmpeg import av

        if self._sound is not None:
            self._sound.close()
        if self._output is not None:
            try:
                self._output.close()
            except (OSError, av.FFmpegError) as error:
                # Only after the error that is being raised, and of the same cause: it is told there.
                log.debug("closing %s: %s", self._path, error)
        self._output = self._stream = None


def check_writable(path: str) -> None:
    """Raise SinkError now, not after the models are loaded. Leaves `path` as it was."""
    if Path(path).is_fifo():  # opened and closed, its reader would take that for the end
        return
    was_there = os.path.lexists(path)
    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}; name a file in a folder you can write to") from error
    if not was_there:
        os.unlink(path)
