"""HDR and wide-gamut video as SDR: PQ and HLG (BT.2100), and BT.2020 or Display P3 colours, as BGR of BT.709.

A signal is made linear, brightness above SDR's white is rolled off by the curve of BT.2390, the colours are expressed
in BT.709's primaries and what lies outside of these is cut. Only the first and the last step depend on the kind of
signal, so all of it is tables (`ToneMap`) and one kernel that looks them up. `load` chooses Numba, else NumPy.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .checks import check_frame, check_planes
from .yuv import matrix_to_bgr

SDR_WHITE = 203.0  # cd/m², BT.2408: the light of white paper in an HDR picture
USUAL_PEAK = 1000.0  # cd/m², of a picture that does not say what its brightest is
HLG_WHITE = 0.265  # scene light of white paper in HLG, of the signal 0.75; BT.2408
STEPS = 4096  # entries of a table: four to one step of a 10-bit signal

# CIE 1931 x, y of red, green, blue; all with the white of D65
PRIMARIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
D65 = (0.3127, 0.3290)


@dataclass(frozen=True, eq=False)
class ToneMap:
    """What one kind of signal needs to be shown as SDR."""

    matrix: np.ndarray  # float32 (3, 4): place of B', G', R' in the tables = matrix @ (Y, U, V, 1), 10-bit levels
    linear: np.ndarray  # float32 (STEPS,): light of a signal; 1 is SDR's white
    gain: np.ndarray  # float32 (STEPS,): what that light is multiplied by, told from the largest of the three
    gamut: np.ndarray  # float32 (3, 3): B, G, R of BT.709 from those of the signal
    level: np.ndarray  # uint8 (STEPS,): BT.709's 8-bit level, over the square root of light


class BgrFromHdr(Protocol):
    """See `bgr_from_hdr`."""

    def __call__(self, y: np.ndarray, u: np.ndarray, v: np.ndarray, tones: ToneMap, out: np.ndarray) -> np.ndarray: ...


@functools.cache
def load() -> BgrFromHdr:
    """The fused kernel, compiled and warm; NumPy where Numba cannot be used."""
    try:
        module: Any = importlib.import_module(".fused.hdr", __package__)
        module.warm()
    except Exception:  # as in `kernels.load`, which says why
        return bgr_from_hdr
    return module.bgr_from_hdr


@functools.cache
def tone_map(transfer: str, primaries: str, standard: str, full: bool, peak: float) -> ToneMap:
    """The tables for one kind of signal.

    Parameters
    ----------
    transfer : "pq", "hlg" or "sdr".
    primaries : a key of PRIMARIES. standard : of `yuv.WEIGHTS`. full : whether levels use the full range.
    peak : cd/m², the brightest that a PQ picture holds; of no meaning to the others.
    """
    matrix = matrix_to_bgr(standard, full).copy()
    matrix[:, :3] *= 255 / 1023 if full else 1 / 4  # levels of 10 bits
    matrix[:, 3] = -matrix[:, :3] @ [0 if full else 64, 512, 512]
    signal = np.linspace(0, 1, STEPS)
    if transfer == "pq":
        white = min(SDR_WHITE, peak)
        linear = pq_to_nits(signal) / white
        gain = _ratio(roll_off(linear * white, peak, white) / white, linear)
        level = np.linspace(0, 1, STEPS) ** (2 / 2.4)  # BT.1886: pictures are matched as they are displayed
    else:
        # ... and HLG as it was filmed (BT.2408), so that it has the contrast of an SDR camera's
        linear = hlg_to_scene(signal) / HLG_WHITE if transfer == "hlg" else bt709_to_scene(signal)
        brightest = linear[-1] * SDR_WHITE
        gain = _ratio(roll_off(linear * SDR_WHITE, brightest, SDR_WHITE) / SDR_WHITE, linear)
        level = scene_to_bt709(np.linspace(0, 1, STEPS) ** 2)
    return ToneMap(
        (matrix * ((STEPS - 1) / 255)).astype(np.float32),
        linear.astype(np.float32),
        gain.astype(np.float32),
        _bgr_gamut(primaries).astype(np.float32),
        np.rint(level * 255).astype(np.uint8),
    )


def pq_to_nits(signal: np.ndarray) -> np.ndarray:
    """cd/m² of a PQ signal in [0, 1]: SMPTE ST 2084, equation 4."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = np.asarray(signal) ** (1 / m2)
    return 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def nits_to_pq(nits: np.ndarray | float) -> np.ndarray:
    """The inverse of `pq_to_nits`."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (np.asarray(nits) / 10000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg_to_scene(signal: np.ndarray) -> np.ndarray:
    """Scene light in [0, 1] of an HLG signal in [0, 1]: BT.2100, table 5, inverse of the OETF."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def bt709_to_scene(signal: np.ndarray) -> np.ndarray:
    """Scene light in [0, 1] of an SDR signal in [0, 1]: BT.709, inverse of item 1.2."""
    return np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))


