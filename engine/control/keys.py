"""The keys of a window, as commands. A window hears q and Esc itself, because it also works without control."""

from __future__ import annotations

import logging
import queue
import threading

from ..errors import JitMaskerError
from .commands import Controls

log = logging.getLogger("jit_masker")

KEYS = {  # key: command, for the user
    "p": ("pause toggle", "pause, go on"),
    "m": ("mirror toggle", "mirror"),
    "b": ("next", "next background"),
    "l": ("learn toggle", "learning on, off"),
    "f": ("frame toggle", "follow the person, or the whole frame"),
}
TABLE = ", ".join([f"{key} {meaning}" for key, (_, meaning) in KEYS.items()] + ["h these keys", "q or Esc quit"])
MAX_PRESSED = 8  # keys that wait for the one before; more are lost


class Keys:
    """Callback for `Window.on_key`: runs what a key stands for on a thread of its own, and never keeps the window."""

    def __init__(self, controls: Controls):
        self._controls = controls
        self._pressed: queue.Queue[str | None] = queue.Queue(MAX_PRESSED)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def __call__(self, key: int) -> None:
        """`key`: a character's number; what stands for nothing is ignored."""
        name = chr(key).lower()
        if name == "h":
            log.info("keys: %s", TABLE)
        elif name in KEYS and not self._pressed.full():  # one thread presses
            self._pressed.put(name)

    def close(self) -> None:
        """Run what was pressed, and no more; one that hangs is left behind."""
        if self._thread.is_alive():
            try:
                self._pressed.put(None, timeout=1.0)
            except queue.Full:
                return
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while (name := self._pressed.get()) is not None:
            command, *arguments = KEYS[name][0].split()
            try:
                result = self._controls.run(command, arguments).result
            except JitMaskerError as error:
                log.warning("%s: %s", command, error)
            except Exception as error:  # a key must not end the others
                log.warning("%s failed: %s: %s", command, type(error).__name__, error)
            else:
                log.info("%s", ", ".join(f"{what}: {value}" for what, value in result.items()))
