"""Which noise levels a sampling run visits, from pure noise (σ = 1) to the clean sample (σ = 0).

Rectified flow: x_σ = (1 − σ)·x₀ + σ·noise (Liu et al. 2022, arXiv:2209.03003; Lipman et al. 2022, arXiv:2210.02747).
Long token sequences need more steps at high noise, hence the shift (Esser et al. 2024, arXiv:2403.03206).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from aiprod.errors import CoreError

Spacing = Literal["linear", "linear_quadratic", "beta"]


@dataclass(frozen=True)
class AdaptiveFlowScheduler:
    """σ' = eˢ / (eˢ + 1/σ − 1) with a shift s that grows with the number of tokens.

    Attributes:
        base_shift, max_shift: s at ``base_tokens`` and at ``max_tokens``; linear between, constant outside.
        terminal: the last σ above 0 is stretched to this value (None: left where the shift puts it).

    Raises:
        CoreError: an empty range of tokens, or a terminal outside (0, 1).
    """

    base_shift: float = 0.95
    max_shift: float = 2.05
    base_tokens: int = 1024
    max_tokens: int = 4096
    terminal: float | None = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.base_tokens < self.max_tokens:
            raise CoreError(f"token range {self.base_tokens}..{self.max_tokens} is empty", "give base < max")
        if self.terminal is not None and not 0 < self.terminal < 1:
            raise CoreError(f"terminal is {self.terminal}", "give a number between 0 and 1, or None")

    def shift(self, tokens: int) -> float:
        """The shift s at a token count; training draws its noise levels with the same one."""
        part = (tokens - self.base_tokens) / (self.max_tokens - self.base_tokens)
        return self.base_shift + min(max(part, 0.0), 1.0) * (self.max_shift - self.base_shift)

    def sigmas(self, steps: int, tokens: int) -> Float[Tensor, steps + 1]:
        """Noise levels for ``steps`` steps over ``tokens`` tokens of video a sample.

        Raises:
            CoreError: fewer than one step.
        """
        _check_steps(steps)
        shifted = time_shift(_linear(steps), math.exp(self.shift(tokens)))
        if self.terminal is not None and steps > 1:
            last = shifted[-2]
            shifted[:-1] = 1 - (1 - shifted[:-1]) * (1 - self.terminal) / (1 - last)
        return shifted.float()


@dataclass(frozen=True)
class VFlowScheduler:
    """Velocity flow with a fixed shift k: σ' = k·σ / (1 + (k − 1)·σ), after one of three spacings.

    Attributes:
        shift: k; 1 leaves the spacing as it is.
        spacing: ``linear``; ``linear_quadratic``: the first half of the steps descend slowly and evenly to
            1 − ``threshold``, the rest quadratically to 0 (Movie Gen, arXiv:2410.13720, section 3.4.3);
            ``beta``: quantiles of Beta(0.6, 0.6), dense at both ends (arXiv:2407.12173).

    Raises:
        CoreError: a shift not above 0, an unknown spacing, or a threshold outside (0, 1).
    """

    shift: float = 1.0
    spacing: Spacing = "linear"
    threshold: float = 0.025

    def __post_init__(self) -> None:
        if not self.shift > 0:
            raise CoreError(f"shift is {self.shift}", "give a number above 0")
        if self.spacing not in ("linear", "linear_quadratic", "beta"):
            raise CoreError(f"spacing is {self.spacing!r}", "use linear, linear_quadratic or beta")
        if not 0 < self.threshold < 1:
            raise CoreError(f"threshold is {self.threshold}", "give a number between 0 and 1")

    def sigmas(self, steps: int, tokens: int = 0) -> Float[Tensor, steps + 1]:
        """Noise levels for ``steps`` steps; ``tokens`` changes nothing here.

        Raises:
            CoreError: fewer than one step.
        """
        _check_steps(steps)
        if self.spacing == "linear_quadratic":
            spaced = _linear_quadratic(steps, self.threshold)
        elif self.spacing == "beta":
            spaced = _beta(steps, 0.6)
        else:
            spaced = _linear(steps)
        return time_shift(spaced, self.shift).float()


def time_shift(sigma: Tensor, factor: float) -> Tensor:
    """σ' = k / (k + 1/σ − 1) for σ of any shape, written so that σ = 0 stays 0; maps [0, 1] on itself."""
    return factor * sigma / (1 + (factor - 1) * sigma)


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise CoreError(f"steps is {steps}", "give at least 1")


def _linear(steps: int) -> Tensor:
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def _linear_quadratic(steps: int, threshold: float) -> Tensor:
    linear = steps // 2
    if linear == 0:
        return _linear(steps)
    slope = threshold / linear
    rest = steps - linear
    index = torch.arange(steps + 1, dtype=torch.float64)
    # quadratic a·i² + b·i + c that meets the line at i = linear in value, and reaches 1 at i = steps
    a = (linear - threshold * steps) / (linear * rest**2)
    b = threshold / linear - 2 * linear * a
    c = a * linear**2
    done = torch.where(index < linear, slope * index, a * index**2 + b * index + c)
    done[-1] = 1  # rounding must not leave a last trace of noise
    return 1 - done


def _beta(steps: int, alpha: float) -> Tensor:
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(alpha, alpha, _linear(steps).numpy()))
