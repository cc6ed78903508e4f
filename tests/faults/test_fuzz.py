"""Damaged input of every kind ends in an error line or a result; the damage is neither nothing nor everything."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from aiprod.base.addresses import host_of, split_address
from aiprod.base.structured import parse_yaml
from aiprod.data.sources.sidecars import record_of
from aiprod.errors import AiprodError
from aiprod.governance.audit import unfinished_erasures
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.verify import verify
from aiprod.rights.declarations import load_sources
from aiprod.rights.effective_right import effective_right
from tests.faults.formats import FORMATS, ROOT
from tests.faults.fuzz import fuzz, mutated, try_one


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_whole_is_read(name: str) -> None:
    for file, data in FORMATS[name].wholes():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / file).write_bytes(data)
            FORMATS[name].read(Path(folder) / file)


@pytest.mark.parametrize("name", FORMATS)
def test_damage_ends_in_a_line_or_a_result(name: str) -> None:
    outcomes = [try_one(name, seed) for seed in range(25)]
    wrong = [f"seed {seed}: {said}" for seed, said in enumerate(outcomes) if said not in ("read", "refused")]
    assert not wrong
    assert "refused" in outcomes


@pytest.mark.parametrize(
    ("name", "seed"),
    [("audit log", 3466), ("audit log", 5437), ("audit log", 7021), ("reviews", 2681), ("reviews", 2743)],
)
def test_what_once_ended_in_a_traceback_is_read_or_refused(name: str, seed: int) -> None:
    assert try_one(name, seed) in ("read", "refused")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", FORMATS)
def test_ten_thousand_damaged_inputs_of_each_kind(name: str) -> None:
    found, faults = fuzz(name, range(10_000))
    assert sum(found.values()) == 10_000 and not faults
    assert min(found["read"], found["refused"]) > 50


def test_the_same_seed_gives_the_same_damage_and_most_seeds_do_some() -> None:
    data = (ROOT / "datasets/sources.yaml").read_bytes()
    assert mutated(data, 3) == mutated(data, 3) != mutated(data, 4)
    assert sum(mutated(data, seed) != data for seed in range(100)) > 90


@pytest.mark.parametrize("address", ["http://[*a]/x", "https://[::1", "//[", "http://a]b", "[youtube.com]/x"])
def test_an_address_that_is_none_is_no_traceback_and_hides_no_platform(address: str) -> None:
    assert split_address(address).geturl() == address and isinstance(host_of(address), str)
    source = load_sources(ROOT / "datasets/sources.yaml").get("demo")
    right = effective_right(source, record_of({"licence": "CC0-1.0", "url": address}, "t.csv"))
    assert (right.right == "deny") == ("youtube" in address)


def test_a_time_code_within_braces_is_refused_with_the_remedy_and_the_manual_quotes_it() -> None:
    """libyaml refuses what YAML 1.2 allows; the example of the manual is read with it."""
    with pytest.raises(AiprodError, match="in quotes"):
        parse_yaml("pictures: [{film: a.mp4, from: 00:00:12:00, length: 4s}]")
    page = (ROOT / "docs/howto/cut_a_film.md").read_text()
    blocks = [part.partition("```")[0] for part in page.split("```yaml\n")[1:]]
    assert blocks and all(parse_yaml(block) for block in blocks)


@pytest.mark.parametrize("data", [b"{}", b"[]", b"\xff", b'{"kind": "erasure"}', b'{"kind": "erasure", "facts": 3}'])
def test_an_altered_entry_about_an_erasure_is_named_and_stops_nothing(
    tmp_path: Path, state_home: Path, data: bytes
) -> None:
    log = AuditLog()
    log.append([Event("erasure", "erasure/abc", {"state": "begun"})])
    assert list(unfinished_erasures.unfinished(log)) == ["abc"]
    altered = data[:-1] + b',"subject":"erasure/abc"}' if data.endswith(b"}") and len(data) > 2 else data
    with closing(sqlite3.connect(log.database)) as connection, connection:
        connection.execute("update entries set data = ?", (altered,))
    assert any("entry 0 is not what was logged" in problem for problem in verify(tmp_path, log).problems)


def test_a_log_that_is_no_database_any_more_is_one_line(tmp_path: Path, state_home: Path) -> None:
    log = AuditLog()
    log.append([Event("stage", f"stage/{n}", {"n": n}) for n in range(200)])
    data = bytearray(log.database.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    log.database.write_bytes(bytes(data))
    assert any("damaged" in problem for problem in verify(tmp_path, log).problems)
    with pytest.raises(AiprodError, match=r"damaged.*backup"):
        unfinished_erasures.unfinished(log)
