"""How fast is the GPU? Times and the floors under them, one function for each section of check.py.

Every function returns rows for the report. Works on whatever backends and device it is given, so that it can be
rehearsed without a GPU; what is missing raises, and the report says so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from engine import Masker, assets
from engine.backends import BackendChoice, load, onnx_graph
from engine.backends.cuda_device import GpuBackend, GpuEngine
from engine.contracts import Canvas
from engine.errors import JitMaskerError, UsageError
from engine.sources.synthetic import SyntheticPerson
from export.contracts import Probe, Published, StudentWeights
from export.publish import Publisher, publish_initial
from export.students import STUDENTS as STUDENT_TABLE
from training.students import Student, tensors_of
from training.teachers.mrcnn50 import LONG_SIDE, SHORT_SIDE
from training.teachers.rvm import RobustVideoMatting
from training.teachers.torchvision_ops import prepare

from ..harness.timing import WARM, percentiles, side_by_side

Row = dict[str, Any]
LITE = ("lite", STUDENT_TABLE["lite"].size)
STUDENTS = (("jitnet", (240, 240)), ("jitnet", (320, 320)), LITE)  # Table 2's sizes (h, w), and the default
HEIGHTS = (480, 720, 1080)  # lines of a frame, 4:3 and then 16:9
# how often a frame's bytes cross: up and down once; on the device, kernels read a picture four times and write three
TRIPS = {"upload_bytes_per_s": 1, "download_bytes_per_s": 1, "device_bytes_per_s": 7}


def student_weights(name: str, size: tuple[int, int]) -> StudentWeights:
    """Random weights: none are shipped for every student, and time does not depend on them."""
    torch.manual_seed(0)
    return StudentWeights(name, size, tensors_of(Student(name)))


def frame_of(height: int) -> np.ndarray:
    width = height * 4 // 3 if height == HEIGHTS[0] else height * 16 // 9
    return SyntheticPerson(width=width, height=height).picture(40)


def operations(model: bytes) -> float:
    """Floating-point operations of one run: twice the multiplications of its convolutions."""
    graph = onnx.shape_inference.infer_shapes(onnx_graph.parse(model)).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    weights = {t.name: list(t.dims) for t in graph.initializer}
    return 2.0 * sum(
        float(np.prod(shapes[node.output[0]][2:])) * float(np.prod(weights[node.input[1]]))
        for node in graph.node
        if node.op_type == "Conv"
    )


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


def timed(function: Callable[[], object], repeats: int, warm: int = WARM) -> dict[str, float]:
    """ms of a call, p50 and p95."""
    return percentiles(side_by_side({"it": function}, repeats, warm)["it"], 50, 95)


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def student_latency(backends: Sequence[str], device: str, rate: dict[str, float], repeats: int) -> list[Row]:
    """ms of one run with upload and download, each backend and torch eager, beside the floor of its arithmetic."""
    rows = []
    for name, size in STUDENTS:
        weights = student_weights(name, size)
        model = publish_initial(weights).model
        floors = {
            f"floor_{kind}_ms": 1e3 * operations(model) / rate[f"{kind}_operations_per_s"]
            for kind in ("float32", "float16")
            if f"{kind}_operations_per_s" in rate
        }
        ways = dict.fromkeys(backends) | _eager(name, weights, device)
        for way, function in ways.items():
            try:
                made = None if function else load(way)(model, 1)
                ms = timed(function or made.run, repeats)  # type: ignore[union-attr]
                provider = made.provider if made else f"torch {torch.__version__}"
                rows.append({"what": f"{name} {size[1]}x{size[0]}, {way}", **ms, **floors, "provider": provider})
                if isinstance(made, GpuBackend):
                    rows[-1]["on_device_ms"] = _on_device(made.engine, repeats)
            except JitMaskerError as error:
                rows.append({"what": f"{name} {size[1]}x{size[0]}, {way}", "verdict": f"not run: {error}"})
    return rows


def _on_device(engine: GpuEngine, repeats: int) -> float:
    """ms that the device takes for the engine alone, without the copies up and down; the median."""
    stream = engine.stream
    return float(
        np.median([engine.device.milliseconds(lambda: engine.enqueue(stream), stream) for _ in range(repeats)])
    )


def _eager(name: str, weights: StudentWeights, device: str) -> dict[str, Callable[[], object]]:
    """torch, layer by layer, in float32 and (on a GPU) float16: input and output stay on the device."""
    ways: dict[str, Callable[[], object]] = {}
    for label, dtype in (("float32", torch.float32), ("float16", torch.float16)):
        if device == "cpu" and dtype is torch.float16:
            continue
        student = Student(name)
        student.load_weights(weights.tensors)
        student.eval().to(device, dtype)
        image = torch.zeros(1, 3, *weights.size, device=device, dtype=dtype)

        def run(student: torch.nn.Module = student, image: torch.Tensor = image) -> None:
            with torch.inference_mode():
                student(image)
            synchronize(device)

        ways[f"torch eager {label}, {device}"] = run
    return ways


def swaps(backend: str, count: int) -> list[Row]:
    """Publishing and adopting students of `lite`, each with a probe: ms on the learner's side and on the frame's."""
    weights = student_weights(*LITE)
    publisher, publish_ms, frame = Publisher(weights), [], frame_of(480)
    reference = load("torch-cpu")
    canvas, rng = Canvas(), np.random.default_rng(0)
    with Masker(backend, None, "#204060", student="lite", threads=1) as masker:
        for _ in range(count):
            tensors = {k: v * np.float32(1 + 1e-3 * rng.normal()) for k, v in weights.tensors.items()}
            published = _with_probe(publisher.publish(tensors), reference)
            began = time.perf_counter()
            masker.swap(published)
            publish_ms.append(1e3 * (time.perf_counter() - began))
            masker.process(frame, canvas=canvas)
        stall, stats = masker.swap_stall.summary("p50", "p95", "max"), masker.stats
    p50, p95 = np.percentile(publish_ms[2:], (50, 95))  # the first two engines are built
    return [
        {"what": f"refit, verify: {backend}", "p50": float(p50), "p95": float(p95), "longest": max(publish_ms)},
        {"what": "adopting, on the paint path (aim: 0.2)", **stall, "swaps": stats.swaps, "rejected": stats.rejected},
    ]


def _with_probe(published: Published, reference: BackendChoice) -> Published:
    made = reference(published.model, 1)
    made.image[:] = 0.5
    probe = Probe(made.image, made.run())
    return Published(published.version, published.model, published.mean, published.std, probe)


def paint_path(backend: str, rate: dict[str, float], repeats: int) -> list[Row]:
    """ms of `Masker.process`, one colour behind, at each height; the floor: what the bytes of a frame take (TRIPS)."""
    rows = []
    for height in HEIGHTS:
        bgr = frame_of(height)
        canvas = Canvas()
        with Masker(backend, None, "#204060", student="lite", threads=1, min_area=0) as masker:
            ms = timed(lambda: masker.process(bgr, canvas=canvas), repeats)  # noqa: B023 (called before the loop goes on)
            stages = {name: taken.summary("p50")["p50"] for name, taken in masker.stages.items()}
            faults, kernels = masker.stats.faults, masker.kernels_name
        floor = sum(times * bgr.nbytes / rate[kind] for kind, times in TRIPS.items()) if rate else None
        rows.append(
            {"what": f"{bgr.shape[1]}x{height}", **ms, "floor_ms": floor and 1e3 * floor, "stages_ms": stages,
             "faults": faults, "kernels": kernels}
        )  # fmt: skip
    return rows


def training_step(device: str, repeats: int) -> list[Row]:
    """ms of one step of Adam on one example, fused, as the learner takes it."""
    rows = []
    for name, size in STUDENTS:
        student = Student(name).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimizer = torch.optim.Adam(student.parameters(), 5e-4, fused=True)
        image = torch.rand(1, 3, *size, device=device).contiguous(memory_format=torch.channels_last)
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

        rows.append({"what": f"{name} {size[1]}x{size[0]}, {device}", **timed(step, repeats)})
    return rows


def teachers(device: str, repeats: int) -> list[Row]:
    """ms of a label at 480p: Mask R-CNN R50-FPN with random weights, and RVM where its file is on this machine."""
    rows, frame = [], frame_of(480)
    try:
        prepare()
        from torchvision.models.detection import maskrcnn_resnet50_fpn

        torch.manual_seed(0)
        network = (
            maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=SHORT_SIDE, max_size=LONG_SIDE)
            .eval()
            .to(device)
        )
        image = torch.from_numpy(frame[..., ::-1].copy()).permute(2, 0, 1).to(device).float() / 255

        def detect() -> None:
            with torch.inference_mode():
                network([image])
            synchronize(device)

        rows.append({"what": "mrcnn50, random weights", **timed(detect, repeats, warm=1)})
    except Exception as error:  # absent, or built for another torch, which fails in several ways
        rows.append({"what": "mrcnn50", "verdict": f"not run: torchvision: {error}"})
    try:
        teacher = _rvm()
        rows.append({"what": "rvm", **timed(lambda: teacher(frame), repeats, warm=1)})
        rows[-1]["provider"] = onnxruntime.get_available_providers()[0]
    except JitMaskerError as error:
        rows.append({"what": "rvm", "verdict": f"not run: {error}"})
    return rows


def _rvm() -> RobustVideoMatting:
    """The teacher, if its weights are here already: this must not wait for a network."""
    asset = assets.find("rvm")
    folders = [assets.cache_folder(), Path(os.environ.get("JM_MODELS") or ".")]
    if not any((folder / asset.file).is_file() for folder in folders):
        raise UsageError("its weights are not on this machine; jm-engine models pull rvm")
    return RobustVideoMatting(1)


def tables(backend: str, frames: int) -> list[Row]:
    """Table 2's GPU column and Table 3, on a synthetic call at 480p: ms between paints as fast as it goes, and
    where they go. Without a teacher, whose weights may not be here: accuracy is the work of jm-bench accuracy.
    """
    figure = SyntheticPerson(width=640, height=480, frames=frames)
    pictures = [figure.picture(i) for i in range(min(frames, 50))]
    canvas, period, camera = Canvas(), [], []
    with Masker(backend, None, "#204060", student="lite", threads=1) as masker:
        before = time.perf_counter()
        for i in range(frames):
            began = time.perf_counter()
            picture = pictures[i % len(pictures)].copy()  # what a camera's driver does
            camera.append(1e3 * (time.perf_counter() - began))
            masker.process(picture, canvas=canvas)
            now = time.perf_counter()
            period.append(1e3 * (now - before))
            before = now
        stages = {name: taken.summary("p50", "p95") for name, taken in masker.stages.items()}
    ms = np.asarray(period[1:])
    rows: list[Row] = [
        {"what": "Table 2: mean ms between paints (the paper: 40, GTX 1080)", "mean": float(ms.mean()),
         "p50": float(np.median(ms)), "p95": float(np.percentile(ms, 95))},
        {"what": "Table 3: camera (the paper: 7); here a copy", "p50": float(np.median(camera))},
    ]  # fmt: skip
    papers = {"preprocess": "35", "student": "9", "composite": "27, with output"}
    for name, taken in stages.items():
        paper = f" (the paper: {papers[name]})" if name in papers else ""
        rows.append({"what": f"Table 3: {name}{paper}", **taken})
    return rows
