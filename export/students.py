"""The students as ONNX graphs: each architecture of `training/` once more, line by line, from folded weights.

Knows nothing about torch. `tests/export/test_export.py` holds every graph to its torch module's numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from .errors import ModelError, UsageError
from .graph import INPUT, Arrays, GraphBuilder

MIN_SIDE, MAX_SIDE = 64, 1024  # pixels of the student's input: below, its inmost layer is a pixel or two


@dataclass(frozen=True)
class Architecture:
    """What one kind of student is, besides its weights."""

    write: Callable[[GraphBuilder], str]  # adds its nodes, returns the name of the logits
    size: tuple[int, int]  # (h, w) of the input, if nothing else is asked for
    multiple: int  # of pixels; sides of the input divide by it
    mean: tuple[float, float, float]  # RGB, of pixels in [0, 1]: image = (rgb - mean) / std
    std: tuple[float, float, float]


def _jitnet(g: GraphBuilder) -> str:
    """training/students/jitnet.py, batch norm folded."""

    def block(x: str, name: str, stride: int = 1) -> str:
        long = g.conv(g.conv(g.conv(x, f"{name}.conv3x3", stride), f"{name}.conv1x3"), f"{name}.conv3x1")
        return g.relu(g.add(long, g.conv(x, f"{name}.shortcut", stride)))

    half = g.relu(g.conv(INPUT, "stem1.conv", stride=2))
    x = g.relu(g.conv(half, "stem2.conv", stride=2))
    skip1 = block(x, "enc1", stride=2)
    skip2 = block(skip1, "enc2", stride=2)
    x = block(skip2, "enc3", stride=2)
    x = g.concat(skip2, g.upsample_like(block(x, "dec3"), skip2))
    x = g.concat(skip1, g.upsample_like(block(x, "dec2"), skip1))
    x = g.upsample_like(block(x, "dec1"), half)
    x = g.relu(g.conv(x, "head1.conv"))
    x = g.relu(g.conv(x, "head2.conv"))
    return g.conv(x, "logits")


def _lite(g: GraphBuilder) -> str:
    """training/students/lite.py."""

    def gate(x: str, name: str) -> str:
        return g.sigmoid(g.conv(g.relu(g.conv(g.mean(x), f"{name}.squeeze")), f"{name}.excite"))

    def bottleneck(x: str, name: str, stride: int = 1, gated: bool = False, hard: bool = False) -> str:
        activation = g.hardswish if hard else g.relu
        wide = activation(g.conv(x, f"{name}.expand"))
        wide = activation(g.conv(wide, f"{name}.depthwise", stride, groups=g.shapes[wide][0], centred=False))
        narrow = g.conv(g.multiply(wide, gate(wide, f"{name}.gate")) if gated else wide, f"{name}.project")
        return g.add(narrow, x) if g.shapes[narrow] == g.shapes[x] else narrow

    def up(x: str, skip: str, name: str) -> str:
        x = g.upsample_like(g.conv(x, f"{name}.narrow"), skip)
        x = g.add(g.multiply(skip, gate(g.add(skip, x), f"{name}.gate")), x)
        x = g.relu(g.conv(x, f"{name}.mix"))
        return g.add(x, g.relu(g.conv(x, f"{name}.depthwise", groups=g.shapes[x][0])))

    half = g.hardswish(g.conv(INPUT, "stem", stride=2, centred=False))
    quarter = bottleneck(half, "enc1", stride=2, gated=True)
    eighth = bottleneck(bottleneck(quarter, "enc2", stride=2), "enc3")
    x = bottleneck(eighth, "enc4", stride=2, gated=True, hard=True)
    for name in ("enc5", "enc6", "enc7", "enc8"):
        x = bottleneck(x, name, gated=True, hard=True)
    everywhere = g.sigmoid(g.conv(g.mean(x), "context_gate"))
    x = g.multiply(g.relu(g.conv(x, "context")), everywhere)
    x = up(up(up(x, eighth, "dec3"), quarter, "dec2"), half, "dec1")
    return g.pixel_shuffle(g.conv(x, "logits"))


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # as the authors
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}

STUDENTS = {
    "lite": Architecture(_lite, (240, 320), 16, **PLAIN),
    "jitnet": Architecture(_jitnet, (240, 240), 1, **IMAGENET),
    "jitnet-fig2": Architecture(_jitnet, (240, 240), 1, **IMAGENET),
}


def architecture(student: str, size: tuple[int, int] | None = None) -> Architecture:
    """The architecture called `student`, for an input of `size` (h, w) where that is given.

    Raises
    ------
    UsageError
        There is none of this name, or it cannot take this size.
    """
    if student not in STUDENTS:
        raise UsageError(f"unknown student {student!r}; choose one of {', '.join(STUDENTS)}")
    found = STUDENTS[student]
    if size is not None and (
        min(size) < MIN_SIDE or max(size) > MAX_SIDE or any(side % found.multiple for side in size)
    ):
        multiple = f", in multiples of {found.multiple}" if found.multiple > 1 else ""
        raise UsageError(f"size is {size[0]}x{size[1]}; {student} takes sides from {MIN_SIDE} to {MAX_SIDE}{multiple}")
    return found


def input_size(student: str, size: int | str | tuple[int, int] | None) -> tuple[int, int]:
    """(h, w) of the input of `student`.

    Parameters
    ----------
    size : a side, "WxH", (h, w), or None: the student's own; pixels.

    Raises
    ------
    UsageError
        The student is unknown or cannot take this size.
    """
    own = architecture(student).size
    if isinstance(size, str):
        sides = size.lower().split("x")
        if not all(side.isdecimal() for side in sides) or len(sides) > 2:
            raise UsageError(f"size is {size!r}; expected a side or WxH, for example {own[1]}x{own[0]}")
        size = (int(sides[-1]), int(sides[0]))
    size = own if size is None else (size, size) if isinstance(size, int) else size
    architecture(student, size)
    return size


def build(student: str, folded: Arrays, size: tuple[int, int]) -> onnx.ModelProto:
    """The graph of `student` for input (1, 3, *size): `image` float32 -> `logits` float32.

    Parameters
    ----------
    folded : what `export.fold.fold` returns.
    size : (h, w).

    Raises
    ------
    UsageError
        The student is unknown, or cannot take this size.
    ModelError
        `folded` is not its weights.
    """
    builder = GraphBuilder(folded, size)
    try:
        logits = architecture(student, size).write(builder)
        model = builder.model(logits)
        onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except KeyError as error:
        raise ModelError(f"the weights hold no tensor {error}; they are not those of {student}") from error
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"the weights do not fit {student}: {error}") from error
    return model
