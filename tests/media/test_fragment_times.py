"""Pictures of fragmented MP4 are shown when its boxes say, also where they are shown earlier than they are decoded."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest_film import IngestJob, ingest_film
from aiprod.data.params import IngestParams
from aiprod.media.audio import hear
from aiprod.media.errors import MediaError
from aiprod.media.fragment_times import late_ticks
from aiprod.media.frames import VideoReader
from aiprod.media.packets import PacketSizes, picture_times
from aiprod.media.probing import probe, require_video
from aiprod.storage.result_cache import Memo
from tests.media.audio_films import against, sweep, write_film
from tests.media.matrix import boxes, films, readers, truth
from tests.media.matrix.combinations import Combination
from tests.media.matrix.films import write
from tests.media.matrix.marks import number_of

EARLY = Combination("cmaf", "h264", "aac", "bframes")


def offsets(path: Path) -> list[tuple[int, int, int]]:
    """Where each run of the picture track lies, how long a sample's entry is, and where its offset is in that."""
    data = path.read_bytes()
    found, at = [], 0
    while (at := data.find(b"trun", at + 1)) >= 0:
        flags, count = struct.unpack_from(">II", data, at + 4)
        if flags & 0x800:
            before = sum(4 for flag in (0x100, 0x200, 0x400) if flags & flag)
            found.append((at + 12 + 4 * bool(flags & 1) + 4 * bool(flags & 4), count, before))
    return found


@pytest.mark.parametrize("video", ["h264", "hevc"])
def test_times_are_those_of_the_boxes(video: str, tmp_path: Path) -> None:
    path = tmp_path / "film"
    write(path, Combination("cmaf", video, "aac", "bframes"))
    track = next(t for t in boxes.tracks(path) if t.kind == "vide")
    stated = sorted(float(at) for at in track.times())
    with av.open(str(path)) as container:  # or there is nothing to be fixed
        assert min(p.pts for p in container.demux(video=0) if p.pts is not None) > 0
    facts = require_video(probe(path))
    assert facts.start_s == pytest.approx(stated[0], abs=1e-6)
    watch = PacketSizes()
    with VideoReader(path, watch=watch) as reader:
        shown = list(reader.frames())
        assert [t.time_s + reader.facts.start_s for t in shown] == pytest.approx(stated, abs=1e-6)
        numbers = [number_of(t.frame.to_ndarray(format="gray", threads=1)) for t in shown]
        assert numbers == list(range(len(stated)))
        late = [number_of(t.frame.to_ndarray(format="gray", threads=1)) for t in reader.frames(1.5, 2.0)]  # by a jump
        assert late == [n for n, at in enumerate(stated) if 1.5 - 1e-6 <= at - stated[0] < 2.0 - 1e-6]
    assert picture_times(path, facts) == pytest.approx([at - stated[0] for at in stated], abs=1e-6)


def test_a_film_that_begins_in_its_movie_box_and_goes_on_in_fragments(tmp_path: Path) -> None:
    path = tmp_path / "film"
    write(path, Combination("hybrid", "h264", "aac", "negative_cts"))
    stated = sorted(float(at) for at in next(t for t in boxes.tracks(path) if t.kind == "vide").times())
    with av.open(str(path)) as container:
        told = sorted(float(p.pts * p.time_base) for p in container.demux(video=0) if p.pts is not None)
    assert told[:12] == pytest.approx(stated[:12], abs=1e-6)  # or there is nothing to be told apart
    assert told[20] > stated[20] + 0.03
    with VideoReader(path) as reader:
        assert [t.time_s + reader.facts.start_s for t in reader.frames()] == pytest.approx(stated, abs=1e-6)
        late = [t.time_s for t in reader.frames(1.5, 2.0)]  # by a jump
        assert late == pytest.approx([at for at in stated if 1.5 <= at < 2.0], abs=1e-6)
        early = [t.time_s for t in reader.frames(0.0, 0.3)]  # and back
        assert early == pytest.approx([at for at in stated if at < 0.3], abs=1e-6)


def test_a_fragment_that_asks_for_more_than_the_movie_box_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film"
    write(path, Combination("hybrid", "h264", "aac", "negative_cts"))
    data = bytearray(path.read_bytes())
    begin, _, before = offsets(path)[1]
    struct.pack_into(">i", data, begin + before, -5000)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="earlier than they are decoded"):
        probe(path)


