"""How autoencoders are trained: the loss of windows, and a discriminator that may join; neither pictures nor sound."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.core.vae.posterior import Posterior
from aiprod.trainer.loop.accelerator import Engine, Precision
from aiprod.trainer.loop.eager import AdamW
from aiprod.trainer.loop.muon import Muon, muon_groups
from aiprod.trainer.loop.nan_guard import refuse_no_number
from aiprod.trainer.loop.one_phase import OnePhaseParams
from aiprod.trainer.loop.optimizers import UNSET_LR
from aiprod.trainer.loop.samplers import Draw, StepSampler, step_seed
from aiprod.trainer.loop.strategy import BaseStrategy, StepLoss
from aiprod.trainer.vae.data import DecodedClips
from aiprod.trainer.vae.losses import Share


class VAETrainerConfig(OnePhaseParams):
    """How an autoencoder is trained."""

    steps: int = Field(default=450, ge=0, description="0 with `init`: the given checkpoint is copied")
    batch: int = Field(default=3, ge=1, le=65_536, description="windows per step, over all processes")
    optimizer: Literal["muon", "adamw"] = "muon"
    direct_lr: float = Field(default=0.5, gt=0, description="share of the rate for the linear path and for vectors")
    final_lr: float = Field(default=0.02, ge=0, le=1, description="share of the rate that the cosine ends at")
    ema_decay: float = Field(default=0.98, ge=0, lt=1)
    precision: Precision = "no"
    adversarial: float = Field(default=0.0, ge=0, description="weight of a discriminator's verdict; 0: none")
    adversarial_from: float = Field(default=0.7, ge=0, lt=1, description="share of the steps after which it joins")


def make_vae_optimizer(vae: nn.Module, config: VAETrainerConfig) -> torch.optim.Optimizer:
    """The optimizer that a configuration names, without weight decay on vectors.

    The linear path, which starts from principal components, takes AdamW at ``direct_lr`` of the rate in either case: it
    must be refined and not turned round.
    """
    groups = muon_groups(vae, config.weight_decay, adam=("shortcut", "lapped"))
    for group in groups[1:]:
        group |= {"lr_factor": config.direct_lr, "decays": False}
    if config.optimizer == "muon":
        return Muon(groups, lr=UNSET_LR)
    plain = [{k: v for k, v in group.items() if k != "orthogonal"} for group in groups]
    plain[2]["lr_factor"] = 1.0
    return AdamW(plain, lr=UNSET_LR, betas=(0.9, 0.95), fused=True)


class Autoencode(nn.Module):
    """Encode, sample and decode as one call, so that an engine can wrap it."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Posterior]:
        """Reconstruction from ``mean + std · noise``, and the posterior."""
        posterior: Posterior = self.vae.encode(x)  # type: ignore[operator]
        z = posterior.mean
        if posterior.logvar is not None:
            z = z + (0.5 * posterior.logvar).exp() * noise.to(z)
        return self.vae.decode(z), posterior  # type: ignore[operator]


@dataclass(frozen=True)
class WindowBatch:
    """A global batch, the noise of its latents, and the generator that drew both, for what the loss draws."""

    x: Tensor
    noise: Tensor
    generator: torch.Generator


