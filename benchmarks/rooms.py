"""jm-bench rooms: a place that is come back to. Every clip is a room; it is learnt, left, and entered again.

cold       who comes back knows nothing
in memory  one process sees all the visits, one after the other, and keeps what it learnt while it lives
on disk    every visit is a process of its own, and between them lie files

All in lockstep, against the reference's labels. What a changed room does, and what looking one up costs, is below it.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from engine import Masker
from engine.contracts import RoomOptions
from engine.errors import UsageError
from engine.rooms.memory import RoomMemory
from engine.rooms.store import CAPACITY, RoomStore
from engine.sources import open_source
from export.publish import load_student
from export.students import input_size
from kernels import load as load_kernels
from training.online.score import iou_acc

from .harness import labels, manifest
from .harness.evaluation import REFERENCE, kept_teacher
from .harness.full_memory import fill
from .harness.manifest import Clip
from .harness.methods import BACKGROUND
from .harness.progress import bar
from .harness.result import Metric, Result, Table

SEEN = 25  # frames of a return that are scored
LEFT = 5  # frames at the end of a visit: how good it was when it was left
AGAIN = 0.95  # IoU-Acc
SAME_PLACE = (  # clips that show one place, from one side or two; a clip with cuts shows several
    {"easy1_cap12", "easy2_capture5", "easy7_dimmer", "med1_cap13_capture4", "hard5_rooms"},
    {"easy3_doctor", "hard5_rooms"},
)
COLD, IN_MEMORY, ON_DISK = "cold", "in memory", "on disk"
TIMES = 15  # of each lookup
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it was": lambda bgr: bgr,
    "darker, .5": lambda bgr: cv2.convertScaleAbs(bgr, alpha=0.5),
    "brighter, 1.5": lambda bgr: cv2.convertScaleAbs(bgr, alpha=1.5),
    "another lamp": lambda bgr: np.clip(bgr * np.array([0.75, 1.0, 1.25], np.float32), 0, 255).astype(np.uint8),
    "a chair": lambda bgr: _with_chair(bgr),
    "camera moved, 8 %": lambda bgr: _moved(bgr, 0.08, 1.0),
    "camera nearer, 15 %": lambda bgr: _moved(bgr, 0.0, 1.15),
    "mirrored": lambda bgr: np.ascontiguousarray(bgr[:, ::-1]),
}


@dataclass(frozen=True)
class Plan:
    """How often and how long each room is visited."""

    learnt: int = 200  # frames of the first visit
    length: int = 60  # frames of a return
    returns: int = 3

    def visits(self, rooms: Sequence[Clip]) -> list[Visit]:
        """All of them, in the order of time: the rooms in turn."""
        begins = [0, *(self.learnt + k * self.length for k in range(self.returns))]
        ends = [*begins[1:], self.frames]
        return [Visit(clip, *span) for span in zip(begins, ends, strict=True) for clip in rooms]

    @property
    def frames(self) -> int:
        return self.learnt + self.returns * self.length


QUICK = Plan(60, 30, 1)


@dataclass(frozen=True)
class Visit:
    """Frames `begin` to `end` of a clip, as `change` shows them."""

    clip: Clip
    begin: int
    end: int
    change: str = "as it was"

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each frame with its number in the visit."""
        with closing(open_source(self.clip.path)) as source:
            for frame in source:
                if frame.index >= self.end:
                    return
                if frame.index >= self.begin:
                    yield frame.index - self.begin, CHANGES[self.change](frame.bgr)

    def is_scored(self, number: int) -> bool:
        return number < SEEN or number >= self.end - self.begin - LEFT


@dataclass(frozen=True)
class Painted:
    """What came out of a visit."""

    alphas: dict[int, np.ndarray]  # by number, uint8 (H, W)
    recalled: str | None  # the clip whose room was recognised on the first frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    manifest.add_arguments(parser)
    labels.add_arguments(parser)


