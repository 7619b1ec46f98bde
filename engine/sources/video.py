"""A video file or a stream, decoded with PyAV. threaded.py is around what can hang."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..contracts import Frame, Origin
from ..errors import SourceError
from ..media.bad_file import describe_bad_file
from ..media.decoding import Decoder
from ..media.naming import for_ffmpeg, is_remote, local_path
from ..media.pictures import Pictures
from ..media.saying import say_once
from ..media.tracks import sound_tracks, unknown_video_tracks, video_track, warn_of_unknown_codecs, why_no_video

VIDEOS = "a video that is whole: mp4, mkv, webm, mov, avi …"
FALLBACK_FPS = 25.0  # frames per second, for pictures without a clock
OPEN_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 10.0  # of a stream; opening asks twice, for an answer and for its pictures
MAX_BACK_S, MAX_GAP_S = 1.0, 60.0  # from a picture's time to the next one's; beyond, the clock itself was set


class SteadyClock:
    """Times (s) of a stream's pictures as a clock that goes on. Where they run back or leap, as in recordings that were
    laid end to end or of a camera whose clock was set, the next picture comes one step after the one before.
    """

    def __init__(self, step: float):
        self._step, self._offset = step, 0.0  # s
        self._last: float | None = None  # s, as it was given out

    def __call__(self, time: float) -> float:
        steady = time + self._offset
        if self._last is not None and not -MAX_BACK_S <= steady - self._last <= MAX_GAP_S:
            self._offset += self._last + self._step - steady
            steady = self._last + self._step
        self._last = steady
        return steady


class Video:
    """A file or a stream, through PyAV. A file loses no frame; one that is damaged gives what can be decoded.

    `close` takes effect between two packets: while the next one does not come, the iteration waits for it, a stream's
    at most READ_TIMEOUT_S. See threaded.py.
    """

    def __init__(self, spec: str, live: bool = False, loop: bool = False, threads: int = 1):
        from ..media.ffmpeg import av

        self._av, self._spec, self._loop, self._threads = av, spec, loop, threads
        self._remote = is_remote(spec)
        self._closed = False
        self._pictures = Pictures(spec)
        self._container = self._open()
        if unknown := unknown_video_tracks(self._container):
            warn_of_unknown_codecs(spec, unknown)
        stream = self._stream
        self.live = live or (self._remote and not self._container.duration)
        self.fps = float(stream.average_rate or 0.0)
        self.frames = stream.frames if stream.frames and not loop else None
        unheard, duration = self._why_unheard(), self._container.duration
        self.origin = Origin(
            again=spec if unheard is None else None,
            unheard=unheard if sound_tracks(self._container) else None,
            length=duration / 1e6 if duration and not loop else None,
        )

    def _why_unheard(self) -> str | None:
        """Why sound cannot be read beside the pictures; None: it can."""
        if self.live:
            return "a live stream cannot be read a second time for its sound"
        if self._loop:
            return "its sound is not written again and again, as its pictures are with --loop"
        if not self._remote and not os.path.isfile(local_path(self._spec)):
            return "a pipe cannot be read a second time for its sound; save it as a file first"
        return None

    def _open(self) -> Any:
        options = {"rtsp_transport": "tcp"} if self._spec.startswith("rtsp") else {}
        timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S) if self._remote else None
        try:
            # tags in an old encoding are no reason to refuse the pictures
            container = self._av.open(
                for_ffmpeg(self._spec), options=options, timeout=timeout, metadata_errors="replace"
            )
        except (self._av.FFmpegError, OSError) as error:
            silent = f"{self._reason(error, OPEN_TIMEOUT_S)}; expected a server that answers, and {VIDEOS}"
            raise SourceError(
                f"cannot open {self._spec}: {silent if self._remote else describe_bad_file(self._spec, VIDEOS)}"
            ) from error
        stream = video_track(container)
        # text opens as a "tty" picture
        if stream is None or container.format.name == "tty":
            wrong = self._no_pictures(container)
            container.close()
            raise SourceError(f"cannot open {self._spec}: {wrong}")
        self._stream = stream
        return container

    def _no_pictures(self, container: Any) -> str:
        """What is wrong with a container that could be opened and yet gives no picture."""
        if told := why_no_video(container):
            return f"{told}; expected {VIDEOS}"
        return f"it has no pictures; expected {VIDEOS}" if self._remote else describe_bad_file(self._spec, VIDEOS)

    def _reason(self, error: Exception, timeout: float) -> str:
        if isinstance(error, self._av.ExitError):  # what a timeout of ours is called
            return f"nothing came for {timeout:g} s"
        return getattr(error, "strerror", None) or str(error)

    def __iter__(self) -> Iterator[Frame]:
        try:
            yield from self._frames()
        finally:  # here, on the thread that decodes: a server that serves one at a time waits for it
            self._container.close()

    def _frames(self) -> Iterator[Frame]:
        index, offset = 0, 0.0
        while not self._closed:
            last = offset
            for bgr, position in self._decoded():
                last = offset + position
                yield Frame(bgr, index, time.perf_counter(), last)
                index += 1
            if not self._loop or self._closed:
                break
            offset = last + (1 / self.fps if self.fps else 1 / FALLBACK_FPS)
            self._container.close()
            self._container = self._open()
        if self.live and not self._closed:
            raise SourceError(f"{self._spec} ended; check that the stream is still being sent")

    def _decoded(self) -> Iterator[tuple[np.ndarray, float]]:
        """Pictures with their position (s) from the start of the stream, which sound is counted from too; skips what
        cannot be decoded and says how much."""
        stream, bad, good = self._stream, 0, 0
        decoder = Decoder(stream, self._pictures, self._threads)
        begin = stream.start_time if stream.start_time is not None and not self.live else None
        first = None if begin is None else float(begin * stream.time_base)
        clock = SteadyClock(1 / (self.fps or FALLBACK_FPS))
        packets = self._container.demux(stream)
        while not self._closed:
            try:
                packet = _next(packets)
                frames = list(decoder.flush() if packet is None else decoder.decode(packet))
            except self._av.FFmpegError as error:
                if self._remote:
                    reason = self._reason(error, READ_TIMEOUT_S)
                    raise SourceError(f"{self._spec} was lost: {reason}; check the sender and the network") from error
                bad += 1
                if bad > good + 1000:  # a file of noise must end too
                    break
                continue
            for frame in frames:
                if self._closed:
                    return
                moment = clock(frame.time if frame.time is not None else good / (self.fps or FALLBACK_FPS))
                first = moment if first is None else first
                good += 1
                yield self._pictures.bgr(frame), moment - first
            if packet is None:
                break
        if bad:
            damage = f"{bad} of its packets cannot be decoded and are left out"
            say_once(logging.WARNING, f"{self._spec} is damaged: {damage}")
        if not good and not self._closed:
            raise SourceError(f"{self._spec} holds no picture that can be decoded; expected a video that is whole")

    def close(self) -> None:
        # the container is closed by whoever iterates: closing it under a thread that decodes crashes
        self._closed = True


def _next(packets: Iterator[Any]) -> Any:
    """The next packet; None at the end."""
    try:
        return next(packets, None)
    except IndexError:  # PyAV's, at the end of a stream in which a track turned up on the way
        return None
