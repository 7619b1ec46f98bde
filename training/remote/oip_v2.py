"""The Open Inference Protocol v2 with its binary tensor extension: bytes <-> tensors. No network, no model.

A body is JSON, optionally followed by the tensors' raw bytes in the JSON's order; the header HEADER then says how long
the JSON is. Spoken by Triton, KServe and OpenVINO Model Server, and here by `jm-teacher` and RemoteTeacher.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HEADER = "Inference-Header-Content-Length"  # bytes of JSON at the start of a body, before the binary tensors
DATATYPES: dict[str, type] = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
    "BYTES": np.object_,  # each element any number of bytes, behind four that say how many
}  # fmt: skip
MAX_RANK = 8  # dimensions
MAX_DIGITS = 18  # of a length, which then fits into 64 bits


class ProtocolError(Exception):
    """A body that violates the protocol; the message names the part."""


@dataclass(frozen=True)
class RequestedOutput:
    """An output that a request names."""

    name: str
    binary: bool


@dataclass(frozen=True)
class Request:
    """An inference request."""

    inputs: dict[str, np.ndarray]  # by name; BYTES are object arrays of bytes
    outputs: tuple[RequestedOutput, ...] = ()  # empty: all of them
    id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    binary: bool = False  # of outputs that are not named


@dataclass(frozen=True)
class Response:
    """An inference response."""

    outputs: dict[str, np.ndarray]
    id: str = ""
    model: str = ""


# -- writing ---------------------------------------------------------------------------------------------------------


def encode_request(request: Request) -> tuple[bytes, int]:
    """The body, inputs in binary, and the length of its JSON."""
    head: dict[str, Any] = {"id": request.id, "inputs": []}
    if request.parameters:
        head["parameters"] = request.parameters
    chunks = [_describe(head["inputs"], name, tensor, binary=True) for name, tensor in request.inputs.items()]
    head["outputs"] = [{"name": a.name, "parameters": {"binary_data": a.binary}} for a in request.outputs]
    return _join(head, chunks)


def encode_response(response: Response, binary: Iterable[str]) -> tuple[bytes, int]:
    """The body and the length of its JSON; the outputs named in `binary` travel as bytes, the others as JSON."""
    wanted = set(binary)
    head: dict[str, Any] = {"model_name": response.model, "id": response.id, "outputs": []}
    chunks = [_describe(head["outputs"], name, tensor, name in wanted) for name, tensor in response.outputs.items()]
    return _join(head, chunks)


def datatype_of(tensor: np.ndarray) -> str:
    """The protocol's name of a tensor's type; ProtocolError if it has none."""
    for name, dtype in DATATYPES.items():
        if tensor.dtype == dtype:
            return name
    raise ProtocolError(f"the protocol has no name for {tensor.dtype}")


def _describe(listed: list[dict[str, Any]], name: str, tensor: np.ndarray, binary: bool) -> bytes:
    """Add a tensor's entry to `listed`; returns its bytes, none if they are in the entry."""
    entry: dict[str, Any] = {"name": name, "datatype": datatype_of(tensor), "shape": list(tensor.shape)}
    listed.append(entry)
    if not binary:
        flat = tensor.ravel().tolist()
        entry["data"] = [item.decode("utf-8") for item in flat] if tensor.dtype == np.object_ else flat
        return b""
    if tensor.dtype == np.object_:
        data = b"".join(struct.pack("<I", len(item)) + item for item in tensor.ravel())
    else:
        data = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()
    entry["parameters"] = {"binary_data_size": len(data)}
    return data


def _join(head: dict[str, Any], chunks: Sequence[bytes]) -> tuple[bytes, int]:
    text = json.dumps(head).encode()
    return b"".join((text, *chunks)), len(text)


# -- reading ---------------------------------------------------------------------------------------------------------


def decode_request(body: bytes, header: str | None) -> Request:
    """The request in `body`; `header` is the value of HEADER, None if there is none. ProtocolError."""
    head, rest = _split(body, header)
    outputs = []
    default = bool(_parameters(head).get("binary_data_output", False))
    for entry in _entries(head, "outputs"):
        outputs.append(RequestedOutput(_text(entry, "name"), bool(_parameters(entry).get("binary_data", default))))
    return Request(
        _tensors(_entries(head, "inputs"), rest), tuple(outputs), str(head.get("id", "")), _parameters(head), default
    )


def decode_response(body: bytes, header: str | None) -> Response:
    """The response in `body`; see `decode_request`."""
    head, rest = _split(body, header)
    outputs = _tensors(_entries(head, "outputs"), rest)
    return Response(outputs, str(head.get("id", "")), str(head.get("model_name", "")))


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; ProtocolError if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"expected a JSON object, got {type(value).__name__}")
    return value


