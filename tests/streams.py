"""Servers of streams that tests make for themselves: MPEG-TS over TCP, from a real sender."""

import io
import socket
import threading
from contextlib import contextmanager

import numpy as np

from engine.media.ffmpeg import av


@contextmanager
def stalled_stream(frames):
    """The URL of a server that sends some frames, then nothing; the connection stays."""
    done = threading.Event()

    def send():
        connection, _ = server.accept()
        with connection:
            connection.sendall(transport_stream(frames) if frames else b"")
            done.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            sender.join(10)


def send_once(server: socket.socket, data: bytes) -> None:
    """To the first who connects; then the connection ends."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(data)


def transport_stream(frames: int) -> bytes:
    """`frames` grey pictures as H.264 in MPEG-TS."""
    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            picture = np.full((48, 64, 3), 4 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return target.getvalue()
