"""A window on the desktop, through Tk: where OpenCV was built without one, as the package we depend on is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..contracts import Picture
from ..errors import SinkError
from .window import QUIT_KEYS, TITLE


class TkWindow:
    """Sink: as `Window`. The picture has its own size, and is not enlarged with the window. Used from one thread."""

    needs_alpha = False

    def __init__(self) -> None:
        self.on_key: Callable[[int], None] | None = None
        self.wanted = True
        try:
            import tkinter
        except ImportError as error:
            raise SinkError(
                "cannot open a window: neither OpenCV nor Python has one here; sudo apt install python3-tk, "
                "or use --output FILE or --headless"
            ) from error
        self._error = tkinter.TclError
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise SinkError(f"cannot open a window: {error}; use --output FILE or --headless") from error
        self._root.title(TITLE)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        self._root.bind("<Key>", self._pressed)
        self._photo = tkinter.PhotoImage(master=self._root)
        self._label = tkinter.Label(self._root, image=self._photo, borderwidth=0, background="black")
        self._label.pack(expand=True, fill="both")

    def write(self, picture: Picture) -> None:
        if not self.wanted:
            return
        import cv2

        H, W = picture.bgr.shape[:2]
        rgb = cv2.cvtColor(picture.bgr, cv2.COLOR_BGR2RGB)
        try:
            self._photo.configure(data=b"P6 %d %d 255\n" % (W, H) + rgb.tobytes(), format="PPM")
            self._root.update()  # draws, and hears keys and the window manager
        except self._error:  # it was closed meanwhile
            self.close()

    def _pressed(self, event: Any) -> None:
        key = ord(event.char) if len(event.char) == 1 else 0
        if key in QUIT_KEYS:
            self.close()
        elif key and self.on_key is not None:
            self.on_key(key)

    def close(self) -> None:
        if not self.wanted:
            return
        self.wanted = False
        try:
            self._root.destroy()
        except self._error:
            return  # the user was faster
