"""Frames of packets: with the decoder that sees transparency, and whole pictures where a stream is interlaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .pictures import Pictures

ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own leave alpha out
INTERLACED = {2, 3, 4, 5}  # of AVFieldOrder
SMALLEST = 4  # pixels, of what bwdif takes


class Decoder:
    """Decodes one video stream of an opened container; see `Pictures` for what its frames show.

    `pictures` converts them. `threads`: of the decoder.
    """

    def __init__(self, name: str, stream: Any, threads: int = 1) -> None:
        self.pictures = Pictures(name, stream.sample_aspect_ratio)
        self._context = _context_of(stream)
        self._context.thread_count = threads
        self._stream = stream
        self._deinterlacer: Deinterlacer | None = None

    def decode(self, packet: Any) -> Iterator[Any]:
        """The frames that a packet completes. The empty packet at the end of a stream brings what is left."""
        for frame in self._context.decode(packet):
            yield from self._whole(frame)
        if packet.size == 0:
            yield from self.flush()

    def flush(self) -> Iterator[Any]:
        """What is held back; there is nothing more to come."""
        if self._deinterlacer is not None:
            yield from self._deinterlacer.flush()
            self._deinterlacer = None

    def _whole(self, frame: Any) -> Iterator[Any]:
        """Progressive streams never meet the filter; where one frame is interlaced, all that follow go through it."""
        shape = frame.width, frame.height, frame.format.name
        if self._deinterlacer is not None and self._deinterlacer.shape != shape:
            yield from self.flush()
        if self._deinterlacer is None:
            if not self._is_interlaced(frame) or min(frame.width, frame.height) < SMALLEST:
                yield frame
                return
            self._deinterlacer = Deinterlacer(frame, shape)
        yield from self._deinterlacer(frame)

    def _is_interlaced(self, frame: Any) -> bool:
        return frame.interlaced_frame


class Deinterlacer:
    """bwdif: one whole picture for each frame, so that neither their number nor their times change."""

    def __init__(self, frame: Any, shape: tuple[int, int, str]) -> None:
        from .ffmpeg import av

        self.shape = shape
        self._av = av
        self._graph = av.filter.Graph()
        self._graph.threads = 1  # the cores belong to the student and the kernels
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        bwdif = self._graph.add("bwdif", mode="send_frame", deint="interlaced")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()

    def __call__(self, frame: Any) -> Iterator[Any]:
        self._graph.vpush(frame)
        yield from self._ready()

    def flush(self) -> Iterator[Any]:
        self._graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Any]:
        while True:
            try:
                yield self._graph.vpull()
            except (self._av.BlockingIOError, self._av.EOFError):
                return


def _context_of(stream: Any) -> Any:
    """The decoder of a stream, or the one that sees what is transparent in it."""
    from .ffmpeg import av

    context = stream.codec_context
    name = ALPHA_DECODERS.get(context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1" or name not in av.codecs_available:
        return context
    context = av.CodecContext.create(name, "r")
    context.extradata = stream.codec_context.extradata
    return context
