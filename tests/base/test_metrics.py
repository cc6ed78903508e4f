"""Headline metrics are what DVC reads as metrics: flat, finite, and from every stage that declares some."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from dvc.repo import Repo

from aiprod.base.metrics import mean, write_headline


def test_dvc_reads_what_was_measured_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_headline("x", {"count": 3, "loss": 1.234567, "snr": -12.3456, "none": None, "nan": math.nan, "inf": math.inf})
    assert json.loads(Path("metrics/x.json").read_text()) == {"count": 3, "loss": 1.2346, "snr": -12.346}
    Path("dvc.yaml").write_text("metrics:\n- metrics/x.json\n")
    with Repo.init(no_scm=True) as repo:
        read = repo.metrics.show()[""]["data"]["metrics/x.json"]["data"]
    assert read == {"count": 3, "loss": 1.2346, "snr": -12.346}


def test_the_mean_of_nothing_is_not_a_number_to_report() -> None:
    assert mean([]) is None
    assert mean([1.0, 2.0]) == 1.5
