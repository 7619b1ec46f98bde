"""From an ONNX student to a TensorRT plan: parse, check names and shapes, build. Needs TensorRT, and no GPU.

TensorRT (server cards) and TensorRT-RTX (desktop cards) are one API under two names; `find_tensorrt` takes the one that
is installed and knows the card. Without a GPU, TensorRT-RTX builds plans for cards that are named; one that can be
refitted needs the card itself (docs/gpu.md). Knows nothing about running a plan.
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
MAX_MESSAGES = 3  # of TensorRT's errors, in one of ours


@dataclass(frozen=True)
class TensorRT:
    """TensorRT, by whichever name it is installed."""

    api: Any  # the module
    name: str  # "TensorRT-RTX"
    version: str
    logger: Any  # collects errors; see `take_errors`

    def take_errors(self) -> str:
        """The errors that were logged since the last call, as one line."""
        said, self.logger.errors[:] = "; ".join(self.logger.errors[-MAX_MESSAGES:]), []
        return said or f"{self.name} gave no reason"


@functools.cache
def find_tensorrt(capability: tuple[int, int] | None = None) -> TensorRT:
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
        return TensorRT(trt, name, trt.__version__, _logger(trt))
    raise BackendUnavailable(
        f"backend 'trt' cannot be used: {'; '.join(reasons)}. Install it: pip install \"jit-masker[gpu,trt]\" for a "
        "desktop card, tensorrt for a server card; or use --backend ort-cuda, torch-cuda or auto"
    )


def parse(tensorrt: TensorRT, model: bytes) -> tuple[Any, Any]:
    """(builder, network) of an ONNX student, its types as they are in the graph.

    Raises
    ------
    ModelError
        TensorRT cannot read it, or its input and output are not called `image` and `logits`.
    """
    builder = tensorrt.api.Builder(tensorrt.logger)
    network = builder.create_network(1 << int(tensorrt.api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.api.OnnxParser(network, tensorrt.logger)
    if not parser.parse(model):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)) or tensorrt.take_errors()
        raise ModelError(f"{tensorrt.name} cannot read this student: {errors}")
    # TrtEngine asks for them by name; that their shapes are a student's is asked of the graph, in trt.py
    names = [network.get_input(i).name for i in range(network.num_inputs)]
    names += [network.get_output(i).name for i in range(network.num_outputs)]
    if names != ["image", "logits"]:
        raise ModelError(f"this student has the tensors {', '.join(names)}; expected image and logits")
    return builder, network


def unknown_weights(tensorrt: TensorRT, network: Any, names: Sequence[str]) -> list[str]:
    """Those of `names` that are no weights TensorRT could refit; a refit needs that there are none.

    Asked of the network, by marking each; so it can be asked without a GPU.
    """
    unknown = [name for name in names if not network.mark_weights_refittable(name)]
    tensorrt.take_errors()
    return unknown


def build(tensorrt: TensorRT, model: bytes, *, refit: bool, capabilities: Sequence[tuple[int, int]] = ()) -> bytes:
    """A plan of an ONNX student, for the card that is there, or ahead of time for the cards of these `capabilities`.

    Raises
    ------
    ModelError
        TensorRT cannot build it.
    """
    builder, network = parse(tensorrt, model)
    config = builder.create_builder_config()
    if refit:
        config.set_flag(tensorrt.api.BuilderFlag.REFIT)
    if capabilities:
        config.num_compute_capabilities = len(capabilities)
        for i, capability in enumerate(capabilities):
            if not config.set_compute_capability(_compute_capability(tensorrt.api, capability), i):
                raise ModelError(
                    f"{tensorrt.name} {tensorrt.version} does not build for SM {capability[0]}{capability[1]}"
                )
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelError(f"{tensorrt.name} {tensorrt.version} cannot build this student: {tensorrt.take_errors()}")
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
                del self.errors[: -4 * MAX_MESSAGES]
            else:
                log.debug("%s", message)

    return Collecting()
