"""make gpu-check: the GPU path in one run, under 8 minutes: is it right, how fast is it, against which floor.

Records on this machine which backends it passed for: only those may `--backend auto` choose. Writes one JSON and one
Markdown table, in a checkout under benchmarks/results/gpu/, named after the card. What is missing (TensorRT, torch for
CUDA, a teacher) is said in the report, and the rest is measured. Needs no network. Without a GPU it says so and ends
with 4; `--rehearse` runs every section on the CPU instead, briefly, to see that this script itself is sound.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine import backends
from engine.backends import gpu_check_record
from engine.backends import gpu_detection as gpu
from engine.errors import BackendUnavailable, JitMaskerError

from .verdict import KERNELS, LEARNING, LOGITS, PICTURES, WRONG, objections

RESULTS = Path(__file__).parent.parent / "results" / "gpu"
REHEARSED = ("ort-cpu", "torch-cpu")  # backends of the CPU that run every student, as those on a GPU do
LIMIT = 450.0  # s, for all sections; one that would begin later is left out, and said to be
REPEATS, BRIEF = 200, 2  # rounds of a measurement; in a rehearsal
SWAPS = 40  # students
LIBRARIES = ("torchvision", *dict.fromkeys(name for names in gpu_check_record.LIBRARIES.values() for name in names))
AIMS = "paint path ≤ 1.0 ms p50 at 480p, student ≤ 0.3 ms at 240, swap stall ≤ 0.2 ms"

Section = tuple[str, Callable[[], list[dict[str, Any]]]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; returns 0, 4 where there is no GPU, 1 where something that was measured is wrong."""
    parser = argparse.ArgumentParser("gpu-check", description="Check and measure the GPU path on this machine.")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU: every section on the CPU, briefly")
    parser.add_argument(
        "--out", type=Path, help="folder of the results; default, in a checkout: benchmarks/results/gpu"
    )
    args = parser.parse_args(argv)
    card = gpu.find()
    if isinstance(card, str) and not args.rehearse:
        print(
            f"gpu-check: {card}; nothing was measured. Run it on a machine with an NVIDIA GPU; --rehearse tries the "
            "script itself on the CPU",
            file=sys.stderr,
        )
        return 4
    missing = [module for module in ("torch", "psutil") if importlib.util.find_spec(module) is None]
    if missing:
        print(f"gpu-check: it needs {' and '.join(missing)}; pip install {' '.join(missing)}", file=sys.stderr)
        return 4
    name = card.name if isinstance(card, gpu.Gpu) and not args.rehearse else "rehearsal"
    report = run(name, args.rehearse)
    text = markdown(report)
    print(text)
    if isinstance(card, gpu.Gpu) and not args.rehearse:
        record(report["passed"], card)
    in_checkout = RESULTS.parent.is_dir()  # an installed package has no folder for results
    folder = args.out or (RESULTS if in_checkout and not args.rehearse else None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "gpu")
        stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        stem.with_suffix(".md").write_text(text, encoding="utf-8")
    wrong = [row["what"] for rows in report["sections"].values() for row in rows if row.get("verdict") == WRONG]
    if wrong:
        print(f"gpu-check: WRONG: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def record(passed: Mapping[str, bool], card: gpu.Gpu) -> None:
    """Keep on this machine which backends passed, for `--backend auto`; where that cannot be done, say so."""
    try:
        gpu_check_record.write({gpu_check_record.this_setup(name, card): good for name, good in passed.items()})
    except JitMaskerError as error:
        print(f"gpu-check: --backend auto stays on the CPU: {error}", file=sys.stderr)
        return
    names = ", ".join(name for name, good in passed.items() if good)
    print(f"gpu-check: --backend auto may choose {names or 'no backend on this GPU'}", file=sys.stderr)


def run(name: str, rehearse: bool) -> dict[str, Any]:
    """Every section, whatever happens in the ones before."""
    began = time.perf_counter()
    sections: dict[str, list[dict[str, Any]]] = {}
    candidates = REHEARSED if rehearse else backends.ON_GPU
    usable = [name for name in candidates if _can_be_used(name)]
    for title, measure in _sections(rehearse, usable):
        if time.perf_counter() - began > LIMIT:
            sections[title] = [{"what": title, "verdict": f"left out: {LIMIT:g} s are over"}]
            continue
        print(f"gpu-check: {title} ...", file=sys.stderr, flush=True)
        try:
            sections[title] = measure()
        except Exception as error:  # a section that breaks must not cost the others
            traceback.print_exc()
            sections[title] = [{"what": title, "verdict": f"broke: {type(error).__name__}: {error}"}]
    from engine.report import installed_versions

    from ..harness.machine import describe

    against = {backend: objections(sections, backend, usable[0]) for backend in usable}
    sections["passed"] = [
        {"what": backend, "verdict": "; ".join(reasons) or "passed"} for backend, reasons in against.items()
    ]
    passed = {backend: not against.get(backend, ["not usable"]) for backend in candidates}
    card = gpu.find()
    facts = {"capability": card.capability, "driver": card.driver} if isinstance(card, gpu.Gpu) else {"none": card}
    machine = {**describe(threads=1), "card": name, **facts, "gpu_versions": installed_versions(LIBRARIES)}
    seconds = time.perf_counter() - began
    return {"machine": machine, "aims": AIMS, "seconds": seconds, "passed": passed, "sections": sections}


def _can_be_used(backend: str) -> bool:
    try:
        backends.import_backend(backend)
    except BackendUnavailable:  # the first section says why
        return False
    return True


def _sections(rehearse: bool, usable: Sequence[str]) -> list[Section]:
    """Title -> what measures it; on the GPU, or on the CPU in a rehearsal."""
    import torch

    from . import correctness as right
    from . import times
    from .learning import learning

    on_gpu = not rehearse and torch.cuda.is_available()
    device, repeats = ("cuda" if on_gpu else "cpu"), (BRIEF if rehearse else REPEATS)
    best = usable[0] if usable else "ort-cpu"
    rate = times.rates(device) if on_gpu or rehearse else {}  # torch alone reaches the device here: no floor without it

    measured_rates = [{"what": what, "value": value} for what, value in rate.items()] or [
        {"what": "none", "verdict": "torch is built without CUDA: no floors, and torch's rows are those of the CPU"}
    ]

    def what_is_there() -> list[dict[str, Any]]:
        return [{"what": name, "verdict": state} for name, state in backends.available().items()]

    return [
        ("backends", what_is_there),
        ("rates, measured", lambda: measured_rates),
        (KERNELS, lambda: _kernels(rehearse)),
        (LOGITS, lambda: right.backends_against_onnxruntime(usable)),
        (PICTURES, lambda: right.pictures_against_cpu(usable, BRIEF if rehearse else 20)),
        ("student, ms", lambda: times.student_latency(usable, device, rate, repeats)),
        ("refit and swap, ms", lambda: times.swaps(best, BRIEF + 3 if rehearse else SWAPS)),
        (f"paint path on {best}, ms", lambda: times.paint_path(best, rate, repeats)),
        ("training step, ms", lambda: times.training_step(device, repeats)),
        (LEARNING, lambda: learning(best, device, 40 if rehearse else 400)),
        ("teacher, ms", lambda: times.teachers(device, 1 if rehearse else 20)),
        ("Tables 2 and 3", lambda: times.tables(best, 30 if rehearse else 600)),
    ]


def _kernels(rehearse: bool) -> list[dict[str, Any]]:
    """On the GPU at 480p; in a rehearsal, a frame of a few pixels if Numba's simulator is on."""
    from numba import cuda

    from kernels.device import DeviceKernels

    from .correctness import kernels_against_reference

    if rehearse and os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
        raise JitMaskerError("set NUMBA_ENABLE_CUDASIM=1 to rehearse the kernels in Numba's simulator")
    frame, side = ((9, 11), 6) if rehearse else ((480, 640), 256)
    repeats = 0 if rehearse else 50
    return kernels_against_reference(DeviceKernels(), cuda.to_device, cuda.synchronize, frame, side, repeats)


def markdown(report: dict[str, Any]) -> str:
    """The report as one page of tables."""
    machine = report["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in {**machine["versions"], **machine["gpu_versions"]}.items())
    lines = [
        f"# {machine['card']}", "", f"`make gpu-check` at {machine['commit']}, {report['seconds']:.0f} s. "
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; {versions}.", "",
        f"Aims: {report['aims']}.",
    ]  # fmt: skip
    for title, rows in report["sections"].items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines += ["", f"## {title}", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
        lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value).replace("|", "/")


if __name__ == "__main__":
    sys.exit(main())
