"""What the model makes of fixed prompts with fixed seeds at the end of each phase, so that phases can be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from aiprod.base.files import atomic_folder, write_bytes, write_json
from aiprod.base.progress import log
from aiprod.core.generation import GenerationConfig
from aiprod.data.latents.dataset import LatentDataset
from aiprod.errors import AiprodError, CoreError
from aiprod.evaluation.attributes import MeasuredVideo
from aiprod.evaluation.prompt_adherence import adherence
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import Request
from aiprod.inference.video_writer import contact_sheet, write_video
from aiprod.models.adapters.autoencoders import load_audio_vae, load_video_vae
from aiprod.models.adapters.load_text_encoder import load_text_encoder
from aiprod.models.artifacts import LATENT_MAKERS, TrainingRecord
from aiprod.trainer.diffusion.model_setup import TrainableModel
from aiprod.trainer.diffusion.params import ValidationParams
from aiprod.trainer.loop.curriculum import CurriculumConfig

GRID, INDEX = "grid.png", "index.json"


@dataclass(frozen=True)
class PhaseSampler:
    """Called at the end of a phase with the averaged weights in the model. Models are loaded for it and let go again.

    Args:
        models: folder with autoencoders and text encoder.
        strategy: of the training, for the record.
    """

    params: ValidationParams
    models: Path
    dataset: LatentDataset
    curriculum: CurriculumConfig
    seed: int
    strategy: str

    def __call__(self, phase: str, subject: TrainableModel, model: nn.Module, folder: Path | None) -> dict[str, float]:
        """Generate, and write ``<phase>.png``, ``<phase>_<n>.mp4`` and ``<phase>_measures.json`` into ``folder``.

        Args:
            folder: None on ranks that only compute.

        Returns:
            for the log, what the samples show of what their prompts ask: per attribute ``samples/<attribute>/rate``,
            ``…/n`` (of how many samples) and ``…/chance``; empty where no prompt asks for anything that can be seen.

        Raises:
            AiprodError: a model is missing, or the disk is full.
        """
        if not self.params.prompts:
            return {}
        size = self.curriculum.phases[phase]
        settings: dict[str, Any] = {"video_guidance": self.params.guidance, "audio_guidance": self.params.guidance}
        config = GenerationConfig(
            frames=size.frames,
            height_px=size.height,
            width_px=size.width,
            fps=size.fps,
            steps=self.params.steps,
            **settings,
        )
        requests = [Request(prompt, self.seed + number) for number, prompt in enumerate(self.params.prompts)]
        with torch.random.fork_rng(devices=[]):  # one after another: ranks that share the weights stay in step
            clips = self._pipeline(subject, model).generate(requests, config, at_once=1)
        if folder is None:
            return {}
        rates = adherence(
            self.params.prompts, [MeasuredVideo(f.pictures, f.fps, f.sound, f.sample_rate) for f in clips]
        )
        named = [replace(f, request=replace(f.request, prompt=f"{phase}: {f.request.prompt}")) for f in clips]
        with atomic_folder(folder / phase) as place:
            for number, film in enumerate(clips):
                write_video(film, place / f"{phase}_{number}.mp4", facts={"phase": phase, "steps": self.params.steps})
            contact_sheet(named, place / f"{phase}.png")
            write_json(place / f"{phase}_measures.json", {"phase": phase, "videos": len(clips), "adherence": rates})
        hits = "".join(f", {name} {round(rate['rate'] * rate['n'])} of {rate['n']}" for name, rate in rates.items())
        log(f"  {phase} end: {len(clips)} samples of fixed prompts{hits}")
        return {
            f"samples/{name}/{part}": float(rate[part])
            for name, rate in rates.items()
            for part in ("rate", "n", "chance")
            if rate[part] is not None
        }

    def _pipeline(self, subject: TrainableModel, model: Any) -> AVPipeline:
        device = next(model.parameters()).device
        geometry = self.curriculum.geometry()
        record = TrainingRecord(
            model_digest="in training",
            made_with={name: self.dataset.head.inputs[name] for name in LATENT_MAKERS},
            dataset_root=self.dataset.head.merkle_root,
            phases={name: phase.model_dump(mode="json") for name, phase in geometry.items()},
            phase_order=list(geometry),
            steps=0,
            strategy=self.strategy,
            text_quantize=self.dataset.head.facts.get("text_quantize"),
            video_patch=(subject.video.patch[0], subject.video.patch[1], subject.video.patch[2]),
            video_gains=list(subject.video.gains),
            heldout=[],
            settings={},
        )
        try:
            return AVPipeline(
                model,
                load_video_vae(self.models / "video_vae", device=device).eval(),
                load_audio_vae(self.models / "audio_vae", device=device).eval(),
                load_text_encoder(self.models / "text_encoder", record.text_quantize, device),
                record=record,
                device=device,
            )
        except CoreError as error:
            raise AiprodError(error.what, error.hint) from None


def gather_phases(source: Path, phases: list[str], folder: Path) -> None:
    """Copy what phases left below ``source`` into ``folder``, and their sheets under each other as ``grid.png``."""
    with atomic_folder(folder) as place:
        written = [phase for phase in phases if (source / phase).is_dir()]
        for phase in written:
            for path in sorted((source / phase).iterdir()):
                write_bytes(place / path.name, path.read_bytes())
        sheets = [_picture(place / f"{phase}.png") for phase in written]
        if sheets:
            width = max(sheet.shape[1] for sheet in sheets)
            rows = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets]
            write_bytes(place / GRID, cv2.imencode(".png", np.concatenate(rows))[1].tobytes())
        write_json(place / INDEX, {"phases": written})


def _picture(path: Path) -> np.ndarray:
    """As OpenCV reads it."""
    return np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR))
