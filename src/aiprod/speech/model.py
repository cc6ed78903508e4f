"""A whole speech model: acoustic model, vocoder, the names it knows and the statistics of its features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aiprod.errors import AiprodError
from aiprod.models.checkpoint.folder import building, open_checkpoint, save_checkpoint
from aiprod.speech.acoustic import RESIDUAL, STATES, STYLE, Acoustic, PhraseBatch, SpeechModelConfig
from aiprod.speech.features import CHANNELS, F0, VOICING
from aiprod.speech.phones import LANGUAGES, SYMBOLS
from aiprod.speech.text_to_phones import G2P, VERSION
from aiprod.speech.vocoder import Vocoder

CLASS = "SpeechModel"


class SpeechModel(nn.Module):
    """Phones to sound, for speakers that are known by name or by a style."""

    def __init__(self, config: SpeechModelConfig, speakers: Sequence[str]) -> None:
        super().__init__()
        self.config, self.speakers = config, tuple(speakers)
        self.taught_by: dict[str, str] = {}  # speaker → provenance, of those that a teacher spoke
        self.length_factor = 1.0  # what predicted lengths are multiplied by: see `measure_lengths`
        self.unheard: tuple[str, ...] = ()  # languages that it was shown no utterance of
        self.acoustic = Acoustic(config, len(SYMBOLS), len(LANGUAGES), len(self.speakers))
        self.vocoder = Vocoder(config.vocoder)
        for name, size in (
            ("mean", CHANNELS),
            ("deviation", CHANNELS),
            ("style_mean", STYLE),
            ("style_deviation", STYLE),
        ):
            self.register_buffer(name, torch.zeros(size) if name.endswith("mean") else torch.ones(size))

        self.register_buffer("weights", _weights(), persistent=False)

    def normalised(self, features: Tensor) -> Tensor:
        """Features ``[..., CHANNELS, T]`` with a mean of 0 and a deviation of 1."""
        return (features - self.mean[:, None]) / self.deviation[:, None]  # type: ignore[index]

    def natural(self, normalised: Tensor) -> Tensor:
        """The reverse."""
        return normalised * self.deviation[:, None] + self.mean[:, None]  # type: ignore[index]

    def normalised_style(self, style: Tensor) -> Tensor:
        """A style as the model takes it."""
        return (style - self.style_mean) / self.style_deviation  # type: ignore[operator]

    def forward(  # noqa: PLR0917 (a module's inputs)
        self,
        spoken: PhraseBatch,
        frames: Tensor,
        features: Tensor,
        noise: Tensor,
        at: Tensor,
        crops: Tensor,
        seed: int,
    ) -> dict[str, Tensor]:
        """Losses of durations, prior and flow, each the mean over samples, and the vocoder's sound of the crops.

        Args:
            features: ``[B, CHANNELS, T]`` in their own units.
            noise: like them, 0 where there are none.
            at: ``[B]`` times of the flow.
            crops: ``[B, CHANNELS, F]`` pieces of the features.
            seed: of the vocoder's noise.
        """
        model = self.acoustic
        x, condition, log_frames, mask = model.encode(spoken)
        wanted = frames.clamp_min(1).float().log()
        duration = (((log_frames - wanted).square() * mask[:, 0]).sum(1) / mask.sum((1, 2))).mean()
        expanded, wide = model.expand(x, frames)
        prior, conditioning = model.prior(expanded, wide, condition)
        target = self.normalised(features)
        weights: Tensor = self.weights  # type: ignore[assignment]
        counted = wide * weights[:, None]
        per = counted.sum((1, 2))
        first = (((prior - target).square() * counted).sum((1, 2)) / per).mean()
        left = (target - prior.detach()) / RESIDUAL
        noisy = torch.lerp(noise, left, at[:, None, None])
        velocity = model.velocity(noisy, at, prior.detach(), conditioning, wide, condition)
        flow = (((velocity - (left - noise)).square() * counted).sum((1, 2)) / per).mean()
        sound = self.vocoder(crops, self.normalised(crops), seed=seed)
        return {"duration": duration, "prior": first, "flow": flow, "sound": sound}

    def sound(self, normalised: Tensor, *, seed: int) -> Tensor:
        """Normalised features to sound."""
        samples: Tensor = self.vocoder(self.natural(normalised), normalised, seed=seed)
        return samples

    @property
    def teachers(self) -> dict[str, list[str]]:
        """What records of its speech say where it learnt from teachers: all of them, for all share its weights."""
        return {"taught_by": sorted(set(self.taught_by.values()))} if self.taught_by else {}

    def about(self) -> dict[str, Any]:
        """What a checkpoint says of itself."""
        return {
            "model": self.config.model_dump(mode="json"),
            "speakers": list(self.speakers),
            "languages": list(LANGUAGES),
            "symbols": list(SYMBOLS),
            "states": STATES,
            "length_factor": self.length_factor,
            "g2p": {"name": G2P, "version": VERSION},
            **({"taught_by": dict(sorted(self.taught_by.items()))} if self.taught_by else {}),
            **({"unheard_languages": list(self.unheard)} if self.unheard else {}),
        }

    def save(self, folder: Path) -> str:
        """Write a checkpoint folder; its digest."""
        return save_checkpoint(folder, self.about(), self.state_dict(), CLASS)


def _weights() -> Tensor:
    """Of the channels in the loss: one F0 says as much as many bands, and would not be learnt among them."""
    weights = torch.ones(CHANNELS)
    weights[[F0, VOICING]] = 10.0
    return weights


def load_speech_model(folder: Path | str) -> SpeechModel:
    """Read a checkpoint folder.

    Raises:
        AiprodError: missing, damaged, of another kind, or trained with another grapheme-to-phoneme or other phones.
    """
    with building(folder):
        files = open_checkpoint(folder, CLASS)
        about = files.config
        own = {"name": G2P, "version": VERSION}
        if about.get("g2p") != own:
            raise AiprodError(
                f"{folder} was trained with the grapheme-to-phoneme {about.get('g2p')}, and this is {own}",
                "train it again with `dvc repro train_speech`",
            )
        if about.get("symbols") != list(SYMBOLS) or about.get("languages") != list(LANGUAGES):
            raise AiprodError(
                f"{folder} knows other phones or languages", "train it again with `dvc repro train_speech`"
            )
        if about.get("states") != STATES:
            raise AiprodError(
                f"{folder} was trained by another version, whose phones have not {STATES} states",
                "train it again with `dvc repro train_speech`",
            )
        model = SpeechModel(SpeechModelConfig.model_validate(about["model"]), about["speakers"])
        model.taught_by = dict(about.get("taught_by", {}))
        model.length_factor = float(about.get("length_factor", 1.0))
        model.unheard = tuple(about.get("unheard_languages", ()))
        model.load_state_dict(files.tensors())
    return model.eval()
