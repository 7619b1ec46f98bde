"""Nothing leaves this machine unless a URL was asked for, and no file is left but in the cache and where one was.

Every program runs with a home, a folder for temporary files and a working folder that are empty. strace writes down its
calls about the network, and those of the processes that it starts.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from engine.silence import SWITCHES
from engine.sources.synthetic import SyntheticPerson
from tests.test_house import imports, modules
from tests.toml_teacher import write_teacher
from tests.training.test_datasets import write_pairs

ROOT = Path(__file__).resolve().parent.parent
TALKERS = {"onnxruntime": "ORT_DISABLE_TELEMETRY", "ray": "RAY_USAGE_STATS_ENABLED"}
FIGURE = SyntheticPerson(width=160, height=120)
PAINT = ["-m", "engine.cli", "-y", "-i", "test://?width=160&height=120&frames=40", "--size", "64", "--threads", "1"]

LIBRARY = """
import math, sys, time
from engine import Masker
from engine.sources.synthetic import SyntheticPerson
figure, teacher = SyntheticPerson(width=160, height=120), sys.argv[1]
for who, how in (("none", {}), (teacher, {"learner": "thread", "lockstep": True}), (teacher, {"learner": "process"})):
    with Masker(teacher=who, background="blur", threads=1, size=64, learning_budget=math.inf, **how) as masker:
        i = 0
        while i < 8 or who != "none" and not masker.stats.learning.steps and masker.stats.learning.died is None:
            masker(figure.picture(i % 40))
            i += 1
            time.sleep(0.02)  # as a camera does: the learner gives way to the picture
        assert who == "none" or masker.stats.learning.steps, masker.stats.learning
"""

PROGRAMS = {  # name -> what follows "python"; what is asked for goes into {out}
    "jm-engine": [*PAINT, "-o", "{out}/clip.mp4", "--teacher", "none", "--alpha", "{out}/alpha.mkv"],
    "jm-engine that learns": [*PAINT, "-o", "{out}/clip.mp4", "--teacher", "{teacher}", "--report", "{out}/run.json"],
    "jm-engine that keeps frames": [*PAINT, "-o", "null", "--teacher", "{teacher}", "--keep-frames", "5"],
    "jm-engine profile show": ["-m", "engine.cli", "profile", "show"],
    "jm-engine profile forget": ["-m", "engine.cli", "profile", "forget"],
    "jm-engine models list": ["-m", "engine.cli", "models", "list"],
    "jm-engine --list-backends": ["-m", "engine.cli", "--list-backends"],
    "jm-engine --help": ["-m", "engine.cli", "--help"],
    "jm-teacher --help": ["-m", "training.remote.server.cli", "--help"],
    "Masker": ["-c", LIBRARY, "{teacher}"],
    "jm-bench": ["-m", "benchmarks.cli", "swap", "--swaps", "3", "--out", "{out}/bench"],
    "jm-train": ["-m", "training.pretrain", "--data", "{data}", "--valid", "{data}", "--size", "64", "--batch", "2",
                 "--threads", "1", "--epochs", "2", "--out", "{out}/w", "--plot", "{out}/w.png"],
}  # fmt: skip
# calls about a socket that is there; of those that make one, only the pair between an engine and its learner
HARMLESS = {"socketpair", "getsockname", "getsockopt", "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg"}


class Machine:
    """Where programs run and are watched: folders that nobody asked for, one for what is asked for, and the cache."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "calls"
        temporary = Path(tempfile.mkdtemp())  # its path is short: Ray keeps sockets there
        self.unasked = [folder / "home", folder / "xdg", folder / "work", temporary]
        self.out, self.cache = folder / "out", folder / "cache"
        for place in (*self.unasked, self.out):
            place.mkdir(exist_ok=True)
        self.given = {"out": self.out, "teacher": write_teacher(folder, FIGURE._scene(0).background)}
        self.given["data"] = write_pairs(folder / "people", frames=4)

    def run(self, *words, code=0):
        """Run a program that ends with `code`; returns its calls that are not harmless, and the files left unasked."""
        home, xdg, work, temporary = self.unasked
        environment = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG")} | {
            "HOME": home, "XDG_CACHE_HOME": xdg, "XDG_CONFIG_HOME": xdg, "TMPDIR": temporary, "JM_HOME": self.cache,
            "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        words = [word if "\n" in word else word.format(**self.given) for word in words]
        watch = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=%network", "-e", "signal=none", "-o", self.log]
        done = subprocess.run(
            [*watch, sys.executable, *words], cwd=work, env=environment, capture_output=True, text=True, timeout=120
        )
        if "PTRACE" in done.stderr and not self.log.stat().st_size:
            pytest.skip(f"strace may watch no process here: {done.stderr.strip()}")
        assert done.returncode == code, done.stderr
        calls = re.findall(r"^\d+ +((\w+)\(.*)", self.log.read_text(), re.MULTILINE)
        left = [path for place in self.unasked for path in place.rglob("*")]
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return [call for call, name in calls if name not in HARMLESS], [str(path) for path in left]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if shutil.which("strace") is None:
        pytest.skip("strace, which sees what a program says to the network, is not installed")
    machine = Machine(tmp_path_factory.mktemp("machine"))
    yield machine
    machine.unasked[-1].rmdir()


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_leaves_the_machine_and_no_file_is_left_unasked(machine, name):
    assert machine.run(*PROGRAMS[name]) == ([], [])


