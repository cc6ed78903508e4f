"""What a transformer costs before it is built: parameters, and floating-point operations of a forward pass.

One multiply-add counts as two operations; matrix products and attention are counted, elementwise work is not, which is
what torch's ``FlopCounterMode`` counts. A training step costs three times a forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.fourier_features import place_values

_SINUSOID = 256
_NEIGHBOURS = 27  # values that a token's depthwise convolution reads of each channel, itself included


@dataclass(frozen=True)
class Workload:
    """One call: samples, and tokens per sample. ``token_times``: one noise level per token, not per sample."""

    batch: int = 1
    video_tokens: int = 0
    audio_tokens: int = 0
    text_tokens: int = 0
    token_times: bool = False


def count_parameters(config: AVTransformerConfig) -> int:
    """Number of weights of ``AVTransformer(config)``, exactly."""
    return sum(
        _stream_parameters(config, width, heads, channels, axes)
        + (config.depth * _affine(_NEIGHBOURS, width) if config.depthwise_conv and axes == 3 else 0)
        for width, heads, channels, axes in (
            (config.video_width, config.video_heads, config.video_channels, 3),
            (config.audio_width, config.audio_heads, config.audio_channels, 1),
        )
    )


def count_flops(config: AVTransformerConfig, work: Workload) -> int:
    """Operations of one forward pass; a stream without tokens is absent."""
    streams = (
        (config.video_width, config.video_channels, work.video_tokens, work.audio_tokens, 3),
        (config.audio_width, config.audio_channels, work.audio_tokens, work.video_tokens, 1),
    )
    return work.batch * sum(_stream_flops(config, work, stream) for stream in streams if stream[2])


def _stream_parameters(config: AVTransformerConfig, width: int, heads: int, channels: int, axes: int) -> int:
    cross, hidden, time = config.cross_width, round(width * config.ff_ratio), round(width * config.time_ratio)
    block = (
        _affine(width, 4 * width + 3 * cross)
        + _affine(width, 2 * width)
        + _affine(2 * width + cross, width)
        + _affine(width, hidden)
        + _affine(hidden, width)
        + 6 * width
        + 4 * heads
        + 2 * config.cross_heads
        + (cross if config.cross_gates else 0)
    )
    ends = (
        _affine(channels, width)
        + _affine(width, channels)
        + _affine(config.text_dim, width)
        + _affine(width, width)
        + _affine(_SINUSOID, time)
        + _affine(time, width)
        + _affine(width, 8 * width)
        + 2 * width
    )
    if config.pooled_text:
        ends += _affine(config.text_dim, width)
    if config.place_features:
        ends += _affine(place_values(axes), width)
    return config.depth * block + ends


def _stream_flops(config: AVTransformerConfig, work: Workload, stream: tuple[int, int, int, int, int]) -> int:
    width, channels, own, other, axes = stream
    cross, hidden, time = config.cross_width, round(width * config.ff_ratio), round(width * config.time_ratio)
    text = work.text_tokens
    seen = 2 * width + (cross if other else 0)
    block = (
        _product(own, width, 4 * width + 3 * cross)
        + _attention(own, own, width)
        + _product(own, seen, width)
        + 2 * _product(own, width, hidden)
    )
    if text:
        block += _product(text, width, 2 * width) + _attention(own, text, width)
    if other:
        block += _attention(own, other, cross)
    if config.depthwise_conv and axes == 3:
        block += _product(own, _NEIGHBOURS, width)
    times = own if work.token_times else 1
    ends = (
        2 * _product(own, channels, width)
        + _product(text, config.text_dim, width)
        + _product(text, width, width)
        + _product(times, _SINUSOID, time)
        + _product(times, time, width)
        + _product(times, width, 8 * width)
    )
    if config.pooled_text and text:
        ends += _product(1, config.text_dim, width)
    if config.place_features:
        ends += _product(own, place_values(axes), width)
    return config.depth * block + ends


def _affine(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _product(rows: int, inputs: int, outputs: int) -> int:
    return 2 * rows * inputs * outputs


def _attention(queries: int, keys: int, width: int) -> int:
    return 4 * queries * keys * width
