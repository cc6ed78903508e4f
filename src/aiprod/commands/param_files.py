"""Whole parameter files: which model checks each section, and the small twin of a file that tries its wiring."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from aiprod.base.files import atomic_path
from aiprod.base.params import Params, TopParams, nearest, section_of, validate
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError, CoreError

# Section → model; other entries are single values.
SECTIONS = {
    "shards": "aiprod.storage.shards.params:ShardParams",
    "ingest": "aiprod.data.params:IngestParams",
    "qc_measure": "aiprod.qc.params:QcMeasureParams",
    "qc_decide": "aiprod.qc.params:QcDecideParams",
    "caption": "aiprod.captions.params:CaptionParams",
    "train_clips": "aiprod.trainer.training_set:TrainClipsParams",
    "train_text_encoder": "aiprod.trainer.text_encoder.train:TrainTextEncoderParams",
    "train_video_vae": "aiprod.trainer.vae.video:VideoVaeStageParams",
    "train_audio_vae": "aiprod.trainer.vae.audio:AudioVaeStageParams",
    "make_speech": "aiprod.speech.corpus:MakeSpeechParams",
    "train_speech": "aiprod.trainer.speech.train:TrainSpeechParams",
    "make_faces": "aiprod.lips.corpus:MakeFacesParams",
    "train_visemes": "aiprod.trainer.visemes.train:TrainVisemesParams",
    "train_lips": "aiprod.trainer.lips.train:TrainLipsParams",
    "curriculum": "aiprod.trainer.loop.curriculum:CurriculumConfig",
    "cache_latents": "aiprod.trainer.latents.encode:CacheLatentsParams",
    "train_diffusion": "aiprod.trainer.diffusion.params:TrainDiffusionParams",
    "sample": "aiprod.evaluation.sample_stage:SampleParams",
    "film": "aiprod.film.params:FilmParams",
    "dossier": "aiprod.governance.dossier.dossier:DossierParams",
    "track": "aiprod.tracking.state:TrackParams",
}
VALUES = tuple(TopParams.model_fields)


def check_file(path: Path | str) -> dict[str, Any]:
    """Read a parameter file and check every section; its content.

    Raises:
        AiprodError: a section is missing, or a key or value of one is wrong.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise AiprodError(f"{path} holds no sections", "give a complete parameter file")
    for name in (*VALUES, *SECTIONS):
        if name not in content:
            raise AiprodError(f"{path} has no {name!r}", nearest(name, list(content)))
    unknown = [name for name in content if name not in (*VALUES, *SECTIONS)]
    if unknown:
        raise AiprodError(f"{path}: unknown section {unknown[0]!r}", nearest(unknown[0], [*VALUES, *SECTIONS]))
    validate(TopParams, {name: content[name] for name in VALUES}, str(path))
    read = {name: validate(section_model(name), section_of(content, name), f"{path}: {name}") for name in SECTIONS}
    _check_sizes(read, str(path))
    _check_phase(read, str(path))
    _check_two_stages(read, str(path))
    return content


def smoke(content: dict[str, Any]) -> dict[str, Any]:
    """The same settings with few films, few steps, small pictures and narrow models: minutes of a CPU.

    Optimizers, precisions, losses, layouts and the number of phases stay, so that it tries how they fit together.
    """
    small = _copy(content)
    small["ingest"].update(sources=["demo"], folders={})
    small["ingest"]["demo"] = {**small["ingest"].get("demo", {}), "films": 8, "faults": False, "duration_s": 2.2}
    small["ingest"]["heldout_fraction"] = 0.4
    text, video, audio = (small[f"train_{name}"] for name in ("text_encoder", "video_vae", "audio_vae"))
    text["model"].update(vocabulary=300, width=64, layers=1, heads=2)
    for section in (text, video, audio):
        section["trainer"].update(steps=2, batch=2, checkpoint_every_s=0.0)
        section["threads"] = 1
    for model, depths in ((video["model"], ("encoder_depths", "decoder_depths")), (audio["model"], ("depths",))):
        model["widths"] = [16] * len(model["widths"])
        for name in depths:
            model[name] = [min(n, 1) for n in model[name]]
    small["make_speech"].update(commands=12, descriptions=12, made=12)
    small["train_speech"]["model"].update(width=16, decoder=16, blocks=1, vocoder=16)
    small["train_speech"]["trainer"].update(steps=2, batch=2, checkpoint_every_s=0.0)
    small["train_speech"].update(heldout_utterances=2, threads=1)
    small["make_faces"].update(train=3, heldout=2, faults=False, size=96)
    small["train_visemes"]["model"]["width"] = 16
    small["train_visemes"]["trainer"].update(steps=2, batch=2, checkpoint_every_s=0.0)
    small["train_lips"]["model"].update(size=32, width=8)
    small["train_lips"]["trainer"].update(steps=2, batch=2, checkpoint_every_s=0.0)
    small["train_lips"].update(heldout_clips=1, threads=1)
    time, height, width = _grid(small)
    video["data"].update(height=2 * height, width=3 * width, smaller=[], frames=1 + time, clip_frames=1 + time)
    video["heldout_clips"] = audio["heldout_clips"] = 1
    audio["data"]["window_s"] = 0.2
    for place, phase in enumerate(small["curriculum"]["phases"].values()):
        phase.update(height=(2 + place) * height, width=(3 + place) * width, frames=1 + (1 + place) * time, batch=2)
        phase.update(duration={"steps": 2, "epochs": None, "plateau": None}, warmup_steps=0)
    small["cache_latents"]["min_psnr_db"] = 0.0
    diffusion = small["train_diffusion"]
    diffusion["transformer"].update(preset="demo", changes={"depth": 1})
    diffusion["task"]["heldout_clips"] = 1
    diffusion["validation"] = {**diffusion["validation"], "steps": 2}
    diffusion["upsampler"] = {**diffusion.get("upsampler", {}), "steps": 0, "init": None}  # these sizes have no half
    diffusion["loop"].update(checkpoint_every_s=0.0, validate_every_steps=0)
    diffusion.update(compile=False, threads=1)
    diffusion["launch"] = {"processes": 1}
    small["sample"]["generation"]["steps"] = 2
    small["sample"].update(prompts=small["sample"]["prompts"][:1], measured_prompts=[], heldout_prompts=1, threads=1)
    small["film"]["script"] = "datasets/films/small.yaml"
    return small


