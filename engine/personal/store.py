"""The folder of a profile: what its user agreed to, frames that stand for weeks, and how all of it goes.

    profile/consent           a token; who keeps frames was given it, and without it nothing is written
    profile/frames/NAME.frame
    profile/frames/seen       how many there were to choose from
    profile/NAME.safetensors  the student that they taught (start.py)
    profile.lock              beside the folder: held by whoever writes or forgets

Forgetting removes the folder, consent and all: an engine that runs, whatever it is doing, finds its token gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernels.ownership import check_folder, make_folder, read_private

from ..backends.atomic_file import write_atomically
from ..contracts import KeepOptions
from ..errors import JitMaskerError, ModelError, SinkError
from ..media.saying import say_once
from .frame import TYPICAL_BYTES, KeptFrame, from_bytes, to_bytes
from .sealing import MAGIC, Seal, forget_key, is_sealed

log = logging.getLogger("jit_masker")

SUFFIX = ".frame"
MAX_BYTES = 4 << 20  # of a file
TOKEN_BYTES = 16
WRITER_TIMEOUT_S = 0.1  # a learner does not wait longer: the frame is left out
FORGET_TIMEOUT_S = 10.0  # behind a writer, who needs some milliseconds


def profile_folder() -> Path:
    """`profile` in $JM_HOME, else in the platform's folder for a user's data. It need not exist."""
    from platformdirs import user_data_dir

    return Path(os.environ.get("JM_HOME") or user_data_dir("jit-masker")).expanduser().absolute() / "profile"


def keep_frames(count: int, folder: Path | None = None) -> KeepOptions | None:
    """The user agrees that `count` frames are kept; said, with where they go. None where the folder cannot be written:
    that is said, too, and the run goes on.
    """
    store = FrameStore(folder)
    try:
        token = store.allow()
    except (OSError, ModelError) as error:
        log.warning("no frames are kept: %s", error)
        return None
    say_once(
        logging.WARNING,
        f"up to {count} frames of this input are kept with their labels in {store.frames}, about "
        f"{max(1, count * TYPICAL_BYTES // 1_000_000)} MB; they stay on this machine, and jm-engine profile forget "
        "deletes them",
    )
    return KeepOptions(store.folder, count, token)


class FrameStore:
    """Reads, writes and forgets. Any number of processes may write."""

    def __init__(self, folder: Path | None = None, chance: random.Random | None = None):
        """`chance` draws which frame gives way; None: the system's."""
        self.folder = folder or profile_folder()
        self.frames = self.folder / "frames"
        self._chance = chance or random.SystemRandom()

    # -- consent -----------------------------------------------------------------------------------------------------

    @property
    def token(self) -> str | None:
        """What was agreed to; None: nothing, or it was forgotten."""
        try:
            check_folder(self.folder)
            return read_private(self.folder / "consent").decode("ascii", "replace")
        except OSError:
            return None

    def allow(self) -> str:
        """The token, made where there is none. OSError where the folder cannot be written, or is another's."""
        make_folder(self.frames)
        check_folder(self.folder)
        with self.locked(FORGET_TIMEOUT_S):
            token = self.token
            if token is None:
                token = secrets.token_hex(TOKEN_BYTES)
                write_atomically(self.folder / "consent", token.encode())
        return token

    @contextmanager
    def locked(self, timeout: float) -> Iterator[None]:
        """OSError where somebody else writes for longer than `timeout` (s)."""
        from filelock import FileLock, Timeout

        make_folder(self.folder.parent)
        lock = FileLock(self.folder.with_suffix(".lock"), mode=0o600)
        try:
            lock.acquire(timeout=timeout, poll_interval=0.01)
        except Timeout:
            raise TimeoutError(f"another process holds {lock.lock_file}") from None
        try:
            yield
        finally:
            lock.release()

    # -- frames ------------------------------------------------------------------------------------------------------

    def keep(self, frame: KeptFrame, options: KeepOptions, seal: Seal) -> bool:
        """Keep it, or leave it: whatever the order, every frame that was ever seen is as likely to be there at the end
        (Vitter 1985, algorithm R). False where the consent is gone: nothing may be kept any more.

        Raises
        ------
        OSError
            The folder cannot be written, or another process does so for long.
        """
        data = seal.close(to_bytes(frame))
        with self.locked(WRITER_TIMEOUT_S):
            if self.token != options.token:
                return False
            paths = self.paths()
            seen = max(self.seen(), len(paths)) + 1
            write_atomically(self.frames / "seen", str(seen).encode())
            chosen = len(paths) < options.count or self._chance.randrange(seen) < options.count
            if chosen:
                write_atomically(self.frames / f"{frame.when.visit}-{frame.when.number:06d}{SUFFIX}", data)
            for path in self._chance.sample(paths, max(0, len(paths) + chosen - options.count)):  # or fewer are wanted
                path.unlink(missing_ok=True)
        return True

    def seen(self) -> int:
        """How many frames there were to choose from."""
        try:
            return int(read_private(self.frames / "seen"))
        except (OSError, ValueError):
            return 0

    def paths(self) -> list[Path]:
        """Of all frames, in the order of their names."""
        return sorted(path for path in self.frames.glob(f"*{SUFFIX}") if not path.name.startswith("."))

    def is_sealed(self, path: Path) -> bool:
        with open(path, "rb") as file:
            return is_sealed(file.read(len(MAGIC)))

    def all(self, seal: Seal) -> tuple[list[KeptFrame], list[str]]:
        """Every frame that can be read, in the order of time; and of the others, what is wrong with them."""
        found, wrong = [], []
        for path in self.paths():
            try:
                check_folder(self.frames)
                if path.lstat().st_size > MAX_BYTES:
                    raise ValueError(f"it is larger than {MAX_BYTES >> 20} MB")
                found.append(from_bytes(seal.open(read_private(path))))
            except (OSError, ValueError, ModelError) as error:
                wrong.append(f"{path.name}: {error}")
        return sorted(found, key=lambda frame: (frame.when.began, frame.when.visit, frame.when.number)), wrong

    def forget_leftovers(self) -> None:
        """A key that was made while all was being forgotten, unless somebody agreed anew meanwhile."""
        with contextlib.suppress(JitMaskerError):
            if self.token is None:
                forget_key(self.folder)

    # -- the end -----------------------------------------------------------------------------------------------------

    def forget(self) -> int:
        """Remove the folder and all that is in it; how many frames there were. What cannot be deleted is an error.

        Raises
        ------
        SinkError
            Something is left; the message names it.
        """
        try:
            with self.locked(FORGET_TIMEOUT_S):
                with contextlib.suppress(FileNotFoundError):  # first of all: from here on nobody writes
                    (self.folder / "consent").unlink()
                count = len(self.paths())
                if self.folder.is_symlink():
                    self.folder.unlink()
                shutil.rmtree(self.folder, ignore_errors=True)  # what that leaves is looked for
        except OSError as error:
            raise SinkError(f"the profile is not deleted: {error}; delete {self.folder}") from error
        left = sorted(path for path in self.folder.rglob("*") if not path.is_dir()) or [self.folder]
        if os.path.lexists(left[0]):
            raise SinkError(f"{left[0]} is not deleted; delete {self.folder}")
        return count
