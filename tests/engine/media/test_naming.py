"""Names that look like something else: a local file is a local file, and no protocol of FFmpeg is reached by a name."""

import os

import av
import pytest

from engine.cli import main
from engine.media.naming import for_ffmpeg, is_pipe, local_path
from tests.clips import figure_clip, read_clip

NAMES = [
    "a:b.mp4", "http:x.mp4", "concat:a.mp4", "./-dash.mp4", "test:x", "a%20b.mp4", "new\nline.mp4", "camera:1",
    "2024-01-01T12:00.mp4", "./0", "crypto:a.mp4", "subfile,,start,0,end,9,,:a.mp4", "file:a.mp4", "pipe:0",
    "a?b#c.mp4", "data:,x", "ünï.mp4", "trailing .mp4 ",
]  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return figure_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=6, sound=True, width=64, height=48)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such names")
@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"bad\xff.mp4")])
def test_a_file_of_any_name_is_input_background_matte_and_report(name, clip, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with open(clip, "rb") as source, open(name, "wb") as target:
        target.write(source.read())
    end = os.path.basename(name)
    outputs = [f"out {end}.mp4", f"matte {end}.mkv", f"report {end}.json"]
    arguments = ["-i", name, "-o", outputs[0], "--alpha", outputs[1], "--report", outputs[2], "--background", name]
    assert main([*arguments, "--teacher", "none", "--threads", "1"]) == 0, capsys.readouterr().err
    for path, sound in zip(outputs, (1, 0), strict=False):
        os.rename(path, "shown")
        assert len(read_clip("shown")) == 6
        with av.open("shown") as container:
            assert len(container.streams.audio) == sound
    assert os.path.getsize(outputs[2]) > 100


@pytest.mark.parametrize(
    "name", ["concat:a|b", "subfile,,start,0,end,0,,:a", "crypto:a", "pipe:0", "data:,x", "async:a"]
)
def test_no_name_reaches_a_protocol_of_ffmpeg(name):
    assert for_ffmpeg(name) == f"file:{name}"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a/b%20c.mp4", "/a/b c.mp4"),
        ("file://localhost/a.mp4", "/a.mp4"),
        ("file:///a?b#c.mp4", "/a?b#c.mp4"),
        ("file:///bad%FF.mp4", os.fsdecode(b"/bad\xff.mp4")),
        ("file://elsewhere/a.mp4", "file://elsewhere/a.mp4"),  # of another machine: no file of that name
        ("file://a.mp4", "file://a.mp4"),
        ("a%20b.mp4", "a%20b.mp4"),
    ],
)
def test_file_urls(url, path):
    assert local_path(url) == path


def test_file_urls_are_taken_for_every_file(clip, tmp_path, capsys):
    out = tmp_path / "a b.mp4"
    arguments = ["-i", f"file://{clip}", "-o", out.as_uri(), "--background", f"file://{clip}"]
    assert main([*arguments, "--teacher", "none", "--threads", "1"]) == 0, capsys.readouterr().err
    assert len(read_clip(out)) == 6


def test_pipes_are_told_from_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"")
    assert [is_pipe(str(tmp_path / name)) for name in ("pipe", "file", "nothing")] == [True, False, False]
