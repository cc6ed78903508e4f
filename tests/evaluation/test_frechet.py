"""Fréchet distances: the formula against a case with a known answer, and an order that anyone would agree with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from aiprod.evaluation.attributes import MeasuredVideo
from aiprod.evaluation.frechet import distances, frechet


def test_the_formula_for_normal_distributions():
    """Between N(0, 1) and N(m, s²) in each of three independent features: Σ m² + (s − 1)²."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (200_000, 3)), rng.normal(2, 3, (200_000, 3))
    assert frechet(a, b) == pytest.approx(3 * (4 + 4), rel=0.02)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)


def _films(seed: int, count: int = 16) -> list[MeasuredVideo]:
    """A striped ground that moves under a ball, and a tone, each by lot."""
    rng = np.random.default_rng(seed)
    films = []
    for _ in range(count):
        shift, hue, pitch = rng.uniform(-2, 2), rng.integers(60, 120, 3), rng.uniform(300, 700)
        y, x = np.mgrid[0:32, 0:48]
        pictures = []
        for n in range(6):
            ground = hue + 25 * np.sin((x + shift * n + y) / 3)[..., None]
            pictures.append(np.clip(ground, 0, 255).astype(np.uint8))
            cv2.circle(pictures[-1], (12 + 3 * n, 16), 5, (230, 60, 60), -1)
        sound = 0.2 * np.sin(2 * np.pi * pitch * np.arange(24_000) / 48_000) + rng.normal(0, 1e-3, 24_000)
        films.append(MeasuredVideo(np.stack(pictures), 12.0, np.stack([sound, sound]).astype(np.float32)))
    return films


def test_blurred_and_muffled_films_are_further_than_others_of_the_kind():
    real, others = _films(0), _films(1)
    spoilt = [
        MeasuredVideo(np.stack([cv2.GaussianBlur(p, (0, 0), 2) for p in v.pictures]), 12.0, v.sound * 0.05)
        for v in others
    ]
    same, worse = distances(others, real), distances(spoilt, real)
    assert set(same) == {"colour", "edges", "motion", "sound"}
    for kind in ("edges", "sound"):
        assert same[kind]["generated"] < 0.3 * worse[kind]["generated"], kind
    for kind, figures in same.items():
        assert figures["generated"] < 0.2 * figures["noise"], kind
        assert figures["real_halves"] < 0.2 * figures["noise"], kind


def test_too_few_videos_and_silent_ones_give_no_figure():
    few = _films(0, 3)
    assert distances(few, few) == {}
    silent = [MeasuredVideo(v.pictures, 12.0) for v in _films(2, 8)]
    assert "sound" not in distances(silent, silent)
