"""A mouth as curves of ARKit's blendshapes, which animation programs read, in CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import write_json, write_text
from aiprod.errors import AiprodError
from aiprod.speech.visemes import VISEMES

Floats = NDArray[np.float64]
NAMES = (
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
)
"""Those of the 52 that speech moves; all others are 0."""
_JAW = 0.7  # of a jaw as far open as it goes, in the widest vowel


def blendshapes(visemes: Floats, mouth: Floats) -> Floats:
    """Weights ``[T, 14]`` from 0 to 1, in the order of :data:`NAMES`.

    Args:
        visemes: probabilities ``[T, 15]``.
        mouth: ``[T, 4]``.
    """
    aperture, width, rounding, teeth = mouth.T
    lips, lip_teeth = visemes[:, VISEMES.index("PP")], visemes[:, VISEMES.index("FF")]
    jaw = _JAW * np.maximum(aperture, 0.1 * lips)
    stretch = np.clip(2 * width - 1, 0, 1)
    shown = 0.5 * teeth * np.minimum(1, 4 * aperture)
    columns = {
        "jawOpen": jaw,
        "mouthClose": np.clip(jaw - _JAW * aperture, 0, 1),  # how far lips close what the jaw has opened
        "mouthFunnel": rounding * np.minimum(1, 2 * aperture),
        "mouthPucker": rounding * (1 - np.minimum(1, 2 * aperture)),
        "mouthStretchLeft": stretch,
        "mouthStretchRight": stretch,
        "mouthRollLower": 0.7 * lip_teeth + 0.3 * lips,
        "mouthRollUpper": 0.3 * lips,
        "mouthPressLeft": 0.5 * lips,
        "mouthPressRight": 0.5 * lips,
        "mouthUpperUpLeft": shown,
        "mouthUpperUpRight": shown,
        "mouthLowerDownLeft": 0.6 * shown,
        "mouthLowerDownRight": 0.6 * shown,
    }
    return np.stack([columns[name] for name in NAMES], 1).clip(0, 1)


def write_curves(path: Path, times_s: Floats, weights: Floats, visemes: Sequence[str], fps: float) -> None:
    """Write a line for each picture, as ``.csv`` or ``.json``.

    Raises:
        AiprodError: another suffix.
    """
    if path.suffix.lower() == ".json":
        rows = [[round(float(v), 4) for v in line] for line in weights]
        content = {"synthetic": True, "fps": fps, "blendshapes": list(NAMES), "weights": rows, "visemes": list(visemes)}
        write_json(path, content)
        return
    if path.suffix.lower() != ".csv":
        raise AiprodError(f"{path} is named neither .csv nor .json", "give a name that ends in one of them")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time_s", "viseme", *NAMES])
    for at, viseme, line in zip(times_s, visemes, weights, strict=True):
        writer.writerow([f"{at:.4f}", viseme, *(f"{v:.4f}" for v in line)])
    write_text(path, text.getvalue())
