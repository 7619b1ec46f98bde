"""Logits -> alpha: the sigmoid, and the contrast-stretched sigmoid that is painted with."""

from __future__ import annotations

import numpy as np

from kernels import fallback

MAX_LOGIT = 1e4  # a larger one is a fault, not a confident student
STRETCH = (0.1, 0.9)  # of the sigmoid, which become 0 and 1; symmetric, so that 0.5 stays where it is
sigmoid = fallback.sigmoid
PROBE_TOLERANCE = 0.01  # of alpha, largest difference; float32 runtimes agree to 1e-5


def is_answer(logits: np.ndarray) -> bool:
    """Whether every logit is a number within MAX_LOGIT."""
    return bool(logits.min() >= -MAX_LOGIT and logits.max() <= MAX_LOGIT)  # NaN comes through both


def stretched_sigmoid(
    logits: np.ndarray, out: np.ndarray, threshold: float = 0.0, stretch: tuple[float, float] = STRETCH
) -> float:
    """Sigmoid of `logits` - `threshold`, stretched so that `stretch` becomes 0 and 1, into `out`; both float32 (h, w).

    A student that is a little unsure must neither let the room shine through nor make the person translucent.

    Returns
    -------
    The mean alpha, share of the frame that is person, in [0, 1].
    """
    return fallback.alpha_of_logits(logits, threshold, stretch, out)[0]


def alpha_difference(logits: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of painted alpha between two answers (1, 1, h, w); infinity where one is no answer."""
    if not (is_answer(logits) and is_answer(expected)):
        return float("inf")
    alphas = np.empty((2, *logits.shape[2:]), np.float32)
    for given, alpha in zip((logits, expected), alphas, strict=True):
        stretched_sigmoid(given[0, 0], alpha)
    return float(np.abs(alphas[0] - alphas[1]).max())
