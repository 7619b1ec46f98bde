"""Every command of a running engine, and what it does to a Session. How arguments are read: arguments.py.

Reading needs no engine, so that `jm-engine ctl` finds a mistake itself; NumPy and OpenCV are loaded where one is run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ControlError, JitMaskerError, UsageError
from ..stroke import Stroke
from .arguments import ALL, SWITCH, background, nothing, one_of, rooms_to_forget, strength_of, stroke

if TYPE_CHECKING:
    from ..session import Session
    from .gallery import Gallery
    from .remembered import Remembered

TURN_TIMEOUT_S = 5.0  # behind another background that is being opened
JPEG_QUALITY = 85  # percent


@dataclass(frozen=True)
class Answer:
    """`result` is JSON; `data` follows it as bytes."""

    result: dict[str, Any]
    data: bytes = b""


class Controls:
    """A session, and what belongs to the one who controls it. Any thread may call `run`.

    Parameters
    ----------
    remembered : the last choice, as it was loaded; each change is saved to `path`, unless that is None.
    """

    def __init__(self, session: Session, gallery: Gallery, remembered: Remembered, path: Path | None = None):
        self.session, self.gallery = session, gallery
        self._remembered, self._path = remembered, path
        self._turn, self._saving = threading.Lock(), threading.Lock()

    def run(self, name: str, arguments: list[str], folder: str = os.sep) -> Answer:
        """Read and run one command; a path is relative to `folder`.

        Raises
        ------
        UsageError
            There is no such command, or its arguments are wrong.
        ControlError
            The session refuses it.
        """
        values = parse(name, arguments)
        try:
            return COMMANDS[name].run(self, folder, *values)
        except JitMaskerError as error:
            raise ControlError(str(error)) from error

    @property
    def strength(self) -> float:
        """The blur chosen last."""
        from ..backgrounds.blur import DEFAULT_STRENGTH

        return self._remembered.blur or DEFAULT_STRENGTH

    @contextmanager
    def changing_background(self) -> Iterator[None]:
        """One at a time: `next` depends on what is shown. ControlError where another one takes too long."""
        if not self._turn.acquire(timeout=TURN_TIMEOUT_S):
            raise ControlError("another background is still being opened; try again later")
        try:
            yield
        finally:
            self._turn.release()

    def remember(self, **choice: Any) -> None:
        with self._saving:
            self._remembered = replace(self._remembered, **choice)
            if self._path is not None:
                self._remembered.save(self._path)


@dataclass(frozen=True)
class Command:
    """One command. `parse(name, arguments)` gives what `run(controls, folder, ...)` takes, or raises UsageError."""

    arguments: str  # as a user would write them
    help: str
    parse: Callable[[str, list[str]], tuple[Any, ...]]
    run: Callable[..., Answer]


def parse(name: str, arguments: list[str]) -> tuple[Any, ...]:
    """The arguments of the command `name`, read; UsageError where they are wrong, or there is no such command."""
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r:.80}; choose one of {', '.join(COMMANDS)}")
    return COMMANDS[name].parse(name, arguments)


# -- what commands do --------------------------------------------------------------------------------------------------


def _set_background(controls: Controls, folder: str, spec: str) -> Answer:
    with controls.changing_background():
        return _show(controls, resolve(spec, folder, controls.gallery))


def _show(controls: Controls, spec: str) -> Answer:
    controls.session.set_background(spec)
    kind, _, strength = spec.partition(":")
    if kind == "blur":
        controls.remember(background=spec, blur=float(strength) if strength else controls.strength)
    elif kind != "none":  # a run that begins with nothing behind the person is asked for each time
        controls.remember(background=spec)
    return Answer({"background": spec})


def resolve(spec: str, folder: str, gallery: Gallery) -> str:
    """What `open_background` takes for what a user in `folder` calls `spec`: a path becomes absolute.

    Raises
    ------
    ControlError
        It names neither a file nor one of the gallery.
    """
    from ..backgrounds import COLOURS

    if spec == "none" or spec.partition(":")[0] == "blur" or spec in COLOURS or spec.startswith("#"):
        return spec
    path = os.path.join(folder, os.path.expanduser(spec))
    if os.path.isfile(path):  # neither a device nor a pipe, which would be waited for, nor an address
        return os.path.normpath(path)
    found = gallery.find(spec)
    if found is None:
        raise ControlError(
            f"there is no background {spec!r:.200} in {folder}, and none in the gallery {gallery.folder}; "
            "jm-engine ctl gallery lists those"
        )
    return str(found)


def _blur(controls: Controls, _: str, strength: float | None) -> Answer:
    with controls.changing_background():
        return _show(controls, f"blur:{strength or controls.strength:g}")


def _step(step: int) -> Callable[[Controls, str], Answer]:
    """To the next (1) or previous (-1) of the gallery that can be opened."""

    def run(controls: Controls, _: str) -> Answer:
        with controls.changing_background():
            failure: JitMaskerError | None = None
            for path in controls.gallery.around(controls.session.status()["background"], step):
                try:
                    return _show(controls, str(path))
                except JitMaskerError as error:
                    failure = failure or error
            raise failure or ControlError(
                f"the gallery {controls.gallery.folder} is empty; put pictures or videos there"
            )

    return run


def _pause(controls: Controls, _: str, on: bool | None = None) -> Answer:
    on = not controls.session.status()["paused"] if on is None else on
    if on:
        controls.session.pause()
    else:
        controls.session.resume()
    return Answer({"paused": on})


def _mirror(controls: Controls, _: str, on: bool | None) -> Answer:
    on = not controls.session.status()["mirrored"] if on is None else on
    controls.session.set_mirrored(on)
    controls.remember(mirrored=on)
    return Answer({"mirrored": on})


def _learn(controls: Controls, _: str, on: bool | None) -> Answer:
    if on is None:
        learning = controls.session.status()["learning"]
        on = learning is None or not learning["on"]
    controls.session.set_learning(on)
    return Answer({"learning": on})


def _frame(controls: Controls, _: str, on: bool | None) -> Answer:
    on = not controls.session.status()["framing"] if on is None else on
    controls.session.set_framing(on)
    controls.remember(framing=on)
    return Answer({"framing": on})


def _forget(controls: Controls, _: str) -> Answer:
    controls.session.forget()
    return Answer({"forgot": True})


def _correct(controls: Controls, _: str, drawn: Stroke) -> Answer:
    controls.session.correct(drawn)
    return Answer({"keep": drawn.keep, "points": len(drawn.points)})


def _undo(controls: Controls, _: str) -> Answer:
    controls.session.undo_correction()
    return Answer({"undone": True})


def _rooms(controls: Controls, _: str, forget: str | None) -> Answer:
    if forget is None:
        return Answer(controls.session.rooms())
    return Answer({"forgotten": controls.session.forget_rooms(None if forget == ALL else forget)})


def _gallery(controls: Controls, _: str) -> Answer:
    names = [path.name for path in controls.gallery.paths()]
    return Answer({"folder": str(controls.gallery.folder), "names": names})


def _stats(controls: Controls, _: str) -> Answer:
    return Answer(controls.session.status())


def _snapshot(controls: Controls, _: str, source: bool) -> Answer:
    import cv2

    bgr = controls.session.source_picture() if source else controls.session.picture()
    if bgr is None:
        raise ControlError(
            f"no {'frame came' if source else 'picture was sent'} within a second; see jm-engine ctl stats"
        )
    encoded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise ControlError("the picture cannot be encoded as JPEG; try again")
    return Answer({"type": "image/jpeg", "size": [bgr.shape[1], bgr.shape[0]]}, jpeg.tobytes())


def _stop(controls: Controls, _: str) -> Answer:
    controls.session.stop()
    return Answer({"stopping": True})


COMMANDS = {
    "background": Command(
        "SPEC", "a picture, a video, one of the gallery, #rrggbb, blur[:STRENGTH]", background, _set_background
    ),
    "blur": Command("[STRENGTH]", "the room out of focus, at most 1; else as strong as last time", strength_of, _blur),
    "next": Command("", "the next background of the gallery", nothing, _step(1)),
    "previous": Command("", "the one before", nothing, _step(-1)),
    "gallery": Command("", "list the gallery", nothing, _gallery),
    "pause": Command("[on|off|toggle]", "show a card instead of the picture", one_of(SWITCH, "on"), _pause),
    "resume": Command("", "show the picture again", nothing, lambda controls, _: _pause(controls, _, False)),
    "mirror": Command("on|off|toggle", "turn the person as a mirror does", one_of(SWITCH), _mirror),
    "frame": Command(
        "auto|off|toggle", "follow the person", one_of({"auto": True, "off": False, "toggle": None}), _frame
    ),
    "learn": Command("on|off|toggle", "go on learning, or rest", one_of(SWITCH), _learn),
    "forget": Command("", "paint with the shipped student; what was learnt is gone, on disk as well", nothing, _forget),
    "correct": Command(
        "X,Y [X,Y ...] [keep|drop]",
        "what the stroke lies on belongs to the picture, or not; 0,0 to 1,1 of the camera's",
        stroke,
        _correct,
    ),
    "undo": Command("", "take the last correction back", nothing, _undo),
    "rooms": Command("[forget ID|all]", "list the places that are remembered; forget one", rooms_to_forget, _rooms),
    "stats": Command("", "what is going on", nothing, _stats),
    "snapshot": Command(
        "[source]",
        "JPEG of the picture as sent; source: the camera's",
        one_of({"": False, "source": True}, ""),
        _snapshot,
    ),
    "stop": Command("", "end the run, as Ctrl-C does", nothing, _stop),
}
