"""A poster for the wall of a test's room, and whether anything on it can still be read in a picture of that room.

Asked is not what a person reads at a glance but what somebody finds out who has time, who knows where the poster hangs
and how it is printed, and that the room was blurred by a Gaussian. So the poster is rectified, its contrast stretched,
and it is sharpened against each blur of BLURS (Wiener 1949); each of these pictures is read twice:

- QR: a module is black or white by its mean, the finder patterns are drawn in again, and a decoder is asked.
- text: a letter is the one of the alphabet that correlates best (a matched filter).

The letters of a poster all differ, so that a reader that always says the same is wrong. ENOUGH_LETTERS of them are
right by chance once in 200 000 times, and a code is decoded by chance never: its error correction has to agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np

TEXT = "HOSPITAL"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTERS = 8
ENOUGH_LETTERS = 5  # of them, anywhere: a word that lacks three can be guessed

# The layout, in modules of the code.
CODE = 21  # QR's version 1 (ISO 18004), which holds eight letters
CORRECTED = 8 * 8 + 6  # wrong modules at most that level H makes up for: 8 code words, 3 in each copy of the format
QUIET = 4  # of white around it, likewise
WIDTH = CODE + 2 * QUIET
CAPS = 4  # height of the letters
PITCH = 3.5  # from letter to letter
LINE_TOP = CODE + QUIET + 2
LINE = CAPS + 4  # height of the line, with white above and below
HEIGHT = LINE_TOP + LINE

PIXELS = 8  # per module, in a rectified poster
MARGIN = 6  # modules of the wall around it: what the blur carried there is needed to sharpen the poster
BLURS = (0.5, 0.75, 1.0, 1.4, 1.7, 2.0, 2.4, 3.0, 4.0)  # sigma in modules: the nearest is near enough
NOISE = (
    1e-5  # of the signal's power: what reads most after a blur of 1 to 2 modules, of one frame and of the mean of 50
)
FLAT = 1e-3  # grey levels between the darkest and the brightest: nothing to stretch


def poster(height: int, text: str = TEXT) -> np.ndarray:
    """A QR code of `text` and below it the text, black on white.

    Parameters
    ----------
    height : px. It can be read from about 80 on.
    text : eight different letters from A to Z.

    Returns
    -------
    uint8 (height, w, 3), BGR, w = height * WIDTH / HEIGHT.

    Raises
    ------
    ValueError
        Another text.
    """
    if len(text) != LETTERS or len(set(text)) != LETTERS or not set(text) <= set(ALPHABET):
        raise ValueError(f"text {text!r} of a poster: expected {LETTERS} different letters from A to Z, as {TEXT!r}")
    pixels = max(PIXELS, -(-height // HEIGHT))
    grey = np.full((HEIGHT * pixels, WIDTH * pixels), 255, np.uint8)
    _code_area(grey, pixels)[:] = _code(text).repeat(pixels, axis=0).repeat(pixels, axis=1)
    for i, letter in enumerate(text):
        _letter_area(grey, i, pixels)[:] = _letter(letter, pixels)
    size = (round(height * WIDTH / HEIGHT), height)
    return cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)


def hang(picture: np.ndarray, poster: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """A copy of `picture`, uint8 (H, W, 3), with `poster` at `corners`, as in `readable`."""
    there = _homography(_box(*poster.shape[1::-1]), corners)
    hung = picture.copy()
    cv2.warpPerspective(poster, there, picture.shape[1::-1], dst=hung, borderMode=cv2.BORDER_TRANSPARENT)
    return hung


def upright(left: float, top: float, height: float) -> np.ndarray:
    """Corners, float32 (4, 2), of a poster of that height (px) that hangs straight, its left upper corner there."""
    return _box(height * WIDTH / HEIGHT, height) + np.array([left, top], np.float32)


def readable(picture: np.ndarray, poster: np.ndarray, corners: np.ndarray) -> bool:
    """Whether the code or the text of `poster` can be made out where it hangs in `picture`.

    Parameters
    ----------
    picture : uint8 (H, W, 3), BGR; or float of the same range, the mean of many frames.
    poster : uint8 (h, w, 3) from `poster`, as large as it can itself be read.
    corners : float32 (4, 2), x and y in px: left upper, right upper, right lower, left lower corner.

    Raises
    ------
    ValueError
        `poster` cannot be read.
    """
    text = _decode(_modules(_rectify(poster, _box(*poster.shape[1::-1]))))
    if text is None:
        raise ValueError(f"a poster of {poster.shape[0]} px height cannot be read; expected about 80 or more")
    return any(_code_read(sharp, text) or _text_read(sharp, text) for sharp in _sharpened(_rectify(picture, corners)))


def _text_read(crop: np.ndarray, text: str) -> bool:
    return right_letters(crop, text) >= ENOUGH_LETTERS


def _code_read(crop: np.ndarray, text: str) -> bool:
    modules = _modules(crop)
    return int(np.count_nonzero(modules != _code(text))) <= CORRECTED and _decode(modules) == text


def right_letters(crop: np.ndarray, text: str) -> int:
    """How many letters of `text` stand in `crop`, a rectified poster."""
    return sum(_read(_letter_area(_inside(crop), i, PIXELS)) == letter for i, letter in enumerate(text))


def _rectify(picture: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The poster with MARGIN, PIXELS per module, in grey: float32 ((HEIGHT + 2 MARGIN) PIXELS, ...)."""
    margin = 2 * MARGIN / HEIGHT * np.ptp(corners, axis=0).max()  # twice: what hangs aslant needs more
    left, top = np.maximum(corners.min(axis=0) - margin, 0).astype(int)
    right, bottom = np.maximum(corners.max(axis=0) + margin, 1).astype(int)
    corners = corners - (left, top)
    grey = picture[top:bottom, left:right].astype(np.float32).mean(axis=2)
    # Averaged first: pixels left out would be noise that an attacker need not have. By a whole number nothing is lost.
    larger = int(np.linalg.norm(corners[3] - corners[0]) / (HEIGHT * PIXELS))
    if larger > 1:
        size = (max(1, grey.shape[1] // larger), max(1, grey.shape[0] // larger))
        grey = cv2.resize(grey[: size[1] * larger, : size[0] * larger], size, interpolation=cv2.INTER_AREA)
        corners = corners / larger
    there = _homography(corners, _box(WIDTH * PIXELS, HEIGHT * PIXELS) + MARGIN * PIXELS)
    size = ((WIDTH + 2 * MARGIN) * PIXELS, (HEIGHT + 2 * MARGIN) * PIXELS)
    return cv2.warpPerspective(grey, there, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _sharpened(crop: np.ndarray) -> Iterator[np.ndarray]:
    """`crop` with its contrast stretched to 0..255, and the same less a blur: none where it is flat."""
    darkest, brightest = np.percentile(_inside(crop), (1, 99))
    if brightest - darkest < FLAT:
        return
    stretched = (crop - darkest) * (255 / (brightest - darkest))
    yield stretched
    spectrum = np.fft.rfft2(stretched - stretched.mean())
    for sigma in BLURS:
        yield np.fft.irfft2(spectrum * _wiener(sigma, crop.shape), crop.shape)


@cache
def _wiener(sigma: float, shape: tuple[int, int]) -> np.ndarray:
    """float32: of each frequency that `rfft2` gives, how much it is raised against a Gaussian of `sigma` modules."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    passed = np.exp(-2 * (np.pi * frequency * sigma * PIXELS) ** 2)
    return (passed / (passed**2 + NOISE)).astype(np.float32)


def _modules(crop: np.ndarray) -> np.ndarray:
    """uint8 (CODE, CODE), 0 or 255: the modules of the code in `crop`, a rectified poster."""
    pixels = _code_area(_inside(crop), PIXELS)
    means = cv2.resize(np.ascontiguousarray(pixels), (CODE, CODE), interpolation=cv2.INTER_AREA)
    around = cv2.blur(means, (7, 7), borderType=cv2.BORDER_REFLECT)  # 7: no part of a finder pattern is larger
    return np.where(_fixed(), _code(TEXT), np.where(means > around, 255, 0)).astype(np.uint8)


def _decode(modules: np.ndarray) -> str | None:
    """What a code says, uint8 (CODE, CODE)."""
    printed = np.pad(modules, QUIET, constant_values=255).repeat(4, axis=0).repeat(4, axis=1)
    try:
        return cv2.QRCodeDetector().detectAndDecode(printed)[0] or None
    except cv2.error:  # of OpenCV 5.0: it reads on past the end of a code that says it is longer
        return None


def _read(cell: np.ndarray) -> str:
    """The letter that correlates best with `cell`, float (LINE * PIXELS, PITCH * PIXELS)."""
    return ALPHABET[int(np.argmax(_alphabet() @ (cell - cell.mean()).ravel()))]


@cache
def _alphabet() -> np.ndarray:
    """float32 (26, pixels of a letter's area): mean 0, norm 1."""
    letters = np.stack([_letter(letter, PIXELS).ravel() for letter in ALPHABET]).astype(np.float32)
    letters -= letters.mean(axis=1, keepdims=True)
    return letters / np.linalg.norm(letters, axis=1, keepdims=True)


@cache
def _letter(letter: str, pixels: int) -> np.ndarray:
    """uint8 (LINE * pixels, PITCH * pixels): a bold letter, black on white."""
    drawn = np.full((400, 400), 255, np.uint8)
    cv2.putText(drawn, letter, (100, 300), cv2.FONT_HERSHEY_SIMPLEX, 6.0, (0,), 16, cv2.LINE_AA)
    x, y, w, h = cv2.boundingRect(255 - drawn)
    height, room = CAPS * pixels, int(PITCH * pixels)
    width = min(round(w * height / h), room - max(1, pixels // 4))
    area = np.full((LINE * pixels, room), 255, np.uint8)
    top, left = (area.shape[0] - height) // 2, (room - width) // 2
    ink = cv2.resize(drawn[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_AREA)
    area[top : top + height, left : left + width] = ink
    return area


@cache
def _code(text: str) -> np.ndarray:
    """uint8 (CODE, CODE), 0 or 255: the modules of a QR code with the most error correction there is."""
    params = cv2.QRCodeEncoder.Params()
    params.correction_level = cv2.QRCodeEncoder_CORRECT_LEVEL_H
    code = cv2.QRCodeEncoder.create(params).encode(text)
    rows, columns = np.nonzero(code == 0)  # without the white around it
    return code[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


@cache
def _fixed() -> np.ndarray:
    """bool (CODE, CODE): modules that are the same in every code: finder patterns and timing (ISO 18004, 6.3)."""
    fixed = np.zeros((CODE, CODE), bool)
    fixed[:8, :8] = fixed[:8, -8:] = fixed[-8:, :8] = True
    fixed[6, :] = fixed[:, 6] = True
    return fixed


def _inside(crop: np.ndarray) -> np.ndarray:
    """A view without the margin."""
    return crop[MARGIN * PIXELS : -MARGIN * PIXELS, MARGIN * PIXELS : -MARGIN * PIXELS]


def _code_area(grey: np.ndarray, pixels: int) -> np.ndarray:
    """A view of where the code is, of a poster of that many pixels per module."""
    return grey[QUIET * pixels : (QUIET + CODE) * pixels, QUIET * pixels : (QUIET + CODE) * pixels]


def _letter_area(grey: np.ndarray, i: int, pixels: int) -> np.ndarray:
    """A view of where letter `i` is."""
    left = int((WIDTH - LETTERS * PITCH) / 2 * pixels) + i * int(PITCH * pixels)
    return grey[LINE_TOP * pixels : (LINE_TOP + LINE) * pixels, left : left + int(PITCH * pixels)]


def _box(width: float, height: float) -> np.ndarray:
    """Corners of a box at the origin, float32 (4, 2)."""
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)


def _homography(corners: np.ndarray, to: np.ndarray) -> np.ndarray:
    """float64 (3, 3). Corners lie between pixels, and OpenCV counts from the middle of the first."""
    return cv2.getPerspectiveTransform((corners - 0.5).astype(np.float32), (to - 0.5).astype(np.float32))
