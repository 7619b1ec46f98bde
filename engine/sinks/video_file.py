"""Pictures into a file, with the sound that belongs to them. Knows nothing about masks, threads or the command line."""

from __future__ import annotations

import errno
import logging
import math
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
from .hidden_file import HiddenFile
from .other_tracks import OtherTracks, SoundMode, open_other_tracks

log = logging.getLogger("jit_masker")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, of what one may have on it, of one file
MAX_REFUSALS = 20  # packets in a row
REFUSED = (errno.EINVAL, errno.EPERM)  # what a muxer answers to packets that it does not like


class VideoFile:
    """Sink: pictures, and what belongs to them, into an .mp4, .mov, .mkv or .webm. Every picture is written.

    The size is the first picture's (`FixedSize`), the time each picture's own position: a variable frame rate is kept.
    The file has its name from the first second on (`HiddenFile`).

    Parameters
    ----------
    path : file to write; one that is there is replaced once the new one can be played.
    fps : frames per second, 0 if unknown; tells how long the last picture lasts.
    others : path or URL of the video whose sound, subtitles, chapters and tags go along; see `open_other_tracks`.
    unheard : why there is sound, but none that could be read; it is said.
    sound : "copy", "encode" or "none"; None copies what the container takes and encodes the rest.
    transparent : write straight alpha. VP9 (.webm) or lossless FFV1 (.mkv).
    threads : of the encoder.

    Raises
    ------
    UsageError
        Unknown suffix, alpha into mp4, `path` and `others` are one file, or sound that was to be copied and cannot be.
    SinkError
        `path` cannot be written, or `others` not be read; also from `write` and `close`.
    """

    wanted = True

    def __init__(
        self,
        path: str,
        fps: float,
        others: str | None = None,
        unheard: str | None = None,
        sound: SoundMode | None = None,
        transparent: bool = False,
        threads: int = 1,
    ) -> None:
        container = container_of(path)
        codec = container.transparent if transparent else container.codec
        if codec is None:
            able = ", ".join(suffix for suffix, other in CONTAINERS.items() if other.transparent)
            raise UsageError(f"{path}: {container.format} cannot hold alpha; use one of {able}")
        self.needs_alpha = transparent
        self._bgra: np.ndarray | None = None
        self._size = FixedSize(path, codec.even)
        self._writer = Writer(path, container, codec, fps, threads)
        if others is not None:
            self._writer.add(others, sound)
        elif unheard is not None and sound != "none":
            log.warning("%s is written without sound: %s", path, unheard)

    def write(self, picture: Picture) -> None:
        if self.needs_alpha:
            self._bgra = as_bgra(picture, self._bgra)
            self._writer.write(self._size(self._bgra), "bgra", picture.position)
        else:
            self._writer.write(self._size(picture.bgr), "bgr24", picture.position)

    def source_ended(self) -> None:
        """There are no more pictures because the source has no more: `close` keeps sound that is longer than they."""
        self._writer.keep_all = True

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
        self._writer = Writer(path, CONTAINERS[".mkv"], GREY, fps, threads)

    def write(self, picture: Picture) -> None:
        self._writer.write(self._size(alpha_of(picture)), "gray", picture.position)

    def close(self) -> None:
        self._writer.close()


