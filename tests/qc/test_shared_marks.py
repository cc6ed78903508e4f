"""What clips of one film or source share: found where it is a mark, and nothing said where it may be the scene."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from aiprod.data.sources.demo.motion import simulate
from aiprod.data.sources.demo.picture import draw
from aiprod.data.sources.demo.plan import DemoCorpusParams, plan_corpus
from aiprod.qc.checks import watermark
from aiprod.qc.decide.decide import decide, settle
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.overlay_policy import METHOD
from aiprod.qc.overlays.edge_sketch import agreeing, as_text, cells_of, planes_of, read
from aiprod.qc.overlays.pools import SharedMark, cells_held, common_cells
from aiprod.qc.params import QcDecideParams
from aiprod.qc.projections import ClipProjection, FilmProjection, clips_of, films_of
from aiprod.qc.rows import MeasureRow, VerdictRow
from tests.qc.films import texture
from tests.qc.marks import layer_of
from tests.qc.marks_of_rows import marks_of
from tests.qc.test_scoring import GOOD

STILL = {"movement": "static", "travel": 0.0, "speed_per_s": 0.0}
HEIGHT, WIDTH = 180, 320


def sketch_of(picture: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Figures of the check on 24 noisy looks at a picture [h, w] by a camera that stands still."""
    rng = np.random.default_rng(seed)
    planes = [np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8) for _ in range(24)]
    return watermark.measure(planes, STILL, {})


def scene(seed: int, mark: str | None = None) -> dict[str, Any]:
    """Figures of a still scene of its own, with a mark or without."""
    picture = texture(WIDTH, HEIGHT, seed, grain=3 + seed % 3)
    return sketch_of(picture if mark is None else layer_of(mark, HEIGHT, WIDTH).over(picture), seed)


def pool(figures: Mapping[str, Mapping[str, Any]], film_of: Mapping[str, str] | None = None) -> dict[str, SharedMark]:
    """What clips of one source share; each is a film of its own where nothing else is said."""
    return marks_of(figures, *subjects(list(figures), film_of))


def subjects(
    names: Sequence[str], film_of: Mapping[str, str] | None = None
) -> tuple[list[FilmProjection], list[ClipProjection]]:
    """Films of one source and their clips."""
    belongs = {name: name if film_of is None else film_of[name] for name in names}
    films = [
        FilmProjection(name, "inbox", name, "ok", [], "train", [], None, "none", None, 1)
        for name in sorted({*belongs.values()})
    ]
    return films, [ClipProjection(name, film, 1, 0.0, 1.0, None, False) for name, film in belongs.items()]


@pytest.fixture(scope="module")
def plain() -> dict[str, dict[str, Any]]:
    """Scenes without a mark."""
    return {f"plain{n:02}": scene(n) for n in range(20)}


@pytest.fixture(scope="module")
def marked() -> dict[str, dict[str, Any]]:
    """Other scenes that carry a logo."""
    return {f"logo{n:02}": scene(100 + n, "logo") for n in range(10)}


def test_a_mark_that_no_clip_shows_alone_is_found_together(
    plain: dict[str, dict[str, Any]], marked: dict[str, dict[str, Any]]
) -> None:
    assert {f["status"] for f in (plain | marked).values()} == {"unmeasurable"}
    found = pool(plain | marked)
    assert set(found) <= set(marked) and len(found) >= 9
    true = layer_of("logo", HEIGHT, WIDTH).box_area
    for shared in found.values():
        assert 0.5 * true < shared.area < 2 * true
        assert (shared.clips, shared.compared, shared.pool) == (len(found), 30, "source")


def test_marks_of_several_kinds_are_charged_to_their_own_clips(
    plain: dict[str, dict[str, Any]], marked: dict[str, dict[str, Any]]
) -> None:
    banners = {f"banner{n:02}": scene(200 + n, "banner") for n in range(10)}
    found = pool(plain | marked | banners)
    assert set(found) <= set(marked) | set(banners)
    assert len(found) >= 18
    areas = {kind: [s.area for n, s in found.items() if n.startswith(kind)] for kind in ("logo", "banner")}
    assert max(areas["logo"]) < 0.02 and min(areas["banner"]) > 0.05


