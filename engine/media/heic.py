"""A phone's HEIC: tiles of HEVC, which FFmpeg decodes one by one and does not join. Boxes say where each belongs.

ISO/IEC 23008-12 (HEIF): the primary item is an image, or a grid of others (`dimg` references, row by row); its
properties are its size (ispe), quarter turns (irot) and a mirror (imir). Alpha and depth beside it are not read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .pictures import Pictures

DAMAGED = (ValueError, KeyError, IndexError, struct.error)  # what boxes raise that are not what they should be
HEADER = struct.Struct(">I4s")


@dataclass
class Layout:
    """What the boxes say of the primary item."""

    tiles: list[int] = field(default_factory=list)  # items, row by row
    size: tuple[int, int] = (0, 0)  # (H, W), before it is turned
    turns: int = 0  # quarter turns to the left
    mirror: int | None = None  # after that; 0: top and bottom change places, 1: left and right

    @property
    def orientation(self) -> int:
        """As EXIF counts it, 1 to 8."""
        if self.mirror is None:
            return (1, 8, 3, 6)[self.turns]
        return ((4, 5, 2, 7), (2, 7, 4, 5))[self.mirror][self.turns]


def read_layout(data: bytes) -> Layout:
    """How a HEIC or AVIF is laid out; one of DAMAGED where its boxes are not what they should be."""
    meta = dict(boxes(data))[b"meta"][4:]
    inside = dict(boxes(meta))
    pitm, iref = inside[b"pitm"], inside.get(b"iref", bytes(4))
    (primary,) = struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)
    layout = Layout([primary])
    kind = ">I" if iref[0] else ">H"
    wide = struct.calcsize(kind)
    for name, body in boxes(iref[4:]):
        (source,) = struct.unpack_from(kind, body)
        if name == b"dimg" and source == primary:
            (count,) = struct.unpack_from(">H", body, wide)
            layout.tiles = list(struct.unpack_from(f">{count}{kind[1]}", body, wide + 2))
    iprp = dict(boxes(inside[b"iprp"]))
    properties = list(boxes(iprp[b"ipco"]))
    for index in _associated(iprp[b"ipma"], primary):
        name, body = properties[index - 1]
        if name == b"ispe":
            W, H = struct.unpack_from(">II", body, 4)
            layout.size = H, W
        elif name == b"irot":
            layout.turns = body[0] & 3
        elif name == b"imir":
            layout.mirror = body[0] & 1
        elif name == b"clap":
            raise ValueError("a crop")
    return layout


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of each box in `data`."""
    at = 0
    while at + 8 <= len(data):
        size, name = HEADER.unpack_from(data, at)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        end = at + size if size else len(data)
        if size and size < head:
            raise ValueError(f"a box of {size} bytes")
        yield name, data[at + head : end]
        at = end


def _associated(ipma: bytes, item: int) -> list[int]:
    """Which properties, counted from 1, belong to `item`."""
    version, wide = ipma[0], ipma[3] & 1
    (entries,), at = struct.unpack_from(">I", ipma, 4), 8
    for _ in range(entries):
        found, count = struct.unpack_from(">IB" if version else ">HB", ipma, at)
        at += 5 if version else 3
        indices = struct.unpack_from(f">{count}{'H' if wide else 'B'}", ipma, at)
        at += count * (2 if wide else 1)
        if found == item:
            return [index & (0x7FFF if wide else 0x7F) for index in indices]
    return []


def read_tiles(data: bytes, layout: Layout, max_pixels: int) -> np.ndarray:
    """The picture as uint8 (H, W, 3) BGR, as it is stored.

    Raises
    ------
    ValueError, av.FFmpegError
        A tile is missing or damaged, or it is not what the layout says.
    """
    from .ffmpeg import av

    H, W = layout.size
    if not 0 < H * W <= max_pixels:
        raise ValueError(f"{W}x{H} pixels")
    found: dict[int, np.ndarray] = {}
    pictures = Pictures("a HEIC picture")
    container: Any
    with av.open(io.BytesIO(data), format="mov") as container:
        streams = [stream for stream in container.streams.video if stream.id in layout.tiles]
        for packet in container.demux(streams):
            for frame in packet.decode():
                found.setdefault(packet.stream.id, pictures.stored(frame))
    tiles = [found[item] for item in layout.tiles if item in found]
    if len(tiles) != len(layout.tiles) or len({tile.shape for tile in tiles}) != 1:
        raise ValueError(f"{len(tiles)} of {len(layout.tiles)} tiles")
    h, w = tiles[0].shape[:2]
    columns, rows = -(-W // w), -(-H // h)
    if columns * rows != len(tiles):
        raise ValueError(f"{len(tiles)} tiles of {w}x{h} for {W}x{H}")
    whole = np.empty((rows * h, columns * w, 3), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * h, place % columns * w
        whole[top : top + h, left : left + w] = tile
    return whole[:H, :W]
