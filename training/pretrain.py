"""jm-train: the offline start of the student, on people with masks. BCE and Adam, as in the paper (section 4)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import JitMaskerError, UsageError
from export.publish import MEAN, STD
from export.store import StudentWeights, load_weights, save_weights

from .augment import augment
from .datasets import Pair, load_images, load_pairs
from .score import iou
from .student import VARIANTS, JITNet, tensors_of


def to_image(bgr: np.ndarray) -> np.ndarray:
    """uint8 (h, w, 3) BGR -> float32 (3, h, w) normalised RGB."""
    rgb = bgr[..., ::-1].astype(np.float32) / 255
    return np.ascontiguousarray(((rgb - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(2, 0, 1))


def batches(
    pairs: list[Pair], rooms: list[np.ndarray], size: tuple[int, int], batch: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented (images (N, 3, h, w), labels (N, 1, h, w) in [0, 1])."""
    order = rng.permutation(len(pairs))
    for start in range(0, len(order) - batch + 1, batch):
        samples = [augment(pairs[i], rooms, size, rng) for i in order[start : start + batch]]
        images = np.stack([to_image(bgr) for bgr, _ in samples])
        labels = np.stack([mask[None].astype(np.float32) / 255 for _, mask in samples])
        yield torch.from_numpy(images), torch.from_numpy(labels)


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross entropy at the resolution of the logits; `labels` are area-averaged to it (soft)."""
    return F.binary_cross_entropy_with_logits(logits, F.adaptive_avg_pool2d(labels, (logits.shape[2], logits.shape[3])))


@torch.no_grad()
def validate(student: JITNet, pairs: list[Pair], size: tuple[int, int]) -> float:
    """Mean IoU over `pairs`, each at its own resolution, without augmentation."""
    import cv2

    student.eval()
    scores = []
    for bgr, mask in pairs:
        image = to_image(cv2.resize(bgr, size[::-1], interpolation=cv2.INTER_LINEAR))
        alpha = torch.sigmoid(student(torch.from_numpy(image)[None]))[0, 0].numpy()
        alpha = cv2.resize(alpha, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        scores.append(iou(mask > 127, alpha))
    return float(np.mean(scores))


def train(args: argparse.Namespace) -> float:
    """Train until the epochs or the minutes are over; keep the weights that validate best. Returns that IoU."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    size = (args.size, args.size)
    pairs = [pair for folder in args.data for pair in load_pairs(folder)]
    rooms = load_images(args.rooms) if args.rooms else []
    held_back = load_pairs(args.valid) if args.valid else []
    student = JITNet(args.student)
    if args.init:
        start = load_weights(args.init)
        if start.student != args.student:
            raise UsageError(f"{args.init} holds {start.student}, and --student is {args.student}; make them equal")
        student.load_weights(start.tensors)
    student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(student.parameters(), lr=args.rate, betas=(0.9, 0.999), eps=1e-8)
    steps_per_epoch = len(pairs) // args.batch
    if not steps_per_epoch:
        raise UsageError(f"{len(pairs)} images are less than one batch of {args.batch}; lower --batch")
    began, best, step, epoch = time.monotonic(), 0.0, 0, 0
    budget = args.minutes * 60 if args.minutes else float("inf")
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=args.bf16)
    while epoch < args.epochs and time.monotonic() - began < budget:
        progress = max(epoch / args.epochs, (time.monotonic() - began) / budget)
        for group in optimizer.param_groups:  # half a cosine from the paper's rate to a tenth of it
            group["lr"] = args.rate * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * min(progress, 1.0))))
        student.train()
        losses = []
        for images, labels in batches(pairs, rooms, size, args.batch, rng):
            with autocast:
                logits = student(images.contiguous(memory_format=torch.channels_last))
            loss = bce(logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
        epoch += 1
        score = validate(student, held_back, size) if held_back else 1.0 - float(np.mean(losses))
        print(f"epoch {epoch}  step {step}  loss {np.mean(losses):.4f}  IoU {score:.4f}", file=sys.stderr, flush=True)
        if score > best:
            best = score
            card = {
                "data": ", ".join(Path(folder).name for folder in args.data) + f" ({len(pairs)} images)",
                "steps": f"{step} of batch {args.batch}",
                "score": f"IoU {score:.4f} on {len(held_back)} held-back images",
            }
            save_weights(args.out, StudentWeights(args.student, size, tensors_of(student), card))
    return best


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("jm-train", description="Pretrain a student on people with masks.")
    parser.add_argument("--data", action="append", required=True, help="folder with images/ and masks/; repeatable")
    parser.add_argument("--valid", help="held-back folder; the best weights on it are kept")
    parser.add_argument("--rooms", help="folder of pictures without people, to paste people onto")
    parser.add_argument("--student", choices=sorted(VARIANTS), default="jitnet")
    parser.add_argument("--size", type=int, default=240, help="side of the input, pixels")
    parser.add_argument("--init", help="weights to start from")
    parser.add_argument("--out", required=True, help="where the weights go (.safetensors)")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--minutes", type=float, help="stop after the epoch in which this time is over")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3, help="Adam's learning rate (the paper's 1e-3)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    args = parser.parse_args(argv)
    try:
        print(f"best IoU {train(args):.4f}, weights in {args.out}")
    except JitMaskerError as error:
        print(f"jm-train: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
