"""A small network in YuNet's form, written as an ONNX file by hand (onnx.proto3): it takes bright squares for faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

_FLOAT, _INT64 = 1, 7  # of TensorProto.DataType
_INTS = 7  # of AttributeProto.AttributeType


def _number(value: int) -> bytes:
    done = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        done.append(value & 127 | 128)
        value >>= 7
    return bytes([*done, value])


def _field(tag: int, value: int | str | bytes) -> bytes:
    """A field of a protocol buffer: a varint, or a string or message with its length."""
    if isinstance(value, int):
        return _number(tag << 3) + _number(value)
    data = value.encode() if isinstance(value, str) else value
    return _number(tag << 3 | 2) + _number(len(data)) + data


def _tensor(name: str, values: np.ndarray) -> bytes:
    kind = _FLOAT if values.dtype == np.float32 else _INT64
    dims = b"".join(_field(1, int(n)) for n in values.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _node(kind: str, inputs: Sequence[str], output: str, **lists: Sequence[int]) -> bytes:
    attributes = b"".join(
        _field(5, _field(1, name) + b"".join(_field(8, n) for n in numbers) + _field(20, _INTS))
        for name, numbers in lists.items()
    )
    return b"".join(_field(1, n) for n in inputs) + _field(2, output) + _field(3, output) + _field(4, kind) + attributes


def _value(name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(_field(1, _field(1, n)) for n in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, _FLOAT) + _field(2, dims)))


def bright_squares(path: Path, least: float = 0.5, outputs: Sequence[str] = ("cls", "obj", "bbox", "kps")) -> Path:
    """Write the network.

    A cell of the 32-pixel grid scores 1 where its mean is 0.1 over ``least`` of white or more, and 0 from there down;
    its face is the cell itself. The finer grids of 8 and 16 pixels see nothing.
    """
    nodes, constants, given = b"", b"", b""
    for stride in (8, 16, 32):
        for output, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            if output not in outputs:
                continue
            weight = np.zeros((channels, 3, stride, stride), np.float32)
            bias = np.zeros(channels, np.float32)
            if output == "cls":
                weight[:] = 10 / (255 * 3 * stride**2) if stride == 32 else 0
                bias[:] = -10 * least
            elif output == "obj":
                bias[:] = 1
            elif output == "bbox":
                bias[:2] = 0.5  # the middle of the cell; exp(0) cells wide and high
            name = f"{output}_{stride}"
            constants += _field(5, _tensor(f"{name}_w", weight)) + _field(5, _tensor(f"{name}_b", bias))
            constants += _field(5, _tensor(f"{name}_s", np.array([1, -1, channels], np.int64)))
            sides = [stride, stride]
            inputs = ["input", f"{name}_w", f"{name}_b"]
            nodes += _field(1, _node("Conv", inputs, f"{name}_c", kernel_shape=sides, strides=sides))
            nodes += _field(1, _node("Transpose", [f"{name}_c"], f"{name}_t", perm=[0, 2, 3, 1]))
            nodes += _field(1, _node("Reshape", [f"{name}_t", f"{name}_s"], name))
            given += _field(12, _value(name, [1, (640 // stride) ** 2, channels]))
    graph = nodes + _field(2, "bright squares") + constants + _field(11, _value("input", [1, 3, 640, 640])) + given
    path.write_bytes(_field(1, 8) + _field(2, "tests") + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path
