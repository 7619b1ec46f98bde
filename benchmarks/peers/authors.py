"""The paint path as the authors' published code does it, written anew: the yardstick of `table3` and `kernels`.

PIL resizes, NumPy normalises channel by channel, torch runs eagerly, PIL resizes the mask, NumPy blends in floating
point. The network is run as theirs: batch norm on the statistics of each frame (`eval()` is commented out there), and
the last convolution after the upsample, as in Figure 2.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from export.publish import load_student
from export.students import STUDENTS
from training.students import Student

SIZE = (240, 240)  # (h, w), the paper's smaller input
MEAN, STD = STUDENTS["jitnet"].mean, STUDENTS["jitnet"].std


def preprocess(bgr: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """uint8 (H, W, 3) BGR -> float32 (1, 3, h, w)."""
    image = Image.fromarray(bgr[..., ::-1]).resize(size[::-1], Image.Resampling.BILINEAR)
    pixels = np.array(image) / 255.0
    normalised = np.zeros(pixels.shape)
    for channel in range(3):
        normalised[:, :, channel] = (pixels[:, :, channel] - MEAN[channel]) / STD[channel]
    return torch.from_numpy(normalised.transpose(2, 0, 1)[None]).float()


class AuthorsStudent(torch.nn.Module):
    """The student's layers, with the last convolution at full resolution."""

    def __init__(self, student: Student):
        super().__init__()
        self.last, self.body = student.get_submodule("logits"), student
        student.logits = torch.nn.Identity()
        self.train()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        size = (image.shape[2], image.shape[3])
        return self.last(torch.nn.functional.interpolate(self.body(image), size, mode="bilinear"))


def student() -> AuthorsStudent:
    """Their student, with the weights that ours starts from."""
    jitnet = Student("jitnet")
    jitnet.load_weights(load_student("jitnet", SIZE).tensors)
    return AuthorsStudent(jitnet)


def predict(student: AuthorsStudent, image: torch.Tensor) -> np.ndarray:
    """Alpha, float32 (h, w)."""
    with torch.no_grad():
        return torch.sigmoid(student(image))[0, 0].numpy()


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3)."""
    size = (bgr.shape[1], bgr.shape[0])
    mask = np.array(Image.fromarray((alpha * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR))
    weight = np.repeat(mask[:, :, None] / 255.0, 3, axis=2)
    return (weight * bgr + (1 - weight) * background).astype(np.uint8)