@pytest.mark.parametrize("container", ["hybrid", "cmaf"])
@pytest.mark.parametrize("habit", ["plain", "negative_cts"])
def test_an_index_changes_nothing_or_the_film_is_refused(container: str, habit: str, tmp_path: Path) -> None:
    """A writer's index (``sidx``) in ticks of its own before the first fragment, with and without fragments' times."""
    usual = films.FORMATS[container]
    options = {"movflags": usual[1]["movflags"] + "+default_base_moof"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(films.FORMATS, container, (usual[0], options, usual[2]))
        part = write(tmp_path / "film", Combination(container, "h264", "aac", habit)).parts[0]
    data = (tmp_path / "film").read_bytes()
    at = data.find(b"moof") - 4
    sizes, place = [], at
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"moof":
            sizes.append(0)
        if kind != b"mfra":
            sizes[-1] += size
        place += size
    entries = b"".join(struct.pack(">III", size, 6144, 0x9000_0000) for size in sizes)
    index = struct.pack(">I4sIIIIIHH", 32 + len(entries), b"sidx", 0, 1, 24_000, 1024, 0, 0, len(sizes)) + entries
    indexed = data[:at] + index + data[at:]
    path = tmp_path / "indexed"
    path.write_bytes(indexed)
    assert truth.judge_pictures(readers.pictures(path), part, 24) == []
    assert truth.judge_sound(readers.sound(path), part, False) == []
    path.write_bytes(indexed.replace(b"tfdt", b"free"))
    with pytest.raises(MediaError, match="do not state when they begin"):
        probe(path)
    path.write_bytes(data.replace(b"tfdt", b"free"))
    if habit == "plain":  # one follows the other
        assert truth.judge_pictures(readers.pictures(path), part, 24) == []


@pytest.mark.parametrize("container", ["hybrid", "fmp4"])
def test_fragments_that_the_movie_box_does_not_announce_are_refused(container: str, tmp_path: Path) -> None:
    path = tmp_path / "film"
    write(path, Combination(container, "h264", "aac"))
    path.write_bytes(path.read_bytes().replace(b"mvex", b"free"))
    with pytest.raises(MediaError):
        probe(path)


def test_an_index_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    """FFmpeg's own writer, asked for an index before a film that begins in the movie box, moves its fragments."""
    path = tmp_path / "film"
    writer, options, rate = films.FORMATS["hybrid"]
    with pytest.MonkeyPatch.context() as patch:
        moved = {"movflags": options["movflags"] + "+global_sidx"}
        patch.setitem(films.FORMATS, "hybrid", (writer, moved, rate))
        write(path, Combination("hybrid", "h264", "aac"))
    with pytest.raises(MediaError, match="do not decode"):
        readers.taken(path)


def test_a_film_without_such_fragments_is_left_alone(tmp_path: Path) -> None:
    for container, habit in (("mp4", "bframes"), ("mp4", "negative_cts"), ("fmp4", "bframes")):
        write(tmp_path / "film", Combination(container, "h264", "aac", habit))
        assert late_ticks(tmp_path / "film") == {}


def test_amounts_that_differ_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "film"
    write(path, EARLY)
    data = bytearray(path.read_bytes())
    begin, count, before = offsets(path)[1]
    place = begin + (count - 1) * (before + 4) + before
    struct.pack_into(">i", data, place, -5000)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="earlier than they are decoded"):
        probe(path)


@pytest.mark.parametrize("length", [0, 7, 100, 900, 1500])
def test_a_torn_file_is_no_error_here(length: int, tmp_path: Path) -> None:
    path = tmp_path / "film"
    write(path, EARLY)
    path.write_bytes(path.read_bytes()[:length])
    assert isinstance(late_ticks(path), dict)


def test_it_is_not_kept_as_other_readers_would_misread_it(tmp_path: Path) -> None:
    """A film in the form of clips, but for its fragments: players built on FFmpeg show it out of step."""
    path = tmp_path / "film"
    for options, kept in (({}, True), ({"movflags": "cmaf+frag_keyframe+delay_moov"}, False)):
        with av.open(str(path), "w", format="mp4", container_options=options) as film:
            stream = film.add_stream("libx264", rate=24)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            stream.options = {"x264-params": "bframes=2:b-adapt=0:keyint=12", "preset": "ultrafast"}
            context = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1
            for n in range(24):
                frame = av.VideoFrame(128, 96, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes([60 + n]) * plane.buffer_size)
                frame.colorspace = frame.color_range = frame.color_primaries = frame.color_trc = 1
                film.mux(stream.encode(frame))
            film.mux(stream.encode())
        memo = Memo(tmp_path / f"memo{kept}", "")
        params = IngestParams.model_validate({"shots": {"min_shot_s": 0.1}})
        ingest_film(IngestJob(str(path), None, sha256_file(path), "key", memo, params))
        known = memo.get("key")
        assert known is not None
        [clip] = known[0]["clips"]
        assert (clip["steps"] == ["as is"]) == kept, (clip, known[0])


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_samples_whose_fragments_begin_alike_are_all_heard(codec: str, tmp_path: Path) -> None:
    """FFmpeg's writer dates every second packet of PCM a packet late, and its reader then passes over the next one."""
    sound = sweep(2.0)
    path = write_film(tmp_path / "a.mov", [(codec, sound)], options={"movflags": "frag_every_frame+empty_moov"})
    with av.open(str(path)) as container:  # or there is nothing to be fixed
        assert any(packet.is_discard for packet in container.demux(audio=0))
    late_ms, wrong = against(path, sound)
    assert late_ms == 0 and wrong.max() == 0
    heard = hear(path)
    assert heard is not None and len(heard.ranges) == 1
    part = hear(path, start_s=1.2, duration_s=0.5)
    assert part is not None and len(part.ranges) == 1


@pytest.mark.parametrize("habit", ["bframes", "late_sound"])
def test_smooth_streaming_is_refused_by_name(habit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(films.FORMATS, "ismv", ("ismv", {}, Fraction(24)))
    write(tmp_path / "film", Combination("ismv", "h264", "aac", habit))
    with pytest.raises(MediaError, match="Smooth Streaming") as caught:
        probe(tmp_path / "film")
    assert caught.value.kind == "timing" and caught.value.hint
