"""A window on the desktop, through OpenCV."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from ..contracts import Picture
from ..errors import SinkError

TITLE = "jit-masker"
QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27 = Esc


class NoWindow(SinkError):
    """OpenCV was built without windows."""


class Window:
    """Sink: a window on the desktop. `q`, Esc or closing it makes `wanted` False. Used from one thread, as OpenCV asks.

    `environ` is where the display is named.
    """

    needs_alpha = False

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        # Before OpenCV is asked: without a display Qt ends the process instead of raising.
        if sys.platform.startswith("linux") and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
            raise SinkError("cannot open a window: no display; set DISPLAY, or use --output FILE or --headless")
        import cv2

        self._cv2 = cv2
        self._sized = False
        # told of every other key, as a character's number; returns soon
        self.on_key: Callable[[int], None] | None = None
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise NoWindow("cannot open a window: this OpenCV has none") from error
        self.wanted = True

    def write(self, picture: Picture) -> None:
        if not self.wanted:
            return
        cv2 = self._cv2
        if not self._sized:
            H, W = picture.bgr.shape[:2]
            cv2.resizeWindow(TITLE, W, H)
            self._sized = True
        cv2.imshow(TITLE, picture.bgr)
        key = cv2.waitKey(1)  # also draws
        # A window that was closed is no longer visible, and imshow would open it again.
        if (key & 0xFF) in QUIT_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self.close()
        elif key >= 0 and self.on_key is not None:
            self.on_key(key & 0xFF)

    def close(self) -> None:
        if not self.wanted:
            return
        self.wanted = False
        try:
            self._cv2.destroyWindow(TITLE)
        except self._cv2.error:
            return  # the user was faster
