"""Films whose pictures change their form, tear, jolt or are not all there: what ingest makes of them and says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from aiprod.base.files import sha256_file
from aiprod.data.ingest.cuts import lightest
from aiprod.data.ingest.ingest_film import IngestJob, check_whole, ingest_film
from aiprod.data.ingest.outdated_clips import affected
from aiprod.data.ingest.shot_detection import analyse_video
from aiprod.data.params import IngestParams, ShotParams
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.normalising import VERSION
from aiprod.media.probing import probe, require_video
from aiprod.media.scaling import Scaler
from aiprod.qc.checks import RULES
from aiprod.qc.measure.measure_clip import measure_file
from aiprod.qc.params import QcMeasureParams
from aiprod.storage.result_cache import Memo
from tests.media.habits import write
from tests.qc.one_clip import answer


def ground(seed: int = 0) -> np.ndarray:
    """A picture with structure of every size, uint8 [H, W, 3], larger than what is shown of it."""
    rng = np.random.default_rng(seed)
    made = np.zeros((400, 500, 3), np.float32)
    for size in (4, 12, 40):
        small = rng.normal(0, 1, (400 // size, 500 // size, 3)).astype(np.float32)
        made += cv2.resize(small, (500, 400), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 40 * made, 0, 255).astype(np.uint8)


def taken(path: Path) -> tuple[dict[str, Any], Path]:
    """What ingest keeps of a film, and where."""
    memo = Memo(path.parent / f"{path.name}.memo", "")
    ingest_film(IngestJob(str(path), None, sha256_file(path), "key", memo, IngestParams()))
    known = memo.get("key")
    assert known is not None
    return known


def resized(path: Path, sizes: tuple[tuple[int, int], ...], container: str = "matroska") -> Path:
    """VP8 that changes its size after each second, as video calls do: a disc that is round."""
    with av.open(str(path), "w", format=container) as new:
        target: Any = None
        for part, (width, height) in enumerate(sizes):
            y, x = np.mgrid[0:height, 0:width]
            disc = np.where(
                (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2, 220, 40
            ).astype(np.uint8)
            coder = av.CodecContext.create("libvpx", "w")
            coder.width, coder.height, coder.pix_fmt, coder.time_base = width, height, "yuv420p", Fraction(1, 24)
            if target is None:
                target = new.add_stream("libvpx", rate=24)
                target.width, target.height, target.pix_fmt = width, height, "yuv420p"
            packets = []
            for n in range(24):
                frame = av.VideoFrame.from_ndarray(disc[..., None].repeat(3, 2), "rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = n, Fraction(1, 24)
                packets += coder.encode(frame)
            for packet in packets + coder.encode(None):
                packet.pts, packet.dts = packet.pts + 24 * part, packet.dts + 24 * part
                packet.time_base, packet.stream = Fraction(1, 24), target
                new.mux(packet)
    return path


@pytest.mark.parametrize("sizes", [((320, 240), (320, 180)), ((320, 180), (180, 320), (240, 240))])
def test_each_size_is_a_shot_of_its_own_shape(sizes: tuple[tuple[int, int], ...], tmp_path: Path) -> None:
    result, place = taken(resized(tmp_path / "film", sizes))
    assert [(clip["width"], clip["height"]) for clip in result["clips"]] == list(sizes)
    assert [clip["frames"] for clip in result["clips"]] == [24] * len(sizes)
    assert sum(note.startswith("form: pictures change at") for note in result["notes"]) == len(sizes) - 1
    for clip, (width, height) in zip(result["clips"], sizes, strict=True):
        with VideoReader(place / clip["file"]) as reader:
            shown = [Scaler(width, height, "gray").array(timed.frame) for timed in reader.frames()]
        disc = shown[12] > 130
        across, down = int(disc.any(axis=0).sum()), int(disc.any(axis=1).sum())
        assert abs(across - down) <= 3, "stretched"


def test_qc_says_that_pictures_change_their_size(tmp_path: Path) -> None:
    found, _ = measure_file(resized(tmp_path / "film", ((320, 240), (320, 180))), QcMeasureParams())
    judged = answer(RULES["shots"].judge, found)
    assert judged.caps
    assert "from 320x240 to 320x180" in judged.reason


def test_the_film_that_was_stretched(shared_faults: Path, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes((shared_faults / "webrtc_resize.webm").read_bytes())
    result, _ = taken(path)
    assert [(clip["width"], clip["height"]) for clip in result["clips"]] == [(640, 480), (640, 360)]


def test_a_jolt_or_a_flash_is_no_cut_and_a_change_of_scene_is_one(tmp_path: Path) -> None:
    one, other = ground(0), ground(1)
    pictures = []
    for n in range(96):
        x, y = (100 + n % 2 + 40 * (n >= 24), 50 + 20 * (n >= 24))
        pictures.append((one if n < 72 else other)[y : y + 180, x : x + 320].copy())
    pictures[40] = np.clip(pictures[40].astype(int) + 120, 0, 255).astype(np.uint8)
    pictures[55] = pictures[56] = np.full_like(pictures[0], (0, 135, 0))
    encode(tmp_path / "film.mp4", pictures, 24)
    assert [shot.first for shot in analyse_video(tmp_path / "film.mp4", ShotParams()).shots] == [0, 72]
    found, _ = measure_file(tmp_path / "film.mp4", QcMeasureParams())
    assert 1.0 not in found["motion"]["cut_times_s"], "the jolt"
    assert 3.0 in found["motion"]["cut_times_s"]


def test_lettering_that_stays_does_not_hide_a_cut(tmp_path: Path) -> None:
    pictures = []
    for n in range(48):
        pictures.append((ground(0) if n < 24 else ground(1) // 2)[n // 4 : n // 4 + 180, :320].copy())
        cv2.putText(pictures[-1], "HOT FIRE TEST", (20, 100), cv2.FONT_HERSHEY_DUPLEX, 1.2, (255, 255, 255), 5)
    encode(tmp_path / "film.mp4", pictures, 24)
    assert [shot.first for shot in analyse_video(tmp_path / "film.mp4", ShotParams()).shots] == [0, 24]


def torn(path: Path) -> Path:
    """A second of pictures in which one packet is noise, then a key picture; two seconds and more around them."""
    whole = path.with_name("whole.mp4")
    sight = [ground()[50 : 50 + 180, n : n + 320].copy() for n in range(72)]
    encode(whole, sight, 24, keyframe_s=1.0, video_options={"bf": "0"})
    noise = np.random.default_rng(0)
    with av.open(str(whole)) as old, av.open(str(path), "w", format="matroska") as new:
        target = new.add_stream_from_template(old.streams.video[0])
        for n, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            data = bytes(packet)
            if n == 30:
                data = data[:12] + noise.bytes(len(data) - 12)
            changed = av.Packet(data)
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, target
            new.mux(changed)
    return path


def test_a_torn_picture_is_a_defect_and_no_cut(tmp_path: Path) -> None:
    path = torn(tmp_path / "film")
    seen = analyse_video(path, ShotParams())
    assert [shot.first for shot in seen.shots] == [0]
    [(begin, end)] = seen.torn_s
    assert begin == pytest.approx(30 / 24, abs=0.09)
    assert end == pytest.approx(2.0, abs=0.05)
    notes = check_whole(path, probe(path), seen, 0.5)
    assert any(note.startswith("torn: 0.7") for note in notes), notes
    found, _ = measure_file(path, QcMeasureParams())
    judged = answer(RULES["decodable"].judge, found)
    assert judged.score == 0
    assert "the picture is torn for 0.7" in judged.reason
    assert found["motion"]["cuts"] == 0


def test_lines_count_as_they_are_stored(tmp_path: Path) -> None:
    """Pixels that are taller than wide make 540 lines of 360 on a screen, and no more detail."""
    picture = ground()[:360, :480]
    encode(tmp_path / "film.mp4", [picture] * 24, 24, video_options={"x264-params": "sar=2/3"})
    found, _ = measure_file(tmp_path / "film.mp4", QcMeasureParams())
    assert found["geometry"]["display_height"] == 540
    judged = answer(RULES["resolution"].judge, found)
    assert judged.score == 0
    assert "from 480x360 as stored" in judged.reason


def test_a_film_whose_times_begin_late_is_whole(shared_faults: Path) -> None:
    path = shared_faults / "mp4parser_example.f4v"
    assert check_whole(path, probe(path), analyse_video(path, ShotParams()), 0.02) == []


def covered(path: Path) -> None:
    encode(path.with_suffix(".mp4"), [ground()[:96, :128]] * 24, 24)
    with av.open(str(path.with_suffix(".mp4"))) as old, av.open(str(path), "w", format="matroska") as new:
        target = new.add_stream_from_template(old.streams.video[0])
        new.add_attachment("notes.txt", "text/plain", b"Good morning")
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = target
                new.mux(packet)


def transparent(path: Path) -> None:
    write(path, count=24, codec="png", container="mov", options={}, pixel_format="rgba")


def late_by_edit(path: Path) -> None:
    """An empty edit before the pictures."""
    with av.open(str(path), "w", format="mp4", container_options={"use_editlist": "1"}) as new:
        stream = new.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for n in range(24):
            frame = av.VideoFrame.from_ndarray(ground()[:96, :128], "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = n + 24, Fraction(1, 24)
            new.mux(stream.encode(frame))
        new.mux(stream.encode(None))


def no_matrix(path: Path) -> None:
    """A display matrix of zeros."""
    encode(path, [ground()[:96, :128]] * 24, 24)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = bytes(36)
    path.write_bytes(data)


def in_two_views(path: Path) -> None:
    """Matroska says that the left half is for the left eye."""
    encode(path.with_suffix(".mp4"), [ground()[:96, :128]] * 24, 24)
    with av.open(str(path.with_suffix(".mp4"))) as old, av.open(str(path), "w", format="matroska") as new:
        target = new.add_stream_from_template(old.streams.video[0])
        target.metadata["stereo_mode"] = "left_right"
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = target
                new.mux(packet)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (in_two_views, "stereo 3-D: two views in one stream, side by side"),
        (covered, "streams that are not used: 1 of type attachment"),
        (transparent, "alpha:"),
        (late_by_edit, "edit list: the pictures begin 1.00 s late"),
        (no_matrix, "rotation: the display matrix is not"),
    ],
)
def test_what_is_not_used_or_odd_is_said(make: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    make(tmp_path / "film")
    result, _ = taken(tmp_path / "film")
    assert result["error"] is None
    assert any(note.startswith(words) for note in result["notes"]), result["notes"]


def test_a_plain_film_has_no_notes(tmp_path: Path) -> None:
    sound = np.sin(np.arange(48_000) * 0.05, dtype=np.float32)[None].repeat(2, axis=0) * np.float32(0.25)
    encode(tmp_path / "film", [ground()[:96, :128]] * 24, 24, sound)
    assert taken(tmp_path / "film")[0]["notes"] == []


def test_clips_of_an_earlier_version_are_named(tmp_path: Path) -> None:
    facts = probe(write(tmp_path / "film", container="avi"))
    require_video(facts)
    rows = {"source_id": "s", "key": "k", "status": "ok", "facts": facts.model_dump(mode="json")}
    film = FilmRow.model_validate({"film_id": "f", **rows})
    clip = {
        "clip_id": "c",
        "film_id": "f",
        "source_id": "s",
        "shot_index": 0,
        "start_s": 0,
        "end_s": 2,
        "frames": 48,
        "fps": 24,
        "width": 192,
        "height": 96,
        "has_audio": False,
        "status": "ok",
        "split": "train",
    }
    [found] = affected([film], [ClipRow.model_validate(clip)])
    assert found.made_by == 1
    assert any("B-frames" in why for why in found.why)
    assert list(affected([film], [ClipRow.model_validate({**clip, "made_by": VERSION})])) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"container": "MPEG transport stream"}, "range or matrix that change"),
        ({"container": "MP4", "video": {"codec": "hevc", "frames": None, "matrix": 1}}, "range or matrix that change"),
        ({"container": "Ogg", "video": {"codec": "vp8", "matrix": 1}}, "pauses of Ogg"),
        ({"container": "AVI"}, "too early for the sound"),
        ({"container": "MP4", "video": {"codec": "h264", "frames": None, "matrix": 1}}, "a frame or two late"),
    ],
)
def test_clips_of_the_second_version_are_found_too(facts: dict[str, Any], words: str) -> None:
    film, clip = stored(["AAC (was aac)"])
    given = film.model_copy(update={"facts": {**(film.facts or {}), **facts}})
    [found] = affected([given], [clip.model_copy(update={"made_by": 2})])
    assert any(words in why for why in found.why)
    assert not any("B-frames" in why or "holes" in why for why in found.why), "that was mended before"


def test_clips_of_the_third_version_are_found_where_fragments_were_read_in_part() -> None:
    film, clip = stored(["as is"], video={"frames": None}, audio={"codec": "pcm_s16le"})
    [found] = affected([film], [clip.model_copy(update={"made_by": 3})])
    assert [why for why in found.why if "half of the PCM" in why] == list(found.why)
    assert not list(affected([stored(["as is"])[0]], [clip.model_copy(update={"made_by": 3})]))


@pytest.mark.parametrize(
    ("facts", "reasons", "words", "certain"),
    [
        ({"video": {"start_s": -0.5, "frames": None}}, [], "edit list leaves out", True),
        ({"audio": {"codec": "aac", "start_s": -0.5, "priming_s": 0.021}}, [], "edit list leaves out", True),
        ({"video": {"start_s": 0.5, "frames": None}}, [], "not in the order", False),
        ({"video": {"frames": None}}, ["timing: no picture comes for 0.5 s in 1 place"], "not in the order", False),
        (
            {},
            ["edit list: 2 stretches of what is stored are shown"],
            "between two stretches",
            False,
        ),
        (
            {"container": "Matroska"},
            ["sound: missing for 0.90 s in 13 places"],
            "share a block",
            False,
        ),
        ({"container": "Matroska"}, [], None, False),
        ({"video": {"frames": None}}, [], None, False),
        ({"audio": {"codec": "aac", "start_s": -0.0213, "priming_s": 0.0213}}, [], None, False),
    ],
)
def test_clips_of_the_fourth_version_are_found(
    facts: dict[str, Any], reasons: list[str], words: str | None, certain: bool
) -> None:
    film, clip = stored(["AAC (was aac)"], **facts)
    found = list(affected([film.model_copy(update={"reasons": reasons})], [clip.model_copy(update={"made_by": 4})]))
    assert [len(one.why) for one in found] == ([] if words is None else [1])
    assert all(words is not None and words in one.why[0] and one.certain == certain for one in found)


COLOURED = ["colour to BT.709 limited range 4:2:0 (was yuv420p, matrix 6)"]


@pytest.mark.parametrize(
    ("picture", "steps", "words"),
    [
        ({"pixel_format": "rgb555le", "full_range": True}, COLOURED, "light gray"),
        ({"pixel_format": "bgr8", "full_range": True}, COLOURED, "light gray"),
        ({"pixel_format": "rgb24", "full_range": True}, COLOURED, None),
        ({"pixel_format": "gray", "full_range": False}, COLOURED, "white as 235"),
        ({"pixel_format": "gray10le", "full_range": False}, COLOURED, "white as 235"),
        ({"pixel_format": "gray", "full_range": True}, COLOURED, None),
        ({"pixel_format": "gray", "full_range": False}, ["as is"], None),
    ],
)
def test_clips_of_the_fifth_version_are_found(picture: dict[str, Any], steps: list[str], words: str | None) -> None:
    film, clip = stored(steps, video=picture)
    found = list(affected([film], [clip.model_copy(update={"made_by": 5})]))
    assert [one.certain for one in found] == ([] if words is None else [False])
    assert all(words is not None and words in one.why[0] for one in found)


def stored(steps: list[str], *, video: dict[str, Any] | None = None, **facts: Any) -> tuple[FilmRow, ClipRow]:
    """Rows of a film and its clip, as the first version wrote them."""
    picture = {"codec": "h264", "frames": 48, "matrix": 1, "width": 1280, "height": 720, **(video or {})}
    film = {
        "film_id": "f",
        "source_id": "s",
        "key": "k",
        "status": "ok",
        "facts": {"container": "MP4", "audio_streams": 1, "audio": {"codec": "aac"}, "video": picture, **facts},
    }
    clip = {
        "clip_id": "c",
        "film_id": "f",
        "source_id": "s",
        "shot_index": 0,
        "start_s": 0,
        "end_s": 2,
        "frames": 48,
        "fps": 24,
        "width": 1280,
        "height": 720,
        "has_audio": True,
        "status": "ok",
        "split": "train",
        "steps": steps,
    }
    return FilmRow.model_validate(film), ClipRow.model_validate(clip)


@pytest.mark.parametrize(
    ("rows", "words", "certain"),
    [
        (stored(["as is"], audio_streams=2), "several sound tracks", False),
        (stored(["as is"], audio={"codec": "aac", "priming_s": 0.021333}), "priming", True),
        (stored(COLOURED, video={"matrix": 6}), "233", False),
        (stored(COLOURED, video={"matrix": 9}), "233", False),
        (stored(COLOURED, video={"matrix": 2, "width": 720, "height": 576}), "233", False),
        (stored(["PQ to BT.709 (BT.2390, 1000 to 203 cd/m²)", *COLOURED], video={"matrix": 9}), "tone-mapped", False),
        (stored(["as is"], video={"frames": 12}), "begins in its movie box", False),
        (stored(["as is"], video={"frames": 46}), None, False),
        (stored(["as is"], container="MXF", audio=None, video={"codec": "mpeg4"}), "missing", False),
        (stored(["as is"], container="MXF", audio=None, video={"codec": "prores"}), None, False),
        (stored(["as is"], video={"codec": "mpeg2video"}), "torn", False),
        (stored(["as is"], audio={"codec": "aac", "priming_s": 0.004}), None, False),
        (stored(["AAC (was aac)"], audio={"codec": "aac", "priming_s": 0.021333}), None, False),
        (stored(COLOURED), None, False),
        (stored(COLOURED, video={"matrix": 2}), None, False),
        (stored(["as is"]), None, False),
    ],
)
def test_each_repair_finds_its_clips(rows: tuple[FilmRow, ClipRow], words: str | None, certain: bool) -> None:
    film, clip = rows
    found = list(affected([film], [clip]))
    joined = (film.facts or {}).get("container") == "MXF"  # may be two recordings, whatever else
    found = [dataclasses.replace(one, why=one.why[joined:]) for one in found if len(one.why) > joined]
    assert [len(one.why) for one in found] == ([] if words is None else [1])
    assert all(words is not None and words in one.why[0] and one.certain == certain for one in found)
    assert not list(affected([film], [clip.model_copy(update={"made_by": VERSION})]))


def test_the_lightest_channel_of_each_pixel_is_what_numpy_says() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    for seen in (picture, picture[::-1], picture[:, 1:-1]):
        assert np.array_equal(lightest(seen), seen.max(axis=2))
