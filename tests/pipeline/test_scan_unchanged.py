"""A scan of what did not change reads no film and no table, and whatever may change its result makes it look again."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from aiprod.base.files import read_json, write_json
from aiprod.base.state import state
from aiprod.base.state_cache import recall_unchanged
from aiprod.data.retries import try_again
from aiprod.media.encoding import encode
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault
from pipeline import scan
from pipeline import scanning as scan_stage
from tests.private_traces import traces
from tests.projects import enter_project

REPOSITORY = Path(__file__).resolve().parents[2]
INBOX, OFFERS = Path("datasets/inbox"), scan_stage.OFFERS
TABLE = INBOX / "SOURCES.csv"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two films with a table, written an hour ago, and scanned once."""
    monkeypatch.setattr(scan_stage, "record", lambda others: write_json(scan_stage.RECORD, {"scan": "now"}))
    enter_project(tmp_path, monkeypatch, state=tmp_path / "state")
    INBOX.mkdir(parents=True)
    Path("datasets/sources.yaml").write_bytes((REPOSITORY / "datasets/sources.yaml").read_bytes())
    params = YAML().load(REPOSITORY / "params.yaml")
    params["ingest"]["sources"] = ["inbox"]
    YAML().dump(params, Path("params.yaml"))
    for number in range(2):
        encode(INBOX / f"{number}.mp4", [np.full((96, 160, 3), 50 * number, np.uint8)] * 12, 24, preset="ultrafast")
    (INBOX / "below").mkdir()
    TABLE.write_text("file,licence,personal_data_basis\n0.mp4,CC0-1.0,none\n1.mp4,CC0-1.0,none\n")
    age(tmp_path)
    scan.main()
    return tmp_path


def age(folder: Path, seconds: float = 3600) -> None:
    """Date everything in the inbox back: what was written just now may be written again without its time telling."""
    for path in [folder / INBOX, *(folder / INBOX).rglob("*")]:
        facts = path.stat()
        if time.time() - facts.st_mtime < seconds / 2:
            os.utime(path, (facts.st_atime, facts.st_mtime - seconds))


def scanned(capsys: pytest.CaptureFixture[str]) -> bool:
    """Run the stage; whether it listed the source, and did not only find that nothing had changed."""
    capsys.readouterr()
    scan.main()
    said = capsys.readouterr()
    return "(nothing changed)" not in said.out + said.err


