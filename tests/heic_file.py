"""A HEIC as phones write it: tiles of HEVC under a grid, made by hand, since FFmpeg writes none."""

import io
import struct

import av
import numpy as np


def heic(bgr, side=128, irot=None, imir=None):
    """`bgr` uint8 (H, W, 3) in tiles of `side` pixels; irot (quarter turns to the left) and imir as they are stored."""
    H, W = bgr.shape[:2]
    rows, columns = -(-H // side), -(-W // side)
    padded = np.zeros((rows * side, columns * side, 3), np.uint8)
    padded[:H, :W] = bgr
    tiles = [
        _tile(np.ascontiguousarray(padded[top : top + side, left : left + side]))
        for top in range(0, rows * side, side)
        for left in range(0, columns * side, side)
    ]
    count, grid = len(tiles), len(tiles) + 1
    layout = struct.pack(">4B2H", 0, 0, rows - 1, columns - 1, W, H)
    items = [_full(b"infe", 2, struct.pack(">HH", i + 1, 0), b"hvc1", b"\0") for i in range(count)]
    items.append(_full(b"infe", 2, struct.pack(">HH", grid, 0), b"grid", b"\0"))
    properties = [
        tiles[0][0],
        _full(b"ispe", 0, struct.pack(">II", side, side)),
        _full(b"ispe", 0, struct.pack(">II", W, H)),
        *([_box(b"irot", bytes([irot]))] if irot is not None else []),
        *([_box(b"imir", bytes([imir]))] if imir is not None else []),
    ]
    of_grid = bytes(range(3, len(properties) + 1))
    associations = [struct.pack(">H3B", i + 1, 2, 0x81, 2) for i in range(count)]
    associations.append(struct.pack(">HB", grid, len(of_grid)) + of_grid)

    def meta(base):
        places, samples = [], [sample for _, sample in tiles] + [layout]
        for item, sample in enumerate(samples, 1):
            places.append(struct.pack(">4H2I", item, 0, 0, 1, base, len(sample)))
            base += len(sample)
        return _full(
            b"meta", 0,
            _full(b"hdlr", 0, bytes(4) + b"pict" + bytes(13)),
            _full(b"pitm", 0, struct.pack(">H", grid)),
            _full(b"iinf", 0, struct.pack(">H", len(items)), *items),
            _full(b"iref", 0, _box(b"dimg", struct.pack(f">{count + 2}H", grid, count, *range(1, count + 1)))),
            _box(b"iprp", _box(b"ipco", *properties), _full(b"ipma", 0, struct.pack(">I", grid), *associations)),
            _full(b"iloc", 1, b"\x44\0", struct.pack(">H", grid), *places),
        )  # fmt: skip

    kind = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    return kind + meta(len(kind) + len(meta(0)) + 8) + _box(b"mdat", *[sample for _, sample in tiles], layout)


def _box(name, *parts):
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + name + body


def _full(name, version, *parts):
    return _box(name, struct.pack(">I", version << 24), *parts)


def _tile(bgr):
    """(hvcC box, HEVC sample) of one tile, out of an mp4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        quiet = {"crf": "5", "preset": "ultrafast", "x265-params": "log-level=none"}
        stream = container.add_stream("libx265", rate=1, options=quiet)
        stream.height, stream.width = bgr.shape[:2]
        stream.pix_fmt, stream.codec_context.codec_tag = "yuv444p", "hvc1"
        frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            packet.pts = packet.dts = 0  # libx265 leaves the dts of a single frame to chance
            container.mux(packet)
    data = file.getvalue()
    at = data.index(b"hvcC") - 4
    settings = data[at : at + struct.unpack_from(">I", data, at)[0]]
    at = data.index(b"mdat") - 4
    return settings, data[at + 8 : at + struct.unpack_from(">I", data, at)[0]]
