"""jm-train: the offline start of a student, on people with masks. BCE and Adam, as in the paper (section 4)."""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from engine.errors import JitMaskerError, ModelError, UsageError
from engine.silence import keep_matplotlib_in_cache, keep_torch_in_cache
from export.contracts import StudentWeights
from export.store import load_weights, save_weights
from export.students import STUDENTS, input_size
from export.students.layers import Architecture

from . import teachers
from .augment import augment
from .datasets import LAYOUTS, Sample, load_dataset, load_images, split
from .online.score import iou
from .students import Student, tensors_of
from .students.selfie import calibrated, tensors_from_selfie

T = TypeVar("T")

LITE_SHAPES = ((240, 320), (256, 256), (192, 336))  # (h, w): cameras with 4:3 and 16:9, and a square
LOWEST = 0.1  # of the rate: where half a cosine ends
SOMEBODY = 0.05  # share of a picture, from which who is on it may be put beside somebody else
MEMORY = 0.999  # of the averaged weights, per step


def to_image(bgr: np.ndarray, kind: Architecture) -> np.ndarray:
    """uint8 (h, w, 3) BGR -> float32 (3, h, w) RGB, normalised as `kind` wants it."""
    rgb = bgr[..., ::-1].astype(np.float32) / 255
    image = (rgb - np.array(kind.mean, np.float32)) / np.array(kind.std, np.float32)
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross entropy at the resolution of the logits; `labels` are area-averaged to it (soft)."""
    return F.binary_cross_entropy_with_logits(logits, F.adaptive_avg_pool2d(labels, (logits.shape[2], logits.shape[3])))


@torch.no_grad()
def validate(student: Student, samples: list[Sample], size: tuple[int, int]) -> float:
    """Mean IoU over `samples`, each at its own resolution, without augmentation."""
    student.eval()
    scores = []
    for sample in samples:
        small = cv2.resize(sample.bgr, size[::-1], interpolation=cv2.INTER_LINEAR)
        alpha = student(torch.from_numpy(to_image(small, STUDENTS[student.name]))[None]).sigmoid()[0, 0].numpy()
        alpha = cv2.resize(alpha, sample.mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        scores.append(iou(sample.mask > 127, alpha))
    return float(np.mean(scores))


@dataclass
class Progress:
    """How far a training is, and all that a later run needs to go on."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0  # spent, over all runs
    best: float = -1.0  # IoU of the weights that were kept; -loss where nothing is held back
    best_epoch: int = 0
    history: list[tuple[int, float, float]] = field(default_factory=list)  # (step, mean loss, score) of each epoch


class Average:
    """The running mean of a student's weights, which is what is validated and kept: it forgets a batch's whims."""

    def __init__(self, student: Student):
        self.student = copy.deepcopy(student).requires_grad_(False)
        self._steps = 0

    @torch.no_grad()
    def take_in(self, student: Student) -> None:
        """One step more. Early ones count more, so that a random start is soon forgotten."""
        self._steps += 1
        share = 1 - min(MEMORY, self._steps / (self._steps + 10))
        own = self.student.state_dict()
        for name, value in student.state_dict().items():
            own[name].lerp_(value, share) if value.is_floating_point() else own[name].copy_(value)

    def state(self) -> dict[str, Any]:
        return {"student": self.student.state_dict(), "steps": self._steps}

    def load(self, state: dict[str, Any]) -> None:
        self.student.load_state_dict(state["student"])
        self._steps = state["steps"]