class Writer:
    """One file being written. Opened with the first frame, whose size it takes; after an error it is over."""

    def __init__(self, path: str, container: Container, codec: Codec, fps: float, threads: int) -> None:
        self.keep_all = False  # whether what is longer than the pictures is kept
        self._path = path
        self._container = container
        self._codec = codec
        self._rate = Fraction(fps if fps > 0 else FALLBACK_FPS).limit_denominator(1001)
        self._threads = threads
        self._file = HiddenFile(path)
        self._header_size = 0  # bytes
        self._others: OtherTracks | None = None
        self._output: Any = None
        self._stream: Any = None
        self._last_tick: int | None = None
        self._last_key = -KEYFRAME_EVERY
        self._refusals = 0  # in a row
        self._finished = False

    def add(self, others: str, sound: SoundMode | None) -> None:
        """Sound, subtitles and so on of the video `others` go along."""
        if os.path.exists(self._path) and os.path.exists(others) and os.path.samefile(self._path, others):
            raise UsageError(
                f"cannot write {self._path}: its sound would be read from the same file; name another output"
            )
        self._others = open_other_tracks(others, self._path, self._container, sound)

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
            # a second of it can be played; Windows gives no name to a file that is open
            if os.name == "posix" and not self._file.appeared and self._file.size > self._header_size:
                self._file.appear()

    def close(self) -> None:
        """Finish the file. Without a single frame there is none."""
        if self._finished:
            return
        self._finished = True
        with self._as_sink_error():
            if self._output is not None:
                self._mux(self._stream.encode())
                if self._others is not None:
                    for packet in self._others.until(math.inf if self.keep_all else self._end, over=True):
                        self._put(packet)
                with self._without_the_damaged():
                    self._output.close()
                self._file.appear()
        self._release()

    @property
    def _end(self) -> float:
        return (self._last_tick or 0) / self._container.ticks + float(1 / self._rate)

    def _open(self, pixels: np.ndarray) -> None:
        from ..media.ffmpeg import av

        codec, tick = self._codec, Fraction(1, self._container.ticks)
        options = dict(self._container.options)
        name = for_ffmpeg(self._file.name)
        self._output = av.open(name, "w", format=self._container.format, container_options=options)
        stream = self._output.add_stream(codec.name, rate=self._rate, options=dict(codec.options))
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = codec.pixels
        context = stream.codec_context
        context.time_base = tick
        context.thread_count = self._threads
        context.sample_aspect_ratio = Fraction(1)
        # Between the keyframes asked for by time, the encoder is to set none by count; FFV1 has no other kind.
        context.gop_size = 1 if codec.intra else 10_000
        if codec.pixels.startswith("yuv"):
            tag_colours(context)
        else:
            context.color_range = av.video.reformatter.ColorRange.JPEG  # pixels as they are, from 0 to 255
        self._stream = stream
        if self._others is not None:
            self._others.join(self._output, stream)
        self._output.start_encoding()
        self._header_size = self._file.size

    def _next_tick(self, position: float) -> int:
        tick = round(position * self._container.ticks)
        if self._last_tick is not None:
            tick = max(tick, self._last_tick + 1)  # no container takes a time that stands still
        self._last_tick = tick
        return tick

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if self._others is not None:
                for other in self._others.until(float(packet.dts * packet.time_base)):
                    self._put(other)
            self._put(packet)

    def _put(self, packet: Any) -> None:
        with self._without_the_damaged():
            self._output.mux(packet)
            self._refusals = 0

    @contextmanager
    def _without_the_damaged(self) -> Iterator[None]:
        """A muxer refuses damaged packets, some time after it was given them; ours are not: it has to be a few only."""
        from ..media.ffmpeg import av

        try:
            yield
        except av.FFmpegError as error:
            self._refusals += 1
            damaged = isinstance(error, av.InvalidDataError) or error.errno in REFUSED
            if self._others is None or not damaged or self._refusals > MAX_REFUSALS:
                raise
            self._others.refused += 1

    @contextmanager
    def _as_sink_error(self) -> Iterator[None]:
        from ..media.ffmpeg import av

        try:
            yield
        except (OSError, av.FFmpegError, ValueError) as error:
            self._finished = True
            self._release()
            reason = getattr(error, "strerror", None) or str(error)
            kept = "What was written stays" if self._file.appeared else "Nothing was written"
            raise SinkError(f"cannot write {self._path}: {reason}. {kept}; {self._remedy(error)}") from error
        except BaseException:  # a second Ctrl-C
            self._finished = True
            self._release()
            raise

    def _remedy(self, error: Exception) -> str:
        number = getattr(error, "errno", None)
        if number in FULL:
            return "free space or name another file"
        if self._others is None or (isinstance(error, OSError) and number not in REFUSED):
            return "name another file"
        return "try another container, or --sound encode or none"

    def _release(self) -> None:
        from ..media.ffmpeg import av

        if self._others is not None:
            self._others.close()
        if self._output is not None:
            try:
                self._output.close()
            except (OSError, av.FFmpegError) as error:
                # Only after the error that is being raised, and of the same cause: it is told there.
                log.debug("closing %s: %s", self._path, error)
        self._output = self._stream = None
        self._file.discard()
