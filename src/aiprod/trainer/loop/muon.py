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
from torch.optim.adamw import adamw

from aiprod.trainer.loop.eager import keep_compiler_out
from aiprod.trainer.loop.sharding import full_tensor, like

# Odd quintics, each the one nearest to 1 (in the maximum norm) over what the one before makes of an interval [low, 1]:
# no other composition comes nearer (Amsel et al. 2025, arXiv:2505.16932). The larger a matrix, the smaller are its
# singular values next to its norm (of n about 1/√n), so the more quintics it takes to raise them.
_THREE = (  # singular values from 0.01 end between 0.73 and 1.27
    (8.093369, -23.620432, 17.446152),
    (3.636586, -2.721927, 0.536546),
    (2.6613, -1.977155, 0.452616),
)
_FOUR = (  # from 0.003, between 0.80 and 1.20
    (8.383675, -24.765908, 18.357084),
    (4.043421, -3.011405, 0.569512),
    (3.505571, -2.626654, 0.525719),
    (2.490116, -1.834275, 0.436835),
)
_FIVE = (  # from 0.001, between 0.88 and 1.12
    (8.47033, -25.108079, 18.629279),
    (4.182834, -3.108701, 0.580607),
    (3.961857, -2.954064, 0.562976),
    (3.286586, -2.46472, 0.507358),
    (2.27375, -1.64466, 0.416191),
)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought to about 1, by Newton–Schulz iterations in float32.

    Each iteration multiplies X by a polynomial P of its Gram matrix G = X·Xᵀ, and these commute. So the small square
    matrices are iterated (G becomes P·G·P) and X is multiplied once, by the product of all P: half the work for a
    matrix four times as long as wide.
    """
    x = matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp_min(1e-12)
    gram = x @ x.T
    quintics = _THREE if len(gram) <= 128 else _FOUR if len(gram) <= 1024 else _FIVE
    product = None
    for number, (a, b, c) in enumerate(quintics, 1):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if number < len(quintics):
            gram = factor @ gram @ factor
    assert product is not None
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
        keep_compiler_out()
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                (self._orthogonal if group["orthogonal"] else self._adam)(parameters, group)
        return loss

    def _orthogonal(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            state, gradient = self.state[parameter], parameter.grad
            assert gradient is not None
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            if group["weight_decay"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            # the whole tensor, for a part has no singular values
            ahead = full_tensor(gradient.lerp(state["momentum"], group["momentum"])).flatten(1)
            update = like(orthogonalised(ahead).reshape(parameter.shape).to(parameter.dtype), parameter)
            parameter.add_(update, alpha=-group["lr"] * 0.2 * max(ahead.shape) ** 0.5)

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            state = self.state[parameter]
            if "step" not in state:
                state["step"] = torch.zeros(())
                state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        states = [self.state[p] for p in parameters]
        adamw(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [s["first"] for s in states],
            [s["second"] for s in states],
            [],
            [s["step"] for s in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


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
