"""Sound of real containers: equal where the codec loses nothing, in time and whole where it does."""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from aiprod.media.audio import decode_sound, hear, read_sound
from aiprod.media.audio_mixing import mixing, mixing_words, names_of
from aiprod.media.audio_oddities import sound_notes
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.normalising import Form, conforms
from aiprod.media.packets import sound_end_s
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler
from tests.media.audio_films import RATE, against, holes, sweep, write_film
from tests.media.test_normalising import taken, wandering

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
CMAF = {"movflags": "cmaf"}


def jittered(most_s: float, every: float = 1.0) -> Callable[[float, int], float]:
    """Stamps that miss by up to ``most_s``; the first is right."""
    chance = random.Random(1)
    return lambda at, n: at + (chance.uniform(-most_s, most_s) if n and chance.random() < every else 0.0)


@pytest.fixture
def faults(shared_clips: Path) -> Path:
    """Small files that showed a fault."""
    folder = shared_clips.parent / "faults"
    if not folder.is_dir():
        pytest.skip(f"needs the files of {folder}, where there is no such folder")
    return folder


@pytest.mark.parametrize(
    ("name", "codec", "video", "rate", "late_s", "options"),
    [
        ("a.mov", "pcm_s16le", "mpeg4", 48_000, 0.31, {}),
        ("a.mov", "pcm_s24le", "mpeg4", 44_100, 0.0, {}),
        ("a.mov", "pcm_s32le", "prores_ks", 48_000, 0.0, {}),
        ("a.mov", "alac", "libx264", 48_000, 0.0, {}),
        ("a.mp4", "flac", "libx264", 44_100, 0.31, {}),
        ("a.mp4", "flac", "libx264", 48_000, 0.0, FRAGMENTED),
        ("a.mkv", "flac", "libx264", 44_100, 0.31, {}),
        ("a.mkv", "pcm_s24le", "mpeg4", 44_100, 0.0, {}),
        ("a.avi", "pcm_s16le", "mjpeg", 44_100, 0.0, {}),
        ("a.mxf", "pcm_s16le", "mpeg2video", 48_000, 0.0, {}),
        ("a.ogv", "flac", "libvpx", 48_000, 0.0, {}),
        ("a.flv", "pcm_s16le", "flv", 44_100, 0.0, {}),
    ],
)
def test_lossless_sound_is_equal_sample_by_sample(  # noqa: PLR0917
    tmp_path: Path, name: str, codec: str, video: str, rate: int, late_s: float, options: dict[str, str]
) -> None:
    sound = sweep(2.0, rate)
    form = "ogg" if name.endswith("ogv") else None
    path = write_film(
        tmp_path / name, [(codec, sound)], form=form, video=video, rate=rate, late_s=late_s, options=options
    )
    late_ms, wrong = against(path, sound, late_s)
    assert late_ms == pytest.approx(0.0, abs=1e-3)
    assert wrong.max() == 0.0
    assert against(path, sound, late_s, side=1)[1].max() == 0.0


