"""A video out of a pipe: read as it comes, once. threaded.py is around it, since a pipe can hang."""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts import Frame
from ..errors import SourceError
from ..media.bad_file import describe_bad_file
from .video import VIDEOS, Video


class PipedVideo(Video):
    """A video at a path that is no file: a named pipe, /dev/stdin, /dev/fd/63."""

    def __iter__(self) -> Iterator[Frame]:
        seen = False
        try:
            for frame in super().__iter__():
                seen = True
                yield frame
        except SourceError as error:
            if seen:
                raise
            raise SourceError(f"cannot read {self._spec}: {describe_bad_file(self._spec, VIDEOS)}") from error
