"""`alpha_of_logits`: one pass, in arithmetic alone, so that LLVM vectorises it. Knows no frame."""

from __future__ import annotations

import threading

import numpy as np

from ..checks import check_alpha_of_logits
from .compilation import Kernel

MAGNITUDE = np.int32(0x7FFFFFFF)  # the bits of a float32 without its sign: of larger numbers they are larger, too
LARGEST = np.float32(4)  # half a logit: from there alpha is 0 or 1 to 3e-4


class _Numbers(threading.local):
    """What goes in and comes out, one pair for each thread."""

    def __init__(self) -> None:
        self.settings, self.results = np.zeros(3, np.float32), np.zeros(2, np.float32)


numbers = _Numbers()


def alpha_of_logits(
    logits: np.ndarray, threshold: float, stretch: tuple[float, float], out: np.ndarray
) -> tuple[float, float]:
    """See `kernels.reference.alpha_of_logits`."""
    check_alpha_of_logits(logits, out)
    settings, results = numbers.settings, numbers.results
    settings[:] = threshold, stretch[0], 1 / (stretch[1] - stretch[0])
    _stretch(logits.reshape(-1), logits.reshape(-1).view(np.int32), settings, out.reshape(-1), results)
    return float(results[0]) / out.size, float(results[1])


@Kernel
def _sigmoid(x):
    """To 1e-5: 1/2 + tanh(x / 2) / 2, tanh by its continued fraction (Lambert, 1761), seven terms."""
    z = min(max(x * np.float32(0.5), -LARGEST), LARGEST)
    u = z * z
    above = z * (np.float32(135135) + u * (np.float32(17325) + u * (np.float32(378) + u)))
    below = np.float32(135135) + u * (np.float32(62370) + u * (np.float32(3150) + u * np.float32(28)))
    return np.float32(0.5) + np.float32(0.5) * above / below


@Kernel
def _stretch(logits, bits, settings, out, results):
    threshold, low, scale = settings[0], settings[1], settings[2]
    total, largest = np.float32(0), np.int32(0)
    for i in range(out.shape[0]):
        alpha = min(max((_sigmoid(logits[i] - threshold) - low) * scale, np.float32(0)), np.float32(1))
        out[i] = alpha
        total += alpha
        largest = max(largest, bits[i] & MAGNITUDE)  # the compiler takes NaN for impossible; its bits it cannot
    results[0] = total
    results.view(np.int32)[1] = largest
