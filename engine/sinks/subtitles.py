"""Subtitles of one file into another: text is converted where the container wants another kind of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

TEXTS = {"mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text"}  # what FFmpeg converts into each other
NOTHING = b"\0\0"  # of mov_text: nothing is shown


class ConvertedText:
    """Text subtitles, by way of ASS, which FFmpeg makes of all of them and all of them of. Cues keep their times."""

    def __init__(self, stream: Any, encoder: str) -> None:
        self.stream = stream
        self.mended = 0
        self._encoder = encoder
        self._out: Any = None
        self.last: int | None = None  # ticks

    def join(self, output: Any) -> Any:
        """See `CopiedTrack`."""
        decoder = self.stream.codec_context
        decoder.open(strict=False)
        self._out = output.add_stream(self._encoder)
        self._out.codec_context.subtitle_header = (decoder.subtitle_header or b"") + b"\0"  # text of C
        self._out.time_base = self._out.codec_context.time_base = Fraction(1, 1000)
        return self._out

    def feed(self, packet: Any, at: Fraction) -> Iterator[Any]:
        """See `CopiedTrack`."""
        from ..media.ffmpeg import av

        with suppress(av.FFmpegError):  # a cue that is no text
            cue = self.stream.codec_context.decode2(packet)
            if cue is None or not len(cue):
                return  # mov_text says so where nothing is shown
            text = self._out.codec_context.encode_subtitle(cue)
            tick = Fraction(1, 1000)
            length = Fraction(packet.duration or 0) * packet.time_base
            dts = round(at / tick)
            self.last = dts = dts if self.last is None else max(dts, self.last + 1)
            text.pts = text.dts = dts
            text.time_base, text.duration, text.stream = tick, round(length / tick), self._out
            yield text

    def finish(self) -> Iterator[Any]:
        """See `CopiedTrack`."""
        return iter(())


def nothing_shown(stream: Any) -> Any:
    """A packet of mov_text for time 0: mp4 is handed to the system once each of its tracks has begun."""
    from ..media.ffmpeg import av

    packet = av.Packet(NOTHING)
    packet.pts = packet.dts = 0
    packet.time_base, packet.duration, packet.stream = Fraction(1, 1000), 1, stream
    return packet
