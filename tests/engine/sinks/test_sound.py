"""The sound of one file in another, as the sink writes it: what is read back, in step with its pictures."""

import functools
import http.server
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from engine.contracts import Origin, Picture
from engine.errors import SinkError, UsageError
from engine.sinks import open_sink
from engine.sinks.containers import CONTAINERS
from tests.clips import beeping_clip, beeps_of, packets_of, pass_through, read_clip, write_clip

FILES = sorted(CONTAINERS)


def codecs(path, kind="audio"):
    with av.open(str(path)) as container:
        return [s.codec_context.codec.canonical_name for s in container.streams if s.type == kind]


def in_step(path, beeps, track=0):
    """Whether picture and sound begin together, at each of `beeps` after the first picture of the file."""
    white, loud = beeps_of(path, track)
    assert len(white) == len(loud) == len(beeps), (white, loud)
    start = white[0] - beeps[0]
    assert white == pytest.approx([start + beep for beep in beeps], abs=0.05)
    assert loud == pytest.approx(white, abs=0.03)


def rewritten(path, into, moved):
    """The packets of `path`, each later by `moved(packet)` (s)."""
    with av.open(str(path)) as whole, av.open(str(into), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in whole.streams}
        for packet in whole.demux():
            if packet.size:
                later = round(moved(packet) / packet.time_base)
                packet.pts += later
                packet.dts += later
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return into


# --- as it is


@pytest.mark.parametrize(("codec", "source", "suffix"), [
    ("aac", ".mp4", ".mp4"), ("aac", ".mp4", ".mkv"), ("aac", ".mp4", ".mov"), ("libopus", ".webm", ".webm"),
    ("libopus", ".mkv", ".mp4"),
])  # fmt: skip
def test_sound_passes_byte_for_byte(codec, source, suffix, tmp_path):
    video = "libvpx-vp9" if source == ".webm" else "libx264"
    clip = beeping_clip(tmp_path / f"voice{source}", sound=codec, video=video)
    out = pass_through(clip, tmp_path / f"out{suffix}")
    assert [data for _, data in packets_of(out)] == [data for _, data in packets_of(clip)]


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("sound_from", [0.0, 0.5])
def test_sound_and_pictures_stay_in_step(sound_from, suffix, tmp_path):
    clip = beeping_clip(tmp_path / "in.mp4", beeps=(1.0, 2.0), sound_from=sound_from)
    in_step(pass_through(clip, tmp_path / f"out{suffix}"), (1.0, 2.0))


