"""A video played over and over behind the person.

`LoopingVideo` decodes; `RepeatableVideo` shows what belongs to a position, waiting for it; `LiveVideo` never waits.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread
from typing import Any

import numpy as np

from kernels import yuv

from ..errors import JitMaskerError, UsageError
from ..media.decoding import Decoder
from ..media.naming import for_ffmpeg
from ..media.pictures import Pictures
from ..media.tracks import unknown_video_tracks, video_track, warn_of_unknown_codecs, why_no_video
from .picture import cover

log = logging.getLogger("jit_masker")

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif")
FALLBACK_FPS = 25.0  # frames per second, where a video does not say

AHEAD = 4  # frames that LiveVideo holds ready; at 640x480 about 4 MB
MAX_STEP_S = 1.0  # a longer gap between two pictures pauses a live video instead of making it run after the time lost
MAX_SKIPPED = 5  # frames in a row left out by a decoder that is late; a slow one still shows every sixth


class LoopingVideo:
    """The frames of a video, endlessly, each with the time it is due. Used by one thread at a time.

    Raises
    ------
    UsageError
        From `next`: the video cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.length: float | None = None  # s, of one run; known once the end was seen
        self.pictures = Pictures(path)  # what makes BGR of its frames
        self._path = path
        self._loop = 0
        self._warned = False
        self._frames = self._run()

    def next(self) -> tuple[float, Any]:
        """The next frame, as PyAV has it, and when it is due (s)."""
        found = next(self._frames, None)
        if found is None:
            self._start(self._loop + 1)
            found = next(self._frames, None)
        if found is None:
            raise UsageError(f"cannot read the background {self._path}: it has no frame; name another video")
        time, frame = found
        return self._loop * (self.length or 0) + time, frame

    def seek(self, position: float) -> None:
        """Go on with the first frame of the run that is on at `position` (s), as far as the length is known."""
        loop = int(position // self.length) if self.length else 0
        if self.length and loop * self.length > position:  # rounding
            loop -= 1
        self._start(max(0, loop))

    def close(self) -> None:
        self._frames.close()

    def _start(self, loop: int) -> None:
        self._frames.close()
        self._loop = loop
        self._frames = self._run()

    def _run(self) -> Any:  # a generator, of which close() is used
        from ..media.ffmpeg import av

        end, seen = 0.0, False
        try:
            with av.open(for_ffmpeg(self._path)) as container:
                stream = video_track(container)
                if stream is None:
                    raise ValueError(why_no_video(container) or "it has no pictures")
                if unknown := unknown_video_tracks(container):
                    warn_of_unknown_codecs(self._path, unknown)
                for time, lasts, frame in _timed(container, stream, self.pictures):
                    end, seen = time + lasts, True
                    yield time, frame
        except (OSError, ValueError, av.FFmpegError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if not seen:
                raise UsageError(
                    f"cannot read the background {self._path}: {reason}; use an image or one of {', '.join(SUFFIXES)}"
                ) from error
            self._warn_once(f"{reason}; it is repeated up to there")
        if seen:
            self.length = end

    def _warn_once(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("the background %s is damaged after its beginning: %s", self._path, what)


def _timed(container: Any, stream: Any, pictures: Pictures) -> Iterator[tuple[float, float, Any]]:
    """Time from the first frame (s), duration (s), frame."""
    decoder = Decoder(stream, pictures)
    usual = float(1 / (stream.average_rate or FALLBACK_FPS))
    first = None
    time = -usual
    for frame in (frame for packet in container.demux(stream) for frame in decoder.decode(packet)):
        if frame.time is None:
            time += usual
        else:
            first = frame.time if first is None else first
            time = max(time, frame.time - first)
        lasts = float(frame.duration * frame.time_base) if frame.duration else usual
        yield time, lasts, frame


class RepeatableVideo:
    """Background: the frame shown hangs on the position alone, so that runs on files can be repeated. May wait."""

    transparent = still = False

    def __init__(self, path: str) -> None:
        self._video = LoopingVideo(path)
        self._due, self._shown = self._video.next()
        self._next_due, self._next = self._video.next()
        self._fitted: Any = None  # the frame that `_out` shows
        self._out = np.empty((0, 0, 3), np.uint8)

    def picture(self, bgr: np.ndarray, alpha: np.ndarray | None, position: float) -> np.ndarray:
        """See `Background`."""
        self._advance(max(0.0, position))
        if self._out.shape != bgr.shape or self._fitted is not self._shown:
            if self._out.shape != bgr.shape:
                self._out = np.empty(bgr.shape, np.uint8)
            cover(self._video.pictures.bgr(self._shown), bgr.shape[:2], self._out)
            self._fitted = self._shown
        return self._out

    def close(self) -> None:
        self._video.close()

    def _advance(self, position: float) -> None:
        if position < self._due:
            self._seek(position)
        while self._next_due <= position:
            if self._video.length and position - self._next_due >= self._video.length:
                self._seek(position)
                continue
            self._due, self._shown = self._next_due, self._next
            self._next_due, self._next = self._video.next()

    def _seek(self, position: float) -> None:
        self._video.seek(position)
        self._due, self._shown = self._video.next()
        self._next_due, self._next = self._video.next()


class LiveVideo:
    """Background: the newest frame that is due, decoded ahead of time by a thread of its own. Never waits.

    Its clock is the sum of the steps of `position`: it begins with the first picture, and does not care what a camera
    counts from. A video that can be read no more stands still, which is told once.
    """

    transparent = still = False

    def __init__(self, path: str) -> None:
        yuv.load(wait=False)
        self._video = LoopingVideo(path)
        self._pictures = self._video.pictures
        self._shown = self._pictures.bgr(self._video.next()[1])
        self._refitted: np.ndarray | None = None  # `_shown` at the size of `_out`, where it has another
        self._out = np.empty((0, 0, 3), np.uint8)
        self._played = 0.0  # s
        self._position: float | None = None
        self._changed = Condition()  # guards what both threads touch, which is the next four
        self._ready: deque[tuple[float, np.ndarray]] = deque()
        self._now = 0.0  # s, `_played` as the decoder sees it
        self._size = (0, 0)
        self._closed = False
        self._thread: Thread | None = None

    def picture(self, bgr: np.ndarray, alpha: np.ndarray | None, position: float) -> np.ndarray:
        """See `Background`."""
        if self._position is not None:
            self._played += min(max(0.0, position - self._position), MAX_STEP_S)
        self._position = position
        with self._changed:
            self._now, self._size = self._played, (bgr.shape[0], bgr.shape[1])
            while self._ready and self._ready[0][0] <= self._played:
                self._shown = self._ready.popleft()[1]
            self._changed.notify()
        if self._thread is None and not self._closed:
            self._thread = Thread(target=self._decode_ahead, name="background", daemon=True)
            self._thread.start()
        return self._shown if self._shown.shape == bgr.shape else self._refit(bgr.shape)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self._video.close()

    def _refit(self, shape: tuple[int, ...]) -> np.ndarray:
        """For the few frames that were decoded before the size was known, or before it changed."""
        if self._out.shape != shape:
            self._out = np.empty(shape, np.uint8)
            self._refitted = None
        if self._refitted is not self._shown:
            cover(self._shown, shape[:2], self._out)
            self._refitted = self._shown
        return self._out

    def _decode_ahead(self) -> None:
        skipped = 0
        try:
            due, frame = self._video.next()
            while True:
                next_due, next_frame = self._video.next()
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or len(self._ready) < AHEAD)
                    if self._closed:
                        return
                    late, size = next_due <= self._now, self._size
                if late and skipped < MAX_SKIPPED:
                    skipped += 1
                else:
                    skipped = 0
                    fitted = cover(self._pictures.bgr(frame), size)
                    with self._changed:
                        self._ready.append((due, fitted))
                due, frame = next_due, next_frame
        except JitMaskerError as error:
            log.warning("the background stands still from here on: %s", error)