def scene_to_bt709(light: np.ndarray) -> np.ndarray:
    """The inverse of `bt709_to_scene`."""
    return np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)


def roll_off(nits: np.ndarray, peak: float, white: float) -> np.ndarray:
    """cd/m² in [0, peak] as cd/m² in [0, white]: the EETF of BT.2390, section 5.4.1. What is dark stays as it is."""
    if peak <= white:
        return np.minimum(nits, white)
    top = float(nits_to_pq(peak))
    e, most = np.minimum(nits_to_pq(nits) / top, 1), float(nits_to_pq(white)) / top
    knee = 1.5 * most - 0.5
    t = np.maximum(e - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return np.where(e < knee, nits, pq_to_nits(spline * top))


def bgr_from_hdr(y: np.ndarray, u: np.ndarray, v: np.ndarray, tones: ToneMap, out: np.ndarray) -> np.ndarray:
    """A 10-bit 4:2:0 picture as SDR BGR. Each chroma sample counts for its four pixels.

    Parameters
    ----------
    y, u, v : uint16 (H, W) and (ceil(H / 2), ceil(W / 2)), or wider, levels in [0, 1023]; C-contiguous.
    tones : of `tone_map`.
    out : uint8 (H, W, 3), BGR, C-contiguous.

    Returns
    -------
    `out`.

    Raises
    ------
    ValueError
        An array is of another kind or size.
    """
    check_frame(out, "out")
    check_planes(y, u, v, out.shape[:2], np.uint16)
    H, W = out.shape[:2]
    wide = [np.repeat(np.repeat(plane, 2, 0), 2, 1)[:H, :W] for plane in (u, v)]
    yuv = np.stack([y[:, :W], *wide], axis=-1).astype(np.float32)
    at = np.rint(np.clip(yuv @ tones.matrix[:, :3].T + tones.matrix[:, 3], 0, STEPS - 1)).astype(np.int64)
    light = tones.linear[at] * tones.gain[at.max(-1, keepdims=True)]
    light = np.clip(light @ tones.gamut.T, 0, 1)
    out[...] = tones.level[np.rint(np.sqrt(light) * (STEPS - 1)).astype(np.int64)]
    return out


def _ratio(mapped: np.ndarray, light: np.ndarray) -> np.ndarray:
    return np.divide(mapped, light, out=np.ones_like(light), where=light > 0)


def _bgr_gamut(primaries: str) -> np.ndarray:
    """(3, 3): B, G, R of BT.709 from linear B, G, R of `primaries`."""
    rgb = np.linalg.inv(_to_xyz(PRIMARIES["bt709"])) @ _to_xyz(PRIMARIES[primaries])
    return rgb[::-1, ::-1]


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """(3, 3): CIE XYZ from linear R, G, B: SMPTE RP 177."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([D65[0] / D65[1], 1, (1 - D65[0] - D65[1]) / D65[1]])
    return columns * np.linalg.solve(columns, white)
