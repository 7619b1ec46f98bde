"""A folder of backgrounds: pictures and videos, in the order a person would put them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from string import digits

from ..backgrounds import IMAGE_SUFFIXES, VIDEO_SUFFIXES


class Gallery:
    """The pictures and videos that lie in `folder`, looked up anew each time; None: the default folder.

    One that is missing, or may not be read, holds nothing.
    """

    def __init__(self, folder: str | None = None):
        self.folder = Path(folder).expanduser().absolute() if folder else default_folder()

    def paths(self) -> list[Path]:
        """In natural order: beach2 stands before beach10."""
        try:
            with os.scandir(self.folder) as entries:
                found = [Path(entry.path) for entry in entries if _is_background(entry)]
        except OSError:
            return []
        return sorted(found, key=natural)

    def find(self, name: str) -> Path | None:
        """The file called `name`, with or without its suffix."""
        paths = self.paths()
        exact = [path for path in paths if path.name == name]
        return next(iter(exact or [path for path in paths if path.stem == name]), None)

    def around(self, current: str, step: int) -> list[Path]:
        """All of them, in the order in which they follow (`step` 1) or precede (-1) the file `current`.

        Another one than `current` comes first, and `current` last; one that is not in the folder stands before the
        first and after the last.
        """
        paths = self.paths()[::step]
        at = next((i for i, path in enumerate(paths) if str(path) == current), -1)
        return paths[at + 1 :] + paths[: at + 1]


def default_folder() -> Path:
    """`jit-masker` in the platform's folder of pictures."""
    from platformdirs import user_pictures_dir

    return Path(user_pictures_dir()) / "jit-masker"


def natural(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Sorts digits by their number, before letters, and those without regard to case."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.casefold())
    return [(False, int(part), "") if part[0] in digits else (True, 0, part) for part in parts], path.name


def _is_background(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()
    return not entry.name.startswith(".") and suffix in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES) and entry.is_file()
