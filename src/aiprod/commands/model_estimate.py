"""``aiprod model estimate``: memory and time of a training step, before anything is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from aiprod.errors import AiprodError

if TYPE_CHECKING:
    from aiprod.trainer.diffusion.cards import Card
    from aiprod.trainer.diffusion.planned_steps import PlannedStep


def estimate(  # noqa: PLR0917
    file: Annotated[Path, typer.Argument(help="a parameter file, or the folder of a transformer or pipeline")],
    card: Annotated[str | None, typer.Option(help="h200, h100, a100, l40s, l4, rtx5090, rtx4090 or rtx3090")] = None,
    memory_gib: Annotated[float | None, typer.Option(min=0.1, help="memory of another card, in GiB")] = None,
    tflops: Annotated[float | None, typer.Option(min=0.001, help="its dense bf16 TFLOPS; needs --bandwidth")] = None,
    bandwidth: Annotated[float | None, typer.Option(min=1, help="GB/s of its memory")] = None,
    params: Annotated[Path, typer.Option(help="settings to train a folder with")] = Path("params.yaml"),
    change: Annotated[
        list[str] | None, typer.Option("--set", "-S", help="KEY=VALUE, as train_diffusion.swap_blocks=4")
    ] = None,
    text_tokens: Annotated[int, typer.Option(min=1, help="tokens of a caption")] = 128,
    cpu: Annotated[bool, typer.Option(help="measure this processor, for half a second, and estimate its time")] = True,
) -> None:
    """Estimate memory and time of a training step, in each phase of the curriculum.

    A step is made on tensors without content, by the code that trains, so every setting counts: batch, sizes, LoRA,
    int8, checkpointing, swapped blocks, precision, optimizer. Memory agrees with real steps on a CPU within 10 %
    (measured: 5 %); it leaves out what a driver, its libraries and fragmentation take. Times are lower bounds: each
    operation at the published rates, the slower of arithmetic and memory. They have not been compared with a GPU.

    Examples:
        aiprod model estimate params/gpu.yaml --card h200
        aiprod model estimate params/gpu.yaml --card rtx4090 -S train_diffusion.gradient_checkpointing=true
        aiprod model estimate models/ltx2 --params params/gpu.yaml --memory-gib 24
    """
    from aiprod.trainer.diffusion.cards import Card, card_of, this_processor
    from aiprod.trainer.diffusion.planned_steps import planned_steps

    if tflops is not None and bandwidth is None:
        raise AiprodError("--tflops without --bandwidth tells half of what a step needs", "give the GB/s of its memory")
    chosen = card_of(card) if card else None
    if memory_gib or tflops:
        base = chosen or Card("this card", None, 0.0, 0.0, 0.0, 32e9, "as given")
        chosen = replace(
            base,
            memory=memory_gib * 2**30 if memory_gib else base.memory,
            half=tflops * 1e12 if tflops else base.half,
            single=tflops * 1e12 / 2 if tflops else base.single,
            bandwidth=bandwidth * 1e9 if bandwidth else base.bandwidth,
        )
    folder = file if file.is_dir() else None
    read = _sections(params if folder else file, change or [])
    devices = [d for d in (chosen, this_processor() if cpu else None) if d is not None and d.bandwidth]
    steps = list(planned_steps(read, text_tokens=text_tokens, checkpoint=folder))
    first, swapped = steps[0].step, any(one.step.swapped for one in steps)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{first.parameters:,} parameters, {first.trained:,} trained. A step of one process:")
    table = Table("", *(one.phase for one in steps))
    rows: list[tuple[str, Callable[[PlannedStep], str]]] = [
        ("samples at a time", lambda one: f"{one.batch}"),
        ("tokens: video + audio", lambda one: f"{one.tokens[0]:,} + {one.tokens[1]:,}"),
        ("weights", lambda one: _size(one.step.weights)),
        ("gradients", lambda one: _size(one.step.gradients)),
        ("optimizer states", lambda one: _size(one.step.optimizer)),
        ("averages (EMA)", lambda one: _size(one.step.averages)),
        ("kept for the backward pass", lambda one: _size(one.step.saved)),
        ("peak", lambda one: _size(one.step.peak)),
    ]
    if swapped:
        rows.append(("peak without swapped blocks", lambda one: _size(one.step.device_peak)))
    rows.append(("TFLOP", lambda one: f"{one.step.flops / 1e12:,.{0 if one.step.flops > 1e14 else 3}f}"))
    for device in devices:
        rows.append((f"seconds on {device.name}", functools.partial(_seconds, device)))
    for name, cell in rows:
        table.add_row(name, *(cell(one) for one in steps))
    console.print(table)
    training = read["train_diffusion"]
    if training.launch.processes != 1:
        ranks = training.launch.processes
        whose = f"One of {ranks} processes" if ranks else "One process, which takes the whole batch"
        console.print(f"{whose}, with whole weights. N processes take an Nth of the batch each; fsdp2 splits weights.")
    if training.compile:
        console.print("Without compilation, which fuses operations: less memory and time may be needed.")
    if chosen is not None and chosen.memory:
        _verdict(console, chosen.name, chosen.memory, max(one.step.device_peak for one in steps))
    for device in devices:
        console.print(f"{device.name}: {device.source}", style="dim")


def _seconds(device: Card, one: PlannedStep) -> str:
    return f"{'about' if device.name == 'this CPU' else '≥'} {device.seconds(one.step):,.2g}"


def _verdict(console: Console, name: str, memory: float, peak: int) -> None:
    share = peak / memory
    if share > 1:
        tried = "gradient_checkpointing, lora with quantize: int8, swap_blocks, a smaller batch or more accumulation"
        console.print(f"Does not fit {name} ({_size(memory)}): {share:.1f} times its memory. Try {tried}.")
    else:
        console.print(f"Fits {name} ({_size(memory)}): {share:.1%} of its memory.")


def _size(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"


def _sections(path: Path, changes: list[str]) -> dict[str, Any]:
    """Validated sections of a parameter file, after the changes.

    Raises:
        AiprodError: a change names no key, or a value is invalid.
    """
    from aiprod.base.params import section_of, validate
    from aiprod.base.yaml_file import read_yaml
    from aiprod.commands.param_files import section_model

    content = read_yaml(path)
    if not isinstance(content, dict):
        raise AiprodError(f"{path} holds no sections", "give a complete parameter file")
    for change in changes:
        _apply(content, change)
    names = ("train_text_encoder", "train_video_vae", "train_audio_vae", "curriculum", "train_diffusion")
    return {n: validate(section_model(n), section_of(content, n), f"{path}: {n}") for n in names}


def _apply(content: dict[str, Any], change: str) -> None:
    from aiprod.base.structured import parse_yaml

    key, equals, text = change.partition("=")
    if not equals:
        raise AiprodError(f"--set {change} has no value", "give KEY=VALUE, as train_diffusion.swap_blocks=4")
    value = parse_yaml(text, f"--set {change}: the value", hint="quote it")
    *outer, last = key.split(".")
    place: Any = content
    for name in outer:
        if not isinstance(place, dict) or name not in place:
            raise AiprodError(f"--set {change}: there is no {name!r}", "give the key as params.yaml nests it")
        if place[name] is None:
            place[name] = {}
        place = place[name]
    place[last] = value