def test_nothing_changed(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    written = OFFERS.read_bytes()
    monkeypatch.setattr(scan_stage, "scan", lambda *_: pytest.fail("the source was listed"))
    monkeypatch.setattr(scan_stage, "scan_all", lambda *_: pytest.fail("what reads the sources was loaded"))
    assert not scanned(capsys)
    assert OFFERS.read_bytes() == written


def _same_size(project: Path) -> None:
    TABLE.write_text(TABLE.read_text().replace("1.mp4,CC0-1.0", "1.mp4,unknown"))


def _params(project: Path) -> None:
    params = YAML().load(Path("params.yaml"))
    params["ingest"]["max_film_s"] = 1234.5
    YAML().dump(params, Path("params.yaml"))


def _declaration(project: Path) -> None:
    declared = YAML().load(Path("datasets/sources.yaml"))
    declared["sources"]["inbox"]["attribution"] = "(c) Another"
    YAML().dump(declared, Path("datasets/sources.yaml"))


def _new_film(project: Path) -> None:
    (INBOX / "below" / "2.mp4").write_bytes((INBOX / "1.mp4").read_bytes() + b"\0\0\0\x08free")


def _erased(project: Path) -> None:
    vault = Vault()
    gone = tombstones.Tombstone(
        film_id="f0aaaaaaaaaaaaaaaa", source_id="inbox", clips=1, content=vault.keys.commitment("content", "0" * 64)
    )
    tombstones.add([gone])


CHANGES: dict[str, Callable[[Path], object]] = {
    "a film more": _new_film,
    "a film less": lambda _: (INBOX / "1.mp4").unlink(),
    "a film renamed": lambda _: (INBOX / "1.mp4").rename(INBOX / "3.mp4"),
    "a film replaced by one as old and as large": lambda _: os.replace(_twin(), INBOX / "1.mp4"),
    "a table edited": _same_size,
    "a licence for the folder": lambda _: (INBOX / "LICENSE").write_text("All rights reserved\n"),
    "rules of a web site": lambda _: _well_known(),
    "permissions": lambda _: (INBOX / "0.mp4").chmod(0o200),
    "parameters": _params,
    "the declaration": _declaration,
    "an erasure": _erased,
    "a key of a film": lambda _: Vault().keys.ensure("f0bbbbbbbbbbbbbbbb"),
    "what is tried again": lambda _: try_again("ingest", {"k": True}),
    "the offers": lambda _: OFFERS.write_text("{}"),
    "the offers are gone": lambda _: OFFERS.unlink(),
}


SEEN_AT_ONCE: dict[str, Callable[[Path], object]] = {
    **CHANGES,
    "a first agreement": lambda _: Path("datasets/consent").mkdir(),
    "the record of the code": lambda _: scan_stage.RECORD.write_text("{}"),
    "a comment in the parameters": lambda _: Path("params.yaml").write_text(Path("params.yaml").read_text() + "# x\n"),
    "a version of a library": lambda _: Path("constraints.txt").write_text("numpy==1.2.3\n"),
    "code": lambda _: _code(),
}


@pytest.mark.parametrize("change", SEEN_AT_ONCE)
def test_nothing_is_missed_before_what_reads_the_sources_is_loaded(project: Path, change: str) -> None:
    _code()
    age(project)
    scan.main()
    assert recall_unchanged(scan_stage.NOTE, scan.stated()) is not None
    SEEN_AT_ONCE[change](project)
    age(project)
    assert recall_unchanged(scan_stage.NOTE, scan.stated()) is None


def test_a_day_ends_agreements(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recall_unchanged(scan_stage.NOTE, scan.stated()) is not None

    class Tomorrow(dt.date):
        @classmethod
        def today(cls) -> dt.date:
            return dt.date.fromordinal(dt.datetime.now().toordinal() + 1)

    monkeypatch.setattr(scan.dt, "date", Tomorrow)
    assert recall_unchanged(scan_stage.NOTE, scan.stated()) is None


def test_what_is_added_while_the_sources_are_listed_is_seen_next(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scan_stage.scan
    TABLE.write_text(TABLE.read_text() + "\n")
    age(project)

    def meanwhile(*given: Any) -> Any:
        found = real(*given)
        _new_film(project)
        age(project)
        return found

    monkeypatch.setattr(scan_stage, "scan", meanwhile)
    assert scanned(capsys)
    monkeypatch.setattr(scan_stage, "scan", real)
    assert scanned(capsys)
    assert len(read_json(OFFERS)["offers"]) == 3


def _code() -> None:
    """A module of a stage, older than a moment and other than before."""
    path = Path("pipeline/a_stage.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# {path.is_file()}\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))


def _well_known() -> None:
    rules = INBOX / "below" / ".well-known" / "tdmrep.json"
    rules.parent.mkdir()
    rules.write_text('[{"location": "/", "tdm-reservation": 1}]')


def _twin() -> Path:
    other, facts = INBOX.parent / "twin", (INBOX / "1.mp4").stat()
    other.write_bytes((INBOX / "1.mp4").read_bytes()[:-1] + b"x")
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return other


def test_the_code_of_the_stage_counts(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_stage, "record", lambda others: write_json(scan_stage.RECORD, {"scan": "changed"}))
    Path("constraints.txt").write_text("numpy==1.2.3\n")
    assert scanned(capsys)
    assert not scanned(capsys)


@pytest.mark.parametrize("change", CHANGES)
def test_what_may_change_the_result_is_seen(project: Path, capsys: pytest.CaptureFixture[str], change: str) -> None:
    assert not scanned(capsys)
    CHANGES[change](project)
    age(project)
    assert scanned(capsys)
    assert not scanned(capsys)


def test_a_file_that_was_just_written_is_looked_at_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.utime(INBOX / "1.mp4")
    assert scanned(capsys)
    assert scanned(capsys)


def test_what_was_refused_is_told_in_counts_and_by_no_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (INBOX / "Erika-Mustermann.xlsx").write_bytes(b"PK\x03\x04" + bytes(40))
    TABLE.write_text(TABLE.read_text() + "Erika-absent.mp4,CC0-1.0,none\n")
    age(project)
    scan.main()
    assert not scanned(capsys)
    capsys.readouterr()
    scan.main()
    said = capsys.readouterr()
    assert "1 cannot be ingested, as before" in said.out + said.err
    assert "1 note on tables and documents" in said.out + said.err
    assert not traces(state().root, {"a name": b"Erika"})


def test_dvc_leaves_what_a_scan_compares_with() -> None:
    """DVC removes outputs before it runs a stage, but for those that persist."""
    outs = YAML(typ="safe").load(REPOSITORY / "dvc.yaml")["stages"]["scan"]["outs"]
    assert {name: about.get("persist") for out in outs for name, about in out.items()} == {
        scan_stage.OFFERS.as_posix(): True,
        scan_stage.RECORD.as_posix(): True,
    }
