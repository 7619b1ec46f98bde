"""What a viewer sees of a matte, as numbers: edges, flicker, recovery. NumPy and OpenCV; knows no student."""

from __future__ import annotations

import cv2
import numpy as np

TOLERANCE = 2  # pixels at 480 lines; an edge is found if one of the other mask is that near
GRADIENT_SIGMA = 1.4  # pixels; Rhemann et al., section 4
ENOUGH = 0.95  # IoU-Acc; a mask is good again
THETA, LEVELS = 0.15, 10  # Rhemann et al., section 4: what is less apart counts as connected; levels of alpha
STILL = 6  # grey levels, mean of 5x5 pixels; a sensor's noise and a codec's ripple stay below


def boundary(mask: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels of `mask`, bool, that touch a pixel outside it; the picture's border is no edge."""
    return mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1).astype(bool)


def boundary_f(label: np.ndarray, alpha: np.ndarray) -> float:
    """F-score of the edges of `alpha` > 0.5 against those of `label` > 0.5, both float (H, W); DAVIS's F measure.

    Precision: share of our edge that lies within TOLERANCE of the label's; recall the other way round. 1.0 where
    neither has an edge, 0.0 where one has none.
    """
    ours, theirs = boundary(alpha > 0.5), boundary(label > 0.5)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    radius = max(1, round(TOLERANCE * label.shape[0] / 480))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    precision = np.mean(cv2.dilate(theirs.astype(np.uint8), disk)[ours])
    recall = np.mean(cv2.dilate(ours.astype(np.uint8), disk)[theirs])
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def sad(label: np.ndarray, alpha: np.ndarray) -> float:
    """Sum of absolute differences of two alphas, float (H, W) in [0, 1], in thousands of pixels, as in matting."""
    return float(np.abs(label - alpha).sum()) / 1000


def mad(label: np.ndarray, alpha: np.ndarray) -> float:
    """Mean absolute difference of two alphas, float (H, W) in [0, 1], per mille."""
    return 1000 * float(np.abs(label - alpha).mean())


def gradient_error(label: np.ndarray, alpha: np.ndarray) -> float:
    """Sum of squared differences of the gradients' magnitudes, in thousands (Rhemann et al., CVPR 2009).

    Gradients are first derivatives of a Gaussian of 1.4 pixels; `label` and `alpha` float (H, W) in [0, 1].
    """
    return float(np.square(_gradient(label) - _gradient(alpha)).sum()) / 1000


def _gradient(alpha: np.ndarray) -> np.ndarray:
    """Magnitude of the gradient of a smoothed alpha, float32 (H, W), per pixel."""
    smooth = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), GRADIENT_SIGMA)
    across, down = np.gradient(smooth)
    return np.sqrt(np.square(across) + np.square(down))  # cv2.magnitude rounds by where an array happens to lie


def connectivity_error(label: np.ndarray, alpha: np.ndarray) -> float:
    """Sum of the absolute differences of how connected each pixel is, in thousands (Rhemann et al., CVPR 2009).

    A pixel of an alpha a is connected to the degree 1 - d, where d = a - l, or 0 where that is below THETA; l is the
    highest level up to which the pixel belongs to the source. The source at a level is the largest 4-connected region
    in which both, `label` and `alpha`, float (H, W) in [0, 1], reach it: as everybody evaluates it, with levels .1
    apart and the distance weight left at 1. Where the two have no region in common l is 0, and every pixel above THETA
    counts with its alpha.
    """
    both, reached = np.minimum(label, alpha), np.zeros(label.shape, np.float32)
    x, y, width, height = cv2.boundingRect((both >= np.float32(1 / LEVELS)).view(np.uint8))
    both, level_of = both[y : y + height, x : x + width], reached[y : y + height, x : x + width]
    connected = np.ones(both.shape, bool)
    for level in range(1, LEVELS + 1):
        connected &= _largest(both >= np.float32(level / LEVELS))
        if not connected.any():
            break
        level_of[connected] = level / LEVELS
    apart = [np.where(a - reached >= THETA, a - reached, 0) for a in (label, alpha)]
    return float(np.abs(apart[0] - apart[1]).sum()) / 1000


def _largest(mask: np.ndarray) -> np.ndarray:
    """bool (H, W): the largest 4-connected region of `mask`, bool; of none, nothing."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    if count <= 2:  # of which one is what lies outside
        return mask
    return np.asarray(labels == 1 + np.argmax(np.bincount(labels[mask])[1:]))


def dtssd(labels: tuple[np.ndarray, np.ndarray], alphas: tuple[np.ndarray, np.ndarray]) -> float:
    """Root of the mean squared difference of how two alphas change from one frame to the next, times 100.

    `labels` and `alphas` are of both frames, float (H, W) in [0, 1]. Erofeev et al., BMVC 2015; of a clip the mean
    over its frames is taken, and not the sum, so that long clips are no worse than short ones.
    """
    difference = (labels[1] - labels[0]) - (alphas[1] - alphas[0])
    return 100 * float(np.sqrt(np.square(difference).mean()))


def still(frames: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """bool (H, W): pixels around which nothing moves from one frame, uint8 BGR, to the next."""
    change = cv2.absdiff(*frames).max(axis=2)
    return cv2.dilate(cv2.blur(change, (5, 5)), np.ones((5, 5), np.uint8)) < STILL


def flicker(where: np.ndarray, alphas: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean |change of alpha| in grey levels over the still pixels `where`: there every change is flicker.

    Nearly all of them are plainly person or background, so the number is small; it is for comparing two mattes on
    the same pixels.
    """
    return 255 * float(np.abs(alphas[1] - alphas[0])[where].mean()) if where.any() else 0.0


def recovery(scores: list[float], enough: float = ENOUGH) -> int | None:
    """Frames after a cut until the score is `enough`; None if it never is. `scores[0]` is the cut's own frame."""
    return next((i for i, score in enumerate(scores) if score >= enough), None)