def test_what_clips_of_one_scene_have_in_common_is_no_mark(plain: dict[str, dict[str, Any]]) -> None:
    room = layer_of("logo", HEIGHT, WIDTH).over(texture(WIDTH, HEIGHT, 77))
    views = {f"view{n}": sketch_of(room, n) for n in range(12)}
    assert pool(views) == {}
    assert pool(plain | views) == {}
    of_one_film = dict.fromkeys(views, "talk") | {name: name for name in plain}
    assert pool(plain | views, of_one_film) == {}


def test_too_few_scenes_say_nothing(marked: dict[str, dict[str, Any]]) -> None:
    three = dict(list(marked.items())[:3])
    again = {f"{name}-again": figures for name, figures in three.items()}
    assert pool(three) == {}
    assert pool(three | again) == {}


def test_scenes_without_a_mark_share_none(plain: dict[str, dict[str, Any]]) -> None:
    rng = random.Random(0)
    for size in (4, 6, 8, 12, 20) * 6:
        assert pool(dict(rng.sample(sorted(plain.items()), size))) == {}


@pytest.mark.slow
def test_films_of_the_demo_corpus_share_none() -> None:
    """Their textures are few and drawn by one program; all are taken for a still camera's."""
    figures = {}
    for film in plan_corpus(DemoCorpusParams(faults=False, height=160, width=284)):  # as large as the small plane
        scene = film.scenes[0]
        pictures = draw(scene, simulate(scene, film.width, film.height, 8, 24), film.width, film.height)
        planes = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
        figures[film.key] = watermark.measure(planes, STILL, {})
    assert sum("sketch" in f for f in figures.values()) > 20
    assert pool(figures) == {}
    for seed in range(40):
        some = random.Random(seed).sample(sorted(figures.items()), 4 + seed)
        assert pool(dict(some)) == {}


@pytest.mark.parametrize("level", [16, 70, 235])
@pytest.mark.parametrize("noise", [0, 3])
def test_a_bar_is_no_mark(level: int, noise: int) -> None:
    """It is left out of the sketch where it is flat, and its edge is a mere line where noise lies over it."""

    def barred(n: int) -> dict[str, Any]:
        rng = np.random.default_rng(n)
        picture = texture(WIDTH, HEIGHT, 300 + n)
        planes = [np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8) for _ in range(24)]
        for plane in planes:
            bar = plane[-24:]
            bar[:] = np.clip(level + rng.normal(0, noise, bar.shape), 0, 255)
        return watermark.measure(planes, STILL, {})

    figures = {f"film{n:02}": barred(n) for n in range(12)}
    assert pool(figures) == {}
    cells = cells_of(read([f["sketch"] for f in figures.values()]))
    assert noise or not cells[:, 24:].any()


def test_a_mark_of_a_single_film_is_found_by_its_shots(plain: dict[str, dict[str, Any]]) -> None:
    """In a source of many other films, where too few clips carry it for the source's sample."""
    shots = {f"shot{n}": scene(400 + n, "disc") for n in range(6)}
    others = {f"{name}-{n}": figures for n in range(6) for name, figures in plain.items()}
    film_of = dict.fromkeys(shots, "film") | {name: name for name in others}
    found = pool(shots | others, film_of)
    assert set(found) <= set(shots) and len(found) >= 5
    assert {(s.pool, s.compared) for s in found.values()} <= {("film", 6), ("source", 126)}


def test_neither_order_nor_other_sources_matter(
    plain: dict[str, dict[str, Any]], marked: dict[str, dict[str, Any]]
) -> None:
    figures = list((plain | marked).items())
    expected = pool(dict(figures))
    random.Random(1).shuffle(figures)
    assert pool(dict(figures)) == expected
    films, clips = subjects([name for name, _ in figures])
    alone = [film._replace(source_id=film.film_id) for film in films]
    assert marks_of(dict(figures), alone, clips) == {}


PARAMS = QcDecideParams()
PARAMS = PARAMS.model_copy(update={"nsfw": PARAMS.nsfw.model_copy(update={"unevaluated_sources": ["inbox"]})})


def judged(rows: list[MeasureRow], params: QcDecideParams = PARAMS) -> dict[str, VerdictRow]:
    """The verdicts on clips of one source, by clip id."""
    films, clips = subjects([row.clip_id for row in rows])
    table = settle([MeasurementTable.of(rows)], films_of(films), clips_of(clips), params)
    [part] = table.parts(len(rows))
    return {row.clip_id: row for row in part.rows(range(len(part)))}


