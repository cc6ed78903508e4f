"""What stands in a container's metadata is heard also where FFmpeg drops it or does not know it."""

from __future__ import annotations

import random
import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.metadata_texts import metadata_texts
from aiprod.media.sniffing import sniff
from aiprod.rights.embedded import against_training
from tests.data.test_embedded_rights import box, element, made

WORDS = b"All rights reserved"
LANGUAGE = b"\x15\xc7"
_FULL = b"\0\0\0\0"


def in_moov(film: bytes, extra: bytes) -> bytes:
    at = film.index(b"moov") - 4
    length = int.from_bytes(film[at : at + 4], "big")
    assert film.index(b"mdat") < at
    return film[:at] + struct.pack(">I", length + len(extra)) + film[at + 4 : at + length] + extra + film[at + length :]


def in_track(film: bytes, extra: bytes) -> bytes:
    at = film.index(b"trak") - 4
    length = int.from_bytes(film[at : at + 4], "big")
    moov = film.index(b"moov") - 4
    whole = int.from_bytes(film[moov : moov + 4], "big") + len(extra)
    track = struct.pack(">I", length + len(extra)) + film[at + 4 : at + length] + extra
    return film[:moov] + struct.pack(">I", whole) + film[moov + 4 : at] + track + film[at + length :]


def in_segment(film: bytes, extra: bytes) -> bytes:
    at = film.index(bytes.fromhex("18538067")) + 4
    length = int.from_bytes(film[at : at + 8], "big") & (1 << 56) - 1
    assert at + 8 + length == len(film)
    return film[:at] + (length + len(extra) | 1 << 56).to_bytes(8, "big") + film[at + 8 :] + extra


def in_header(film: bytes, guid: str, body: bytes) -> bytes:
    """An object more in the header of ASF."""
    more = bytes.fromhex(guid) + struct.pack("<Q", 24 + len(body)) + body
    length, count = struct.unpack("<QI", film[16:28])
    return film[:16] + struct.pack("<QI", length + len(more), count + 1) + film[28:length] + more + film[length:]


def tags(target: bytes, *simple: bytes) -> bytes:
    return element("1254c367", element("7373", element("63c0", target) + b"".join(simple)))


def simple(name: bytes, value: bytes, inner: bytes = b"") -> bytes:
    return element("67c8", element("45a3", name) + element("4487", value) + inner)


def attached(kind: bytes, content: bytes) -> bytes:
    file = element("466e", b"a") + element("4660", kind) + element("465c", content) + element("46ae", b"\x01")
    return element("1941a469", element("61a7", file))


def notice(text: bytes) -> bytes:
    return box(b"udta", box(b"cprt", _FULL + LANGUAGE + text + b"\0"))


def handler(kind: bytes) -> bytes:
    return box(b"hdlr", bytes(8) + kind + bytes(13))


ID3 = b"ID3\x04\0\0\0\0\0\x1eTCOP\0\0\0\x14\0\0\x03" + WORDS
CHAPTER = element("63c4", b"\x63")
MP4 = {
    "3gpp": notice(WORDS),
    "3gpp-utf16": notice(b"\xfe\xff" + WORDS.decode().encode("utf-16-be")),
    "description": box(b"udta", box(b"dscp", _FULL + LANGUAGE + WORDS)),
    "quicktime": box(b"udta", box(b"\xa9lic", struct.pack(">H", len(WORDS)) + LANGUAGE + WORDS)),
    "id3": box(b"meta", _FULL + handler(b"ID32") + box(b"ID32", _FULL + LANGUAGE + ID3)),
    "xml": box(b"meta", _FULL + handler(b"mp7t") + box(b"xml ", b"<a><rights>All rights reserved</rights></a>")),
    "other": box(b"udta", box(b"zzzz", WORDS)),
}
MATROSKA = {
    "nested": tags(b"", simple(b"TITLE", b"x", simple(b"COPYRIGHT", WORDS))),
    "nested-licence": tags(b"", simple(b"ORIGINAL", b"", simple(b"LICENSE", b"CC-BY-NC-4.0"))),
    "chapter": tags(CHAPTER, simple(b"LICENSE", WORDS)),
    "edition": tags(element("63c9", b"\x63"), simple(b"TERMS_OF_USE", b"ask me")),
    "attachment": tags(element("63c6", b"\x63"), simple(b"LICENSE", b"do as you like")),
    "no-such-track": tags(element("63c5", b"\x63"), simple(b"COMMENT", b"no AI training")),
    "attached-text": attached(b"text/plain", WORDS),
}