@pytest.mark.parametrize(
    ("name", "codec", "video", "rate", "late_s", "options"),
    [
        ("a.mp4", "aac", "libx264", 44_100, 0.0, {}),
        ("a.mp4", "aac", "libx264", 48_000, 0.31, FRAGMENTED),
        ("a.mp4", "opus", "libx264", 48_000, 0.0, FRAGMENTED),
        ("a.mp4", "libmp3lame", "mpeg4", 48_000, 0.31, {}),
        ("a.mov", "ac3", "libx264", 48_000, 0.0, {}),
        ("a.webm", "libopus", "libvpx", 48_000, 0.31, {}),
        ("a.webm", "vorbis", "libvpx", 44_100, 0.31, {}),
        ("a.mkv", "aac", "libx264", 44_100, 0.31, {}),
        ("a.ts", "aac", "libx264", 48_000, 0.31, {}),
        ("a.ts", "ac3", "mpeg2video", 48_000, 0.0, {}),
        ("a.flv", "aac", "libx264", 48_000, 0.31, {}),
        ("a.ogv", "libopus", "libvpx", 48_000, 0.0, {}),
        ("a.wmv", "libmp3lame", "wmv2", 44_100, 0.0, {}),
    ],
)
def test_lossy_sound_is_in_time_and_whole(  # noqa: PLR0917
    tmp_path: Path, name: str, codec: str, video: str, rate: int, late_s: float, options: dict[str, str]
) -> None:
    sound = sweep(2.0, rate)
    form = {"ogv": "ogg", "wmv": "asf"}.get(name[2:])
    path = write_film(
        tmp_path / name, [(codec, sound)], form=form, video=video, rate=rate, late_s=late_s, options=options
    )
    late_ms, wrong = against(path, sound, late_s)
    assert abs(late_ms) < 1.0
    assert holes(wrong, sound) == 0


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("a.webm", "vorbis", "libvpx"),
        ("a.webm", "libopus", "libvpx"),
        ("a.mkv", "libmp3lame", "mpeg4"),
        ("a.mp4", "aac", "libx264"),
        ("a.mkv", "flac", "mpeg4"),
        ("a.flv", "aac", "libx264"),
        ("a.ts", "ac3", "mpeg2video"),
        ("a.mkv", "pcm_s16le", "mpeg4"),
    ],
)
@pytest.mark.parametrize("every", [1.0, 0.05])
def test_time_stamps_that_jitter_leave_sound_whole(
    tmp_path: Path, name: str, codec: str, video: str, every: float
) -> None:
    sound = sweep(3.0)
    path = write_film(tmp_path / name, [(codec, sound)], video=video, stamp=jittered(0.0095, every))
    late_ms, wrong = against(path, sound)
    assert abs(late_ms) < (1.0 if every < 1 else 3.0)  # of stamps that all miss only the middle can be known
    assert holes(wrong, sound) == 0
    if codec in ("flac", "pcm_s16le"):
        assert wrong.max() == 0.0
    heard = hear(path, start_s=1.0, duration_s=1.5)
    assert heard is not None and heard.ranges == ((0, 72_000),)
    facts = probe(path)
    assert any("joined by the number of its samples" in note for note in sound_notes(path, facts, 3.0))


def test_a_part_that_is_missing_stays_a_gap(tmp_path: Path) -> None:
    sound = sweep(4.0)
    path = write_film(
        tmp_path / "a.mkv", [("flac", sound)], stamp=lambda at, n: None if 1.5 <= at < 2.5 else jittered(0.004)(at, n)
    )
    _, wrong = against(path, sound)
    silent = np.flatnonzero(wrong > 0)
    assert silent.size and silent[0] >= 1.4 * RATE and silent[-1] < 2.6 * RATE
    [note] = [note for note in sound_notes(path, probe(path), 4.0) if "missing" in note]
    assert "in 1 places, first at 1." in note


def test_a_window_that_a_seek_finds_is_the_same_part(tmp_path: Path) -> None:
    sound = sweep(12.0, 44_100)
    for name, codec in (("a.mkv", "flac"), ("a.mov", "pcm_s16le"), ("b.mkv", "aac"), ("a.ts", "aac")):
        path = write_film(tmp_path / name, [(codec, sound)], video="libx264", rate=44_100)
        facts = probe(path)
        assert facts.video is not None
        whole = read_sound(path, 44_100, origin_s=facts.video.start_s)
        part = read_sound(path, 44_100, start_s=7.3, duration_s=2.0, origin_s=facts.video.start_s)
        assert whole is not None and part is not None
        wanted = whole[:, 321_930 : 321_930 + 88_200]
        best = min(float(np.abs(np.roll(part, shift, axis=1) - wanted)[:, 20:-20].max()) for shift in range(-10, 11))
        assert best < 2e-3, name  # 10 samples are a quarter of a millisecond
        if codec == "pcm_s16le":
            assert np.array_equal(part, wanted)


