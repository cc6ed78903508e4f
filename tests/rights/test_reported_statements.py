"""Statements that real tables made and that were once read too permissively, each as it was found."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.data.sources.sidecars import record_of
from aiprod.rights.effective_right import effective_right
from aiprod.rights.licence_words import read_licence
from tests.rights.test_statements import SOURCE


@pytest.mark.parametrize(
    "words",
    [
        "CC-BY-4.0 (non-commercial)",
        "CC-BY-4.0 (no AI training)",
        "CC-BY-4.0; not for machine learning",
        "cc0 (but music: all rights reserved)",
        "own (except music)",
        "MIT (research only)",
        "CC-BY-4.0 / CC-BY-NC-4.0",
        "CC-BY-4.0 / All rights reserved",
        "CC0-1.0 / Getty Images",
        "CC-BY-4.0 WITH no-training",
    ],
)
def test_a_licence_with_a_remark_or_a_second_licence_denies(words: str) -> None:
    decision = effective_right(SOURCE, record_of({"licence": words, "personal_data_basis": "none"}, "t"))
    assert decision.right == "deny"
    known = read_licence(words).problem is None
    assert known or "not understood" in " ".join(decision.reasons)


@pytest.mark.parametrize(
    ("header", "permitting", "denying"),
    [
        ("licence,licence", "CC0-1.0", "CC-BY-NC-4.0"),
        ("licence,license", "CC0-1.0", "CC-BY-NC-4.0"),
        ("tdm_reservation,do_not_train", "0", "1"),
        ("do_not_train,do_not_train", "no", "yes"),
        ("licence,do not train", "own", "1"),
        ("licence,Do-Not-Train", "own", "1"),
    ],
)
def test_of_two_columns_the_one_that_denies_counts_in_either_order(
    header: str, permitting: str, denying: str, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"film")
    for columns in itertools.permutations(zip(header.split(","), (permitting, denying), strict=True)):
        names, cells = (",".join(part) for part in zip(*columns, strict=True))
        (tmp_path / "S.csv").write_text(f"file,{names},personal data basis\na.mp4,{cells},none\n")
        record, problem = read_sidecars(tmp_path).of("a.mp4")
        assert problem is None and effective_right(SOURCE, record).right == "deny", columns


def test_the_basis_of_a_line_holds_beside_a_json_that_says_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"film")
    (tmp_path / "a.json").write_text('{"license": "own"}')
    for column in ("personal_data_basis", "personal data basis", "Personal-Data-Basis"):
        (tmp_path / "SOURCES.csv").write_text(f"file,{column}\na.mp4,legitimate_interests\n")
        record, problem = read_sidecars(tmp_path).of("a.mp4")
        assert problem is None and record is not None and record.personal_data_basis == "legitimate_interests"
