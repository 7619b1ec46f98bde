"""How well two masks agree: IoU, and the paper's IoU-Acc. NumPy only."""

from __future__ import annotations

import numpy as np

MIN_AREA = 0.05  # share of the frame; section 4.1: below it IoU says little, so pixel accuracy is used
SMALL_PERSON = 0.003  # share of the frame; a person on 4 % who is not seen at all has .96 by the paper's rule, 0 by IoU


def iou(label: np.ndarray, alpha: np.ndarray) -> float:
    """Intersection over union of two alphas, each cut at 0.5; 1.0 where both are empty.

    Parameters
    ----------
    label, alpha : float in [0, 1] or bool, of one shape.
    """
    truth, guess = label > 0.5, alpha > 0.5
    union = np.count_nonzero(truth | guess)
    return np.count_nonzero(truth & guess) / union if union else 1.0


def iou_acc(label: np.ndarray, alpha: np.ndarray, min_area: float = MIN_AREA) -> float:
    """IoU; pixel accuracy where the label covers less than `min_area` of the frame (section 4.1: 5 %).

    Parameters
    ----------
    label : the teacher's, float in [0, 1] or bool. Only the label decides which of the two is meant.
    alpha : the student's, same shape.
    min_area : share of the frame. The paper's for numbers that are shown, SMALL_PERSON for decisions.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if label.shape != alpha.shape:
        raise ValueError(f"label is {label.shape} and alpha is {alpha.shape}; resize one of them first")
    truth = label > 0.5
    if np.count_nonzero(truth) < min_area * truth.size:
        return float(np.mean(truth == (alpha > 0.5)))
    return iou(label, alpha)
