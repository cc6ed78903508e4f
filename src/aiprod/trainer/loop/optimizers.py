"""Optimizers by name, with weight decay on matrices only."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.trainer.loop.eager import AdamW
from aiprod.trainer.loop.muon import Muon, muon_groups

UNSET_LR = 0.0  # the loop sets the rate of each step; without it nothing would move
# Where tokens, text and noise levels enter and velocities leave, and in kernels of one channel each, which are no
# matrices, updates follow the gradient's own scale.
_NOT_ORTHOGONAL = ("enter", "leave", "text", "noise_level", "convolution")


class OptimizerParams(Params):
    """Which optimizer. The rate and the weight decay come from the phase that is trained."""

    name: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)


def make_optimizer(model: nn.Module, params: OptimizerParams) -> torch.optim.Optimizer:
    """Two groups: matrices, whose weights decay, and vectors (biases, gates, norms), whose do not.

    Raises:
        AiprodError: 8-bit states are asked for and bitsandbytes is absent.
    """
    if params.name == "muon":
        updates = [
            {**group, "decays": group.get("orthogonal", False)}
            for group in muon_groups(model, 0.0, adam=_NOT_ORTHOGONAL)
            if group["params"]
        ]
        return Muon(updates, lr=UNSET_LR, betas=(params.beta1, params.beta2), eps=params.eps)
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "decays": True},
        {"params": [p for p in trainable if p.ndim < 2], "decays": False},
    ]
    groups = [group for group in groups if group["params"]]
    betas = (params.beta1, params.beta2)
    if params.name == "adamw":
        return AdamW(groups, lr=UNSET_LR, betas=betas, eps=params.eps, fused=True)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise AiprodError("optimizer adamw8bit needs bitsandbytes", "install it or use adamw") from None
    optimizer: torch.optim.Optimizer = AdamW8bit(groups, lr=UNSET_LR, betas=betas, eps=params.eps)
    return optimizer
