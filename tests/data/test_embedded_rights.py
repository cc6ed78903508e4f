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
from aiprod.media.embedded_rights import said_inside, xmp_packets
from aiprod.rights.declarations import SourcesFile
from aiprod.rights.embedded import MAX_XMP, against_training, said_by_tags, said_by_xmp
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.test_sidecars import SOURCES, inbox  # noqa: F401 (a fixture)

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
    ],
)
def test_tags_are_heard(name: str, value: str, against: bool) -> None:
    assert (against_training(said_by_tags([(name, value)])) is not None) == against


def test_a_packet_that_cannot_be_read_is_an_objection() -> None:
    entity = b"<!DOCTYPE a [<!ENTITY b 'c'>]><x:xmpmeta xmlns:x='x'/>"
    for packet in (b"<x:xmpmeta>", entity, b"\xff\xfe", b"<a>" * 3000):
        assert against_training(said_by_xmp(packet))
    assert against_training(said_by_xmp(b" " * (MAX_XMP + 1)))
    assert against_training(said_by_xmp(XMP.format("").encode())) is None


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(0, 3))
def test_packets_are_found_wherever_they_lie(
    tmp_path_factory: pytest.TempPathFactory, between: list[bytes], pad: int
) -> None:
    path = tmp_path_factory.mktemp("x") / "a.bin"
    packet = XMP.format("x").encode()
    parts = [piece.replace(b"<x:", b"") for piece in between]
    path.write_bytes(b"\0" * ((1 << 20) - 5 * pad) + b"".join(piece + packet for piece in parts))
    assert list(xmp_packets(path)) == [packet] * len(parts)


def test_the_open_films_say_nothing_against_themselves(shared_clips: Path) -> None:
    for path in sorted((shared_clips / "open").glob("*.[mw][pke]*")):
        assert against_training(said_inside(path)) is None, path.name
