"""How a sample moves from one noise level to the next; all arithmetic in fp32.

Flow: x_σ = (1 − σ)·x₀ + σ·noise, velocity v = dx/dσ = noise − x₀ = (x_σ − x₀) / σ.
A noise level is a number, one per sample ``[B]``, or one per token ``[B, N]``; a token at σ = 0 stays as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import AfterValidator, WithJsonSchema
from torch import Tensor

from aiprod.core.components.noiser import draw, expand_sigma
from aiprod.core.protocols import DiffusionStep, Predict, Random, Sigma
from aiprod.errors import CoreError

Prediction = Literal["velocity", "denoised"]


def to_denoised(sample: Tensor, velocity: Tensor, sigma: Sigma) -> Tensor:
    """x₀ = x − σ·v, in fp32."""
    return sample.float() - expand_sigma(sigma, sample) * velocity.float()


def to_velocity(sample: Tensor, denoised: Tensor, sigma: Sigma) -> Tensor:
    """v = (x − x₀) / σ, in fp32; 0 where σ = 0."""
    level = expand_sigma(sigma, sample)
    difference = sample.float() - denoised.float()
    return torch.where(level > 0, difference / torch.where(level > 0, level, 1.0), 0.0)


class _Move(NamedTuple):
    """One step as it was asked for."""

    sample: Tensor
    prediction: Tensor
    sigma: Sigma
    sigma_next: Sigma
    predict: Predict | None
    generator: Random | None


@dataclass(frozen=True)
class _FlowStep:
    """Common part: what the model predicts, and the call that every step answers."""

    prediction: Prediction = "velocity"

    def __post_init__(self) -> None:
        if self.prediction not in ("velocity", "denoised"):
            raise CoreError(f"prediction is {self.prediction!r}", "use velocity or denoised")

    def step(
        self,
        sample: Tensor,
        prediction: Tensor,
        sigma: Sigma,
        sigma_next: Sigma,
        *,
        predict: Predict | None = None,
        generator: Random | None = None,
    ) -> Tensor:
        """The sample at ``sigma_next``, in the dtype of ``sample``.

        Args:
            sample: ``[B, …]`` at ``sigma``.
            prediction: of the model, the same size.
            sigma, sigma_next: noise levels in [0, 1].
            predict: calls the model again; second-order steps need it.
            generator: noise of stochastic steps; one per sample, or one for the batch.

        Raises:
            CoreError: a second-order step without ``predict``.
        """
        return self._move(_Move(sample, prediction, sigma, sigma_next, predict, generator)).to(sample.dtype)

    def _move(self, at: _Move) -> Tensor:
        raise NotImplementedError

    def _velocity(self, sample: Tensor, prediction: Tensor, sigma: Sigma) -> Tensor:
        return prediction.float() if self.prediction == "velocity" else to_velocity(sample, prediction, sigma)

    def _denoised(self, sample: Tensor, prediction: Tensor, sigma: Sigma) -> Tensor:
        return prediction.float() if self.prediction == "denoised" else to_denoised(sample, prediction, sigma)


@dataclass(frozen=True)
class EulerFlowStep(_FlowStep):
    """First order: x' = x + (σ' − σ)·v."""

    def _move(self, at: _Move) -> Tensor:
        sample, prediction, sigma, sigma_next = at[:4]
        velocity = self._velocity(sample, prediction, sigma)
        return _euler(sample, velocity, sigma, sigma_next)


@dataclass(frozen=True)
class HeunFlowStep(_FlowStep):
    """Second order: the mean of the velocities at both ends (Karras et al. 2022, arXiv:2206.00364, algorithm 1).

    Calls the model once more a step, except for the step to σ = 0.
    """

    def _move(self, at: _Move) -> Tensor:
        sample, prediction, sigma, sigma_next = at[:4]
        velocity = self._velocity(sample, prediction, sigma)
        end = _euler(sample, velocity, sigma, sigma_next)
        if not _reaches_zero(sigma, sigma_next):
            again = _needed(at.predict, "HeunFlowStep")(end.to(sample.dtype), sigma_next)
            second = self._velocity(end, again, sigma_next)
            end = _euler(sample, (velocity + second) / 2, sigma, sigma_next)
        return end


@dataclass(frozen=True)
class ResFlowStep(_FlowStep):
    """Second order exponential integrator (RES, Zhang et al. 2023, arXiv:2308.02157) in λ = −log σ.

    There dx/dλ = x₀ − x, whose linear part is solved exactly: with h = λ' − λ and a stage at half of it,
    x' = e⁻ʰ·x + h·((φ₁ − 2φ₂)·x₀ + 2φ₂·x₀(mid)), φ₁ = (1 − e⁻ʰ)/h, φ₂ = (1 − φ₁)/h.
    Calls the model once more a step, except for the step to σ = 0.
    """

    def _move(self, at: _Move) -> Tensor:
        sample, prediction, sigma, sigma_next = at[:4]
        denoised = self._denoised(sample, prediction, sigma)
        if _reaches_zero(sigma, sigma_next):
            return _toward(sample, denoised, sigma, sigma_next)
        level, level_next = expand_sigma(sigma, sample), expand_sigma(sigma_next, sample)
        middle = (torch.as_tensor(sigma) * torch.as_tensor(sigma_next)).sqrt()
        stage = _toward(sample, denoised, sigma, middle)
        again = _needed(at.predict, "ResFlowStep")(stage.to(sample.dtype), middle)
        mid_denoised = self._denoised(stage, again, middle)
        moving = (level > 0) & (level_next > 0)
        ratio = torch.where(moving, level_next, 1.0).double() / torch.where(moving, level, 1.0).double()
        h = -ratio.log()
        safe = torch.where(h.abs() > 1e-6, h, 1.0)
        phi1 = torch.where(h.abs() > 1e-6, (1 - ratio) / safe, 1 - h / 2)
        phi2 = torch.where(h.abs() > 1e-6, (1 - phi1) / safe, 0.5 - h / 6)
        first, second = (h * (phi1 - 2 * phi2)).float(), (h * 2 * phi2).float()
        result = ratio.float() * sample.float() + first * denoised + second * mid_denoised
        # a token whose own level reaches 0 while others go on takes its denoised value
        return torch.where(moving, result, _toward(sample, denoised, sigma, sigma_next))


@dataclass(frozen=True)
class AncestralFlowStep(_FlowStep):
    """Euler to a lower level than asked for, then fresh noise up to it, so that the marginal stays exact.

    ``eta`` = 0 is Euler, 1 the most noise: σ_down = σ'·(1 + (σ'/σ − 1)·eta).
    """

    eta: float = 1.0

    def _move(self, at: _Move) -> Tensor:
        sample, prediction, sigma, sigma_next = at[:4]
        denoised = self._denoised(sample, prediction, sigma)
        level, level_next = expand_sigma(sigma, sample), expand_sigma(sigma_next, sample)
        ratio = level_next / torch.where(level > 0, level, 1.0)
        down = level_next * (1 + (ratio - 1) * self.eta)
        moved = _toward(sample, denoised, level, down)
        scale = (1 - level_next) / (1 - down).clamp(min=1e-12)
        fresh = (level_next.square() - (down * scale).square()).clamp(min=0).sqrt()
        noised = scale * moved + fresh * draw(sample, at.generator)
        return torch.where(level > 0, noised, sample.float())


@dataclass(frozen=True)
class NoiserStep(_FlowStep):
    """Predict the clean sample, then noise it afresh: x' = (1 − σ')·x₀ + σ'·noise.

    The sampler of few-step (consistency-distilled) models; every step forgets the noise of the last one.
    """

    def _move(self, at: _Move) -> Tensor:
        sample, prediction, sigma, sigma_next = at[:4]
        denoised = self._denoised(sample, prediction, sigma)
        level_next = expand_sigma(sigma_next, sample)
        noised = (1 - level_next) * denoised + level_next * draw(sample, at.generator)
        return torch.where(expand_sigma(sigma, sample) > 0, noised, sample.float())


SAMPLERS: dict[str, Callable[[float], DiffusionStep]] = {
    "euler": lambda eta: EulerFlowStep(),
    "heun": lambda eta: HeunFlowStep(),
    "res": lambda eta: ResFlowStep(),
    "ancestral": lambda eta: AncestralFlowStep(eta=eta),
}
"""Name of a sampler in parameters and on the command line → makes it; ``eta`` is the share of noise it adds anew."""


def _known_sampler(name: str) -> str:
    if name not in SAMPLERS:
        close = difflib.get_close_matches(name[:40], SAMPLERS, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(SAMPLERS)}"
        raise ValueError(f"there is no sampler {name[:40]!r} → {hint}")
    return name


SamplerName = Annotated[str, AfterValidator(_known_sampler), WithJsonSchema({"type": "string", "enum": list(SAMPLERS)})]
"""A field that names a sampler."""


def _euler(sample: Tensor, velocity: Tensor, sigma: Sigma, sigma_next: Sigma) -> Tensor:
    return sample.float() + (expand_sigma(sigma_next, sample) - expand_sigma(sigma, sample)) * velocity


def _toward(sample: Tensor, denoised: Tensor, sigma: Sigma, sigma_next: Sigma) -> Tensor:
    """x' = x₀ + (σ'/σ)·(x − x₀); where σ = 0 the sample stays."""
    level, level_next = expand_sigma(sigma, sample), expand_sigma(sigma_next, sample)
    ratio = level_next / torch.where(level > 0, level, 1.0)
    return torch.where(level > 0, denoised + ratio * (sample.float() - denoised), sample.float())


def _reaches_zero(sigma: Sigma, sigma_next: Sigma) -> bool:
    """Whether no token is above σ = 0 after the step."""
    return not bool((torch.as_tensor(sigma_next) > 0).any()) or not bool((torch.as_tensor(sigma) > 0).any())


def _needed(predict: Predict | None, name: str) -> Predict:
    if predict is None:
        raise CoreError(f"{name} calls the model a second time", "give predict=")
    return predict
