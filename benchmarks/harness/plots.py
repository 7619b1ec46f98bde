"""Figures as pictures, drawn with matplotlib without a screen. Knows no bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SIZE = (7.2, 3.6)  # inches
PANEL, COLUMNS = (3.4, 2.1), 3  # inches of one of several small figures, and how many stand in a row
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


@dataclass(frozen=True)
class Panel:
    """One of several small figures: curves (x, y) with y in [0, 1], and places that are marked by an upright line."""

    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    marks: Sequence[float] = ()


def panels(chosen: Mapping[str, Panel], xlabel: str, ylabel: str, title: str) -> np.ndarray:
    """Each panel under its name, all with the same curves' names. uint8 (H, W, 3) BGR."""
    rows = -(-len(chosen) // COLUMNS)
    figure, canvas = _page((COLUMNS * PANEL[0], rows * PANEL[1] + 0.5))
    for place, (name, panel) in enumerate(chosen.items()):
        axes = figure.add_subplot(rows, COLUMNS, place + 1)
        for i, (curve, (x, y)) in enumerate(panel.curves.items()):
            axes.plot(x, y, label=curve, color=_colour(i), linewidth=1.2)
        for mark in panel.marks:
            axes.axvline(mark, color="black", linewidth=0.6, linestyle=":")
        lowest = min(min(y, default=1.0) for _, y in panel.curves.values())
        axes.set_ylim(min(lowest - 0.02, 0.9), 1.0)  # a difference that nobody sees must not fill the panel
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        if place % COLUMNS == 0:
            axes.set_ylabel(ylabel, fontsize=8)
        if place >= len(chosen) - COLUMNS:
            axes.set_xlabel(xlabel, fontsize=8)
    handles, names = axes.get_legend_handles_labels()
    figure.suptitle(title, fontsize=10)
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8, frameon=False)
    return _pixels(canvas)


def _drawn(draw: Callable[[Any], None]) -> np.ndarray:
    figure, canvas = _page(SIZE)
    axes = figure.add_subplot()
    draw(axes)
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _pixels(canvas)


def _page(size: tuple[float, float]) -> tuple[Any, Any]:
    """An empty figure of `size`, inches, and the canvas that draws it without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def _pixels(canvas: Any) -> np.ndarray:
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 2::-1])


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]