NAMING = {  # what FFmpeg would read as a list of addresses to fetch
    "a playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://192.0.2.7/a.ts\n#EXT-X-ENDLIST\n",
    "a list to concatenate": "ffconcat version 1.0\nfile http://192.0.2.7/a.mp4\n",
    "a session description": "v=0\no=- 0 0 IN IP4 192.0.2.7\ns=x\nc=IN IP4 192.0.2.7\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("used", ["as the source", "as the background"])
@pytest.mark.parametrize("kind", NAMING)
def test_a_file_that_names_a_url_is_no_url_that_was_asked_for(machine, kind, used):
    file = machine.folder / "clip.mp4"
    file.write_text(NAMING[kind])
    as_source, rest = used == "as the source", ("--headless", "--teacher", "none")
    words = ("-i", str(file)) if as_source else (*PAINT[2:], "--background", str(file))
    assert machine.run("-m", "engine.cli", *words, *rest, code=3 if as_source else 2) == ([], [])


SERVE = """
import subprocess, sys
import numpy as np
from engine.teacher_options import TeacherOptions
from training.remote.client import RemoteTeacher
words = [sys.executable, "-m", "training.remote.server.cli", sys.argv[1], "--port", "0", *sys.argv[2:]]
server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
url = server.stdout.readline().strip()
label = RemoteTeacher(TeacherOptions(url, deadline=30.0))(np.zeros((120, 160, 3), np.uint8))
server.terminate()
assert (label.shape, server.wait()) == ((120, 160), 0)
"""


@pytest.mark.parametrize("more", [[], ["--ray"]], ids=["jm-teacher", "jm-teacher --ray"])
def test_who_serves_this_machine_speaks_to_nobody_else(machine, more):
    if more:
        pytest.importorskip("ray", reason='Ray Serve is not installed: pip install "jit-masker[ray]"')
    _, left = machine.run("-c", SERVE, "{teacher}", *more)
    address = re.compile(r'\{sa_family=AF_INET6?,[^}]*inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"')
    addresses = set(address.findall(machine.log.read_text(errors="replace")))
    assert "127.0.0.1" in addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"}
    assert not left


def test_what_would_leave_is_seen(machine):
    """The tests above can fail."""
    calls, left = machine.run("-c", "import socket; socket.socket(); socket.socketpair(); open('here', 'w')")
    assert calls[0].startswith("socket(AF_INET, ")
    assert [Path(path).name for path in left] == ["here"]


def test_with_telemetry_on_onnxruntime_leaves_files(machine):
    """At once; it connects some six seconds later. Where a version leaves none, the switch can go."""
    _, left = machine.run("-c", "import onnxruntime")
    assert any("onnxruntime" in path for path in left)


# -- switched off before they are imported -----------------------------------------------------------------------------

WATCH = """
import importlib, json, os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in talkers:
            print(name, os.environ.get(talkers[name]))

talkers = json.loads(sys.argv[2])
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
"""


def importers():
    """The modules that import somebody who talks, as soon as they are imported themselves."""
    for path in modules():
        if any(package in TALKERS and not relative for package, _, relative in imports(path)):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("module", list(importers()))
def test_whatever_is_imported_first_who_talks_is_switched_off_before(module):
    assert module.split(".")[0] not in ("kernels", "export")  # which switch nothing off
    environment = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, module, json.dumps(TALKERS)], cwd=ROOT, env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        name, switch = line.split()
        assert switch == SWITCHES[TALKERS[name]], line


@pytest.mark.parametrize("before", ["0", "1"])
def test_who_imported_onnxruntime_before_is_told_that_it_reports(before):
    program = "import onnxruntime, engine, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = dict(os.environ) | {"ORT_DISABLE_TELEMETRY": before, "HOME": os.devnull}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"  # the learner's process, and whatever else is started, is silent
    said = "onnxruntime was imported before engine, and reports to its maker; import engine first, or set"
    assert (said in done.stderr) == (before == "0")
