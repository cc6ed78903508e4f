"""What diffusion training leaves: weights with their record and ledger, metrics and the curve."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aiprod.base.files import write_json, write_text
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.data.latents.dataset import LatentDataset
from aiprod.models.artifacts import EXPOSURE, TRAINING, TRANSFORMER, TrainingRecord
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.models.latent_upsampler import FOLDER as UPSAMPLER
from aiprod.models.load_transformer import Transformer
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.storage.ledger import write_ledger
from aiprod.trainer.diffusion.lora import base_weights, save_lora
from aiprod.trainer.diffusion.loss_plots import draw_curves
from aiprod.trainer.diffusion.model_setup import TrainableModel
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.upsampler import TrainedUpsampler
from aiprod.trainer.loop.block_swap import swap_blocks
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.stage import write_curve


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves. ``weights`` are the averaged ones, whole, also where the model is sharded."""

    run: TrainingRun
    subject: TrainableModel
    curriculum: CurriculumConfig
    weights: dict[str, Tensor]
    metrics: dict[str, Any]
    settings: dict[str, Any]


def write_model(
    trained: TrainingResult, dataset: LatentDataset, folder: Path, upsampler: TrainedUpsampler | None = None
) -> str:
    """Write averaged weights, training record and exposure ledger into ``folder`` (``models/diffusion``).

    The ledger counts what the upsampler was shown as a phase of its own.

    Returns:
        the digest of the weights.
    """
    subject = trained.subject
    lora = TrainDiffusionParams.model_validate(trained.settings["params"]).lora
    weights = subject.plain(trained.weights)
    if lora is not None:
        save_lora(weights, lora, folder / "lora")
        base = base_weights(weights) if subject.original is None else subject.plain(subject.original())
        weights = fuse_lora(base, folder / "lora")
    digest = subject.save(folder / Path(TRANSFORMER).name, weights)
    last = trained.run.phases.name
    phases = trained.curriculum.geometry()
    write_json(
        folder / Path(TRAINING).name,
        TrainingRecord(
            model_digest=digest,
            made_with={n: dataset.head.inputs[n] for n in ("video_vae", "audio_vae", "text_encoder")},
            dataset_root=dataset.head.merkle_root,
            phases={name: phase.model_dump(mode="json") for name, phase in phases.items()},
            phase_order=list(phases),
            text_quantize=dataset.head.facts.get("text_quantize"),
            steps=trained.run.phases.step,
            strategy=trained.settings["params"]["strategy"],
            video_patch=(subject.video.patch[0], subject.video.patch[1], subject.video.patch[2]),
            video_gains=list(subject.video.gains),
            heldout=[
                {"clip_id": r.clip_id, "caption": r.caption or ""}
                for r in dataset.usable(last, "heldout")
                if not is_private(r.clip_id)  # samples show their prompts
            ],
            settings=trained.settings,
            upsampler=upsampler.save(folder / Path(UPSAMPLER).name) if upsampler is not None else None,
        ).model_dump(mode="json"),
    )
    films = {row.clip_id: row.film_id for row in dataset.rows.values()}
    ledger = trained.run.ledger if upsampler is None else trained.run.ledger.joined(upsampler.ledger)
    write_ledger(folder / Path(EXPOSURE).name, ledger.document(digest, films))
    return digest


def write_reports(trained: TrainingResult, folder: Path, upsampler: TrainedUpsampler | None = None) -> None:
    """Write ``metrics.json``, ``curve.csv`` and ``curves.png``, and ``upsampler.csv`` where one was trained."""
    draw_curves(folder / "curves.png", trained.run.curve, trained.run.heldout)
    more = {} if upsampler is None else {"upsampler": upsampler.metrics}
    write_json(folder / "metrics.json", {**trained.metrics, **more})
    if upsampler is not None:
        write_curve(folder / "upsampler.csv", upsampler.curve)
    rows = trained.run.curve
    first = ["step", "phase", "loss", "loss_video", "loss_audio", "lr", "grad_norm"]
    names = [*first, *sorted({name for row in rows for name in row} - set(first))]
    heldout = {(r["step"], r["phase"]): r for r in trained.run.heldout if r["when"] != "start"}
    extra = sorted({name for row in heldout.values() for name in row if name.startswith("heldout/")})
    text = io.StringIO()
    writer = csv.DictWriter(text, [*names, *extra, "phase_starts"], restval="", lineterminator="\n")
    writer.writeheader()
    before = None
    for row in rows:
        measured = {n: v for n, v in heldout.get((row["step"], row["phase"]), {}).items() if n.startswith("heldout/")}
        whole = {**row, **measured, "phase_starts": int(row["phase"] != before)}
        writer.writerow({n: f"{v:.6g}" if isinstance(v, float) else v for n, v in whole.items()})
        before = row["phase"]
    write_text(folder / "curve.csv", text.getvalue())


def training_metrics(run: TrainingRun, subject: TrainableModel, baseline: Mapping[str, float]) -> dict[str, Any]:
    """Figures without times, so that equal training gives equal metrics.

    Args:
        baseline: held-out losses of :func:`baseline_losses`.
    """
    phases: dict[str, Any] = {}
    for name in run.phases.phases:
        steps = [row for row in run.curve if row["phase"] == name]
        ends = {
            r["when"]: {k: round(v, 5) for k, v in r.items() if k.startswith("heldout/")}
            for r in run.heldout
            if r["phase"] == name and r["when"] in ("start", "end")
        }
        tail = steps[-max(1, len(steps) // 10) :]
        phases[name] = {
            "steps": len(steps),
            "train_loss_last_tenth": round(sum(r["loss"] for r in tail) / len(tail), 5) if tail else None,
            "heldout_start": _short(ends.get("start", {})),
            "heldout_end": _short(ends.get("end", {})),
        }
    last = run.phases.name
    trained: Mapping[str, float] = phases[last]["heldout_end"]
    name = "untrained" if subject.ours else "given"
    heldout: dict[str, Any] = {"phase": last, name: _short(baseline), "trained": dict(trained)}
    if baseline and trained:
        heldout["loss_ratio"] = round(trained["loss"] / baseline["heldout/loss"], 5)
    return {
        "steps": run.phases.step,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "clips_seen": len(run.ledger.state_dict()),
        "phases": phases,
        "heldout": heldout,
    }


def baseline_losses(run: TrainingRun, subject: TrainableModel, seed: int, *, swapped: int = 0) -> dict[str, float]:
    """Held-out losses in the last phase before any training: of new weights, or of the public model that was given.

    Call it before :meth:`Run.train`, which changes the model.

    Args:
        swapped: blocks of a new model that stay in CPU memory, as those of the trained one do.
    """
    last = list(run.phases.phases)[-1]
    if subject.ours:
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        model: Transformer = AVTransformer(AVTransformerConfig.model_validate(subject.config))
        torch.set_rng_state(state)
        measured = dict(subject.model.named_buffers())  # and factors of weights in 8 bits
        for name, fresh in model.named_buffers():
            fresh.copy_(measured[name])
        swap_blocks(model.blocks, swapped, run.engine.device)
    else:
        model = subject.model
    model.to(run.engine.device).eval()
    with torch.no_grad():
        losses = run.strategy.heldout(model, last, device=run.engine.device)
    model.train()
    return losses


def _short(figures: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("heldout/"): round(value, 5) for name, value in figures.items()}
