"""The sound of one file into another, by packet copy: no packet is changed. Knows nothing about pictures."""

from __future__ import annotations

from typing import Any

from ..errors import SinkError
from ..media.naming import for_ffmpeg
from .containers import CONTAINERS, Container, sound_codecs


def open_sound(path: str, container: Container) -> Sound | None:
    """The first audio stream of `path`, or None where it has none. SinkError if `container` cannot hold it."""
    from ..media.ffmpeg import av

    try:
        source = av.open(for_ffmpeg(path))
    except (OSError, av.FFmpegError) as error:
        raise SinkError(
            f"cannot read the sound of {path}: {error.strerror}; go without sound or name another"
        ) from error
    if not source.streams.audio:
        source.close()
        return None
    codec = source.streams.audio[0].codec_context.codec.canonical_name
    if codec not in sound_codecs(container):
        source.close()
        able = [suffix for suffix, other in CONTAINERS.items() if codec in sound_codecs(other)]
        remedy = f"write to {' or '.join(able)}" if able else "go without sound"
        raise SinkError(f"{container.format} cannot hold the {codec} sound of {path}; {remedy}")
    return Sound(source)


class Sound:
    """The packets of one audio stream, untouched but for the clock: 0 is where the pictures of its file begin."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._stream = source.streams.audio[0]
        start = source.streams.video[0].start_time if source.streams.video else None
        begin = start * source.streams.video[0].time_base if start is not None else 0
        self._shift = round(begin / self._stream.time_base)
        self._packets = source.demux(self._stream)
        self._out: Any = None
        self._next = self._read()

    def join(self, output: Any) -> None:
        """Announce the stream to `output`, before its first packet."""
        self._out = output.add_stream_from_template(self._stream)

    def copy_until(self, position: float, output: Any) -> None:
        """Mux the packets that begin before `position` (s)."""
        while self._next is not None and float(self._next.dts * self._next.time_base) < position:
            self._next.stream = self._out
            output.mux(self._next)
            self._next = self._read()

    def close(self) -> None:
        self._next = None
        self._source.close()

    def _read(self) -> Any:
        for packet in self._packets:
            if packet.dts is not None:  # the last one is empty and says that the stream is over
                packet.dts -= self._shift
                packet.pts = packet.dts if packet.pts is None else packet.pts - self._shift
                return packet
        return None
