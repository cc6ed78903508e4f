"""How far generated videos are from real ones as a crowd: Fréchet distances on plain features.

The distance is that of Heusel et al. (2017, arXiv:1706.08500) between two normal distributions, but on features that
are stated here instead of a network's, each divided by its deviation over the real videos. Beside every distance stand
those that bound it: between two halves of the real videos, and to noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from aiprod.evaluation.attributes import MeasuredVideo

_LEAST = 4  # videos of each kind below which there is no covariance to speak of
_BANDS_HZ = (60, 250, 500, 1000, 2000, 4000, 8000, 16000)
_SEED = 1_234


def colour_features(video: MeasuredVideo) -> np.ndarray:
    """Mean and deviation of L, a and b over all pixels [6]."""
    lab = video.colours.lab.reshape(-1, 3)
    return np.concatenate([lab.mean(axis=0), lab.std(axis=0)])


def edge_features(video: MeasuredVideo) -> np.ndarray:
    """Mean strength of edges (Sobel on L) at full, half and quarter size, and the share of them along x [4]."""
    features = []
    along = 0.0
    for scale in (1, 2, 4):
        strengths = []
        for lab in video.colours.lab[:: max(1, len(video.colours.lab) // 8)]:
            size = (lab.shape[1] // scale, lab.shape[0] // scale)
            light = cv2.resize(np.ascontiguousarray(lab[..., 0]), size, interpolation=cv2.INTER_AREA)
            x, y = (cv2.Sobel(light, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
            strengths.append(float(np.hypot(x, y).mean()))
            if scale == 1:
                along += float(np.abs(x).sum() / max(1e-9, np.abs(x).sum() + np.abs(y).sum()))
        features.append(np.log(np.mean(strengths) + 1e-3))
    return np.array([*features, along / len(strengths)])


def motion_features(video: MeasuredVideo) -> np.ndarray:
    """Shift of the ground along x and y, its growth, and the mean change of L between pictures [4]."""
    camera = video.camera
    return np.array([camera.x, camera.y, camera.edge, np.abs(np.diff(video.colours.lab[..., 0], axis=0)).mean()])


def sound_features(video: MeasuredVideo) -> np.ndarray:
    """Power in dB in seven bands from 60 Hz to 16 kHz, and the deviation of the 10 ms level in dB [8]."""
    assert video.sound is not None
    mono = video.sound.mean(axis=0)
    power = np.square(np.abs(np.fft.rfft(mono))) / len(mono) ** 2
    pitch = np.fft.rfftfreq(len(mono), 1 / video.sample_rate)
    bands = [
        10 * np.log10(power[(pitch >= low) & (pitch < high)].sum() + 1e-9)
        for low, high in itertools.pairwise(_BANDS_HZ)
    ]
    hop = video.sample_rate // 100
    level = 10 * np.log10(np.square(mono[: len(mono) // hop * hop].reshape(-1, hop)).mean(axis=1) + 1e-8)
    return np.array([*bands, level.std()])


FEATURES: dict[str, Callable[[MeasuredVideo], np.ndarray]] = {
    "colour": colour_features,
    "edges": edge_features,
    "motion": motion_features,
    "sound": sound_features,
}


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """‖μa − μb‖² + tr(A + B − 2·(A·B)^½) of two sets of features [videos, features], at least 0."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov_b @ root)
    cross = np.sqrt(np.clip(inner, 0, None)).sum()
    distance = np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
    return max(0.0, float(distance))


def distances(generated: Sequence[MeasuredVideo], real: Sequence[MeasuredVideo]) -> dict[str, dict[str, float]]:
    """Per kind of feature: distance of ``generated``, of one half of the ``real`` to the other, and of noise.

    Empty where there are too few videos; kinds that a video cannot show (no sound) are absent.
    """
    if min(len(generated), len(real) // 2) < _LEAST:
        return {}
    noise = _noise_like(real)
    report = {}
    for name, features in FEATURES.items():
        if name == "sound" and any(v.sound is None for v in (*generated, *real)):
            continue
        reference, produced, other = (np.array([features(v) for v in videos]) for videos in (real, generated, noise))
        scale = reference.std(axis=0) + 1e-9
        reference, produced, other = reference / scale, produced / scale, other / scale
        report[name] = {
            "generated": round(frechet(produced, reference), 3),
            "real_halves": round(frechet(reference[::2], reference[1::2]), 3),
            "noise": round(frechet(other, reference), 3),
        }
    return report


def _noise_like(real: Sequence[MeasuredVideo]) -> list[MeasuredVideo]:
    """Uniform pictures and white sound of the sizes of some real videos."""
    rng = np.random.default_rng(_SEED)
    return [
        MeasuredVideo(
            rng.integers(0, 256, v.pictures.shape, dtype=np.uint8),
            v.fps,
            None if v.sound is None else rng.normal(0, 0.1, v.sound.shape).astype(np.float32),
            v.sample_rate,
        )
        for v in real[: max(_LEAST, len(real) // 3)]
    ]
