"""Which track is shown, as input and as background."""

import pytest

from engine.backgrounds import open_background
from engine.errors import SourceError, UsageError
from engine.media import tracks
from engine.media.ffmpeg import av
from engine.sources import open_source
from tests.engine.media.clips_of_kinds import hide_codec, plain, put_cover_first, write

WHITE, GREY = (255, 255, 255), (90, 90, 90)
FILM = [plain(GREY)] * 5


def shown_behind(path):
    """What a background shows, both ways of playing it."""
    for lossless in (True, False):
        background = open_background(path, lossless=lossless)
        yield background.picture(plain(), None, 0.0).copy()
        background.close()


@pytest.fixture
def coverfirst(tmp_path):
    return put_cover_first(write(tmp_path / "a.mp4", FILM, cover=plain(WHITE, (32, 32))))


def test_cover_art_is_not_the_video(coverfirst):
    with av.open(coverfirst) as container:
        assert [tracks.is_cover(track) for track in container.streams.video] == [True, False]
    source = open_source(coverfirst)
    frames = list(source)
    assert (source.frames, source.fps) == (5, 25.0)
    assert [frame.bgr.shape for frame in frames] == [(48, 64, 3)] * 5
    assert frames[0].bgr.max() < 100


def test_cover_art_is_not_the_background(coverfirst):
    assert all(picture.max() < 100 for picture in shown_behind(coverfirst))


def test_a_song_with_a_cover_has_no_video_and_that_is_said(tmp_path):
    path = write(tmp_path / "song.mp4", cover=plain(WHITE, (32, 32)))
    with pytest.raises(SourceError, match="it has a cover, but no video; expected a video"):
        open_source(path)
    with pytest.raises(UsageError, match="song.mp4: it has a cover, but no video; use an image or one of"):
        open_background(path)


def test_a_sound_codec_that_is_not_known_costs_the_sound_alone(tmp_path, caplog):
    path = hide_codec(write(tmp_path / "a.mp4", FILM, cover=plain(WHITE, (32, 32))), b"mp4a")
    source = open_source(path)
    assert len(list(source)) == 5
    assert not caplog.text  # whoever writes a file says what it lacks
    with av.open(path) as container:
        assert tracks.sound_tracks(container) == []


def test_a_video_codec_that_is_not_known_gives_way_to_the_next_track(tmp_path, caplog):
    path = hide_codec(write(tmp_path / "a.mp4", [plain(WHITE, (96, 128))] * 3, FILM), b"avc1")
    assert [frame.bgr.shape for frame in open_source(path)] == [(48, 64, 3)] * 5
    assert "video track 0 is in a codec that is not known here; another is used" in caplog.text
    assert all(picture.max() < 100 for picture in shown_behind(path))


def test_a_background_in_a_codec_that_is_not_known_is_refused_with_a_remedy(tmp_path):
    path = hide_codec(write(tmp_path / "a.mp4", FILM), b"avc1")
    with pytest.raises(UsageError, match="its pictures are in a codec that is not known here; convert it: ffmpeg"):
        open_background(path)


def test_of_two_tracks_the_larger_is_shown(tmp_path):
    path = write(tmp_path / "a.mkv", FILM, [plain(WHITE, (96, 128))] * 3)
    assert next(iter(open_source(path))).bgr.shape == (96, 128, 3)
