"""The kinds of file that pictures can be written to: containers, codecs and how they are asked to work. Only tables.

A file survives its writer. Each second begins with a keyframe and is handed to the system as a whole (an mp4 fragment,
a Matroska cluster), so a file whose process was killed plays up to its last seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError

KEYFRAME_EVERY = 1.0  # s; also the length of an mp4 fragment and of a Matroska cluster, hence what a kill costs

# The encoder is asked for no B-frames: a picture can then be written once it is encoded, with dts = pts.
_H264 = {"crf": "18", "preset": "veryfast", "bf": "0", "forced-idr": "1"}
_VP9 = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1", "lag-in-frames": "0"}

_ANY = {
    "flush_packets": "1",
    # Where the sound ends early the muxer waits for more of it, and what it holds is lost in a kill: 1 s, not its 10.
    "max_interleave_delta": "1000000",  # µs
}
# delay_moov, because only then an edit list is written: without one, sound that begins before 0 (AAC priming) pushes
# every picture but the first later, by 21 ms.
_FRAGMENTS = {**_ANY, "movflags": "hybrid_fragmented+frag_keyframe+empty_moov+delay_moov+default_base_moof"}
_CLUSTERS = {**_ANY, "cluster_time_limit": f"{KEYFRAME_EVERY * 1000:.0f}"}  # ms


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoder and how it is asked to work."""

    name: str
    pixels: str  # the pixel format it is fed
    options: Mapping[str, str] = field(default_factory=dict)
    even: bool = False  # True: width and height must be even
    intra: bool = False  # True: every frame is a keyframe


@dataclass(frozen=True, slots=True)
class Container:
    """A file format that pictures can be written to."""

    format: str  # the muxer's name
    ticks: int  # per second: the resolution of its timestamps
    options: Mapping[str, str]
    codec: Codec
    transparent: Codec | None  # None: it cannot hold alpha
    sound: str  # the encoder for sound that it cannot hold as it is
    text: str  # the encoder for subtitles, likewise
    attachments: bool = False  # fonts and covers, as files inside it
    avoids: str = " "  # how codecs begin that it could hold, and that hardly a player reads there


_X264 = Codec("libx264", "yuv420p", _H264, even=True)
_FFV1 = Codec("ffv1", "bgra", intra=True)
_VPX, _VPX_ALPHA = Codec("libvpx-vp9", "yuv420p", _VP9), Codec("libvpx-vp9", "yuva420p", _VP9)
CONTAINERS = {
    ".mp4": Container("mp4", 90_000, _FRAGMENTS, _X264, None, "aac", "mov_text", avoids="pcm_"),
    ".mov": Container("mov", 90_000, _FRAGMENTS, _X264, None, "aac", "mov_text"),
    ".mkv": Container("matroska", 1000, _CLUSTERS, _X264, _FFV1, "aac", "subrip", attachments=True),
    ".webm": Container("webm", 1000, _CLUSTERS, _VPX, _VPX_ALPHA, "libopus", "webvtt"),
}
GREY = Codec("ffv1", "gray", intra=True)


def container_of(path: str) -> Container:
    """The container that the suffix of `path` names, or UsageError with the possible ones."""
    found = CONTAINERS.get(Path(path).suffix.lower())
    if found is None:
        raise UsageError(f"cannot write {path!r}: unknown kind of file; choose one of {', '.join(CONTAINERS)}")
    return found
