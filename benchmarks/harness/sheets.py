"""Contact sheets: rows of small pictures with their names, such as a few moments of a clip, the label above, the mattes
of each method below. Measures nothing."""

from __future__ import annotations

import cv2
import numpy as np

from engine.sources import open_source

from .runs import RecordedMattes
from .scores import EVERY, Label

MOMENTS = 6  # columns
HEIGHT = 150  # pixels of a picture
MARGIN = 130  # pixels for the names of the rows


def sheet(clip: str, label: Label, mattes: dict[str, RecordedMattes]) -> np.ndarray:
    """Rows: the frame, the teacher's label, each method's matte; columns: moments. uint8 (H, W, 3) BGR.

    `mattes` holds at least one method's; moments are spread over the scored frames that it kept.
    """
    chosen = _moments(clip, next(iter(mattes.values())))
    rows = {"frame": [small(bgr) for _, bgr in chosen], "teacher": [grey(label(bgr)) for _, bgr in chosen]}
    for name, kept in mattes.items():
        rows[name] = [grey(kept[i]) for i, _ in chosen]
    return stacked(rows)


def stacked(rows: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Rows by name, each of as many pictures, `small` or `grey`, of one size. uint8 (H, W, 3) BGR."""
    return np.vstack([_row(name, pictures) for name, pictures in rows.items()])


def _moments(clip: str, kept: RecordedMattes) -> list[tuple[int, np.ndarray]]:
    """(index, frame) of MOMENTS scored frames, spread over those that were kept; fewer where there are fewer."""
    scored = [index for index in kept.indices() if index % EVERY == 0]
    places = np.unique(np.linspace(0, len(scored) - 1, MOMENTS).round().astype(int))
    wanted, source, found = {scored[place] for place in places}, open_source(clip), []
    for frame in source:
        if frame.index in wanted:
            found.append((frame.index, frame.bgr))
        if frame.index >= max(wanted):
            source.close()
            break
    return found


def small(bgr: np.ndarray) -> np.ndarray:
    """A picture uint8 (H, W, 3), HEIGHT pixels high."""
    return cv2.resize(bgr, (round(HEIGHT * bgr.shape[1] / bgr.shape[0]), HEIGHT), interpolation=cv2.INTER_AREA)


def grey(alpha: np.ndarray) -> np.ndarray:
    """A matte float32 (H, W) in [0, 1] likewise."""
    return cv2.cvtColor(small(np.rint(alpha * 255).astype(np.uint8)), cv2.COLOR_GRAY2BGR)


def _row(name: str, pictures: list[np.ndarray]) -> np.ndarray:
    head = np.full((HEIGHT, MARGIN, 3), 32, np.uint8)
    for i, line in enumerate(name.splitlines()):
        place = (6, HEIGHT // 2 + 18 * i)
        cv2.putText(head, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
    return np.hstack([head, *pictures])
