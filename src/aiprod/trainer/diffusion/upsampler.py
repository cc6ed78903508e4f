"""Trains the latent upsampler of two-stage sampling on the clips of the last phase.

A clip's latent is decoded, its picture halved, and encoded again, which gives a pair. So nothing else than the latent
cache and the video autoencoder is read, whatever sizes the other phases have.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from aiprod.base.progress import log
from aiprod.core.latent_upsampler import (
    LatentUpsampler,
    LatentUpsamplerConfig,
    interpolated,
    smaller,
    upsample,
)
from aiprod.data.latents.buckets import Bucket, BucketSampler
from aiprod.data.latents.dataset import DIGESTS, LatentDataset
from aiprod.data.latents.rows import LatentRow
from aiprod.errors import AiprodError, CoreError
from aiprod.models.adapters.autoencoders import AnyVideoVAE, load_video_vae
from aiprod.models.artifacts import UpsamplerRecord
from aiprod.models.checkpoint.folder import folder_digest
from aiprod.models.latent_upsampler import load_upsampler, save_upsampler
from aiprod.trainer.diffusion.flow import slot_generator
from aiprod.trainer.loop.accelerator import Engine, make_engine
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.loop.lr_schedule import LRSchedule
from aiprod.trainer.loop.one_phase import AveragedTrainer
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
from aiprod.trainer.loop.phases import Phase, PhaseScheduler
from aiprod.trainer.loop.samplers import Draw
from aiprod.trainer.loop.strategy import BaseStrategy, StepLoss
from aiprod.trainer.stage import init_folder, rounded

NAME = "upsampler"
"""The phase in which the exposure ledger counts what the upsampler was shown."""

SETTING = f"train_diffusion.{NAME}"
_HELDOUT = 16


class UpsamplerParams(AveragedTrainer):
    """The latent upsampler of two-stage sampling; steps: 0 without `init` trains none and costs nothing."""

    init: str | None = Field(
        default=None,
        min_length=1,
        description="folder of an upsampler to start from: ours, LTX-Video's or LTX-2's; copied if steps: 0",
    )
    steps: int = Field(default=0, ge=0, description="0: none is trained")
    batch: int = Field(default=8, ge=1, le=65_536, description="clips per step, over all processes")
    weight_decay: float = Field(default=0.0, ge=0)
    space: bool = Field(default=True, description="twice the height and width")
    time: bool = Field(default=False, description="twice the frame rate")
    mid_channels: int = Field(default=64, ge=32, le=65_536, multiple_of=32)
    blocks: int = Field(default=1, ge=0, le=100, description="residual blocks before the upsampling, and after it")
    cache_mb: int = Field(default=256, ge=0, le=1 << 20, description="memory for decoded clips")

    @model_validator(mode="after")
    def _enlarges(self) -> UpsamplerParams:
        if not (self.space or self.time):
            raise ValueError("neither space nor time is upsampled → set one of them to true, and steps to 0 for none")
        return self

    @property
    def wanted(self) -> bool:
        """Whether the model gets an upsampler."""
        return bool(self.steps or self.init)


@dataclass(frozen=True)
class Pair:
    """Normalised latents ``[C, F, H, W]`` of half size and of whole size of one clip."""

    clip_id: str
    small: Tensor
    whole: Tensor


class Halving:
    """Makes pairs of a clip's latent.

    Args:
        vae: in eval mode.
        factors: of (frames, height, width).
        memory_bytes: of decoded clips that are kept.
    """

    def __init__(self, vae: AnyVideoVAE, factors: tuple[int, int, int], memory_bytes: int = 0) -> None:
        self.vae, self.factors, self._memory_bytes = vae, factors, memory_bytes
        self._memory: OrderedDict[str, Tensor] = OrderedDict()

    def fits(self, height: int, width: int, frames: int) -> bool:
        """Whether a clip of this size has a half."""
        c = self.vae.compression
        try:
            smaller((frames, height, width), self.factors, (c.time, c.height, c.width))
        except CoreError:
            return False
        return True

    @torch.no_grad()
    def pair(self, clip_id: str, whole: Tensor, device: torch.device) -> Pair:
        """A clip's latent and that of half size, of one clip by itself, so that it depends on no other."""
        return Pair(clip_id, self._encoded(self._halved(self._pixels(clip_id, whole, device))), whole)

    @torch.no_grad()
    def drawn(self, clip_id: str, whole: Tensor, generator: torch.Generator, device: torch.device) -> Pair:
        """Both latents of a part of the picture, begun at any pixel and mirrored in half of the cases.

        A few clips would else be the same few numbers at every step, and be learnt by heart.
        """
        pixels, c = self._pixels(clip_id, whole, device), self.vae.compression
        for dim, cell, factor in ((-2, c.height, self.factors[1]), (-1, c.width, self.factors[2])):
            step, length = cell * factor, pixels.shape[dim]
            kept = length - step if length > step else length
            at = int(torch.randint(length - kept + 1, (), generator=generator))
            pixels = pixels.narrow(dim, at, kept)
        if float(torch.rand((), generator=generator)) < 0.5:
            pixels = pixels.flip(-1)
        return Pair(clip_id, self._encoded(self._halved(pixels)), self._encoded(pixels))

    def _pixels(self, clip_id: str, whole: Tensor, device: torch.device) -> Tensor:
        """``[1, 3, F, H, W]`` in [-1, 1]."""
        if clip_id not in self._memory:
            pixels = self.vae.decode(self.vae.denormalize(whole[None].to(device))).clamp(-1, 1)
            self._memory[clip_id] = pixels.half().cpu()
            used_bytes = sum(film.nbytes for film in self._memory.values())
            while used_bytes > self._memory_bytes and len(self._memory) > 1:
                used_bytes -= self._memory.popitem(last=False)[1].nbytes
        self._memory.move_to_end(clip_id)
        return self._memory[clip_id].to(device).float()

    def _halved(self, pixels: Tensor) -> Tensor:
        time, height, width = self.factors
        return nn.functional.avg_pool3d(pixels[:, :, ::time], (1, height, width))

    def _encoded(self, pixels: Tensor) -> Tensor:
        return self.vae.normalize(self.vae.encode(pixels.contiguous()).mode())[0]


