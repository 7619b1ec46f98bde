"""Everything of a video but its pictures, on its way into another file: sound, subtitles, chapters, tags, attachments.

Decided before the first picture, and said: what is kept as it is, what is converted, what is left out.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import count, islice
from typing import Any, Literal, Protocol

from ..errors import SinkError, UsageError
from ..media.naming import for_ffmpeg, is_remote
from ..media.tracks import is_cover, video_track
from .containers import CONTAINERS, Container
from .part_clock import PictureClock, TrackClock
from .sound import CopiedTrack, EncodedSound, clone, reason_against
from .subtitles import TEXTS, Captions, ConvertedText
from .tags import COVERS, carry_attachments, carry_chapters, carry_names, carry_tags

log = logging.getLogger("jit_masker")

SoundMode = Literal["copy", "encode", "none"]
TIMEOUT_S = 10.0  # for an answer of a server
LOOKED_AT = 3  # packets of each track, before it is decided what becomes of it
MAX_LOOK = 2000  # packets in all, of which most belong to pictures
MAX_LEAD = 2  # s that one track is read ahead of another, or of where the pictures are
MAX_HELD = 500  # packets of a track whose place only later pictures tell


class Track(Protocol):
    """See `CopiedTrack`."""

    stream: Any
    mended: int
    damaged: int

    def join(self, output: Any) -> Any: ...

    def feed(self, packet: Any, at: Fraction) -> Iterator[Any]: ...

    def finish(self) -> Iterator[Any]: ...


def open_other_tracks(path: str, into: str, container: Container, sound: SoundMode | None) -> OtherTracks | None:
    """What `path` (a file or a URL) holds beside its pictures, for the file `into`; None where it cannot be had.

    `sound`: "copy", "encode" or "none"; None copies what `container` takes and encodes the rest.

    Raises
    ------
    UsageError
        `sound` is "copy" and the container does not take it.
    SinkError
        `path` cannot be read; of a URL only where `sound` was asked for, else that is said and the file is silent.
    """
    from ..media.ffmpeg import av

    try:
        timeout = TIMEOUT_S if is_remote(path) else None
        source = av.open(for_ffmpeg(path), timeout=timeout, metadata_errors="replace")
    except (OSError, av.FFmpegError) as error:
        message = f"cannot read the sound of {path}: {error.strerror}; go without it (--sound none) or name another"
        if sound == "none" or (is_remote(path) and sound is None):
            log.warning("%s", message)
            return None
        raise SinkError(message) from error
    try:
        return OtherTracks(source, path, into, container, sound)
    except BaseException:
        source.close()
        raise


class OtherTracks:
    """See `open_other_tracks`. Time 0 is where the pictures of the source begin."""

    def __init__(self, source: Any, path: str, into: str, container: Container, sound: SoundMode | None) -> None:
        self._source, self._path, self._into, self._container = source, path, into, container
        self.refused = 0  # packets that the muxer did not take
        self._left_out: list[str] = []
        self._pictures = video_track(source)
        self._clock = _picture_clock(self._pictures)
        known = [stream for stream in source.streams if stream.type in ("audio", "subtitle") and stream.codec_context]
        wanted = [stream for stream in known if stream.type != "audio" or sound != "none"]
        self._follow = self._pictures is not None and "mov" not in source.format.name  # whose times never leap
        self._packets = self._demux([*wanted, *([self._pictures] if self._follow else [])], _covers(source))
        self._read_ahead, first = self._look({stream.index for stream in wanted})
        self._tracks: dict[int, Track] = {}
        if sound != "none":
            self._plan_sound([stream for stream in source.streams if stream.type == "audio"], first, sound)
        self._plan_subtitles([stream for stream in wanted if stream.type == "subtitle"], first)
        self._plan_rest()
        self._clocks = {index: TrackClock(self._clock) for index in self._tracks}
        self._held: dict[int, deque[Any]] = {index: deque() for index in self._tracks}
        self._reached = dict.fromkeys(self._tracks, Fraction(-1))  # s, of what was made of each track's packets
        self._ready: list[tuple[Fraction, int, Any]] = []  # heap: when, in which order, packet
        self._captions: dict[int, Captions] = {}
        self._order = count()
        self._over = self._closed = self._mended_told = False
        if self._left_out:
            log.warning("%s: left out of %s: %s", path, into, ", ".join(self._left_out))

    # -- what becomes of each track ------------------------------------------------------------------------------------

    def _plan_sound(self, streams: list[Any], first: dict[int, list[Any]], sound: SoundMode | None) -> None:
        encoded: dict[str, str] = {}  # codec: why
        for stream in streams:
            if stream.codec_context is None:
                self._left_out.append("sound in a codec that is not known here")
                continue
            if not first[stream.index]:
                self._left_out.append("a sound track without sound")
                continue
            codec = stream.codec_context.codec.canonical_name
            reason = reason_against(self._container, stream, first[stream.index]) if sound != "encode" else "asked for"
            if reason is None and sound is None and codec.startswith(self._container.avoids):
                reason = "few players read it there"
            if reason is None:
                self._tracks[stream.index] = CopiedTrack(stream, first[stream.index][0])
            elif sound == "copy":
                raise UsageError(
                    f"--sound is copy, and the {codec} sound of {self._path} does not go into {self._into}: {reason}; "
                    f"use --sound encode or none{_another_container(stream, first[stream.index])}"
                )
            else:
                self._tracks[stream.index] = EncodedSound(stream, self._container.sound)
                encoded[codec] = reason
        if encoded and sound is None:
            log.warning(
                "%s: its %s sound is encoded as %s for %s: %s; see --sound copy|encode|none",
                self._path, " and ".join(encoded), self._container.sound.removeprefix("lib"), self._into,
                "; ".join(encoded.values()),
            )  # fmt: skip

    def _plan_subtitles(self, streams: list[Any], first: dict[int, list[Any]]) -> None:
        for stream in streams:
            codec = stream.codec_context.codec.canonical_name
            if reason_against(self._container, stream, first[stream.index]) is None:
                self._tracks[stream.index] = CopiedTrack(stream)
            elif codec in TEXTS:
                self._tracks[stream.index] = ConvertedText(stream, self._container.text)
            else:
                self._left_out.append(f"subtitles ({codec})")

    def _plan_rest(self) -> None:
        """What is no sound and no subtitle: kept as an attachment, or left out."""
        chapters = bool(self._source.chapters())
        for stream in self._source.streams:
            if stream is self._pictures or stream.index in self._tracks or stream.type == "audio":
                continue
            if stream.type == "video" and is_cover(stream):
                if not self._container.attachments or stream.codec_context.name not in COVERS:
                    self._left_out.append("a cover picture")
            elif stream.type == "attachment" and not self._container.attachments:
                self._left_out.append(f"an attachment ({stream.name})")
            elif stream.type == "video":
                self._left_out.append("another video track")
            elif stream.type == "subtitle" and stream.codec_context is None:
                self._left_out.append("subtitles of an unknown kind")
            elif stream.type in ("data", "unknown") and not (chapters and stream.name == "bin_data"):
                name = stream.name if stream.type == "data" else None
                self._left_out.append(f"a data track ({name or stream.metadata.get('handler_name', 'unknown')})")

    # -- into the file -------------------------------------------------------------------------------------------------

    def join(self, output: Any, pictures: Any) -> None:
        """Announce all tracks to `output`, before its first packet; `pictures` is its video stream."""
        name = self._container.format
        if self._pictures is not None:
            carry_names(self._pictures, pictures, name)
        carry_tags(self._source, output)
        carry_chapters(self._source, output, self._begin)
        for index, track in self._tracks.items():
            out = track.join(output)
            carry_names(track.stream, out, name)
            if self._container.text == "mov_text" and track.stream.type == "subtitle":
                out.time_base = Captions.TICK
                self._captions[index] = Captions(out)
        if self._container.attachments:
            carry_attachments(self._source, output, self._cover_files)

    def until(self, position: float, over: bool = False) -> Iterator[Any]:
        """Packets of what begins before `position` (s), for the muxer; `over`: and of what ends there."""
        while not self._over and not self._is_read(position):
            self._read()
        while self._ready and self._ready[0][0] < position:
            yield heapq.heappop(self._ready)[2]
        for captions in self._captions.values():
            yield from captions.until(position, over)

    def close(self) -> None:
        """Release the source."""
        damaged = self.refused + sum(track.damaged for track in self._tracks.values())
        if damaged and not self._closed:
            log.warning("%s: %d packets of its sound or subtitles are damaged and left out", self._path, damaged)
        self._over, self._closed, self._ready = True, True, []
        self._packets.close()
        self._source.close()

    @property
    def _begin(self) -> Fraction:
        return -self._clock.offsets[0]

    # -- out of the other ----------------------------------------------------------------------------------------------

    def _demux(self, streams: list[Any], covers: list[Any]) -> Generator[Any]:
        """Packets of `streams`; where the source breaks off, that is its end. Keeps the content of `covers`."""
        from ..media.ffmpeg import av

        self._cover_files: list[tuple[str, bytes]] = []
        if not streams and not covers:
            return
        try:
            for packet in self._source.demux([*streams, *covers]):
                if packet.stream in covers:
                    if packet.size:
                        self._cover_files.append((packet.stream.codec_context.name, bytes(packet)))
                elif packet.size:
                    yield packet
        except IndexError:  # PyAV's at the end, where a stream turned up on the way (MPEG-TS)
            return
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            log.warning("%s: its sound cannot be read to the end: %s", self._path, reason)

    def _look(self, wanted: set[int]) -> tuple[deque[Any], dict[int, list[Any]]]:
        """The first packets of the source, and those of each track of `wanted`."""
        seen: deque[Any] = deque()
        first: dict[int, list[Any]] = {index: [] for index in wanted}
        sounding = {stream.index for stream in self._source.streams.audio} & wanted
        for packet in islice(self._packets, MAX_LOOK):
            index = packet.stream.index
            if index in wanted:
                seen.append(packet)
                if len(first[index]) < LOOKED_AT:
                    first[index].append(clone(packet))
            else:
                self._see(packet)
            if all(len(first[index]) == LOOKED_AT for index in sounding):
                break
        return seen, first

    def _see(self, picture: Any) -> None:
        time = picture.pts if picture.pts is not None else picture.dts
        if time is not None:
            self._clock.see(time * picture.time_base)

    def _is_read(self, position: float) -> bool:
        """Whether all that begins before `position` is read, or as much as may be held."""
        if self._read_ahead:
            return False
        if not self._tracks:
            return True
        sound = [self._reached[index] for index, track in self._tracks.items() if track.stream.type == "audio"]
        ahead = [*sound, *([self._clock.now] if self._follow else [])]  # a text may stand far before its time
        if max(ahead, default=0) >= position + MAX_LEAD:
            return True
        return (min(sound) if sound else max(ahead or self._reached.values())) >= position

    def _read(self) -> None:
        packet = self._read_ahead.popleft() if self._read_ahead else next(self._packets, None)
        if packet is None:
            self._over = True
            for index, track in self._tracks.items():
                self._place(index)
                self._push(index, track.finish())
            return
        index = packet.stream.index
        if index in self._tracks:
            self._held[index].append(packet)
            self._place(index)
        elif packet.stream is self._pictures:
            self._see(packet)
            for held in self._held:
                self._place(held)

    def _place(self, index: int) -> None:
        """Hand on those packets of a track whose place is known."""
        track, held, clock = self._tracks[index], self._held[index], self._clocks[index]
        while held:
            packet = held[0]
            time, length = _time(packet), Fraction(packet.duration or 0) * (packet.time_base or 0)
            if track.stream.type == "subtitle":  # between two cues there may be minutes
                at: Fraction | None = (time if time is not None else 0) + self._clock.offsets[-1]
            elif time is None:
                at = clock.next
            else:
                at = clock.place(time, length, final=self._over or not self._follow or len(held) > MAX_HELD)
            if at is None:
                return
            held.popleft()
            self._push(index, track.feed(packet, at))
        if track.mended and not self._mended_told:
            self._mended_told = True
            log.warning("%s: times of its sound stand still or run back; they are mended", self._path)

    def _push(self, index: int, packets: Iterator[Any]) -> None:
        for packet in packets:
            at = packet.dts * packet.time_base
            self._reached[index] = max(at, self._reached[index])
            if index in self._captions:
                self._captions[index].add(packet)
                continue
            heapq.heappush(self._ready, (at, next(self._order), packet))


def _covers(source: Any) -> list[Any]:
    return [stream for stream in source.streams.video if is_cover(stream) and stream.codec_context]


def _picture_clock(pictures: Any) -> PictureClock:
    if pictures is None:
        return PictureClock(Fraction(0), Fraction(0))
    begin = pictures.start_time * pictures.time_base if pictures.start_time is not None else Fraction(0)
    rate = pictures.average_rate or 25
    return PictureClock(begin, 1 / Fraction(rate))


def _time(packet: Any) -> Fraction | None:
    time = packet.dts if packet.dts is not None else packet.pts
    return None if time is None else time * packet.time_base


def _another_container(stream: Any, first: list[Any]) -> str:
    able = [suffix for suffix, other in CONTAINERS.items() if reason_against(other, stream, first) is None]
    return f", or write to {' or '.join(able)}" if able else ""
