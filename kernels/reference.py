"""The specification of the kernels in plain NumPy, floating point throughout. Knows nothing about speed."""

from __future__ import annotations

import numpy as np


def sample_positions(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bilinear sampling with half-pixel centres along one axis, edges replicated.

    Target sample i lies at (i + 0.5) * source / target - 0.5 in source samples.

    Returns
    -------
    left, right : int64 (target,), the two neighbours, clipped to the axis.
    weight : float64 (target,) in [0, 1), of the right one.
    """
    position = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    left = np.floor(position).astype(np.int64)
    return left, np.minimum(left + 1, source - 1), position - left


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`image` (H, W, ...) sampled bilinearly at `size` (h, w), half-pixel centres; float64. No antialiasing."""
    for axis in (0, 1):
        left, right, weight = sample_positions(image.shape[axis], size[axis])
        weight = weight.reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        image = image.take(left, axis) * (1 - weight) + image.take(right, axis) * weight
    return image


def preprocess(bgr: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray) -> np.ndarray:
    """Resize, reorder and normalise a frame for the student: out = (rgb / 255 - mean) / std.

    Parameters
    ----------
    bgr : uint8 (H, W, 3), BGR, any size from 1x1, any strides.
    mean, std : three floats, RGB, of pixels in [0, 1].
    out : float32 (1, 3, h, w), C-contiguous; sampled bilinearly with half-pixel centres.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        `bgr` or `out` is of another kind.
    """
    check_frame(bgr)
    check_image(out)
    rgb = resize(bgr, out.shape[2:])[..., ::-1] / 255
    out[0] = ((rgb - np.asarray(mean)) / np.asarray(std)).transpose(2, 0, 1)
    return out


def refine(grey: np.ndarray, alpha: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Fit alpha, around every pixel, as a linear function of brightness: a guided filter (He, Sun & Tang, 2010).

    Where the person is darker or lighter than what is behind, alpha then follows the picture's own edge, at any
    resolution that the picture has: see `matte`.

    Parameters
    ----------
    grey : float32 (h, w) in [0, 1], brightness: the mean of red, green and blue.
    alpha : float32 (h, w) in [0, 1].
    edges : float32 (2, h, w), C-contiguous: gain and offset, so that alpha = gain * brightness + offset. Stretched, so
        that what is at FAINT becomes 0 and what is at 1 - FAINT becomes 1.

    Returns
    -------
    `edges`.
    """

    def mean(array: np.ndarray) -> np.ndarray:
        return _windows(array, RADIUS).mean((2, 3))

    grey, alpha = grey.astype(np.float64), alpha.astype(np.float64)
    mean_grey, mean_alpha = mean(grey), mean(alpha)
    variance = mean(grey * grey) - mean_grey**2
    gain = (mean(grey * alpha) - mean_grey * mean_alpha) / (np.maximum(variance, 0) + FLAT)
    offset = mean_alpha - gain * mean_grey
    edges[0] = mean(gain) / (1 - 2 * FAINT)
    edges[1] = (mean(offset) - FAINT) / (1 - 2 * FAINT)
    return edges


def matte(bgr: np.ndarray, edges: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Alpha at the resolution of the frame: gain * brightness + offset of each of its pixels.

    Parameters
    ----------
    bgr : uint8 (H, W, 3), any strides.
    edges : float32 (2, h, w), what `refine` gives; sampled bilinearly, half-pixel centres. A gain of 0 makes this a
        plain upsampling of the offset.
    out : uint8 (H, W), C-contiguous, 255 = person.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        An array is of another kind or size.
    """
    check_matte(bgr, edges, out)
    gain, offset = (resize(array, bgr.shape[:2]) for array in edges)
    out[...] = np.rint(np.clip(gain * bgr.mean(2) / 255 + offset, 0, 1) * 255)
    return out


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Blend a frame over a background: out = alpha * bgr + (1 - alpha) * background.

    Parameters
    ----------
    bgr, background, out : uint8 (H, W, 3), BGR, any strides; `out` C-contiguous, and may be `bgr`.
    alpha : uint8 (H, W), C-contiguous, 255 = person.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        The arrays differ in size, or one is of another kind.

    The paper (section 4) writes this with alpha inverted: see docs/decisions.md.
    """
    check_blend(bgr, alpha, background, out)
    weight = alpha[..., None] / 255
    out[...] = np.rint(weight * bgr + (1 - weight) * background)
    return out


def colours(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """The colour of the person, and of the room, around every cell of the mask: CELL x CELL of each SKIP-th pixel.

    Parameters
    ----------
    image : float32 (1, 3, H, W), what the student was shown.
    mean, std : three floats, RGB, what the image was normalised with.
    alpha : float32 (h, w) in [0, 1].
    out : float32 (2, *colour_grid((h, w)), 3), C-contiguous, BGR in [0, 255]: the person's, the room's. Means over the
        cells within REACH, weighted by alpha^2 and (1 - alpha)^2; where there is nothing of one, the cell's own mean.

    Returns
    -------
    `out`.
    """
    (height, width), (h, w) = image.shape[2:], alpha.shape
    rows, columns = (2 * np.arange(h) + 1) * height // (2 * h), (2 * np.arange(w) + 1) * width // (2 * w)
    rgb = image[0][:, rows][:, :, columns].transpose(1, 2, 0) * np.asarray(std) + np.asarray(mean)
    bgr, alpha = 255 * rgb[::SKIP, ::SKIP, ::-1], alpha[::SKIP, ::SKIP].astype(np.float64)
    own, pixels = _cells(bgr), _cells(np.ones_like(alpha))[..., None]
    for kind, weight in enumerate((alpha**2, (1 - alpha) ** 2)):
        near, share = _around(_cells(bgr * weight[..., None])), _around(_cells(weight))[..., None]
        out[kind] = (near + TRACE * own) / (share + TRACE * pixels)
    return out


def colour_grid(mask: tuple[int, ...]) -> tuple[int, int]:
    """(gh, gw): the cells of `colours` for a mask of (h, w) pixels."""
    return -(-mask[0] // (SKIP * CELL)), -(-mask[1] // (SKIP * CELL))


def foreground(bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The frame, with the room taken out of the pixels in which both are mixed: no halo over another background.

    A mixed pixel is I = alpha F + (1 - alpha) B. With the colours P and R that person and room have nearby, F is
    estimated as P + alpha (I - alpha P - (1 - alpha) R): Forte, Approximate Fast Foreground Colour Estimation, 2021.

    Parameters
    ----------
    bgr : uint8 (H, W, 3), BGR, any strides.
    alpha : uint8 (H, W), C-contiguous, 255 = person.
    colours : float32 (2, gh, gw, 3), C-contiguous, what `colours` gives; the cell that a pixel lies in counts.
    out : uint8 (H, W, 3), C-contiguous, another array than `bgr`.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        An array is of another kind or size.
    """
    check_foreground(bgr, alpha, colours, out)
    (h, w), (gh, gw) = alpha.shape, colours.shape[1:3]
    person, room = colours[:, np.arange(h) * gh // h][:, :, np.arange(w) * gw // w].astype(np.float64)
    share = alpha[..., None] / 255
    estimate = person + share * (bgr - share * person - (1 - share) * room)
    out[...] = np.where((share > 0) & (share < 1), np.rint(np.clip(estimate, 0, 255)), bgr)
    return out


RADIUS = 2  # pixels of the mask, of the window in which alpha follows brightness
FLAT = 3e-4  # variance of brightness in [0, 1] below which a window has no edge to follow
FAINT = 0.2  # alpha that a fit leaves on what is plainly background

SKIP = 2  # pixels of the mask; every second is enough for a mean colour
CELL = 2  # of those pixels, side of a cell in which colours are summed
REACH = 2  # cells; how far around the colours of person and room are looked for
TRACE = 0.02  # weight of a pixel's own colour among theirs: what is left where there is neither

QUIET, LOUD = 0.01, 0.03  # change of brightness in [0, 1] from frame to frame: below, nothing moves; above, all follows
SMALL, LARGE = 0.1, 0.4  # change of alpha: below, it may be flutter; above, it is meant
CALM = 0.1  # share of the new alpha where nothing moves and the change is small
NEAR = 2  # pixels of the mask; movement counts this far around, so that an edge that moves is followed on both sides


def steady(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, seen: np.ndarray,
    shown: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Hold small changes of `alpha` back where the picture stands still; follow large ones, and all where it moves.

    Parameters
    ----------
    image : float32 (1, 3, H, W), what the student was shown.
    mean, std : three floats, RGB, what the image was normalised with.
    alpha : float32 (h, w) in [0, 1]; changed in place.
    seen : float32 (h, w), brightness in [0, 1] at the last call, at alpha's pixels; updated. UNSEEN: everything is new.
    shown : float32 (h, w), alpha at the last call; updated.

    Returns
    -------
    `alpha`: shown + weight * (alpha - shown), the weight rising from CALM to 1 as the mean change of brightness over
    3x3 pixels, the largest within NEAR, rises from QUIET to LOUD, or the change of alpha from SMALL to LARGE.
    """
    (height, width), (h, w) = image.shape[2:], alpha.shape
    rows, columns = (2 * np.arange(h) + 1) * height // (2 * h), (2 * np.arange(w) + 1) * width // (2 * w)
    brightness = np.tensordot(np.asarray(std) / 3, image[0], 1)[rows][:, columns] + np.mean(mean)
    change = np.abs(_windows(brightness - seen, 1).mean((2, 3)))
    motion = _windows(change, NEAR).max((2, 3))
    moves, jumps = (motion - QUIET) / (LOUD - QUIET), (np.abs(alpha - shown) - SMALL) / (LARGE - SMALL)
    weight = np.clip(np.maximum(moves, jumps), CALM, 1)
    alpha[...] = shown + weight * (alpha - shown)
    seen[...], shown[...] = brightness, alpha
    return alpha


def _windows(array: np.ndarray, radius: int) -> np.ndarray:
    """The neighbourhood of every pixel, edges replicated: (h, w, 2 radius + 1, 2 radius + 1)."""
    side = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(np.pad(array, radius, mode="edge"), (side, side))


def _cells(array: np.ndarray) -> np.ndarray:
    """Sums over cells of CELL x CELL pixels; the last ones may be smaller."""
    rows, columns = (np.arange(0, side, CELL) for side in array.shape[:2])
    return np.add.reduceat(np.add.reduceat(array, rows, 0), columns, 1)


def _around(array: np.ndarray) -> np.ndarray:
    """Sums over the cells within REACH; there is nothing outside."""
    side = 2 * REACH + 1
    padded = np.pad(array, [(REACH, REACH), (REACH, REACH)] + [(0, 0)] * (array.ndim - 2))
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), (0, 1)).sum((-2, -1))


def check_frame(bgr: np.ndarray, name: str = "bgr") -> None:
    """ValueError unless `bgr` is uint8 (H, W, 3) with at least one pixel."""
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3 or 0 in bgr.shape:
        raise ValueError(f"{name} is {bgr.dtype} {bgr.shape}; expected uint8 (H, W, 3)")


def check_image(out: np.ndarray) -> None:
    """ValueError unless `out` is a student's input."""
    if out.dtype != np.float32 or out.ndim != 4 or out.shape[:2] != (1, 3) or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected C-contiguous float32 (1, 3, h, w)")


def check_matte(bgr: np.ndarray, edges: np.ndarray, out: np.ndarray) -> None:
    """ValueError unless the three fit `matte`."""
    check_frame(bgr)
    if edges.dtype != np.float32 or edges.ndim != 3 or edges.shape[0] != 2 or 0 in edges.shape:
        raise ValueError(f"edges is {edges.dtype} {edges.shape}; expected float32 (2, h, w)")
    _check_alpha(out, bgr, "out")
    if not out.flags.writeable:
        raise ValueError("out must be writeable; give a buffer of np.empty(bgr.shape[:2], np.uint8)")


def check_blend(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> None:
    """ValueError unless the four fit `composite`."""
    check_frame(bgr)
    _check_alpha(alpha, bgr, "alpha")
    for name, array in (("background", background), ("out", out)):
        check_frame(array, name)
        if array.shape != bgr.shape:
            raise ValueError(f"{name} is {array.shape} and bgr is {bgr.shape}; they must be of one size")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be C-contiguous and writeable; give a buffer of np.empty_like(bgr)")


def check_foreground(bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> None:
    """ValueError unless the four fit `foreground`."""
    check_frame(bgr)
    check_frame(out, "out")
    _check_alpha(alpha, bgr, "alpha")
    if colours.dtype != np.float32 or colours.ndim != 4 or colours.shape[::3] != (2, 3) or 0 in colours.shape:
        raise ValueError(f"colours is {colours.dtype} {colours.shape}; expected float32 (2, gh, gw, 3)")
    if out.shape != bgr.shape or out is bgr or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(
            f"out is {out.shape} and bgr is {bgr.shape}; give another buffer, np.empty(bgr.shape, np.uint8)"
        )


def _check_alpha(alpha: np.ndarray, bgr: np.ndarray, name: str) -> None:
    if alpha.dtype != np.uint8 or alpha.shape != bgr.shape[:2] or not alpha.flags.c_contiguous:
        raise ValueError(f"{name} is {alpha.dtype} {alpha.shape}; expected C-contiguous uint8 {bgr.shape[:2]}")
