"""The last choice made while an engine ran, kept for the next: a small JSON file in the user's configuration folder."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kernels.ownership import read_private

from ..backends.atomic_file import write_atomically
from ..backgrounds import open_background
from ..errors import UsageError
from ..options import Options

log = logging.getLogger("jit_masker")

KINDS: dict[str, type | tuple[type, ...]] = {"background": str, "mirrored": bool, "framing": bool, "blur": (int, float)}


def remembered_path() -> Path:
    """`remembered.json` in $JM_HOME, else in the platform's configuration folder."""
    from platformdirs import user_config_dir

    return Path(os.environ.get("JM_HOME") or user_config_dir("jit-masker")).expanduser().absolute() / "remembered.json"


@dataclass(frozen=True)
class Remembered:
    """What was chosen last; None: nothing was."""

    background: str | None = None  # as in `open_background`; a path is absolute
    mirrored: bool | None = None
    framing: bool | None = None
    blur: float | None = None  # the last strength, for `blur` without one

    @classmethod
    def load(cls, path: Path | None = None) -> Remembered:
        """What `path` holds; nothing, with a warning, where that is damaged or others could have written it."""
        path = path or remembered_path()
        try:
            return cls._from_json(read_private(path))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, RecursionError) as error:
            log.warning("the last choice in %s cannot be used: %s; going on with the defaults", path, error)
            return cls()

    @classmethod
    def _from_json(cls, data: bytes) -> Remembered:
        values = json.loads(data)
        if not isinstance(values, dict):
            raise ValueError("expected an object")
        known = {field.name: values.get(field.name) for field in fields(cls)}
        for name, value in known.items():
            wrong = isinstance(value, bool) and KINDS[name] is not bool
            if value is not None and (wrong or not isinstance(value, KINDS[name])):
                raise ValueError(f"{name} is {value!r:.80}")
        blur = known["blur"]
        if blur is not None and not 0 < blur <= 1:
            raise ValueError(f"blur is {blur!r:.80}, expected above 0 and at most 1")
        return cls(**known)

    def save(self, path: Path | None = None) -> None:
        """Whole or not at all, readable for this user alone; a folder that cannot be written costs a warning."""
        path = path or remembered_path()
        try:
            write_atomically(path, json.dumps(asdict(self), indent=1).encode())
        except OSError as error:
            log.warning("the choice is not remembered: cannot write %s: %s", path, error)

    def under(self, options: Options) -> Options:
        """`options`, and what is remembered where they say nothing: neither a flag, nor JM_*, nor the file."""
        update: dict[str, Any] = {}
        if self.background is not None and _can_be_opened(self.background):
            update["background"] = self.background
        if self.mirrored is not None:
            update["mirror"] = self.mirrored
        if self.framing is not None:
            update["frame"] = "auto" if self.framing else "off"
        said = options.model_fields_set
        return options.model_copy(update={name: value for name, value in update.items() if name not in said})


def _can_be_opened(background: str) -> bool:
    try:
        open_background(background).close()
    except UsageError as error:
        log.warning("the last background is not shown: %s; going on with the default", error)
        return False
    return True
