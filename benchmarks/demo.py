"""make demo: the main job on a real clip, from nothing: demo/out.mp4, demo/report.json, demo/sheet.png.

A composition root: fetches a sample clip where none is given, paints a background, runs jm-engine, and lays out what
came of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from engine.assets import fetch
from engine.sources import open_source

FOLDER = Path("demo")
SAMPLE = "carphone"
MOMENTS = 4  # columns of the sheet
HEIGHT = 240  # pixels of a picture on the sheet


def main(argv: list[str]) -> int:
    """Run the demo on `argv[0]`, or on the sample clip. Returns jm-engine's exit code."""
    FOLDER.mkdir(exist_ok=True)
    clip = argv[0] if argv else str(fetch(SAMPLE))
    background = FOLDER / "background.png"
    cv2.imwrite(str(background), dusk(1280, 720))
    out, alpha, report = FOLDER / "out.mp4", FOLDER / "alpha.mkv", FOLDER / "report.json"
    command = [
        sys.executable, "-m", "engine.cli", "-y", "-i", clip, "-o", str(out), "--background", str(background),
        "--teacher", "rvm", "--pace", "lockstep", "--alpha", str(alpha), "--report", str(report),
    ]  # fmt: skip
    print(f"painting {clip} (lockstep: one learning operation per frame)", file=sys.stderr)
    done = subprocess.run(command)
    if done.returncode:
        return done.returncode
    result = json.loads(report.read_text())
    cv2.imwrite(str(FOLDER / "sheet.png"), sheet(clip, str(out), str(alpha), result["learning"]["iou_acc"]["curve"]))
    curve = [score for _, score in result["learning"]["iou_acc"]["curve"]]
    tenth = max(1, len(curve) // 10)
    print(
        f"{result['frames']} frames; IoU-Acc against the teacher {np.mean(curve[:tenth]):.3f} at first, "
        f"{np.mean(curve[-tenth:]):.3f} at last; paint path {result['paint_path_ms']['p50']:.1f} ms\n"
        + "\n".join(str((FOLDER / name).resolve()) for name in ("out.mp4", "report.json", "sheet.png"))
    )
    return 0


def dusk(width: int, height: int) -> np.ndarray:
    """A background of our own: an evening sky with lights out of focus. uint8 (H, W, 3) BGR."""
    rng = np.random.default_rng(7)
    sky = np.array([(120, 62, 38), (150, 92, 96), (132, 128, 216), (40, 44, 60), (24, 24, 34)], np.float32)
    stops, rows = np.array([0, 0.35, 0.62, 0.7, 1.0]), np.linspace(0, 1, height)
    picture = np.stack([np.interp(rows, stops, sky[:, c]) for c in range(3)], -1)[:, None].repeat(width, 1)
    lights: Any = np.zeros_like(picture, np.float32)
    for _ in range(70):
        centre = int(rng.uniform(0, width)), int(rng.normal(0.74, 0.07) * height)
        colour = np.array((90, 170, 255)) * rng.uniform(0.3, 1, 3) * (0.4, 0.8, 1)
        cv2.circle(lights, centre, int(rng.uniform(0.006, 0.028) * width), colour.tolist(), -1, cv2.LINE_AA)
    lights = cv2.GaussianBlur(lights, (0, 0), width / 500)
    return np.clip(picture + 0.55 * lights, 0, 255).astype(np.uint8)


def sheet(clip: str, out: str, alpha: str, curve: list[list[float]]) -> np.ndarray:
    """Frames, mattes and pictures at a few moments, above the curve of IoU-Acc. uint8 BGR."""
    rows = [moments(path) for path in (clip, alpha, out)]
    tiles = np.vstack([np.hstack(row) for row in rows])
    figure = Figure(figsize=(tiles.shape[1] / 100, 2.6), dpi=100, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    axes.plot(*zip(*curve, strict=True), color="#d0541b", marker=".", linewidth=1.5)
    axes.set(
        xlabel="frame, of both passes",
        ylabel="IoU-Acc",
        title="the live student against the teacher's label, before learning from it",
    )
    axes.grid(alpha=0.3)
    canvas.draw()
    plot = np.asarray(canvas.buffer_rgba())[..., 2::-1]
    return np.vstack([tiles, cv2.resize(plot, (tiles.shape[1], plot.shape[0]))])


def moments(path: str) -> list[np.ndarray]:
    """MOMENTS pictures of a video, from the first to the last, at the sheet's height."""
    frames = [frame.bgr for frame in open_source(path)]
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)]
    size = (round(HEIGHT * frames[0].shape[1] / frames[0].shape[0]), HEIGHT)
    return [cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if bgr.shape[0] > HEIGHT else cv2.INTER_CUBIC)
            for bgr in chosen]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
