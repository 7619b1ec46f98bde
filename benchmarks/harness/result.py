"""What a bench comes back with, and how it is shown and kept. Knows no bench and measures nothing.

A Result is printed as Markdown with its JSON as the last line, and kept in a folder as NAME.md, NAME.json, a NAME.csv
for each table, and a picture for each figure and sheet. `jm-bench compare` reads the JSON, `jm-bench report` all of it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from engine.errors import SinkError

from .machine import header

Better = Literal["lower", "higher"]
Pace = Literal["live", "lockstep", "learning off"]  # see `benchmarks.harness.evaluation`


@dataclass(frozen=True)
class Table:
    """A table for people. Cells are text, whole numbers, floats, or None where there is no number.

    Its title says the pace, so that no live number is taken for one in lockstep; a table of both says it in columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    pace: Pace | None  # of every number in it; None: nothing in it was painted, or each column says its own

    def markdown(self) -> str:
        """Title and table as Markdown."""
        lines = [f"### {self.title}{f'; {self.pace}' if self.pace else ''}", ""]
        lines += ["| " + " | ".join(cells) + " |" for cells in (self.columns, ["---"] * len(self.columns))]
        lines += ["| " + " | ".join(cell_text(cell) for cell in row) + " |" for row in self.rows]
        return "\n".join(lines)


@dataclass(frozen=True)
class Metric:
    """One number with its noise: the same thing measured several times, for `jm-bench compare`."""

    values: Sequence[float]  # one for each repeat; a single one where the measurement is exact
    better: Better
    unit: str = "ms"


@dataclass
class Result:
    """Everything that one bench found."""

    bench: str
    tables: list[Table]
    numbers: dict[str, Any]  # for programs; whatever JSON can hold
    metrics: dict[str, Metric] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # sentences below the tables
    figures: dict[str, np.ndarray] = field(default_factory=dict)  # name -> uint8 (H, W, 3) BGR, kept as PNG
    sheets: dict[str, np.ndarray] = field(default_factory=dict)  # name -> uint8 (H, W, 3) BGR, kept as JPEG
    command: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    ok: bool = True  # False: the exit code says that something is wrong

    def json(self) -> str:
        """One line for programs."""
        metrics = {
            name: {"values": [round(float(v), 5) for v in m.values], "better": m.better, "unit": m.unit}
            for name, m in self.metrics.items()
        }
        whole = {"bench": self.bench, **self.numbers, "metrics": metrics, "command": self.command}
        return json.dumps({**whole, "machine": self.machine})

    def markdown(self) -> str:
        """Command, machine, tables and notes."""
        parts = [f"## `{self.command}`", header(self.machine)] if self.machine else []
        return "\n\n".join([*parts, *(table.markdown() for table in self.tables), *self.notes])

    def show(self) -> None:
        """Print it; the last line is the JSON."""
        print(self.markdown() + "\n\n" + self.json(), flush=True)

    def keep(self, folder: Path) -> None:
        """Write it into `folder`, which is made where it is missing.

        Raises
        ------
        SinkError
            The folder, or a file in it, cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{self.bench}.md").write_text(self.markdown() + "\n", encoding="utf-8")
            (folder / f"{self.bench}.json").write_text(self.json() + "\n", encoding="utf-8")
            for number, table in enumerate(self.tables):
                name = f"{self.bench}{f'-{number + 1}' if len(self.tables) > 1 else ''}.csv"
                with open(folder / name, "w", newline="", encoding="utf-8") as file:
                    rows = [(*row, table.pace) for row in table.rows]
                    csv.writer(file).writerows([(*table.columns, "pace"), *rows])
            for name, picture in self.figures.items():
                _write(folder / f"{name}.png", picture)
            for name, picture in self.sheets.items():
                _write(folder / f"sheet-{name}.jpg", picture)
        except OSError as error:
            raise SinkError(f"cannot write into {folder}: {error.strerror}; choose another --out") from error


def _write(path: Path, picture: np.ndarray) -> None:
    if not cv2.imwrite(str(path), picture):
        raise OSError(None, f"OpenCV does not write {path.name}")


def cell_text(cell: object) -> str:
    """As people read it: three decimals below 10, fewer above; a dash for what does not exist."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.3f}" if abs(cell) < 10 else f"{cell:.2f}" if abs(cell) < 100 else f"{cell:.1f}"
    return str(cell)


def reason(error: Exception) -> str:
    """An error's text as a table's cell: one line, and files by their names, without the folders of this machine."""
    line = " ".join(str(error).replace("|", "/").split())
    return re.sub(r"(?<![\w:/.~])/(?:[^\s/:;,'\"]+/)+([^\s/:;,'\"]+)", r"\1", line)


def pool(results: Sequence[Result]) -> Result:
    """Several runs of one bench as one: the last run's tables, every run's metric values."""
    last = results[-1]
    for name, metric in last.metrics.items():
        values = [value for r in results if name in r.metrics for value in r.metrics[name].values]
        last.metrics[name] = Metric(values, metric.better, metric.unit)
    if len(results) > 1:
        last.notes.append(f"The tables are of the last of {len(results)} runs; the JSON's metrics hold all of them.")
    return last