class UpsamplerStrategy(BaseStrategy):
    """Mean squared error of the latent, each channel weighted by what it does to the picture."""

    def __init__(
        self,
        dataset: LatentDataset,
        phase: str,
        halving: Halving,
        heldout: Sequence[LatentRow],
        gains: Sequence[float],
        *,
        seed: int,
    ) -> None:
        self.dataset, self.phase, self.halving, self.rows = dataset, phase, halving, heldout
        self._seed = seed
        self._gains = torch.tensor(list(gains) or [1.0]).view(1, -1, 1, 1, 1)
        self._apart: list[Pair] | None = None

    def prepare(self, engine: Engine) -> None:
        """The autoencoder goes where the model is."""
        self.halving.vae.to(engine.device)

    def load(self, phase: str, draw: Draw, places: Sequence[int]) -> list[tuple[str, Tensor]]:
        """Ids and latents of the clips at some places of a batch."""
        return [(clip_id, self._latent(clip_id)) for clip_id in (draw.clip_ids[place] for place in places)]

    def loss(
        self,
        model: nn.Module,
        batch: list[tuple[str, Tensor]],
        *,
        step: int,
        slots: Sequence[int],
        device: torch.device,
    ) -> StepLoss:
        """Of one part of a batch."""
        random = [slot_generator(self._seed, step, slot) for slot in slots]
        pairs = [self.halving.drawn(*clip, each, device) for clip, each in zip(batch, random, strict=True)]
        small, whole = torch.stack([pair.small for pair in pairs]), torch.stack([pair.whole for pair in pairs])
        vae = self.halving.vae
        published = not _config(model).shortcut
        larger = model(vae.denormalize(small)) if published else model(small)
        return StepLoss(self._error(vae.normalize(larger) if published else larger, whole))

    def heldout(self, model: nn.Module, phase: str, *, device: torch.device) -> dict[str, float]:
        """Of clips that are not trained on, beside interpolation without a network."""
        pairs = self.pairs(device)
        if not pairs:
            return {}
        errors: dict[str, list[float]] = {}
        for pair in pairs:
            small, whole = pair.small[None].to(device), pair.whole[None].to(device)
            for name, larger in self.ways(model, small).items():
                errors.setdefault(name, []).append(float(self._error(larger, whole)))
        means = {name: sum(values) / len(values) for name, values in errors.items()}
        return {"heldout/loss": means.pop("network"), **{f"heldout/{name}": value for name, value in means.items()}}

    def ways(self, model: nn.Module, small: Tensor) -> dict[str, Tensor]:
        """The larger latent by the network, and by interpolation."""
        factors = self.halving.factors
        network = model if isinstance(model, LatentUpsampler) else model.module
        return {
            "network": upsample(network, self.halving.vae, small),  # type: ignore[arg-type]
            **{mode: interpolated(small, factors, mode) for mode in ("nearest", "trilinear")},
        }

    def pairs(self, device: torch.device) -> list[Pair]:
        """Of held-out clips."""
        if self._apart is None:
            wholes = [(row.clip_id, self._latent(row.clip_id)) for row in self.rows]
            self._apart = [self.halving.pair(name, whole, device) for name, whole in wholes]
        return self._apart

    def _latent(self, clip_id: str) -> Tensor:
        latent = self.dataset.load(self.phase, clip_id).video
        assert latent is not None  # every cached clip has a picture
        return latent.float()

    def _error(self, output: Tensor, whole: Tensor) -> Tensor:
        return ((output.float() - whole) * self._gains.to(whole.device)).square().mean()


