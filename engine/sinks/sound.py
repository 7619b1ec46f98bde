"""One track of a file into another: packets as they are (`CopiedTrack`), or sound encoded anew (`EncodedSound`).

Both are fed packets together with their place on the pictures' clock, and give packets for the muxer. Know nothing
about pictures.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

from .containers import Container

RATES = {
    "aac": (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000),
    "libopus": (48000,),
}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # channels; what has another number of them becomes stereo
BITS = {"aac": 96_000, "libopus": 64_000}  # per second and channel; beyond, nobody hears a difference
KEPT_BEFORE = Fraction(1, 10)  # s before the first picture, of what an edit list leaves out: decoders begin there
MAX_LATE = 8  # packets in a row that may come late, before one is left out to catch up
TOLERANCE_S = 0.05  # between a sound's time and the samples before it; beyond, silence is put in, or samples left out


class CopiedTrack:
    """The packets of `stream`, unchanged but for their times, which muxers want to go on. `first`: one to look at."""

    def __init__(self, stream: Any, first: Any = None) -> None:
        self.stream = stream
        self.mended = 0  # packets of sound whose times ran back or stood still
        self.damaged = 0  # packets that cannot be read
        self._waiting: Any = None  # the last packet: what comes after it tells whether it has room
        self._out: Any = None
        self._last: int | None = None  # ticks
        self._late = 0  # packets in a row that came later than they should
        self._filter: Any = None
        self._extradata: bytes | None = None
        if first is not None:
            self._filter, self._extradata = _unwrapped_aac(stream, first)

    def join(self, output: Any) -> Any:
        """Announce the track to `output`, before its first packet; returns the stream there. ValueError: impossible."""
        self._out = output.add_stream_from_template(self.stream)
        if self._extradata is not None:
            self._out.codec_context.extradata = self._extradata
        if self.stream.type == "audio":
            channels = self.stream.codec_context.layout.nb_channels
            if self.stream.codec_context.layout.name == f"{channels} channels" and channels in LAYOUTS:
                self._out.codec_context.layout = LAYOUTS[channels]  # mp4 takes none that is not said
        return self._out

    def feed(self, packet: Any, at: Fraction) -> Iterator[Any]:
        """`packet` of the file at `at` (s): what the muxer is to get, which may be the one before."""
        if packet.is_discard and at < -KEPT_BEFORE:
            return
        later = packet.pts - packet.dts if packet.pts is not None and packet.dts is not None else 0
        packet.dts = round(at / packet.time_base)
        packet.pts = packet.dts + max(0, later)
        if self.stream.type != "audio":  # between two cues there may be minutes
            yield from self._ready(packet, None)
            return
        waiting, self._waiting = self._waiting, packet
        if waiting is not None:
            yield from self._ready(waiting, packet.dts)

    def finish(self) -> Iterator[Any]:
        """What is still to come at the end."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            yield from self._ready(waiting, None)

    def _ready(self, packet: Any, following: int | None) -> Iterator[Any]:
        """`packet` at a time of its own, where there is one for it before the `following` packet."""
        # packets shorter than a tick share it (TrueHD in Matroska)
        shared = packet.dts == self._last and (packet.duration or 0) <= 1 and self.stream.type == "audio"
        if self._last is not None and packet.dts <= self._last and not shared:
            moved = self._moved(packet, following)
            if moved is None:
                return
            packet.dts, packet.pts = moved, moved + packet.pts - packet.dts
        else:
            self._late = 0
        self._last = packet.dts
        tick = packet.time_base
        for filtered in self._unwrapped(packet):
            if filtered.has_sidedata("new_extradata"):  # Matroska's muxer writes it over its own header
                filtered = clone(filtered)
            filtered.stream, filtered.time_base = self._out, tick
            yield filtered

    def _unwrapped(self, packet: Any) -> list[Any]:
        from ..media.ffmpeg import av

        if self._filter is None:
            return [packet]
        try:
            unwrapped: list[Any] = self._filter.filter(packet)
        except av.FFmpegError:  # no frame of AAC
            self.damaged += 1
            return []
        return unwrapped

    def _moved(self, packet: Any, following: int | None) -> int | None:
        """The time for a packet whose own stands still or runs back; None: there was sound at that time already."""
        assert self._last is not None
        length = packet.duration or 0
        if self.stream.type != "audio" or not length:
            return self._last + self._step(packet.time_base)
        self.mended += 1
        has_room = following is None or following == packet.dts or following - self._last > 1.8 * length
        late = self._last + length - packet.dts
        if has_room or (late <= 1.5 * length and self._late < MAX_LATE):
            self._late += 1
            return self._last + length
        return None

    def _step(self, tick: Fraction) -> int:
        """The least that is left of a step where the container counts in samples."""
        rate = self.stream.sample_rate if self.stream.type == "audio" else 1000
        return max(1, -(-1 // (rate * tick))) if rate else 1


def _unwrapped_aac(stream: Any, first: Any) -> tuple[Any, bytes | None]:
    """For AAC in ADTS frames, as MPEG-TS has it and few containers take: the filter, and the header it gives."""
    from ..media.ffmpeg import av

    if stream.codec_context.name != "aac" or stream.codec_context.extradata or bytes(first)[:1] != b"\xff":
        return None, None
    with suppress(av.FFmpegError):  # else the muxer says what is wrong with it
        for packet in av.BitStreamFilterContext("aac_adtstoasc", stream).filter(clone(first)):
            if packet.has_sidedata("new_extradata"):
                extradata = bytes(packet.get_sidedata("new_extradata"))
                return av.BitStreamFilterContext("aac_adtstoasc", stream), extradata
    return None, None


def clone(packet: Any) -> Any:
    """A packet of the same content and times."""
    from ..media.ffmpeg import av

    twin = av.Packet(bytes(packet))
    twin.pts, twin.time_base, twin.duration = packet.pts, packet.time_base, packet.duration
    twin.dts = packet.dts if packet.dts is not None else packet.pts or 0
    twin.is_keyframe = packet.is_keyframe
    return twin


def reason_against(container: Container, stream: Any, first: list[Any]) -> str | None:
    """Why `container` does not take the packets of `stream` as they are, in FFmpeg's words; None: it does.

    Tried with the `first` of them, because what is known of a codec does not tell all that a muxer wants.
    """
    from ..media.ffmpeg import av

    # Here no thread of FFmpeg's is at work: one that wants to log would wait for this one, and this one for it.
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as lines:
            try:
                with av.open(
                    io.BytesIO(), "w", format=container.format, container_options=dict(container.options)
                ) as out:
                    track = CopiedTrack(stream, first[0] if first else None)
                    track.join(out)
                    for packet in first:
                        out.mux(list(track.feed(clone(packet), packet.dts * packet.time_base)))
                    out.mux(list(track.finish()))
                    out.start_encoding()
            except (av.FFmpegError, OSError) as error:
                return lines[-1][2].strip() if lines else str(error)
            except ValueError:  # PyAV's, where the format does not know the codec
                return f"{container.format} has no {stream.codec_context.codec.canonical_name}"
    finally:
        av.logging.set_level(level)
    return None


class EncodedSound:
    """Sound decoded, and encoded anew by `encoder`. Gaps become silence, so that what comes after them is in step."""

    def __init__(self, stream: Any, encoder: str) -> None:
        self.stream = stream
        self.mended = 0  # frames left out, because there was sound at their time already
        self.damaged = 0  # packets that cannot be decoded
        self._encoder = encoder
        context = stream.codec_context
        rates = RATES[encoder]
        self._rate = context.sample_rate if context.sample_rate in rates else 48000
        self._layout = LAYOUTS.get(context.layout.nb_channels, "stereo")
        self._out: Any = None
        self._resampler: Any = None
        self._format: Any = None  # of the frames that the resampler takes
        self._begin: Fraction | None = None  # s
        self._samples = 0  # encoded so far

    def join(self, output: Any) -> Any:
        """See `CopiedTrack`."""
        self._out = output.add_stream(self._encoder, rate=self._rate, layout=self._layout)
        channels = self._out.codec_context.layout.nb_channels
        self._out.bit_rate = BITS[self._encoder] * channels
        self._out.time_base = self._out.codec_context.time_base = Fraction(1, self._rate)
        return self._out

    def feed(self, packet: Any, at: Fraction) -> Iterator[Any]:
        """See `CopiedTrack`."""
        from ..media.ffmpeg import av

        packet.pts = packet.dts = round(at / packet.time_base)
        try:
            frames = self.stream.codec_context.decode(packet)
        except av.FFmpegError:
            self.damaged += 1
            return
        for frame in frames:
            yield from self._encode(frame)

    def finish(self) -> Iterator[Any]:
        """See `CopiedTrack`."""
        from ..media.ffmpeg import av

        with suppress(av.FFmpegError, EOFError):
            for frame in self.stream.codec_context.decode(None):
                yield from self._encode(frame)
        if self._begin is not None:
            yield from self._resampled(None)
            yield from self._out.encode(None)

    def _encode(self, frame: Any) -> Iterator[Any]:
        if self._begin is None:
            self._begin = frame.pts * frame.time_base if frame.pts is not None else Fraction(0)
        end = self._begin + Fraction(self._samples, self._rate)
        early = frame.pts * frame.time_base - end if frame.pts is not None else 0
        if early < -TOLERANCE_S:
            self.mended += 1
            return
        if early > TOLERANCE_S:
            yield from self._silence(round(early * self._rate))
        yield from self._resampled(frame)

    def _resampled(self, frame: Any) -> Iterator[Any]:
        """`frame` as the encoder wants it, encoded; None: what the resampler still holds."""
        from ..media.ffmpeg import av

        now = (frame.format.name, frame.layout.name, frame.sample_rate) if frame is not None else None
        if self._resampler is not None and now != self._format:  # a recording may change in the middle
            for rest in self._resampler.resample(None):
                if rest is not None:
                    yield from self._encoded(rest)
            self._resampler = None
        if frame is None:
            return
        if self._resampler is None:
            self._format = now
            self._resampler = av.AudioResampler(self._out.codec_context.format, self._layout, self._rate)
        frame.pts = None
        for ready in self._resampler.resample(frame):
            yield from self._encoded(ready)

    def _silence(self, samples: int) -> Iterator[Any]:
        from ..media.ffmpeg import av

        while samples > 0:
            count = min(samples, self._rate)
            frame = av.AudioFrame(self._out.codec_context.format, self._layout, count)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate = self._rate
            yield from self._encoded(frame)
            samples -= count

    def _encoded(self, frame: Any) -> Iterator[Any]:
        assert self._begin is not None
        frame.pts, frame.time_base = round(self._begin * self._rate) + self._samples, Fraction(1, self._rate)
        self._samples += frame.samples
        yield from self._out.encode(frame)
