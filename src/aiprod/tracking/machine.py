"""What the machine does, in the names of MLflow's system metrics, without loading MLflow."""

from __future__ import annotations

import contextlib
import time

import psutil

_AGAIN_S = 0.5  # a shorter time says little of how busy processors are


class Machine:
    """Figures of processors, memory and GPUs (psutil, NVML).

    A processor's figure is the mean since the one before, or since this object was made.
    """

    def __init__(self) -> None:
        psutil.cpu_percent()
        self._asked = time.monotonic()
        self._figures: dict[str, float] = {}

    def figures(self) -> dict[str, float]:
        """Percentages and megabytes (10⁶ bytes); those of half a second ago are told again."""
        now = time.monotonic()
        if not self._figures or now - self._asked >= _AGAIN_S:
            memory = psutil.virtual_memory()
            self._asked = now
            self._figures = {
                "system/cpu_utilization_percentage": psutil.cpu_percent(),
                "system/system_memory_usage_megabytes": memory.used / 1e6,
                "system/system_memory_usage_percentage": memory.percent,
                **_gpus(),
            }
        return self._figures


def _gpus() -> dict[str, float]:
    """Figures of each GPU; none where NVIDIA's library or driver is not there."""
    figures = {}
    with contextlib.suppress(Exception):  # NVML has an exception of its own for each way not to be there
        import pynvml

        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory = pynvml.nvmlDeviceGetMemoryInfo(device)
            figures[f"system/gpu_{number}_utilization_percentage"] = float(
                pynvml.nvmlDeviceGetUtilizationRates(device).gpu
            )
            figures[f"system/gpu_{number}_memory_usage_megabytes"] = memory.used / 1e6
            figures[f"system/gpu_{number}_memory_usage_percentage"] = 100 * memory.used / memory.total
    return figures
