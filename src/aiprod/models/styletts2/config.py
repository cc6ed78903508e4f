"""Sizes of a published StyleTTS2 or Kokoro: what its configuration states, and what only its tensors show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aiprod.errors import CheckpointError

SAMPLE_RATE = 24_000
_Size = Annotated[int, Field(ge=1, le=65_536)]
_Few = Annotated[int, Field(ge=1, le=64)]
_Rate = Annotated[int, Field(ge=2, le=64)]


class _Section(BaseModel):
    """Settings of training stand between those of the networks; they are not read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class AlbertConfig(_Section):
    """Of the encoder of phonemes (PL-BERT)."""

    hidden_size: _Size
    num_attention_heads: _Few
    intermediate_size: _Size
    max_position_embeddings: Annotated[int, Field(ge=4, le=65_536)]
    num_hidden_layers: _Few

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> AlbertConfig:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size is no multiple of num_attention_heads")
        return self


class DecoderConfig(_Section):
    """Of what makes sound of phonemes with their F0 and energy."""

    type: Literal["istftnet", "hifigan"] = "istftnet"
    resblock_kernel_sizes: Annotated[tuple[_Few, ...], Field(min_length=1, max_length=16)]
    resblock_dilation_sizes: tuple[Annotated[tuple[_Few, ...], Field(min_length=3, max_length=3)], ...]
    upsample_rates: Annotated[tuple[_Rate, ...], Field(min_length=1, max_length=8)]
    upsample_kernel_sizes: tuple[_Few, ...]
    upsample_initial_channel: _Size
    gen_istft_n_fft: Annotated[int, Field(ge=4, le=4_096)] = 20
    gen_istft_hop_size: Annotated[int, Field(ge=1, le=4_096)] = 5

    @property
    def hop(self) -> int:
        """Samples of a step of F0; a phoneme's duration counts twice as many."""
        return math.prod(self.upsample_rates) * (self.gen_istft_hop_size if self.type == "istftnet" else 1)

    @model_validator(mode="after")
    def _lists_fit(self) -> DecoderConfig:
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise ValueError("resblock_kernel_sizes and resblock_dilation_sizes differ in length")
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise ValueError("upsample_rates and upsample_kernel_sizes differ in length")
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True):
            if kernel != 2 * rate if self.type == "hifigan" else kernel < rate or (kernel - rate) % 2:
                raise ValueError("an upsample_kernel_sizes does not fit its upsample_rates")
        if self.upsample_initial_channel % 2 ** len(self.upsample_rates):
            raise ValueError("upsample_initial_channel cannot be halved so often")
        if any(size % 2 == 0 for size in self.resblock_kernel_sizes):
            raise ValueError("resblock_kernel_sizes are not odd")
        if self.hop > SAMPLE_RATE:
            raise ValueError("a step of F0 is longer than a second")
        return self


class StyleTts2Config(_Section):
    """Of all networks that speak.

    Attributes:
        decoder_width: channels within the decoder.
        decoder_skip: channels by which the decoder sees the phonemes again.
        embedding_size: of the encoder of phonemes.
        dim_in, max_conv_dim: first and most channels of what reads a style from sound.
    """

    n_token: _Size
    hidden_dim: Annotated[int, Field(ge=2, le=65_536, multiple_of=2)]
    style_dim: _Size
    n_layer: _Few
    max_dur: _Size
    n_mels: Annotated[int, Field(ge=80, le=1_024)] = 80
    text_encoder_kernel_size: Annotated[int, Field(ge=1, le=63)] = 5
    plbert: AlbertConfig
    decoder: DecoderConfig
    dim_in: _Size = 64
    max_conv_dim: _Size = 512
    decoder_width: _Size = 1024
    decoder_skip: _Size = 64
    embedding_size: _Size = 128

    @model_validator(mode="after")
    def _kernel_has_a_middle(self) -> StyleTts2Config:
        if self.text_encoder_kernel_size % 2 == 0:
            raise ValueError("text_encoder_kernel_size is not odd")
        return self

    @property
    def frame(self) -> int:
        """Samples of a step of durations."""
        return 2 * self.decoder.hop


def config_of(stated: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], where: str) -> StyleTts2Config:
    """What a checkpoint's networks are made from.

    Args:
        stated: ``plbert`` and ``decoder`` among it.
        shapes: of all tensors, by their published names; three sizes stand in no configuration.

    Raises:
        CheckpointError: a setting is missing or cannot be.
    """
    seen = {
        "decoder_width": shapes.get("decoder.encode.conv2.weight", (0,))[0],
        "decoder_skip": shapes.get("decoder.asr_res.0.weight", (0,))[0],
        "embedding_size": shapes.get("bert.embeddings.word_embeddings.weight", (0, 0))[-1],
    }
    try:
        return StyleTts2Config.model_validate({**stated, **{name: size for name, size in seen.items() if size}})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the settings together"
        raise CheckpointError(
            f"the configuration of {where} is not that of StyleTTS2 or Kokoro ({place}: {first['msg']})",
            "give the checkpoint with the configuration it was published with",
        ) from None
