"""``aiprod generate``: a video with sound from a prompt, with the trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def generate(  # noqa: PLR0917 (typer calls it)
    prompt: Annotated[str, typer.Option(help="What the video shows.")],
    out: Annotated[Path, typer.Option(help="The MP4 to write; a JSON description is written beside it.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed and prompt give the same video.")] = 0,
    models: Annotated[Path, typer.Option(help="Folder with the trained models.")] = Path("models"),
    steps: Annotated[int, typer.Option(min=0, help="Sampling steps; 0: as in params.yaml.")] = 0,
    first_frame: Annotated[Path | None, typer.Option(help="A picture to begin with.")] = None,
    viewing_scale: Annotated[int, typer.Option(min=1, max=16, help="Also write a copy enlarged so many times.")] = 1,
) -> None:
    """Generate a video with sound from a prompt.

    Example: aiprod generate --prompt "A large red circle bounces over a grey striped background." --out red.mp4
    """
    from aiprod.base.errors import AiprodError
    from aiprod.base.params import load_params
    from aiprod.base.progress import say, ticker
    from aiprod.pipelines.av_pipeline import AVPipeline, Request
    from aiprod.pipelines.outputs import read_picture, write_video
    from aiprod.pipelines.sampling import GenerationParams, SampleParams
    from aiprod.trainer.threads import use_threads

    if out.suffix.lower() != ".mp4":
        raise AiprodError(f"{out} is not named .mp4", "give a name that ends in .mp4")
    params = load_params(SampleParams, "sample") if Path("params.yaml").is_file() else None
    use_threads(params.threads if params else 0)
    generation = params.generation if params else GenerationParams()
    if steps:
        generation = generation.model_copy(update={"steps": steps})
    pipeline = AVPipeline.from_pretrained(models)
    config = generation.config(pipeline.record)
    picture = read_picture(first_frame, config.height_px, config.width_px) if first_frame is not None else None
    with ticker("sampling", config.steps) as tick:
        made = pipeline.generate([Request(prompt, seed, picture)], config, on_step=tick.advance)[0]
    facts = {
        "model_digest": pipeline.record.model_digest,
        "dataset_root": pipeline.record.dataset_root,
        "settings": config.model_dump(mode="json", exclude={"seed"}),
    }
    write_video(made, out, facts=facts, viewing_scale=viewing_scale)
    say(f"wrote {out} ({config.width_px}x{config.height_px}, {config.frames / config.fps:.2f} s, with sound)")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(generate)