class Training:
    """One training: data, student, optimiser, and where it stands."""

    def __init__(self, args: argparse.Namespace):
        torch.manual_seed(args.seed)
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(1)
        self.args = args
        self.size = input_size(args.student, args.size)
        self.shapes = LITE_SHAPES if args.student == "lite" and args.size is None else (self.size,)
        label = teachers.load(args.teacher, args.threads) if args.teacher else None
        samples = [sample for folder in args.data for sample in load_dataset(folder, label)]
        if args.valid:
            self.train, self.held_back = samples, load_dataset(args.valid, label)
        else:
            self.train, self.held_back = split(samples, args.hold_back)
        self.rooms = load_images(args.rooms) if args.rooms else []
        self.people = [sample for sample in self.train if (sample.mask > 127).mean() > SOMEBODY]
        self.steps = len(self.train) // args.batch  # in an epoch
        if not self.steps:
            raise UsageError(f"{len(self.train)} images are less than one batch of {args.batch}; lower --batch")
        self.student = Student(args.student)
        if args.init:
            self.student.load_weights(start(args.init, args.student))
        self.student = self.student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        keep_torch_in_cache()
        self.average = Average(self.student)
        self.optimizer = torch.optim.Adam(self.student.parameters(), lr=args.rate, betas=(0.9, 0.999), eps=1e-8)
        self.rng = np.random.default_rng(args.seed)
        self.progress = Progress()
        self.checkpoint = Path(f"{args.out}.checkpoint")
        if args.resume:
            self._resume()

    def run(self) -> Progress:
        """Train until the epochs or the minutes are over, or nothing has improved for `--patience` epochs."""
        p, budget = self.progress, self.args.minutes * 60 if self.args.minutes else float("inf")
        while p.epoch < self.args.epochs and p.seconds < budget and p.epoch - p.best_epoch < self.args.patience:
            began = time.monotonic()
            rate = self.args.rate * falling(max(p.epoch / self.args.epochs, p.seconds / budget))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = self._epoch()
            p.epoch, p.step = p.epoch + 1, p.step + self.steps
            average = self.average.student
            score = validate(average, self.held_back, self.size) if self.held_back else -loss
            p.history.append((p.step, loss, score))
            p.seconds += time.monotonic() - began
            print(f"epoch {p.epoch}  step {p.step}  loss {loss:.4f}  IoU {score:.4f}", file=sys.stderr, flush=True)
            if score > p.best:
                p.best, p.best_epoch = score, p.epoch
                weights = StudentWeights(average.name, self.size, tensors_of(average), self._card())
                save_weights(self.args.out, weights)
            self._save()
        return p

    def _epoch(self) -> float:
        """One pass over the data; returns the mean loss."""
        self.student.train()
        losses = []
        name = f"epoch {self.progress.epoch + 1}"
        bar = tqdm(one_ahead(self._batches()), total=self.steps, desc=name, leave=False, disable=None)
        for images, labels in bar:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.args.bf16):
                logits = self.student(images.contiguous(memory_format=torch.channels_last))
            loss = bce(logits.float(), labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.average.take_in(self.student)
            losses.append(loss.item())
        return float(np.mean(losses))

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented (images (N, 3, h, w), labels (N, 1, h, w) in [0, 1]); the shape differs from batch to batch."""
        order, kind = self.rng.permutation(len(self.train)), STUDENTS[self.student.name]
        for first in range(0, self.steps * self.args.batch, self.args.batch):
            shape = self.shapes[self.rng.integers(len(self.shapes))]
            samples = [
                augment(self.train[i], self.rooms, shape, self.rng, self.people)
                for i in order[first : first + self.args.batch]
            ]
            images = np.stack([to_image(bgr, kind) for bgr, _ in samples])
            labels = np.stack([mask[None].astype(np.float32) / 255 for _, mask in samples])
            yield torch.from_numpy(images), torch.from_numpy(labels)

    def _card(self) -> dict[str, str]:
        args, p = self.args, self.progress
        return {
            "data": ", ".join(Path(folder).name for folder in args.data) + f" ({len(self.train)} images)",
            "start": Path(args.init).name if args.init else f"random, seed {args.seed}",
            "steps": f"{p.step} of batch {args.batch}",
            "score": f"IoU {p.best:.4f} on {len(self.held_back)} held-back images"
            if self.held_back
            else "not measured",
            "licence": args.licence,
        }

    # -- an interrupted training goes on ---------------------------------------------------------------------------

    def _save(self) -> None:
        """Everything that `--resume` needs, written to a temporary file and renamed."""
        temporary = self.checkpoint.with_suffix(".writing")
        state = {
            "student": self.student.state_dict(), "average": self.average.state(),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.bit_generator.state, "progress": vars(self.progress), "name": self.student.name,
        }  # fmt: skip
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def _resume(self) -> None:
        try:
            state = torch.load(self.checkpoint, weights_only=True)
        except FileNotFoundError:
            raise UsageError(f"nothing to resume: there is no {self.checkpoint}; leave out --resume to begin") from None
        except Exception as error:  # a damaged archive fails in many ways
            raise ModelError(f"cannot resume from {self.checkpoint}: {error}; delete it to begin anew") from error
        if state["name"] != self.student.name:
            raise UsageError(f"{self.checkpoint} is of {state['name']}, and --student is {self.student.name}")
        self.student.load_state_dict(state["student"])
        self.average.load(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["rng"]
        self.progress = Progress(**state["progress"])


def start(path: str, student: str) -> dict[str, np.ndarray]:
    """The weights to start from: a .safetensors file of the same student, or selfie segmentation as .onnx for lite."""
    if path.endswith(".onnx"):
        if student != "lite":
            raise UsageError(f"{path} can be the start of lite only, and --student is {student}")
        return calibrated(tensors_from_selfie(path))
    weights = load_weights(path)
    if weights.student != student:
        raise UsageError(f"{path} holds {weights.student}, and --student is {student}; make them equal")
    return dict(weights.tensors)


def one_ahead(batches: Iterator[T]) -> Iterator[T]:
    """The same items, each made on a thread of its own while the one before is used."""
    with ThreadPoolExecutor(1, "augment") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def falling(done: float) -> float:
    """Half a cosine from 1 down to LOWEST, for `done` in [0, 1]."""
    return LOWEST + (1 - LOWEST) * 0.5 * (1 + float(np.cos(np.pi * min(done, 1.0))))


def plot(history: list[tuple[int, float, float]], path: str) -> None:
    """Loss and score over the steps, as a picture; BackendUnavailable where matplotlib is missing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps, losses, scores = zip(*history, strict=True)
    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left: Any = figure.add_subplot()
    right = left.twinx()
    left.plot(steps, losses, color="#888888")
    right.plot(steps, scores, color="#d0541b")
    left.set(xlabel="step", ylabel="loss (grey)")
    right.set_ylabel("held-back IoU (orange)")
    figure.savefig(path)


def train(args: argparse.Namespace) -> Progress:
    """What `jm-train` does with these options."""
    drawing: Callable | None = None
    if args.plot:
        keep_matplotlib_in_cache()
        try:
            import matplotlib  # noqa: F401 (whether it is there)
        except ImportError:
            raise UsageError("--plot needs matplotlib; pip install matplotlib, or leave it out") from None
        drawing = plot
    progress = Training(args).run()
    if drawing and progress.history:
        drawing(progress.history, args.plot)
    return progress


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "jm-train",
        description="Pretrain a student on people with masks.",
        epilog="jm-train profile --help: teach the start student on the frames that jm-engine --keep-frames kept.",
    )
    add = parser.add_argument
    add("--data", action="append", required=True, help=f"folder with {LAYOUTS}; repeatable")
    add("--valid", help="held-back folder; the weights that are best on it are kept")
    add("--hold-back", type=float, default=0.05, help="without --valid: share of the data, by groups (default: 0.05)")
    add("--teacher", help="who labels videos and refines the edges of masks, for example rvm")
    add("--rooms", help="folder of pictures without people, to paste people onto")
    add("--student", choices=list(STUDENTS), default="lite")
    add("--size", type=int, help="side of the input, pixels; default: the student's own, for lite three shapes in turn")
    add("--init", help="weights to start from: .safetensors, or MediaPipe's selfie segmentation as .onnx for lite")
    add("--out", required=True, help="where the weights go (.safetensors)")
    add("--resume", action="store_true", help="go on where an interrupted run with the same --out was")
    add("--plot", help="draw loss and IoU into this picture")
    add("--epochs", type=int, default=1000)
    add("--minutes", type=float, help="stop after the epoch in which this time is over")
    add("--patience", type=int, default=1000, help="stop after this many epochs without a better score")
    add("--batch", type=int, default=16)
    add("--rate", type=float, default=1e-3, help="Adam's learning rate (the paper's 1e-3), falling to a tenth")
    add("--threads", type=int, default=2)
    add("--seed", type=int, default=0)
    add("--bf16", action="store_true", help="bfloat16 autocast; pays where the CPU has AMX")
    add("--licence", default="Apache-2.0", help="of the weights, for their card")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["profile"]:
        from . import personal
        from .online.learner import lower_priority

        if argv is None:  # the whole program gives way to the picture; one that calls us keeps its priority
            lower_priority()
        return personal.main(words[1:])
    args = parse(words)
    try:
        progress = train(args)
        print(f"best {progress.best:.4f} in epoch {progress.best_epoch}, weights in {args.out}")
    except JitMaskerError as error:
        print(f"jm-train: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"jm-train: stopped; go on with --resume, the best weights so far are in {args.out}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
