"""What jm-engine owes the system it runs on: signals at any moment, descriptors that are closed, readers that leave."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from engine.process import Messages
from tests.clips import read_clip

SMALL = "test://?width=64&height=48&frames=12"
QUIET = ["--teacher", "none", "--threads", "1"]
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and descriptors")

SIGNALLED_AT_AN_IMPORT = textwrap.dedent("""
    import os, runpy, sys

    class Signaller:  # of this process, when `module` is about to be imported
        def find_spec(self, name, *_):
            if name == module:
                os.kill(os.getpid(), number)

    module, number = sys.argv[1], int(sys.argv[2])
    del sys.argv[1:3]
    sys.meta_path.insert(0, Signaller())
    runpy.run_module("engine.cli", run_name="__main__", alter_sys=True)
""")


def heed():
    """In the child: whoever runs this suite in the background has it ignore the interrupt, and its children with it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def run_signalled(module, number, prepare=heed):
    command = [sys.executable, "-c", SIGNALLED_AT_AN_IMPORT, module, str(int(number)), "-i", SMALL, "--headless"]
    return subprocess.run([*command, *QUIET], capture_output=True, text=True, preexec_fn=prepare)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["argparse", "engine.options", "numpy", "cv2", "onnxruntime"])
def test_a_signal_during_the_imports_ends_with_130_without_a_word(module, number):
    done = run_signalled(module, number)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_signal_that_the_caller_ignores_stays_ignored():
    """nohup jm-engine … & goes on when its terminal is closed."""
    done = run_signalled("numpy", signal.SIGHUP, prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert (done.returncode, done.stderr) == (0, "")


def run_without(descriptors, *arguments):
    """jm-engine with these of its descriptors closed."""

    def close():
        for descriptor in descriptors:
            os.close(descriptor)

    command = [sys.executable, "-m", "engine.cli", *map(str, arguments), *QUIET]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=close)


@pytest.mark.parametrize("descriptors", [(0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_with_closed_descriptors_a_run_is_as_with_open_ones(tmp_path, descriptors):
    out = tmp_path / "out.mkv"
    done = run_without(descriptors, "-i", SMALL, "-o", out, "-v", "--report", tmp_path / "report.json")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert len(read_clip(out)) == 12
    assert b"jm-engine:" not in out.read_bytes()  # what is said under -v goes where standard error was


@pytest.mark.parametrize(
    ("descriptor", "arguments", "code", "message"),
    [
        (1, ["-i", SMALL, "-o", "-"], 2, "standard output is closed; write to a file with --output FILE"),
        (0, ["-i", "-", "--input-size", "64x48", "--headless"], 3, "standard input is closed; expected raw frames"),
        (2, ["-i", "none.mp4", "--headless"], 3, ""),
        (1, ["--list-backends"], 0, ""),
    ],
)
def test_a_descriptor_that_is_needed_and_closed_is_told(descriptor, arguments, code, message):
    done = run_without([descriptor], *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_that_nobody_reads_keeps_its_exit_code():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "engine.cli", "-i", "none.mp4", "--headless", *QUIET]
    assert subprocess.run(command, stderr=writer).returncode == 3
    os.close(writer)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_that_is_closed_does_not_end_the_run(tmp_path):
    leader, follower = os.openpty()
    out = tmp_path / "out.mkv"
    command = [sys.executable, "-m", "engine.cli", "-i", SMALL.replace("12", "100"), "-o", str(out), "--pace", "live"]
    process = subprocess.Popen([*command, *QUIET], stderr=follower)
    os.close(follower)
    seen = b""
    while b"fps" not in seen:
        seen += os.read(leader, 1 << 16)
    os.close(leader)
    assert process.wait(60) == 0
    assert len(read_clip(out)) == 100


def test_messages_are_dropped_where_their_reader_went_away():
    reader, writer = os.pipe()
    os.close(reader)
    with Messages(open(writer, "wb", buffering=0), line_buffering=True) as stream:
        assert stream.write("a line\n") == 7
        stream.flush()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_an_error():
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "engine.cli", "--list-backends"], stdout=full, stderr=subprocess.PIPE, env=environ
        )
    assert (done.returncode, done.stderr) == (
        1,
        b"jm-engine: cannot write to standard output: No space left on device\n",
    )
