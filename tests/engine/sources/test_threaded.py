"""Pipes and streams that hang: whoever waits for them can be told to go on."""

import functools
import os
import signal
import socket
import subprocess
import sys
import threading

from engine.sources import open_source
from engine.sources.raw_frames import RawFrames
from engine.sources.threaded import ThreadedSource
from tests.streams import stalled_stream


def ends_soon_after_close(source, frames):
    """Read `source` in a thread and close it once no frame comes any more; does the thread end all the same?"""
    came = threading.Semaphore(0)

    def read():
        for _ in source:
            came.release()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    for _ in range(frames):
        assert came.acquire(timeout=20)
    while came.acquire(timeout=0.3):
        pass
    assert thread.is_alive()
    source.close()
    source.close()
    thread.join(3)
    return not thread.is_alive()


def test_close_ends_the_wait_for_a_pipe_that_says_nothing_more():
    reader, writer = os.pipe()
    with open(reader, "rb") as stream, open(writer, "wb", buffering=0) as sender:
        source = ThreadedSource(lambda: RawFrames((4, 3), 25.0, stream))
        sender.write(bytes(2 * 36))
        assert ends_soon_after_close(source, frames=2)


def test_close_ends_the_wait_for_a_stream_that_stalls():
    with stalled_stream(frames=50) as url:
        assert ends_soon_after_close(open_source(url), frames=45)


def test_an_interrupted_run_leaves_although_its_pipe_says_nothing_more():
    """In lockstep the main thread reads: the one that signals have to get through to."""
    command = ["-i", "-", "--input-size", "64x48", "-o", "-", "--teacher", "none", "--pace", "lockstep"]
    two = bytes(2 * 64 * 48 * 3)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-m", "engine.cli", *command], **pipes) as process:
        process.stdin.write(two)
        process.stdin.flush()
        assert len(process.stdout.read(len(two))) == len(two)
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == 130
        finally:
            process.kill()


def test_a_run_can_be_interrupted_while_its_stream_does_not_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "engine.cli", "-i", url, "--headless"]
        # where this suite runs in the background, a shell has told it, and its children, to ignore the interrupt
        heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(command, preexec_fn=heed) as process:
            connection, _ = server.accept()
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(60) == 130
            finally:
                process.kill()
                connection.close()