def main(args: argparse.Namespace) -> Result:
    clips = manifest.chosen(args)
    length = {clip.name: open_source(clip.path).frames or 0 for clip in clips.clips}
    plan = QUICK if args.quick else Plan()
    rooms = [clip for clip in clips.clips if length[clip.name] >= plan.frames]
    if not rooms:
        raise UsageError(f"every clip is too short; expected {plan.frames} frames or more")
    changes = list(CHANGES)[:2] if args.quick else list(CHANGES)
    scorer = kept_teacher(REFERENCE, args)
    with tempfile.TemporaryDirectory() as folder:
        options = RoomOptions(Path(folder))
        returns, metrics, numbers = _returns(plan.visits(rooms), rooms, options, scorer.whole)
        changed = _changed(
            [Visit(clip, plan.learnt, plan.learnt + SEEN) for clip in rooms], changes, options, scorer.whole
        )
        price = _price(Visit(rooms[0], plan.learnt, plan.learnt + 1), options)
    left_out = [clip.name for clip in clips.clips if clip not in rooms]
    notes = [
        f"First visit: {plan.learnt} frames; then all rooms are visited {plan.returns} times more, in turn, "
        f"{plan.length} frames each, of which the first {SEEN} are scored, every one. As left: the last {LEFT} frames "
        "of the visit before. Recognised: on the first frame, as this place. Wrong: as another.",
        f"Too short, and left out: {', '.join(left_out) or 'none'}.",
    ]
    return Result("rooms", [returns, changed, price], numbers, metrics, notes)


# -- coming back -------------------------------------------------------------------------------------------------------


def _returns(
    visits: Sequence[Visit], rooms: Sequence[Clip], options: RoomOptions, label: Callable[[np.ndarray], np.ndarray]
) -> tuple[Table, dict[str, Metric], dict[str, object]]:
    painted = {COLD: {}, IN_MEMORY: {}, ON_DISK: {}}  # type: dict[str, dict[Visit, Painted]]
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for visit in bar(visits, ON_DISK):
            painted[ON_DISK][visit] = pool.submit(paint, visit, replace(options, camera=visit.clip.name)).result()
    with _open(None) as masker:
        for visit in bar(visits, IN_MEMORY):
            painted[IN_MEMORY][visit] = _paint(masker, visit)
    for visit in bar(visits, COLD):
        painted[COLD][visit] = paint(visit, None) if visit.begin else painted[ON_DISK][visit]
    scores = {
        way: {visit: _scores(visit, done, label) for visit, done in each.items()} for way, each in painted.items()
    }
    rows, wrong, all_rows = [], 0, []
    for clip in rooms:
        mine = [visit for visit in visits if visit.clip is clip]
        cells: list[float] = [float(np.mean([scores[ON_DISK][v][-LEFT:] for v in mine[:-1]]))]
        for start, end in ((0, 1), (0, SEEN)):
            cells += [float(np.mean([scores[way][v][start:end] for v in mine[1:]])) for way in painted]
        cells += [float(np.median([_until(scores[way][v][:SEEN]) for v in mine[1:]])) for way in painted]
        recalled = [painted[ON_DISK][v].recalled for v in mine[1:]]
        right = [name for name in recalled if name is not None and _same_place(name, clip.name)]
        wrong += sum(name is not None for name in recalled) - len(right)
        ratio = float(np.mean([
            scores[ON_DISK][v][0] / np.mean(scores[ON_DISK][before][-LEFT:]) for before, v in itertools.pairwise(mine)
        ]))  # fmt: skip
        all_rows.append([*cells, ratio])
        rows.append((clip.name, *cells, ratio, f"{len(right)} of {len(recalled)}"))
    means = [float(mean) for mean in np.mean(all_rows, axis=0)]
    rows.append(("mean", *means, f"wrong: {wrong}"))
    columns = (
        "room", "as left", *(f"first frame, {way}" for way in painted), *(f"first {SEEN}, {way}" for way in painted),
        *(f"frames to {AGAIN}, {way}" for way in painted), "on disk, first frame / as left", "recognised",
    )  # fmt: skip
    table = Table(f"IoU-Acc against {REFERENCE} of rooms that are come back to", columns, rows, "lockstep")
    metrics = {f"first frame, {way}": Metric([means[1 + i]], "higher", "") for i, way in enumerate(painted)} | {
        "wrong rooms": Metric([wrong], "lower", "")
    }
    numbers = {"mean": dict(zip(columns[1:-1], [round(mean, 4) for mean in means], strict=True)), "wrong": wrong}
    return table, metrics, numbers


def paint(visit: Visit, rooms: RoomOptions | None) -> Painted:
    """One visit by a masker of its own. Also run in a process of its own."""
    with _open(rooms) as masker:
        return _paint(masker, visit, rooms)


def _open(rooms: RoomOptions | None) -> Masker:
    return Masker("ort-cpu", REFERENCE, BACKGROUND, threads=1, lockstep=True, rooms=rooms)


def _paint(masker: Masker, visit: Visit, rooms: RoomOptions | None = None) -> Painted:
    alphas: dict[int, np.ndarray] = {}
    recalled = None
    for number, bgr in visit.frames():
        painted = masker.process(bgr)
        if number == 0 and rooms is not None and painted.version:
            learning = masker.stats.learning
            assert learning is not None
            assert learning.room is not None
            recalled = RoomStore(rooms.folder).get(learning.room).facts.camera
        if visit.is_scored(number):
            alphas[number] = painted.alpha.copy()
    return Painted(alphas, recalled)


