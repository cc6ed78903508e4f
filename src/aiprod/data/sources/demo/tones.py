"""Sounds a scene: each impact is a struck tone whose pitch belongs to the shape, placed where it happens."""

from __future__ import annotations

import math

import numpy as np

from aiprod.data.sources.demo.motion import SimulatedMotion
from aiprod.data.sources.demo.plan import SHAPES, ScenePlan

RATE = 48_000
_DECAY_S = 0.11
_CLICK_S = 0.006  # the mallet: noise of the full band, by which upsampled sound is told apart
_FLOOR_DBFS = -84.0
_PEAK = 0.8


def synthesise(scene: ScenePlan, motion: SimulatedMotion, height: int, duration_s: float, seed: int) -> np.ndarray:
    """float32 [2, duration_s * 48000], peak at most 0.8, silence between the tones at about -84 dBFS."""
    total = round(duration_s * RATE)
    rng = np.random.default_rng(seed)
    sound = np.zeros((2, total), np.float64)
    for impact in motion.impacts:
        loud = 0.16 + 0.34 * min(1.0, impact.speed_px_s / (1.6 * height))
        angle = (0.1 + 0.8 * impact.x) * math.pi / 2  # equal-power panning, never quite to one side
        for index in impact.objects:
            strike = _strike(SHAPES[scene.objects[index].shape], rng)
            at = round(impact.time_s * RATE)
            strike = strike[: max(0, total - at)] * loud / len(impact.objects)
            sound[0, at : at + strike.size] += math.cos(angle) * strike
            sound[1, at : at + strike.size] += math.sin(angle) * strike
    peak = float(np.abs(sound).max()) if total else 0.0
    if peak > _PEAK:
        sound *= _PEAK / peak
    sound += rng.standard_normal(sound.shape) * 10 ** (_FLOOR_DBFS / 20)
    return sound.astype(np.float32)


def _strike(pitch_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A struck bar: three partials of a marimba (1 : 3.93 : 9.2), decaying faster the higher, and a click."""
    time = np.arange(round(9 * _DECAY_S * RATE)) / RATE
    tone = np.zeros_like(time)
    for ratio, level, decay in ((1.0, 1.0, _DECAY_S), (3.93, 0.28, _DECAY_S / 3), (9.2, 0.10, _DECAY_S / 8)):
        tone += level * np.sin(2 * math.pi * pitch_hz * ratio * time) * np.exp(-time / decay)
    click = rng.standard_normal(time.size) * np.exp(-time / _CLICK_S) * 0.22
    attack = np.minimum(1.0, time / 0.002)
    return (tone + click) * attack
