"""A film that fits into memory is decoded once, to look for shots and to encode them; its clips are the same bytes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from aiprod.data.ingest import ingest_film
from aiprod.data.ingest.shot_detection import analyse_video
from aiprod.data.params import IngestParams, ShotParams
from aiprod.media import normalising
from aiprod.media.encoding import encode


def film(path: Path, *, scenes: int = 1, uneven: bool = False) -> Path:
    """Pictures that have to be encoded again: scenes of 20 with something that moves."""
    rng = np.random.default_rng(5)
    pictures = []
    for _ in range(scenes):
        ground = np.kron(rng.integers(40, 220, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
        for n in range(20):
            picture = ground.copy()
            picture[30:50, 4 * n : 4 * n + 20] = (250, 20, 20)
            pictures.append(picture)
    times = [n / 25 + (0.013 * (n % 3) if uneven else 0.0) for n in range(len(pictures))]
    if uneven:  # of MPEG-4 the stamps are too coarse
        encode(path, iter(pictures), Fraction(25), times_s=times)
    else:
        encode(path, iter(pictures), Fraction(25), codec="mpeg4", video_options={"b": "4000000"})
    return path


def taken(path: Path, folder: Path, params: IngestParams) -> tuple[list[dict[str, Any]], list[bytes]]:
    folder.mkdir()
    result: dict[str, Any] = {"sha256": "-", "notes": [], "clips": []}
    ingest_film._take(params, path, folder, result)
    files = [folder / clip["file"] for clip in result["clips"]]
    return result["clips"], [file.read_bytes() for file in files if file.exists()]


@pytest.mark.parametrize("how", [{}, {"scenes": 3}, {"uneven": True}, {"scenes": 2, "uneven": True}], ids=str)
def test_clips_are_those_of_a_film_that_is_decoded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    path, params = film(tmp_path / "film.mp4", **how), IngestParams()
    with monkeypatch.context() as twice:
        twice.setattr(ingest_film, "_DECODED_BYTES", 0)
        before = taken(path, tmp_path / "twice", params)
    assert len(before[0]) == how.get("scenes", 1)
    if not how.get("uneven"):  # which is known only once they have been looked at: all else was as it is to be
        monkeypatch.setattr(normalising, "VideoReader", None)  # nothing is read again
    assert taken(path, tmp_path / "once", params) == before


def test_a_film_that_does_not_fit_is_decoded_again(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4")
    pictures = 20 * 96 * 128 * 3 // 2
    assert len(analyse_video(path, ShotParams(), keep_bytes=2 * pictures).decoded) == 20
    assert analyse_video(path, ShotParams(), keep_bytes=pictures // 2).decoded == []
    assert analyse_video(path, ShotParams()).decoded == []


def test_shots_that_fit_are_decoded_once_and_those_behind_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, params = film(tmp_path / "film.mp4", scenes=3), IngestParams()
    kept = analyse_video(path, ShotParams(), keep_bytes=1 << 40)
    sizes = [sum(plane.buffer_size for plane in timed.frame.planes) for timed in kept.decoded]
    with monkeypatch.context() as once:
        once.setattr(normalising, "VideoReader", None)
        whole = taken(path, tmp_path / "once", params)
    first, second, _ = kept.shots
    monkeypatch.setattr(ingest_film, "_DECODED_BYTES", sum(sizes[: second.first + second.pictures // 2]))
    again = []

    class Counted(normalising.VideoReader):
        def __enter__(self) -> Self:
            again.append(self.path)
            return super().__enter__()

    monkeypatch.setattr(normalising, "VideoReader", Counted)
    assert taken(path, tmp_path / "some", params) == whole
    assert len(again) == 2 and first.first == 0


def test_a_film_whose_pictures_are_kept_as_they_are_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.mp4"
    encode(path, (np.full((96, 128, 3), n, np.uint8) for n in range(40)), Fraction(25))
    asked: list[int] = []

    def watched(*arguments: Any, keep_bytes: int, **more: Any) -> Any:
        asked.append(keep_bytes)
        return analyse_video(*arguments, keep_bytes=keep_bytes, **more)

    monkeypatch.setattr(ingest_film, "analyse_video", watched)
    clips, _ = taken(path, tmp_path / "clips", IngestParams())
    assert clips[0]["steps"] == ["as is"] and asked == [0]
