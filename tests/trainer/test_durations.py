"""A whole run moves on by plateau and by epochs, also where it was killed on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.trainer.small_cache import SELDOM, make_run
from tests.trainer.stopping import Stop

pytestmark = pytest.mark.bitwise

# Nothing falls by nine tenths from a window of two steps to the next: the first is the best, and two more are stale.
PLATEAU = {"window_steps": 2, "patience": 2, "min_improvement": 0.9, "min_steps": 1, "max_steps": 40}
DURATIONS = {"low": {"plateau": PLATEAU}, "high": {"epochs": 1.5}}
PHASES = ["low"] * 6 + ["high"] * 3  # one and a half times six clips in batches of four


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory):
    run = make_run(cache, tmp_path_factory.mktemp("whole"), durations=DURATIONS, loop=SELDOM)
    run.train()
    return run


def test_a_plateau_and_epochs_end_their_phases(whole):
    assert [row["phase"] for row in whole.curve] == PHASES
    assert [(row["phase"], row["when"], row["step"]) for row in whole.heldout] == [
        ("low", "start", 0),
        ("low", "end", 5),
        ("high", "start", 6),
        ("high", "end", 8),
    ]
    seen = [phases.get("high", 0) for phases in whole.ledger.state_dict().values()]
    assert sum(seen) == 12 and min(seen) >= 1, "every clip was shown in the epochs"


@pytest.mark.parametrize("kills", [[2, 5], [4, 7]])
def test_killed_and_resumed_it_moves_on_at_the_same_steps(cache, whole, tmp_path, kills):
    """In a window that is half full, at the step that ends the plateau, and in the phase after it."""
    for stop in [*kills, None]:
        run = make_run(cache, tmp_path, durations=DURATIONS)

        def log(phase, step, figures, stop=stop):
            if step == stop and "loss" in figures:
                raise Stop

        run.log = log
        if stop is None:
            run.train()
        else:
            with pytest.raises(Stop):
                run.train()
    assert run.curve == whole.curve and run.heldout == whole.heldout
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, run.model.state_dict()[name]), name
