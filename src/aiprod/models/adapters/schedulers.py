"""Schedulers in both directions: ours inside a stock diffusers pipeline, and diffusers' inside our sampling loop."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin, SchedulerOutput
from torch import Tensor

from aiprod.core.components.diffusion_steps import AncestralFlowStep, EulerFlowStep, NoiserStep
from aiprod.core.components.noiser import Noiser
from aiprod.core.components.schedulers import AdaptiveFlowScheduler, Spacing, VFlowScheduler
from aiprod.core.protocols import DiffusionStep, Predict, Sigma
from aiprod.errors import AiprodError

_TIMESTEPS = 1000


class FlowSchedulerForDiffusers(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """Our schedules and steps for any diffusers pipeline of a flow model: ``pipeline.scheduler = …``.

    Settings have diffusers' names where it has one, so that pipelines which compute a shift of their own find ours;
    such a shift (``mu``) is turned back into the token count that it came from. Of grids that a pipeline hands over
    (``sigmas=``) only the number of steps is used.

    Args:
        schedule: ``adaptive`` (:class:`AdaptiveFlowScheduler`) or ``velocity`` (:class:`VFlowScheduler`).
        step_rule: ``euler``, ``ancestral`` or ``noiser``; second-order rules call the model, which pipelines cannot.
        base_shift, max_shift, base_image_seq_len, max_image_seq_len, shift_terminal: of the adaptive schedule.
        tokens: taken where a pipeline gives no shift.
        shift, spacing: of the velocity schedule.
        eta: of the ancestral rule.

    Raises:
        AiprodError: there is no such schedule or rule.
    """

    order = 1
    init_noise_sigma = 1.0

    @register_to_config
    def __init__(  # noqa: PLR0917 (diffusers builds it by keyword from its config)
        self,
        schedule: Literal["adaptive", "velocity"] = "adaptive",
        step_rule: Literal["euler", "ancestral", "noiser"] = "euler",
        base_shift: float = 0.95,
        max_shift: float = 2.05,
        base_image_seq_len: int = 1024,
        max_image_seq_len: int = 4096,
        shift_terminal: float | None = 0.1,
        tokens: int = 1024,
        shift: float = 1.0,
        spacing: Spacing = "linear",
        eta: float = 1.0,
        num_train_timesteps: int = _TIMESTEPS,
    ) -> None:
        adaptive = AdaptiveFlowScheduler(base_shift, max_shift, base_image_seq_len, max_image_seq_len, shift_terminal)
        schedules: dict[str, AdaptiveFlowScheduler | VFlowScheduler] = {
            "adaptive": adaptive,
            "velocity": VFlowScheduler(shift, spacing),
        }
        rules: dict[str, DiffusionStep] = {
            "euler": EulerFlowStep(),
            "ancestral": AncestralFlowStep(eta=eta),
            "noiser": NoiserStep(),
        }
        for name, value, known in (("schedule", schedule, schedules), ("step_rule", step_rule, rules)):
            if value not in known:
                raise AiprodError(f"{name} is {value!r}", f"use one of {', '.join(known)}")
        self._schedule = schedules[schedule]
        self._rule = rules[step_rule]
        self._adaptive = adaptive
        self._tokens, self._scale = tokens, num_train_timesteps
        self._index: int | None = None
        self.num_inference_steps: int | None = None
        self.sigmas = torch.linspace(1, 0, _TIMESTEPS + 1)
        self.timesteps = self.sigmas[:-1] * self._scale

    @property
    def step_index(self) -> int | None:
        """Steps done in this run."""
        return self._index

    @property
    def begin_index(self) -> None:
        """Kept for pipelines that ask; runs start at the timestep they are given first."""
        return None

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Start at this step instead of the first."""
        self._index = begin_index

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
    ) -> None:
        """Choose the noise levels of a run.

        Raises:
            AiprodError: neither a number of steps nor a grid was given.
        """
        if num_inference_steps is None:
            if sigmas is None:
                raise AiprodError("set_timesteps was given no number of steps", "give num_inference_steps")
            num_inference_steps = len(sigmas)
        self.num_inference_steps = num_inference_steps
        tokens = self._tokens
        if mu is not None:
            a = self._adaptive
            share = (float(mu) - a.base_shift) / (a.max_shift - a.base_shift)
            tokens = max(1, round(a.base_tokens + share * (a.max_tokens - a.base_tokens)))
        self.sigmas = self._schedule.sigmas(num_inference_steps, tokens)
        self.timesteps = (self.sigmas[:-1] * self._scale).to(device)
        self._index = None

    def scale_model_input(self, sample: Tensor, timestep: Tensor | float | None = None) -> Tensor:
        """The sample as it is: flow models take it so."""
        return sample

    def scale_noise(self, sample: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        """Clean ``sample`` noised to ``timestep`` (one, or one per sample)."""
        return Noiser.mix(sample, noise, timestep / self._scale)

    add_noise = scale_noise

    def step(
        self,
        model_output: Tensor,
        timestep: Tensor | float,
        sample: Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[Tensor]:
        """The sample at the next noise level."""
        if self._index is None:
            self._index = int((self.timesteps.cpu() - float(timestep)).abs().argmin())
        sigma, following = self.sigmas[self._index].item(), self.sigmas[self._index + 1].item()
        moved = self._rule.step(sample, model_output, sigma, following, generator=generator)
        self._index += 1
        return SchedulerOutput(prev_sample=moved) if return_dict else (moved,)

    def __len__(self) -> int:
        return self._scale


class SamplerFromDiffusers:
    """A diffusers flow scheduler as schedule and step rule of our sampling loop.

    Multi-step schedulers (UniPC, DPM-Solver++) keep their history between the steps of a run; it starts afresh at the
    first noise level.

    Args:
        scheduler: predicts in flow terms, that is ``FlowMatch…`` or one made with ``use_flow_sigmas=True``.

    Raises:
        AiprodError: the scheduler predicts in other terms.
    """

    def __init__(self, scheduler: Any) -> None:
        config = scheduler.config
        if "FlowMatch" not in type(scheduler).__name__ and not config.get("use_flow_sigmas"):
            raise AiprodError(
                f"{type(scheduler).__name__} is not set up for flow models",
                "make it with prediction_type='flow_prediction', use_flow_sigmas=True",
            )
        self.scheduler = scheduler
        self._steps = 0
        self._tokens = 0

    def sigmas(self, steps: int, tokens: int) -> Tensor:
        """Its noise levels ``[steps + 1]``; schedulers with a dynamic shift get it from ``tokens``."""
        self._steps, self._tokens = steps, tokens
        self._restart()
        return torch.as_tensor(self.scheduler.sigmas, dtype=torch.float32).cpu().clone()

    def step(
        self,
        sample: Tensor,
        prediction: Tensor,
        sigma: Sigma,
        sigma_next: Sigma,
        *,
        predict: Predict | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The sample at ``sigma_next``, which must be the level after ``sigma`` in :meth:`sigmas`.

        Raises:
            AiprodError: the levels are not neighbours in the schedule, or one per token.
        """
        if not self._steps:
            raise AiprodError("the sampler has no schedule yet", "call sigmas() first")
        levels = torch.as_tensor(self.scheduler.sigmas, dtype=torch.float32).cpu()
        if any(isinstance(s, Tensor) and s.numel() != 1 for s in (sigma, sigma_next)):
            raise AiprodError("diffusers schedulers take one noise level for all tokens", "use one of our samplers")
        index = int((levels[:-1] - float(sigma)).abs().argmin())
        if abs(levels[index] - float(sigma)) > 1e-4 or abs(levels[index + 1] - float(sigma_next)) > 1e-4:
            raise AiprodError(f"{float(sigma):g} to {float(sigma_next):g} is not one of its steps", "use its sigmas()")
        if index == 0:
            self._restart()
        extra = {"generator": generator} if "generator" in inspect.signature(self.scheduler.step).parameters else {}
        moved = self.scheduler.step(
            prediction.float(), self.scheduler.timesteps[index], sample.float(), return_dict=False, **extra
        )
        return moved[0].to(sample.dtype)

    def _restart(self) -> None:
        config = self.scheduler.config
        if not config.get("use_dynamic_shifting"):
            self.scheduler.set_timesteps(self._steps)
            return
        low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        base, top = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        mu = base + (self._tokens - low) / (high - low) * (top - base)
        grid = torch.linspace(1, 1 / self._steps, self._steps, dtype=torch.float64).tolist()
        self.scheduler.set_timesteps(sigmas=grid, mu=mu)