def test_sound_that_begins_before_its_pictures_does_not_move_them_in_mp4(tmp_path):
    clip = beeping_clip(tmp_path / "in.mp4")
    with av.open(pass_through(clip, tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).time == 0
    assert packets_of(clip)[0][0] < 0  # the priming of AAC


@pytest.mark.parametrize("suffix", FILES)
def test_sound_that_begins_late_begins_late(suffix, tmp_path):
    clip = beeping_clip(tmp_path / "in.mkv", beeps=(2.5,), sound_from=2.0, sound="libopus")
    out = pass_through(clip, tmp_path / f"out{suffix}")
    assert packets_of(out)[0][0] == pytest.approx(2.0, abs=0.15)  # of 8 kHz AAC, the priming lasts 0.13 s
    in_step(out, (2.5,))


@pytest.mark.parametrize("suffix", FILES)
def test_what_an_edit_list_leaves_out_stays_out(suffix, tmp_path):
    whole = beeping_clip(tmp_path / "whole.mp4", beeps=(0.3, 2.0))
    cut = rewritten(whole, tmp_path / "cut.mp4", lambda packet: -0.8)  # the muxer hides what is before 0 that way
    out = pass_through(cut, tmp_path / f"out{suffix}")
    in_step(out, (1.2,))
    assert packets_of(out)[0][0] > packets_of(out, "video")[0][0] - 0.15


def test_sound_is_interleaved_as_the_pictures_come(tmp_path):
    clip = beeping_clip(tmp_path / "in.mkv", sound="libopus")
    with av.open(pass_through(clip, tmp_path / "out.mkv")) as container:
        times = [float(p.dts * p.time_base) for p in container.demux() if p.size]
    assert max(earlier - later for earlier, later in pairwise(times)) < 0.05


def test_sound_without_pictures_beside_it_is_taken_from_its_start(tmp_path):
    clip = beeping_clip(tmp_path / "in.mp4")
    with av.open(clip) as whole, av.open(str(tmp_path / "voice.m4a"), "w") as alone:
        stream = alone.add_stream_from_template(whole.streams.audio[0])
        for packet in whole.demux(audio=0):
            if packet.size:
                packet.stream = stream
                alone.mux(packet)
    video = write_clip(tmp_path / "silent.mp4", [np.zeros((48, 64, 3), np.uint8)] * 75)
    sink = open_sink(str(tmp_path / "out.mp4"), fps=25, origin=Origin(again=str(tmp_path / "voice.m4a")))
    for i, bgr in enumerate(read_clip(video)):
        sink.write(Picture(bgr, None, i, i / 25))
    sink.close()
    assert len(packets_of(tmp_path / "out.mp4")) == pytest.approx(len(packets_of(clip)), abs=1)


def test_a_file_without_sound_gives_none_and_says_nothing(tmp_path, caplog):
    silent = write_clip(tmp_path / "silent.mp4", [np.zeros((48, 64, 3), np.uint8)] * 5)
    with av.open(pass_through(silent, tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert caplog.text == ""


# --- AAC as MPEG-TS has it


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_aac_of_a_transport_stream_is_unwrapped(suffix, tmp_path, caplog):
    clip = beeping_clip(tmp_path / "in.ts", file_format="mpegts", beeps=(1.0, 2.0))
    out = pass_through(clip, tmp_path / f"out{suffix}")
    assert packets_of(clip)[0][1][:1] == b"\xff"  # ADTS
    assert [data for _, data in packets_of(out)] == [data[7:] for _, data in packets_of(clip)]
    in_step(out, (1.0, 2.0))
    assert caplog.text == ""


# --- encoded anew


def test_sound_that_the_container_cannot_hold_is_encoded_and_that_is_said_once(tmp_path, caplog):
    clip = beeping_clip(tmp_path / "in.mp4", beeps=(1.0, 2.0), tracks=2)
    out = pass_through(clip, tmp_path / "out.webm")
    assert codecs(out) == ["opus", "opus"]
    in_step(out, (1.0, 2.0), track=1)
    assert len(caplog.records) == 1
    assert "its aac sound is encoded as opus" in caplog.text
    assert "--sound copy|encode|none" in caplog.text


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize(("rate", "layout"), [(8000, "mono"), (44100, "stereo"), (48000, "5.1"), (48000, "quad")])
def test_encoded_sound_keeps_its_time_whatever_its_rate_and_layout(rate, layout, suffix, tmp_path):
    clip = beeping_clip(tmp_path / "in.mkv", sound="pcm_s16le", rate=rate, layout=layout, sound_until=3.0)
    out = pass_through(clip, tmp_path / f"out{suffix}", sound="encode")
    in_step(out, (1.0,))
    times = [time for time, _ in packets_of(out)]
    assert times[-1] == pytest.approx(3.0, abs=0.15)
    with av.open(out) as container:
        channels = container.streams.audio[0].codec_context.layout.nb_channels
    assert channels == {"mono": 1, "stereo": 2, "5.1": 6, "quad": 2}[layout]


def test_a_gap_in_encoded_sound_becomes_silence(tmp_path):
    clip = beeping_clip(tmp_path / "whole.mkv", beeps=(0.4, 2.0), sound="pcm_s16le")
    with av.open(clip) as whole, av.open(str(tmp_path / "gap.mkv"), "w") as gapped:
        streams = {s.index: gapped.add_stream_from_template(s, opaque=True) for s in whole.streams}
        for packet in whole.demux():
            if packet.size and not (packet.stream.type == "audio" and 1 <= packet.pts * packet.time_base < 1.6):
                packet.stream = streams[packet.stream.index]
                gapped.mux(packet)
    in_step(pass_through(tmp_path / "gap.mkv", tmp_path / "out.webm"), (0.4, 2.0))


# --- what was asked for


def test_sound_that_is_to_be_copied_and_cannot_be_is_a_usage_error_that_names_the_ways_out(tmp_path):
    clip = beeping_clip(tmp_path / "in.mp4")
    expected = (
        r"--sound is copy, .* aac sound .*webm has no aac; use --sound encode or none, or write to \.mp4 or \.mov"
    )
    with pytest.raises(UsageError, match=expected):
        pass_through(clip, tmp_path / "out.webm", sound="copy")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_the_muxers_own_reason_is_told(tmp_path):
    clip = beeping_clip(tmp_path / "in.mkv", sound="libopus")
    with pytest.raises(UsageError, match=r"opus only supported in MP4"):
        pass_through(clip, tmp_path / "out.mov", sound="copy")


def test_sound_can_be_left_out_and_encoded_though_it_need_not(tmp_path, caplog):
    clip = beeping_clip(tmp_path / "in.mp4")
    assert codecs(pass_through(clip, tmp_path / "none.mp4", sound="none")) == []
    encoded = pass_through(clip, tmp_path / "encoded.mp4", sound="encode")
    assert [data for _, data in packets_of(encoded)] != [data for _, data in packets_of(clip)]
    assert caplog.text == ""


# --- times that repeat, run back, or leap


@pytest.mark.parametrize("suffix", FILES)
def test_a_time_that_repeats_is_mended_and_said_once(suffix, tmp_path, caplog):
    regular = beeping_clip(tmp_path / "regular.mp4", beeps=(0.4, 2.0))
    times = [time for time, _ in packets_of(regular)]
    repeats = {times[at]: times[at - 1] - times[at] for at in (30, 31, 60)}

    def repeat(packet):
        at = float(packet.pts * packet.time_base)
        return Fraction(repeats.get(at, 0.0)) if packet.stream.type == "audio" else 0

    clip = rewritten(regular, tmp_path / "dup.mkv", repeat)
    out = pass_through(clip, tmp_path / f"out{suffix}")
    in_step(out, (0.4, 2.0))
    times = [time for time, _ in packets_of(out)]
    assert times == sorted(set(times))
    if suffix != ".webm":  # encoded, where nothing repeats
        assert len(times) == len(packets_of(clip))
        assert [record.message for record in caplog.records] == [
            f"{clip}: times of its sound stand still or run back; they are mended"
        ]


@pytest.mark.parametrize("suffix", FILES)
def test_joined_recordings_stay_in_step_though_their_clocks_begin_anew(suffix, tmp_path):
    """Each part's sound is shorter than its pictures: the parts would drift apart by 0.3 s and more."""
    first = beeping_clip(tmp_path / "a.ts", beeps=(1.0,), seconds=3, sound_until=2.6, file_format="mpegts")
    second = beeping_clip(tmp_path / "b.ts", beeps=(0.4,), seconds=1.6, sound_until=1.3, file_format="mpegts")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(Path(path).read_bytes() for path in (first, second, first, second)))
    in_step(pass_through(joined, tmp_path / f"out{suffix}"), (1.0, 3.4, 5.6, 8.0))


# --- as long as it is


@pytest.mark.parametrize("suffix", FILES)
def test_sound_that_is_longer_than_the_pictures_is_kept_to_its_end(suffix, tmp_path):
    clip = beeping_clip(tmp_path / "in.mp4", seconds=1.0, sound_until=3.0, beeps=(0.4, 2.0))
    out = pass_through(clip, tmp_path / f"out{suffix}")
    assert packets_of(out)[-1][0] == pytest.approx(3.0, abs=0.05)
    assert packets_of(out, "video")[-1][0] == pytest.approx(0.96, abs=0.03)


def test_sound_ends_with_the_last_picture_where_the_run_was_cut_short(tmp_path):
    clip = beeping_clip(tmp_path / "in.mp4")
    out = pass_through(clip, tmp_path / "out.mp4", frames=25)
    assert packets_of(out)[-1][0] == pytest.approx(1.0, abs=0.03)


# --- damage


def spoilt(path, into):
    """The same file with every fifth packet of its sound replaced by noise."""
    with av.open(str(path)) as whole, av.open(str(into), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in whole.streams}
        for number, packet in enumerate(packet for packet in whole.demux() if packet.size):
            target = packet
            if packet.stream.type == "audio" and number > 30 and number % 5 == 0:
                target = av.Packet(bytes(range(256)) * 2)
                target.pts, target.dts, target.duration = packet.pts, packet.dts, packet.duration
                target.time_base = packet.time_base
            target.stream = streams[packet.stream.index]
            out.mux(target)
    return into


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("codec", ["aac", "ac3"])
def test_damaged_sound_costs_its_packets_and_not_the_run(codec, suffix, tmp_path, caplog):
    clip = beeping_clip(tmp_path / "in.mkv", sound=codec, rate=48000, layout="stereo")
    broken = spoilt(clip, tmp_path / "broken.mkv")
    out = pass_through(broken, tmp_path / f"out{suffix}")
    assert len(packets_of(out, "video")) == 75
    assert packets_of(out)[-1][0] == pytest.approx(3.0, abs=0.1)
    if suffix == ".webm" or (codec, suffix) in (("ac3", ".mp4"), ("ac3", ".mov")):
        assert "packets of its sound or subtitles are damaged and left out" in caplog.text


# --- what cannot be had


def test_sound_in_an_unknown_codec_gives_way_to_the_next_track_with_one_warning(tmp_path, caplog):
    path = tmp_path / "in.mp4"
    beeping_clip(path, tracks=2)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"mp4a", b"apac", 1).replace(b"esds", b"dapa", 1))
    out = pass_through(path, tmp_path / "out.mp4")
    assert codecs(out) == ["aac"]
    assert [record.message for record in caplog.records] == [
        f"{path}: left out of {out}: sound in a codec that is not known here"
    ]


