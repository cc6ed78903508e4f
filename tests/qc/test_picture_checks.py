"""Picture checks against FFmpeg's filters and films of known content."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.media.probing import probe
from aiprod.qc.checks import camera, watermark
from aiprod.qc.checks.black import dark_fraction, is_black
from aiprod.qc.checks.encoding import blockiness, blur
from aiprod.qc.checks.freeze import Freeze
from aiprod.qc.checks.motion import Motion
from aiprod.qc.checks.palette import name_shares
from aiprod.qc.clip_context import SmallFrame
from aiprod.qc.measure.decode_pass import Together, observe
from aiprod.qc.measure.measure_clip import measure_clip, measure_file
from aiprod.qc.measurement import OfDifferences, OfFrames, OfSomeFrames
from aiprod.qc.params import QcMeasureParams
from aiprod.qc.planes import Shrinker, coarse_factor, scattered, shrink
from tests.qc.films import ffmpeg_video, texture, write

PARAMS = QcMeasureParams()


def moving(count: int, width: int = 320, height: int = 240, step: int = 3, seed: int = 1) -> list[np.ndarray]:
    """A camera that pans right over a texture: content moves left."""
    wide = texture(width + step * count, height, seed)
    return [wide[:, n * step : n * step + width].copy() for n in range(count)]


def test_black_time_agrees_with_blackdetect(tmp_path: Path) -> None:
    pictures = moving(96)
    for n in [*range(10, 34), *range(60, 66)]:
        pictures[n][:] = 3
    path = write(tmp_path / "a.mp4", pictures)
    found, _ = measure_file(path, PARAMS)
    reference = ffmpeg_video(path, "blackdetect=d=0.01:pic_th=0.98:pix_th=0.10")
    ends, starts = reference["lavfi.black_end"], reference["lavfi.black_start"]
    known = sum(e - s for s, e in zip(starts, ends, strict=True))
    assert found["black"]["black_s"] == pytest.approx(known, abs=1 / 24)
    assert found["black"]["black_s"] == pytest.approx(30 / 24, abs=1e-3)


def test_full_range_black_is_judged_on_its_own_range() -> None:
    plane = np.full((20, 20), 30, np.uint8)  # 6 % of the limited range, 12 % of the full one
    assert dark_fraction(plane, 16, 235) == 1.0
    assert dark_fraction(plane, 0, 255) == 0.0


@given(seed=st.integers(0, 2**16), dark=st.floats(0.97, 0.99), light=st.sampled_from([38, 60, 255]))
def test_the_quick_look_at_a_pictures_mean_never_changes_what_is_black(seed: int, dark: float, light: int) -> None:
    limit = int(16 + 0.10 * 219)
    values = np.where(np.random.default_rng(seed).permutation(1000) < round(dark * 1000), limit, light)
    plane = values.reshape(20, 50).astype(np.uint8)
    assert is_black(plane, 16, 235) == (dark_fraction(plane, 16, 235) >= 0.98)


def test_motion_is_the_difference_of_neighbours_and_reversal_the_product_of_two() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (5, 30, 40)).astype(np.uint8)
    check = Motion()
    for n, plane in enumerate(planes):
        check.feed(SmallFrame(n, n / 24, plane, plane, 16, 235))
    steps = np.diff(planes.astype(np.float64), axis=0)
    assert check.energy[1:] == pytest.approx(np.abs(steps).mean(axis=(1, 2)) / 219)
    assert check.reversal[2:] == pytest.approx(-(steps[1:] * steps[:-1]).mean(axis=(1, 2)) / 219**2)


def test_freeze_agrees_with_freezedetect(tmp_path: Path) -> None:
    pictures = moving(120)
    for n in range(30, 90):
        pictures[n] = pictures[30]
    path = write(tmp_path / "a.mp4", pictures)
    found, _ = measure_file(path, PARAMS)
    reference = ffmpeg_video(path, "freezedetect=n=0.001:d=2")
    known = sum(reference["lavfi.freezedetect.freeze_duration"])
    assert found["freeze"]["frozen_s"] == pytest.approx(known, abs=2 / 24)


def test_slow_motion_is_no_freeze_and_a_keyframe_does_not_hide_one() -> None:
    base = texture(80, 60).astype(np.float32)

    def feed(pictures: list[np.ndarray]) -> dict:
        check = Freeze()
        for n, picture in enumerate(pictures):
            plane = picture.astype(np.uint8)
            check.feed(SmallFrame(n, n / 24, plane, plane, 16, 235))
        return check.figures()

    slow = feed([np.roll(base, n // 6, axis=1) for n in range(96)])
    assert slow["frozen_s"] == 0.0
    step = feed([base + (1.0 if n >= 30 else 0.0) for n in range(96)])  # a refined picture half-way
    assert step["frozen_s"] == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize(
    ("dx", "dy", "zoom", "name"),
    [
        (-3, 0, 1, "pans right"),
        (3, 0, 1, "pans left"),
        (0, 2, 1, "tilts up"),
        (0, -2, 1, "tilts down"),
        (0, 0, 1.02, "moves in"),
        (0, 0, 0.98, "moves out"),
        (0, 0, 1, "static"),
    ],
)
def test_camera_movements_by_name(dx: float, dy: float, zoom: float, name: str) -> None:
    big = texture(640, 480, 3)

    def view(n: int) -> np.ndarray:
        matrix = cv2.getRotationMatrix2D((320, 240), 0, zoom**n)
        matrix[:, 2] += (dx * n, dy * n)
        return cv2.warpAffine(big, matrix, (640, 480))[120:360, 160:480]

    pairs = [(view(n), view(n + 1), 1 / 24) for n in range(8)]
    found = camera.measure(pairs, 1 / 24, 1.0)
    assert found["movement"] == name
    if dx:
        assert found["dx_per_s"] == pytest.approx(dx * 24 / 320, rel=0.05)
    if zoom != 1:
        assert found["zoom_per_s"] == pytest.approx(np.log(zoom) * 24, rel=0.05)


def test_a_thing_that_moves_before_a_still_camera_leaves_it_still() -> None:
    ground, thing = texture(320, 240, 4), texture(110, 150, 5)

    def view(n: int) -> np.ndarray:
        picture = ground.copy()
        picture[50:200, 60 + 4 * n : 170 + 4 * n] = thing
        return picture

    found = camera.measure([(view(n), view(n + 1), 1 / 24) for n in range(8)], 1 / 24, 1.0)
    assert found["movement"] == "static"


def _camera_of(planes: list[np.ndarray]) -> dict:
    return camera.measure([(a, b, 1 / 24) for a, b in itertools.pairwise(planes)], 1 / 24, 1.0)


def test_a_mark_is_found_under_a_moving_camera_only() -> None:
    planes = moving(24, step=6)
    for plane in planes:
        cv2.putText(plane, "MARK", (200, 210), cv2.FONT_HERSHEY_DUPLEX, 1.0, 250, 2)
    (w, h), _ = cv2.getTextSize("MARK", cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)
    found = watermark.measure(planes, _camera_of(planes), {})
    assert found["status"] == "ok"
    assert found["area_fraction"] == pytest.approx(w * h / (320 * 240), rel=0.4)
    still = [planes[0]] * 24
    assert watermark.measure(still, _camera_of(still), {})["status"] == "unmeasurable"


def test_stripes_that_move_along_themselves_are_no_mark() -> None:
    rows = np.repeat(((np.arange(240) // 12 % 2) * 60 + 90).astype(np.uint8)[:, None], 500, axis=1)
    wide = cv2.addWeighted(rows, 0.5, texture(500, 240, 6), 0.5, 0)
    planes = [wide[:, 6 * n : 6 * n + 320].copy() for n in range(24)]
    found = watermark.measure(planes, _camera_of(planes), {})
    assert found["status"] == "ok" and found["area_fraction"] == 0.0


def test_blur_grows_with_the_radius_and_blocks_are_seen() -> None:
    sharp = texture(320, 240, 7, grain=1)
    values = [blur(sharp), *(blur(cv2.GaussianBlur(sharp, (0, 0), s)) for s in (1.5, 3, 6))]
    assert values == sorted(values)
    assert blockiness(sharp) < 1.3
    blocks = cv2.resize(cv2.resize(sharp, (40, 30), interpolation=cv2.INTER_AREA), (320, 240), interpolation=0)
    assert blockiness(blocks) > 3


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((222, 44, 48), "red"),
        ((246, 138, 30), "orange"),
        ((250, 214, 52), "yellow"),
        ((58, 180, 75), "green"),
        ((46, 98, 222), "blue"),
        ((124, 88, 58), "brown"),
        ((112, 116, 122), "grey"),
        ((242, 242, 238), "white"),
        ((8, 8, 8), "black"),
        ((244, 130, 186), "pink"),
        ((28, 98, 98), "teal"),
    ],
)
def test_colours_have_their_common_names(rgb: tuple[int, int, int], name: str) -> None:
    shares = name_shares(np.full((4, 4, 3), rgb, np.uint8))
    assert max(shares, key=lambda k: shares[k]) == name


def test_a_clip_over_the_pixel_bound_is_measured_in_part_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", moving(96))
    found, _ = measure_file(path, PARAMS.model_copy(update={"decoded_gigapixels_max": 320 * 240 * 48 / 1e9}))
    assert found["timing"]["frames"] == 48
    assert found["timing"]["clip_s"] == pytest.approx(4.0) and found["timing"]["bounded_at_s"] == pytest.approx(2.0)


@pytest.mark.parametrize("stated_fps", [30_000.0, 1.0])
def test_a_rate_that_a_header_makes_up_moves_no_bound(tmp_path: Path, stated_fps: float) -> None:
    """Matroska files that were copied from other containers state 30000 fps now and then."""
    path = write(tmp_path / "a.mp4", moving(96))
    facts = probe(path)
    assert facts.video is not None
    facts = facts.model_copy(update={"video": facts.video.model_copy(update={"fps": stated_fps})})
    for pictures, decoded in ((200, 96), (50, 50)):
        params = PARAMS.model_copy(update={"decoded_gigapixels_max": 320 * 240 * pictures / 1e9})
        timing = measure_clip(path, facts, 0.0, 4.0, params)[0]["timing"]
        assert timing["frames"] == decoded
        assert timing.get("bounded_at_s") == (None if decoded == 96 else pytest.approx(decoded / 24, rel=1e-5))


def test_a_film_without_a_stated_length_is_not_given_one_by_the_bound(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", moving(96))
    for pictures in (50, 200):
        params = PARAMS.model_copy(update={"decoded_gigapixels_max": 320 * 240 * pictures / 1e9})
        timing = measure_clip(path, probe(path), 0.0, float("inf"), params)[0]["timing"]
        assert timing["clip_s"] == pytest.approx(min(pictures, 96) / 24, rel=1e-5)
        assert ("bounded_at_s" in timing) == (pictures == 50)


@pytest.mark.parametrize(
    ("factor", "lines", "apart"), [(1, 2, 1), (2, 4, 1), (3, 8, 2), (4, 8, 2), (6, 16, 4), (32, 64, 16)]
)
@pytest.mark.parametrize("width", [133, 5, 1])
def test_sparse_pixels_are_the_pictures_own(factor: int, lines: int, apart: int, width: int) -> None:
    padded = np.random.default_rng(0).integers(0, 256, (67, 150)).astype(np.uint8)
    luma = padded[:, :width]  # a decoder's lines are longer than the picture
    taken = scattered(luma, factor)
    assert np.array_equal(taken, luma[::lines, ::apart][:, : taken.shape[1]])
    assert taken.shape[1] >= max(1, width // apart) and not np.shares_memory(taken, padded)


@pytest.mark.parametrize(
    ("width", "factor"),
    [(64, 1), (240, 1), (241, 2), (320, 2), (640, 4), (720, 4), (960, 4), (1280, 8), (1920, 8), (3840, 16)],
)
def test_planes_of_all_frames_are_smaller_by_powers_of_two(width: int, factor: int) -> None:
    assert coarse_factor(width, 320) == factor


@given(
    st.lists(st.tuples(st.integers(1, 70), st.integers(1, 90)), min_size=1, max_size=4), st.sampled_from([1, 2, 4, 8])
)
def test_kept_sizes_average_as_if_each_picture_were_the_first(shapes: list[tuple[int, int]], factor: int) -> None:
    shrunk, rng, planes = Shrinker(factor), np.random.default_rng(0), []
    for h, w in [*shapes, *shapes]:
        luma = rng.integers(0, 256, (h, w + 8)).astype(np.uint8)[:, :w]
        planes.append((shrunk(luma), shrink(luma, factor)))
    assert all(np.array_equal(plane, expected) for plane, expected in planes), "none is written over"


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("shape", [(64, 88), (3, 88)])
def test_the_plane_on_the_way_is_that_of_half_the_factor(factor: int, shape: tuple[int, int]) -> None:
    luma = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    shrunk = Shrinker(factor)
    shrunk(luma)
    first = shrunk.larger(luma)
    shrunk(255 - luma)
    assert np.array_equal(first, shrink(luma, factor // 2)), "it is not written over"


class _Shapes(OfFrames):
    def __init__(self) -> None:
        self.seen: list[tuple[float, tuple[int, ...]]] = []

    def feed(self, frame: SmallFrame) -> None:
        self.seen.append((frame.time_s, frame.plane.shape))


class _SomeShapes(_Shapes, OfSomeFrames):
    pass


@pytest.mark.parametrize(
    ("size", "fps", "shapes", "looks"),
    [
        ((720, 96), 24, [(24, 180), (32, 240)], [24, 4]),  # three by three pixels are no power of two
        ((640, 96), 24, [(24, 160), (48, 320)], [24, 4]),  # of which the fine ones are made on the way
        ((64, 48), 60, [(48, 64), (48, 64)], [60, 4]),
        ((64, 48), 50, [(48, 64), (48, 64)], [50, 4]),
        ((64, 48), 120, [(48, 64), (48, 64)], [60, 4]),
    ],
)
def test_frames_are_looked_at_in_coarse_planes_60_times_a_second_and_in_fine_ones_now_and_then(
    tmp_path: Path, size: tuple[int, int], fps: int, shapes: list[tuple[int, int]], looks: list[int]
) -> None:
    path = write(tmp_path / "a.mp4", [np.full((size[1], size[0], 3), n % 200, np.uint8) for n in range(fps)], fps=fps)
    every, some = _Shapes(), _SomeShapes()
    context = observe(path, probe(path), 0.0, 1.0, PARAMS, of_frames=[every, some], of_stills=[])
    assert context.times_s.size == fps, "each frame is timed"
    assert len(every.seen) == looks[0] and {shape for _, shape in every.seen} == {shapes[0]}
    assert len(some.seen) >= looks[1] and {shape for _, shape in some.seen} == {shapes[1]}
    assert {int(4 * time_s + 1e-6) for time_s, _ in some.seen} == {0, 1, 2, 3}
    assert len(context.planes) >= PARAMS.watermark_frames - 1, "samples are taken from all frames"
    assert {plane.shape for plane in context.planes} == {shapes[1]}
    assert context.pairs
    assert all(a.shape == b.shape == shapes[1] and 0.039 <= gap < 0.09 for a, b, gap in context.pairs)


@pytest.mark.parametrize(("shape", "most"), [((4, 6), 64), ((20_000, 320), 4)])
def test_each_check_sees_every_frame_once_in_order_and_few_wait(shape: tuple[int, int], most: int) -> None:
    class Recorder(OfFrames):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def feed(self, frame: SmallFrame) -> None:
            self.seen.append(frame.index)

    first, second = Recorder(), Recorder()
    waiting = 0
    together = Together([first, second])
    picture = np.zeros(shape, np.uint8)
    for index in range(75):
        together.feed(SmallFrame(index, index / 24, picture, picture, 16.0, 235.0))
        waiting = max(waiting, index + 1 - len(second.seen))
    together.flush()
    assert first.seen == second.seen == list(range(75))
    assert waiting <= most


def test_checks_that_compare_neighbours_see_each_frame_in_turn_and_get_one_difference() -> None:
    class Comparing(OfDifferences):
        def __init__(self, seen: list[tuple[str, int]], name: str) -> None:
            self.seen, self.own, self.last, self.differences = seen, name, None, []

        def feed(self, frame: SmallFrame) -> None:
            self.seen.append((self.own, frame.index))
            if self.last is not None:
                self.differences.append(frame.difference(self.last))
            self.last = frame.plane

    seen: list[tuple[str, int]] = []
    one, other = Comparing(seen, "one"), Comparing(seen, "other")
    together = Together([one, other])
    planes = np.random.default_rng(0).integers(0, 256, (40, 6, 8)).astype(np.uint8)
    frames = [SmallFrame(n, n / 24, plane, plane, 16.0, 235.0) for n, plane in enumerate(planes)]
    for frame in frames:
        together.feed(frame)
    together.flush()
    assert seen == [(name, n) for n in range(40) for name in ("one", "other")]
    assert all(a is b for a, b in zip(one.differences, other.differences, strict=True))
    expected = np.abs(np.diff(planes.astype(int), axis=0))
    assert np.array_equal(np.stack(one.differences), expected)
    assert [frame.change for frame in frames[1:]] == pytest.approx(expected.mean(axis=(1, 2)))
    assert frames[1].difference(planes[1]).max() == 0, "another plane before it gives another difference"


def test_a_few_frames_a_second_are_the_first_of_each_quarter() -> None:
    check = _Shapes()
    together = Together([check], most_hz=4.0)
    plane = np.zeros((4, 6), np.uint8)
    for time_s in (0.0, 0.1, 0.2499999, 0.3, 0.49, 0.74, 0.76, 1.6, 1.7, 1.75):
        together.feed(SmallFrame(0, time_s, plane, plane, 16.0, 235.0))
    together.flush()
    assert [time_s for time_s, _ in check.seen] == [0.0, 0.2499999, 0.74, 0.76, 1.6, 1.75]


@given(st.lists(st.sampled_from([0, 0, 0, 1, 3, 40]), min_size=3, max_size=150), st.sampled_from([0, 1]))
def test_planes_that_move_spare_freeze_its_pixels_and_change_no_figure(steps: list[int], noise: int) -> None:
    rng, light, pictures = np.random.default_rng(0), 0, []
    for step in steps:
        light = (light + step) % 200
        pictures.append((light + rng.integers(0, 1 + noise, (12, 16))).astype(np.uint8))
    alone, beside = Freeze(), Freeze()
    together = Together([Motion(), beside])
    for n, picture in enumerate(pictures):
        alone.feed(SmallFrame(n, n / 24, picture, picture, 16, 235))
        together.feed(SmallFrame(n, n / 24, picture, picture, 16, 235))
    together.flush()
    assert beside.figures() == alone.figures()


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 6, 12])
def test_the_small_plane_is_the_mean_of_whole_blocks(factor: int) -> None:
    luma = texture(26 * factor, 21 * factor, 8, grain=1)[: 21 * factor - 1, : 26 * factor - 1]  # edges are cut off
    blocks = luma[: 20 * factor, : 25 * factor].reshape(20, factor, 25, factor).astype(np.float64)
    off = shrink(luma, factor) - blocks.mean(axis=(1, 3))
    assert np.abs(off).max() <= 1.0 and off.shape == (20, 25)
    assert np.array_equal(shrink(np.full((40, 60), 16, np.uint8), factor), np.full((40 // factor, 60 // factor), 16))
