"""Stills of film of high dynamic range: what a person sees on the report page is what the training clip shows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.normalising import Form, normalise
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler
from aiprod.qc.measure.measure_clip import contact_strip, measure_file
from aiprod.qc.measure.thumbnail_colour import StillColour, UprightColour
from aiprod.qc.params import QcMeasureParams

PARAMS = QcMeasureParams(stills=4, face_stills=1, thumbnail_width_px=128)
STEPS = (0.1, 0.3, 0.5, 0.58, 0.75, 0.9)


def hdr_film(path: Path, transfer: str) -> Path:
    """Upright stripes of known gray signal and one of a strong red, tagged as BT.2020 and PQ or HLG."""
    picture = np.zeros((96, 128, 3), np.uint8)
    width = 128 // 7
    for n, signal in enumerate(STEPS):
        picture[:, n * width : (n + 1) * width] = round(255 * signal)
    picture[:, 6 * width :] = (150, 40, 40)
    options = {"x264-params": f"transfer={transfer}:colorprim=bt2020:colormatrix=bt709"}
    encode(path, [picture] * 48, Fraction(24), crf=4.0, video_options=options)
    return path


def rgb_of(path: Path) -> np.ndarray:
    """The first picture of a usual film."""
    with VideoReader(path) as reader:
        frame = next(iter(reader.frames())).frame
        return Scaler(128, 96, "rgb24", exact=True).array(frame)


@pytest.mark.parametrize(("transfer", "number"), [("smpte2084", 16), ("arib-std-b67", 18)])
def test_stills_look_as_the_training_clip_does(tmp_path: Path, transfer: str, number: int) -> None:
    path = hdr_film(tmp_path / "film.mp4", transfer)
    facts = probe(path)
    assert facts.video is not None and (facts.video.transfer, facts.video.primaries) == (number, 9)
    found, stills = measure_file(path, PARAMS)
    normalise(
        path, tmp_path / "clip.mp4", facts, start_s=0.0, end_s=2.0, rate=Fraction(24), constant=True, form=Form(crf=4.0)
    )
    wanted, unmapped = rgb_of(tmp_path / "clip.mp4").astype(int), rgb_of(path).astype(int)
    middle = [(slice(24, 72), slice(n * 18 + 5, n * 18 + 13)) for n in range(7)]
    for still in stills:
        for place in middle:
            apart = np.abs(still[place].reshape(-1, 3).mean(axis=0) - wanted[place].reshape(-1, 3).mean(axis=0))
            assert apart.max() <= 4, (place, apart)
    changed = max(np.abs(unmapped[p].mean(axis=(0, 1)) - wanted[p].mean(axis=(0, 1))).max() for p in middle)
    assert changed > 25  # else the test would see no mapping at all
    strip = cv2.imdecode(np.frombuffer(contact_strip(stills), np.uint8), cv2.IMREAD_COLOR)
    assert strip is not None
    shown = strip[:, :128, ::-1].astype(int)
    for place in middle[:6]:
        assert np.abs(shown[place].mean(axis=(0, 1)) - wanted[place].mean(axis=(0, 1))).max() <= 8
    assert found["palette"]["status"] == "ok"


def test_stills_of_usual_film_are_scaled_and_nothing_else(tmp_path: Path) -> None:
    path = hdr_film(tmp_path / "film.mp4", "bt709")
    _, stills = measure_file(path, PARAMS)
    assert (stills[0] == rgb_of(path)).all()


def test_a_large_picture_looks_as_the_exact_scaler_makes_it(shared_clips: Path) -> None:
    with VideoReader(shared_clips / "open" / "bee_720p30_4s.mp4") as reader:
        frame = next(iter(reader.frames())).frame
        still = StillColour(160, reader.facts).take(frame)
        exact = Scaler(still.shape[1], still.shape[0], "rgb24", exact=True).array(frame)
    assert np.abs(still.astype(int) - exact).mean() < 1.5
    assert np.abs(still.mean(axis=(0, 1)) - exact.mean(axis=(0, 1))).max() < 1.5


def test_a_small_film_is_converted_once_for_all_sizes_that_are_asked_for(tmp_path: Path) -> None:
    film = tmp_path / "small.mp4"
    encode(film, [np.full((96, 128, 3), 90, np.uint8)] * 2, Fraction(24))
    with VideoReader(film) as reader:
        colours = UprightColour(reader.facts)
        frame = next(reader.frames()).frame
        whole = colours.take(frame, 720)
        assert whole.shape == (96, 128, 3)
        assert colours.take(frame, 480) is whole
        assert colours.take(frame, 48).shape == (48, 64, 3)