def test_where_every_codec_is_unknown_the_file_is_silent_and_that_is_said(tmp_path, caplog):
    path = tmp_path / "in.mp4"
    beeping_clip(path)
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"apac").replace(b"esds", b"dapa"))
    out = pass_through(path, tmp_path / "out.mp4")
    assert (codecs(out), len(packets_of(out, "video"))) == ([], 75)
    assert len(caplog.records) == 1


def test_sound_that_cannot_be_read_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(SinkError, match=r"cannot read the sound of .*gone\.mp4.*--sound none"):
        open_sink(str(tmp_path / "out.mp4"), fps=25, origin=Origin(again=str(tmp_path / "gone.mp4")))


def test_a_file_is_not_written_over_its_own_sound(tmp_path):
    clip = tmp_path / "voice.mp4"
    before = Path(beeping_clip(clip)).read_bytes()
    with pytest.raises(UsageError, match="sound would be read from the same file"):
        open_sink(str(clip), fps=25, origin=Origin(again=str(clip)))
    assert clip.read_bytes() == before


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_file_on_a_server_keeps_its_sound(tmp_path, caplog):
    clip = beeping_clip(tmp_path / "in.mp4")
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        out = pass_through(f"http://127.0.0.1:{server.server_port}/in.mp4", tmp_path / "out.mp4")
        server.shutdown()
    assert [data for _, data in packets_of(out)] == [data for _, data in packets_of(clip)]
    assert caplog.text == ""


def test_sound_that_a_server_gives_no_second_time_is_done_without_unless_it_was_asked_for(tmp_path, caplog):
    with pytest.raises(SinkError, match="cannot read the sound of http://"):
        open_sink(str(tmp_path / "out.mp4"), fps=25, origin=Origin(again="http://127.0.0.1:9/a.mp4"), sound="copy")
    open_sink(str(tmp_path / "out.mp4"), fps=25, origin=Origin(again="http://127.0.0.1:9/a.mp4")).close()
    assert len(caplog.records) == 1


def test_that_a_source_cannot_be_read_twice_is_said(tmp_path, caplog):
    out, pipe = str(tmp_path / "out.mp4"), Origin(unheard="a pipe cannot be read a second time")
    open_sink(out, fps=25, origin=pipe).close()
    open_sink(out, fps=25, origin=pipe, sound="none").close()
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/out.mp4 is written without sound: a pipe cannot be read a second time"
    ]