def test_a_clock_that_runs_fast_is_followed_without_holes(tmp_path: Path) -> None:
    sound = sweep(30.0)
    path = write_film(tmp_path / "a.mkv", [("flac", sound)], stamp=lambda at, n: at * 1.001)
    found = decode_sound(path)
    assert found is not None
    assert found.samples.shape[1] == pytest.approx(sound.shape[1] * 1.001, abs=60)
    click = 29 * RATE
    near = found.samples[0, click + 29 * 48 - 240 :][:480]
    peak = click + 29 * 48 - 240 + int(np.argmax(np.abs(np.diff(near))))
    assert peak == pytest.approx(29 * 1.001 * RATE, abs=48)
    heard = hear(path)
    assert heard is not None and len(heard.ranges) == 1


@pytest.mark.parametrize("options", [FRAGMENTED, CMAF, {"movflags": "frag_keyframe+empty_moov+delay_moov"}, {}])
@pytest.mark.parametrize("codec", ["aac", "flac"])
def test_the_offset_is_what_flash_and_click_say(tmp_path: Path, options: dict[str, str], codec: str) -> None:
    sound = np.zeros((2, 3 * RATE), np.float32)
    for second in range(3):
        sound[:, second * RATE + 4_800 : second * RATE + 4_840] = 0.7
    path = write_film(tmp_path / "a.mp4", [(codec, sound)], video="libx264", options=options)
    facts = probe(path)
    assert facts.video is not None and facts.av_offset_s is not None
    with VideoReader(path) as reader:
        scaler = Scaler(64, 48, "gray")
        flashes = [timed.time_s for timed in reader.frames() if scaler.array(timed.frame).mean() > 120]
    heard = read_sound(path, origin_s=facts.video.start_s)
    assert heard is not None
    clicks = [int(np.argmax(np.abs(heard[0]) * (np.arange(heard.shape[1]) // RATE == n))) / RATE for n in range(3)]
    late_s = float(np.median(np.array(clicks) - np.array(flashes))) - 0.1
    assert facts.av_offset_s == pytest.approx(late_s, abs=0.002)
    assert not conforms(facts, True, Form()) or abs(late_s) < 0.005


def relabelled(path: Path) -> None:
    """Give the last sound track of an MP4 a codec that nobody knows."""
    content = bytearray(path.read_bytes())
    at = content.rfind(b"mp4a")
    content[at : at + 4] = b"xyzw"
    content[at:] = content[at:].replace(b"esds", b"free", 1)
    path.write_bytes(content)


def test_the_track_that_decodes_is_heard_and_the_other_named(tmp_path: Path) -> None:
    sound = sweep(1.0)
    path = write_film(tmp_path / "a.mp4", [("aac", sound), ("aac", sound * 0.5)], video="libx264")
    relabelled(path)
    late_ms, wrong = against(path, sound)
    assert abs(late_ms) < 1 and holes(wrong, sound) == 0
    assert any("sound stream 2" in note and "no decoder" in note for note in sound_notes(path, probe(path), 1.0))


@pytest.mark.parametrize("name", ["a.mkv", "a.mov", "a.ts"])
@pytest.mark.parametrize("sounding", [0, 1, 2])
def test_the_track_that_sounds_is_heard(tmp_path: Path, name: str, sounding: int) -> None:
    sound, codec = sweep(1.0), "aac" if name == "a.ts" else "pcm_s16le"
    tracks = [(codec, sound if n == sounding else np.zeros_like(sound)) for n in range(3)]
    path = write_film(tmp_path / name, tracks, video="libx264")
    facts = probe(path)
    assert facts.audio is not None and facts.audio.index == 1 + sounding
    late_ms, wrong = against(path, sound)
    assert abs(late_ms) < 1 and holes(wrong, sound) == 0
    notes = [note for note in sound_notes(path, facts, 1.0) if note.startswith("not used")]
    assert len(notes) == 2
    if name != "a.ts":  # of which FFmpeg ranks streams by their rate
        assert sum("is silent" in note for note in notes) == sounding


@pytest.mark.parametrize("layout", ["3.0", "4.0", "quad", "5.0", "5.1(side)", "6.1", "7.1", "hexagonal", "2.1"])
def test_channels_are_mixed_by_their_places(tmp_path: Path, layout: str) -> None:
    places = av.AudioLayout(layout)
    sound = sweep(0.5, channels=len(places.channels))
    path = write_film(tmp_path / "a.mov", [("pcm_s16le", sound)], layout=layout)
    matrix = mixing(names_of(places))
    assert matrix is not None
    heard = read_sound(path)
    assert heard is not None
    assert np.abs(heard - matrix @ sound).max() < 1e-4


@pytest.mark.parametrize("count", [3, 4, 5, 7, 9, 16])
def test_channels_without_places_are_heard_on_both_sides_and_said(tmp_path: Path, count: int) -> None:
    sound = sweep(0.5, channels=count)
    path = write_film(tmp_path / "a.mov", [("pcm_s16le", sound)], layout=f"{count} channels")
    heard = read_sound(path)
    assert heard is not None
    assert np.abs(heard - sound.sum(axis=0) / count**0.5).max() < 1e-3
    assert any(f"{count} of them without a known place" in step for step in taken(path)[0]["steps"])


def test_a_header_that_says_of_no_channel_mixes_nothing() -> None:
    assert mixing([]) is None and mixing_words("", 0) is None


def test_mixing_words_and_matrices_agree() -> None:
    for name in ("mono", "stereo", "downmix", "5.1", "7.1", "22.2", "cube", "ambisonic 1", "ambisonic 3", "9 channels"):
        layout = av.AudioLayout(name)
        count = len(layout.channels)
        assert (mixing_words(name, count) is None) == (mixing(names_of(layout)) is None and count == 2)
    assert "FL and FC" in str(mixing_words("2 channels (FL+FC)", 2))


def test_sound_after_a_reset_of_the_clock_is_not_set_to_earlier_pictures(tmp_path: Path) -> None:
    first, second = sweep(2.0), 0.3 * np.sign(sweep(2.0))
    parts = [
        write_film(tmp_path / f"{n}.ts", [("aac", sound)], video="libx264") for n, sound in enumerate((first, second))
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    late_ms, wrong = against(path, first)
    assert abs(late_ms) < 1 and holes(wrong, first) == 0
    assert any("starts anew" in note for note in sound_notes(path, probe(path), 2.0))


def test_a_change_of_rate_and_channels_leaves_no_seam(tmp_path: Path) -> None:
    one = write_film(tmp_path / "1.ts", [("aac", sweep(2.0))], video="libx264")
    two = write_film(tmp_path / "2.ts", [("aac", sweep(2.0, 44_100, 1))], video="libx264", rate=44_100, layout="mono")
    path = tmp_path / "both.ts"
    with av.open(str(path), "w", format="mpegts") as new:
        streams: dict[str, object] = {}
        for old_path, later in ((one, 0.0), (two, 2.0)):
            with av.open(str(old_path)) as old:
                for stream in old.streams:
                    streams.setdefault(stream.type, new.add_stream_from_template(stream) if later == 0 else None)
                for packet in old.demux():
                    if packet.dts is None or (later and packet.stream.type == "audio" and packet.dts < 6_000):
                        continue  # the priming
                    packet.pts += round(later / packet.time_base)
                    packet.dts += round(later / packet.time_base)
                    packet.stream = streams[packet.stream.type]  # type: ignore[assignment]
                    new.mux(packet)
    facts = probe(path)
    assert facts.video is not None
    heard = hear(path, RATE, origin_s=facts.video.start_s, start_s=0.1, duration_s=3.8)
    assert heard is not None and len(heard.ranges) == 1
    power = (heard.samples[0].reshape(-1, 480) ** 2).mean(axis=1)
    assert (power < 0.005).sum() <= 3  # the decoder begins anew


def test_sound_that_falls_silent_for_good_and_edit_lists_are_said(tmp_path: Path) -> None:
    sound = sweep(3.0)
    sound[:, RATE:] = 0
    path = write_film(tmp_path / "a.mov", [("pcm_s16le", sound)])
    assert any("silent for good from 1.0" in note for note in sound_notes(path, probe(path), 3.0))
    assert sound_notes(path, probe(path), 9.0)[-1].startswith("sound: ends at 3.0")
    whole = write_film(tmp_path / "b.mov", [("pcm_s16le", sweep(3.0))], video="libx264")
    assert sound_notes(whole, probe(whole), 3.0) == []
    content = bytearray(whole.read_bytes())  # the last track's edit begins a second into it
    at = content.rfind(b"elst")
    assert at > 0
    lasts, begins = struct.unpack(">Ii", content[at + 12 : at + 20])
    content[at + 12 : at + 20] = struct.pack(">Ii", lasts - 1000, begins + RATE)
    whole.write_bytes(content)
    said = "edit list of the sound (stream 1): leaves out the first 1.0"
    assert any(note.startswith(said) for note in sound_notes(whole, probe(whole), 3.0))
    late_ms, wrong = against(whole, sweep(3.0)[:, RATE:])
    assert abs(late_ms) < 1e-3 and wrong.max() == 0.0
    silent = write_film(tmp_path / "c.mov", [("pcm_s16le", np.zeros((2, RATE), np.float32))])
    assert sound_notes(silent, probe(silent), 1.0) == ["sound: silent throughout"]


def test_files_that_were_stored_wrong(faults: Path, shared_clips: Path, tmp_path: Path) -> None:
    for name in ("apac_small.mp4", "fl_fc_small.mov", "joined_small.ts"):
        shutil.copy(faults / name, tmp_path / name)
        facts = probe(tmp_path / name)
        found = decode_sound(tmp_path / name)
        assert facts.audio is not None and found is not None and np.abs(found.samples).max() > 0.1, name
    clip = shared_clips / "open" / "mdn_chroma_face_192p60_24s.mp4"
    heard = hear(clip)
    assert heard is not None and len(heard.ranges) == 1


def edited(path: Path, spans: list[tuple[float, float]]) -> None:
    """Give each track of a QuickTime film with its index at the end an edit list of several stretches; a stretch that
    begins before zero shows nothing."""
    content = bytearray(path.read_bytes())
    movie = content.rfind(b"moov") - 4
    ticks = struct.unpack(">I", content[content.find(b"mvhd", movie) + 16 :][:4])[0]
    track = content.find(b"trak", movie) - 4
    while track >= 0:
        edit = content.find(b"edts", track) - 4
        own = struct.unpack(">I", content[content.find(b"mdhd", track) + 16 :][:4])[0]
        lines = [struct.pack(">Iihh", round((b - a) * ticks), round(a * own) if a >= 0 else -1, 1, 0) for a, b in spans]
        body = struct.pack(">I4sII", 16 + 12 * len(lines), b"elst", 0, len(lines)) + b"".join(lines)
        old = struct.unpack(">I", content[edit : edit + 4])[0]
        content[edit : edit + old] = struct.pack(">I4s", 8 + len(body), b"edts") + body
        for at in (track, movie):
            size = struct.unpack(">I", content[at : at + 4])[0] + 8 + len(body) - old
            content[at : at + 4] = struct.pack(">I", size)
        track = content.find(b"trak", track + 8) - 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spans", [[(0, 1), (2, 3)], [(0.5, 1.5), (1.75, 2.5)], [(2, 3), (0, 1)], [(0, 1), (-1, -0.5), (2, 3)]]
)
@pytest.mark.parametrize(("name", "codec", "video"), [("a.mov", "pcm_s16le", "mjpeg"), ("a.mp4", "flac", "mpeg4")])
def test_an_edit_list_of_several_stretches_is_played_to_the_sample(
    tmp_path: Path, spans: list[tuple[float, float]], name: str, codec: str, video: str
) -> None:
    sound = sweep(3.0)
    path = write_film(tmp_path / name, [(codec, sound)], video=video)
    edited(path, spans)
    silence = np.zeros_like(sound)
    wanted = np.concatenate(
        [(sound if a >= 0 else silence)[:, round(abs(a) * RATE) :][:, : round((b - a) * RATE)] for a, b in spans],
        axis=1,
    )
    found = decode_sound(path)
    assert found is not None and found.start_s == 0.0
    assert np.array_equal(found.samples, wanted)
    assert any("edit list of the sound" in note and "stretches" in note for note in sound_notes(path, probe(path), 2.0))


def test_time_stamps_that_wrap_part_nothing(tmp_path: Path) -> None:
    """The clock of a transport stream has 33 bits and begins anew after 26.5 hours."""
    sound = sweep(3.0)
    wrapping = {"output_ts_offset": "95442.5"}
    path = write_film(tmp_path / "a.ts", [("aac", sound)], video="libx264", options=wrapping)
    late_ms, wrong = against(path, sound)
    assert abs(late_ms) < 1 and holes(wrong, sound) == 0


def test_a_film_in_the_form_is_not_kept_as_it_is_where_its_sound_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    encode(path, wandering(48), 24, sweep(2.0))
    assert taken(path)[0]["steps"] == ["as is"]
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size and packet.pos]
        content = bytearray(path.read_bytes())
        for packet in packets[40:45]:
            content[packet.pos : packet.pos + packet.size] = b"\xa5" * packet.size
    other = tmp_path / "broken.mp4"
    other.write_bytes(content)
    facts = probe(other)
    assert any("packets do not decode" in note for note in sound_notes(other, facts, 2.0))
    assert "as is" not in taken(other)[0]["steps"]


def test_a_film_whose_priming_is_not_dropped_keeps_its_pictures_and_its_offset(tmp_path: Path) -> None:
    """Nothing but the sound is written anew, and that begins with the first picture."""
    whole = tmp_path / "whole.mp4"
    encode(whole, wandering(48), 24, sweep(2.0))
    path = tmp_path / "primed.mp4"
    content = bytearray(whole.read_bytes())
    at = content.rfind(b"elst")  # of the sound: it begins behind the priming
    assert struct.unpack(">i", content[at + 16 : at + 20]) == (1024,)
    content[at + 16 : at + 20] = bytes(4)
    path.write_bytes(content)
    facts = probe(path)
    assert facts.video is not None and facts.av_offset_s == pytest.approx(1024 / RATE, abs=1e-4)
    assert not conforms(facts, True, Form())
    clip, kept = taken(path)
    assert any(step.startswith("sound that starts +21 ms") for step in clip["steps"])
    with VideoReader(whole) as before, VideoReader(kept) as after:
        for one, other in zip(before.frames(), after.frames(), strict=True):
            assert one.time_s == pytest.approx(other.time_s, abs=1e-3)
            assert np.array_equal(one.frame.to_ndarray(), other.frame.to_ndarray())
    assert clip["steps"][0] == "pictures as they are"
    assert abs(against(kept, sweep(2.0), 1024 / RATE)[0]) < 1
    assert probe(kept).av_offset_s == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.aiff", "pcm_s16be"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac")],
)
def test_a_file_of_sound_alone_begins_at_zero(tmp_path: Path, name: str, codec: str) -> None:
    wanted = sweep(12.0)
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        stream.bit_rate = 256_000
        frame = av.AudioFrame.from_ndarray(wanted, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=RATE)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    facts = probe(path)
    assert facts.audio is not None
    assert facts.audio.start_s == 0
    heard = read_sound(path)
    whole = decode_sound(path)
    assert heard is not None and whole is not None
    assert whole.start_s == 0
    assert heard.shape[1] == pytest.approx(wanted.shape[1], abs=1152)
    near = heard[0, 5 * RATE - 2_000 : 6 * RATE + 2_000].astype(np.float64)
    lags = np.correlate(near, wanted[0, 5 * RATE : 6 * RATE].astype(np.float64), "valid")
    assert int(np.argmax(lags)) == 2_000, "it is not where it was written"
    part = read_sound(path, start_s=8.0, duration_s=1.0)
    assert part is not None
    assert np.abs(part - heard[:, 8 * RATE : 9 * RATE]).max() < 1e-3, "a part of it is not where the whole has it"
    end_s = sound_end_s(path)
    assert end_s is not None
    assert end_s == pytest.approx(12.0, abs=0.05)
