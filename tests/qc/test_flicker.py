"""Flicker and exposure pumping: found on any ground, moving or not, and never claimed of what only moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base.params import validate
from aiprod.data.sources.demo.make import make_film
from aiprod.data.sources.demo.plan import DemoCorpusParams, plan_corpus
from aiprod.qc.checks.flicker import Flicker, FlickerLimits, Grid, judge, turning_points
from aiprod.qc.clip_context import SmallFrame
from aiprod.qc.decide.decide import decide
from aiprod.qc.measure.standalone import FileJob, examine
from aiprod.qc.params import QcDecideParams, QcMeasureParams
from tests.qc import one_clip
from tests.qc.films import texture

LIMITS = FlickerLimits()
GROUND = 0.75 * texture(600, 180, 3).astype(np.float32)
FPS = 24


def fed(gains: np.ndarray, *, speed: int = 0, thing: bool = False, fps: int = FPS) -> dict[str, Any]:
    """Figures of a ground that a camera passes at ``speed`` pixels a frame, its light multiplied by ``gains``."""
    check = Flicker()
    for n, gain in enumerate(gains):
        picture = GROUND[:, speed * n % 280 : speed * n % 280 + 320].copy()
        if thing:  # a white thing crosses the picture
            picture[40:140, 3 * n % 220 : 3 * n % 220 + 100] = 220
        plane = np.clip(np.rint(16 + picture * (219 / 255) * gain), 0, 255).astype(np.uint8)
        check.feed(SmallFrame(n, n / fps, plane, plane, 16, 235))
    return check.figures()


def swinging(amplitude: float, rate_hz: float, length_s: float, phase: float = 0.5) -> np.ndarray:
    times = np.arange(round(length_s * FPS)) / FPS
    return 1 + amplitude * np.sin(2 * np.pi * rate_hz * times + phase)


@settings(max_examples=12, deadline=None)
@given(st.floats(0.035, 0.1), st.sampled_from([2.0, 3.0, 5.0, 8.0, 10.0]), st.integers(0, 2), st.booleans())
def test_flicker_is_found_with_its_amplitude_and_rate(
    amplitude: float, rate_hz: float, speed: int, thing: bool
) -> None:
    found = fed(swinging(amplitude, rate_hz, 3.5), speed=speed, thing=thing)
    assert found["flicker"] >= LIMITS.flicker_max
    assert 0.5 * amplitude <= found["flicker"] <= 1.1 * amplitude
    assert found["flicker_hz"] == pytest.approx(rate_hz, rel=0.25)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.08, 0.15), st.sampled_from([0.3, 0.5, 0.8]), st.integers(0, 1))
def test_a_hunting_exposure_is_found(amplitude: float, rate_hz: float, speed: int) -> None:
    found = fed(swinging(amplitude, rate_hz, 2.2 / rate_hz), speed=speed)
    assert found["pumping"] >= LIMITS.pumping_max
    assert found["pumping_hz"] == pytest.approx(rate_hz, rel=0.5)


def test_light_that_varies_at_random_from_frame_to_frame_is_flicker() -> None:
    gains = 1 + 0.03 * np.random.default_rng(0).standard_normal(72).clip(-2, 2)
    assert fed(gains, speed=1)["flicker"] >= LIMITS.flicker_max


@pytest.mark.parametrize(
    "gains",
    [
        np.ones(96),
        swinging(0.01, 8.0, 4.0),  # too little to be seen
        np.linspace(1.0, 0.1, 96),  # a fade
        np.concatenate((np.linspace(0.05, 1.0, 48), np.linspace(1.0, 0.05, 48))),  # in and out again
        np.repeat([1.0, 0.7], 48),  # the exposure is set anew once
        np.where(np.arange(96) == 40, 1.3, 1.0),  # a flash
    ],
)
@pytest.mark.parametrize("speed", [0, 1, 4])
def test_what_does_not_swing_is_steady(gains: np.ndarray, speed: int) -> None:
    found = fed(gains, speed=speed, thing=speed == 1)
    assert found["flicker"] < LIMITS.flicker_max and found["pumping"] < LIMITS.pumping_max


def test_shots_of_different_light_in_turn_are_no_flicker() -> None:
    check = Flicker()
    shots = [texture(320, 180, seed, grain=25) for seed in (0, 1)]
    for n in range(120):
        plane = np.rint(shots[n // 6 % 2] * (0.8, 1.0)[n // 6 % 2]).astype(np.uint8)
        check.feed(SmallFrame(n, n / FPS, plane, plane, 16, 235))
    assert check.figures()["flicker"] < LIMITS.flicker_max


def test_what_shows_nothing_is_not_judged() -> None:
    check = Flicker()
    dark = np.full((180, 320), 17, np.uint8)
    assert check.figures()["status"] == "unmeasurable"
    for n in range(48):
        check.feed(SmallFrame(n, n / FPS, dark, dark, 16, 235))
    figures = check.figures()
    assert figures["status"] == "unmeasurable"
    answer = one_clip.answer(judge, {"flicker": figures})
    assert (answer.status, answer.score) == ("unmeasurable", None)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40), st.floats(0.01, 0.5))
def test_turning_points_alternate_and_swing_by_enough(values: list[float], least: float) -> None:
    times = np.arange(len(values), dtype=float)
    at, found = turning_points(times, np.array(values), least)
    steps = np.diff(found)
    assert (np.abs(steps) >= least).all() and (np.sign(steps[1:]) == -np.sign(steps[:-1])).all()
    assert (np.diff(at) > 0).all()
    assert (len(at) > 0) == (np.ptp(values) >= least) or len(at) == 0
    smaller, _ = turning_points(times, np.array(values), least / 2)
    assert set(at) <= set(smaller)


@given(st.integers(1, 40), st.integers(1, 40))
def test_blocks_have_the_mean_of_their_pixels(height: int, width: int) -> None:
    planes = np.random.default_rng(height * width).integers(0, 256, (2, 8 * height, 12 * width)).astype(np.uint8)
    expected = planes.reshape(2, 8, height, 12, width).mean(axis=(2, 4)).reshape(2, 96)
    grid = Grid(8 * height, 12 * width)
    halved = min(height, width) >= 8
    apart = np.abs(grid.means(np.concatenate([grid.corners(plane) for plane in planes])) - expected)
    # At half of the size a block may begin a pixel sooner or later, and each four pixels are rounded.
    assert apart.max() < (40.0 if halved and (height % 2 or width % 2) else 1.0 if halved else 1e-3)
    assert Grid(5, 7).means(Grid(5, 7).corners(planes[0, :5, :7])).shape == (1, 96)


@given(st.sampled_from([(8, 12), (64, 96), (180, 320), (135, 213), (241, 97)]), st.floats(0.8, 1.2), st.integers(0, 99))
def test_a_block_of_any_size_brightens_as_its_pixels_do(size: tuple[int, int], factor: float, seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(60, 200, size)  # darker, rounding alone of one pixel a block is 2.5 %
    dark, light = (np.round(noise * f).astype(np.uint8) for f in (1.0, factor))
    grid = Grid(*size)
    means = grid.means(np.concatenate([grid.corners(dark), grid.corners(light)]))
    assert np.allclose(means[1] / means[0], factor, rtol=0.02)


def judged(path: Path, **limits: float) -> Any:
    row, _ = examine(FileJob(path, QcMeasureParams()))
    return decide(row, validate(QcDecideParams, {"checks": {"flicker": limits}}, "qc_decide"))


def test_the_demo_fault_asks_for_a_review_and_its_film_without_the_fault_does_not(tmp_path: Path) -> None:
    plan = plan_corpus(DemoCorpusParams())[-1]
    assert plan.fault == "flicker"
    make_film(plan, tmp_path / "fault.mp4")
    verdict = judged(tmp_path / "fault.mp4")
    assert verdict.status == "REVIEW_NEEDED" and verdict.reasons[0].startswith("flicker: the picture flickers by")
    assert judged(tmp_path / "fault.mp4", flicker_max=0.1).status == "APPROVED"
    make_film(replace(plan, fault=None), tmp_path / "clean.mp4")
    assert judged(tmp_path / "clean.mp4").status == "APPROVED"
