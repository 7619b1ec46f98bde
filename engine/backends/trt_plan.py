"""From an ONNX student to a TensorRT plan: parse, check names and shapes, build. Needs TensorRT, and no GPU.

TensorRT (server cards) and TensorRT-RTX (desktop cards) are one API under two names; `toolkit` takes the one that is
installed and fits the card. Without a GPU, TensorRT-RTX builds plans for cards that are named, without the ability to
be refitted: that needs the card itself (docs/gpu.md). Knows nothing about running a plan.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BackendUnavailable, ModelError

log = logging.getLogger("jit_masker")

MODULES = {"tensorrt_rtx": "TensorRT-RTX", "tensorrt": "TensorRT"}  # the order in which they are tried
KEPT_MESSAGES = 3  # of the toolkit's errors, for the text of ours


@dataclass(frozen=True)
class Toolkit:
    """TensorRT, by whichever name it is installed."""

    trt: Any  # the module
    name: str  # "TensorRT-RTX"
    version: str
    logger: Any  # collects errors; see `complaints`

    def complaints(self) -> str:
        """What the toolkit said since the last call, as one line."""
        said, self.logger.errors[:] = "; ".join(self.logger.errors[-KEPT_MESSAGES:]), []
        return said or f"{self.name} gave no reason"


@functools.cache
def toolkit(capability: tuple[int, int] | None = None) -> Toolkit:
    """TensorRT-RTX if it is installed and knows cards of this `capability` (None: any), else TensorRT.

    Raises
    ------
    BackendUnavailable
        Neither can be used; the message says why, and what to install.
    """
    reasons = []
    for module, name in MODULES.items():
        try:
            trt = importlib.import_module(module)
        except (ImportError, OSError, RuntimeError) as error:  # absent; a library is missing; a stub of a package
            reasons.append(f"{name}: {error}")
            continue
        if module == "tensorrt_rtx" and capability is not None and _compute_capability(trt, capability) is None:
            reasons.append(f"{name} knows no card of compute capability {capability[0]}.{capability[1]}")
            continue
        return Toolkit(trt, name, trt.__version__, _logger(trt))
    raise BackendUnavailable(
        f"backend 'trt' cannot be used: {'; '.join(reasons)}. Install it: pip install \"jit-masker[gpu,trt]\" for a "
        "desktop card, tensorrt for a server card; or use --backend ort-cuda, torch-cuda or auto"
    )


def parse(kit: Toolkit, model: bytes) -> tuple[Any, Any]:
    """(builder, network) of an ONNX student, its types as they are in the graph.

    Raises
    ------
    ModelError
        TensorRT cannot read it, or its input and output are not those of a student.
    """
    builder = kit.trt.Builder(kit.logger)
    network = builder.create_network(1 << int(kit.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = kit.trt.OnnxParser(network, kit.logger)
    if not parser.parse(model):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)) or kit.complaints()
        raise ModelError(f"{kit.name} cannot read this student: {errors}")
    ends = [(network.num_inputs, network.get_input), (network.num_outputs, network.get_output)]
    for (count, get), name, channels in zip(ends, ("image", "logits"), (3, 1), strict=True):
        tensor = get(0) if count == 1 else None
        if tensor is None or tensor.name != name or tuple(tensor.shape)[:2] != (1, channels):
            found = f"{tensor.name} {tuple(tensor.shape)}" if tensor is not None else f"{count} tensors"
            raise ModelError(f"this student has {found} where {name} (1, {channels}, h, w) was expected")
    return builder, network


def unknown_weights(kit: Toolkit, network: Any, names: Sequence[str]) -> list[str]:
    """Those of `names` that TensorRT does not know as weights it could refit. [] is what a refit needs.

    Asked of the network, by marking each; so it can be asked without a GPU.
    """
    unknown = [name for name in names if not network.mark_weights_refittable(name)]
    kit.complaints()
    return unknown


def build(kit: Toolkit, model: bytes, *, refit: bool, capabilities: Sequence[tuple[int, int]] = ()) -> bytes:
    """A plan of an ONNX student, for the card that is there, or ahead of time for the cards of these `capabilities`.

    Raises
    ------
    ModelError
        TensorRT cannot build it.
    """
    builder, network = parse(kit, model)
    config = builder.create_builder_config()
    if refit:
        config.set_flag(kit.trt.BuilderFlag.REFIT)
    if capabilities:
        config.num_compute_capabilities = len(capabilities)
        for i, capability in enumerate(capabilities):
            if not config.set_compute_capability(_compute_capability(kit.trt, capability), i):
                raise ModelError(f"{kit.name} {kit.version} does not build for SM {capability[0]}{capability[1]}")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelError(f"{kit.name} {kit.version} cannot build this student: {kit.complaints()}")
    return bytes(plan)


def _compute_capability(trt: Any, capability: tuple[int, int]) -> Any:
    """TensorRT-RTX's name for a card of this compute capability; None where it has none."""
    kinds = getattr(trt, "ComputeCapability", None)
    return getattr(kinds, f"SM{capability[0]}{capability[1]}", None)


def _logger(trt: Any) -> Any:
    """A logger of TensorRT's own kind: errors are kept for our messages, the rest goes to ours at debug level."""

    class Collecting(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message.strip())
                del self.errors[: -4 * KEPT_MESSAGES]
            else:
                log.debug("%s", message)

    return Collecting()
