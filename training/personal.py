"""jm-train profile: the start student, taught on frames of this camera that its user kept, and judged on others.

Nothing of a frame is written: pictures and labels live in memory, and what is left is the weights.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from engine import backends
from engine.errors import CandidateRejected, JitMaskerError, SinkError, UsageError
from engine.painting.loaded_student import LoadedStudent
from engine.personal.frame import KeptFrame
from engine.personal.sealing import seal_for
from engine.personal.start import AFTER, BEFORE, FRAMES, START, save_profile
from engine.personal.store import FrameStore
from engine.rooms.room import fingerprint
from engine.silence import keep_torch_in_cache
from export.contracts import StudentWeights
from export.publish import load_student, publish_initial
from export.students import STUDENTS, input_size
from kernels import load_fallback

from .online.candidates import Candidate
from .online.score import SMALL_PERSON, iou_acc
from .relabel import Relabeller
from .students import Student, tensors_of

# how it is taught: docs/decisions.md, "A personal profile"
EPOCHS, BATCH, RATE = 20, 8, 3e-4
L2_SP = 1e-3  # share of the way back to the start on each step (Li et al. 2018)
MEMORY = 0.99  # of the averaged weights, per step
SHARE = 0.8  # of what was learnt; the rest is the start (WiSE-FT, Wortsman et al. 2022): what it knows of others stays
# how frames are kept apart
LEAST_FRAMES, LEAST_BLOCKS = 40, 6
LEAST_LEARNT, LEAST_APART = 20, 2  # frames, blocks; on which teachers and labels agree
VISITS = 8  # from so many on, whole visits are kept apart; else runs of RUN frames
RUN = 10
EVERY = 4  # of the blocks one is kept apart
# how it is judged
LEAST_GAIN = 0.002  # IoU-Acc, mean over the frames kept apart
WORST, MAX_WORSE = 5, 0.01  # percentile of the scores, and by how much it may fall
MAX_SHOWN = 0.001  # mean alpha where there is only room; by how much it may grow
MARGIN = 9  # pixels of the student's output around a person, where edges may be anybody's


@dataclass(frozen=True)
class Example:
    """A kept frame as it is learnt."""

    bgr: np.ndarray  # uint8 (h, w, 3), at the student's size
    label: np.ndarray  # float32 (h', w') in [0, 1]
    weight: np.ndarray  # float32 (h', w'), 0 where it is not learnt


# -- which frames are kept apart ---------------------------------------------------------------------------------------


def blocks_of(frames: Sequence[KeptFrame]) -> list[list[KeptFrame]]:
    """Frames that were seen at about the same time, in the order of time: whole visits, or runs of a scene."""
    visits = [list(group) for _, group in itertools.groupby(frames, lambda frame: frame.when.visit)]
    if len(visits) >= VISITS:
        return visits
    scenes = [
        list(group)
        for visit in visits
        for _, group in itertools.groupby(visit, lambda frame: frame.when.scene)
    ]  # fmt: skip
    return [scene[first : first + RUN] for scene in scenes for first in range(0, len(scene), RUN)]


def kept_apart(frames: Sequence[KeptFrame]) -> tuple[list[KeptFrame], list[list[KeptFrame]]]:
    """(to learn from, blocks to judge by): every fourth block, by time and not at random, so that no frame is judged
    whose neighbour was learnt. Of a run that is learnt, the frame beside one that is kept apart is left out.

    Raises
    ------
    UsageError
        There are too few.
    """
    blocks = blocks_of(frames)
    if len(frames) < LEAST_FRAMES or len(blocks) < LEAST_BLOCKS:
        raise UsageError(
            f"{len(frames)} frames of {len(blocks)} times are too few; expected {LEAST_FRAMES} of {LEAST_BLOCKS}. "
            "Use jm-engine --keep-frames 200 for some more calls"
        )
    learnt: list[KeptFrame] = []
    for i, block in enumerate(blocks):
        if _is_apart(blocks, i):
            continue
        before, after = (
            _is_apart(blocks, j) and blocks[j][0].when.visit == block[0].when.visit for j in (i - 1, i + 1)
        )
        learnt += block[before : len(block) - after]
    return learnt, [block for i, block in enumerate(blocks) if _is_apart(blocks, i)]


def _is_apart(blocks: Sequence[object], i: int) -> bool:
    return 0 <= i < len(blocks) and i % EVERY == 1


# -- teaching ----------------------------------------------------------------------------------------------------------


class Lesson:
    """One student, taught on examples. Batch norm stays as it was: what is trained is what runs."""

    def __init__(self, start: StudentWeights, size: tuple[int, int], seed: int):
        self._kind, self._size = STUDENTS[start.student], size
        self._kernels = load_fallback("a training needs one kernel alone")
        self._rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        student = Student(start.student)
        student.load_weights(start.tensors)
        self._student = student.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        for module in self._student.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        self._start = {name: value.detach().clone() for name, value in student.named_parameters()}
        self._average = copy.deepcopy(self._student)
        keep_torch_in_cache()
        self._optimizer = torch.optim.Adam(self._student.parameters(), RATE, eps=1e-5)

    def image(self, bgr: np.ndarray) -> np.ndarray:
        """float32 (1, 3, h, w): a frame uint8 (H, W, 3) as the student sees it."""
        kind, image = self._kind, np.empty((1, 3, *self._size), np.float32)
        return self._kernels.preprocess(np.ascontiguousarray(bgr), kind.mean, kind.std, image)

    def run(self, examples: Sequence[Example], minutes: float) -> dict[str, np.ndarray]:
        """The weights after all epochs, or as many as the time allows: averaged, and a part of the way there."""
        until = time.monotonic() + minutes * 60
        steps = max(1, len(examples) // BATCH)
        for epoch in tqdm(range(EPOCHS), desc="epochs", leave=False, disable=None):
            if time.monotonic() >= until:
                break
            rate = RATE * (0.1 + 0.45 * (1 + np.cos(np.pi * epoch / EPOCHS)))
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            order = self._rng.permutation(len(examples))
            for step in range(steps):
                self._step([examples[i] for i in order[step * BATCH : (step + 1) * BATCH]])
        start, average = self._start, dict(self._average.named_parameters())
        with torch.no_grad():
            for name, parameter in self._student.named_parameters():
                parameter.copy_(torch.lerp(start[name], average[name], SHARE))
        return {name: value.copy() for name, value in tensors_of(self._student).items()}

    def _step(self, batch: Sequence[Example]) -> None:
        images, labels, weights = zip(*(self._varied(example) for example in batch), strict=True)
        logits = self._student(torch.from_numpy(np.concatenate(images)).contiguous(memory_format=torch.channels_last))
        label, weight = (torch.from_numpy(np.stack(several)[:, None]) for several in (labels, weights))
        loss = F.binary_cross_entropy_with_logits(logits, label, weight)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            averages = dict(self._average.named_parameters())
            for name, parameter in self._student.named_parameters():
                parameter.lerp_(self._start[name], L2_SP)
                averages[name].lerp_(parameter, 1 - MEMORY)

    def _varied(self, example: Example) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As another day would show it: mirrored, nearer or further aside, in another light."""
        rng = self._rng
        gain, offset = rng.uniform(0.75, 1.25), rng.uniform(-15, 15)
        bgr = cv2.convertScaleAbs(np.maximum(example.bgr * gain + offset, 0))
        planes = [bgr, example.label, example.weight]
        zoom = rng.uniform(1.0, 1.25)
        left, top = rng.uniform(0, 1 - 1 / zoom, 2)
        for i, plane in enumerate(planes):
            ph, pw = plane.shape[:2]
            matrix = np.array([[zoom, 0, -left * zoom * pw], [0, zoom, -top * zoom * ph]], np.float32)
            planes[i] = cv2.warpAffine(plane, matrix, (pw, ph), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.5:
            planes = [plane[:, ::-1] for plane in planes]
        return self.image(planes[0]), planes[1], planes[2]


# -- judging -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """How a student does on frames that it never learnt."""

    scores: list[list[float]]  # IoU-Acc, by block and frame
    shown: float  # mean alpha where there is only room

    @property
    def mean(self) -> float:
        return float(np.mean(list(itertools.chain(*self.scores))))

    @property
    def worst(self) -> float:
        return float(np.percentile(list(itertools.chain(*self.scores)), WORST))


def judge(candidate: Candidate, blocks: Sequence[Sequence[Example]], lesson: Lesson) -> Judgement:
    scores: list[list[float]] = []
    shown: list[float] = []
    for block in blocks:
        scores.append([])
        for example in block:
            alpha = candidate.alpha(lesson.image(example.bgr))
            scores[-1].append(iou_acc(example.label, alpha, SMALL_PERSON))
            room = cv2.dilate(example.label, np.ones((MARGIN, MARGIN), np.uint8)) < 0.05
            shown.append(float(alpha[room].mean()) if room.any() else 0.0)
    return Judgement(scores, float(np.mean(shown)))


def objection(start: Judgement, profile: Judgement) -> str | None:
    """Why a profile may not take the place of the start; None where it may."""
    gain = profile.mean - start.mean
    if gain < LEAST_GAIN:
        return f"it gains {gain:+.4f} on frames kept apart; at least {LEAST_GAIN} is expected"
    if profile.worst < start.worst - MAX_WORSE:
        return f"the worst frames are at {profile.worst:.3f}, and with the start at {start.worst:.3f}"
    better = sum(np.mean(own) > np.mean(other) for own, other in zip(profile.scores, start.scores, strict=True))
    if better * 2 < len(start.scores):
        return f"it is better at {better} of {len(start.scores)} times alone"
    if profile.shown > start.shown + MAX_SHOWN:
        return f"it shows {profile.shown:.2%} of the room, and the start {start.shown:.2%}"
    return None


def candidate_of(weights: StudentWeights, size: tuple[int, int]) -> Candidate:
    """As it would run; CandidateRejected where it takes a bare wall for a person, as for `--weights`."""
    published = publish_initial(weights, size)
    LoadedStudent(published, backends.load("ort-cpu"), 1, judged=False)
    return Candidate(published, {})


# -- the command -------------------------------------------------------------------------------------------------------


def train_profile(args: argparse.Namespace) -> int:
    """What `jm-train profile` does with these options."""
    store, size = FrameStore(), input_size(args.student, args.size)
    token = store.token
    if token is None:
        raise UsageError(f"no frames are kept in {store.folder}; begin with jm-engine --keep-frames 200")
    frames, wrong = store.all(seal_for(store.folder, make=False))
    if wrong:
        say(f"{len(wrong)} files are left out, the first: {wrong[0]}")
    learnt, apart = kept_apart(frames)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    start = load_student(args.student, size)
    lesson, relabel = Lesson(start, size, args.seed), Relabeller(args.threads, args.teacher)
    shipped = candidate_of(start, size)
    mask_size = shipped.alpha(np.zeros((1, 3, *size), np.float32)).shape
    examples = labelled(learnt, relabel, size, mask_size)
    judged = [block for block in (labelled(frames, relabel, size, mask_size) for frames in apart) if block]
    count = sum(map(len, judged))
    say(f"labelled by {' and '.join(relabel.names)}: {len(examples)} frames to learn from, {count} kept apart")
    if len(examples) < LEAST_LEARNT or len(judged) < LEAST_APART:
        raise UsageError("the teachers do not agree with the labels on enough frames; keep some more")
    before = judge(shipped, judged, lesson)
    weights = StudentWeights(args.student, size, lesson.run(examples, args.minutes))
    try:
        after = judge(candidate_of(weights, size), judged, lesson)
        reason = objection(before, after)
    except CandidateRejected as error:
        after, reason = before, str(error)
    print(f"on {count} frames kept apart, agreement with the labels: start {told(before)}, profile {told(after)}")
    if reason is not None:
        print(f"no profile is written: {reason}")
        return 0
    card = {
        START: fingerprint(start), BEFORE: f"{before.mean:.4f}", AFTER: f"{after.mean:.4f}",
        FRAMES: f"{len(examples)}, and {count} kept apart", "teachers": ", ".join(relabel.names), "licence": "private",
    }  # fmt: skip
    print(f"written: {save_profile(StudentWeights(weights.student, size, weights.tensors, card), token, store)}")
    return 0


def labelled(
    frames: Sequence[KeptFrame], relabel: Relabeller, size: tuple[int, int], mask_size: tuple[int, ...]
) -> list[Example]:
    """Those on which the teachers and the live label mean the same. `size`, `mask_size`: (h, w) of the student's input
    and output; the label may be of another one's.
    """
    examples = []
    for frame in tqdm(frames, desc="labels", leave=False, disable=None):
        live = cv2.resize(frame.label, mask_size[::-1], interpolation=cv2.INTER_AREA)
        fused = relabel(frame.bgr, live)
        if fused is not None:
            bgr = cv2.resize(frame.bgr, size[::-1], interpolation=cv2.INTER_LINEAR)
            examples.append(Example(bgr, fused.label, fused.weight))
    return examples


def told(judgement: Judgement) -> str:
    return f"{judgement.mean:.4f} (p{WORST} {judgement.worst:.3f})"


def say(line: str) -> None:
    print(f"jm-train profile: {line}", file=sys.stderr, flush=True)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "jm-train profile",
        description="Teach the start student on the frames that jm-engine --keep-frames kept, with the heaviest "
        "teachers on this machine; the profile is used from the next start on, if it is better on frames kept apart.",
    )
    add = parser.add_argument
    add("--student", choices=list(STUDENTS), default="lite")
    add("--size", help="side of the student's input, or WxH, pixels; default: the student's own")
    add("--teacher", help="who draws labels: as for jm-engine; default: the best whose weights are on this machine")
    add("--minutes", type=float, default=60.0, help="stop teaching after this time (default: 60; some are needed)")
    add("--threads", type=int, default=1)
    add("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run `jm-train profile ...`; returns its exit code."""
    args = parse(argv)
    try:
        return train_profile(args)
    except JitMaskerError as error:
        say(str(error))
        return error.exit_code
    except OSError as error:
        say(f"the profile cannot be written: {error}")
        return SinkError.exit_code
    except KeyboardInterrupt:
        say("stopped; nothing was written")
        return 130
