"""A batch is shared equally by ranks and by parts, and each of its clips weighs the same."""

from __future__ import annotations

import pytest
import torch

from aiprod.errors import AiprodError
from aiprod.trainer.loop.accelerator import SingleEngine
from tests.trainer.small_cache import make_run

pytestmark = pytest.mark.bitwise

STEPS = {"low": 3, "high": 2}


class OfSome(SingleEngine):
    """One of several ranks that train nothing."""

    def __init__(self, world: int) -> None:
        super().__init__(device=torch.device("cpu"))
        self.world = world  # type: ignore[misc]


@pytest.mark.parametrize(("ranks", "hint"), [(3, "6"), (8, "8")])
def test_a_batch_that_does_not_divide_over_the_ranks_is_refused_before_training(cache, tmp_path, ranks, hint):
    with pytest.raises(AiprodError) as refused:
        make_run(cache, tmp_path, engine=OfSome(ranks), loop={"accumulation": 2})
    assert f"phases.low: a batch of 4 does not divide over {ranks} ranks" in str(refused.value)
    assert "accumulation = 2" in str(refused.value) and f"set the batch to {hint}" in str(refused.value)
    make_run(cache, tmp_path, engine=OfSome(4))


@pytest.mark.parametrize("parts", [3, 4, 9])
def test_uneven_parts_train_what_one_part_trains(cache, tmp_path, parts):
    """Four clips in parts of two, one and one (or one each): the weights of a run that does not split them."""
    seldom = {"checkpoint_every_s": 1e6}
    whole = make_run(cache, tmp_path / "whole", steps=STEPS, loop=seldom)
    split = make_run(cache, tmp_path / "split", steps=STEPS, loop={"accumulation": parts, **seldom})
    whole.train()
    split.train()
    for one, other in zip(whole.curve, split.curve, strict=True):
        assert other.keys() == one.keys()
        for name in ("loss", "loss_video", "grad_norm"):
            assert other[name] == pytest.approx(one[name], rel=1e-4), name
    for name, weight in whole.model.state_dict().items():
        assert torch.allclose(weight, split.model.state_dict()[name], atol=1e-5), name


def test_a_figure_that_only_some_parts_have_is_not_thinned(cache, tmp_path):
    """Loss by noise level: every clip is a part of its own here, and each falls into one fifth of the range."""
    run = make_run(cache, tmp_path, steps=STEPS, loop={"accumulation": 4, "checkpoint_every_s": 1e6})
    run.train()
    assert run.curve
    for row in run.curve:
        fifths = [value for name, value in row.items() if name.startswith("video/sigma")]
        assert min(fifths) <= row["loss_video"] <= max(fifths) + 1e-9
