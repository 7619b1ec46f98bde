"""The times of recordings that were laid end to end: their pictures tell how far each part is to be moved. Only sums.

All times are Fractions, in s.
"""

from __future__ import annotations

from fractions import Fraction

MAX_BACK, MAX_GAP = 1, 60  # s, from one time to the next; beyond, another part begins: as in sources/video.py
NEAR = 5  # s between the end of one part of a track and the start of its next, or between a track and its pictures
MAX_SILENCE = 3600  # s without sound where no pictures tell; an mp4 whose steps are longer ends the process


def _leaps(before: Fraction, time: Fraction) -> bool:
    return not -MAX_BACK <= time - before <= MAX_GAP


class PictureClock:
    """The pictures of a file: `offsets` holds, part by part, what is added to times there so that they go on.

    `begin` : of the first picture; it is 0 on this clock. `step` : from one picture to the next.
    """

    def __init__(self, begin: Fraction, step: Fraction) -> None:
        self.offsets = [-begin]
        self._step = step
        self._last: Fraction | None = None

    def see(self, time: Fraction) -> None:
        """A picture is shown at `time`; they may come in the order of decoding."""
        last = time if self._last is None else self._last
        if _leaps(last, time):
            self.offsets.append(self.offsets[-1] + last + self._step - time)
            self._last = time
        else:
            self._last = max(last, time)

    @property
    def seen(self) -> bool:
        """Whether a picture was seen."""
        return self._last is not None

    @property
    def now(self) -> Fraction:
        """When the last picture seen is shown; 0 before the first."""
        return Fraction(0) if self._last is None else self._last + self.offsets[-1]


class TrackClock:
    """The sound beside those pictures: it moves as they do, part by part."""

    def __init__(self, pictures: PictureClock) -> None:
        self._pictures, self._part, self._offset = pictures, 0, pictures.offsets[0]
        self._last: Fraction | None = None
        self._end = Fraction(0)

    def place(self, time: Fraction, duration: Fraction, final: bool) -> Fraction | None:
        """Where what the file has at `time` belongs. None: ask again when more pictures are known, unless `final`."""
        if self._last is not None and _leaps(self._last, time) and not self._enter(time) and not self._is_gap(time):
            if not final:
                return None
            self._offset = self._end - time
        self._last = time
        self._end = time + self._offset + duration
        return time + self._offset

    def _is_gap(self, time: Fraction) -> bool:
        """Whether there is just no sound for a while: the pictures are there, too."""
        at = time + self._offset
        if self._pictures.seen:
            return self._end < at and abs(at - self._pictures.now) <= NEAR
        return self._end < at <= self._end + MAX_SILENCE

    @property
    def next(self) -> Fraction:
        """Where what has no time of its own belongs: after the one before."""
        return self._end

    def _enter(self, time: Fraction) -> bool:
        """Go on in the part of the pictures that `time` continues this track in, if there is one."""
        for part, offset in enumerate(self._pictures.offsets[self._part + 1 :], self._part + 1):
            if abs(time + offset - self._end) <= NEAR:
                self._part, self._offset = part, offset
                return True
        return False
