"""No output: pictures are only counted."""

from __future__ import annotations

from ..contracts import Picture


class Null:
    """Sink that only counts. For measurements, and for running without a picture."""

    wanted = True

    def __init__(self, transparent: bool = False) -> None:
        self.needs_alpha = transparent
        self.pictures = 0  # written so far

    def write(self, picture: Picture) -> None:
        self.pictures += 1

    def close(self) -> None:
        pass