@dataclass(frozen=True)
class TrainedUpsampler:
    """What is left of it, on the CPU."""

    model: LatentUpsampler
    steps: int
    ledger: ExposureLedger
    curve: list[dict[str, Any]]
    metrics: dict[str, Any]
    run: TrainingRun | None

    def save(self, folder: Path) -> UpsamplerRecord:
        """Write the checkpoint; what the record of the diffusion model says of it."""
        time, space, _ = self.model.config.factors
        return UpsamplerRecord(digest=save_upsampler(self.model, folder), space=space, time=time, steps=self.steps)


def finish(run: TrainingRun, upsampler: TrainedUpsampler | None) -> None:
    """Say of the diffusion model's run, and of the upsampler's, that what they made is written."""
    run.store.finish()
    if upsampler is not None and upsampler.run is not None:
        upsampler.run.store.finish()


def train_upsampler(
    dataset: LatentDataset,
    models: Path,
    curriculum: CurriculumConfig,
    params: UpsamplerParams,
    context: TrainContext,
    *,
    gains: Sequence[float] = (),
    engine: Engine | None = None,
) -> TrainedUpsampler | None:
    """Train (or copy) the upsampler, continuing where an earlier run stopped; None where none is wanted.

    Clips that wait for the end of training because they can be erased are not shown to it at all.

    Args:
        models: folder that holds ``video_vae``.
        gains: how much each latent channel does to the picture; empty: all alike.

    Raises:
        AiprodError: no clip has a size that can be halved, or ``init`` is of another autoencoder.
    """
    if not params.wanted:
        return None
    torch.manual_seed(context.seed)
    vae = load_video_vae(models / "video_vae").eval().requires_grad_(False)
    model, digest = _begun(params, vae)
    phase = list(curriculum.phases)[-1]
    halving = Halving(vae, model.config.factors, params.cache_mb << 20)
    heldout = [row for row in dataset.usable(phase, "heldout") if _halves(halving, row)][:_HELDOUT]
    strategy = UpsamplerStrategy(dataset, phase, halving, heldout, gains, seed=context.seed)
    run, device = None, torch.device("cpu")
    if params.steps:
        engine = engine or make_engine(params.precision)
        run = _run(strategy, model, params, context, engine, digest)
        run.train().copy_to(model)
        device = engine.device
    measured = {"steps": params.steps, "heldout_clips": len(heldout), **_decoded(strategy, model.eval(), device)}
    if "psnr_db" in measured:
        log(
            f"  upsampler: {measured['psnr_db']:.2f} dB of held-out clips decoded (nearest"
            f" {measured['psnr_db_nearest']:.2f}, trilinear {measured['psnr_db_trilinear']:.2f})"
        )
    curve, ledger = (run.curve, run.ledger) if run else ([], ExposureLedger())
    return TrainedUpsampler(model.cpu(), params.steps, ledger, curve, rounded(measured), run)