def heard(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    return against_training(embedded_statement(path)) is not None


@pytest.mark.parametrize("kind", MP4)
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_boxes_of_mp4(kind: str, container: str, tmp_path: Path) -> None:
    film = made(tmp_path / "film", container)
    assert not heard(tmp_path / "plain", film)
    assert heard(tmp_path / "film", in_moov(film, MP4[kind]))
    if kind != "xml":
        assert heard(tmp_path / "film", in_track(film, MP4[kind]))


@pytest.mark.parametrize("kind", MATROSKA)
def test_tags_of_matroska(kind: str, tmp_path: Path) -> None:
    assert heard(tmp_path / "film", in_segment(made(tmp_path / "film", "matroska"), MATROSKA[kind]))


def test_what_permits_training_or_speaks_of_something_else_does_not_deny(tmp_path: Path) -> None:
    matroska, mp4 = made(tmp_path / "a", "matroska"), made(tmp_path / "b", "mp4")
    for data in (
        in_segment(matroska, tags(CHAPTER, simple(b"LICENSE", b"CC-BY-4.0"))),
        in_segment(matroska, attached(b"font/ttf", WORDS)),
        in_moov(mp4, notice(b"(c) Ada Example")),
        in_moov(mp4, box(b"meta", _FULL + handler(b"mdir") + box(b"ilst", box(b"covr", WORDS)))),
    ):
        assert not heard(tmp_path / "film", data)


def test_a_licence_that_obliges_is_kept_with_its_obligation(tmp_path: Path) -> None:
    film = in_segment(made(tmp_path / "film", "matroska"), tags(CHAPTER, simple(b"LICENSE", b"CC-BY-4.0")))
    (tmp_path / "film").write_bytes(film)
    assert embedded_statement(tmp_path / "film")["media_license"] == "CC-BY-4.0"


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_titles_of_chapters(container: str, tmp_path: Path) -> None:
    chapter = {"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000)}
    for words, against in (("Bees", False), ("Not for AI training", True)):
        with av.open(str(tmp_path / "film"), "w", format=container) as film:
            stream = film.add_stream("mpeg4", rate=24)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            film.set_chapters([{**chapter, "metadata": {"title": words}}])  # type: ignore[typeddict-item]
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = 0
            film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
        assert (against_training(embedded_statement(tmp_path / "film")) is not None) == against


def test_branding_of_asf(tmp_path: Path) -> None:
    film = made(tmp_path / "film", "asf")
    brand = struct.pack("<IIII", 0, 0, 0, len(WORDS) + 1) + WORDS + b"\0"
    assert heard(tmp_path / "film", in_header(film, "fab3112223bdd211b4b700a0c955fc6e", brand))


def test_descriptive_metadata_of_mxf(tmp_path: Path) -> None:
    path = tmp_path / "film.mxf"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(4):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = n
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    data = path.read_bytes()
    assert not heard(tmp_path / "plain", data)
    fill = bytes.fromhex("060e2b34010101020301021001000000")
    at = data.index(fill)
    more = data[at + 16] & 0x7F
    room = 17 + more + int.from_bytes(data[at + 17 : at + 17 + more], "big")
    text = WORDS.decode().encode("utf-16-be")
    body = struct.pack(">HH", 0x3C0A, 16) + bytes(16) + struct.pack(">HH", 0x8001, len(text)) + text
    words = bytes.fromhex("060e2b34025301010d01040101140100") + b"\x83" + len(body).to_bytes(3, "big") + body
    rest = room - len(words) - 20
    filled = words + fill + b"\x83" + rest.to_bytes(3, "big") + bytes(rest)
    assert heard(path, data[:at] + filled + data[at + room :])


@pytest.mark.parametrize("container", ["mp4", "matroska", "asf", "avi", "flv"])
def test_no_metadata_is_too_broken(container: str, tmp_path: Path) -> None:
    film = made(tmp_path / "film", container)
    kind = sniff(tmp_path / "film").extension
    film += MP4["3gpp"] + MATROSKA["nested"]
    for seed in range(40):
        bits, broken = random.Random(seed), bytearray(film)
        for _ in range(seed):
            broken[bits.randrange(len(broken))] = bits.randrange(256)
        (tmp_path / "film").write_bytes(broken)
        metadata_texts(tmp_path / "film", kind)


def test_more_than_is_read_is_an_objection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiprod.media.metadata_texts.MAX_BYTES", 1000)
    film = made(tmp_path / "film", "mp4")
    assert not heard(tmp_path / "film", film)
    assert heard(tmp_path / "film", in_moov(film, box(b"udta", box(b"zzzz", b"x" * 2000))))


@pytest.mark.parametrize("owner", ["(c) 2020 Ada Example", "NASA", "Ada Example, own film"])
def test_a_notice_that_names_an_owner_takes_nothing_away_in_any_form(owner: str, tmp_path: Path) -> None:
    """What stands round a text in its box is no part of it."""
    itunes = box(b"cprt", box(b"data", b"\0\0\0\1" + bytes(4) + owner.encode()))
    forms = {
        "utf-8": notice(owner.encode()),
        "utf-16": notice(b"\xfe\xff" + owner.encode("utf-16-be")),
        "utf-16-le": notice(b"\xff\xfe" + owner.encode("utf-16-le")),
        "itunes": box(b"udta", box(b"meta", _FULL + handler(b"mdir") + box(b"ilst", itunes))),
    }
    film = made(tmp_path / "plain.mp4", "mp4")
    for name, form in forms.items():
        (tmp_path / "film.mp4").write_bytes(in_moov(film, form))
        assert ("copyright", owner) in metadata_texts(tmp_path / "film.mp4", "mp4")[0], name
        assert embedded_statement(tmp_path / "film.mp4") == {}, name