def write_file(content: dict[str, Any], path: Path) -> None:
    """Write a parameter file in the style of DVC, so that `dvc exp run -S` changes no line but those it is asked to."""
    yaml = YAML()
    yaml.default_flow_style = False
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        yaml.dump(content, file)


def _check_sizes(read: dict[str, Any], path: str) -> None:
    """Pictures must fit the autoencoder and the patches: found when caching otherwise, after hours of training."""
    video = read["train_video_vae"]
    if video.init is not None:
        return
    compression, patch = video.model.compression, read["train_diffusion"].transformer.video_patch
    time, height, width = compression.time, compression.height, compression.width
    for at, (high, wide) in enumerate(((video.data.height, video.data.width), *video.data.smaller)):
        if high % height or wide % width:
            key = f"smaller[{at - 1}]" if at else "height"
            near = f"{_near(high, height)}x{_near(wide, width)}"
            what = f"{path}: train_video_vae.data.{key}: {high}x{wide} is not divisible by {height}x{width}"
            raise AiprodError(what, f"give {near}")
    if (video.data.frames - 1) % time:
        raise AiprodError(
            f"{path}: train_video_vae.data.frames is {video.data.frames}, not 1 + a multiple of {time}",
            f"give {1 + _near(video.data.frames - 1, time)}",
        )
    height, width = height * patch[1], width * patch[2]
    for name, phase in read["curriculum"].phases.items():
        if phase.height % height or phase.width % width or (phase.frames - 1) % time:
            raise AiprodError(
                f"{path}: curriculum.phases.{name} is {phase.height}x{phase.width}, {phase.frames} frames",
                f"height by {height}, width by {width}, frames 1 + a multiple of {time}; nearest:"
                f" {_near(phase.height, height)}x{_near(phase.width, width)}, {1 + _near(phase.frames - 1, time)}",
            )


def _near(size: int, factor: int) -> int:
    """The multiple that is nearest, at least one."""
    return max(1, round(size / factor)) * factor


def _check_phase(read: dict[str, Any], path: str) -> None:
    """What is sampled must have been trained."""
    wanted, phases = read["sample"].generation.phase, list(read["curriculum"].phases)
    if wanted and wanted not in phases:
        raise AiprodError(f"{path}: sample.generation.phase: no phase is called {wanted!r}", nearest(wanted, phases))


def _check_two_stages(read: dict[str, Any], path: str) -> None:
    """Two stages need an upsampler and a size that has a half: found when sampling otherwise, after training."""
    generation, upsampler = read["sample"].generation, read["train_diffusion"].upsampler
    if not generation.two_stage:
        return
    if not upsampler.wanted:
        raise AiprodError(
            f"{path}: sample.generation.two_stage is true, and no upsampler is trained",
            "set train_diffusion.upsampler.steps above 0, or two_stage to false",
        )
    video = read["train_video_vae"]
    if video.init is not None or upsampler.init is not None:
        return  # what they are is known once they are read
    from aiprod.core.latent_upsampler import smaller

    compression, patch = video.model.compression, read["train_diffusion"].transformer.video_patch
    phases = read["curriculum"].phases
    name = generation.phase or list(phases)[-1]
    phase = phases[name]
    space = 2 if upsampler.space else 1
    cell = (compression.time, compression.height * patch[1], compression.width * patch[2])
    try:
        smaller((phase.frames, phase.height, phase.width), (2 if upsampler.time else 1, space, space), cell)
    except CoreError as error:
        raise AiprodError(f"{path}: sample.generation.two_stage: phase {name}: {error.what}", error.hint) from None


def _grid(content: dict[str, Any]) -> tuple[int, int, int]:
    """Frames, rows and columns that one token of a new video autoencoder and transformer stands for."""
    from aiprod.core.vae.config import VideoVAEConfig

    compression = VideoVAEConfig.model_validate(content["train_video_vae"]["model"]).compression
    patch = content["train_diffusion"]["transformer"].get("video_patch", [1, 1, 1])
    return compression.time, compression.height * patch[1], compression.width * patch[2]


def section_model(section: str) -> type[Params]:
    """The model that checks a section."""
    module, _, name = SECTIONS[section].partition(":")
    model: type[Params] = getattr(importlib.import_module(module), name)
    return model


def _copy(value: Any) -> Any:
    """Plain dicts and lists all the way down."""
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list) else value
