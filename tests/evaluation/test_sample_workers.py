"""What is said where a worker cannot make or encode a sample."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from aiprod.errors import AiprodError
from aiprod.evaluation import sample_job
from aiprod.evaluation.sample_job import SampleWorkers


def test_a_worker_that_dies_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_job, "in_parts", lambda *_, **__: iter([([0], "the worker died")]))
    workers, nothing = SampleWorkers(cast(Any, None), "local"), cast(Any, None)
    with pytest.raises(AiprodError, match=r"^a sample could not be made: the worker died → "):
        workers.generate([nothing], nothing, at_once=1, on_step=lambda: None)
    with pytest.raises(AiprodError, match=r"^a sample could not be encoded: the worker died → "):
        workers.encoder([np.zeros((1, 2, 2, 3), np.uint8)], [])
