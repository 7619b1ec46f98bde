"""Clips that tests make for themselves."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from engine.sources.synthetic import SyntheticPerson


def write_clip(path, pictures, fps=25, codec="libx264", sound=False):
    """Encode uint8 BGR pictures; `sound` adds a tone as AAC. Returns `path` as text."""
    pictures = list(pictures)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for bgr in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(bgr, format="bgr24")))
        container.mux(stream.encode())
        if audio is not None:
            for start in range(0, int(48000 * len(pictures) / fps), 1024):
                tone = np.sin(2 * np.pi * 440 * (start + np.arange(1024)) / 48000).astype(np.float32)[None]
                frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return str(path)


def figure_clip(path, frames=20, sound=False, **options):
    """A SyntheticPerson as a file."""
    figure = SyntheticPerson(**{"width": 320, "height": 240, **options})
    return write_clip(path, (figure.picture(i) for i in range(frames)), sound=sound)


def read_clip(path):
    """Every picture of a video, uint8 BGR."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def lie_down(path, degrees):
    """Have an .mp4 say that it is to be turned by `degrees` (90 or 270, clockwise), as phones do; returns the path.

    ISO/IEC 14496-12, 8.3.2: the track header's matrix, 44 bytes after its name.
    """
    one, minus = 1 << 16, (1 << 32) - (1 << 16)
    turn = {90: (0, one, 0, minus, 0, 0), 270: (0, minus, 0, one, 0, 0)}[degrees]
    data = bytearray(Path(path).read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9I", *turn, 0, 0, 1 << 30)
    Path(path).write_bytes(data)
    return path
