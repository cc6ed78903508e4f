"""What holds at scale. It takes minutes: `pytest -m long tests/governance/test_scale.py`. Times: `make bench`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.governance_scale import CLIPS, ENTRIES, lineage_of_many, log_of_many, printed_lineage_of_many

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def test_a_video_of_a_hundred_thousand_clips_names_every_film(tmp_path: Path, state_home: Path) -> None:
    told, _ = lineage_of_many(tmp_path)
    assert told.count('"kind":"film"') == CLIPS, "each clip names its film, two clips a film"


def test_the_printed_lineage_of_a_hundred_thousand_clips_holds_no_row_of_each(tmp_path: Path, state_home: Path) -> None:
    told, _, peak = printed_lineage_of_many(tmp_path, CLIPS)
    assert f"model diffusion · {CLIPS} clips seen" in told and f"… and {CLIPS - 9} more" in told
    assert f"{CLIPS // 2} films, {CLIPS} clips · open-film · CC-BY-4.0" in told
    assert peak < 500


def test_a_million_entries_verify_and_prove(tmp_path: Path, state_home: Path) -> None:
    found, _, proofs = log_of_many(tmp_path)
    assert (found.entries, found.problems) == (ENTRIES, [])
    assert len(proofs) == 3
