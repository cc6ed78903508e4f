"""The whole network: tokens and a style to sound and durations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aiprod.models.styletts2.albert import Albert
from aiprod.models.styletts2.config import StyleTts2Config
from aiprod.models.styletts2.decoder import Decoder
from aiprod.models.styletts2.prosody import Prosody, TextEncoder
from aiprod.models.styletts2.style import StyleEncoder


class StyleTts2(nn.Module):
    """Speaks tokens.

    Args:
        styles: whether it can read a style from sound; Kokoro comes without.
    """

    def __init__(self, config: StyleTts2Config, *, styles: bool) -> None:
        super().__init__()
        self.config = config
        self.bert = Albert(config.plbert, config.n_token, config.embedding_size)
        self.bert_encoder = nn.Linear(config.plbert.hidden_size, config.hidden_dim)
        self.predictor = Prosody(config)
        self.text_encoder = TextEncoder(config)
        self.decoder = Decoder(config)
        self.style_encoder, self.predictor_encoder = (StyleEncoder(config) if styles else None for _ in range(2))

    @torch.no_grad()
    def speak(self, tokens: Tensor, style: Tensor, *, speed: float, seed: int) -> tuple[Tensor, Tensor]:
        """Sound ``[samples]`` at :data:`aiprod.models.styletts2.config.SAMPLE_RATE`, and the steps of each token.

        Args:
            tokens: ``[N]``, with the silence at both ends.
            style: ``[2 · style_dim]``: of the sound, then of the prosody.
        """
        sounding, moving = style[None].split(self.config.style_dim, 1)
        states = self.bert_encoder(self.bert(tokens[None]))
        encoded, exact = self.predictor.durations(states, moving)
        steps = (exact[0] / speed).round().clamp_min(1).long()
        owner = torch.repeat_interleave(torch.arange(len(tokens)), steps)
        phonemes = self.text_encoder(tokens[None])
        if self.config.decoder.type == "hifigan":  # those were trained one step late
            owner = torch.cat([owner[:1], owner[:-1]])
        f0, energy = self.predictor.melody(encoded[:, owner], moving)
        noise = self.decoder.noise(f0.shape[1], seed).to(f0)
        sound = self.decoder(phonemes[:, :, owner], f0, energy, sounding, noise)
        return sound[0], steps

    @torch.no_grad()
    def style_of(self, mel: Tensor) -> Tensor:
        """The style ``[2 · style_dim]`` of a normalised mel spectrogram ``[n_mels, T]``."""
        assert self.style_encoder is not None and self.predictor_encoder is not None
        shown = mel[None, None]
        return torch.cat([self.style_encoder(shown), self.predictor_encoder(shown)], 1)[0]
