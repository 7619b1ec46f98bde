"""Everything of a video but its pictures and its sound, in another file: subtitles, names, tags, chapters, fonts."""

import re
import shutil
import subprocess
from fractions import Fraction
from itertools import pairwise

import av
import pytest

from engine.sinks.containers import CONTAINERS
from tests.clips import beeping_clip, packets_of, pass_through

FILES = sorted(CONTAINERS)
CUES = [(0.5, 1.5, "Hello"), (2.0, 2.8, "World")]
HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n[Events]\nFormat: Text\n\0"
)


def talk(path, subtitles="subrip", cues=CUES, **options):
    """A clip with two languages, subtitles, a title, chapters, and a font where there is room."""
    streams = []

    def prepare(container):
        container.metadata.update(title="Talk", artist="Ada", date="2021-02-03", comment="take 2")
        ends = [(0, 1000, "One"), (1000, 3000, "Two")]
        container.set_chapters([
            {"id": i, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
            for i, (start, end, title) in enumerate(ends, 1)
        ])  # fmt: skip
        for sound, language, title in zip(
            container.streams.audio, ("eng", "fra"), ("English", "Français"), strict=False
        ):
            sound.metadata.update(language=language, title=title)
        container.streams.audio[1].disposition = av.stream.Disposition.default
        text = container.add_stream(subtitles)
        text.codec_context.subtitle_header = HEADER
        text.time_base = text.codec_context.time_base = Fraction(1, 1000)
        text.metadata["language"] = "ger"
        streams.append(text)
        if container.format.name == "matroska":
            container.add_attachment("font.ttf", "application/x-truetype-font", b"letters" * 100)
        container.start_encoding()
        for start, end, line in cues:
            ass = av.subtitles.subtitle.SubtitleSet.create(
                b"0,0,Default,,0,0,0,," + line.encode(), 0, round((end - start) * 1000), round(start * 1000), 3
            )
            packet = text.codec_context.encode_subtitle(ass)
            packet.time_base, packet.stream = Fraction(1, 1000), text
            container.mux(packet)

    return beeping_clip(path, tracks=2, prepare=prepare, **options)


def read_subtitles(path):
    """(from, to, text) of each cue, s; without its marks of style."""
    cues = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        start = container.streams.video[0].start_time * container.streams.video[0].time_base
        for packet in container.demux(stream):
            for cue in stream.codec_context.decode(packet) if packet.size else []:
                text = re.sub(r"\{.*?\}", "", cue.dialogue.decode()).replace("\\N", "\n")
                begin = packet.pts * packet.time_base - start
                cues.append((float(begin), float(begin + packet.duration * packet.time_base), text))
    return [cue for cue in cues if cue[2]]


def assert_cues(cues, expected, within=0.03):
    assert [text for *_, text in cues] == [text for *_, text in expected]
    assert [time for cue in cues for time in cue[:2]] == pytest.approx(
        [time for cue in expected for time in cue[:2]], abs=within
    )


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize(("source", "subtitles"), [(".mkv", "subrip"), (".mkv", "ass"), (".mp4", "mov_text")])
def test_text_subtitles_are_kept_with_their_times(source, subtitles, suffix, tmp_path):
    out = pass_through(talk(tmp_path / f"in{source}", subtitles), tmp_path / f"out{suffix}")
    assert_cues(read_subtitles(out), CUES)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_texts_that_overlap_follow_each_other_in_mp4(suffix, tmp_path):
    """FFmpeg's muxer ends the process where they overlap."""
    cues = [(0.0, 2.5, "Long"), (0.8, 1.2, "Inside"), (2.0, 2.8, "A"), (2.0, 2.8, "B")]
    out = pass_through(talk(tmp_path / "in.mkv", cues=cues), tmp_path / f"out{suffix}")
    shown = read_subtitles(out)
    assert_cues(shown[:2], [(0.0, 0.8, "Long"), (0.8, 1.2, "Inside")])
    assert_cues(shown[2:], [(2.0, 2.8, "A\nB")])


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_text_long_after_the_one_before_keeps_its_time(suffix, tmp_path):
    cues = [(0.1, 0.6, "Early"), (28.0, 28.5, "Late")]
    out = pass_through(talk(tmp_path / "in.mkv", cues=cues, seconds=30), tmp_path / f"out{suffix}")
    assert_cues(read_subtitles(out), cues)
    with av.open(out) as container:
        assert container.duration / 1e6 == pytest.approx(30, abs=0.05)


@pytest.mark.parametrize("suffix", FILES)
def test_languages_titles_and_the_default_are_kept(suffix, tmp_path):
    out = pass_through(talk(tmp_path / "in.mkv"), tmp_path / f"out{suffix}")
    with av.open(out) as container:
        sounds = container.streams.audio
        title = "handler_name" if suffix in (".mp4", ".mov") else "title"
        assert [stream.language for stream in sounds] == ["eng", "fra"]
        assert [stream.metadata[title] for stream in sounds] == ["English", "Français"]
        assert [bool(stream.disposition & 1) for stream in sounds] == [False, True]
        assert container.streams.subtitles[0].language == "ger"


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("source", [".mkv", ".mp4"])
def test_tags_and_chapters_are_kept(source, suffix, tmp_path):
    clip = talk(tmp_path / f"in{source}", "mov_text" if source == ".mp4" else "subrip")
    out = pass_through(clip, tmp_path / f"out{suffix}")
    with av.open(out) as container:
        tags = {name.lower(): text for name, text in container.metadata.items()}
        assert {name: tags.get(name) for name in ("title", "artist", "date", "comment")} == {
            "title": "Talk", "artist": "Ada", "date": "2021-02-03", "comment": "take 2",
        }  # fmt: skip
        chapters = [
            (chapter["metadata"]["title"], float(chapter["start"] * chapter["time_base"]))
            for chapter in container.chapters()
        ]
    assert [title for title, _ in chapters] == ["One", "Two"]
    assert [start for _, start in chapters] == pytest.approx([0.0, 1.0], abs=0.03)


def test_place_and_moment_are_kept_and_what_belongs_to_the_old_file_is_not(tmp_path):
    def prepare(container):
        container.metadata.update(location="+48.1370+011.5750/", creation_time="2026-01-02T03:04:05.000000Z")

    out = pass_through(beeping_clip(tmp_path / "in.mov", prepare=prepare), tmp_path / "out.mp4")
    with av.open(out) as container:
        tags = container.metadata
    assert tags["location"].startswith("+48.1370+011.5750")
    assert tags["creation_time"] == "2026-01-02T03:04:05.000000Z"
    assert tags["major_brand"] != "qt  "


def test_fonts_are_kept_in_mkv_and_said_to_be_left_out_elsewhere(tmp_path, caplog):
    clip = talk(tmp_path / "in.mkv")
    with av.open(pass_through(clip, tmp_path / "out.mkv")) as container:
        (font,) = container.streams.attachments
        assert (font.name, font.data) == ("font.ttf", b"letters" * 100)
    assert caplog.text == ""
    pass_through(clip, tmp_path / "out.mp4")
    assert [record.message for record in caplog.records] == [
        f"{clip}: left out of {tmp_path}/out.mp4: an attachment (font.ttf)"
    ]


def test_a_file_without_sound_keeps_its_title(tmp_path):
    clip = pass_through(talk(tmp_path / "in.mkv"), tmp_path / "silent.mkv", sound="none")
    out = pass_through(clip, tmp_path / "out.mp4")
    with av.open(out) as container:
        assert (container.metadata["title"], len(container.streams.audio)) == ("Talk", 0)
    assert_cues(read_subtitles(out), CUES)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("suffix", FILES)
def test_ffprobe_sees_the_same(suffix, tmp_path):
    out = pass_through(talk(tmp_path / "in.mkv"), tmp_path / f"out{suffix}")
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type,sample_aspect_ratio,color_range", out],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stderr == ""
    kinds = re.findall("codec_type=(.*)", shown.stdout)
    assert kinds[:4] == ["video", "audio", "audio", "subtitle"]
    assert "sample_aspect_ratio=1:1" in shown.stdout
    assert "color_range=tv" in shown.stdout
    decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", out, "-f", "null", "-"], capture_output=True, text=True)
    assert (decoded.returncode, decoded.stderr) == (0, "")


def test_a_text_that_stands_far_before_its_time_does_not_hold_back_the_sound(tmp_path):
    clip = talk(tmp_path / "in.mkv", cues=[(0.1, 0.6, "Early"), (28.0, 28.5, "Late")], seconds=30)
    with av.open(clip) as container:
        order = [packet.stream.type for packet in container.demux() if packet.size]
    assert "video" in order[order.index("subtitle") : len(order) - order[::-1].index("subtitle")]
    with av.open(pass_through(clip, tmp_path / "out.mkv")) as container:
        times = [float(p.pts * p.time_base) for p in container.demux(video=0, audio=0) if p.size]
    assert max(earlier - later for earlier, later in pairwise(times)) < 0.3


def test_packets_of_subtitles_are_not_held_back(tmp_path):
    """A cue is written when its time has come, not when the next one has."""
    out = pass_through(talk(tmp_path / "in.mkv", cues=[(0.2, 0.4, "Now")]), tmp_path / "out.mkv", frames=40)
    assert len(packets_of(out, "subtitle")) == 1