def rows_of(figures: Mapping[str, Mapping[str, Any]]) -> list[MeasureRow]:
    """Rows of clips that are good but for what stays in place; some blurred, some too short, some only remarked on."""
    rows = []
    for n, (name, own) in enumerate(figures.items()):
        found = {check: {"method": "m", "version": "2", **f} for check, f in GOOD.items()}
        found.pop("fingerprint", None)
        found["watermark"] = {"method": "m", "version": "2", **own}
        found["encoding"]["blur"] = 0.79 if n % 2 else 0.5
        found["timing"]["clip_s"] = 0.5 if n % 3 == 0 else 5.0
        found["loudness"].update(acodec="aac", bitrate_bps=(256_000, 160_000, 64_000, None)[n % 4])
        found["geometry"].update(primaries=9 if n % 5 == 0 else 1, transfer=1)
        rows.append(MeasureRow(clip_id=name, film_id=name, status="ok", measurements=found))
    return rows


def told(row: VerdictRow) -> dict[str, Any]:
    """A verdict without the check of duplicates and without the words that only other clips can give."""
    plain = row.model_dump(mode="json", exclude={"checks"})
    plain["reasons"] = [reason.partition(", in the same place in")[0] for reason in row.reasons]
    checks = {c.check: c.model_dump(mode="json") for c in row.checks if c.check != "duplicates"}
    for name in ("method", "reason"):
        checks["watermark"].pop(name)
    return plain | {"checks": checks}


@pytest.mark.parametrize("caps", [True, False])
def test_a_shared_mark_counts_as_one_that_was_measured(
    caps: bool, plain: dict[str, dict[str, Any]], marked: dict[str, dict[str, Any]]
) -> None:
    params = PARAMS.model_copy(update={"video": PARAMS.video.model_copy(update={"watermark_seen_caps": caps})})
    figures = plain | marked
    shared = pool(figures)
    rows = rows_of(figures)
    decided = judged(rows, params)
    for row in rows:
        if row.clip_id in shared:
            row.measurements["watermark"].update(status="ok", area_fraction=shared[row.clip_id].area)
        verdict = decided[row.clip_id]
        assert told(verdict) == told(decide(row, params))
        answer = next(c for c in verdict.checks if c.check == "watermark")
        assert (answer.method == METHOD) == (row.clip_id in shared)
        if row.clip_id in shared:
            assert f"in {len(shared)} of the 30 clips of its source" in answer.reason


def test_a_clip_keeps_what_it_says_itself(marked: dict[str, dict[str, Any]]) -> None:
    own = {"status": "ok", "area_fraction": 0.0}
    figures = {name: (f | own if n == 0 else f) for n, (name, f) in enumerate(marked.items())}
    verdicts = judged(rows_of(figures))
    answers = {name: next(c for c in row.checks if c.check == "watermark") for name, row in verdicts.items()}
    kept = answers.pop("logo00")
    assert kept.value == 0.0 and kept.method == "m"
    assert sum(c.value is not None and c.value > 0 for c in answers.values()) >= 8


def test_sketches_are_read_as_they_were_written() -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 5, (40, 28, 48)).astype(np.uint8)
    planes = read([as_text(one) for one in cells])
    assert (cells_of(planes) == cells).all() and (planes_of(cells) == planes).all()
    alike = (cells[0] == cells[1:]) & (cells[0] > 0)
    assert (np.bitwise_count(agreeing(planes[0], planes[1:])).sum(axis=1) == alike.sum(axis=(1, 2))).all()
    for clips, least in ((4, 4), (5, 3), (8, 6), (10, 2)):
        films = cells.reshape(40 // clips, clips, 28, 48)[:, :, None]
        counts = (films == np.arange(1, 5)[:, None, None]).sum(axis=1)
        common = common_cells(planes.reshape(40 // clips, clips, 3, -1), least)
        assert np.bitwise_count(common).sum() == (counts >= least).sum()
        once = (counts >= least).sum(axis=1) == 1
        assert (cells_held(common)[once] == (counts >= least).argmax(axis=1)[once] + 1).all()


@pytest.mark.parametrize("text", ["", "AAAA", "not base64"])
def test_a_broken_sketch_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read([text])
