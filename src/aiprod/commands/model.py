"""``aiprod model`` prints what a transformer costs before anybody builds it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def model(
    preset: Annotated[list[str] | None, typer.Argument(help="demo, small, 300m, 1b, 2b; default: all")] = None,
    video_tokens: Annotated[int, typer.Option(min=1, help="video tokens per sample")] = 784,
    audio_tokens: Annotated[int, typer.Option(min=0, help="audio tokens per sample")] = 52,
    text_tokens: Annotated[int, typer.Option(min=0, help="text tokens per sample")] = 32,
    batch: Annotated[int, typer.Option(min=1, help="samples per batch")] = 1,
) -> None:
    """Print parameters and floating-point operations of the transformer presets.

    Example: aiprod model demo 2b --video-tokens 8192
    """
    from aiprod.core.transformer.config import AVTransformerConfig
    from aiprod.core.transformer.costs import Workload, count_flops, count_parameters

    work = Workload(batch=batch, video_tokens=video_tokens, audio_tokens=audio_tokens, text_tokens=text_tokens)
    table = Table("preset", "parameters", "forward GFLOP", "training step GFLOP", "weights in bf16 MiB")
    for name in preset or AVTransformerConfig.presets():
        config = AVTransformerConfig.preset(name)
        count, flops = count_parameters(config), count_flops(config, work)
        table.add_row(name, f"{count:,}", f"{flops / 1e9:,.2f}", f"{3 * flops / 1e9:,.2f}", f"{count * 2 / 2**20:,.0f}")
    Console().print(table)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(model)
