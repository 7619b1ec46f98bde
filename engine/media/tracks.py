"""Which tracks of an opened container can be used: the one that is shown, and those that can be heard.

A track is of no use where FFmpeg does not know its codec, or where its only picture is a cover.
"""

from __future__ import annotations

import logging
from typing import Any

from .saying import say_once

UNKNOWN = "a codec that is not known here; convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"


def video_track(container: Any) -> Any | None:
    """The video stream of an opened PyAV container that is meant to be seen; None where there is none.

    Of several: the one that the file calls its default, then the largest, then the first, as players choose.
    """
    tracks = [track for track in container.streams.video if _is_known(track) and track.width and not is_cover(track)]
    return max(tracks, key=lambda track: (_is_default(track), track.width * track.height), default=None)


def sound_tracks(container: Any) -> list[Any]:
    """The audio streams of an opened PyAV container whose codec is known, in their order."""
    return [track for track in container.streams.audio if _is_known(track)]


def is_cover(track: Any) -> bool:
    """Whether a video stream is a picture that was added to the file: a cover, or previews for a player's bar."""
    kinds = type(track.disposition)
    return bool(track.disposition & (kinds.attached_pic | kinds.timed_thumbnails))


def why_no_video(container: Any) -> str | None:
    """Why `video_track` found none, as far as the tracks tell; None where there is nothing to tell."""
    video = container.streams.video
    if any(not _is_known(track) for track in video):
        return f"its pictures are in {UNKNOWN}"
    if any(is_cover(track) for track in video):
        return "it has a cover, but no video"
    return "it has sound, but no pictures" if container.streams.audio else None


def warn_of_unknown_codecs(name: str, which: tuple[int, ...]) -> None:
    """Say once that the video tracks `which` of `name`, of those that it has, are passed over."""
    tracks = ", ".join(map(str, which))
    say_once(logging.WARNING, f"{name}: video track {tracks} is in a codec that is not known here; another is used")


def unknown_video_tracks(container: Any) -> tuple[int, ...]:
    """Indices of the video streams whose codec is not known."""
    return tuple(track.index for track in container.streams.video if not _is_known(track))


def _is_known(track: Any) -> bool:
    return track.codec_context is not None


def _is_default(track: Any) -> bool:
    return bool(track.disposition & type(track.disposition).default)
