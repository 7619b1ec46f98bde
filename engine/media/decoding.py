"""Frames of packets: with the decoder that sees transparency, and whole pictures where a stream is interlaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .pictures import Pictures

ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own leave alpha out
FIELD_ORDERS = {2: "tff", 4: "tff", 3: "bff", 5: "bff"}  # of AVFieldOrder, as FFmpeg's raw decoders take them
MARK_EACH_FRAME = {"h264", "hevc", "mpeg1video", "mpeg2video", "vc1", "wmv3"}  # which may mix both kinds in a stream
SMALLEST = 4  # pixels, of what bwdif takes


class Decoder:
    """The frames of one video stream, each a whole picture, for `pictures` to convert. `threads`: of the decoder."""

    def __init__(self, stream: Any, pictures: Pictures, threads: int = 1) -> None:
        pictures.pixel_aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        self._context = _context_of(stream)
        self._context.thread_count = threads
        marks_each = self._context.name in MARK_EACH_FRAME
        self._field_order = None if marks_each else FIELD_ORDERS.get(stream.codec_context.field_order)
        self._deinterlacer: Deinterlacer | None = None

    def decode(self, packet: Any) -> Iterator[Any]:
        """The frames that a packet completes; the empty one at the end of a stream completes all that are left."""
        ends = packet.size == 0
        if ends and packet.dts is not None:  # "as before", as Theora and AVI write it: nothing to decode
            return
        for frame in self._context.decode(packet):
            yield from self._whole(frame)
        if ends:
            yield from self.flush()

    def flush(self) -> Iterator[Any]:
        """What is held back: there is nothing more to come."""
        held, self._deinterlacer = self._deinterlacer, None
        if held is not None:
            yield from held.flush()

    def _whole(self, frame: Any) -> Iterator[Any]:
        """Progressive streams never meet the filter; where one frame is interlaced, all that follow go through it."""
        if self._deinterlacer is not None and self._deinterlacer.shape != shape_of(frame):
            yield from self.flush()
        if self._deinterlacer is None:
            interlaced = frame.interlaced_frame or self._field_order
            if not interlaced or min(frame.width, frame.height) < SMALLEST:
                yield frame
                return
            self._deinterlacer = Deinterlacer(frame, None if frame.interlaced_frame else self._field_order)
        yield from self._deinterlacer(frame)


class Deinterlacer:
    """bwdif: one whole picture for each frame, so that neither their number nor their times change.

    `field_order`: "tff" or "bff" of frames that do not say that they are interlaced; None: as each frame says.
    """

    def __init__(self, frame: Any, field_order: str | None) -> None:
        from .ffmpeg import av

        self.shape = shape_of(frame)
        self._over = (av.BlockingIOError, av.EOFError)
        self._graph = av.filter.Graph()
        self._graph.threads = 1  # the cores belong to the student and the kernels
        W, H, _ = self.shape
        source = self._graph.add_buffer(width=W, height=H, format=frame.format, time_base=frame.time_base)
        which = {"deint": "all", "parity": field_order} if field_order else {"deint": "interlaced"}
        bwdif = self._graph.add("bwdif", mode="send_frame", **which)
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()

    def __call__(self, frame: Any) -> Iterator[Any]:
        self._graph.vpush(frame)
        yield from self._ready()

    def flush(self) -> Iterator[Any]:
        """The last frame: each one waits for the next."""
        self._graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Any]:
        while True:
            try:
                frame = self._graph.vpull()
            except self._over:
                return
            yield frame


def shape_of(frame: Any) -> tuple[int, int, str]:
    """Width, height, pixel format."""
    return frame.width, frame.height, frame.format.name


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
