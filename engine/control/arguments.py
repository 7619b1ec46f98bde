"""How the arguments of each command are read: (name, arguments) -> what the command takes, or UsageError.

Knows nothing of an engine; loads neither NumPy nor OpenCV.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UsageError
from ..stroke import Stroke

SWITCH = {"on": True, "off": False, "toggle": None}
KEEPS = {"keep": True, "drop": False}  # what a stroke says
ALL = "all"  # rooms


def nothing(name: str, arguments: list[str]) -> tuple[()]:
    if arguments:
        raise UsageError(f"{name} takes no argument, got {arguments[0]!r:.80}; write: {name}")
    return ()


def background(name: str, arguments: list[str]) -> tuple[str]:
    if len(arguments) != 1 or not arguments[0] or "\0" in arguments[0]:
        raise UsageError(
            f"{name} takes one argument, got {len(arguments)}; "
            f"write: {name} blur, {name} '#00b140', or {name} beach.jpg"
        )
    return (arguments[0],)


def strength_of(name: str, arguments: list[str]) -> tuple[float | None]:
    if not arguments:
        return (None,)
    try:
        (strength,) = map(float, arguments)
    except ValueError:
        strength = 0.0
    if not 0 < strength <= 1:
        raise UsageError(
            f"{name} {' '.join(arguments)!r:.80}: expected a strength above 0 and at most 1, as in {name} 0.6"
        )
    return (strength,)


def one_of(words: dict[str, Any], default: str | None = None) -> Callable[[str, list[str]], tuple[Any]]:
    """One of `words`, which stand for values; without one, `default`."""

    def read(name: str, arguments: list[str]) -> tuple[Any]:
        word = " ".join(arguments) if arguments or default is None else default
        if word not in words:
            raise UsageError(
                f"{name} {word!r:.80}: expected {' or '.join(filter(None, words))}; write: {name} {list(words)[-1]}"
            )
        return (words[word],)

    return read


def stroke(name: str, arguments: list[str]) -> tuple[Stroke]:
    """X,Y for each point; then whether it keeps or drops what it lies on, else it keeps."""
    points, keep = list(arguments), True
    if points and points[-1] in KEEPS:
        keep = KEEPS[points.pop()]
    try:
        return (Stroke.of(map(_point, points), keep),)
    except UsageError as error:
        raise UsageError(
            f"{name}: {error}; expected points X,Y, shares of the camera picture's width and height, then keep or "
            f"drop, as in {name} 0.31,0.62 0.35,0.7 keep"
        ) from None


def _point(text: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"a point is {text!r:.80}") from None
    return x, y


def rooms_to_forget(name: str, arguments: list[str]) -> tuple[str | None]:
    """Nothing: None, the list; `forget ID`: that room's name, or ALL."""
    if not arguments:
        return (None,)
    if len(arguments) != 2 or arguments[0] != "forget" or not arguments[1]:
        raise UsageError(f"{name} {' '.join(arguments)!r:.80}: write: {name}, {name} forget ID, or {name} forget all")
    return (arguments[1],)
