"""Trials of the series that ``python -m tests.faults`` runs: three small ones always, one of each kind at length."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.faults.__main__ import known_results, note
from tests.faults.injected import FAULTS
from tests.faults.trial import Result, a_series, run_trial


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_stage_a_clock_that_is_set_and_a_damaged_memo_end_in_the_undisturbed_run(tmp_path: Path) -> None:
    few = ("SIGKILL of a stage", "clock set in a run", "memo object emptied")
    with a_series(tmp_path, "qc_measure", films=1) as series:
        results = [run_trial(series, number, seed=5, fault=name) for number, name in enumerate(few)]
    assert not [(result.fault, result.how, result.problems) for result in results if result.problems]


def test_a_series_that_was_stopped_goes_on_after_the_trials_that_ended(tmp_path: Path) -> None:
    path, ended = tmp_path / "trials.jsonl", Result(3, "full disk", "no file beyond 9 bytes", "`dvc repro`", ("lost",))
    note(path, 1, "caption", ended)
    with path.open("a") as file:
        file.write('{"seed": 1, "targ')  # a kill while it was written
    note(path, 1, "caption", dataclasses.replace(ended, number=4, problems=()))
    assert known_results(path, 1, "caption") == {3: ended, 4: dataclasses.replace(ended, number=4, problems=())}
    assert known_results(path, 2, "caption") == known_results(tmp_path / "none", 1, "caption") == {}


@pytest.mark.long
def test_every_kind_of_fault_is_repaired_by_what_the_product_names(tmp_path: Path) -> None:
    with a_series(tmp_path, "caption") as series:
        results = [run_trial(series, number, seed=2) for number in range(len(FAULTS))]
    assert len({result.fault for result in results}) == len(FAULTS)
    assert not [(result.fault, result.how, result.problems) for result in results if result.problems]