def _scores(visit: Visit, painted: Painted, label: Callable[[np.ndarray], np.ndarray]) -> list[float]:
    return [
        iou_acc(label(bgr), painted.alphas[number].astype(np.float32) / 255)
        for number, bgr in visit.frames()
        if visit.is_scored(number)
    ]


def _until(scores: Sequence[float]) -> int:
    """Frames until AGAIN; all of them where it is not reached."""
    return next((number for number, score in enumerate(scores) if score >= AGAIN), len(scores))


def _same_place(one: str, other: str) -> bool:
    return one == other or any({one, other} <= clips for clips in SAME_PLACE)


# -- a room that changed -----------------------------------------------------------------------------------------------


def _changed(
    visits: Sequence[Visit], changes: Sequence[str], options: RoomOptions, label: Callable[[np.ndarray], np.ndarray]
) -> Table:
    """The first frames of a visit to a room that is not as it was: what is remembered against knowing nothing."""
    rows = []
    for change in bar(changes, "changed rooms"):
        worst, gains, firsts, recalled = 1.0, [], [], 0
        worst_in = ""
        for visit in (replace(as_it_was, change=change) for as_it_was in visits):
            known, cold = (paint(visit, way) for way in (replace(options, writes=False), None))
            scores = np.array([_scores(visit, done, label)[:SEEN] for done in (known, cold)])
            gain = scores[0] - scores[1]
            gains.append(gain.mean())
            firsts.append(gain[0])
            recalled += known.recalled is not None
            if gain.min() < worst:
                worst, worst_in = float(gain.min()), f"{visit.clip.name}, frame {int(gain.argmin())}"
        rows.append((
            change, f"{recalled} of {len(visits)}", float(np.mean(firsts)), float(np.mean(gains)), worst, worst_in,
        ))  # fmt: skip
    columns = ("change", "recognised", "first frame", f"first {SEEN}", "worst frame", "where")
    title = "A room that changed: IoU-Acc with what lies on disk, minus that without"
    return Table(title, columns, rows, "lockstep")


def _moved(bgr: np.ndarray, shift: float, zoom: float) -> np.ndarray:
    h, w = bgr.shape[:2]
    matrix = np.array([[zoom, 0, (1 - zoom) * w / 2 + shift * w], [0, zoom, (1 - zoom) * h / 2]], np.float32)
    return cv2.warpAffine(bgr, matrix, (w, h), borderMode=cv2.BORDER_REFLECT)


def _with_chair(bgr: np.ndarray) -> np.ndarray:
    """The back of a dark chair stands at the left edge now."""
    h, w = bgr.shape[:2]
    chair = bgr.copy()
    cv2.ellipse(chair, (int(0.06 * w), int(0.8 * h)), (int(0.12 * w), int(0.3 * h)), 0, 0, 360, (38, 34, 44), -1)
    return cv2.addWeighted(chair, 0.92, bgr, 0.08, 0)


# -- what it costs -----------------------------------------------------------------------------------------------------


def _price(visit: Visit, options: RoomOptions) -> Table:
    """A full folder: what its rooms weigh, and how long a lookup takes."""
    fill(RoomStore(options.folder), "lite")
    sizes = [path.stat().st_size for path in options.folder.iterdir()]
    size = input_size("lite", None)
    began = time.perf_counter()
    memory = RoomMemory(options, load_student("lite", size), size, load_kernels())
    loaded = time.perf_counter() - began
    _, bgr = next(visit.frames())
    look = memory.look(bgr)
    (facts, _), *_ = memory.nearest(look.signature)
    steps: dict[str, Callable[[], object]] = {
        "a look at the frame": lambda: memory.look(bgr),
        f"compared with {CAPACITY} rooms": lambda: memory.nearest(look.signature),
        "its weights read": lambda: memory.load(facts.id),
        "all of it, with the student built and held against the shipped one": lambda: memory.recall(bgr),
    }
    rows: list[tuple[object, ...]] = [
        ("files", None, f"{len(sizes)}, {np.mean(sizes) / 1e3:.1f} kB on average, {max(sizes) / 1e3:.1f} kB at most"),
        ("read at the start, on a thread of its own", 1e3 * loaded, ""),
    ]
    rows += [(name, _median_ms(step), "") for name, step in steps.items()]
    return Table("What a full memory costs", ("step", "ms, median", ""), rows, None)


def _median_ms(step: Callable[[], object]) -> float:
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        step()
        taken.append(1e3 * (time.perf_counter() - began))
    return float(np.median(taken))
