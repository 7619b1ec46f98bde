"""The tables of docs/files.md, made by trying: each sound codec whose encoder is here into each container, and alpha.

`JM_WRITE_TABLES=1 pytest tests/engine/sinks/test_containers.py` writes them anew.
"""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.contracts import Origin, Picture
from engine.errors import JitMaskerError
from engine.sinks import open_sink
from engine.sinks.containers import CONTAINERS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "files.md"
CARRIERS = (".mkv", ".mov", ".avi", ".nut", ".wav", ".ogg", ".caf", ".flv", ".amr", ".wv")
SECONDS = 0.4
# Not what anybody has in a file: placeholders, Bluetooth, games of the nineties, and doubles of others.
LEFT_ALONE = {
    "anull", "comfortnoise", "aptx", "aptx_hd", "sbc", "dfpwm", "roq_dpcm", "pcm_vidc", "pcm_dvd", "pcm_bluray",
    "adpcm_argo", "adpcm_ima_alp", "adpcm_ima_amv", "adpcm_ima_apm", "adpcm_ima_ssi", "adpcm_ima_ws", "pcm_s24daud",
    "nellymoser", "ra_144", "g723_1",
}  # fmt: skip


def encoders():
    """Codec: the first of its encoders that makes sound here."""
    found = {}
    for name in sorted(av.codecs_available):
        try:
            encoder = av.Codec(name, "w")
        except ValueError:
            continue
        if encoder.type == "audio" and encoder.canonical_name not in LEFT_ALONE:
            better = not encoder.experimental and not name.endswith(("_fixed", "fixed"))
            if encoder.canonical_name not in found or better:
                found[encoder.canonical_name] = name
    return found


def recording(folder, codec, encoder):
    """A file with 0.4 s of sound in `codec`, in the first container that takes it; None where none does."""
    for suffix in CARRIERS:
        path = folder / f"{codec}{suffix}"
        for rate, layout in ((48000, "stereo"), (44100, "stereo"), (8000, "mono")):
            try:
                write_sound(path, encoder, rate, layout)
                found, seconds = sound_of(path)
                if found == codec and seconds == pytest.approx(SECONDS, abs=0.2):
                    return path
            except (av.FFmpegError, ValueError, AttributeError, IndexError):
                continue
    return None


def sound_of(path):
    """The codec of a file's sound, and when it ends (s)."""
    with av.open(str(path)) as container:
        frames = [frame for frame in container.decode(audio=0) if frame.time is not None]
        ends = [frame.time + frame.samples / frame.sample_rate for frame in frames]
        return container.streams.audio[0].codec_context.codec.canonical_name, max(ends)


def write_sound(path, encoder, rate, layout):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=rate, layout=layout, options={"strict": "experimental"})
        if encoder.startswith("wma"):  # whose encoder has no default
            stream.bit_rate = 128_000
        tone = (8000 * np.sin(np.arange(round(SECONDS * rate)) / 7)).astype(np.int16)
        channels = av.AudioLayout(layout).nb_channels
        for begin in range(0, tone.size, 480):
            samples = np.repeat(tone[begin : begin + 480], channels)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def outcome(source, path):
    """What becomes of the sound of `source` in the file `path`: "as it is", the codec that it is encoded in, "no"."""
    try:
        sink = open_sink(str(path), fps=25, origin=Origin(again=str(source)))
        for i in range(10):
            sink.write(Picture(np.zeros((32, 32, 3), np.uint8), None, i, i / 25))
        sink.source_ended()
        sink.close()
    except JitMaskerError:
        return "no"
    codec, seconds = sound_of(path)
    assert seconds == pytest.approx(SECONDS, abs=0.2), (source, path)
    # FFmpeg reads mp2 in mp4 as mp3, whose decoder takes both
    return "as it is" if source.stem == codec or (source.stem, codec) == ("mp2", "mp3") else codec


def sound_table(folder):
    suffixes = list(CONTAINERS)
    rows: dict[tuple[str, ...], list[str]] = {}
    for codec, encoder in encoders().items():
        source = recording(folder, codec, encoder)
        if source is not None:
            outcomes = tuple(outcome(source, folder / f"out{suffix}") for suffix in suffixes)
            rows.setdefault(outcomes, []).append(codec)
    lines = [f"| sound | {' | '.join(suffixes)} |", "| --- |" + " --- |" * len(suffixes)]
    ordered = sorted(rows.items(), key=lambda row: (-row[0].count("as it is"), row[1][0]))
    return "\n".join(lines + [f"| {', '.join(codecs)} | {' | '.join(outcomes)} |" for outcomes, codecs in ordered])


def alpha_table(folder):
    lines = ["| file | pictures | with alpha |", "| --- | --- | --- |"]
    for suffix in CONTAINERS:
        kinds = [written(folder / f"plain{suffix}", False), written(folder / f"alpha{suffix}", True)]
        lines.append(f"| {suffix} | {' | '.join(kinds)} |")
    return "\n".join(lines)


def written(path, transparent):
    """The codec of pictures in `path`, and how near their alpha comes to what was written."""
    alpha = np.repeat(np.arange(32, dtype=np.uint8)[None] * 8, 32, 0)
    try:
        sink = open_sink(str(path), fps=25, transparent=transparent)
        for i in range(3):
            sink.write(Picture(np.full((32, 32, 3), 120, np.uint8), alpha, i, i / 25))
        sink.close()
    except JitMaskerError:
        return "no"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        name = stream.codec_context.codec.canonical_name
        if not transparent:
            return name
        decoder = av.CodecContext.create("libvpx-vp9", "r") if name == "vp9" else stream.codec_context
        frames = [frame for packet in container.demux(stream) if packet.size for frame in decoder.decode(packet)]
    error = np.abs(frames[0].to_ndarray(format="bgra")[:, :, 3].astype(int) - alpha).max()
    assert error < 12
    return f"{name}, {'lossless' if error == 0 else 'straight'}"


@pytest.mark.parametrize("made", [sound_table, alpha_table])
def test_the_document_says_what_happens(made, tmp_path):
    text = DOCUMENT.read_text(encoding="utf-8")
    begin, end = f"<!-- {made.__name__} -->\n", f"\n<!-- end of {made.__name__} -->"
    before, rest = text.split(begin)
    table, after = rest.split(end)
    tried = made(tmp_path)
    if os.environ.get("JM_WRITE_TABLES"):
        DOCUMENT.write_text(before + begin + tried + end + after, encoding="utf-8")
    else:
        assert tried == table
