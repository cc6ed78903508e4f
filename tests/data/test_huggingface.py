"""Hugging Face datasets: films beside metadata, films inside Parquet, and the licence on the dataset card."""

from __future__ import annotations

import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest import ingest
from aiprod.data.params import IngestParams
from aiprod.data.sources.base import Offer
from aiprod.data.sources.huggingface import card_record
from aiprod.data.sources.scan import Offers, scan
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.data.test_webdataset import MP4
from tests.data.test_webdataset import SOURCES as SHARDS
from tests.data.web_server import Server
from tests.qc.films import texture, write

SOURCES = SourcesFile(sources={"hub": SHARDS.sources["shards"].model_copy(update={"adapter": "huggingface"})})
VIDEO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def scanned(place: Path | str) -> Offers:
    return scan(IngestParams(sources=["hub"], folders={"hub": str(place)}), SOURCES)


def offered(place: Path | str) -> dict[str, Offer]:
    return {offer.key: offer for offer in scanned(place).offers}


def licence(offer: Offer) -> str:
    return (offer.sidecar.media_license if offer.sidecar else None) or ""


def parquet(path: Path, films: list[tuple[bytes | None, str | None]], **columns: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    held = pa.array([{"bytes": data, "path": name} for data, name in films], VIDEO)
    pq.write_table(pa.table({"video": held, **columns}), path, row_group_size=2)


@pytest.fixture
def dataset(tmp_path: Path, state_home: Path) -> Path:
    """A dataset of two films in Parquet, the second not free, and one beside a table."""
    root = tmp_path / "hub"
    films = [write(tmp_path / f"{n}.mp4", (texture(160, 120, n + f // 6) for f in range(24))) for n in range(3)]
    rows: list[tuple[bytes | None, str | None]] = [(film.read_bytes(), f"x/{film.name}") for film in films[:2]]
    parquet(root / "data/train-0.parquet", rows, license=["CC0-1.0", "CC-BY-NC-4.0"], label=[0, 1])
    (root / "test").mkdir()
    (root / "test" / "c.mp4").write_bytes(films[2].read_bytes())
    (root / "test" / "metadata.jsonl").write_text('{"file_name": "c.mp4", "text": "a texture", "license": "CC0-1.0"}\n')
    (root / "README.md").write_text("---\nlicense: cc-by-4.0\ntags: [video]\n---\n# A dataset\n")
    (root / "list.txt").write_text("data/train-0.parquet\ntest/c.mp4\ntest/metadata.jsonl\nREADME.md\n")
    return root


def check_taken_in(place: Path | str, folder: Path) -> None:
    params = IngestParams(sources=["hub"], folders={"hub": str(place)}, workers=1)
    memo, store = Memo(folder / "memo", ""), ClipStore(folder / "v1")
    rows, clips, _ = ingest(scanned(place), SOURCES, params, seed=0, memo=memo, store=store)
    assert {row.key: row.status for row in rows} == {
        "data/train-0.parquet/0.mp4": "ok",
        "data/train-0.parquet/1.mp4": "refused",
        "test/c.mp4": "ok",
    }
    assert {row.content_sha256 for row in rows if row.status == "ok"} == {
        sha256_file(folder / f"{n}.mp4") for n in (0, 2)
    }
    assert len(clips) == 2


def test_films_beside_metadata_and_inside_parquet(dataset: Path, tmp_path: Path) -> None:
    found = offered(dataset)
    assert set(found) == {"data/train-0.parquet/0.mp4", "data/train-0.parquet/1.mp4", "test/c.mp4"}
    assert all("CC-BY-4.0" in licence(offer) for offer in found.values() if "NC" not in licence(offer)), "the card"
    check_taken_in(dataset, tmp_path)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_dataset_on_a_web_server(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    monkeypatch.setattr(Server, "ranges", ranges)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(dataset)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        check_taken_in(f"http://127.0.0.1:{server.server_address[1]}/list.txt", tmp_path)
    finally:
        server.shutdown()
        server.server_close()


def test_metadata_in_parquet_names_files(tmp_path: Path, state_home: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "train" / name).write_bytes(MP4)
    table = pa.table({"file_name": ["a.mp4", "gone.mp4", "../../x.mp4"], "licence": ["CC-BY-NC-4.0", "own", "own"]})
    pq.write_table(table, tmp_path / "train" / "metadata.parquet")
    parquet(tmp_path / "train" / "rows.parquet", [(None, "b.mp4")], license=["CC0-1.0"])
    result = scanned(tmp_path)
    found = {offer.key: licence(offer) for offer in result.offers}
    assert found == {"train/a.mp4": "CC-BY-NC-4.0", "train/b.mp4": "CC0-1.0"}
    assert result.mute_sidecars == ["hub/train/gone.mp4"] and len(result.stray_lines) == 1


def test_parquet_that_cannot_be_understood_is_one_line(tmp_path: Path, state_home: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"\xff" * 50 + b"PAR1")
    with pytest.raises(AiprodError, match=r"a\.parquet cannot be read") as caught:
        scanned(tmp_path)
    assert "\n" not in str(caught.value)
    pq.write_table(pa.table({"license": ["CC-BY-NC-4.0"]}), path)
    with pytest.raises(AiprodError, match="no column of films"):
        scanned(tmp_path)
    parquet(path, [(MP4, "a.mp4")], licnse=["CC0-1.0"])
    with pytest.raises(AiprodError, match="licnse"):
        scanned(tmp_path)


def test_names_inside_parquet_lead_nowhere_and_are_told_apart(tmp_path: Path, state_home: Path) -> None:
    rows: list[tuple[bytes | None, str | None]] = [(MP4, "../../a.mp4"), (MP4, None), (MP4, "/b.mp4"), (MP4, "x/b.mp4")]
    parquet(tmp_path / "d.parquet", rows)
    found = {key: offer.problem for key, offer in offered(tmp_path).items()}
    assert set(found) == {"d.parquet/a.mp4", "d.parquet/0000-000001", "d.parquet/b.mp4"}
    assert "more than once" in (found["d.parquet/b.mp4"] or "")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("license: cc-by-4.0", "CC-BY-4.0"),
        ("license: [mit, apache-2.0]", "Apache-2.0 AND MIT"),
        ("license: other\nlicense_name: my-terms", "unknown"),
        ("license: unknown", "unknown"),
        ("language: en", None),
        ("", None),
    ],
)
def test_the_licence_of_a_card(head: str, expected: str | None) -> None:
    record = card_record(f"---\n{head}\n---\ntext", "README.md")
    assert (record.media_license if record else None) == expected


def test_the_gate_of_a_card_counts() -> None:
    record = card_record("---\nlicense: mit\nextra_gated_prompt: Not for commercial use.\n---\n", "README.md")
    assert record is not None and record.objections
    assert card_record("# no head", "README.md") is None
    for odd in ("---\nlicense: mit\n", "---\n- a\n---\n", "---\na: [\n---\n"):
        with pytest.raises(AiprodError):
            card_record(odd, "README.md")


@given(text=st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_card_is_too_odd(text: str) -> None:
    for card in (text, f"---\n{text}\n---\n"):
        try:
            card_record(card, "README.md")
        except AiprodError as error:
            assert "\n" not in str(error)