def _split(body: bytes, header: str | None) -> tuple[dict[str, Any], memoryview]:
    if header is None:
        return read_json(body), memoryview(b"")
    digits = header.isascii() and header.isdecimal() and len(header) <= MAX_DIGITS
    if not (digits and 0 < int(header) <= len(body)):
        raise ProtocolError(f"{HEADER} is {header[:MAX_DIGITS]!r}, and the body has {len(body)} bytes")
    return read_json(body[: int(header)]), memoryview(body)[int(header) :]


def _entries(head: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = head.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ProtocolError(f"{key} is not a list of objects")
    return entries


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ProtocolError("parameters is not an object")
    return parameters


def _text(entry: dict[str, Any], key: str) -> str:
    if not isinstance(entry.get(key), str):
        raise ProtocolError(f"a tensor's {key} is {entry.get(key)!r}; expected text")
    return entry[key]


def _tensors(entries: list[dict[str, Any]], rest: memoryview) -> dict[str, np.ndarray]:
    tensors = {}
    for entry in entries:
        name, datatype = _text(entry, "name"), _text(entry, "datatype")
        if datatype not in DATATYPES:
            raise ProtocolError(f"{name} has the datatype {datatype!r}; known are {', '.join(DATATYPES)}")
        shape = _shape(name, entry.get("shape"))
        size = _parameters(entry).get("binary_data_size")
        if size is None:
            tensors[name] = _from_json(name, entry.get("data"), datatype, shape)
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest):
            raise ProtocolError(f"{name} has binary_data_size {size!r}, and {len(rest)} bytes are left")
        tensors[name] = _from_bytes(name, rest[:size], datatype, shape)
        rest = rest[size:]
    if len(rest):
        raise ProtocolError(f"{len(rest)} bytes belong to no tensor")
    return tensors


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    whole = isinstance(shape, list) and all(type(side) is int and side >= 0 for side in shape)
    if not whole or len(shape) > MAX_RANK:
        raise ProtocolError(f"{name} has the shape {shape!r}; expected a list of at most {MAX_RANK} whole numbers")
    return tuple(shape)


def _from_bytes(name: str, data: memoryview, datatype: str, shape: tuple[int, ...]) -> np.ndarray:
    count = math.prod(shape)
    if datatype == "BYTES":
        return _shaped(name, _from_lengths(name, data, count), shape)
    dtype = np.dtype(DATATYPES[datatype]).newbyteorder("<")
    if len(data) != count * dtype.itemsize:
        raise ProtocolError(f"{name} {datatype} {shape} has {len(data)} bytes, expected {count * dtype.itemsize}")
    return _shaped(name, np.frombuffer(data, dtype).astype(DATATYPES[datatype], copy=False), shape)


def _from_lengths(name: str, data: memoryview, count: int) -> np.ndarray:
    items: list[bytes] = []
    while len(data) and len(items) < count:
        if len(data) < 4:
            raise ProtocolError(f"{name}: {len(data)} bytes are left where a length of 4 was expected")
        (length,) = struct.unpack_from("<I", data)
        if length > len(data) - 4:
            raise ProtocolError(f"{name}: an element of {length} bytes, and {len(data) - 4} are left")
        items.append(bytes(data[4 : 4 + length]))
        data = data[4 + length :]
    if len(items) != count or len(data):
        raise ProtocolError(f"{name} has {len(items)} elements and {len(data)} more bytes, expected {count} elements")
    out = np.empty(count, np.object_)
    out[:] = items
    return out


def _from_json(name: str, data: Any, datatype: str, shape: tuple[int, ...]) -> np.ndarray:
    if not isinstance(data, list):
        raise ProtocolError(f"{name} has neither data nor binary_data_size")
    flat: list[Any] = []
    stack = [iter(data)]
    while stack:  # nested or flat, both are allowed
        for item in stack[-1]:
            if isinstance(item, list):
                stack.append(iter(item))
                break
            flat.append(item)
        else:
            stack.pop()
    if len(flat) != math.prod(shape):
        raise ProtocolError(f"{name} {shape} has {len(flat)} values, expected {math.prod(shape)}")
    kinds: type | tuple[type, ...] = str if datatype == "BYTES" else (int, float)
    if not all(isinstance(item, kinds) for item in flat):
        raise ProtocolError(f"{name} holds values that are no {datatype}")
    try:
        if datatype == "BYTES":
            out = np.empty(len(flat), np.object_)
            out[:] = [item.encode("utf-8") for item in flat]
        else:
            out = np.array(flat, DATATYPES[datatype])
    except (ValueError, OverflowError) as error:
        raise ProtocolError(f"{name} holds values that are no {datatype}: {error}") from error
    return _shaped(name, out, shape)


def _shaped(name: str, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`flat` in `shape`, which has as many elements."""
    try:
        return flat.reshape(shape)
    except (ValueError, OverflowError) as error:  # an empty tensor may claim sides beyond 64 bits
        raise ProtocolError(f"{name} has the shape {shape}: {error}") from error
