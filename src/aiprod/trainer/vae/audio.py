"""Trains the waveform autoencoder on clips' sound, measures it on films it has not heard, and writes what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor

from aiprod.base.params import Params
from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.config import AudioVAEConfig
from aiprod.errors import AiprodError
from aiprod.models.adapters.autoencoders import load_audio_vae
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.training_set import Selection
from aiprod.trainer.vae.data import AudioDataParams, DecodedClips, load_sound, window_samples
from aiprod.trainer.vae.figures import draw_sounds
from aiprod.trainer.vae.losses import AudioLossParams, AudioVAELoss, SpectralLoss
from aiprod.trainer.vae.metrics import is_silent, si_sdr_db, snr_db
from aiprod.trainer.vae.pca_init import start_audio
from aiprod.trainer.vae.run import VAEEvaluation, finish_vae, start_vae, train_vae
from aiprod.trainer.vae.strategy import VAEStrategy, VAETrainerConfig

SECTION = "train_audio_vae"


class AudioVaeStageParams(Params):
    """Train the audio autoencoder, or copy one."""

    init: str | None = Field(
        default=None, min_length=1, description="checkpoint folder to start from; with steps: 0 it is copied"
    )
    model: AudioVAEConfig = AudioVAEConfig()
    data: AudioDataParams = AudioDataParams()
    loss: AudioLossParams = AudioLossParams()
    trainer: VAETrainerConfig = VAETrainerConfig(steps=250, batch=4)
    heldout_clips: int = Field(default=24, ge=1, description="maximum number of held-out clips to evaluate")
    threads: int = Field(default=0, ge=0, le=1024, description="torch threads on CPU; 0: one per core")

    @field_validator("trainer")
    @classmethod
    def _no_discriminator(cls, trainer: VAETrainerConfig) -> VAETrainerConfig:
        if trainer.adversarial:
            setting = f"adversarial is {trainer.adversarial:g}"
            raise ValueError(f"{setting} and there is no audio discriminator, so it would have no effect: set it to 0")
        return trainer


class AudioVAEStrategy(VAEStrategy):
    """Windows of sound, some anywhere and some round loud moments, so that silence does not fill the batches."""

    vae: AudioVAE

    def __init__(self, vae: AudioVAE, decoded: DecodedClips, data: AudioDataParams, **rest: Any) -> None:
        super().__init__(vae, decoded, **rest)
        self.data = data
        hop = vae.compression.hop
        self.window = window_samples(data, hop, vae.compression.sample_rate)
        self._power = [t.float().square().mean(0).unflatten(0, (-1, hop)).mean(1) + 1e-9 for t in decoded.tensors]
        self._loudness = torch.stack([p.max().sqrt() for p in self._power])

    def draw(self, generator: torch.Generator) -> tuple[list[tuple[int, int]], list[int]]:
        """(clip, first sample) of each window, whole hops."""
        windows = []
        for _ in range(self.config.batch):
            loud = float(torch.rand((), generator=generator)) < self.data.loud_share
            weights = self._loudness if loud else torch.ones_like(self._loudness)
            clip = int(torch.multinomial(weights, 1, generator=generator))
            hop = self.vae.compression.hop
            room = (self.decoded.tensors[clip].shape[1] - self.window) // hop + 1
            first = int(torch.randint(room, (), generator=generator))
            if loud:  # a hop drawn by its power lies somewhere in the window
                peak = int(torch.multinomial(self._power[clip], 1, generator=generator))
                before = int(torch.randint(self.window // hop, (), generator=generator))
                first = min(max(0, peak - before), room - 1)
            windows.append((clip, first * hop))
        return windows, [clip for clip, _ in windows]

    def cut(self, where: list[tuple[int, int]]) -> Tensor:
        """``[B, 2, T]`` in [−1, 1]."""
        return torch.stack([self.decoded.tensors[c][:, s : s + self.window] for c, s in where]).float()

    def latent_shape(self, x: Tensor) -> tuple[int, ...]:
        """Of a batch's latents."""
        c = self.vae.compression
        return (x.shape[0], c.channels, x.shape[2] // c.hop)

    def initialise(self) -> None:
        """Principal components of the loudest frames."""
        start_audio(self.vae, [t[None].float() for t in self.decoded.tensors[:256]], self.seed)


def train_audio_vae(
    params: AudioVaeStageParams, selection: Selection, context: TrainContext, *, models: Path, reports: Path
) -> dict[str, Any]:
    """Train (or copy) the audio autoencoder and write ``models`` and ``reports``; the metrics.

    Raises:
        AiprodError: no clip has sound, or ``init`` is no audio autoencoder.
    """
    vae = start_vae(
        params, SECTION, context.seed, own=AudioVAE, load=load_audio_vae, build=lambda: AudioVAE(params.model)
    )
    hop, rate = vae.compression.hop, vae.compression.sample_rate
    train = load_sound(selection.train, params.data, hop, rate, context.seed, "sound to train on")
    apart = selection.heldout[: params.heldout_clips]
    heldout = load_sound(apart, params.data, hop, rate, context.seed, "sound held out")
    if not train.tensors:
        raise AiprodError("no clip to train on has sound", f"add clips with sound, or set {SECTION}.init and steps: 0")
    strategy = AudioVAEStrategy(
        vae,
        train,
        params.data,
        objective=AudioVAELoss(params.loss),
        config=params.trainer,
        lr=context.lr,
        seed=context.seed,
        new=not params.init,
    )

    def latents(number: int, sound: Tensor) -> Tensor:
        latent: Tensor = vae.encode(sound[None].float()).mode()
        return latent

    trained = train_vae(strategy, params, context, name="audio_vae", latents=latents)
    metrics, rows = evaluate_audio(vae, heldout if len(heldout) else train)
    return finish_vae(
        trained,
        selection,
        (train, heldout),
        VAEEvaluation(metrics, rows, {}),
        name="audio VAE",
        left_out={c.clip_id: "no sound" for c in selection.all if not c.has_audio},
        title=_title,
        draw=lambda path, title, shown: draw_sounds(path, title, shown, rate),
        models=models,
        reports=reports,
    )


@torch.no_grad()
def evaluate_audio(vae: AudioVAE, clips: DecodedClips) -> tuple[dict[str, Any], list[Any]]:
    """Mean SI-SDR, SNR and STFT distance over clips that are not silent, against silence, and rows for the picture.

    Silence has an SNR of exactly 0 dB; its SI-SDR is minus infinity, so it is not a figure here.
    """
    spectral = SpectralLoss(windows=(512, 2048, 8192), overlap=4)
    figures: dict[str, list[float]] = {}
    rows, silent = [], 0
    for clip, sound in zip(clips.clips, clips.tensors, strict=True):
        x = sound[None].float()
        if bool(is_silent(x)):
            silent += 1
            continue
        y = vae.decode(vae.encode(x).mode()).clamp(-1, 1)
        ratio = float(si_sdr_db(y, x))
        figures.setdefault("si_sdr_db", []).append(ratio)
        figures.setdefault("snr_db", []).append(float(snr_db(y, x)))
        figures.setdefault("stft_distance", []).append(float(spectral(y, x)))
        figures.setdefault("baseline_stft_distance", []).append(float(spectral(torch.zeros_like(x), x)))
        if not is_private(clip.clip_id):  # the picture goes into a report
            rows.append((f"{clip.caption or clip.clip_id}"[:70] + f" · SI-SDR {ratio:.1f} dB", x[0], y[0]))
    means: dict[str, Any] = {name: sum(v) / len(v) for name, v in figures.items()}
    count = len(figures.get("snr_db", []))
    return {"clips": count, "silent_clips": silent, "baseline": "silence", "baseline_snr_db": 0.0, **means}, rows


def _title(metrics: dict[str, Any]) -> str:
    which = "held-out" if metrics["split"] == "heldout" else "training"
    if not metrics["clips"]:
        return f"no {which} clip has sound that could be measured"
    return (
        f"SI-SDR {metrics['si_sdr_db']:.2f} dB, SNR {metrics['snr_db']:.2f} dB, STFT distance "
        f"{metrics['stft_distance']:.3f} on {metrics['clips']} {which} clips "
        f"(silence: 0 dB, {metrics['baseline_stft_distance']:.3f})"
    )
