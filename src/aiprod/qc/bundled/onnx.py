"""ONNX networks on the CPU, one thread: the engine runs clips side by side, and sums keep their order."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.errors import AiprodError, words_of


class Network:
    """A loaded network of one input and one output, or of several by name."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # it warns of shapes that the exporter left out
        options.enable_cpu_mem_arena = False  # pictures differ in size: an arena keeps the largest of each
        self._name = path.name
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._first = self._session.get_inputs()[0].name

    def __call__(self, inputs: np.ndarray | dict[str, np.ndarray]) -> list[Any]:
        """The outputs.

        Raises:
            AiprodError: it cannot work on this.
        """
        try:
            outputs: list[Any] = self._session.run(None, inputs if isinstance(inputs, dict) else {self._first: inputs})
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime raises a kind of its own for each fault
            raise AiprodError(f"the network {self._name} failed ({words_of(error)})", "report this clip") from None
        return outputs


@lru_cache(maxsize=8)
def load(path: Path) -> Network:
    """The network of a file, kept for the process."""
    return Network(path)
