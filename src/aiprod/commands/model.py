"""``aiprod model``: what a transformer costs, what a file of weights is, and checkpoints and LoRA in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aiprod.commands.model_estimate import estimate
from aiprod.errors import AiprodError

app = typer.Typer(
    no_args_is_help=True,
    help="Models: what training takes, published checkpoints and LoRA in and out.\n\n"
    "Example: aiprod model inspect ltx-2.safetensors",
)

app.command()(estimate)
_Sources = Annotated[list[Path], typer.Argument(help="files or folders of weights, as published")]


@app.command()
def presets(
    preset: Annotated[list[str] | None, typer.Argument(help="demo, small, 300m, 1b, 2b; default: all")] = None,
    video_tokens: Annotated[int, typer.Option(min=1, help="video tokens per sample")] = 784,
    audio_tokens: Annotated[int, typer.Option(min=0, help="audio tokens per sample")] = 52,
    text_tokens: Annotated[int, typer.Option(min=0, help="text tokens per sample")] = 32,
    batch: Annotated[int, typer.Option(min=1, help="samples per batch")] = 1,
) -> None:
    """Print parameters and floating-point operations of the transformer presets.

    Example: aiprod model presets demo 2b --video-tokens 8192
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


@app.command()
def inspect(sources: _Sources) -> None:
    """Identify weight files: family, models in them, data types, parameters, and what is not recognised.

    Only headers are read. The exit code is 1 if something is not understood.

    Example: aiprod model inspect ltx-2-19b-dev.safetensors
    """
    from aiprod.models.published.recognise import RecognisedWeights, recognise, sources_in

    weights: list[RecognisedWeights] = [recognise(file) for source in sources for file in sources_in(source)]
    console = Console(soft_wrap=True)
    for source in weights:
        console.print(f"{escape(str(source.where))}: {escape(source.kind)}", highlight=False)
        for name, value in source.facts.items():
            if name != "ready":
                console.print(f"  {name}: {escape(str(value))}", highlight=False)
        for part in source.parts:
            stored = list(part.stored().values())
            kinds = ", ".join(sorted({about.dtype for about in stored}))
            values = sum(about.numel for about in stored)
            line = f"  {part.name}: {part.class_name}, {len(stored)} tensors, {values:,} values in {kinds}"
            console.print(escape(line), highlight=False)
        for line in source.unread:
            console.print(f"  not read: {escape(line)}", highlight=False)
        for error in source.problems:
            console.print(f"  refused: {escape(str(error))}", highlight=False)
    if any(source.problems for source in weights):
        raise typer.Exit(1)


@app.command("import")
def import_(  # noqa: PLR0917
    sources: _Sources,
    to: Annotated[Path, typer.Option(help="folder to write, in diffusers format")],
    text_encoder: Annotated[
        Path | None, typer.Option(help="folder of the text encoder, if no file contains it")
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="folder of the tokenizer, if no file contains it")] = None,
    lora: Annotated[list[str] | None, typer.Option(help="FILE or FILE:STRENGTH, added to the transformer")] = None,
    dtype: Annotated[str | None, typer.Option(help="bf16, fp16 or fp32; default: as stored, fp8 as bf16")] = None,
) -> None:
    """Convert a published checkpoint to a diffusers folder, which every `init` accepts.

    LTX-2, 2.3 and 2.5 (one file, or one a part), Wan 2.1 and 2.2 (both experts), fp8 with factors, shards. What is not
    understood is refused with the names of its tensors, and nothing is written.

    Examples:
        aiprod model import ltx-2-19b-dev.safetensors --text-encoder gemma-3-12b-it --to models/given
        aiprod model import wan2.2_high_noise.safetensors wan2.2_low_noise.safetensors wan_vae.safetensors
            umt5_xxl.safetensors --to models/given
    """
    from aiprod.models.published.import_pipeline import DTYPES, import_pipeline

    if dtype is not None and dtype not in DTYPES:
        raise AiprodError(f"--dtype is {dtype}", f"give one of {', '.join(DTYPES)}")
    import_pipeline(
        sources,
        to,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        loras=[_with_strength(text) for text in lora or []],
        dtype=dtype,
        report=lambda line: typer.echo(f"  {line}"),
    )
    typer.echo(f"wrote {to}")


@app.command("lora")
def convert_lora(
    source: Annotated[Path, typer.Argument(help="a LoRA in any style: a file, or a peft folder")],
    to: Annotated[Path, typer.Option(help="file to write; for peft, a folder")],
    style: Annotated[str, typer.Option(help="diffusers, comfyui, kohya or peft")],
    model: Annotated[Path, typer.Option(help="folder of the transformer that it belongs to")],
    expert: Annotated[str | None, typer.Option(help="high or low: which expert of Wan 2.2 it belongs to")] = None,
) -> None:
    """Convert a LoRA to another key style. Its layers must match the model's by name and size.

    A LoRA that was trained here on both experts of Wan 2.2 is written in two files, one for each `--expert`.

    Example: aiprod model lora models/diffusion/lora --style comfyui --model models/given --to my_lora.safetensors
    """
    from aiprod.models.checkpoint.lora_file import STYLES, fit_lora, read_lora, write_lora
    from aiprod.models.published.recognise import weights_of

    chosen = next((known for known in STYLES if known == style), None)
    if chosen is None:
        raise AiprodError(f"--style is {style}", f"give one of {', '.join(STYLES)}")
    if expert not in (None, "high", "low"):
        raise AiprodError(f"--expert is {expert}", "give high or low")
    stored = weights_of(model, "transformer_2" if expert == "low" else "transformer").tensors
    shapes = {name: about.shape for name, about in stored.items() if name.endswith(".weight")}
    lora = read_lora(source)
    lora = lora.within(f"{expert}.") if expert else lora
    layers = fit_lora(lora, shapes)
    write_lora(layers, to, chosen, shapes)
    typer.echo(f"wrote {to}: {len(layers)} layers, {lora.style} keys as {chosen}")


def _with_strength(text: str) -> tuple[Path, float]:
    path, _, strength = text.rpartition(":")
    if path and not Path(text).exists():
        try:
            return Path(path), float(strength)
        except ValueError:
            raise AiprodError(f"--lora {text} has no number behind the colon", "give FILE or FILE:STRENGTH") from None
    return Path(text), 1.0


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="model")
