"""``aiprod generate``: videos with sound from prompts, with the trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from aiprod.printable import counted


def generate(  # noqa: PLR0917 (typer calls it)
    out: Annotated[
        Path, typer.Option(help="The MP4 file to write (WAV if only sound is generated), or a folder with --prompts.")
    ],
    prompt: Annotated[str, typer.Option(help="What the video shows.")] = "",
    prompts: Annotated[
        Path | None, typer.Option(help="Text file with one prompt per line; writes 000.mp4 … into the folder.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**62, help="The same seed and prompt give the same video. Video n uses seed + n.")
    ] = 0,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Videos per prompt, with seeds seed, seed + 1, …; more than 1 needs a folder."
        ),
    ] = 1,
    width: Annotated[int, typer.Option(min=0, help="Pixels; 0 = as in the last training phase.")] = 0,
    height: Annotated[int, typer.Option(min=0, help="Pixels; 0 = as in the last training phase.")] = 0,
    frames: Annotated[int, typer.Option(min=0, help="Length in frames; 0 = as in the last training phase.")] = 0,
    fps: Annotated[float, typer.Option(min=0, help="Frames per second; 0 = as in the last training phase.")] = 0,
    duration: Annotated[
        float,
        typer.Option(
            min=0,
            max=86_400,
            help="Seconds, made window by window, each continuing the last; 0 = one window.",
        ),
    ] = 0,
    overlap: Annotated[
        float | None, typer.Option(min=0, help="--duration: seconds that a window is given; default: about half of it.")
    ] = None,
    models: Annotated[Path, typer.Option(help="Folder with the trained models.")] = Path("models"),
    steps: Annotated[int, typer.Option(min=0, help="Sampling steps; 0 = as in params.yaml.")] = 0,
    step: Annotated[str, typer.Option(help="Sampler: {samplers}; default: as in params.yaml.")] = "",
    guider: Annotated[str, typer.Option(help="Guidance: {guiders}; default: as in params.yaml.")] = "",
    guidance: Annotated[float | None, typer.Option(min=0, max=100, help="Scale of the text guidance.")] = None,
    two_stage: Annotated[
        bool, typer.Option("--two-stage", help="Sample at half size, upsample the latent and refine it.")
    ] = False,
    image: Annotated[
        Path | None, typer.Option("--image", "--first-frame", help="Image to use as the first frame.")
    ] = None,
    last_image: Annotated[Path | None, typer.Option(help="Image to use as the last frame.")] = None,
    keyframe: Annotated[
        list[str] | None, typer.Option(metavar="T=FILE", help="Image to pass through at T seconds; may be repeated.")
    ] = None,
    extend: Annotated[Path | None, typer.Option(help="Film, or sound alone, to continue.")] = None,
    before: Annotated[bool, typer.Option("--before", help="--extend: generate what comes before it.")] = False,
    audio: Annotated[Path | None, typer.Option(help="Sound to make a video for.")] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="Video to change according to the prompt, including its sound; with --make audio, to make sound for;"
            " with --mask, to change in part."
        ),
    ] = None,
    strength: Annotated[
        float, typer.Option(min=0.01, max=1, help="How much of --video is replaced; 1 = everything.")
    ] = 0.7,
    make: Annotated[str, typer.Option(help="What to generate: both, video or audio.")] = "both",
    mask: Annotated[
        Path | None, typer.Option(help="Mask (image or film), white where --video or --retake is generated again.")
    ] = None,
    outpaint: Annotated[Path | None, typer.Option(help="Film to put into a larger frame.")] = None,
    box: Annotated[
        str, typer.Option(metavar="L,T,R,B", help="--outpaint: position of the film, as shares of the frame.")
    ] = "0.25,0.25,0.75,0.75",
    reference: Annotated[
        Path | None, typer.Option(help="Film or sound to follow, for a model trained with references.")
    ] = None,
    retake: Annotated[
        Path | None,
        typer.Option(help="Film, or audio file, of which a section is generated again; the rest is kept."),
    ] = None,
    from_s: Annotated[float | None, typer.Option("--from", min=0, help="--retake: begin in seconds.")] = None,
    to_s: Annotated[float | None, typer.Option("--to", min=0, help="--retake: end in seconds.")] = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Videos generated side by side on a CPU; results do not depend on it.")
    ] = 4,
    affected: Annotated[
        bool,
        typer.Option("--affected", help="Also sample from models that saw an erased film or one without consent."),
    ] = False,
    viewing_scale: Annotated[int, typer.Option(min=1, max=16, help="Also write a copy enlarged by this factor.")] = 1,
) -> None:
    """Generate videos with sound from text, images, sound or other videos.

    Example: aiprod generate --prompt "A large red circle bounces over a grey striped background." --out red.mp4

    From an image: aiprod generate --prompt "A large red circle drifts." --image first.png --out red.mp4

    Between images: … --image first.png --keyframe 0.4=middle.png --last-image last.png

    Continue a film, or prepend to it: … --extend red.mp4 (--before)

    Sound for a film: … --video red.mp4 --make audio. A film for sound: … --audio tone.wav. Sound alone: … --make audio
    --out tone.wav

    From a video: aiprod generate --prompt "A green square bounces." --video red.mp4 --strength 0.6 --out green.mp4

    Parts of a film: … --video red.mp4 --mask mask.png, … --outpaint red.mp4 --box 0.25,0.25,0.75,0.75, or … --retake
    red.mp4 --from 0.2 --to 0.5

    Following a film or sound: … --reference red.mp4

    Many: aiprod generate --prompts prompts.txt --seed 7 --out films

    Four seeds: aiprod generate --prompt "A green square bounces." --seeds 4 --out green

    A minute, window by window: … --duration 60 --overlap 1

    Longer and larger than trained (quality may suffer): add --frames 49 --width 160 --height 96
    """
    from aiprod.base.params import load_params
    from aiprod.base.progress import log
    from aiprod.errors import AiprodError
    from aiprod.evaluation.sample_stage import SampleParams
    from aiprod.inference.generate import chosen, make_films, make_long_films, read_prompts, resized
    from aiprod.inference.inputs import GenerationInputs, parsed_box, parsed_keyframe, parsed_make, refuse_windows
    from aiprod.inference.params import GenerationParams
    from aiprod.inference.pipeline import AVPipeline
    from aiprod.trainer.loop.accelerator import default_device
    from aiprod.trainer.loop.threads import use_threads

    inputs = GenerationInputs(
        image=image,
        video=video,
        strength=strength,
        last_image=last_image,
        keyframes=tuple(parsed_keyframe(text) for text in keyframe or []),
        extend=extend,
        before=before,
        audio=audio,
        mask=mask,
        reference=reference,
        retake=retake,
        span_s=(from_s, to_s),
        outpaint=outpaint,
        box=parsed_box(box),
        make=parsed_make(make),
    )
    inputs.check()
    if duration:
        refuse_windows(inputs, viewing_scale)
    elif overlap is not None:
        raise AiprodError("--overlap is of --duration", "give --duration SECONDS")
    if bool(prompt) == (prompts is not None):
        raise AiprodError("one of --prompt and --prompts is needed", "give a sentence, or a file with one per line")
    many = prompts is not None or seeds > 1
    if not many:
        if out.suffix.lower() not in (".mp4", ".wav"):
            raise AiprodError(f"{out} is not named .mp4", "give a name that ends in .mp4, or .wav for sound alone")
        requests = [(prompt, seed, out)]
    else:
        if out.suffix:
            option = "--seeds" if prompts is None else "--prompts"
            raise AiprodError(f"{out} looks like a file, and {option} makes many", "give a folder")
        lines = [prompt] if prompts is None else read_prompts(prompts)
        wanted = [(line, seed + number * seeds + more) for number, line in enumerate(lines) for more in range(seeds)]
        suffix = ".wav" if make == "audio" and video is None and retake is None else ".mp4"
        requests = [(line, own, out / f"{number:03d}{suffix}") for number, (line, own) in enumerate(wanted)]
        out.mkdir(parents=True, exist_ok=True)
    params = load_params(SampleParams, "sample") if Path("params.yaml").is_file() else None
    use_threads(params.threads if params else 0)
    base = params.generation if params else GenerationParams()
    pipeline = AVPipeline.from_pretrained(models, device=default_device(), affected=affected)
    changed = chosen(base, guider=guider, step=step, steps=steps, guidance=guidance, two_stage=two_stage)
    config = resized(changed.config(pipeline.record), width=width, height=height, frames=frames, fps=fps)
    if duration:
        sizes = make_long_films(pipeline, requests, config, image, duration_s=duration, overlap_s=overlap)
    else:
        sizes = make_films(pipeline, requests, config, inputs, batch=batch, viewing_scale=viewing_scale)
    log(f"wrote {out} ({sizes})" if not many else f"wrote {counted(len(requests), 'film')} into {out} ({sizes} each)")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=_Generate)(generate)


class _Generate(TyperCommand):
    """Names samplers and guiders in its help from where they are registered, which takes torch to read."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Fill in the names, then print."""
        self.fill()
        super().format_help(ctx, formatter)

    def fill(self) -> None:
        """Put the registered names into the help of the options."""
        from aiprod.core.components.diffusion_steps import SAMPLERS
        from aiprod.inference.generate import GUIDERS

        names = {"{samplers}": ", ".join(SAMPLERS), "{guiders}": ", ".join(GUIDERS)}
        for parameter in self.params:
            for mark, known in names.items():
                if mark in (getattr(parameter, "help", None) or ""):
                    parameter.help = parameter.help.replace(mark, known)  # type: ignore[attr-defined]
