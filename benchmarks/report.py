"""jm-bench report: one HTML page of a folder of results, with every plot and sheet inside. Needs no network.

Reads what `benchmarks.harness.result.Result.keep` wrote: the tables from NAME.md, machine and numbers from NAME.json.
"""

from __future__ import annotations

import argparse
import base64
import html
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from engine.errors import SinkError, UsageError

from .compare import read_results
from .harness.machine import header
from .harness.methods import OURS
from .harness.result import Result, Table

ORDER = (
    "table2", "fig3", "fig4", "table1", "table3", "kernels", "accuracy", "edges", "davis", "conditions", "lies",
    "truth", "leak", "rooms", "corrections", "interference", "swap", "startup", "memory", "soak", "passes", "profile",
    "call",
)  # fmt: skip
TEMPLATE = Path(__file__).with_name("report.html")
KINDS = {".png": "image/png", ".jpg": "image/jpeg"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", help="of results; default: --out")


def main(args: argparse.Namespace) -> Result:
    """Writes report.html into the folder."""
    folder = Path(args.folder or args.out)
    benches = found(folder)
    path = folder / "report.html"
    try:
        path.write_text(page(folder, benches), encoding="utf-8")
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}; choose another folder") from error
    rows = [(name, results["machine"].get("commit")) for name, results in benches.items()]
    return Result(
        "report",
        [Table(f"On the page {path}", ("bench", "commit"), rows, None)],
        {"page": str(path), "benches": list(benches)},
    )


def found(folder: Path) -> dict[str, dict[str, Any]]:
    """bench -> its result, for every result in `folder`, in the page's order; UsageError where there is none."""
    kept = {path.stem: path for path in folder.glob("*.json") if path.with_suffix(".md").is_file()}
    if not kept:
        raise UsageError(f"{folder} holds no results; run a bench with --out {folder} first")
    return {name: read_results(kept[name])[-1] for name in sorted(kept, key=_place)}


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER)), name


def page(folder: Path, benches: dict[str, dict[str, Any]]) -> str:
    """The HTML of `benches`, whose files lie in `folder`."""
    sections, links = [], []
    for name in benches:
        links.append(f'<a href="#{name}">{name}</a>')
        text = (folder / f"{name}.md").read_text(encoding="utf-8")
        pictures = sorted(folder.glob(f"{name}.png"))
        pictures += sorted(path for path in folder.glob("sheet-*.jpg") if _bench_of(path) == name)
        body = "\n".join([*from_markdown(text), *map(figure, pictures)])
        sections.append(f'<section id="{name}">\n{body}\n</section>')
    machine = next(iter(benches.values()))["machine"]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        machine="<br>".join(html.escape(line) for line in header(machine).splitlines()),
        cards="\n".join(cards(benches)),
        links="\n".join(links),
        sections="\n".join(sections),
    )


def _bench_of(sheet: Path) -> str:
    """Whose a sheet is: those of the benches on made clips say so, all others are table2's."""
    told = sheet.stem.removeprefix("sheet-").partition("-")[0]
    return told if told in ("leak", "truth") else "table2"


def cards(benches: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The few numbers that a reader looks for first, of the benches that were run."""
    methods = benches.get("table2", {}).get("methods", {})
    ours, selfie = methods.get(OURS), methods.get("selfie")
    if ours and ours["iou_acc"] is not None:
        told = f"selfie {selfie['iou_acc']:.3f}, paper .895" if selfie else "paper .895"
        yield card("IoU-Acc", f"{ours['iou_acc']:.3f}", f"{told}; {benches['table2']['set']}")
    if ours:
        told = f"selfie {selfie['period_ms']:.1f}, paper 83 (CPU)" if selfie else "paper 83 (CPU)"
        yield card("ms between paints", f"{ours['period_ms']:.1f}", told)
        yield card(
            "ms from capture to paint", f"{ours['latency_ms']['p50']:.1f}", f"p95 {ours['latency_ms']['p95']:.1f}"
        )
    if "interference" in benches:
        for threads, ratio in benches["interference"]["p95_ratio"].items():
            compared = f"of the paint path, to off; {threads} paint thread(s) on both sides"
            yield card("p95 with learning on", f"{ratio:.2f} x", compared)
    if "soak" in benches:
        soak = benches["soak"]
        yield card("faults", str(soak["faults"]), f"in {soak['frames']} frames, {soak['minutes']:g} minutes")


def card(what: str, number: str, told: str) -> str:
    """One number with its name and what to hold it against."""
    what, number, told = map(html.escape, (what, number, told))
    return f'<div class="card"><span>{what}</span><b>{number}</b><small>{told}</small></div>'


def from_markdown(text: str) -> Iterator[str]:
    """HTML of the Markdown that Result writes: ## and ### headings, tables, paragraphs; nothing else."""
    for block in text.strip().split("\n\n"):
        if block.startswith("## "):
            yield f"<h2><code>{html.escape(block[3:].strip('`'))}</code></h2>"
        elif block.startswith("### "):
            yield f"<h3>{html.escape(block[4:])}</h3>"
        elif block.startswith("| "):
            yield from_table(block.splitlines())
        else:
            yield f"<p>{html.escape(block)}</p>".replace("\n", "<br>")


def from_table(lines: list[str]) -> str:
    """HTML of a Markdown table; numbers stand to the right."""
    head, _, *rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    right = [all(_is_number(row[i]) for row in rows) for i in range(len(head))]
    cells = "".join(
        f'<th class="number">{html.escape(cell)}</th>' if r else f"<th>{html.escape(cell)}</th>"
        for cell, r in zip(head, right, strict=True)
    )
    body = "\n".join(f"<tr{_mark(row)}>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _mark(row: list[str]) -> str:
    return ' class="ours"' if row[0] == OURS else ""


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).removeprefix("-").isdigit()


def _cell(text: str) -> str:
    return f'<td class="number">{text}</td>' if _is_number(text) else f"<td>{html.escape(text)}</td>"


def figure(path: Path) -> str:
    """A picture, inside the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    name = html.escape(path.stem.removeprefix("sheet-"))
    source = f"data:{KINDS[path.suffix]};base64,{data}"
    return f'<figure><img alt="{name}" src="{source}"><figcaption>{name}</figcaption></figure>'
