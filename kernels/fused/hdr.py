"""`bgr_from_hdr`: what is hard to compute is looked up, the rest is done row by row, which LLVM vectorises."""

from __future__ import annotations

import threading

import numpy as np
from numpy import float32, int32, uint32

from ..checks import check_frame, check_planes
from ..hdr import STEPS, ToneMap, tone_map
from .compilation import Kernel, plain

LAST = STEPS - 1


def warm() -> None:
    """Compile (or load) it."""
    y, chroma = np.zeros((4, 6), np.uint16), np.zeros((2, 3), np.uint16)
    tones = tone_map("hlg", "bt2020", "bt2020", False, 1000.0)
    bgr_from_hdr(y, chroma, chroma, tones, np.empty((4, 6, 3), np.uint8))


class Plan:
    """Scratch for rows of one width."""

    def __init__(self, width: int):
        half = -(-width // 2)
        self.width = width
        self.chroma, self.light = np.zeros((3, half), np.float32), np.zeros((3, 2 * half), np.float32)
        self.place = np.zeros((3, 2 * half), np.int32)


class _Plans(threading.local):
    """As in plan.py: each thread owns its scratch, and a changed size replaces the plan."""

    plan: Plan | None = None


plans = _Plans()


def bgr_from_hdr(y: np.ndarray, u: np.ndarray, v: np.ndarray, tones: ToneMap, out: np.ndarray) -> np.ndarray:
    """See `kernels.hdr.bgr_from_hdr`."""
    check_frame(out, "out")
    check_planes(y, u, v, out.shape[:2], np.uint16)
    if plans.plan is None or plans.plan.width != out.shape[1]:
        plans.plan = Plan(out.shape[1])
    plan = plans.plan
    y, u, v = (plane if plain(plane) else np.array(plane) for plane in (y, u, v))
    tables = tones.matrix, tones.linear, tones.gain, tones.gamut, tones.level
    _bgr_from_hdr(y, u, v, *tables, plan.chroma, plan.place, plan.light, out.reshape(out.shape[0], -1))
    return out


@Kernel
def _place(value):
    return int32(min(max(value, float32(0)), float32(LAST)) + float32(0.5))


@Kernel
def _chroma(matrix, u, v, out):
    """What the two chroma samples add to the place of B', G' and R'."""
    for channel in range(3):
        of_u, of_v, black, row = matrix[channel, 1], matrix[channel, 2], matrix[channel, 3], out[channel]
        for i in range(row.shape[0]):
            row[i] = of_u * float32(u[i]) + of_v * float32(v[i]) + black


@Kernel
def _signal_places(matrix, y, chroma, place):
    pixels = min(y.shape[0], place.shape[1])
    for channel in range(3):
        of_y, added, row = matrix[channel, 0], chroma[channel], place[channel]
        for i in range(pixels // 2):
            x = uint32(2) * uint32(i)
            row[x] = _place(added[i] + of_y * float32(y[x]))
            row[x + uint32(1)] = _place(added[i] + of_y * float32(y[x + uint32(1)]))
        if pixels % 2:
            row[pixels - 1] = _place(added[pixels // 2] + of_y * float32(y[pixels - 1]))


@Kernel
def _to_light(place, linear, gain, light):
    for i in range(light.shape[1]):
        b, g, r = place[0, i], place[1, i], place[2, i]
        scale = gain[max(b, max(g, r))]
        light[0, i], light[1, i], light[2, i] = linear[b] * scale, linear[g] * scale, linear[r] * scale


@Kernel
def _light_places(gamut, light, place):
    for channel in range(3):
        of_b, of_g, of_r, row = gamut[channel, 0], gamut[channel, 1], gamut[channel, 2], place[channel]
        for i in range(row.shape[0]):
            value = of_b * light[0, i] + of_g * light[1, i] + of_r * light[2, i]
            row[i] = _place(np.sqrt(min(max(value, float32(0)), float32(1))) * float32(LAST))


@Kernel
def _levels(place, level, line):
    for i in range(line.shape[0] // 3):
        byte = uint32(3) * uint32(i)
        line[byte] = level[place[0, i]]
        line[byte + uint32(1)] = level[place[1, i]]
        line[byte + uint32(2)] = level[place[2, i]]


@Kernel
def _bgr_from_hdr(y, u, v, matrix, linear, gain, gamut, level, chroma, place, light, out):
    for row in range(out.shape[0]):
        if row % 2 == 0:
            _chroma(matrix, u[row // 2], v[row // 2], chroma)
        _signal_places(matrix, y[row], chroma, place)
        _to_light(place, linear, gain, light)
        _light_places(gamut, light, place)
        _levels(place, level, out[row])
