"""What a name given by a user is: a URL, or a file of this machine. Looks at names alone, except for what exists."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

STREAMS = ("rtsp://", "rtsps://", "rtmp://", "udp://", "tcp://", "srt://")
WEB = ("http://", "https://")
LOCAL = "file://"


def is_stream(spec: str) -> bool:
    """Whether `spec` is the URL of something that is sent as it happens."""
    return spec.startswith(STREAMS)


def is_remote(spec: str) -> bool:
    """Whether reading `spec` goes over the network."""
    return spec.startswith((*STREAMS, *WEB))


def local_path(spec: str) -> str:
    """The path that a file:// URL means; every other `spec` as it is."""
    if not spec.startswith(LOCAL):
        return spec
    path = unquote(urlsplit(spec).path)
    return path[1:] if os.name == "nt" else path


def for_ffmpeg(spec: str) -> str:
    """How FFmpeg has to be told `spec`: it takes a colon in a file's name for the end of a protocol's."""
    return spec if is_remote(spec) else f"file:{local_path(spec)}"
