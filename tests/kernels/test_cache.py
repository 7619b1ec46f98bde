"""Machine code that is kept from start to start: damaged, stale, nowhere to be kept, or within another's reach.

Each start is a process of its own. Most compile one small kernel, by the same way as those that paint.
"""

import ast
import os
import platform
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels import fused
from kernels.fused import cache, machine_code
from kernels.fused.compilation import Kernel

ROOT = Path(__file__).resolve().parents[2]

SMALL = """
import numpy as np
from kernels import reference
from kernels.fused import cache, compilation

compilations, compile_ = [], compilation._compile
compilation._compile = lambda *given: compilations.append(given) or compile_(*given)
EMA_MIN = reference.EMA_MIN

def scale(out):
    for i in range(out.shape[0]):
        out[i] = EMA_MIN * i

def run():
    before, out = len(compilations), np.zeros(3, np.float32)
    compilation.Kernel(scale)(out)
    return [round(float(x), 6) for x in out], int(len(compilations) == before)

first, second = run(), run()
folder = None if cache.folder() is None else str(cache.folder())
print({"numbers": first[0], "again": second[0], "loaded": [first[1], second[1]], "folder": folder})
"""

WHOLE = """
import sys
import numpy as np, kernels
from kernels import reference
chosen, rng = kernels.load(), np.random.default_rng(1)
bgr, alpha = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), rng.integers(0, 256, (24, 32), dtype=np.uint8)
made = chosen.composite(bgr, alpha, bgr[::-1], np.empty_like(bgr))
right = reference.composite(bgr, alpha, bgr[::-1], np.empty_like(bgr))
heavy = [name for name in ("numba", "llvmlite") if name in sys.modules]
print({"name": chosen.name, "difference": int(np.abs(made.astype(int) - right).max()), "imported": heavy})
"""

RIGHT = [0.0, 0.1, 0.2]


def flipped(data):
    """The checksum as it was, a few bytes of machine code that are others: run, they kill the process."""
    at = data.index(b"\x7fELF") + 64
    return data[:at] + bytes(byte ^ 0x5A for byte in data[at : at + 1000]) + data[at + 1000 :]


