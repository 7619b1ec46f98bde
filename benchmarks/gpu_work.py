"""What `gpu_check` measures, one function for each section: correctness, times, and the floor under them.

Every function returns rows for the report. Works on whatever backends and device it is given, so that it can be
rehearsed without a GPU; what is missing raises, and the report says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from engine import Masker
from engine.backends import load, structure
from engine.contracts import Frame, Probe, Published
from engine.errors import JitMaskerError, UsageError
from engine.figure import MovingFigure
from engine.students import LEVELS, MAX_LOGIT, disagreement, to_alpha
from export.publish import Publisher, first
from export.store import StudentWeights
from kernels import STATUS, UNSEEN, colour_grid, reference
from training.student import new_student, tensors_of

from .machine import side_by_side

Row = dict[str, Any]
STUDENTS = (("jitnet", 240), ("jitnet", 320), ("lite", 256))  # Table 2's sizes, and the default
HEIGHTS = (480, 720, 1080)  # lines of a frame, 4:3 and then 16:9
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def student_weights(name: str, side: int) -> StudentWeights:
    """Random weights: none are shipped for every student, and time does not depend on them."""
    torch.manual_seed(0)
    return StudentWeights(name, (side, side), tensors_of(new_student(name)))


def frame_of(height: int) -> np.ndarray:
    width = height * 4 // 3 if height == HEIGHTS[0] else height * 16 // 9
    return MovingFigure(width=width, height=height).picture(40)


def operations(model: bytes) -> float:
    """Floating-point operations of one run: twice the multiplications of its convolutions."""
    graph = onnx.shape_inference.infer_shapes(structure.read(model)).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    weights = {t.name: list(t.dims) for t in graph.initializer}
    return 2.0 * sum(
        float(np.prod(shapes[node.output[0]][2:])) * float(np.prod(weights[node.input[1]]))
        for node in graph.node
        if node.op_type == "Conv"
    )


# -- correctness -------------------------------------------------------------------------------------------------------


def kernels_against_reference(device_kernels: Any, up: Callable, frame: tuple[int, int], side: int) -> list[Row]:
    """Each device kernel on one frame: the largest difference, in its own unit, and what is allowed.

    `up` takes an array to the device, in a form that has `copy_to_host`.
    """
    rng = np.random.default_rng(0)
    bgr, background = rng.integers(0, 256, (2, *frame, 3), dtype=np.uint8)
    image = rng.normal(0, 1, (1, 3, side, side)).astype(np.float32)
    grey, alpha, shown = rng.random((3, side, side)).astype(np.float32)
    logits = rng.normal(0, 5, (side, side)).astype(np.float32)
    edges = rng.normal(0.3, 1, (2, side, side)).astype(np.float32)
    matte = np.rint(np.clip(rng.normal(0.5, 0.6, frame), 0, 1) * 255).astype(np.uint8)
    grid = (255 * rng.random((2, *colour_grid((side, side)), 3))).astype(np.float32)
    seen = np.full((side, side), UNSEEN, np.float32)
    new = np.zeros
    calls: dict[str, tuple[list[Any], float]] = {
        "preprocess": ([bgr, MEAN, STD, new((1, 3, side, side), np.float32)], 0.01),
        "steady": ([image, MEAN, STD, alpha, seen, shown], 1e-3),
        "refine": ([grey, alpha, new((2, side, side), np.float32)], 2e-3),
        "matte": ([bgr, edges, new(frame, np.uint8)], 1),
        "colours": ([image, MEAN, STD, alpha, new(grid.shape, np.float32)], 0.05),
        "foreground": ([bgr, matte, grid, new(bgr.shape, np.uint8)], 1),
        "composite": ([bgr, matte, background, new(bgr.shape, np.uint8)], 1),
    }
    rows = []
    for name, (arguments, allowed) in calls.items():
        on_device = [up(a) if isinstance(a, np.ndarray) else a for a in arguments]
        actual = getattr(device_kernels, name)(*on_device).copy_to_host()
        on_host = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        expected = getattr(reference, name)(*on_host)
        rows.append(_verdict(name, float(np.abs(actual.astype(float) - expected).max()), allowed))
    expected, out = np.empty_like(logits), up(np.empty_like(logits))
    to_alpha(logits, expected)
    device_kernels.alpha(up(logits), 0.0, LEVELS, MAX_LOGIT, out, up(np.zeros(STATUS, np.int32)))
    rows.append(_verdict("alpha", float(np.abs(out.copy_to_host() - expected).max()), 1e-4))
    return rows


def _verdict(name: str, difference: float, allowed: float) -> Row:
    good = "ok" if difference <= allowed else "WRONG"
    return {"what": name, "difference": difference, "allowed": allowed, "verdict": good}


def backends_against_oracle(backends: list[str]) -> list[Row]:
    """Each backend, for each student, against ONNX Runtime on the CPU: largest difference of alpha."""
    rows = []
    for name, side in STUDENTS:
        model = first(student_weights(name, side)).model
        oracle = load("ort-cpu")(model, 1)
        oracle.image[:] = np.random.default_rng(0).random(oracle.image.shape)
        expected = oracle.run()
        for backend in backends:
            try:
                made = load(backend)(model, 1)
                made.image[:] = oracle.image
                row = _verdict(f"{backend}, {name} {side}", disagreement(made.run(), expected), 0.01)
                rows.append({**row, "provider": made.provider})
            except JitMaskerError as error:
                rows.append({"what": f"{backend}, {name} {side}", "verdict": f"not run: {error}"})
    return rows


# -- times -------------------------------------------------------------------------------------------------------------


def rates(device: str, repeats: int = 20) -> dict[str, float]:
    """What the machine can do at best, measured: bytes per second on the device and to it, operations per second."""

    def best(work: Callable[[], object]) -> float:
        taken = []
        for _ in range(repeats):
            began = time.perf_counter()
            work()
            synchronize(device)
            taken.append(time.perf_counter() - began)
        return min(taken)

    n = 1 << (26 if device == "cuda" else 20)
    a, b = torch.empty(n, device=device), torch.empty(n, device=device)
    host = torch.empty(1 << 22, pin_memory=device == "cuda")
    there = torch.empty(1 << 22, device=device)
    found = {
        "device_bytes_per_s": 2 * 4 * n / best(lambda: b.copy_(a)),
        "upload_bytes_per_s": 4 * host.numel() / best(lambda: there.copy_(host)),
        "download_bytes_per_s": 4 * host.numel() / best(lambda: host.copy_(there)),
    }
    side = 4096 if device == "cuda" else 512
    for name, dtype in (("float32", torch.float32), ("float16", torch.float16)):
        if device == "cpu" and dtype is torch.float16:
            continue
        m = torch.randn(side, side, device=device).to(dtype)
        found[f"{name}_operations_per_s"] = 2 * side**3 / best(lambda m=m: m @ m)  # type: ignore[misc]
    return found


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def student_latency(backends: list[str], device: str, rate: dict[str, float], repeats: int) -> list[Row]:
    """ms of one run with upload and download, each backend and torch eager, beside the floor of its arithmetic."""
    rows = []
    for name, side in STUDENTS:
        weights = student_weights(name, side)
        model = first(weights).model
        floors = {
            f"floor_{kind}_ms": 1e3 * operations(model) / rate[f"{kind}_operations_per_s"]
            for kind in ("float32", "float16")
            if f"{kind}_operations_per_s" in rate
        }
        ways = dict.fromkeys(backends) | _eager(name, weights, device)
        for way, function in ways.items():
            try:
                made = None if function else load(way)(model, 1)
                ms = side_by_side({way: function or made.run}, repeats)[way]  # type: ignore[union-attr]
                provider = made.provider if made else f"torch {torch.__version__}"
                rows.append({"what": f"{name} {side}, {way}", **ms, **floors, "provider": provider})
            except JitMaskerError as error:
                rows.append({"what": f"{name} {side}, {way}", "verdict": f"not run: {error}"})
    return rows


def _eager(name: str, weights: StudentWeights, device: str) -> dict[str, Callable[[], object]]:
    """torch, layer by layer, in float32 and (on a GPU) float16: input and output stay on the device."""
    ways: dict[str, Callable[[], object]] = {}
    for label, dtype in (("float32", torch.float32), ("float16", torch.float16)):
        if device == "cpu" and dtype is torch.float16:
            continue
        student = new_student(name)
        student.load_weights(weights.tensors)
        student.eval().to(device, dtype)
        image = torch.zeros(1, 3, *weights.size, device=device, dtype=dtype)

        def run(student: torch.nn.Module = student, image: torch.Tensor = image) -> None:
            with torch.inference_mode():
                student(image)
            synchronize(device)

        ways[f"torch eager {label}"] = run
    return ways


def swaps(backend: str, count: int) -> list[Row]:
    """Publishing and adopting students of `lite`, each with a probe: ms on the learner's side and on the frame's."""
    weights = student_weights("lite", 256)
    publisher, publish_ms, frame = Publisher(weights), [], frame_of(480)
    oracle = load("torch-cpu")
    out, rng = np.empty_like(frame), np.random.default_rng(0)
    with Masker(backend, None, "#204060", student="lite", threads=1) as masker:
        for i in range(count):
            tensors = {k: v * np.float32(1 + 1e-3 * rng.normal()) for k, v in weights.tensors.items()}
            published = _with_probe(publisher.publish(tensors), oracle)
            began = time.perf_counter()
            masker.swap(published)
            publish_ms.append(1e3 * (time.perf_counter() - began))
            masker.paint(Frame(frame, i, 0.0, 0.0), out)
        stall, stats = masker.swap_stall.summary("p50", "p95", "max"), masker.stats
    p50, p95 = np.percentile(publish_ms[2:], (50, 95))  # the first two engines are built
    return [
        {"what": f"refit, verify: {backend}", "p50": float(p50), "p95": float(p95), "longest": max(publish_ms)},
        {"what": "adopting, on the paint path (aim: 0.2)", **stall, "swaps": stats.swaps, "rejected": stats.rejected},
    ]


def _with_probe(published: Published, oracle: Any) -> Published:
    made = oracle(published.model, 1)
    made.image[:] = 0.5
    probe = Probe(made.image, made.run())
    return Published(published.version, published.model, published.mean, published.std, probe)


def paint_path(backend: str, rate: dict[str, float], repeats: int) -> list[Row]:
    """ms of `Masker.paint`, one colour behind, at each height; the floor is the frame's way up and down, and its bytes
    through the device: the frame is read by four kernels and written by two, the background read once."""
    rows = []
    for height in HEIGHTS:
        bgr = frame_of(height)
        out, frame = np.empty_like(bgr), Frame(bgr, 0, 0.0, 0.0)
        with Masker(backend, None, "#204060", student="lite", threads=1, min_area=0) as masker:
            ms = side_by_side({"paint": lambda: masker.paint(frame, out)}, repeats)["paint"]  # noqa: B023
            stages = {name: taken.summary("p50")["p50"] for name, taken in masker.stages.items()}
            faults, on_device = masker.stats.faults, masker._device_path is not None
        floor = bgr.nbytes * (
            1 / rate["upload_bytes_per_s"] + 1 / rate["download_bytes_per_s"] + 7 / rate["device_bytes_per_s"]
        )
        rows.append(
            {"what": f"{bgr.shape[1]}x{height}", **ms, "floor_ms": 1e3 * floor, "stages_ms": stages, "faults": faults,
             "kernels": "on the device" if on_device else "on the CPU"}
        )  # fmt: skip
    return rows


def training_step(device: str, repeats: int) -> list[Row]:
    """ms of one step of Adam on one example, fused, as the learner takes it."""
    rows = []
    for name, side in STUDENTS:
        student = new_student(name).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimizer = torch.optim.Adam(student.parameters(), 5e-4, fused=True)
        image = torch.rand(1, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
        label = torch.rand_like(student(image))
        half = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")

        def step(student=student, optimizer=optimizer, image=image, label=label, half=half) -> None:
            with half:
                logits = student(image)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), label)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            synchronize(device)

        rows.append({"what": f"{name} {side}", **side_by_side({"step": step}, repeats)["step"]})
    return rows


def teachers(device: str, repeats: int) -> list[Row]:
    """ms of a label at 480p: Mask R-CNN R50-FPN with random weights, and RVM where its file is on this machine."""
    rows, frame = [], frame_of(480)
    try:
        from torchvision.models.detection import maskrcnn_resnet50_fpn

        torch.manual_seed(0)
        network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval().to(device)
        image = torch.from_numpy(frame[..., ::-1].copy()).permute(2, 0, 1).to(device).float() / 255

        def detect() -> None:
            with torch.inference_mode():
                network([image])
            synchronize(device)

        rows.append({"what": "mrcnn50, random weights", **side_by_side({"t": detect}, repeats, warm=2)["t"]})
    except Exception as error:  # absent, or built for another torch, which fails in several ways
        rows.append({"what": "mrcnn50", "verdict": f"not run: torchvision: {error}"})
    try:
        teacher = _rvm(device)
        rows.append({"what": "rvm", **side_by_side({"t": lambda: teacher(frame)}, repeats, warm=2)["t"]})
    except JitMaskerError as error:
        rows.append({"what": "rvm", "verdict": f"not run: {error}"})
    return rows


def _rvm(device: str) -> Callable[[np.ndarray], np.ndarray]:
    """The teacher, if its weights are here already: this must not wait for a network."""
    from engine.assets import cache_folder
    from training.teachers.rvm import RobustVideoMatting

    if not any(Path(folder).rglob("rvm*") for folder in (cache_folder(),) if Path(folder).is_dir()):
        raise UsageError("its weights are not on this machine; jm-engine models pull rvm")
    return RobustVideoMatting(1, device=device)
