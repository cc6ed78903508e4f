"""What a film says of itself in its tags and XMP binds it like what is said beside it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.data.ingest.ingest import ingest
from aiprod.data.params import IngestParams
from aiprod.data.rows import FilmRow
from aiprod.data.sources.scan import scan
from aiprod.media.embedded_rights import embedded_statement, xmp_packets
from aiprod.rights.declarations import SourcesFile
from aiprod.rights.embedded import MAX_XMP, against_training, statement_from_tags, statement_from_xmp
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.inbox import SOURCES

XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
XMP = (
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:xmpRights='http://ns.adobe.com/xap/1.0/rights/'"
    " xmlns:cc='http://creativecommons.org/ns#' xmlns:plus='http://ns.useplus.org/ldf/xmp/1.0/'>{}</rdf:Description>"
    "</rdf:RDF></x:xmpmeta>"
)


def with_xmp(path: Path, inner: str) -> None:
    packet = XMP.format(inner).encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I", 24 + len(packet)) + b"uuid" + XMP_BOX + packet)


def tagged(source: Path, target: Path, **tags: str) -> None:
    with av.open(str(source)) as given_, av.open(str(target), "w") as made:
        made.metadata.update(tags)
        streams = {s.index: made.add_stream_from_template(s) for s in given_.streams}
        for packet in given_.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)


def taken_in(root: Path, sources: SourcesFile = SOURCES) -> dict[str, FilmRow]:
    params = IngestParams(sources=["inbox"], workers=1)
    memo, store = Memo(root / "memo", "code"), ClipStore(root / "v1")
    rows, _, _ = ingest(scan(params, sources), sources, params, seed=0, memo=memo, store=store)
    return {row.key: row for row in rows}


def test_what_a_film_says_of_itself_only_narrows(
    inbox: Path,
    tmp_path: Path,
    make_film: Callable[..., Path],
) -> None:
    plain = [make_film(tmp_path / f"{n}.mp4", n) for n in range(7)]
    tagged(plain[0], inbox / "notice.mp4", copyright="(c) 2020 Ada Example", comment="bees")
    tagged(plain[1], inbox / "reserved.mkv", COPYRIGHT="(c) Ada. All rights reserved")
    tagged(plain[2], inbox / "nc.mkv", LICENSE="https://creativecommons.org/licenses/by-nc/4.0/")
    tagged(plain[3], inbox / "by.mp4", comment="Creative Commons Attribution 3.0 - http://example.org")
    tagged(plain[4], inbox / "note.mp4", comment="Please do not use this for AI training")
    (inbox / "terms.mp4").write_bytes(plain[5].read_bytes())
    with_xmp(inbox / "terms.mp4", "<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED</plus:DataMining>")
    (inbox / "domain.mp4").write_bytes(plain[6].read_bytes())
    with_xmp(inbox / "domain.mp4", "<dc:rights><rdf:Alt><rdf:li>Public domain</rdf:li></rdf:Alt></dc:rights>")
    films = taken_in(tmp_path)
    assert {key: row.effective_right for key, row in films.items()} == {
        "notice.mp4": "train",
        "by.mp4": "train_with_obligations",
        "reserved.mkv": "deny",
        "nc.mkv": "deny",
        "note.mp4": "deny",
        "terms.mp4": "deny",
        "domain.mp4": "deny",
    }
    assert films["by.mp4"].media_license == "CC-BY-3.0 AND LicenseRef-own"
    assert films["domain.mp4"].media_license == "LicenseRef-own AND LicenseRef-public-domain"
    assert "no evidence" in films["domain.mp4"].reasons[0]
    assert "All rights reserved" in films["reserved.mkv"].reasons[0]
    kept = {films[key].film_id for key in ("notice.mp4", "by.mp4")}
    assert {path.stem for path in (tmp_path / "v1/raw").iterdir()} == kept
    again = taken_in(tmp_path)
    assert {k: (r.effective_right, r.status) for k, r in again.items()} == {
        k: (r.effective_right, r.status) for k, r in films.items()
    }


def test_an_owner_is_told_what_the_film_says_and_can_correct_it(
    inbox: Path, tmp_path: Path, make_film: Callable[..., Path]
) -> None:
    plain = make_film(tmp_path / "plain.mp4", 1)
    tagged(plain, inbox / "notice.mp4", copyright="(c) Ada. All rights reserved")
    row = taken_in(tmp_path)["notice.mp4"]
    assert row.effective_right == "deny" and row.media_license == "LicenseRef-own"
    [reason] = [reason for reason in row.reasons if "All rights reserved" in reason]
    assert "tag “copyright” in the MP4 file says “(c) Ada. All rights reserved”" in reason
    assert "if it is yours" in reason and "docs/sources.md" in reason
    tagged(plain, inbox / "notice.mp4", copyright="Ada Example, own film")
    assert taken_in(tmp_path)["notice.mp4"].effective_right == "train"


@pytest.mark.parametrize(
    ("name", "value", "against"),
    [
        ("license", "CC BY 4.0", False),
        ("LICENSE-eng", "do as you like", True),
        ("TERMS_OF_USE", "ask me", True),
        ("copyright", "© 2020 Ada Example", False),
        ("copyright", "(c) Ada, for private use only", True),
        ("com.apple.quicktime.copyright", "Alle Rechte vorbehalten", True),
        ("cprt", "licensed to X", True),
        ("comment", "shot in Bern", False),
        ("description", "CC BY-NC-SA 4.0", True),
        ("synopsis", "no AI", True),
        ("tdm-reservation", "1", True),
        ("tdm-reservation", "0", False),
        ("WebStatement", "https://ada.example", True),
        ("UsageTerms", "Licensed under CC BY-SA 4.0", False),
        ("keywords", "all rights reserved", True),
        ("copyright", "AFP 2020", True),
        ("artist", "AFP", True),
        ("photoshop:Credit", "Reuters", True),
        ("artist", "Ada Example", False),
        ("comment", "a map of the ap course", False),
    ],
)
def test_tags_are_heard(name: str, value: str, against: bool) -> None:
    assert (against_training(statement_from_tags([(name, value)])) is not None) == against


def test_a_packet_that_cannot_be_read_is_an_objection() -> None:
    entity = b"<!DOCTYPE a [<!ENTITY b 'c'>]><x:xmpmeta xmlns:x='x'/>"
    for packet in (b"<x:xmpmeta>", entity, b"\xff\xfe", b"<a>" * 3000):
        assert against_training(statement_from_xmp(packet))
    assert against_training(statement_from_xmp(b" " * (MAX_XMP + 1)))
    assert against_training(statement_from_xmp(XMP.format("").encode())) is None


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(0, 3))
def test_packets_are_found_wherever_they_lie(
    tmp_path_factory: pytest.TempPathFactory, between: list[bytes], pad: int
) -> None:
    path = tmp_path_factory.mktemp("x") / "a.bin"
    packet = XMP.format("x").encode()
    parts = [piece.replace(b"<x:", b"") for piece in between]
    path.write_bytes(b"\0" * ((1 << 20) - 5 * pad) + b"".join(piece + packet for piece in parts))
    assert list(xmp_packets(path, "mp4")) == [packet] * len(parts)


PROHIBITED = "<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED</plus:DataMining>"
PACKET = XMP.format(PROHIBITED).encode()
BARE = PACKET[PACKET.index(b"<rdf:RDF") : PACKET.index(b"</x:xmpmeta>")]
WRAPPED = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>' + PACKET + b" " * 2000 + b'<?xpacket end="w"?>'


def made(path: Path, container: str) -> bytes:
    with av.open(str(path), "w", format=container) as film:
        stream = film.add_stream("flv1" if container == "flv" else "mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(4):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = n
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path.read_bytes()


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def element(number: str, body: bytes) -> bytes:
    return bytes.fromhex(number) + (len(body) | 1 << 56).to_bytes(8, "big") + body


def in_mp4(film: bytes, packet: bytes) -> bytes:
    return film + box(b"uuid", XMP_BOX + packet)


def in_mov(film: bytes, packet: bytes) -> bytes:
    at = film.index(b"moov") - 4
    length = int.from_bytes(film[at : at + 4], "big")
    inner = box(b"udta", box(b"XMP_", packet))
    assert at + length == len(film)  # nothing lies behind it that would have to be found anew
    return film[:at] + struct.pack(">I", length + len(inner)) + film[at + 4 :] + inner


def in_matroska(film: bytes, packet: bytes) -> bytes:
    attached = element("466e", b"a.xmp") + element("4660", b"application/rdf+xml") + element("465c", packet)
    attached = element("61a7", attached + element("46ae", b"\x01"))
    return film + element("1941a469", attached)


def in_avi(film: bytes, packet: bytes) -> bytes:
    return film + b"_PMX" + struct.pack("<I", len(packet)) + packet


def in_asf(film: bytes, packet: bytes) -> bytes:
    return film + XMP_BOX + struct.pack("<Q", 24 + len(packet)) + packet


def in_flv(film: bytes, packet: bytes) -> bytes:
    body = b"\x02\0\x09onXMPData\x0c" + struct.pack(">I", len(packet)) + packet
    tag = b"\x12" + struct.pack(">I", len(body))[1:] + b"\0" * 7 + body
    return film + tag + struct.pack(">I", len(tag))


@pytest.mark.parametrize("packet", [PACKET, WRAPPED, BARE, PACKET.decode().encode("utf-16")], ids=len)
@pytest.mark.parametrize(
    ("container", "put"),
    [
        ("mp4", in_mp4),
        ("mov", in_mov),
        ("matroska", in_matroska),
        ("avi", in_avi),
        ("asf", in_asf),
        ("flv", in_flv),
    ],
)
def test_xmp_is_heard_where_each_container_keeps_it(
    container: str,
    put: Callable[[bytes, bytes], bytes],
    packet: bytes,
    tmp_path: Path,
) -> None:
    path = tmp_path / "film"
    film = made(path, container)
    assert against_training(embedded_statement(path)) is None
    path.write_bytes(put(film, packet))
    assert against_training(embedded_statement(path))


def test_pictures_are_not_searched(tmp_path: Path, make_film: Callable[..., Path]) -> None:
    path = make_film(tmp_path / "film.mp4", 1)
    with path.open("ab") as file:
        file.write(struct.pack(">I4sQ", 1, b"mdat", 16 + (1 << 40)) + PACKET)
        file.truncate(file.tell() - len(PACKET) + (1 << 40))  # a tebibyte, of which nothing is stored
    with path.open("ab") as file:
        file.write(box(b"uuid", XMP_BOX + XMP.format("<dc:rights>mine</dc:rights>").encode()))
    assert len(list(xmp_packets(path, "mp4"))) == 1


def test_more_than_is_searched_is_an_objection(
    tmp_path: Path, make_film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiprod.media.embedded_rights._MAX_BYTES", 1 << 20)
    path = make_film(tmp_path / "film.mp4", 1)
    with path.open("ab") as file:
        file.write(box(b"uuid", b"x" * (1 << 21)))
    assert "MiB" in str(against_training(embedded_statement(path)))


def test_too_many_packets_are_an_objection(tmp_path: Path, make_film: Callable[..., Path]) -> None:
    path = make_film(tmp_path / "film.mp4", 1)
    for _ in range(65):
        with_xmp(path, "<dc:format>a</dc:format>")
    assert against_training(embedded_statement(path))


def test_the_open_films_say_nothing_against_themselves(shared_clips: Path) -> None:
    films = sorted((shared_clips / "open").glob("*.[mw][pke]*"))
    assert len(films) > 3
    for path in films:
        assert against_training(embedded_statement(path)) is None, path.name
