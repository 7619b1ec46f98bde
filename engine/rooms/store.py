"""The folder that rooms lie in: a file for each, readable for this user alone, the one seen longest ago goes first."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from kernels.ownership import check_folder, read_private

from ..backends.atomic_file import write_atomically
from ..errors import JitMaskerError, ModelError, UsageError
from .room import Facts, Room, from_bytes, to_bytes

log = logging.getLogger("jit_masker")

SUFFIX = ".room"
CAPACITY = 200  # rooms
MAX_BYTES = 4 << 20  # of a file
UNCONFIRMED = 20  # visits to other rooms, after which a room goes that never proved right
UNSEEN = 1000  # likewise, after which any room goes


def rooms_folder() -> Path:
    """`rooms` in $JM_HOME, else in the platform's folder for a user's data. It need not exist."""
    from platformdirs import user_data_dir

    return Path(os.environ.get("JM_HOME") or user_data_dir("jit-masker")).expanduser().absolute() / "rooms"


class RoomStore:
    """Reads and writes rooms. What cannot be read is left out, and said once."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder or rooms_folder()
        self._told = False

    def count(self) -> int:
        """How many files there are, readable or not."""
        return len(self._paths())

    def all(self) -> list[Room]:
        """Every room that can be read, the one seen last first."""
        found = [room for path in self._paths() if (room := self._read(path)) is not None]
        return sorted(found, key=lambda room: room.facts.turn, reverse=True)

    def get(self, room_id: str) -> Room:
        """UsageError where there is none of this name, ModelError where it cannot be read."""
        path = self._path(room_id)
        if not path.is_file():
            raise UsageError(f"no room {room_id} in {self.folder}; see jm-engine rooms list")
        return self._checked(path)

    def save(self, room: Room) -> None:
        """Whole or not at all; rooms above CAPACITY go. OSError where the folder cannot be written."""
        write_atomically(self._path(room.facts.id), to_bytes(room))
        paths = self._paths()
        if len(paths) > CAPACITY:
            kept = {room.facts.id for room in self.all()[:CAPACITY]}
            for path in paths:
                if path.stem not in kept:
                    path.unlink(missing_ok=True)

    def forget(self, room_id: str) -> bool:
        """Whether there was one of this name. OSError where it cannot be deleted."""
        path = self._path(room_id)
        was_there = path.exists()
        path.unlink(missing_ok=True)
        return was_there

    def forget_all(self) -> int:
        """How many files were deleted, readable or not. OSError where one cannot be."""
        paths = self._paths()
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def fade(self, rooms: Sequence[Room]) -> list[Room]:
        """Delete those that were not seen for long, or taken back more often than they proved right; the rest."""
        newest = max((room.facts.turn for room in rooms), default=0)
        for room in rooms:
            if faded(room.facts, newest):
                self._path(room.facts.id).unlink(missing_ok=True)
        return [room for room in rooms if not faded(room.facts, newest)]

    def seen(self, room_id: str) -> float:
        """When its file was written last, s, Unix time: for people."""
        return self._path(room_id).stat().st_mtime

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))

    def _path(self, room_id: str) -> Path:
        if not room_id or set(room_id) - set("0123456789abcdef"):
            raise UsageError(
                f"a room is called {room_id!r:.80}; expected its hexadecimal name, see jm-engine rooms list"
            )
        return self.folder / f"{room_id}{SUFFIX}"

    def _read(self, path: Path) -> Room | None:
        try:
            return self._checked(path)
        except (OSError, JitMaskerError) as error:
            if not self._told:
                self._told = True
                log.warning("%s is not used: %s; jm-engine rooms forget %s deletes it", path, error, path.stem)
            return None

    def _checked(self, path: Path) -> Room:
        check_folder(path.parent)
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"it is larger than {MAX_BYTES >> 20} MB")
        room = from_bytes(read_private(path))
        if room.facts.id != path.stem:
            raise ModelError(f"it holds the room {room.facts.id}")
        return room


def faded(facts: Facts, newest: int) -> bool:
    """Whether a room has outlived its use, where the last visit to any room was the turn `newest`."""
    away = newest - facts.turn
    return away > UNSEEN or (not facts.believed and (facts.refused > 1 or away > UNCONFIRMED))
