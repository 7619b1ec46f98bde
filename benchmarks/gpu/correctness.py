"""Is the GPU right? Kernels, backends and whole pictures against those of the CPU, as rows for check.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine import Masker
from engine.backends import load
from engine.painting.contrast import MAX_LOGIT, PROBE_TOLERANCE, STRETCH, alpha_difference, stretched_sigmoid
from engine.sources.synthetic import SyntheticPerson
from export.publish import publish_initial
from kernels import NO_BRIGHTNESS, STATUS, colour_grid, reference

from .times import STUDENTS, Row, student_weights
from .verdict import OK, WRONG

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def kernels_against_reference(
    device_kernels: Any, up: Callable, wait: Callable, frame: tuple[int, int], side: int, repeats: int
) -> list[Row]:
    """Each device kernel on one frame: the largest difference, in its own unit, what is allowed, and ms of a launch.

    `up` takes an array to the device, in a form that has `copy_to_host`; `wait` waits for the device. A launch is timed
    without a graph, over `repeats` of them: what it costs the host is in it.
    """
    rng = np.random.default_rng(0)
    bgr, background = rng.integers(0, 256, (2, *frame, 3), dtype=np.uint8)
    image = rng.normal(0, 1, (1, 3, side, side)).astype(np.float32)
    grey, alpha, smoothed = rng.random((3, side, side)).astype(np.float32)
    logits = rng.normal(0, 5, (side, side)).astype(np.float32)
    coefficients = rng.normal(0.3, 1, (2, side, side)).astype(np.float32)
    matte = np.rint(np.clip(rng.normal(0.5, 0.6, frame), 0, 1) * 255).astype(np.uint8)
    grid = (255 * rng.random((2, *colour_grid((side, side)), 3))).astype(np.float32)
    last_grey = np.full((side, side), NO_BRIGHTNESS, np.float32)
    new = np.zeros
    calls: dict[str, tuple[list[Any], float]] = {
        "preprocess": ([bgr, MEAN, STD, new((1, 3, side, side), np.float32)], 0.01),
        "smooth_alpha": ([image, MEAN, STD, alpha, last_grey, smoothed], 1e-3),
        "fit_guided_filter": ([grey, alpha, new((2, side, side), np.float32)], 2e-3),
        "apply_guided_filter": ([bgr, coefficients, new(frame, np.uint8)], 1),
        "local_colours": ([image, MEAN, STD, alpha, new(grid.shape, np.float32)], 0.05),
        "estimate_foreground": ([bgr, matte, grid, new(bgr.shape, np.uint8)], 1),
        "composite": ([bgr, matte, background, new(bgr.shape, np.uint8)], 1),
    }
    rows = []
    for name, (arguments, allowed) in calls.items():
        on_device = [up(a) if isinstance(a, np.ndarray) else a for a in arguments]
        actual = getattr(device_kernels, name)(*on_device).copy_to_host()
        on_host = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        expected = getattr(reference, name)(*on_host)
        rows.append(_verdict(name, float(np.abs(actual.astype(float) - expected).max()), allowed))
        began = time.perf_counter()
        for _ in range(repeats):
            getattr(device_kernels, name)(*on_device)
        wait()
        rows[-1]["launch_ms"] = 1e3 * (time.perf_counter() - began) / repeats if repeats else None
    expected, out = np.empty_like(logits), up(np.empty_like(logits))
    stretched_sigmoid(logits, expected)
    device_kernels.alpha(up(logits), 0.0, STRETCH, MAX_LOGIT, out, up(np.zeros(STATUS, np.int32)))
    rows.append(_verdict("alpha", float(np.abs(out.copy_to_host() - expected).max()), 1e-4))
    return rows


def _verdict(name: str, difference: float, allowed: float) -> Row:
    verdict = OK if difference <= allowed else WRONG
    return {"what": name, "difference": difference, "allowed": allowed, "verdict": verdict}


def backends_against_onnxruntime(backends: Sequence[str]) -> list[Row]:
    """Each backend, for each student, against ONNX Runtime on the CPU: largest difference of alpha."""
    rows = []
    for name, size in STUDENTS:
        model = publish_initial(student_weights(name, size)).model
        reference = load("ort-cpu")(model, 1)
        reference.image[:] = np.random.default_rng(0).random(reference.image.shape)
        expected = reference.run()
        for backend in backends:
            what = f"{backend}, {name} {size[1]}x{size[0]}"
            try:
                made = load(backend)(model, 1)
                made.image[:] = reference.image
                row = _verdict(what, alpha_difference(made.run(), expected), PROBE_TOLERANCE)
                row["provider"] = made.provider
            except Exception as error:  # each runtime fails in its own way, and must not cost the others their rows
                row = _not_run(what, error)
            rows.append({**row, "backend": backend})
    return rows


def pictures_against_cpu(backend_names: Sequence[str], frames: int) -> list[Row]:
    """Whole frames on each backend and on the CPU. Half precision may move edges: one pixel of 1000 is let off."""
    figure, rows = SyntheticPerson(width=640, height=480), []
    for name in backend_names:
        differences = []
        try:
            with Masker(name, None, "#204060") as here, Masker("ort-cpu", None, "#204060") as there:
                for i in range(frames):
                    bgr = figure.picture(i)
                    differences.append(np.abs(here(bgr).astype(np.int16) - there(bgr)))
                faults = here.stats.faults
            row = _verdict(name, float(np.percentile(differences, 99.9)), 8.0)
            row |= {"largest": int(np.max(differences)), "frames": frames, "faults": faults}
            if faults:
                row["verdict"] = WRONG
        except Exception as error:
            row = _not_run(name, error)
        rows.append({**row, "backend": name})
    return rows


def _not_run(what: str, error: Exception) -> Row:
    return {"what": what, "verdict": f"not run: {type(error).__name__}: {error}"}
