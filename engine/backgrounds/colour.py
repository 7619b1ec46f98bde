"""One colour behind the person, or nothing at all."""

from __future__ import annotations

import numpy as np

from ..errors import UsageError

COLOURS = {
    "black": "#000000",
    "white": "#ffffff",
    "grey": "#808080",
    "gray": "#808080",
    "green": "#00b140",  # of a green screen, for programs that key it out
    "blue": "#0047bb",
}


class Colour:
    """Background: one colour, BGR. Transparent, it is black: where alpha is ignored, nothing of the frame is seen."""

    still = True

    def __init__(self, colour: tuple[int, int, int], transparent: bool = False) -> None:
        self.transparent = transparent
        self._colour = colour
        self._out = np.empty((0, 0, 3), np.uint8)

    def picture(self, bgr: np.ndarray, alpha: np.ndarray | None, position: float) -> np.ndarray:
        if self._out.shape != bgr.shape:
            self._out = np.empty(bgr.shape, np.uint8)
            self._out[:] = self._colour
        return self._out

    def close(self) -> None:
        pass


def parse_colour(spec: str) -> tuple[int, int, int]:
    """BGR of a name, "#rgb" or "#rrggbb"."""
    digits = COLOURS.get(spec, spec)[1:]
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError as error:
        raise UsageError(f"background {spec!r} is no colour; write #rrggbb or #rgb, as in #00b140") from error
    return blue, green, red
