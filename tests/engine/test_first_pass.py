"""Two passes over a file: what the second begins with, and where there is only one."""

import numpy as np
import pytest

from engine import Masker
from engine.cli import main
from engine.errors import UsageError
from engine.first_pass import OPENING, FirstPass
from engine.sources import open_source
from engine.sources.synthetic import SyntheticPerson
from tests.clips import figure_clip
from tests.engine.test_main_job import STRANGER, ious, paint
from tests.toml_teacher import write_teacher

FRAMES = 60


@pytest.fixture
def stranger(tmp_path):
    """A clip of somebody whom the shipped student finds badly, and a teacher who finds them."""
    clip = figure_clip(tmp_path / "stranger.mp4", frames=FRAMES, seed=5)
    return clip, str(write_teacher(tmp_path, STRANGER._scene(0).background))


def test_the_first_pictures_are_as_good_as_the_last(stranger, tmp_path):
    clip, teacher = stranger
    scores, reports = [], []
    for passes in ((), ("--passes", "1")):  # two are what a file into a file gets
        folder = tmp_path / f"passes{len(scores)}"
        folder.mkdir()
        _, alphas, report = paint(clip, folder, "--teacher", teacher, *passes)
        scores.append(ious(STRANGER, alphas))
        reports.append(report)
    two, one = scores
    assert min(two) > 0.9
    assert min(one) < 0.7
    assert np.mean(two[:10]) > np.mean(two[-10:]) - 0.03
    assert reports[0]["first_pass_s"] > 0
    assert reports[1]["first_pass_s"] is None
    assert reports[0]["frames"] == reports[1]["frames"] == FRAMES


def test_what_was_taught_is_not_counted(stranger):
    clip, teacher = stranger
    with Masker("ort-cpu", teacher, "#ff00ff", lockstep=True, threads=1) as masker:
        taught = []
        FirstPass(masker, lambda: open_source(clip), 20, taught.append).run()
        assert taught == list(range(1, 41))  # its 20 frames, and as many of its opening as there are
        stats = masker.stats
        assert (stats.frames, stats.faults, masker.paint_path.count) == (0, 0, 0)
        assert stats.learning.steps > 0
        assert masker.process(STRANGER.picture(0)).index == 0


@pytest.mark.parametrize("known", [True, False])
def test_the_sample_reaches_the_end_of_a_long_clip(known):
    class Numbered(SyntheticPerson):
        """Its frames say which they are."""

        def picture(self, index):
            return np.full((2, 2, 3), index % 256, np.uint8)

    class Listener:
        def teach(self, frames):
            self.seen = [int(frame[0, 0, 0]) for frame in frames]

    def opened():
        source = Numbered(frames=5000)
        source.frames = 5000 if known else None
        return source

    listener = Listener()
    FirstPass(listener, opened).run()
    sample = listener.seen[:-OPENING]
    assert listener.seen[-OPENING:] == list(range(OPENING))
    assert 200 <= len(sample) <= 900
    assert sample[-1] > 4900 % 256


def test_a_masker_with_a_clock_of_its_own_is_not_taught():
    with Masker("ort-cpu") as masker, pytest.raises(UsageError, match="lockstep=True"):
        masker.teach([STRANGER.picture(0)])


@pytest.mark.parametrize("source", [["-i", "test://?frames=3"], ["--pace", "fast"], ["--loop"]])
def test_two_passes_over_what_cannot_be_read_twice_are_refused(stranger, tmp_path, capsys, source):
    files = ["-i", stranger[0], "-o", str(tmp_path / "out.mkv"), "--teacher", stranger[1]]
    assert main([*files, "--passes", "2", "--max-frames", "3", *source]) == 2
    assert "--passes is 2" in capsys.readouterr().err
    assert not (tmp_path / "out.mkv").exists()


def test_a_wrong_number_of_passes_is_refused(capsys):
    assert main(["--passes", "3"]) == 2
    assert "--passes is '3'" in capsys.readouterr().err


def test_it_ends_when_it_is_stopped(stranger):
    clip, teacher = stranger
    with Masker("ort-cpu", teacher, "#ff00ff", lockstep=True, threads=1) as masker:
        taught = []

        def stop_after_five(count):
            taught.append(count)
            if count == 5:
                first.stop()

        first = FirstPass(masker, lambda: open_source(clip), on_frame=stop_after_five)
        first.run()
        assert taught == [1, 2, 3, 4, 5]
