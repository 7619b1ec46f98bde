"""Which backends a gpu-check has passed for, out of its own report. Pure: what follows from it is done in check.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

KERNELS = "kernels against the reference"
LOGITS = "backends against ONNX Runtime on the CPU"
PICTURES = "pictures against the CPU's, grey levels"
LEARNING = "a call that is learnt"  # on one backend alone: the fastest
OK, WRONG = "ok", "WRONG"  # verdicts of a row; one without a verdict is a measurement


def objections(sections: Mapping[str, Sequence[Mapping[str, Any]]], backend: str, fastest: str) -> list[str]:
    """Why gpu-check has not passed for `backend`; [] where it has.

    Every section that shows whether it is right must have been run, and each of its rows that is about `backend`, or
    about no backend in particular, must be OK.
    """
    needed = [LOGITS, PICTURES]
    if backend == "trt":
        needed.append(KERNELS)  # the others leave the rest of the frame to the CPU
    if backend == fastest:
        needed.append(LEARNING)
    found = []
    for title in needed:
        rows = [row for row in sections.get(title, ()) if "verdict" in row and row.get("backend", backend) == backend]
        found += [f"{title}: {row['what']}: {row['verdict']}" for row in rows if row["verdict"] != OK]
        if not rows:
            found.append(f"{title}: not run")
    return found
