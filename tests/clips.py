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


def beeping_clip(
    path,
    beeps=(1.0,),
    seconds=3.0,
    sound_from=0.0,
    sound_until=None,
    video="libx264",
    sound="aac",
    rate=48000,
    layout="mono",
    tracks=1,
    file_format=None,
    prepare=None,
):
    """A clip whose picture is white and whose sound is a tone for 0.2 s at each of `beeps` (s). Returns `path` as text.

    `sound_from`, `sound_until` (s): where its sound begins and ends; `prepare(container)` is called before the first
    packet.
    """
    with av.open(str(path), "w", format=file_format) as container:
        pictures = container.add_stream(video, rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sounds = [container.add_stream(sound, rate=rate, layout=layout) for _ in range(tracks)]
        if prepare is not None:
            prepare(container)
        for i in range(round(seconds * 25)):
            white = any(beep <= i / 25 < beep + 0.2 for beep in beeps)
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255 * white, np.uint8), format="bgr24")
            picture.pts = i
            container.mux(pictures.encode(picture))
            for stream in sounds:
                begin, end = round(max(sound_from, i / 25) * rate), round((i + 1) / 25 * rate)
                if i == round(seconds * 25) - 1:
                    end = round((sound_until or seconds) * rate)
                container.mux(_tone(stream, begin, min(end, round((sound_until or 1e9) * rate)), rate, layout, beeps))
        container.mux(pictures.encode())
        for stream in sounds:
            container.mux(stream.encode())
    return str(path)


def _tone(stream, begin, end, rate, layout, beeps):
    if end <= begin:
        return []
    at = np.arange(begin, end) / rate
    loud = np.any([(beep <= at) & (at < beep + 0.2) for beep in beeps], axis=0)
    tone = (12000 * np.sin(2 * np.pi * 1000 * at) * loud).astype(np.int16)
    channels = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame.from_ndarray(np.repeat(tone, channels)[None], format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
    return stream.encode(frame)


def beeps_of(path, track=0):
    """When (s) the picture of a `beeping_clip` turns white, and when its sound begins: two lists."""
    with av.open(str(path)) as container:
        white = [float(p.time) for p in container.decode(video=0) if p.to_ndarray(format="gray").mean() > 128]
    loud = []
    with av.open(str(path)) as container:
        mono = av.AudioResampler("s16", "mono")
        for decoded in container.decode(audio=track):
            for frame in mono.resample(decoded):
                samples = np.flatnonzero(np.abs(frame.to_ndarray()[0].astype(int)) > 1500)
                loud += [float(frame.time) + samples[0] / frame.sample_rate] if samples.size else []
    return _first_of_each(white), _first_of_each(loud)


def _first_of_each(times):
    return [time for before, time in zip([-1.0, *times], times, strict=False) if time - before > 0.15]


def pass_through(source, out, frames=None, **options):
    """Every picture of `source`, or the first `frames`, into `out` through our source and our sink, as a run does."""
    from engine.contracts import Picture
    from engine.sinks import open_sink
    from engine.sources import open_source

    video = open_source(str(source))
    sink = open_sink(str(out), fps=video.fps, origin=video.origin, **options)
    for frame in video:
        sink.write(Picture(frame.bgr, None, frame.index, frame.position))
        if frame.index + 1 == frames:
            break
    else:
        sink.source_ended()
    video.close()
    sink.close()
    return str(out)


def packets_of(path, kind="audio", track=0):
    """(time in s, content) of each packet of the `track`th stream of a kind."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, {"subtitle": "subtitles"}.get(kind, kind))[track]
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.size]


def decoded_alpha(path):
    """BGRA frames of a VP9 file; FFmpeg's own vp9 decoder leaves the alpha out, libvpx is asked for each stream."""
    with av.open(str(path)) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [frame.to_ndarray(format="bgra") for packet in packets for frame in decoder.decode(packet)]


def decoded_until_damage(path):
    frames = []
    with av.open(str(path)) as container:
        try:
            for frame in container.decode(video=0):
                frames.append(frame.time)
        except av.FFmpegError:
            return frames
    return frames
