"""A few trials of the series that ``python -m tests.faults`` runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.injected import FAULTS
from tests.faults.trial import prepare, run_trial

pytestmark = pytest.mark.long


def test_every_kind_of_fault_is_repaired_by_what_the_product_names(tmp_path: Path) -> None:
    undisturbed = prepare(tmp_path, "caption")
    results = [run_trial(undisturbed, tmp_path, number, seed=2) for number in range(len(FAULTS))]
    assert len({result.fault for result in results}) == len(FAULTS)
    assert not [(result.fault, result.how, result.problems) for result in results if result.problems]
