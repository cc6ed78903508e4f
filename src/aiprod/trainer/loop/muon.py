"""Muon: momentum whose matrices become the nearest orthogonal ones (Jordan et al. 2024), with AdamW beside it.

Orthogonal updates move all directions of a weight alike, so that a network learns in far fewer steps than with AdamW;
that is worth the few matrix products where there are minutes to train in. Scaled as by Liu et al. 2025
(arXiv:2502.16982), so that one learning rate suits both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from aiprod.trainer.loop.sharding import full_tensor, like

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration; singular values end near 1, not at it
_ITERATIONS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought to about 1, by Newton–Schulz iterations in float32.

    Each iteration multiplies X by a polynomial P of its Gram matrix G = X·Xᵀ, and these commute. So the small square
    matrices are iterated (G becomes P·G·P) and X is multiplied once, by the product of all P: half the work for a
    matrix four times as long as wide.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp_min(1e-12)
    gram = x @ x.T
    once = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = once
    for left in reversed(range(_ITERATIONS)):
        factor = a * once + b * gram + c * gram @ gram
        product = factor @ product
        if left:
            gram = factor @ gram @ factor
    x = product @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for groups with ``orthogonal: True`` (weights of two or more dimensions, flattened to matrices), AdamW else.

    Args:
        lr: as for AdamW; an orthogonal update has the root mean square that Adam's usually has, 0.2.
        momentum: of the orthogonal groups, with Nesterov's look ahead.
        betas: of the AdamW groups.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "betas": betas,
            "eps": eps,
            "orthogonal": False,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    (self._orthogonal if group["orthogonal"] else self._adam)(parameter, group)
        return loss

    def _orthogonal(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        gradient = parameter.grad
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        # the whole tensor, for a part has no singular values
        ahead = full_tensor(gradient.lerp(state["momentum"], group["momentum"])).flatten(1)
        update = orthogonalised(ahead).reshape(parameter.shape)
        parameter.add_(like(update.to(parameter.dtype), parameter), alpha=-group["lr"] * 0.2 * max(ahead.shape) ** 0.5)

    def _adam(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        gradient = parameter.grad
        assert gradient is not None
        if "step" not in state:
            state["step"] = torch.zeros(())
            state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        step, (fast, slow) = int(state["step"]), group["betas"]
        state["first"].lerp_(gradient, 1 - fast)
        state["second"].lerp_(gradient.square(), 1 - slow)
        scale = (state["second"] / (1 - slow**step)).sqrt_().add_(group["eps"])
        parameter.addcdiv_(state["first"], scale, value=-group["lr"] / (1 - fast**step))


def muon_groups(model: nn.Module, weight_decay: float, adam: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Parameter groups: matrices and kernels orthogonal, vectors and modules named in ``adam`` by AdamW.

    Args:
        adam: names of modules (any part of the dotted path) whose matrices take AdamW, such as a linear path that was
            solved in closed form and must only be refined.
    """
    orthogonal, matrices, vectors = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.dim() < 2:
            vectors.append(parameter)
        elif set(adam) & set(name.split(".")):
            matrices.append(parameter)
        else:
            orthogonal.append(parameter)
    return [
        {"params": orthogonal, "orthogonal": True, "weight_decay": weight_decay},
        {"params": matrices, "weight_decay": 0.0},
        {"params": vectors, "weight_decay": 0.0},
    ]
