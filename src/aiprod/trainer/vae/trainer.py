"""The training loop of autoencoders: it knows steps, checkpoints and curves, and neither pictures nor sound."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.base.progress import say, ticker
from aiprod.core.vae.posterior import Posterior
from aiprod.errors import AiprodError
from aiprod.trainer.loop.accelerator import Engine, Precision
from aiprod.trainer.loop.checkpoints import CheckpointStore
from aiprod.trainer.loop.ema import Ema
from aiprod.trainer.loop.muon import Muon, muon_groups
from aiprod.trainer.loop.nan_guard import refuse_no_number
from aiprod.trainer.vae.losses import Share

Log = Callable[[int, dict[str, float]], None]


class VAETrainerConfig(Params):
    """How an autoencoder is trained."""

    steps: int = Field(default=450, ge=0, description="0 with `init`: the given checkpoint is copied")
    batch: int = Field(default=3, ge=1, le=65_536, description="windows a step, over all processes")
    optimizer: Literal["muon", "adamw"] = "muon"
    lr_scale: float = Field(default=3.0, gt=0, description="times the top-level lr")
    direct_lr: float = Field(default=0.5, gt=0, description="share of the rate for the linear path and for vectors")
    warmup_steps: int = Field(default=10, ge=0)
    final_lr: float = Field(default=0.02, ge=0, le=1, description="share of the rate that the cosine ends at")
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.98, ge=0, lt=1)
    precision: Precision = "no"
    adversarial: float = Field(default=0.0, ge=0, description="weight of a discriminator's verdict; 0: none")
    adversarial_from: float = Field(default=0.7, ge=0, lt=1, description="share of the steps after which it joins")
    checkpoint_every_s: float = Field(default=20.0, ge=0, description="0: after every step")

    def lr_at(self, step: int, base: float) -> float:
        """Learning rate: linear warm-up, then half a cosine down to ``final_lr``."""
        if step < self.warmup_steps:
            return base * self.lr_scale * (step + 1) / (self.warmup_steps + 1)
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return base * self.lr_scale * (self.final_lr + (1 - self.final_lr) * 0.5 * (1 + math.cos(math.pi * done)))


def make_vae_optimizer(vae: nn.Module, config: VAETrainerConfig, lr: float) -> torch.optim.Optimizer:
    """The optimizer that a configuration names, without weight decay on vectors.

    The linear path, which starts from principal components, takes AdamW at ``direct_lr`` of the rate in either case: it
    must be refined and not turned round.
    """
    groups = muon_groups(vae, config.weight_decay, adam=("shortcut", "lapped"))
    for group in groups[1:]:
        group["lr_factor"] = config.direct_lr
    if config.optimizer == "muon":
        return Muon(groups, lr=lr)
    plain = [{k: v for k, v in group.items() if k != "orthogonal"} for group in groups]
    plain[2]["lr_factor"] = 1.0
    return torch.optim.AdamW(plain, lr=lr, betas=(0.9, 0.95), fused=True)


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


class VAETrainer(ABC):
    """Trains one autoencoder.

    Every step draws from generators seeded by (seed, step), so that a run that was killed and resumed equals one that
    was not, and every process draws its own part of the same global batch.
    """

    def __init__(
        self,
        vae: nn.Module,
        loss: nn.Module,
        config: VAETrainerConfig,
        *,
        lr: float,
        seed: int,
        store: CheckpointStore,
        engine: Engine,
        log: Log | None = None,
        discriminator: nn.Module | None = None,
    ) -> None:
        self.vae, self.loss, self.config, self.lr, self.seed = vae, loss, config, lr, seed
        self.store, self.engine, self.log = store, engine, log or (lambda step, figures: None)
        self.discriminator = discriminator if config.adversarial > 0 else None
        self.curve: list[dict[str, float]] = []
        self.step = 0

    @abstractmethod
    def batch(self, step: int, generator: torch.Generator) -> Tensor:
        """The global batch of a step, drawn with ``generator`` alone."""

    @abstractmethod
    def start(self) -> None:
        """Give a new model its start from the data; called once, not on resume."""

    @abstractmethod
    def latent_shape(self, x: Tensor) -> tuple[int, ...]:
        """Shape of the latents of a batch."""

    def train(self) -> None:
        """Train to the last step, from the newest checkpoint if there is one; the model ends with averaged weights."""
        if not self.config.steps:
            self.vae.eval()
            return
        if self.config.batch % self.engine.world:
            raise AiprodError(
                f"a batch of {self.config.batch} does not divide over {self.engine.world} processes",
                f"set the trainer's batch to {-(-self.config.batch // self.engine.world) * self.engine.world}",
            )
        kept = self.store.latest()
        if kept is None:
            self.start()
        self.vae.train()
        model, self.optimizer = self._prepare()
        ema = Ema(self.vae, self.config.ema_decay)
        if kept is not None:
            self._restore(kept, ema)
        saved = time.monotonic()
        with ticker(f"training {type(self.vae).__name__}", self.config.steps) as tick:
            tick.advance(self.step)
            while self.step < self.config.steps:
                figures = self.engine.mean(self._train_step(model))
                ema.update(self.vae)
                self.curve.append({"step": self.step, **figures})
                self.log(self.step, figures)
                self.step += 1
                tick.advance(note=f"loss {figures['loss']:.4f}")
                due = time.monotonic() - saved >= self.config.checkpoint_every_s
                if self.engine.world > 1:
                    due = self.engine.gather_objects(due)[0]
                if due and self.step < self.config.steps:
                    self._save(ema)
                    saved = time.monotonic()
        with torch.no_grad():
            averages = ema.state_dict()
            for name, parameter in self.vae.named_parameters():
                if name in averages:
                    parameter.copy_(averages[name])
        self.vae.eval()

    def _prepare(self) -> tuple[nn.Module, Any]:
        if self.discriminator is not None:
            self.discriminator.to(self.engine.device).train()
            self._critic = torch.optim.AdamW(self.discriminator.parameters(), lr=self.lr, betas=(0.5, 0.9))
        self.loss.to(self.engine.device)
        return self.engine.prepare(Autoencode(self.vae), make_vae_optimizer(self.vae, self.config, self.lr))

    def _train_step(self, model: nn.Module) -> dict[str, float]:
        lr = self.config.lr_at(self.step, self.lr)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_factor", 1.0)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        torch.manual_seed(self.seed * 1_000_003 + self.step)  # a codebook replaces its dead entries by torch's own lot
        whole = self.batch(self.step, generator)
        noise = torch.randn(self.latent_shape(whole), generator=generator)
        per_rank = whole.shape[0] // self.engine.world
        mine = slice(self.engine.rank * per_rank, (self.engine.rank + 1) * per_rank)
        x, noise = whole[mine].to(self.engine.device), noise[mine].to(self.engine.device)
        share = Share(whole, mine.start) if self.engine.world > 1 else None
        self.optimizer.zero_grad(set_to_none=True)
        with self.engine.autocast():
            output, posterior = model(x, noise)
            total, parts = self.loss(output.float(), x, posterior, generator, share)
            if self._critic_joins():
                assert self.discriminator is not None
                self.discriminator.requires_grad_(False)
                parts["adversarial"] = -self.discriminator(output).mean()
                self.discriminator.requires_grad_(True)
                total = total + self.config.adversarial * parts["adversarial"]
        self.engine.backward(total)
        norm = self.engine.clip(model, self.config.max_grad_norm)
        figures = {"loss": float(total.detach()), **{k: float(v.detach()) for k, v in parts.items()}}
        if self.engine.scales and not math.isfinite(norm):
            figures["skipped"] = 1.0  # fp16 finds its loss scale by trying: this step is left out
        else:
            self._check("gradient norm", norm)
            figures["grad_norm"] = norm
        self._check("loss", figures["loss"])
        self.optimizer.step()
        if self._critic_joins():
            figures["discriminator"] = self._train_critic(output.detach(), x)
        return {**figures, "lr": lr}

    def _check(self, what: str, value: float) -> None:
        where = f"step {self.step} of {type(self.vae).__name__}"
        refuse_no_number(what, value, where, "lower lr or the trainer's lr_scale")

    def _critic_joins(self) -> bool:
        return self.discriminator is not None and self.step >= self.config.adversarial_from * self.config.steps

    def _train_critic(self, output: Tensor, target: Tensor) -> float:
        """Hinge loss (Lim & Ye 2017): real above 1, reconstructed below −1."""
        assert self.discriminator is not None
        self._critic.zero_grad(set_to_none=True)
        real, made = self.discriminator(target), self.discriminator(output)
        loss = (1 - real).relu().mean() + (1 + made).relu().mean()
        self._check("loss of the discriminator", float(loss.detach()))
        loss.backward()
        self.engine.average(self.discriminator)
        self._critic.step()
        return float(loss.detach())

    def _save(self, ema: Ema) -> None:
        if self.engine.rank:
            return
        tensors = {"model": self.vae.state_dict(), "ema": ema.state_dict()}
        objects = {"optimizer": self.optimizer.state_dict()}  # with the loss scaler of fp16
        if self.discriminator is not None:
            tensors["discriminator"] = self.discriminator.state_dict()
            objects["critic"] = self._critic.state_dict()
        self.store.save(self.step, tensors=tensors, objects=objects, values={"curve": self.curve})

    def _restore(self, kept: Any, ema: Ema) -> None:
        self.vae.load_state_dict(kept.tensors["model"])
        ema.load_state_dict(kept.tensors["ema"])
        self.optimizer.load_state_dict(kept.objects["optimizer"])
        if self.discriminator is not None:
            self.discriminator.load_state_dict(kept.tensors["discriminator"])
            self._critic.load_state_dict(kept.objects["critic"])
        self.step, self.curve = kept.step, list(kept.values["curve"])
        say(f"going on from step {self.step} of {self.config.steps}")
