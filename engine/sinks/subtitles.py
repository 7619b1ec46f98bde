"""Subtitles of one file into another: text is converted where the container wants another kind of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

TEXTS = {"mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text"}  # what FFmpeg converts into each other
MILLISECOND = Fraction(1, 1000)
NOTHING = b"\0\0"  # of mov_text: no text is shown


class ConvertedText:
    """Text subtitles, by way of ASS, which FFmpeg makes of all of them and all of them of. Cues keep their times."""

    def __init__(self, stream: Any, encoder: str) -> None:
        self.stream = stream
        self.mended = self.damaged = 0
        self._encoder = encoder
        self._out: Any = None
        self._last = -1  # ms

    def join(self, output: Any) -> Any:
        """See `CopiedTrack`."""
        decoder = self.stream.codec_context
        decoder.open(strict=False)
        self._out = output.add_stream(self._encoder)
        self._out.codec_context.subtitle_header = (decoder.subtitle_header or b"") + b"\0"  # text of C
        self._out.time_base = self._out.codec_context.time_base = MILLISECOND
        return self._out

    def feed(self, packet: Any, at: Fraction) -> Iterator[Any]:
        """See `CopiedTrack`."""
        from ..media.ffmpeg import av

        try:
            cue = self.stream.codec_context.decode2(packet)
            if cue is None or not len(cue):
                return  # mov_text says so where nothing is shown
            text = self._out.codec_context.encode_subtitle(cue)
        except av.FFmpegError:
            self.damaged += 1
            return
        text.pts = text.dts = self._last = max(round(at / MILLISECOND), self._last + 1)
        text.duration = round((packet.duration or 0) * packet.time_base / MILLISECOND)
        text.time_base, text.stream = MILLISECOND, self._out
        yield text

    def finish(self) -> Iterator[Any]:
        """See `CopiedTrack`."""
        return iter(())


@dataclass
class Cue:
    """One text and when it is shown, in ticks of `Captions`."""

    start: int
    end: int
    text: bytes  # as a sample of mov_text (3GPP TS 26.245, 5.17): its length, the text, boxes about its style


class Captions:
    """Packets of mov_text for mp4, which shows one text at a time: those that overlap follow each other.

    FFmpeg's muxer ends the process where they overlap, and it ends texts by itself, at a time that it takes from
    another track's clock. So that it has no cause to: the clock here is finer than any other, each text is followed by
    nothing, and where there is no text for a while, that is said as well.
    """

    TICK = Fraction(1, 1_000_000)  # s
    APART = 1000  # ticks, at least, from one packet to the next
    SAME = 10_000  # ticks between the starts of two texts that are shown at once
    SILENCE = 2_000_000  # ticks without a text after which that is said
    ALONE = 600_000_000  # ticks behind everything else, where a text is damage
    UNTIL_NEXT = 5_000_000  # ticks that a text is shown whose end is not known

    def __init__(self, out: Any) -> None:
        self._out = out
        self._cues: deque[Cue] = deque()
        self._last = -self.APART  # of the packets that were given out

    def add(self, packet: Any) -> None:
        """A text, in the order of their times."""
        text = bytes(packet)
        if len(text) <= len(NOTHING):
            return
        scale = packet.time_base / self.TICK
        start = max(round(packet.dts * scale), self.APART)
        end = start + (round((packet.duration or 0) * scale) or self.UNTIL_NEXT)
        before = self._cues[-1] if self._cues else None
        if before is not None and start < before.start + self.SAME:
            self._cues[-1] = Cue(before.start, max(before.end, end), _both(before.text, text))
            return
        if before is not None:
            before.end = min(before.end, start)
        self._cues.append(Cue(start, end, text))

    def until(self, position: float, over: bool) -> Iterator[Any]:
        """What is to be written when the pictures are at `position` (s); `over`: no more is to come."""
        now = position / self.TICK if position < math.inf else math.inf
        if self._last < 0:
            yield self._packet(0, 1, NOTHING)
        while self._cues and (len(self._cues) > 1 or self._cues[0].end <= now or over):
            cue = self._cues.popleft()
            if over and (cue.start >= now or cue.start - self._last > self.ALONE):
                return
            start, end = max(cue.start, self._last + self.APART), cue.end
            end = max(round(min(end, now)) if over else end, start + self.APART)
            yield self._packet(start, end - start, cue.text)
            if not self._cues or self._cues[0].start > end + self.APART:
                yield self._packet(end, 1, NOTHING)
        if not self._cues and now != math.inf and now - self._last > self.SILENCE:
            yield self._packet(round(now) - self.APART, 1, NOTHING)

    def _packet(self, start: int, duration: int, text: bytes) -> Any:
        from ..media.ffmpeg import av

        packet = av.Packet(text)
        packet.pts = packet.dts = self._last = start
        packet.duration, packet.time_base, packet.stream = duration, self.TICK, self._out
        return packet


def _both(first: bytes, second: bytes) -> bytes:
    """Two texts at once, without their styles."""
    lines = [text[2 : 2 + int.from_bytes(text[:2], "big")] for text in (first, second)]
    joined = b"\n".join(lines)
    return len(joined).to_bytes(2, "big") + joined
