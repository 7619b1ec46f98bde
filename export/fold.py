"""Batch norm folded into the convolution before it, by name. NumPy only: knows nothing about torch or ONNX.

`<block>.norm.{weight,bias,running_mean,running_var}` disappears into the convolutions that feed it, whose names stay
as they are, so that every tensor of the exported graph is one tensor of the student.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

BATCH_NORM_EPS = 1e-3  # the authors' blocks; also what the student is built with

Weights = Mapping[str, np.ndarray]


def fold(weights: Weights) -> dict[str, np.ndarray]:
    """The same network without batch norm.

    Parameters
    ----------
    weights : name -> array, as in the student's state dict.

    Returns
    -------
    dict of float32 C-contiguous arrays: the convolutions' weights and biases, scaled and shifted.

    With s = weight / sqrt(var + eps) and t = bias - mean * s, norm(a + b) = s*a + s*b + t for convolutions a, b.
    """
    folded = {k: np.array(v, np.float32, order="C") for k, v in weights.items() if ".norm." not in k}
    for name in [k.removesuffix(".norm.weight") for k in weights if k.endswith(".norm.weight")]:
        gamma, beta, mean, var = (
            np.asarray(weights[f"{name}.norm.{k}"], np.float32)
            for k in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(var + np.float32(BATCH_NORM_EPS))
        # a ConvNorm has one producer, `conv`; a Block adds two, and the shift goes into one of them
        producers = ["conv"] if f"{name}.conv.weight" in folded else ["conv3x1", "shortcut"]
        for producer in producers:
            folded[f"{name}.{producer}.weight"] *= scale[:, None, None, None]
            folded[f"{name}.{producer}.bias"] *= scale
        folded[f"{name}.{producers[0]}.bias"] += beta - mean * scale
    return folded
