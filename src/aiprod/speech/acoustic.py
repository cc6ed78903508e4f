"""The acoustic model: phones to durations, a first guess of the features, and rectified flow from noise to features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from aiprod.base.params import Params
from aiprod.speech.features import BANDS, CHANNELS, F0, VOICING

STYLE = 2 * BANDS + 2
RESIDUAL = 0.35  # deviation of what the prior leaves, which the flow is about
_PLACES = 5  # features of a frame's place in its phone and in its phrase
STATES = 3  # of a phone: how it begins, its middle and how it ends


class SpeechModelConfig(Params):
    """Sizes of a new model."""

    width: int = Field(default=128, ge=8, le=4096, description="channels of the encoder of phones")
    decoder: int = Field(default=160, ge=8, le=4096, description="channels of prior and flow")
    blocks: int = Field(default=4, ge=1, le=64, description="blocks of the flow")
    vocoder: int = Field(default=96, ge=8, le=4096, description="channels of the vocoder")


@dataclass(frozen=True)
class PhraseBatch:
    """A batch of phrases.

    Attributes:
        phones: ``[B, N]`` numbers of symbols, from 1; 0 pads.
        places: ``[B, N]`` 1: begins a word, 2: ends one, 3: both, 0: neither.
        language: ``[B]``.
        speaker: ``[B]`` from 1; 0: none, the style alone says who.
        style: ``[B, STYLE]``; zeros: none.
    """

    phones: Tensor
    places: Tensor
    language: Tensor
    speaker: Tensor
    style: Tensor


class _Block(nn.Module):
    """Residual convolution, with what everything in it should know added in front."""

    def __init__(self, width: int, kernel: int, dilation: int = 1, condition: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, 2 * width, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.condition = nn.Linear(condition, 2 * width) if condition else None

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        y = self.conv(_normed(x) * mask)
        if self.condition is not None and condition is not None:
            y = y + self.condition(condition)[..., None]
        a, b = y.chunk(2, 1)
        return x + self.mix(torch.tanh(a) * torch.sigmoid(b)) * mask


def _normed(x: Tensor) -> Tensor:
    """Over channels, so that padding does not matter."""
    return nn.functional.layer_norm(x.transpose(1, 2), x.shape[1:2]).transpose(1, 2)


class Acoustic(nn.Module):
    """Durations, prior and flow.

    Args:
        symbols: how many phones there are.
    """

    def __init__(self, config: SpeechModelConfig, symbols: int, languages: int, speakers: int) -> None:
        super().__init__()
        width, inner = config.width, config.decoder
        self.phone = nn.Embedding(symbols + 1, width, padding_idx=0)
        self.place = nn.Embedding(4, width)
        self.language = nn.Embedding(languages, width)
        self.speaker = nn.Embedding(speakers + 1, width, padding_idx=0)
        self.style = nn.Sequential(nn.Linear(STYLE, width), nn.SiLU(), nn.Linear(width, width))
        self.encoder = nn.ModuleList(_Block(width, 5, condition=width) for _ in range(3))
        self.length = nn.Sequential(
            nn.Conv1d(width + 2, width, 3, padding=1), nn.SiLU(), nn.Conv1d(width, 1, 3, padding=1)
        )
        self.to_frames = nn.Conv1d(width, STATES * inner, 1)
        self.place_in_frames = nn.Conv1d(_PLACES, inner, 1)
        self.prior_blocks = nn.ModuleList(_Block(inner, 5, condition=width) for _ in range(3))
        self.to_prior = nn.Conv1d(inner, CHANNELS, 1)
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.flow_enter = nn.Conv1d(2 * CHANNELS + inner, inner, 1)
        dilations = [(1, 2, 4)[n % 3] for n in range(config.blocks)]
        self.flow_blocks = nn.ModuleList(_Block(inner, 3, dilation, condition=width) for dilation in dilations)
        self.flow_leave = nn.Conv1d(inner, CHANNELS, 1)
        nn.init.zeros_(self.flow_leave.weight)
        nn.init.zeros_(self.flow_leave.bias)  # type: ignore[arg-type]

    def encode(self, spoken: PhraseBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Phones ``[B, width, N]``, who and in which language ``[B, width]``, log frames ``[B, N]``, and the mask."""
        present = spoken.style.abs().amax(1, keepdim=True) > 0
        who = self.speaker(spoken.speaker) + torch.where(present, self.style(spoken.style), 0.0)
        condition = who + self.language(spoken.language)
        mask = (spoken.phones > 0)[:, None].float()
        x = (self.phone(spoken.phones) + self.place(spoken.places)).transpose(1, 2) + condition[..., None]
        for block in self.encoder:
            x = block(x, mask, condition)
        count = mask.sum(2)
        at = (torch.cumsum(mask[:, 0], 1) - 1) / count
        ahead = (count - torch.cumsum(mask[:, 0], 1)).clamp(0, 8) / 8
        place = torch.stack([at, ahead], 1) * mask
        # masked before each convolution, or the last phone of a phrase would last as long as its padding suggests
        first, bend, second = self.length
        log_frames = second(bend(first(torch.cat([x.detach() * mask, place], 1))) * mask)[:, 0]
        return x * mask, condition, log_frames, mask

    def expand(self, phones: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Phones stretched to their frames ``[B, N]``, with each frame's place, and the mask ``[B, 1, T]``."""
        ends = frames.cumsum(1)
        total = int(ends[:, -1].max())
        at = torch.arange(total, device=frames.device)[None].expand(len(frames), -1).contiguous()
        index = torch.searchsorted(ends, at, right=True).clamp_max(frames.shape[1] - 1)
        mask = (at < ends[:, -1:])[:, None].float()
        length = frames.gather(1, index).clamp_min(1)
        within = at - (ends.gather(1, index) - length)
        share = (within + 0.5) / length
        phrase = (at + 0.5) / ends[:, -1:]
        left = ((ends[:, -1:] - at).clamp(0, 60) / 60).float()
        place = torch.stack([share, (within + 0.5).log() * 0.5, length.float().log() * 0.5, phrase, left], 1)
        states: Tensor = self.to_frames(phones)
        wide = states.gather(2, index[:, None].expand(-1, states.shape[1], -1)).unflatten(1, (STATES, -1))
        x = (wide * _passage(share)[:, :, None]).sum(1) + self.place_in_frames(place.float())
        return x * mask, mask

    def prior(self, x: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """First guess of the normalised features, and what it was made from."""
        for block in self.prior_blocks:
            x = block(x, mask, condition)
        return self.to_prior(x) * mask, x

    def velocity(  # noqa: PLR0917 (a module's inputs)
        self, noisy: Tensor, at: Tensor, prior: Tensor, x: Tensor, mask: Tensor, condition: Tensor
    ) -> Tensor:
        """Where what the prior leaves, over :data:`RESIDUAL`, moves at time ``at`` ``[B]``: from noise at 0 to it at 1.

        What is best where nothing is known, for noise and data of the same spread, is a formula (compare the
        preconditioning of Karras et al. 2022); the network adds what it knows.
        """
        conditioning = condition + self.time(_fourier(at))
        y = self.flow_enter(torch.cat([noisy, prior, x], 1) * mask)
        for block in self.flow_blocks:
            y = block(y, mask, conditioning)
        at = at[:, None, None]
        power = (1 - at).square() + at.square()
        field: Tensor = ((2 * at - 1) / power * noisy + self.flow_leave(y) / power.sqrt()) * mask
        return field

    @torch.no_grad()
    def sample(
        self, spoken: PhraseBatch, frames: Tensor | None, *, steps: int, temperature: float, speed: float, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Normalised features ``[B, CHANNELS, T]`` and frames ``[B, N]``, predicted where none are given.

        Args:
            steps: of Euler's method; 0 takes the prior.
            temperature: deviation of the noise that the flow begins with.
        """
        x, condition, log_frames, mask = self.encode(spoken)
        if frames is None:
            frames = whole_frames(log_frames, mask[:, 0], speed)
        expanded, wide_mask = self.expand(x, frames)
        prior, conditioning = self.prior(expanded, wide_mask, condition)
        if not steps:
            return prior, frames
        generator = torch.Generator().manual_seed(seed)
        y = temperature * torch.randn(prior.shape, generator=generator).to(prior.device) * wide_mask
        y[:, F0:] = 0.0  # a melody that trembles is heard as a rough voice
        for step in range(steps):
            at = torch.full((len(y),), step / steps, device=y.device)
            y = y + self.velocity(y, at, prior, conditioning, wide_mask, condition) / steps
        return prior + RESIDUAL * y, frames


def _passage(share: Tensor) -> Tensor:
    """``[B, STATES, T]``: how much of each state of its phone a frame has that lies at ``share`` ``[B, T]`` of it."""
    begin, end = (1 - 2 * share).clamp_min(0), (2 * share - 1).clamp_min(0)
    return torch.stack([begin, 1 - begin - end, end], 1)


def whole_frames(log_frames: Tensor, mask: Tensor, speed: float = 1.0) -> Tensor:
    """Whole frames of each phone, at least one; rounding is carried on, so that a phrase keeps its length."""
    exact = (log_frames.clamp(-1, 6).exp() / speed).clamp_min(1.0) * mask
    ends = exact.double().cumsum(1).round()
    frames = torch.diff(ends, dim=1, prepend=ends.new_zeros(len(ends), 1)).long()
    return frames.clamp_min(1) * mask.long()


def _fourier(at: Tensor) -> Tensor:
    scales = torch.exp(torch.linspace(0, math.log(100.0), 16, device=at.device))
    angles = at[:, None] * scales[None] * 2 * math.pi
    return torch.cat([angles.sin(), angles.cos()], 1)


def style_of(features: Tensor) -> Tensor:
    """``[STYLE]``: how an utterance sounds as a whole: mean and spread of its envelope where voiced, and of F0."""
    voiced = features[VOICING] > 0
    chosen = features[:, voiced] if bool(voiced.sum() >= 4) else features
    envelope, pitch = chosen[:BANDS], chosen[F0]
    return torch.cat([envelope.mean(1), envelope.std(1), torch.stack([pitch.mean(), pitch.std()])])