class VAEStrategy(BaseStrategy):
    """Trains one autoencoder on windows of decoded clips.

    Args:
        vae: the model; the loop trains ``Autoencode(vae)``.
        objective: the loss of a batch.
        new: the model has to be given its start from the data.
    """

    in_memory: ClassVar[bool] = True

    def __init__(
        self,
        vae: Any,
        decoded: DecodedClips,
        *,
        objective: nn.Module,
        config: VAETrainerConfig,
        lr: float,
        seed: int,
        new: bool = True,
        discriminator: nn.Module | None = None,
    ) -> None:
        self.vae, self.decoded, self.objective, self.config = vae, decoded, objective, config
        self.lr, self.seed, self.new = lr, seed, new
        self.discriminator = discriminator if config.adversarial > 0 else None

    @abstractmethod
    def draw(self, generator: torch.Generator) -> tuple[Any, list[int]]:
        """Where the windows of a global batch lie, and the number of the clip of each."""

    @abstractmethod
    def cut(self, where: Any) -> Tensor:
        """The windows that ``draw`` returned."""

    @abstractmethod
    def latent_shape(self, x: Tensor) -> tuple[int, ...]:
        """Shape of the latents of a batch."""

    @abstractmethod
    def initialise(self) -> None:
        """Give a new model its start from the data."""

    def sampler(self) -> StepSampler:
        """What the loop draws batches from."""

        def draw(generator: torch.Generator) -> tuple[Any, list[str]]:
            where, clips = self.draw(generator)
            return (where, generator), [self.decoded.clips[clip].clip_id for clip in clips]

        return StepSampler(draw, batch=self.config.batch, seed=self.seed)

    def start(self, model: nn.Module) -> None:
        """Of a new model alone."""
        if self.new:
            self.initialise()

    def prepare(self, engine: Engine) -> None:
        """Place loss and discriminator."""
        self._average = engine.average
        self.objective.to(engine.device)
        if self.discriminator is not None:
            self.discriminator.to(engine.device).train()
            self._critic = AdamW(self.discriminator.parameters(), lr=self.lr, betas=(0.5, 0.9))

    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> WindowBatch:
        """The whole global batch, which some terms of the loss compare with, whatever part of it a rank has."""
        where, generator = draw.content
        x = self.cut(where)
        return WindowBatch(x, torch.randn(self.latent_shape(x), generator=generator), generator)

    def loss(
        self, model: nn.Module, batch: WindowBatch, *, step: int, slots: Sequence[int], device: torch.device
    ) -> StepLoss:
        """Of reconstructions, with the discriminator's verdict once it joined."""
        torch.manual_seed(step_seed(self.seed, step))  # a codebook replaces its dead entries by torch's own lot
        mine = slice(slots[0], slots[-1] + 1)
        x, noise = batch.x[mine].to(device), batch.noise[mine].to(device)
        share = Share(batch.x, mine.start) if len(slots) < len(batch.x) else None
        output, posterior = model(x, noise)
        total, parts = self.objective(output.float(), x, posterior, batch.generator, share)
        if self.discriminator is not None and self._joined(step):
            self.discriminator.requires_grad_(False)
            parts["adversarial"] = -self.discriminator(output).mean()
            self.discriminator.requires_grad_(True)
            total = total + self.config.adversarial * parts["adversarial"]
            self._last_output = output.detach(), x
        return StepLoss(total, {name: float(part.detach()) for name, part in parts.items()})

    def after_update(self, step: int) -> dict[str, float]:
        """Train the discriminator by hinge loss (Lim & Ye 2017): real above 1, reconstructed below −1."""
        if self.discriminator is None or not self._joined(step):
            return {}
        output, target = self._last_output
        self._critic.zero_grad(set_to_none=True)
        real, reconstructed = self.discriminator(target), self.discriminator(output)
        loss = (1 - real).relu().mean() + (1 + reconstructed).relu().mean()
        value = float(loss.detach())
        where = f"step {step} of {type(self.vae).__name__}"
        refuse_no_number("loss of the discriminator", value, where, "lower lr or the trainer's adversarial")
        loss.backward()
        self._average(self.discriminator)
        self._critic.step()
        return {"discriminator": value}

    def state_dict(self) -> dict[str, Any]:
        """The discriminator and its optimizer."""
        if self.discriminator is None:
            return {}
        return {"discriminator": self.discriminator.state_dict(), "critic": self._critic.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore."""
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self._critic.load_state_dict(state["critic"])

    def _joined(self, step: int) -> bool:
        return step >= self.config.adversarial_from * self.config.steps
