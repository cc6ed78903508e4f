"""Cuts are those of PySceneDetect's adaptive detector, picture by picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from aiprod.data.ingest.cuts import AdaptiveCuts


def theirs(pictures: list[np.ndarray], threshold: float, least: float) -> list[int]:
    detector = AdaptiveDetector(adaptive_threshold=threshold, min_content_val=least, min_scene_len=3)
    found = [
        cut for n, picture in enumerate(pictures) for cut in detector.process_frame(FrameTimecode(n, 25.0), picture)
    ]
    found += detector.post_process(FrameTimecode(len(pictures) - 1, 25.0)) if pictures else []
    return [cut.frame_num for cut in found]


def ours(pictures: list[np.ndarray], threshold: float, least: float) -> list[int]:
    detector = AdaptiveCuts(threshold, least, 3)
    return [cut for cut in map(detector.see, pictures) if cut is not None]


def film(seed: int, count: int, noise: int, stands: float) -> list[np.ndarray]:
    """Scenes of a few pictures that stand still, drift or flicker."""
    rng = np.random.default_rng(seed)
    pictures: list[np.ndarray] = []
    scene = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
    for _ in range(count):
        if rng.random() < 0.2:
            scene = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
        grain = 0 if rng.random() < stands else rng.integers(-noise, noise + 1, (36, 64, 3))
        large = cv2.resize(scene, (64, 36), interpolation=cv2.INTER_CUBIC)
        pictures.append(np.clip(large.astype(int) + grain, 0, 255).astype(np.uint8))
    return pictures


@given(
    pictures=st.builds(
        film,
        seed=st.integers(0, 10_000),
        count=st.integers(0, 40),
        noise=st.integers(1, 80),
        stands=st.sampled_from([0.0, 0.5, 1.0]),
    ),
    threshold=st.sampled_from([1.0, 1.5, 3.0, 255.0]),
    least=st.sampled_from([0.0, 5.0, 15.0, 60.0]),
)
def test_cuts_are_those_of_pyscenedetect(pictures: list[np.ndarray], threshold: float, least: float) -> None:
    assert ours(pictures, threshold, least) == theirs(pictures, threshold, least)


@pytest.mark.parametrize("beside", [0, 1])
def test_a_change_between_two_still_scenes_is_a_cut(beside: int) -> None:
    dark, light = np.zeros((36, 64, 3), np.uint8), np.full((36, 64, 3), 200, np.uint8)
    assert ours([dark] * 6 + [light] * (6 + beside), 3.0, 15.0) == [6]


@given(pictures=st.builds(film, seed=st.integers(0, 1000), count=st.just(3), noise=st.just(60), stands=st.just(0.0)))
def test_light_is_the_largest_channel_and_its_change_the_mean_of_all_pixels(pictures: list[np.ndarray]) -> None:
    detector = AdaptiveCuts(3.0, 15.0, 3)
    before = None
    for picture in pictures:
        detector.see(picture)
        assert detector.light is not None and np.array_equal(detector.light, picture.max(axis=2))
        if before is not None:
            assert detector.change == np.abs(picture.max(axis=2).astype(int) - before).sum() / before.size
        before = picture.max(axis=2).astype(int)
