"""Soft binding: a film without metadata, encoded anew, smaller or cut, is found again; another film is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.base.files import read_json, write_json
from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.film.fingerprinting import print_of, recognised
from aiprod.film.make_film import make_film
from aiprod.film.record import read_record
from aiprod.governance.lineage.film_lineage import film_lineage
from aiprod.inference.params import GenerationParams
from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler

RATE, SECONDS = Fraction(12), 9


@cache
def scene(seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Blobs that wander over a ground, and notes."""
    draw = np.random.default_rng(seed)
    ground = cv2.resize(draw.integers(30, 220, (5, 8, 3)).astype(np.uint8), (256, 144), interpolation=cv2.INTER_CUBIC)
    at, way = draw.uniform(20, 120, (6, 2)), draw.uniform(-60, 60, (6, 2))
    colours = draw.integers(0, 255, (6, 3)).tolist()
    pictures = []
    for n in range(SECONDS * 12):
        picture = ground.copy()
        for place, speed, colour in zip(at, way, colours, strict=True):
            x, y = np.abs((place + speed * n / 12) % 240 - 120) * (2, 1.1)
            cv2.circle(picture, (int(x), int(y)), 24, colour, -1)
        pictures.append(picture)
    t = np.arange(SECONDS * 48_000) / 48_000
    notes = draw.uniform(200, 3000, 2 * SECONDS)[(t * 2).astype(int)]
    sound = 0.2 * np.sin(2 * np.pi * np.cumsum(notes) / 48_000) * np.exp(-(t * 2 % 1) * 3)
    return pictures, np.stack([sound, sound]).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two films of `aiprod film`."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "dvc.yaml").touch()
    for seed in (1, 2):
        encode(folder / f"take{seed}.mp4", iter(scene(seed)[0]), RATE, scene(seed)[1], crf=16, preset="ultrafast")
        (folder / f"script{seed}.yaml").write_text(
            f"title: Film {seed}\nrate: 12\nsize: 256x144\ncredits:\nscenes:\n  - shots:\n"
            f"      - {{title: Film {seed}, length: 1s}}\n"
            f"      - {{film: take{seed}.mp4, length: 8s, license: CC-BY-4.0, attribution: Jane Doe}}\n"
        )
        make_film(folder / f"script{seed}.yaml", folder / "out" / f"film{seed}.mp4", GenerationParams, None, workers=1)
    return folder


def again(
    film: Path,
    out: Path,
    *,
    size: tuple[int, int] = (160, 90),
    begin_s: float = 0.0,
    end_s: float = 99.0,
    dim: float = 1.0,
    loud: bool = False,
) -> Path:
    """The film as somebody else's program writes it: other size, bit rate, light, and no metadata."""
    scaler = Scaler(*size, "rgb24", True)

    def pictures() -> Iterator[np.ndarray]:
        with VideoReader(film) as reader:
            for timed in reader.frames():
                if begin_s - 1e-6 <= timed.time_s < end_s - 1e-6:
                    yield (scaler.array(timed.frame) * dim).astype(np.uint8)

    sound = read_sound(film, 48_000, 2, start_s=begin_s, duration_s=min(end_s, 9.0) - begin_s) if loud else None
    encode(out, pictures(), RATE, sound, crf=33, preset="ultrafast")
    return out


