"""Black bars: found where they are, on dark film and with lifted black too; never claimed of dark scenes and titles."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from aiprod.qc.checks.borders import Borders, active_area
from aiprod.qc.checks.fingerprint import Fingerprint
from aiprod.qc.checks.geometry import judge_resolution as resolution
from aiprod.qc.clip_context import SmallFrame
from aiprod.qc.duplicates.clusters import Matches
from aiprod.qc.metric_table import FigureTable
from aiprod.qc.params import DuplicateParams, QcDecideParams
from aiprod.qc.planes import shrink
from tests.qc.films import texture

W, H = 320, 180
RNG = np.random.default_rng(3)


def frames(pictures: list[np.ndarray], black: float = 16, white: float = 235) -> list[SmallFrame]:
    """Pictures of the range 0 to 1 as the decoder gives them, with noise."""
    planes = [
        np.clip(black + p * (white - black) + RNG.normal(0, 0.7, p.shape), 0, 255).round().astype(np.uint8)
        for p in pictures
    ]
    return [SmallFrame(n, n / 24, plane, plane, black, white) for n, plane in enumerate(planes)]


def borders_of(pictures: list[np.ndarray], **levels: float) -> dict[str, Any]:
    check = Borders()
    for frame in frames(pictures, **levels):
        check.feed(frame)
    return check.figures()


def pan(count: int = 12, step: int = 4, seed: int = 1, height: int = H, width: int = W) -> list[np.ndarray]:
    wide = texture(width + step * count, height, seed).astype(np.float32) / 255
    return [wide[:, n * step : n * step + width].copy() for n in range(count)]


def barred(pictures: list[np.ndarray], level: float = 0.0) -> list[np.ndarray]:
    out = []
    for picture in pictures:
        inner = np.full((H, W), level, np.float32)
        inner[22:-22] = cv2.resize(picture, (W, H - 44), interpolation=cv2.INTER_AREA)
        out.append(inner)
    return out


def spot_on_black(count: int = 12) -> list[np.ndarray]:
    """Someone in a spotlight in the middle of a dark stage: light falls off to all sides."""
    y, x = np.mgrid[0:H, 0:W].astype(np.float32)
    light = np.exp(-(((x - W / 2) / 70) ** 2) - ((y - H / 2) / 60) ** 2)
    return [p * light for p in pan(count)]


@pytest.mark.parametrize(("black", "white"), [(16, 235), (0, 255)])
@pytest.mark.parametrize("dim", [1.0, 0.25])
def test_bars_are_found_at_their_width(dim: float, black: float, white: float) -> None:
    found = borders_of(barred([p * dim for p in pan()]), black=black, white=white)
    assert found["letterboxed"] and not found["pillarboxed"]
    assert active_area(found) == pytest.approx((22 / H, 1 - 22 / H, 0.0, 1.0), abs=1.5 / H)
    turned = borders_of([p.T for p in barred([p * dim for p in pan()])], black=black, white=white)
    assert turned["pillarboxed"] and not turned["letterboxed"]


def test_bars_whose_black_was_lifted_are_bars() -> None:
    assert borders_of(barred(pan(), level=0.08))["letterboxed"]
    assert borders_of(barred(pan(), level=16 / 255), black=0, white=255)["letterboxed"]


def test_dark_scenes_and_titles_have_no_bars() -> None:
    whole = (0.0, 1.0, 0.0, 1.0)
    assert active_area(borders_of(spot_on_black())) == whole
    title = np.zeros((H, W), np.float32)
    cv2.putText(title, "THE END", (70, 105), cv2.FONT_HERSHEY_DUPLEX, 1.4, 0.9, 2)
    assert active_area(borders_of([title] * 12)) == whole
    assert active_area(borders_of([np.full((H, W), 0.12, np.float32)] * 12)) == whole  # plain, and nothing else
    assert borders_of([np.zeros((H, W), np.float32)] * 12)["status"] == "unmeasurable"
    assert active_area(borders_of(pan())) == whole


def test_a_shot_that_is_dark_for_a_while_shows_its_bars_only_where_they_always_are() -> None:
    night = [p * 0.02 for p in pan()]
    assert active_area(borders_of([*night, *pan()])) == (0.0, 1.0, 0.0, 1.0)
    assert borders_of([*barred(night), *barred(pan())])["letterboxed"]


@pytest.mark.parametrize("aspect", [2.39, 1.5])
@pytest.mark.parametrize("bar", [23, 60, 61, 62, 63, 90])
def test_lines_are_counted_between_bars_of_any_width(bar: int, aspect: float) -> None:
    """480 lines between bars pass wherever the bars' edges fall between lines of the small picture; 464 do not."""
    for lines, passes in ((480, True), (464, False)):
        wide = round(lines * aspect / 2) * 2
        picture = np.zeros((lines + 2 * bar, wide + 2 * bar), np.float32)
        picture[bar:-bar, bar:-bar] = 0.3 + texture(wide, lines).astype(np.float32) / 512
        frame = (16 + 219 * picture).round().astype(np.uint8)
        plane = shrink(frame, -(-frame.shape[1] // 320))
        check = Borders()
        check.feed(SmallFrame(0, 0.0, plane, plane, 16, 235))
        tall, wide = frame.shape[:2]
        sizes = {"width": wide, "height": tall, "display_width": wide, "display_height": tall}
        size = {"status": "ok", **sizes, "rotation_deg": 0}
        found = {"borders": check.figures(), "geometry": size}
        answers = resolution(FigureTable.of([found]), QcDecideParams())
        [score], [reason] = answers.score, answers.reasons()
        assert found["borders"]["letterboxed"] and found["borders"]["pillarboxed"]
        assert (score == 1.0) == passes, reason
        assert answers.value[0] == pytest.approx(lines, abs=9) and "between bars" in reason


def prints_of(pictures: list[np.ndarray]) -> dict[str, Any]:
    bars, prints = Borders(), Fingerprint()
    for frame in frames(pictures):
        bars.feed(frame)
        prints.feed(frame)
    return {**prints.figures(active_area(bars.figures())), "sound": ""}


def test_a_brighter_copy_of_a_dark_film_is_still_its_copy() -> None:
    dark = spot_on_black(72)
    copies = [dark, [np.clip(p * 1.3 + 0.06, 0, 1) for p in dark], pan(72, seed=9)]
    assert list(Matches.of([prints_of(c) for c in copies], DuplicateParams(), range(3)).pictures) == [(0, 1)]


def test_a_copy_between_bars_is_still_a_copy() -> None:
    film = pan(72)
    copies = [film, barred(film), barred([p * 0.4 for p in film], level=0.07), pan(72, seed=9)]
    found = Matches.of([prints_of(c) for c in copies], DuplicateParams(), range(4)).pictures
    assert set(found) == {(0, 1), (0, 2), (1, 2)}
