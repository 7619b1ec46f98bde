"""What a name given by a user is: a URL, or a file of this machine. Looks at names alone, except for what exists."""

from __future__ import annotations

import os
import stat
from urllib.parse import unquote_to_bytes

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
    """The path that a file:// URL of this machine means, also one with a ? or # in it; every other `spec` as it is."""
    if not spec.startswith(LOCAL):
        return spec
    host, slash, path = spec.removeprefix(LOCAL).partition("/")
    if host not in ("", "localhost") or not slash:
        return spec
    path = os.fsdecode(unquote_to_bytes(f"/{path}".encode(errors="surrogateescape")))
    return path[1:] if os.name == "nt" else path


def for_ffmpeg(spec: str) -> str:
    """How FFmpeg has to be told `spec`: it takes a colon in a file's name for the end of a protocol's."""
    return spec if is_remote(spec) else f"file:{local_path(spec)}"


def is_pipe(path: str) -> bool:
    """Whether `path` can be read once only, from its beginning to its end: a named pipe, /dev/stdin, a terminal."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)