def test_a_film_is_found_by_its_pictures_after_another_encoding(place: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        unknown = again(place / "out" / f"film{seed}.mp4", tmp_path / f"u{seed}.mp4", dim=0.8, loud=seed == 1)
        known = recognised(place, unknown)
        assert known is not None and known.path.name == f"film{seed}.json" and known.later_s == 0
        assert ("of those of its sound" in known.evidence) == (seed == 1)


def test_a_part_of_a_film_is_found_with_its_place(place: Path, tmp_path: Path) -> None:
    part = again(place / "out" / "film2.mp4", tmp_path / "part.mp4", begin_s=2.0, end_s=7.5)
    known = recognised(place, part)
    assert known is not None and known.path.name == "film2.json" and abs(known.later_s - 2) <= 0.25


def test_another_film_is_not_taken_for_it(place: Path, tmp_path: Path) -> None:
    pictures, _ = scene(3)
    encode(tmp_path / "other.mp4", iter(pictures), RATE, None, crf=20, preset="ultrafast")
    assert recognised(place, tmp_path / "other.mp4") is None
    encode(tmp_path / "same_sound.mp4", iter(pictures), RATE, scene(1)[1], crf=20, preset="ultrafast")
    assert recognised(place, tmp_path / "same_sound.mp4") is None, "music is in many films"
    black = (np.zeros((90, 160, 3), np.uint8) for _ in range(200))
    encode(tmp_path / "black.mp4", black, RATE, None, preset="ultrafast")
    assert recognised(place, tmp_path / "black.mp4") is None
    (tmp_path / "no.mp4").write_bytes(b"not a film")
    assert recognised(place, tmp_path / "no.mp4") is None


def test_the_fingerprint_in_the_record_is_enough_and_the_film_stands_in_for_an_old_record(
    place: Path, tmp_path: Path
) -> None:
    film = place / "out" / "film1.mp4"
    unknown = again(film, tmp_path / "unknown.mp4")
    record = read_json(film.with_suffix(".json"))
    alone = tmp_path / "alone"
    write_json(alone / "film1.json", record)
    assert recognised(alone, unknown) is not None
    for version, known in (("2", True), ("1", False)):  # words of the version before may be compared
        write_json(alone / "film1.json", record | {"fingerprint": record["fingerprint"] | {"version": version}})
        assert (recognised(alone, unknown) is not None) == known
    old = tmp_path / "old"
    write_json(old / "film1.json", {key: value for key, value in record.items() if key != "fingerprint"})
    assert recognised(old, unknown) is None
    (old / "film1.mp4").write_bytes(film.read_bytes())
    assert recognised(old, unknown) is not None
    assert print_of(film) is not None


def test_lineage_names_what_stands_behind_an_unknown_film(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    unknown = again(place / "out" / "film1.mp4", tmp_path / "unknown.mp4")
    said = CliRunner().invoke(app, ["lineage", str(unknown), "--at", "2s", "--json"])
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found["subject"]["facts"]["known_by"] == "its fingerprint"
    assert found["subject"]["children"][0]["children"][0]["name"] == "take1.mp4"
    assert found["obligations"] == ["attribution: Jane Doe (CC-BY-4.0)"]
    assert "unknown.mp4 has no credentials, and shows out/film1.mp4" in found["notes"][0]
    part = again(place / "out" / "film1.mp4", tmp_path / "part.mp4", begin_s=3.0)
    asked = CliRunner().invoke(app, ["lineage", str(part), "--at", "1s", "--json"])
    assert json.loads(asked.stdout)["subject"]["facts"]["frame"] in range(45, 52)
    inside = again(place / "out" / "film2.mp4", place / "inside.mp4")
    assert "known by its fingerprint" in CliRunner().invoke(app, ["lineage", str(inside)]).stdout
    pictures, _ = scene(3)
    encode(tmp_path / "other.mp4", iter(pictures), RATE, None, crf=20, preset="ultrafast")
    nothing = CliRunner().invoke(app, ["lineage", str(tmp_path / "other.mp4"), "--at", "2s"])
    assert isinstance(nothing.exception, AiprodError) and "not a film whose shots are known" in str(nothing.exception)


def test_the_parts_of_a_released_copy_are_looked_for_beside_the_original(place: Path, tmp_path: Path) -> None:
    record = read_record(place / "out/film1.json")
    walked = film_lineage(place, tmp_path / "release/film1.mp4", record, released=True)
    assert walked.checked_files == len(record["ingredients"]) and walked.notes == walked.mismatches == []
    lettering = place / "out/film1_drawn/title-000-000.png"
    kept = lettering.read_bytes()
    lettering.write_bytes(kept + b"0")
    (wrong,) = film_lineage(place, tmp_path / "release/film1.mp4", record, released=True).mismatches
    lettering.write_bytes(kept)
    assert wrong.startswith("film1_drawn/title-000-000.png: not the lettering")
