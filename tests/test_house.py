"""The house itself: the order of imports, what the wheel holds, style and types."""

import ast
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("kernels", "export", "engine", "training", "benchmarks")  # each imports only what stands to its left
TOP = {
    "benchmarks", "docs", "engine", "export", "kernels", "tests", "training", ".ci", ".gitignore", "CHANGELOG.md",
    "LICENSE", "Makefile", "NOTICE", "README.md", "constraints.txt", "pyproject.toml", "setup.py",
}  # fmt: skip
ROOTS = {"cli.py", "__main__.py", "demo.py"}  # composition roots: import anything, are imported by nobody


def modules():
    return [p for layer in LAYERS for p in sorted((ROOT / layer).rglob("*.py"))]


def imports(path):
    """(package, module, relative) of every import statement of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], alias.name, False
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module.split(".")[0], module, node.level > 0


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    own = path.relative_to(ROOT).parts[0]
    allowed = LAYERS[: LAYERS.index(own)]
    for package, module, relative in imports(path):
        if relative or package not in LAYERS:
            continue
        assert package != own, f"inside {own}, import {module} relatively"
        assert package in allowed or path.name in ROOTS, f"{own} stands before {package}"


def test_nobody_imports_a_composition_root():
    for path in modules():
        for _, module, _ in imports(path):
            assert f"{module.split('.')[-1]}.py" not in ROOTS - {"__main__.py"}, f"{path} imports {module}"


def test_no_module_is_named_like_something_else():
    for path in modules():
        name = path.stem
        if name.startswith("__"):
            continue
        assert name not in sys.stdlib_module_names, path
        spec = importlib.util.find_spec(name)
        shadowed = spec is not None and spec.origin is not None  # a plain folder has no origin and is no module
        assert not shadowed, f"{path} shadows an installed module"


def test_the_wheel_holds_our_packages_and_nothing_else(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ROOT,
    ]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == set(LAYERS)
    assert any(name.startswith("export/weights/") and name.endswith(".safetensors") for name in names)
    listed = {str(p.relative_to(ROOT)) for p in modules()}
    assert listed <= set(names), f"setup.py forgets {sorted(listed - set(names))}"


@pytest.mark.parametrize("command", ["ruff format --check .", "ruff check .", "mypy"])
def test_style_and_types(command):
    tool, *arguments = command.split()
    done = subprocess.run([sys.executable, "-m", tool, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_strays_into_the_top_folder():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: what belongs to the project is not known")
    assert {line.partition("/")[0] for line in listed.stdout.splitlines()} == TOP


def test_requirements_do_not_pull_torch():
    """On Linux an index serves torch with gigabytes of CUDA: nobody gets it who did not ask for learning."""
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    required = text[text.index("install_requires") : text.index("extras_require")]
    assert "torch" not in required


def test_nobody_but_one_module_imports_pyav():
    """It has to be loaded after OpenCV (engine/media/ffmpeg.py), or windows hang."""
    importers = {p.name for p in modules() for package, _, relative in imports(p) if package == "av" and not relative}
    assert importers == {"ffmpeg.py"}
