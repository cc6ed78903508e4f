"""What sound files say of their rights is heard in each place where their formats keep words."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.metadata_texts import metadata_texts
from aiprod.media.training_mining import UNREADABLE, training_reservation
from aiprod.rights.embedded import against_training
from tests.data.test_embedded_rights import XMP, made

NO = "all rights reserved"
YES = "CC-BY-4.0"
NAMED = "(c) 2020 Ada Example"
RATE = 16_000


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def wav(*before: bytes, after: tuple[bytes, ...] = (), long: bool = False) -> bytes:
    """A WAV of half a second with further chunks; ``long``: as RF64, with the length of its samples in ``ds64``."""
    samples = (np.sin(np.arange(RATE // 2) / 9) * 9000).astype("<i2").tobytes()
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
    data = chunk(b"data", samples)
    if long:
        data = b"data\xff\xff\xff\xff" + samples
    rest = form + b"".join(before) + data + b"".join(after)
    if not long:
        return b"RIFF" + struct.pack("<I", 4 + len(rest)) + b"WAVE" + rest
    sizes = chunk(b"ds64", struct.pack("<QQQI", 4 + 36 + len(rest), len(samples), len(samples) // 2, 0))
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + rest


def info(name: bytes, text: str) -> bytes:
    return chunk(b"LIST", b"INFO" + chunk(name, text.encode() + b"\0"))


def bext(description: str = "", originator: str = "", history: str = "") -> bytes:
    head = description.encode().ljust(256, b"\0") + originator.encode().ljust(32, b"\0")
    return chunk(b"bext", head.ljust(602, b"\0") + history.encode())


def ixml(inner: str) -> bytes:
    return chunk(b"iXML", f'<?xml version="1.0" encoding="UTF-8"?><BWFXML>{inner}</BWFXML>'.encode() + b"\0")


def axml(inner: str) -> bytes:
    dc = "http://purl.org/dc/elements/1.1/"
    return chunk(b"axml", f"<coreMetadata xmlns:dc='{dc}'>{inner}</coreMetadata>".encode())


def seven(number: int) -> bytes:
    return bytes(number >> 7 * n & 0x7F for n in (3, 2, 1, 0))


def id3(name: bytes, body: bytes, marks: int = 0, version: int = 4) -> bytes:
    length = seven(len(body)) if version == 4 else struct.pack(">I", len(body))
    frame = name + length + bytes([0, marks]) + body
    return b"ID3" + bytes([version, 0, 0]) + seven(len(frame)) + frame


def coded(path: Path, codec: str, form: str, tags: dict[str, str] | None = None) -> bytes:
    """Half a second by FFmpeg."""
    with av.open(str(path), "w", format=form) as out:
        out.metadata.update(tags or {})
        stream = out.add_stream(codec, rate=RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        layout = {"flac": "s16", "libmp3lame": "s16p", "aac": "fltp"}[codec]
        wave = (np.sin(np.arange(RATE // 2) / 9) * 9000)[None]
        frame = av.AudioFrame.from_ndarray(
            wave.astype(np.int16) if layout != "fltp" else (wave / 32768).astype(np.float32), layout, "mono"
        )
        frame.rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            out.mux(packet)
    return path.read_bytes()


def denial(folder: Path, data: bytes) -> str | None:
    path = folder / "sound.wav"
    path.write_bytes(data)
    return against_training(embedded_statement(path))


IN_WAV: dict[str, Callable[[str], bytes]] = {
    "ICOP": lambda text: info(b"ICOP", text),
    "ICMT": lambda text: info(b"ICMT", text),
    "bext description": bext,
    "bext history": lambda text: bext("a take", "Ada", f"A=PCM,F=16000\r\n{text}\r\n"),
    "iXML note": lambda text: ixml(f"<NOTE>{text}</NOTE>"),
    "iXML user": lambda text: ixml(f"<USER><COPYRIGHT>{text}</COPYRIGHT></USER>"),
    "axml": lambda text: axml(f"<dc:rights>{text}</dc:rights>"),
    "cart": lambda text: chunk(b"cart", b"0101".ljust(2048, b"\0") + text.encode()),
    "labels": lambda text: chunk(b"LIST", b"adtl" + chunk(b"note", struct.pack("<I", 1) + text.encode() + b"\0")),
    "id3": lambda text: chunk(b"id3 ", id3(b"TCOP", b"\x03" + text.encode())),
    "another": lambda text: chunk(b"zzzz", text.encode()),
}


@pytest.mark.parametrize("long", [False, True], ids=["riff", "rf64"])
@pytest.mark.parametrize("where", IN_WAV)
def test_chunks_of_wav(where: str, long: bool, tmp_path: Path) -> None:
    holding = IN_WAV[where]
    assert denial(tmp_path, wav(long=long)) is None
    for text in (YES, NAMED):
        assert denial(tmp_path, wav(holding(text), long=long)) is None, text
    for data in (wav(holding(NO), long=long), wav(after=(holding(NO),), long=long)):
        assert NO in str(denial(tmp_path, data))


def test_chunks_of_wav_in_avi(tmp_path: Path) -> None:
    film = made(tmp_path / "film", "avi")
    path = tmp_path / "a.avi"
    for where, make in IN_WAV.items():
        path.write_bytes(film + make(YES))
        assert against_training(embedded_statement(path)) is None, where
        path.write_bytes(film + make(NO))
        assert NO in str(against_training(embedded_statement(path))), where


def test_data_that_is_no_sound_may_be_words(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(made(tmp_path / "film", "avi") + chunk(b"data", NO.encode()))
    assert NO in str(against_training(embedded_statement(path)))
    assert NO in str(denial(tmp_path, wav(after=(chunk(b"data", NO.encode()),))))


def test_of_two_that_are_called_the_same_both_are_heard(tmp_path: Path) -> None:
    for texts in ((YES, NO), (NO, YES)):
        both = b"INFO" + b"".join(chunk(b"ICOP", text.encode() + b"\0") for text in texts)
        assert NO in str(denial(tmp_path, wav(chunk(b"LIST", both))))


def test_what_stands_for_a_licence_and_is_not_understood_denies_and_is_quoted(tmp_path: Path) -> None:
    for data in (
        wav(ixml("<USER><LICENSE>do as you like</LICENSE></USER>")),
        wav(axml("<usageTerms>do as you like</usageTerms>")),
        wav(chunk(b"id3 ", id3(b"WCOP", b"http://a.example/do as you like"))),
        wav(chunk(b"id3 ", id3(b"USER", b"\0engdo as you like"))),
        wav(chunk(b"id3 ", id3(b"TXXX", b"\x03LICENSE\0do as you like"))),
        wav(chunk(b"id3 ", id3(b"TXXX", b"\x01" + "LICENSE\0do as you like".encode("utf-16"), version=3))),
    ):
        assert "do as you like" in str(denial(tmp_path, data))
    assert denial(tmp_path, wav(chunk(b"id3 ", id3(b"TXXX", b"\x03LICENSE\0CC-BY-4.0")))) is None
    assert denial(tmp_path, wav(chunk(b"id3 ", id3(b"WCOP", b"https://creativecommons.org/licenses/by/4.0/")))) is None
    assert "cannot be read" in str(denial(tmp_path, wav(chunk(b"iXML", b"<BWFXML><NOTE>"))))
    assert "compressed" in str(denial(tmp_path, wav(chunk(b"id3 ", id3(b"TCOP", b"x" * 9, marks=0x08)))))


def test_data_mining_in_xmp_of_wav(tmp_path: Path) -> None:
    for word, denied in (("DMI-PROHIBITED", True), ("DMI-ALLOWED", False)):
        packet = XMP.format(f"<plus:DataMining>http://ns.useplus.org/ldf/vocab/{word}</plus:DataMining>").encode()
        assert (denial(tmp_path, wav(chunk(b"_PMX", packet))) is not None) == denied


@pytest.mark.parametrize("name", ["LICENSE", "COPYRIGHT", "COMMENT", "TERMS_OF_USE"])
def test_vorbis_comments_of_flac(name: str, tmp_path: Path) -> None:
    assert denial(tmp_path, coded(tmp_path / "a", "flac", "flac", {name: YES})) is None
    assert NO in str(denial(tmp_path, coded(tmp_path / "a", "flac", "flac", {name: NO})))


def test_chunks_kept_in_flac_and_tags_behind_it(tmp_path: Path) -> None:
    plain = coded(tmp_path / "a", "flac", "flac")
    for text, denied in ((YES, False), (NO, True)):
        kept = b"riff" + bext(text)
        block = b"\x02" + len(kept).to_bytes(3, "big") + kept
        behind = b"TAG" + text.encode().ljust(125, b"\0")
        for data in (plain[:42] + block + plain[42:], plain + behind, plain + ape("Comment", text)):
            assert (denial(tmp_path, data) is not None) == denied


def ape(name: str, text: str) -> bytes:
    item = struct.pack("<II", len(text), 0) + name.encode() + b"\0" + text.encode()
    foot = b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, 0) + bytes(8)
    return item + foot


FRAMES = {
    "TCOP": lambda text: (b"TCOP", b"\x03" + text.encode()),
    "TXXX": lambda text: (b"TXXX", b"\x03licence\0" + text.encode()),
    "COMM": lambda text: (b"COMM", b"\x03eng\0" + text.encode()),
    "USER": lambda text: (b"USER", b"\x03eng" + text.encode()),
    "WCOP": lambda text: (b"WCOP", text.encode()),
    "WPUB": lambda text: (b"WPUB", text.encode()),
    "WXXX": lambda text: (b"WXXX", b"\x03licence\0" + text.encode()),
}


@pytest.mark.parametrize("frame", FRAMES)
def test_id3_of_mp3(frame: str, tmp_path: Path) -> None:
    if "libmp3lame" not in av.codecs_available:
        pytest.skip("FFmpeg has no MP3 encoder here")
    plain = coded(tmp_path / "a", "libmp3lame", "mp3")
    if plain[:3] == b"ID3":
        plain = plain[10 + int.from_bytes(plain[6:10], "big") :]
    name, body = FRAMES[frame](NO)
    assert NO in str(denial(tmp_path, id3(name, body) + plain))
    assert denial(tmp_path, id3(*FRAMES[frame](YES)) + plain) is None
    assert NO in str(denial(tmp_path, id3(b"TIT2", b"\x03A song") + plain + ape("License", NO)))


@pytest.mark.parametrize("name", ["copyright", "comment"])
def test_sound_in_mp4(name: str, tmp_path: Path) -> None:
    assert denial(tmp_path, coded(tmp_path / "a", "aac", "mp4", {name: YES})) is None
    assert NO in str(denial(tmp_path, coded(tmp_path / "a", "aac", "mp4", {name: NO})))


@pytest.mark.parametrize("name", [b"(c) ", b"ANNO", b"NAME", b"APPL"])
def test_chunks_of_aiff(name: bytes, tmp_path: Path) -> None:
    rate = bytes.fromhex("400cfa00000000000000")  # 16,000 in 80 bits

    def aiff(text: str) -> bytes:
        chunks = [(b"COMM", struct.pack(">hIh", 1, 800, 16) + rate), (name, text.encode()), (b"SSND", bytes(1608))]
        body = b"AIFF" + b"".join(n + struct.pack(">I", len(b)) + b + bytes(len(b) % 2) for n, b in chunks)
        return b"FORM" + struct.pack(">I", len(body)) + body

    assert denial(tmp_path, aiff(YES)) is None
    assert NO in str(denial(tmp_path, aiff(NO)))


def test_a_manifest_in_wav_that_cannot_be_read_denies(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav())
    assert training_reservation(path, "wav") is None
    path.write_bytes(wav(after=(chunk(b"C2PA", b"\0\0\0\x20jumb" + bytes(24)),)))
    assert training_reservation(path, "wav") == UNREADABLE


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(IN_WAV)), st.sampled_from([YES, NAMED, NO, "CC-BY-NC-4.0"])), max_size=4)
)
def test_all_that_is_said_permits_no_more_than_any_of_it(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("s")
    each = [denial(folder, wav(IN_WAV[where](text))) is not None for where, text in parts]
    assert (denial(folder, wav(*(IN_WAV[where](text) for where, text in parts))) is not None) >= any(each)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=300), st.sampled_from([b"id3 ", b"bext", b"iXML", b"LIST"]), st.booleans())
def test_damaged_chunks_raise_nothing(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, name: bytes, headed: bool
) -> None:
    path = tmp_path_factory.mktemp("d") / "a.wav"
    head = {b"id3 ": b"ID3\x04\0\0\0\0\x02\0", b"LIST": b"INFO"}.get(name, b"") if headed else b""
    path.write_bytes(wav(chunk(name, head + body)))
    metadata_texts(path, "wav")
    for extension in ("mp3", "flac", "aiff"):
        path.write_bytes(head + body)
        metadata_texts(path, extension)
