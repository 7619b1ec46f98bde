"""The sound of a run, as a user asks for it: --sound, and how the end of a run decides where it ends."""

import pytest

from engine.contracts import Picture
from engine.pipeline import Pipeline
from engine.sources import open_source
from tests.clips import beeping_clip, figure_clip, packets_of, read_clip


def test_the_readme_line_for_a_transparent_webm_keeps_the_sound(tmp_path, paint, caplog):
    clip, out = figure_clip(tmp_path / "in.mp4", frames=30, sound=True), tmp_path / "out.webm"
    code, _ = paint("-i", clip, "-o", out, "--background", "none")
    assert (code, len(read_clip(out))) == (0, 30)
    assert "its aac sound is encoded as opus" in caplog.text
    assert packets_of(out)[-1][0] == pytest.approx(1.2, abs=0.1)


def test_sound_that_cannot_be_copied_is_told_before_the_models_are_loaded(tmp_path, paint):
    clip = figure_clip(tmp_path / "in.mp4", frames=3, sound=True)
    code, err = paint(
        "-i", clip, "-o", tmp_path / "out.webm", "--sound", "copy", "--weights", tmp_path / "missing.safetensors"
    )
    assert code == 2
    assert "--sound encode or none" in err


def test_another_word_than_the_three_is_refused(tmp_path, paint):
    code, err = paint("-i", figure_clip(tmp_path / "in.mp4", frames=1), "-o", tmp_path / "out.mp4", "--sound", "loud")
    assert code == 2
    assert "--sound is 'loud'" in err


def test_sound_longer_than_the_pictures_is_kept_unless_the_run_is_cut_short(tmp_path, paint):
    clip = beeping_clip(tmp_path / "in.mp4", seconds=1.0, sound_until=2.0)
    ends = {}
    for frames in (25, 26, None):
        out = tmp_path / f"out-{frames}.mp4"
        assert paint("-i", clip, "-o", out, *(["--max-frames", frames] if frames else []))[0] == 0
        ends[frames] = packets_of(out)[-1][0]
    assert ends[25] == pytest.approx(1.0, abs=0.03)
    assert ends[26] == ends[None] == pytest.approx(2.0, abs=0.03)


class Remembering:
    """A sink that keeps what it is told, and stops the run after `stop_after` pictures."""

    needs_alpha, wanted = False, True

    def __init__(self, stop_after=None):
        self.told, self.stop, self._stop_after = [], None, stop_after

    def write(self, picture: Picture) -> None:
        self.told.append(picture.index)
        if len(self.told) == self._stop_after:
            self.stop()

    def source_ended(self) -> None:
        self.told.append("ended")

    def close(self) -> None:
        self.told.append("closed")


@pytest.mark.parametrize("lockstep", [True, False])
@pytest.mark.parametrize("stop_after", [None, 3])
def test_a_sink_learns_that_the_source_ended_only_where_it_did(stop_after, lockstep, tmp_path):
    from engine import Masker

    sink = Remembering(stop_after)
    source = open_source(figure_clip(tmp_path / "in.mp4", frames=8))
    with Masker(background="#00ff00", teacher=None) as masker:
        pipeline = Pipeline(source, masker, [sink], lockstep=lockstep)
        sink.stop = pipeline.stop
        pipeline.run()
    assert ("ended" in sink.told) == (stop_after is None)
    assert sink.told[-1] == "closed"
