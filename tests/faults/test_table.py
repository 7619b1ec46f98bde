"""docs/faults.md: every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| part", "| ---"))
]


def test_every_row_names_a_test_that_exists():
    assert len(ROWS) > 50
    for *_, fault, seen, code, test in ROWS:
        assert all((fault, seen, code)), fault
        assert re.fullmatch(r"tests/[\w/]+\.py::test_\w+", test), test
        path, name = test.split("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test
