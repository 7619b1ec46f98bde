"""Small video files of awkward kinds, made by the tests that read them."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np

from engine.media.ffmpeg import av
from engine.media.pictures import to_frame


def plain(colour=(90, 90, 90), size=(48, 64)):
    picture = np.empty((*size, len(colour)), np.uint8)
    picture[:] = colour
    return picture


def write(
    path, *films, codec="libx264", pixels="yuv420p", options=None, set_up=None, prepare=None, cover=None, rate=25
):
    """Films, each a list of uint8 BGR or BGRA pictures, as tracks of one file; a `cover` and sound of one second.

    `set_up` is given each encoder, `prepare` each frame.
    """
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream(codec, rate=rate, options=dict(options or {})) for _ in films]
        sound = None if cover is None else container.add_stream("aac", rate=8000, layout="mono")
        still = None if cover is None else container.add_stream("mjpeg", rate=25)
        for track, film in zip(tracks, films, strict=True):
            track.height, track.width = film[0].shape[:2]
            track.pix_fmt = pixels
            if set_up:
                set_up(track.codec_context)
        if still is not None:
            still.height, still.width = cover.shape[:2]
            still.pix_fmt, still.disposition = "yuvj420p", av.stream.Disposition.attached_pic
            container.mux(still.encode(av.VideoFrame.from_ndarray(cover, format="bgr24")) + still.encode())
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
            tone.sample_rate = 8000
            container.mux(sound.encode(tone) + sound.encode())
        for track, film in zip(tracks, films, strict=True):
            for i, picture in enumerate(film):
                frame = to_frame(picture, "bgra" if picture.shape[2] == 4 else "bgr24", pixels)
                frame.pts, frame.time_base = i, Fraction(1, rate)
                if prepare:
                    prepare(frame)
                container.mux(track.encode(frame))
            container.mux(track.encode())
    return str(path)


def put_cover_first(path):
    """Have an .mp4 tell of its cover before its tracks, as some programs write it: `udta` before every `trak`."""
    data = Path(path).read_bytes()
    start = data.index(b"moov") - 4
    end = start + struct.unpack_from(">I", data, start)[0]
    boxes, at = [], start + 8
    while at < end:
        size = struct.unpack_from(">I", data, at)[0]
        boxes.append(data[at : at + size])
        at += size
    boxes.sort(key=lambda box: (b"mvhd", b"udta").index(box[4:8]) if box[4:8] in (b"mvhd", b"udta") else 2)
    Path(path).write_bytes(data[: start + 8] + b"".join(boxes) + data[end:])
    return path


def hide_codec(path, name):
    """Have the first track of an .mp4 that is coded as `name` (4 bytes) be in a codec that nobody knows."""
    data = bytearray(Path(path).read_bytes())
    at = data.index(name, data.index(b"stsd"))
    data[at : at + 4] = b"xyz1"
    if name == b"mp4a":  # whose codec is told a second time
        at = data.index(b"esds", at)
        data[at : at + 4] = b"xyz2"
    Path(path).write_bytes(data)
    return path
