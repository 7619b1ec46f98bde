"""Figures as pictures, drawn with matplotlib without a screen. Knows no bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

SIZE = (7.2, 3.6)  # inches
DPI = 110
COLOURS = ("#d0541b", "#8c8c8c", "#1f6f8b", "#5a8f3c", "#7b5ea7", "#b08900", "#444444")
Spread = tuple[float, float]  # mean, standard deviation


def bars(
    groups: Sequence[str], series: Mapping[str, Sequence[Spread | None]], ylabel: str, title: str, log: bool = False
) -> np.ndarray:
    """One bar for each series in each group, with its standard deviation; None: no bar. uint8 (H, W, 3) BGR."""

    def draw(axes: Any) -> None:
        width = 0.8 / max(1, len(series))
        for i, (name, values) in enumerate(series.items()):
            places = [g + (i - (len(series) - 1) / 2) * width for g, v in enumerate(values) if v is not None]
            heights = [v[0] for v in values if v is not None]
            errors = [v[1] for v in values if v is not None]
            down = [min(e, 0.9 * h) for h, e in zip(heights, errors, strict=True)] if log else errors  # log(0) is none
            axes.bar(places, heights, width * 0.92, yerr=(down, errors), capsize=2, label=name, color=_colour(i))
            for place, height in zip(places, heights, strict=True):  # at the foot, where no error bar is
                foot = {"transform": axes.get_xaxis_transform(), "ha": "center", "color": "white", "fontsize": 7}
                axes.text(place, 0.02, f"{height:.3g}", **foot)
        axes.set_xticks(range(len(groups)), groups)
        axes.set(ylabel=ylabel, title=title)
        if log:
            axes.set_yscale("log", subs=(2, 5))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(axis="y", alpha=0.3)

    return _drawn(draw)


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, ylabel: str, title: str
) -> np.ndarray:
    """One line for each curve (x, y). uint8 (H, W, 3) BGR."""

    def draw(axes: Any) -> None:
        for i, (name, (x, y)) in enumerate(curves.items()):
            axes.plot(x, y, label=name, color=_colour(i), linewidth=1.5)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.grid(alpha=0.3)

    return _drawn(draw)


def _drawn(draw: Callable[[Any], None]) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    draw(axes)
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 2::-1])


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]