def _run(  # noqa: PLR0917 (what a run is made of)
    strategy: UpsamplerStrategy,
    model: LatentUpsampler,
    params: UpsamplerParams,
    context: TrainContext,
    engine: Engine,
    digest: str | None,
) -> TrainingRun:
    dataset, phase = strategy.dataset, strategy.phase
    buckets = _halvable(dataset.buckets(phase), strategy.halving, phase)
    made_by = {name: dataset.head.inputs.get(name) for name in DIGESTS}
    settings = context.settings({NAME: params.model_dump(mode="json")}, made_by=made_by, init=digest, phase=phase)
    rows = [row for row in dataset.usable(phase, "train") if row.clip_id in buckets]
    levels = context.level(settings, [(r.clip_id, r.file_sha256, r.split) for r in (*rows, *strategy.rows)])
    rates = LRSchedule(
        context.lr * params.lr_scale, params.steps, params.warmup_steps, "cosine", final_fraction=params.final_lr
    )
    return TrainingRun(
        strategy=strategy,
        model=model,
        optimizer=make_optimizer(model, OptimizerParams(name=params.optimizer)),
        phases=PhaseScheduler({NAME: Phase(SETTING, params.steps, rates, params.weight_decay)}),
        samplers={NAME: BucketSampler(buckets, batch=params.batch, seed=context.seed)},
        store=context.store({**settings, "clips": levels.levels[0].digest}),
        engine=engine,
        params=params.loop(ema_decay=params.ema_decay),
        log=context.log,
        levels=levels,
    )


def _begun(params: UpsamplerParams, vae: AnyVideoVAE) -> tuple[LatentUpsampler, str | None]:
    """A new model, or the given one with its digest."""
    channels = vae.compression.channels
    if params.init is None:
        config = LatentUpsamplerConfig(
            in_channels=channels,
            mid_channels=params.mid_channels,
            num_blocks_per_stage=params.blocks,
            spatial_upsample=params.space,
            temporal_upsample=params.time,
        )
        return LatentUpsampler(config), None
    folder = init_folder(params.init)
    model = load_upsampler(folder).train()
    if model.config.in_channels != channels:
        raise AiprodError(
            f"{SETTING}.init takes latents of {model.config.in_channels} channels, and these have {channels}",
            "give an upsampler of the same autoencoder",
        )
    return model, folder_digest(folder)


def _halves(halving: Halving, row: LatentRow) -> bool:
    return halving.fits(row.height or 0, row.width or 0, row.frames or 0)


def _halvable(buckets: Mapping[str, Bucket], halving: Halving, phase: str) -> dict[str, Bucket]:
    even = {clip_id: b for clip_id, b in buckets.items() if halving.fits(b.height, b.width, b.frames)}
    if not even:
        b = next(iter(buckets.values()))
        c, factors = halving.vae.compression, halving.factors
        try:
            smaller((b.frames, b.height, b.width), factors, (c.time, c.height, c.width))
        except CoreError as error:
            raise AiprodError(f"{SETTING}: no clip of phase {phase!r} has a half: {error.what}", error.hint) from None
    if len(even) < len(buckets):
        log(f"  {SETTING}: {len(buckets) - len(even)} clips have a size without a half and are left out")
    return even


@torch.no_grad()
def _decoded(strategy: UpsamplerStrategy, model: LatentUpsampler, device: torch.device) -> dict[str, float]:
    """PSNR in decibels of upsampled held-out latents, decoded, against the whole latents, decoded."""
    vae = strategy.halving.vae.to(device)
    errors: dict[str, list[float]] = {}
    for pair in strategy.pairs(device):
        shown = vae.decode(vae.denormalize(pair.whole[None].to(device))).clamp(-1, 1)
        for name, latent in strategy.ways(model, pair.small[None].to(device)).items():
            off = vae.decode(vae.denormalize(latent)).clamp(-1, 1) - shown
            errors.setdefault(name, []).append(float(off.square().mean()))
    decibels = {
        name: sum(10 * math.log10(4 / max(e, 1e-10)) for e in each) / len(each) for name, each in errors.items()
    }
    return {"psnr_db" if name == "network" else f"psnr_db_{name}": value for name, value in decibels.items()}


def _config(model: nn.Module) -> LatentUpsamplerConfig:
    network = model if isinstance(model, LatentUpsampler) else model.module
    config: LatentUpsamplerConfig = network.config  # type: ignore[union-attr, assignment]
    return config
