"""Films delivered in 10 bits: their colours, what the file says of them, and HDR10's metadata as measured."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.color.delivery import Delivery, delivery_of
from aiprod.color.light import pq_nits, pq_signal
from aiprod.errors import AiprodError
from aiprod.media.colour import planes
from aiprod.media.frames import VideoReader
from aiprod.media.hdr10 import ContentLight, LightMeter, StaticMetadata
from aiprod.media.high_bit_depth import DeepPictures, coded
from aiprod.media.probing import probe
from aiprod.media.segments import encode_segment, join_segments, yuv_frame
from aiprod.media.video_form import VideoForm
from aiprod.montage.cut import cut
from aiprod.montage.pictures import Composer
from aiprod.montage.sources import look
from aiprod.montage.timeline import TARGETS, Timeline

PQ = delivery_of("pq", None)
RATE = Fraction(25)
NITS = (0.5, 10.0, 203.0, 900.0)


def gray(nits: tuple[float, ...] = NITS, width: int = 128, height: int = 64) -> list[np.ndarray]:
    """Planes of columns of light."""
    signal = np.repeat(np.asarray(pq_signal(np.array(nits))), width // len(nits))
    plane = np.broadcast_to(signal.astype(np.float32), (height, width))
    return coded([np.array(plane)] * 3, PQ)


def film(path: Path, made: list[np.ndarray], frames: int = 12, crf: float = 4) -> Path:
    """A PQ film in HEVC that holds one picture."""
    height, width = made[0].shape
    form = VideoForm(RATE, width, height, "hevc", crf, "ultrafast", delivery=PQ)
    encode_segment(path, (yuv_frame(made) for _ in range(frames)), form)
    return path


def first(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def luma(path: Path) -> np.ndarray:
    """Luma of 10 bits in the middle of each of the four columns."""
    plane = planes(first(path))[0]
    wide = plane.shape[1] // 4
    return np.array([np.median(plane[8:-8, n * wide + 8 : (n + 1) * wide - 8]) for n in range(4)])


def test_what_a_film_of_pq_states_is_what_is_in_it(tmp_path: Path) -> None:
    """From PQ to PQ: codes stay, tags, boxes and messages say what they mean, and the light is the true one."""
    source = film(tmp_path / "a.mp4", gray())
    out = tmp_path / "o.mp4"
    done = CliRunner().invoke(
        app, ["grade", str(source), "--space", "pq", "--peak", "1000", "--crf", "4", "--workers", "1", "-o", str(out)]
    )
    assert done.exit_code == 0, done.output
    expected = np.rint(64 + 876 * np.asarray(pq_signal(np.array(NITS))))
    assert np.abs(luma(out) - expected).max() <= 1
    frame = first(out)
    tags = int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace), int(frame.color_range)
    assert tags == (9, 16, 9, 1) and frame.format.name == "yuv420p10le"
    video = probe(out).video
    assert video is not None and video.peak_nits == 1000.0 and (video.transfer, video.primaries) == (16, 9)
    data = out.read_bytes()
    light = data[data.index(b"clli") + 4 :][:4]
    brightest, mean = struct.unpack(">HH", light)
    assert brightest == pytest.approx(900, rel=0.01) and mean == pytest.approx(np.mean(NITS), rel=0.01)
    mastering = struct.unpack(">8H2I", data[data.index(b"mdcv") + 4 :][:24])
    green, blue, red, white = ((mastering[n] * 2e-5, mastering[n + 1] * 2e-5) for n in (0, 2, 4, 6))
    corners = ((0.17, 0.797), (0.131, 0.046), (0.708, 0.292), (0.3127, 0.329))
    for found, meant in zip((green, blue, red, white), corners, strict=True):
        assert found == pytest.approx(meant, abs=2e-5)
    assert mastering[8:] == (10_000_000, 1)
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"
        keys = [f for f in container.decode(video=0) if f.key_frame]
    for key in keys:  # the stream itself says so too, for players that do not read the boxes
        kinds = {side.type.name for side in key.side_data}
        assert {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"} <= kinds


@pytest.mark.parametrize(
    ("space", "tags", "name"),
    [
        ("hlg", (9, 18, 9), "hevc"),
        ("hlg", (9, 18, 9), "av1"),
        ("hlg", (9, 18, 9), "dnxhr"),
        ("p3", (12, 1, 1), "h264"),
        ("p3", (12, 1, 1), "dnxhr"),
        ("rec709", (1, 1, 1), "h264"),
    ],
)
def test_every_space_is_tagged_as_it_is(tmp_path: Path, space: str, tags: tuple[int, int, int], name: str) -> None:
    source, delivery = film(tmp_path / "a.mp4", gray(NITS, 256, 128), 3), delivery_of(space, None)
    with VideoReader(source) as reader:
        pictures = DeepPictures(256, 128, reader.facts, None, delivery)
        form = VideoForm(RATE, 256, 128, name, 4, "ultrafast", delivery=delivery)  # type: ignore[arg-type]
        made = (yuv_frame(pictures.frame(timed.frame)) for timed in reader.frames())
        segment, out = (tmp_path / f"{stem}.{form.container}" for stem in "so")
        assert encode_segment(segment, made, form) == 3
    join_segments(out, [(segment, 3)], form, None)
    frame = first(out)
    assert (int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)) == tags
    assert frame.color_range == 1
    with av.open(str(out)) as container:
        named = {"av1": "libdav1d", "dnxhr": "dnxhd"}
        assert container.streams.video[0].codec_context.name == named.get(name, name)
    assert b"clli" not in out.read_bytes()  # of PQ alone
    if space == "hlg":
        wanted = 64 + 876 * 0.75
        assert luma(out)[2] == pytest.approx(wanted, abs=1.5)  # 203 cd/m² is three quarters of HLG


@pytest.mark.parametrize(("codec", "name"), [("prores", "o.mov"), ("dnxhr", "o.mov"), ("av1", "o.mp4")])
def test_every_codec_of_pq_states_its_light_in_boxes(tmp_path: Path, codec: str, name: str) -> None:
    source, out = film(tmp_path / "a.mp4", gray(NITS, 256, 128), 3), tmp_path / name
    arguments = ["grade", str(source), "--space", "pq", "--codec", codec, "--crf", "4", "-o", str(out)]
    assert CliRunner().invoke(app, [*arguments, "--workers", "1"]).exit_code == 0
    frame = first(out)
    assert (int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)) == (9, 16, 9)
    assert {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"} <= {side.type.name for side in frame.side_data}
    expected = np.rint(64 + 876 * np.asarray(pq_signal(np.array(NITS))))
    assert np.abs(luma(out) - expected).max() <= 1


def timeline(clips: list[dict[str, object]], **more: object) -> Timeline:
    return Timeline.checked(
        rate=RATE, width=128, height=64, pictures=[{"clips": clips, **more}], loudness=TARGETS["untouched"]
    )


def test_a_cut_of_pq_leaves_pictures_as_they_are_and_dissolves_them_within_a_code(tmp_path: Path) -> None:
    a = film(tmp_path / "a.mp4", gray(), 20)
    b = film(tmp_path / "b.mp4", gray((100.0, 1.0, 5.0, 50.0)), 20)
    made = timeline(
        [
            {"film": a, "record_in": 0, "record_out": 10},
            {"film": b, "record_in": 10, "record_out": 20, "source_in": "1/5"},
        ],
        transitions=[{"record_in": 8, "record_out": 12}],
    )
    with Composer(made, {each: look(each) for each in (a, b)}, PQ) as composer:
        shown = [[plane.astype(float) for plane in planes(frame)] for frame in composer.frames(0, 20)]
    sources = [[plane.astype(float) for plane in planes(first(each))] for each in (a, b)]
    for n in range(3):
        assert (shown[0][n] == sources[0][n]).all()
        for k, frame in enumerate(range(8, 12)):
            weight = (k + 0.5) / 4
            mixed = (1 - weight) * sources[0][n] + weight * sources[1][n]
            assert np.abs(shown[frame][n] - mixed).max() <= 1
    done = cut(made, tmp_path / "o.mp4", form=VideoForm(RATE, 128, 64, "hevc", 6, "ultrafast", delivery=PQ), workers=1)
    assert done.light is not None and done.light.max_nits == pytest.approx(900, rel=0.02)


def test_a_title_is_as_bright_as_diffuse_white(tmp_path: Path) -> None:
    """A white picture of standard range among film of PQ: 203 cd/m², and half-transparent over black half its code."""
    import cv2

    cv2.imwrite(str(tmp_path / "t.png"), np.full((64, 128, 3), 255, np.uint8))
    title = {"film": tmp_path / "t.png", "record_in": 0, "record_out": 2}
    made = timeline([{**title, "opacity": 0.5}])
    sources = {tmp_path / "t.png": look(tmp_path / "t.png")}
    white = 876 * float(pq_signal(np.array(203.0)))
    with Composer(timeline([title]), sources, PQ) as composer:
        assert np.abs(planes(composer.frame(0))[0].astype(float) - 64 - white).max() <= 1
    with Composer(made, sources, PQ) as composer:
        assert np.abs(planes(composer.frame(0))[0].astype(float) - 64 - white / 2).max() <= 1


def test_light_is_that_of_the_largest_channel() -> None:
    """CTA-861.3: a saturated blue of 400 cd/m² counts as 400, though its luminance is a seventeenth of it."""
    signal = float(pq_signal(np.array(400.0)))
    blue = [np.zeros((32, 32), np.float32), np.zeros((32, 32), np.float32), np.full((32, 32), signal, np.float32)]
    meter = LightMeter(PQ)
    meter.add(coded(blue, PQ))
    assert meter.light.max_nits == pytest.approx(400, rel=0.02)
    meter.add(coded([plane * 0 for plane in blue], PQ))
    assert meter.light.mean_nits == pytest.approx(400, rel=0.02)  # of the brightest picture, not of all


def test_messages_stand_before_the_picture_and_hold_no_start_code() -> None:
    """Whatever the figures, the message has no three bytes that look like the start of another unit."""
    parameter, picture = b"\x00\x00\x00\x03\x40\x01\x0c", b"\x00\x00\x00\x04\x26\x01\xaa\xbb"
    for peak in (100.0, 1000.0, 4000.0, 10_000.0):
        for light in (ContentLight(0, 0), ContentLight(256.0, 1.0), ContentLight(70_000.0, 3.2)):
            made = StaticMetadata(Delivery("pq", 10, peak), light).hevc(parameter + picture)
            assert made.startswith(parameter) and made.endswith(picture)
            unit = made[len(parameter) + 4 : -len(picture)]
            assert struct.unpack(">I", made[len(parameter) :][:4])[0] == len(unit)
            assert all(unit[n : n + 3] not in (b"\0\0\0", b"\0\0\1", b"\0\0\2") for n in range(len(unit)))
            plain = unit[2:].replace(b"\0\0\3", b"\0\0")
            assert plain[0] == 137 and plain[1] == 24
            assert struct.unpack(">I", plain[18:22])[0] == round(peak * 10_000)


def test_a_ramp_of_ten_bits_is_dithered_without_bands() -> None:
    """Between two codes the mean over 8 x 8 points is the value itself, to a sixty-fourth."""
    ramp = np.repeat(np.linspace(0.3, 0.31, 64, dtype=np.float32)[None].repeat(64, 0), 8, axis=1)
    shown = coded([ramp] * 3, PQ)[0].astype(float)
    means = shown.reshape(8, 8, 64, 8).mean(axis=(0, 1, 3))
    assert np.abs(means - (64 + 876 * ramp[0, ::8])).max() <= 1 / 32


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_film_of_a_few_pictures_has_the_same_times_every_time(tmp_path: Path, count: int) -> None:
    """x265 leaves decode times unset where a film ends before it knows them."""
    seen = set()
    for _ in range(25):
        memory = [np.random.default_rng().bytes(200_000) for _ in range(3)]  # what an ordinary program leaves behind
        with av.open(str(film(tmp_path / "a.mp4", gray(), count))) as container:
            packets = [p for p in container.demux(video=0) if p.size]
            seen.add(tuple((p.pts * p.time_base, p.dts * p.time_base) for p in packets))
        del memory
    [times] = seen
    assert sorted(shown for shown, _ in times) == [n / RATE for n in range(count)]
    assert times[0][1] == -2 / RATE


def test_what_is_not_made_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # whatever would be made after all
    source = film(tmp_path / "a.mp4", gray(), 2)
    for arguments in (
        ["--space", "rec2100"],
        ["--space", "pq", "--bits", "8"],
        ["--space", "pq", "--codec", "h264"],
        ["--space", "hlg", "--codec", "dnxhr", "--out", "o.mp4"],
        ["--space", "pq", "--peak", "20000"],
        ["--tone-map", "reinhard"],
        ["--black", "9"],
        ["--input", "srgb"],
    ):
        raised = CliRunner().invoke(app, ["grade", str(source), *arguments]).exception
        assert isinstance(raised, AiprodError) and "\n" not in str(raised), arguments


def test_a_real_hlg_film_becomes_pq_of_the_same_light(shared_clips: Path) -> None:
    with VideoReader(shared_clips / "bad" / "ax_hlg10.mp4") as reader:
        frame = next(iter(reader.frames())).frame
        made = DeepPictures(frame.width, frame.height, reader.facts, None, PQ).frame(frame)
    signal = (planes(frame)[0].astype(float) - 64) / 876
    chroma = [np.abs(plane.astype(float) - 512).repeat(2, 0).repeat(2, 1) for plane in planes(frame)[1:]]
    neutral = (np.maximum(*chroma) < 3)[: signal.shape[0], : signal.shape[1]] & (signal > 0.2)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    shown = pq_nits((made[0].astype(float) - 64) / 876)
    ratio = shown[neutral] / (1000 * scene[neutral] ** 1.2)
    assert np.median(ratio) == pytest.approx(1, abs=0.01) and np.percentile(np.abs(ratio - 1), 90) < 0.06
