"""Trains the video autoencoder on clips, measures it on films it has not seen, and writes what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from aiprod.base.params import Params
from aiprod.core.vae.config import VideoVAEConfig
from aiprod.core.vae.discriminator import PatchDiscriminator
from aiprod.core.vae.video import VideoVAE
from aiprod.errors import AiprodError
from aiprod.models.adapters.autoencoders import load_video_vae
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.training_set import Selection
from aiprod.trainer.vae.data import DecodedClips, VideoDataParams, load_pictures, pixels
from aiprod.trainer.vae.figures import draw_videos, film_videos
from aiprod.trainer.vae.losses import VideoLossParams, VideoVAELoss
from aiprod.trainer.vae.metrics import psnr_db, ssim
from aiprod.trainer.vae.pca_init import start_video
from aiprod.trainer.vae.perceptual import PerceptualLoss
from aiprod.trainer.vae.run import VAEEvaluation, finish_vae, start_vae, train_vae
from aiprod.trainer.vae.strategy import VAEStrategy, VAETrainerConfig

SECTION = "train_video_vae"


class VideoVaeStageParams(Params):
    """Train the video autoencoder, or copy one."""

    init: str | None = Field(
        default=None, min_length=1, description="checkpoint folder to start from; with steps: 0 it is copied"
    )
    model: VideoVAEConfig = VideoVAEConfig()
    data: VideoDataParams = VideoDataParams()
    loss: VideoLossParams = VideoLossParams()
    trainer: VAETrainerConfig = VAETrainerConfig()
    heldout_clips: int = Field(default=24, ge=1, description="maximum number of held-out clips to evaluate")
    threads: int = Field(default=0, ge=0, le=1024, description="torch threads on CPU; 0: one per core")


class VideoVAEStrategy(VAEStrategy):
    """Windows of clips at several picture sizes."""

    vae: VideoVAE

    def __init__(self, vae: VideoVAE, decoded: DecodedClips, data: VideoDataParams, **rest: Any) -> None:
        super().__init__(vae, decoded, **rest)
        self.data = data

    def draw(self, generator: torch.Generator) -> tuple[tuple[tuple[int, int], list[tuple[int, int]]], list[int]]:
        """Picture size, and (clip, first frame) of each window of a batch."""
        data = self.data
        size = (data.height, data.width)
        if data.smaller and float(torch.rand((), generator=generator)) < data.smaller_share:
            size = data.smaller[int(torch.randint(len(data.smaller), (), generator=generator))]
        windows = []
        for _ in range(self.config.batch):
            clip = int(torch.randint(len(self.decoded), (), generator=generator))
            room = self.decoded.tensors[clip].shape[0] - data.frames + 1
            windows.append((clip, int(torch.randint(room, (), generator=generator))))
        return (size, windows), [clip for clip, _ in windows]

    def cut(self, where: tuple[tuple[int, int], list[tuple[int, int]]]) -> Tensor:
        """``[B, 3, F, h, w]`` in [−1, 1]."""
        size, windows = where
        frames = torch.stack([self.decoded.tensors[c][f : f + self.data.frames] for c, f in windows])
        return pixels(frames, size)

    def latent_shape(self, x: Tensor) -> tuple[int, ...]:
        """Of a batch's latents."""
        c = self.vae.compression
        return (x.shape[0], c.channels, (x.shape[2] - 1) // c.time + 1, x.shape[3] // c.height, x.shape[4] // c.width)

    def initialise(self) -> None:
        """Principal components of a fixed choice of windows."""
        start_video(self.vae, FirstFrames(self.decoded.tensors[:256], self.data.frames), self.seed)


class FirstFrames:
    """The first frames of clips as pixels, one at a time: together they may not fit into memory."""

    def __init__(self, clips: Sequence[Tensor], frames: int) -> None:
        self.clips, self.frames = clips, frames

    def __iter__(self) -> Iterator[Tensor]:
        return (pixels(clip[None, : self.frames]) for clip in self.clips)


def train_video_vae(
    params: VideoVaeStageParams, selection: Selection, context: TrainContext, *, models: Path, reports: Path
) -> dict[str, Any]:
    """Train (or copy) the video autoencoder and write ``models`` and ``reports``; the metrics.

    Raises:
        AiprodError: no clip decodes, sizes do not fit the model, or ``init`` is no video autoencoder.
    """
    vae = start_vae(
        params, SECTION, context.seed, own=VideoVAE, load=load_video_vae, build=lambda: VideoVAE(params.model)
    )
    _check_sizes(vae, params.data)
    train = load_pictures(selection.train, params.data, context.seed, "pictures to train on")
    heldout = load_pictures(selection.heldout[: params.heldout_clips], params.data, context.seed, "pictures held out")
    if not train.tensors:
        raise AiprodError("no clip's pictures could be decoded", "see the lines above for the reason of each")
    perceptual = PerceptualLoss(params.loss.perceptual_layers) if params.loss.gamma and params.trainer.steps else None
    strategy = VideoVAEStrategy(
        vae,
        train,
        params.data,
        objective=VideoVAELoss(params.loss, perceptual),
        config=params.trainer,
        lr=context.lr,
        seed=context.seed,
        new=not params.init,
        discriminator=PatchDiscriminator() if params.trainer.adversarial else None,
    )
    sizes = [(params.data.height, params.data.width), *params.data.smaller]

    def latents(number: int, frames: Tensor) -> Tensor:
        latent: Tensor = vae.encode(pixels(frames[None, : params.data.frames], sizes[number % len(sizes)])).mode()
        return latent

    def draw(path: Path, title: str, shown: list[Any]) -> None:
        draw_videos(path, title, shown)
        film_videos(path.with_suffix(".mp4"), shown, params.data.fps)

    trained = train_vae(strategy, params, context, name="video_vae", latents=latents)
    metrics, rows = evaluate_video(vae, heldout if len(heldout) else train, params.data)
    return finish_vae(
        trained,
        selection,
        (train, heldout),
        VAEEvaluation(
            metrics,
            rows,
            {"final_loss": _tail(trained.curve), "perceptual": perceptual.name if perceptual else "none"},
        ),
        name="video VAE",
        left_out={},
        title=_title,
        draw=draw,
        models=models,
        reports=reports,
    )


@torch.no_grad()
def evaluate_video(vae: VideoVAE, clips: DecodedClips, data: VideoDataParams) -> tuple[dict[str, Any], list[Any]]:
    """Mean PSNR and SSIM over clips, whole clips at full size and windows at smaller ones, and rows for the picture.

    The baseline is the strongest that needs no model: each clip's own mean frame, over all of its time.
    """
    t = vae.compression.time
    figures: dict[str, list[float]] = {}
    rows = []
    for clip, frames in zip(clips.clips, clips.tensors, strict=True):
        whole = frames[None, : (frames.shape[0] - 1) // t * t + 1]
        for size in ((data.height, data.width), *data.smaller):
            x = pixels(whole, size)
            y = vae.decode(vae.encode(x).mode()).clamp(-1, 1)
            mean = x.mean(dim=2, keepdim=True).expand_as(x)
            quality = float(psnr_db(y, x))
            full = size == (data.height, data.width)
            figures.setdefault("psnr_db" if full else f"psnr_db_{size[0]}x{size[1]}", []).append(quality)
            if full:
                figures.setdefault("ssim", []).append(_ssim(y, x))
                figures.setdefault("baseline_psnr_db", []).append(float(psnr_db(mean, x)))
                figures.setdefault("baseline_ssim", []).append(_ssim(mean, x))
                if not is_private(clip.clip_id):  # the picture goes into a report
                    rows.append((f"{clip.caption or clip.clip_id}   ·   {quality:.1f} dB", x[0], y[0]))
    means: dict[str, Any] = {name: sum(v) / len(v) for name, v in figures.items()}
    means["psnr_worst_db"] = min(figures["psnr_db"])
    means["baseline"] = "each clip's own mean frame"
    means["psnr_gain_db"] = means["psnr_db"] - means["baseline_psnr_db"]
    return {"clips": len(clips), **means}, rows


def _ssim(y: Tensor, x: Tensor) -> float:
    """Mean over frames; 0 by convention where pictures are smaller than the window."""
    if min(x.shape[3:]) < 11:
        return 0.0
    return float(ssim(y[0].transpose(0, 1), x[0].transpose(0, 1)).mean())


def _check_sizes(vae: VideoVAE, data: VideoDataParams) -> None:
    c = vae.compression
    for height, width in ((data.height, data.width), *data.smaller):
        if height % c.height or width % c.width:
            raise AiprodError(
                f"{SECTION}.data: {height}x{width} is not divisible by {c.height}x{c.width}",
                f"for example {-(-height // c.height) * c.height}x{-(-width // c.width) * c.width}",
            )
    if (data.frames - 1) % c.time:
        raise AiprodError(
            f"{SECTION}.data.frames is {data.frames}, not 1 + a multiple of {c.time}",
            f"for example {(data.frames - 1) // c.time * c.time + 1}",
        )


def _tail(curve: list[dict[str, float]]) -> float:
    """Mean loss of the last tenth of the steps."""
    last = [row["loss"] for row in curve[-max(1, len(curve) // 10) :]]
    return sum(last) / len(last) if last else 0.0


def _title(metrics: dict[str, Any]) -> str:
    which = "held-out" if metrics["split"] == "heldout" else "training"
    return (
        f"PSNR {metrics['psnr_db']:.2f} dB, SSIM {metrics['ssim']:.3f} on {metrics['clips']} {which} clips "
        f"(mean frame: {metrics['baseline_psnr_db']:.2f} dB, {metrics['baseline_ssim']:.3f})"
    )
