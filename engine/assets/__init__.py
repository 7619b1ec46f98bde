"""The one door through which files made elsewhere arrive: cache, the user's folder, then a download; always verified.

Which files there are: table.py. How their bytes come: downloaders.py, npm.py. `jm-engine models`: command.py.
Knows nothing about what the bytes mean: loading a model is the work of a backend or of a teacher.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernels.ownership import check_folder, make_folder

from ..errors import ChecksumMismatch, ModelError
from .downloaders import Downloader
from .table import ASSETS, Asset, find

__all__ = ["ASSETS", "Asset", "cache_folder", "fetch", "find", "is_at_hand", "verify"]


def fetch(name: str | Asset, *, progress: bool | None = None) -> Path:
    """Return the verified local file of an asset; it is pulled first where it is not there.

    Parameters
    ----------
    name : a name in ASSETS, or an Asset of your own.
    progress : a bar on stderr; None shows it only where stderr is a terminal.

    Raises
    ------
    UsageError
        No asset has this name.
    ChecksumMismatch
        Every downloader gave bytes other than the published ones.
    ModelError
        No downloader gave the file; the message lists each with its reason. Or other users can write the cache.
    """
    asset = name if isinstance(name, Asset) else find(name)
    target = cache_folder() / asset.file
    refusal = refused(target)
    if refusal is None and is_good(target, asset):
        return target
    failures: list[tuple[str, ModelError]] = []
    try:
        local = user_file(asset)
        if local is not None:
            return local
    except ModelError as error:
        failures.append(("JM_MODELS", error))
        say(f"{asset.name}: JM_MODELS: {error}")
    if refusal is not None:
        raise refusal
    try:
        make_folder(target.parent)
        with _locked(target, asset):
            return _pull(asset, target, failures, progress)
    except OSError as error:
        raise ModelError(
            f"cannot keep {asset.file} in {target.parent}: {error}. Set JM_HOME to a folder that can be written."
        ) from error


def is_at_hand(name: str) -> bool:
    """Whether `fetch` would find the asset called so on this machine, in the cache or in JM_MODELS."""
    asset = find(name)
    try:
        return (refused(target := cache_folder() / asset.file) is None and is_good(target, asset)) or (
            user_file(asset) is not None
        )
    except ModelError:
        return False


def cache_folder() -> Path:
    """`$JM_HOME/models`, else `models` in the platform's cache folder. It need not exist yet."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("JM_HOME") or user_cache_dir("jit-masker")).expanduser() / "models"


def refused(target: Path) -> ModelError | None:
    """Why a file of the cache is neither read nor written: other users could have put it, or a link, there.

    In a folder that passes nobody else can do so later, and what is verified is what is loaded.
    """
    folder = target.parent
    try:
        for place in (folder.parent, folder):
            if os.path.exists(place):  # Path.exists would raise where it may not look
                check_folder(place)
    except PermissionError as error:
        return ModelError(
            f"the cache is refused: {error}. chmod it so that you alone can write, or set JM_HOME to such a folder"
        )
    for file in (target, part_of(target), lock_of(target)):
        if os.path.islink(file):
            return ModelError(
                f"{file} is a link to {os.readlink(file)}; expected a file. Delete it; a folder of files that you keep "
                "elsewhere goes into JM_MODELS"
            )
    return None


def part_of(target: Path) -> Path:
    """Where a download is gathered."""
    return target.with_name(target.name + ".part")


def lock_of(target: Path) -> Path:
    """What is locked meanwhile."""
    return target.with_name(target.name + ".lock")


def verify(path: Path, asset: Asset) -> None:
    """Raise ChecksumMismatch unless `path` holds the published bytes. Runs at each start: 15 MB take about 10 ms."""
    size = path.stat().st_size
    if size != asset.size:
        raise ChecksumMismatch(f"{path} has {size} bytes, expected {asset.size}")
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if not asset.has_sum(actual):
        raise ChecksumMismatch(f"{path} has sha256 {actual}, expected {asset.sha256}")


def is_good(path: Path, asset: Asset) -> bool:
    """Whether `path` holds the published bytes."""
    try:
        verify(path, asset)
    except (OSError, ChecksumMismatch):
        return False
    return True


def user_file(asset: Asset) -> Path | None:
    """The file JM_MODELS points to, used in place and never deleted; None where JM_MODELS is unset."""
    if not os.environ.get("JM_MODELS"):
        return None
    given = Path(os.environ["JM_MODELS"]).expanduser()
    path = given / asset.file if given.is_dir() else given
    if path.name != asset.file:
        raise ModelError(f"{path} is neither a folder nor a file named {asset.file}")
    try:
        verify(path, asset)
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist") from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    return path


@contextmanager
def _locked(target: Path, asset: Asset) -> Iterator[None]:
    """Hold the right to write `target` and its `.part`. The system gives the lock back when its holder dies."""
    from filelock import FileLock, Timeout

    lock = FileLock(lock_of(target))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{asset.name}: another process is pulling it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _pull(asset: Asset, target: Path, failures: list[tuple[str, ModelError]], progress: bool | None) -> Path:
    """Try the downloaders in order; the caller holds the lock."""
    if target.exists():  # either another process has just finished, or these are the bytes that `fetch` refused
        try:
            verify(target, asset)
            return target
        except ChecksumMismatch as error:
            target.unlink()
            say(f"{asset.name}: deleted a damaged file: {error}; pulling it again")
    part = part_of(target)
    for downloader in asset.downloaders:
        say(f"{asset.name}: fetching {asset.size / 1e6:.1f} MB from {downloader}")
        try:
            _download_verified(downloader, asset, part, progress)
        except ModelError as error:
            failures.append((str(downloader), error))
            say(f"{asset.name}: {error}")
            continue
        os.replace(part, target)
        say(f"{asset.name}: done. Licence: {asset.licence} ({asset.source})")
        return target
    raise _cannot_get(asset, failures)


def _download_verified(downloader: Downloader, asset: Asset, part: Path, progress: bool | None) -> None:
    """Return with verified bytes in `part`, or raise; wrong bytes are deleted, a broken-off download is kept."""
    for _ in range(2):
        resumed = part.exists()
        downloader.download(part, asset.size, progress)
        try:
            return verify(part, asset)
        except ChecksumMismatch as error:
            part.unlink()
            if not resumed:
                raise ChecksumMismatch(f"{error}; deleted") from error
            # The wrong bytes may be those of the earlier attempt, so the downloader gets one clean try.


def _cannot_get(asset: Asset, failures: list[tuple[str, ModelError]]) -> ModelError:
    only_wrong_bytes = all(isinstance(error, ChecksumMismatch) for _, error in failures)
    lines = "".join(f"\n  {downloader}: {error}" for downloader, error in failures)
    if not asset.downloaders:
        lines += f"\n  no address is known that gives exactly this file. It is of {asset.source}; {asset.licence}"
    return (ChecksumMismatch if only_wrong_bytes and failures else ModelError)(
        f"cannot get {asset.name} ({asset.file}, sha256 {asset.sha256}):{lines}\n"
        f"Put {asset.file} in a folder and set JM_MODELS to that folder."
    )


def say(line: str) -> None:
    """One line for people."""
    print(line, file=sys.stderr)
