"""Batch norm folded into the convolution before it, by name. NumPy only: knows nothing about torch or ONNX.

`<block>.norm.{weight,bias,running_mean,running_var}` disappears into the convolutions that feed it, whose names stay
as they are, so that every tensor of the exported graph is one tensor of the student.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .errors import ModelError

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

    Raises
    ------
    ModelError
        A tensor that belongs to a norm is missing.

    With s = weight / sqrt(var + eps) and t = bias - mean * s, norm(a + b) = s*a + s*b + t for convolutions a, b.
    """
    folded = {k: np.array(v, np.float32, order="C") for k, v in weights.items() if ".norm." not in k}
    for norm in [k.removesuffix(".weight") for k in weights if k.endswith(".norm.weight")]:
        try:
            _fold_into_producers(folded, norm, weights)
        except KeyError as error:
            raise ModelError(f"the weights hold no tensor {error}, which {norm} needs; train them again") from error
    return folded


def _fold_into_producers(folded: dict[str, np.ndarray], norm: str, weights: Weights) -> None:
    gamma, beta, mean, var = (
        np.asarray(weights[f"{norm}.{k}"], np.float32) for k in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(var + np.float32(BATCH_NORM_EPS))
    block = norm.removesuffix(".norm")
    # most norms have one producer, `conv`; JITNet's blocks add two, and the shift goes into one of them
    producers = ["conv"] if f"{block}.conv.weight" in folded else ["conv3x1", "shortcut"]
    for producer in producers:
        folded[f"{block}.{producer}.weight"] *= scale[:, None, None, None]
        folded[f"{block}.{producer}.bias"] *= scale
    folded[f"{block}.{producers[0]}.bias"] += beta - mean * scale
