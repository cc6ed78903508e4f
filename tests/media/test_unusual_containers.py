"""What few writers do and players cope with: laces, lengths that nobody states, edit lists that pause, parts of a live
stream, sound whose rate or channels stand in its coding alone."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aiprod.media.audio_oddities import sound_notes
from aiprod.media.errors import MediaError
from aiprod.media.probing import probe
from tests.media import matroska
from tests.media.matrix import boxes, coding, films, readers, truth
from tests.media.matrix.combinations import LOSSLESS, Combination
from tests.media.matrix.marks import RATE, sound
from tests.media.test_sound_in_files import edited

_NAMES = {"aac": "A_AAC", "opus": "A_OPUS", "pcm": "A_PCM/INT/LIT", "mp3": "A_MPEG/L3", "flac": "A_FLAC"}
_LENGTHS = {"aac": 1024, "opus": 960, "pcm": 1024, "mp3": 1152, "flac": 4608}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    av.logging.set_level(av.logging.PANIC)
    yield
    av.logging.set_level(None)


def _tracks(audio: str, stated: float | None) -> list[matroska.Track]:
    """Pictures and sound of 2.5 s.

    Args:
        stated: length of a frame of sound that the track states, as a share of what is right.
    """
    with av.open(io.BytesIO(), "w", format="matroska") as film:
        pictures: Any = film.add_stream("mjpeg", rate=24)
        coding.set_up_pictures(pictures.codec_context, "mjpeg", films.SIZE, Fraction(24), "plain")
        sounds: Any = film.add_stream(coding.AUDIO[audio][0], rate=RATE)
        coding.set_up_sound(sounds.codec_context, audio, RATE, 2)
        film.start_encoding()
        seen = coding.pictures(pictures, pictures.codec_context, "mjpeg", range(60))
        heard = coding.sound(sounds, sounds.codec_context, audio, sound(2.5))
        private = bytes(sounds.codec_context.extradata or b"")
    delay = max(0, -min(c.shown for c in heard))
    lasts_ns = None if stated is None else round(stated * _LENGTHS[audio] * 1e9 / RATE)
    return [
        matroska.Track(
            "V_MJPEG", b"", [(round(c.shown * 1000 / 24), bytes(c.packet), True) for c in seen], size=films.SIZE
        ),
        matroska.Track(
            _NAMES[audio],
            private,
            [(round((c.shown + delay) * 1000 / RATE), bytes(c.packet), True) for c in heard if c.packet.size],
            bits=16 if audio == "pcm" else 0,
            default_ns=lasts_ns,
            delay_ns=round(delay * 1e9 / RATE),
        ),
    ]


def _part(pictures: list[tuple[float, int]], heard: np.ndarray, lossless: bool) -> films.Part:
    sure = np.ones(heard.shape[1], bool)
    if not lossless:
        sure[:3_000] = sure[-3_000:] = False
    return films.Part(pictures, films.SIZE, heard, sure)


def _right(path: Path, part: films.Part, lossless: bool) -> None:
    """Pictures and sound are those of ``part``, as they are read and in the clip that ingest makes."""
    assert truth.judge_pictures(readers.pictures(path), part, 24) == []
    assert truth.judge_sound(readers.sound(path), part, lossless) == []
    [clip], refused = readers.taken(path)
    assert not refused and truth.judge_grid(readers.pictures(clip.path), part, 24) == []
    heard = truth.within_pictures(part, 24)
    heard.sure[-3_000:] = False
    assert truth.judge_sound(readers.sound(clip.path), heard, False) == []


@pytest.mark.parametrize(
    ("audio", "lacing", "grouped", "stated"),
    [
        ("aac", "xiph", False, None),
        ("aac", "ebml", True, 0.5),
        ("opus", "ebml", False, 1.3),
        ("opus", "xiph", True, 1.0),
        ("pcm", "fixed", True, 0.5),
        ("pcm", "ebml", False, None),
        ("mp3", "fixed", False, 1.3),
        ("flac", "xiph", False, 0.5),
    ],
)
def test_laced_sound_is_whole_and_in_time_whatever_length_of_a_frame_is_stated(
    tmp_path: Path, audio: str, lacing: str, grouped: bool, stated: float | None
) -> None:
    path = matroska.write(tmp_path / "a.mkv", _tracks(audio, stated), lacing=lacing, grouped=grouped)
    lossless = audio in LOSSLESS
    _right(path, _part([(n / 24, n) for n in range(60)], sound(2.5), lossless), lossless)
    assert sound_notes(path, probe(path), 2.5) == []


@pytest.mark.parametrize(
    ("container", "video", "audio"),
    [("mkv", "mjpeg", "mp3"), ("avi", "mpeg4", "mp3"), ("asf", "mpeg4", "mp3")],
)
def test_a_length_that_nobody_states_is_none(tmp_path: Path, container: str, video: str, audio: str) -> None:
    for habit, stated in (("piped", False), ("plain", True)):
        films.write(tmp_path / habit, Combination(container, video, audio, habit))
        facts = probe(tmp_path / habit)
        assert facts.video is not None
        assert (facts.duration_s is not None) == stated, habit
        assert stated or (facts.video.duration_s, facts.video.frames) == (None, None)


def _shown(spans: list[tuple[float, float]]) -> films.Part:
    """What an edit list shows of the 60 pictures and the sound of a film; a span below zero shows nothing."""
    pictures, pieces, now = [], [], 0.0
    for begin, end in spans:
        whole = sound(2.5)[:, round(abs(begin) * RATE) :][:, : round((end - begin) * RATE)]
        pieces.append(whole if begin >= 0 else np.zeros_like(whole))
        pictures += [(now + n / 24 - begin, n) for n in range(60) if begin <= n / 24 < end]
        now += end - begin
    first = pictures[0][0]
    heard = np.concatenate(pieces, axis=1)[:, round(first * RATE) :]
    return _part([(at - first, n) for at, n in pictures], heard, lossless=True)


@pytest.mark.parametrize(
    ("video", "spans"), [("mjpeg", [(0.25, 1), (-1, -0.5), (1.5, 2.5)]), ("h264", [(-1, -0.5), (0.5, 2)])]
)
def test_an_edit_list_shows_nothing_where_it_pauses(
    tmp_path: Path, video: str, spans: list[tuple[float, float]]
) -> None:
    path = tmp_path / "a.mov"
    films.write(path, Combination("mov", video, "pcm"))
    edited(path, spans)
    _right(path, _shown(spans), lossless=True)


def _pieces(path: Path) -> tuple[bytes, list[bytes]]:
    """The header of a fragmented film, and its fragments."""
    data, at, head, fragments = path.read_bytes(), 0, b"", []
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"ftyp", b"moov"):
            head += data[at : at + size]
        elif kind == b"moof":
            fragments.append(data[at : at + size])
        elif kind == b"mdat":
            fragments[-1] += data[at : at + size]
        at += size
    return head, fragments


def test_what_an_edit_list_cuts_from_fragments_is_not_kept_as_it_is(tmp_path: Path) -> None:
    """A clip that is the film as it is would hold what its maker cut away, and show it in some players."""
    path = tmp_path / "a.mp4"
    held = films.write(path, Combination("fmp4", "h264", "aac", "edit_trim"))
    assert [n for _, n in held.parts[0].pictures] == list(range(12, 60))
    [clip], _ = readers.taken(path)
    assert "as is" not in clip.steps
    assert [n for _, n in readers.pictures(clip.path)] == list(range(12, 60))
    facts = probe(path)
    assert facts.video is not None and (facts.video.start_s, facts.av_offset_s) == (0.0, 0.0)
    assert facts.video.duration_s == pytest.approx(2.0, abs=1 / 24)


def test_fragments_with_an_edit_list_of_several_stretches_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "a.mp4"
    films.write(whole, Combination("fmp4", "h264", "aac", "edit_trim"))
    head, fragments = _pieces(whole)
    head = _with_second_edit(head)
    path = tmp_path / "b.mp4"
    path.write_bytes(head + b"".join(fragments))
    with pytest.raises(MediaError, match="several stretches"):
        readers.taken(path)


def _with_second_edit(head: bytes) -> bytes:
    """A movie box whose first edit list has its last entry twice."""
    content = bytearray(head)
    at = content.find(b"elst")
    count = struct.unpack_from(">I", content, at + 8)[0]
    last = at + 12 + 12 * (count - 1)
    entry = bytes(content[last : last + 12])
    struct.pack_into(">I", content, at + 8, count + 1)
    content[last:last] = entry
    for name in (b"elst", b"edts", b"trak", b"moov"):
        place = content.rfind(name, 0, at + 4) - 4
        struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] + 12)
    return bytes(content)


@pytest.mark.parametrize(("video", "audio"), [("h264", "flac")])
def test_a_part_of_a_live_stream_is_as_long_as_it_is(tmp_path: Path, video: str, audio: str) -> None:
    """Its clock began 27 hours before, or in 1970."""
    path = tmp_path / "a.mp4"
    films.write(path, Combination("fmp4", video, audio, "bframes"))
    head, fragments = _pieces(path)
    scales = {track.number: track.scale for track in boxes.tracks(path)}
    content = bytearray(b"".join(fragments))
    for found in list(re.finditer(b"tfdt\\x01", bytes(content))):
        number = struct.unpack_from(">I", content, content.rfind(b"tfhd", 0, found.start()) + 8)[0]
        begins = struct.unpack_from(">Q", content, found.start() + 8)[0]
        struct.pack_into(">Q", content, found.start() + 8, begins + 100_000 * scales[number])
    path.write_bytes(head + content)
    facts = probe(path)
    assert facts.length_s == pytest.approx(2.5, abs=0.2)
    lossless = audio in LOSSLESS
    _right(path, _part([(n / 24, n) for n in range(60)], sound(2.5), lossless), lossless)


def test_fragments_in_another_order_are_refused_and_doubled_ones_heard_once(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    films.write(path, Combination("fmp4", "h264", "flac", "bframes"))
    head, fragments = _pieces(path)
    assert len(fragments) > 3
    swapped = tmp_path / "swapped.mp4"
    swapped.write_bytes(head + b"".join([fragments[1], fragments[0], *fragments[2:]]))
    with pytest.raises(MediaError, match="order of their times"):
        readers.taken(swapped)
    doubled = tmp_path / "doubled.mp4"
    doubled.write_bytes(head + b"".join([*fragments[:2], *fragments[1:]]))
    [clip], _ = readers.taken(doubled)
    assert [n for _, n in readers.pictures(clip.path)] == list(range(60))


_PLAIN = {2: bytes.fromhex("131056e500"), 1: bytes.fromhex("130856e500")}
_SBR_DELAY = 962  # samples by which the band replication of a decoder delays its output (ISO/IEC 14496-3, 4.6.18)


@pytest.mark.parametrize(
    ("form", "name", "channels", "config"),
    [
        ("mp4", "backward compatible", 2, "131056e598"),
        ("matroska", "hierarchical", 2, "2b11880000"),
        ("mp4", "parametric stereo", 1, "eb09880000"),
        ("flv", "parametric stereo", 1, "eb09880000"),
    ],
)
def test_he_aac_is_heard_at_the_rate_and_with_the_channels_of_its_extension(
    tmp_path: Path, form: str, name: str, channels: int, config: str
) -> None:
    """The container says 24 kHz, and of parametric stereo one channel (ISO/IEC 14496-3, 1.6.5); a coder of plain AAC
    and a configuration that announces the extension make such a stream, with nothing in its upper band."""
    path = tmp_path / "film"
    rate, wanted = RATE // 2, sound(2.5)
    with av.open(str(path), "w", format=form) as film:
        pictures: Any = film.add_stream("libx264", rate=24)
        coding.set_up_pictures(pictures.codec_context, "h264", films.SIZE, Fraction(24), "plain")
        sounds: Any = film.add_stream("aac", rate=rate)
        coding.set_up_sound(sounds.codec_context, "aac", rate, channels)
        coded = [(c, 24) for c in coding.pictures(pictures, pictures.codec_context, "h264", range(60))]
        coded += [(c, rate) for c in coding.sound(sounds, sounds.codec_context, "aac", sound(2.5, rate)[:channels])]
        for one, ticks in sorted(coded, key=lambda item: item[0].decoded / item[1]):
            one.packet.pts, one.packet.dts, one.packet.time_base = one.shown, one.decoded, Fraction(1, ticks)
            film.mux(one.packet)
    content = path.read_bytes()
    assert _PLAIN[channels] in content
    path.write_bytes(content.replace(_PLAIN[channels], bytes.fromhex(config)))
    facts = probe(path)
    assert facts.audio is not None and (facts.audio.sample_rate, facts.audio.channels) == (RATE, 2), name
    delayed = np.pad(wanted, ((0, 0), (_SBR_DELAY, 0)))[: (2 if channels == 2 else 1)]
    part = _part([(n / 24, n) for n in range(60)], np.repeat(delayed, 3 - len(delayed), axis=0)[:2], lossless=False)
    _right(path, part, lossless=False)


def _with_extension(packet: bytes) -> bytes:
    """A raw data block of AAC with a fill element of band replication more, whose data are left out (ISO/IEC 14496-3,
    4.4.2.7): a decoder that was told nothing meets the extension here and doubles the rate."""
    bits = "".join(f"{byte:08b}" for byte in packet).rstrip("0")
    assert bits.endswith("111")  # the end of the block, before the alignment
    fill = "110" + f"{2:04b}" + f"{0xD:04b}" + "0" * 12
    bits = bits[:-3] + fill + "111"
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.mark.parametrize("form", ["mp4", "matroska", "mpegts", "flv"])
def test_he_aac_of_which_nothing_is_announced_is_heard_at_the_rate_of_its_extension(tmp_path: Path, form: str) -> None:
    path = tmp_path / "film"
    rate = RATE // 2
    with av.open(str(path), "w", format=form) as film:
        pictures: Any = film.add_stream("libx264", rate=24)
        coding.set_up_pictures(pictures.codec_context, "h264", films.SIZE, Fraction(24), "plain")
        sounds: Any = film.add_stream("aac", rate=rate)
        coding.set_up_sound(sounds.codec_context, "aac", rate, 2)
        coded = [(c, 24) for c in coding.pictures(pictures, pictures.codec_context, "h264", range(60))]
        coded += [(c, rate) for c in coding.sound(sounds, sounds.codec_context, "aac", sound(2.5, rate))]
        for one, ticks in sorted(coded, key=lambda item: item[0].decoded / item[1]):
            packet = one.packet
            if ticks == rate:
                packet = av.Packet(_with_extension(bytes(packet)))
                packet.stream, packet.duration = sounds, 1024
            packet.pts, packet.dts, packet.time_base = one.shown, one.decoded, Fraction(1, ticks)
            film.mux(packet)
    content = path.read_bytes()
    if form != "mpegts":  # the coder announces that there is no extension; a configuration may as well say nothing
        assert _PLAIN[2] in content
        path.write_bytes(content.replace(_PLAIN[2], _PLAIN[2][:2] + bytes(len(_PLAIN[2]) - 2)))
    with av.open(str(path)) as film:
        assert next(film.decode(audio=0)).sample_rate == RATE
    delayed = np.pad(sound(2.5), ((0, 0), (_SBR_DELAY, 0)))
    _right(path, _part([(n / 24, n) for n in range(60)], delayed, lossless=False), lossless=False)