DAMAGE = {
    "truncated": lambda data: data[: len(data) // 2],
    "shorter than its checksum": lambda data: data[:9],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "random": lambda data: random.Random(1).randbytes(len(data)),
    "flipped": flipped,
}


def start(program, **environment):
    """What `program` prints, and what it logs, in a new process."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "JM_HOME", "XDG_CACHE_HOME")}
    given = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **{k: str(v) for k, v in environment.items()}}
    done = subprocess.run([sys.executable, program], env=kept | given, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout), done.stderr.strip()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    program = tmp_path_factory.mktemp("program") / "small.py"
    program.write_text(SMALL)
    return program


@pytest.fixture(scope="module")
def kept(small, tmp_path_factory):
    """A folder for JM_HOME in which the small kernel is kept."""
    home = tmp_path_factory.mktemp("home")
    said, logged = start(small, JM_HOME=home)
    assert said == {"numbers": RIGHT, "again": RIGHT, "loaded": [0, 1], "folder": str(folder_of(home))}
    assert logged == ""
    return home


def folder_of(home):
    (folder,) = home.glob("kernels-*")
    return folder


@pytest.fixture
def home(kept, tmp_path):
    """A copy of `kept`, to be damaged."""
    return Path(shutil.copytree(kept, tmp_path / "home"))


def test_what_one_start_has_compiled_the_next_one_loads(small, home):
    assert start(small, JM_HOME=home)[0]["loaded"] == [1, 1]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_anew_and_replaced(small, home, damage):
    (file,) = folder_of(home).iterdir()
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    said, _ = start(small, JM_HOME=home)
    assert (said["numbers"], said["again"], said["loaded"]) == (RIGHT, RIGHT, [0, 1])


def test_a_folder_in_the_place_of_a_file_is_replaced(small, home):
    (file,) = folder_of(home).iterdir()
    file.unlink()
    (file / "below").mkdir(parents=True)
    said, _ = start(small, JM_HOME=home)
    assert (said["numbers"], said["loaded"]) == (RIGHT, [0, 1])
    assert file.is_file()


def test_machine_code_of_other_constants_is_not_loaded(small, tmp_path):
    """They stand in another file than the kernel, and it has compiled them in."""
    shutil.copytree(ROOT / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    start(small, JM_HOME=tmp_path, PYTHONPATH=tmp_path)
    reference = tmp_path / "kernels" / "reference.py"
    reference.write_text(reference.read_text().replace("EMA_MIN = 0.1 ", "EMA_MIN = 0.5 "))
    assert start(small, JM_HOME=tmp_path, PYTHONPATH=tmp_path)[0]["numbers"] == [0.0, 0.5, 1.0]


@pytest.fixture
def empty_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)


def test_a_kernel_whose_source_cannot_be_read_is_compiled(empty_folder):
    names, out = {}, np.zeros((2, 1), np.float32)
    exec("def one(out):\n    out[0] += 1", names)
    for row in out:
        Kernel(names["one"])(row)
    assert out.tolist() == [[1], [1]]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a file")
def test_on_a_full_disk_the_kernel_runs_and_it_is_said_once(small, tmp_path):
    """A limit of no bytes for any file stands for the disk."""
    full = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    full += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    program = tmp_path / "full.py"
    program.write_text(full + SMALL)
    said, logged = start(program, JM_HOME=tmp_path)
    assert (said["numbers"], said["loaded"]) == (RIGHT, [0, 0])
    assert logged.startswith(
        f"kernels are compiled anew at every start: {folder_of(tmp_path)} cannot take them: File too"
    )
    assert len(logged.splitlines()) == 1
    assert not list(folder_of(tmp_path).iterdir())


def test_where_home_cannot_be_written_a_private_temporary_folder_is_used_and_said(small, tmp_path):
    (tmp_path / "file").touch()  # nobody, root included, makes a folder below a file
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    said, logged = start(small, HOME=tmp_path / "file", JM_HOME=tmp_path / "file", TMPDIR=temporary)
    assert (said["numbers"], said["loaded"]) == (RIGHT, [0, 1])
    assert Path(said["folder"]).parent == temporary
    assert Path(said["folder"]).stat().st_mode & 0o777 == 0o700
    assert logged.startswith(f"compiled kernels are kept in {said['folder']}: [Errno 20] Not a directory")
    assert logged.count("Set JM_HOME to a folder that you alone can write") == 1


def test_where_nothing_can_be_written_the_kernels_are_compiled_all_the_same(small, home, tmp_path):
    (tmp_path / "file").touch()
    name = f"jit-masker-{os.geteuid()}-{folder_of(home).name}"
    (tmp_path / name).touch()  # the temporary folder's name is taken
    said, logged = start(small, JM_HOME=tmp_path / "file", TMPDIR=tmp_path)
    assert said == {"numbers": RIGHT, "again": RIGHT, "loaded": [0, 0], "folder": None}
    assert logged.startswith("kernels are compiled anew at every start: [Errno 20] Not a directory")
    assert len(logged.splitlines()) == 1


NOBODY = 65534
REACH = {  # how others come to write what would be run
    "home is open to all": lambda home, folder: home.chmod(0o777),
    "home is another's, and open to all": lambda home, folder: (os.chown(home, NOBODY, NOBODY), home.chmod(0o777)),
    "the folder is open to all": lambda home, folder: folder.chmod(0o777),
    "the folder is another's": lambda home, folder: os.chown(folder, NOBODY, NOBODY),
    "the folder is a link": lambda home, folder: folder.rename(home / "else") and folder.symlink_to(home / "else"),
}


@pytest.mark.parametrize("reach", REACH)
def test_machine_code_within_reach_of_others_is_not_run(small, home, tmp_path, reach):
    if "another's" in reach and os.geteuid() != 0:
        pytest.skip("not root: only root can give a folder away")
    REACH[reach](home, folder_of(home))
    (tmp_path / "temporary").mkdir()
    said, logged = start(small, JM_HOME=home, TMPDIR=tmp_path / "temporary")
    assert (said["numbers"], said["loaded"]) == (RIGHT, [0, 1])
    assert Path(said["folder"]).parent == tmp_path / "temporary"
    assert "can write" in logged.splitlines()[0]


FILE_REACH = {  # the same of one file, in a folder of ours
    "open to all": lambda file: file.chmod(0o666),
    "open to a group": lambda file: file.chmod(0o664),
    "another's": lambda file: os.chown(file, NOBODY, NOBODY),
    "a link": lambda file: file.rename(file.parent.parent / "else") and file.symlink_to(file.parent.parent / "else"),
    "a named pipe": lambda file: file.unlink() or os.mkfifo(file),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("reach", FILE_REACH)
def test_a_file_within_reach_of_others_is_not_run_and_is_replaced(small, home, reach):
    if reach == "another's" and os.geteuid() != 0:
        pytest.skip("not root: only root can give a file away")
    (file,) = folder_of(home).iterdir()
    FILE_REACH[reach](file)
    said, _ = start(small, JM_HOME=home)
    assert (said["numbers"], said["again"], said["loaded"]) == (RIGHT, RIGHT, [0, 1])
    assert not file.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_what_is_kept_is_its_users_alone_whatever_the_umask(small, tmp_path):
    program = tmp_path / "open.py"
    program.write_text("import os\nos.umask(0)\n" + SMALL)
    said, logged = start(program, JM_HOME=tmp_path / "made" / "home")
    assert (said["loaded"], logged) == ([0, 1], "")
    places = [tmp_path / "made", tmp_path / "made" / "home", Path(said["folder"])]
    assert [place.stat().st_mode & 0o777 for place in places] == [0o700] * 3


def test_with_files_damaged_in_every_way_the_fused_kernels_paint(tmp_path):
    fused.warm()
    kept = shutil.copytree(cache.folder(), tmp_path / cache.folder().name)
    files = sorted(kept.iterdir())
    assert len(files) >= len(DAMAGE)
    for file, damage in zip(files, DAMAGE.values(), strict=False):
        file.write_bytes(damage(file.read_bytes()))
    program = tmp_path / "whole.py"
    program.write_text(WHOLE)
    said, _ = start(program, JM_HOME=tmp_path)
    assert (said["name"], said["difference"]) == ("fused", 0)


# -- machine code ------------------------------------------------------------------------------------------------------


def test_a_warm_start_imports_no_compiler(tmp_path):
    fused.warm()
    shutil.copytree(cache.folder(), tmp_path / cache.folder().name)
    program = tmp_path / "whole.py"
    program.write_text(WHOLE)
    said, _ = start(program, JM_HOME=tmp_path)
    mapped = sys.platform == "linux" and platform.machine() == "x86_64"  # elsewhere LLVM loads it
    assert said == {"name": "fused", "difference": 0, "imported": [] if mapped else ["llvmlite"]}


def clear_and_add(out, added):
    """Calls memset, the one function from outside that kernels need, and reads constants."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = 0
    for j in range(added.shape[0]):
        out[1, j] = added[j] + np.float32(0.1)


@pytest.mark.parametrize("loader", ["ours", "LLVM's"])
def test_every_way_to_load_machine_code_gives_the_same(empty_folder, monkeypatch, loader):
    if loader == "LLVM's":
        monkeypatch.setattr(machine_code, "_load_elf", lambda code: None)
    out, added = np.full((3, 5), 7, np.float32), np.arange(5, dtype=np.float32)
    Kernel(clear_and_add)(out, added)
    assert np.array_equal(out, [np.zeros(5), added + np.float32(0.1), np.zeros(5)])


@pytest.mark.parametrize("what", ["_cpu", "_version"])
def test_machine_code_of_another_cpu_or_version_is_not_loaded(empty_folder, monkeypatch, what):
    types = [(np.dtype(np.float32), 2), (np.dtype(np.float32), 1)]
    Kernel(clear_and_add)(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    assert cache.load(clear_and_add, types)
    with monkeypatch.context() as other:
        other.setattr(cache, what, lambda *_: b"another" if what == "_cpu" else "another")
        cache._machine.cache_clear()
        assert cache.load(clear_and_add, types) is None
    cache._machine.cache_clear()
    assert cache.load(clear_and_add, types)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32)[:, ::2], np.broadcast_to(np.float32(0), (2, 2)), np.float32(0), np.zeros((), "f4"),
        np.zeros((2, 2), np.dtype("f4").newbyteorder()), np.zeros((2, 2), "f4,f4"),
    ],
    ids=["strided", "read-only", "a number", "no dimension", "swapped bytes", "records"],
)  # fmt: skip
def test_what_machine_code_cannot_take_never_reaches_it(empty_folder, array):
    with pytest.raises(ValueError, match="expected an array of native numbers, C-contiguous, aligned and writeable"):
        Kernel(clear_and_add)(array, np.zeros(2, np.float32))


def test_arrays_of_another_type_have_machine_code_of_their_own(empty_folder):
    kernel = Kernel(clear_and_add)
    for dtype in (np.float32, np.int16, np.float64):
        out = np.full((2, 3), 7, dtype)
        kernel(out, np.arange(3).astype(dtype))
        assert np.allclose(out, np.array([[0, 0, 0], [0.1, 1.1, 2.1]]).astype(dtype))


def test_a_kernel_that_allocates_is_refused_when_it_is_compiled(empty_folder):
    def allocates(out):
        out[:] = np.zeros(3)

    with pytest.raises(Exception, match="No implementation of function .*zeros"):
        Kernel(allocates)(np.zeros(3))
