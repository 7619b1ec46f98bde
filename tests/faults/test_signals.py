"""Signals in the middle of a run: its files are whole, or play up to their last seconds where nobody could finish them.

At the start, during the imports: tests/engine/test_process.py.
"""

import os
import signal

import pytest

from tests.clips import read_clip
from tests.faults.whole_run import MAX_ROOM, READ_AHEAD, ended, fed, feed, left

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
A_SECOND = 25  # frames


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_middle_finishes_the_files_and_ends_with_130(tmp_path, number, times):
    process = fed(tmp_path, "-o", tmp_path / "out.mp4", frames=30)
    for _ in range(times):
        process.send_signal(number)
    run = left(tmp_path, *ended(process))
    assert (run.code, run.said) == (130, "")
    assert run.frames == len(read_clip(tmp_path / "out.mp4")) >= 30 - READ_AHEAD
    assert run.report is None or (run.report["ended"], run.report["frames"]) == ("interrupted", run.frames)
    assert run.report is not None or times == 2  # who asks twice does not want to wait for it
    assert run.room <= MAX_ROOM


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_run_that_is_killed_leaves_files_that_play_up_to_their_last_seconds(tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    process = fed(tmp_path, "-o", out, frames=5 * A_SECOND)
    process.kill()
    run = left(tmp_path, *ended(process))
    assert (run.code, run.said, run.report) == (-signal.SIGKILL, "", None)
    assert min(len(read_clip(out)), run.frames) >= 5 * A_SECOND - READ_AHEAD - 2 * A_SECOND
    assert run.room <= MAX_ROOM


def test_a_run_that_was_stopped_and_continued_paints_every_frame(tmp_path):
    process = fed(tmp_path, frames=10)
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)  # it stands still
    process.send_signal(signal.SIGCONT)
    feed(process, range(10, 24))
    run = left(tmp_path, *ended(process))
    run.painted_everything()
    assert run.said == ""
