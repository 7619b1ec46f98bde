"""Loops over one row that kernels of several files need."""

from __future__ import annotations

from numpy import uint32

from .compilation import Kernel


@Kernel
def fill(out, value):
    for i in range(out.shape[0]):
        out[i] = value


@Kernel
def copy(out, source):
    for i in range(out.shape[0]):
        out[i] = source[i]


@Kernel
def thrice(out, alpha):
    """One weight a pixel becomes one a byte."""
    for i in range(alpha.shape[0]):
        byte = uint32(3) * uint32(i)
        out[byte] = alpha[i]
        out[byte + uint32(1)] = alpha[i]
        out[byte + uint32(2)] = alpha[i]


@Kernel
def replicate(row, border):
    """The pixels of `row` inside a border, copied into the border."""
    last = row.shape[0] - border
    for k in range(border):
        row[k] = row[border]
        row[last + k] = row[last - 1]
