"""From films to a model that samples: cache, train through two phases, write, load, generate; then fine-tune that."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aiprod.base.figures import new_figure
from aiprod.base.files import sha256_file
from aiprod.base.params import validate
from aiprod.core.generation import GenerationConfig
from aiprod.data.latents.dataset import LatentDataset
from aiprod.data.latents.tasks import TaskParams
from aiprod.errors import AiprodError
from aiprod.evaluation.validation import PhaseSampler, gather_phases
from aiprod.inference.generate import make_films
from aiprod.inference.initial_state import trained_tasks
from aiprod.inference.input_files import read_film
from aiprod.inference.inputs import GenerationInputs, gather
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import Request
from aiprod.inference.video_writer import write_video
from aiprod.media.clips import read_clip
from aiprod.media.encoding import encode
from aiprod.models.artifacts import EXPOSURE, TRANSFORMER, read_record
from aiprod.models.checkpoint.folder import folder_digest, open_checkpoint
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.storage.result_cache import Memo
from aiprod.trainer.diffusion.loss_plots import draw_curves, mark_phases, phase_starts
from aiprod.trainer.diffusion.outputs import write_model, write_reports
from aiprod.trainer.diffusion.params import ReferenceParams, TrainDiffusionParams, ValidationParams
from aiprod.trainer.diffusion.train import _samplers, phase_samples, train_diffusion
from aiprod.trainer.diffusion.upsampler import UpsamplerParams, train_upsampler
from aiprod.trainer.latents.cache import cache_latents, geometry_digest
from aiprod.trainer.latents.encode import CacheLatentsParams, CacheModels
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.revocable import RevocableParams
from aiprod.trainer.training_set import Selection, TrainingClip
from tests.inference.conftest import CAPTIONS
from tests.rows import write_latent_rows

CACHE = CacheLatentsParams(min_psnr_db=0.0)
PHASE = {"height": 32, "width": 48, "fps": 12.0, "batch": 2, "lr_scale": 1.0, "weight_decay": 0.0}
CURRICULUM = CurriculumConfig.model_validate(
    {
        "phases": {
            "small": {**PHASE, "frames": 5, "duration": {"steps": 14}},
            "large": {**PHASE, "frames": 9, "duration": {"steps": 10}, "decay": "cosine"},
        }
    }
)
PARAMS = TrainDiffusionParams.model_validate(
    {
        "threads": 1,
        "loop": {"ema_decay": 0.5},
        "transformer": {
            "video_patch": [1, 2, 2],
            "changes": {
                "video_width": 24,
                "audio_width": 12,
                "cross_width": 12,
                "video_heads": 2,
                "audio_heads": 2,
                "cross_heads": 2,
                "depth": 2,
            },
        },
    }
)


def _clip(number: int, folder: Path) -> TrainingClip:
    path = folder / f"{number}.mp4"
    picture = np.full((64, 96, 3), (40 * number, 90, 200 - 30 * number), np.uint8)
    tone = 0.2 * np.sin(2 * np.pi * 300 * (number + 1) * np.arange(48_000) / 48_000).astype(np.float32)
    encode(path, [picture] * 24, 24, np.stack([tone, tone]) if number else None)
    return TrainingClip(
        clip_id=f"c{number}-000",
        film_id=f"f{number}",
        source_id="s",
        split="heldout" if number > 3 else "train",
        path=path,
        sha256=sha256_file(path),
        has_audio=bool(number),
        fps=24.0,
        frames=24,
        height=64,
        width=96,
        caption=f"picture {number}",
        ground_truth=None,
    )


@pytest.fixture(scope="module")
def place(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LatentDataset]:
    """A folder with the latent makers, and the cache that they made."""
    root = tmp_path_factory.mktemp("place")
    for name in ("video_vae", "audio_vae", "text_encoder"):
        shutil.copytree(models / name, root / "models" / name)
    clips = [_clip(number, tmp_path_factory.mktemp("films")) for number in range(5)]
    makers, phases = CacheModels.load(root / "models", CACHE), CURRICULUM.geometry()
    rows, _, _ = cache_latents(
        Selection(clips[:4], clips[4:], {}), phases, makers, CACHE, folder=root / "latents", memo=Memo(root / "m", "x")
    )
    inputs = {**makers.digests, "geometry": geometry_digest(phases), "cache_params": CACHE.digest()}
    write_latent_rows(root / "latents", rows, inputs)
    return root, LatentDataset(root / "latents", inputs)


def _train(place, params: TrainDiffusionParams, name: str, lr: float = 5e-3):
    root, dataset = place
    return train_diffusion(
        dataset,
        root / "models",
        CURRICULUM,
        params,
        TrainContext(lr, 1, "c", lambda fingerprint: root / name / fingerprint),
    )


@pytest.fixture(scope="module")
def trained(place):
    found = _train(place, PARAMS, "checkpoints")
    write_model(found, place[1], place[0] / "models" / "diffusion")
    write_reports(found, place[0] / "reports")
    return found


def test_held_out_loss_falls_below_the_untrained_model(trained):
    heldout = trained.metrics["heldout"]
    assert heldout["phase"] == "large"
    assert heldout["trained"]["loss"] < heldout["untrained"]["loss"]
    assert set(heldout["trained"]) == {"video", "audio", "loss"}
    assert trained.metrics["phases"]["small"]["steps"] == 14


def test_the_curve_marks_phases(trained, place):
    rows = list(csv.DictReader((place[0] / "reports" / "curve.csv").open()))
    assert [row["step"] for row in rows] == [str(n) for n in range(24)]
    assert [row["step"] for row in rows if row["phase_starts"] == "1"] == ["0", "14"]
    assert float(rows[-1]["heldout/loss"]) == pytest.approx(trained.metrics["heldout"]["trained"]["loss"], rel=1e-3)


def test_the_picture_of_the_curves_says_where_phases_begin(trained, place):
    assert phase_starts(trained.run.curve) == [(0, "small"), (14, "large")]
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    mark_phases(axes, trained.run.curve)
    assert [line.get_xdata()[0] for line in axes.lines] == [0, 14]
    assert [text.get_text().strip() for text in axes.texts] == ["small", "large"]
    first = (place[0] / "reports" / "curves.png").read_bytes()
    draw_curves(place[0] / "again.png", trained.run.curve, trained.run.heldout)
    assert (place[0] / "again.png").read_bytes() == first, "the same curve gives the same bytes"


def test_the_ledger_counts_every_showing(trained, place):
    document = json.loads((place[0] / "models" / EXPOSURE).read_text())
    assert sum(clip["times"] for clip in document["clips"]) == 24 * 2
    assert {clip["clip_id"] for clip in document["clips"]} == {f"c{n}-000" for n in range(4)}  # none held out
    assert document["model_digest"] == read_record(place[0] / "models").model_digest


def test_the_averaged_weights_are_written(trained, place):
    written = open_checkpoint(place[0] / "models" / TRANSFORMER).tensors()
    checkpoint = trained.run.store.latest().tensors
    for name, weight in checkpoint["ema"].items():
        assert name == "__updates__" or torch.equal(written[name], weight), name
    assert any(not torch.equal(written[name], weight) for name, weight in checkpoint["model"].items())


def test_the_written_model_samples(trained, place):
    pipeline = AVPipeline.from_pretrained(place[0] / "models")
    assert pipeline.record.phase_order == ["small", "large"]
    assert pipeline.record.heldout == [{"clip_id": "c4-000", "caption": "picture 4"}]
    config = GenerationConfig(frames=9, height_px=32, width_px=48, fps=12.0, steps=2)
    made = pipeline.generate([Request("picture 1", 0)], config)[0]
    assert made.pictures.shape == (9, 32, 48, 3)
    assert made.sound is not None


def test_an_upsampler_that_is_switched_on_is_trained_alone_and_the_model_samples_in_two_stages(trained, place, capsys):
    root, dataset = place
    wanted = PARAMS.model_copy(update={"upsampler": UpsamplerParams(steps=3, batch=2, mid_channels=32)})
    again = _train(place, wanted, "checkpoints")
    assert "continuing at step 24" in capsys.readouterr().err, "the transformer is not trained again"
    context = TrainContext(5e-3, 1, "c", lambda fingerprint: root / "upsampler" / fingerprint)
    upsampler = train_upsampler(dataset, root / "models", CURRICULUM, wanted.upsampler, context)
    models = shutil.copytree(root / "models", root / "with_upsampler")
    write_model(again, dataset, models / "diffusion", upsampler)
    write_reports(again, root / "reports_two", upsampler)
    assert folder_digest(models / TRANSFORMER) == folder_digest(root / "models" / TRANSFORMER)
    clips = json.loads((models / EXPOSURE).read_text())["clips"]
    assert sum(clip["by_phase"].get("upsampler", 0) for clip in clips) == 3 * 2
    assert sum(clip["times"] for clip in clips) == 24 * 2 + 3 * 2
    told = json.loads((root / "reports_two" / "metrics.json").read_text())["upsampler"]
    assert told["steps"] == 3 and told["psnr_db"] > 0
    pipeline = AVPipeline.from_pretrained(models)
    assert pipeline.record.upsampler.digest == folder_digest(models / "diffusion" / "upsampler")
    size = {"frames": 9, "height_px": 32, "fps": 12.0, "steps": 2, "two_stage": True}
    made = pipeline.generate([Request("picture 1", 0)], GenerationConfig(width_px=64, **size))[0]
    assert made.pictures.shape == (9, 32, 64, 3)
    with pytest.raises(AiprodError, match=r"width of 48 cannot be halved.*use 32 or 64"):  # a token is two cells wide
        pipeline.generate([Request("picture 1", 0)], GenerationConfig(width_px=48, **size))


def test_sources_are_weighed_and_the_table_is_printed_first(place, capsys):
    """By the section's own parameter; a name of no source is no silent default."""
    _, dataset = place
    counted = PARAMS.model_copy(update={"repeats": {"s": 2.5}})
    samplers, _ = _samplers(dataset, CURRICULUM, counted, RevocableParams(), {}, seed=1)
    table = capsys.readouterr().err
    assert "phase large: 4 clips to train on, 1 held out" in table
    lines = [line.split() for line in table.splitlines() if "32x48x9" in line]
    assert sorted(lines) == [["32x48x9", "silent", "1", "2.5"], ["32x48x9", "with", "sound", "3", "7.5"]]
    assert samplers["large"].clips_per_epoch == 10
    with pytest.raises(AiprodError, match=r"repeats names 'demo', which has no clips → the clips come from s"):
        _samplers(
            dataset, CURRICULUM, PARAMS.model_copy(update={"repeats": {"demo": 2}}), RevocableParams(), {}, seed=1
        )


def test_video_to_video_is_trained_and_follows_what_it_is_given(place, tmp_path):
    """From training through the files it leaves to films: a reference changes them, and one can be made without."""
    root, dataset = place
    phases = {**PHASE, "duration": {"steps": 3}}
    short = CurriculumConfig.model_validate(
        {"phases": {"small": {**phases, "frames": 5}, "large": {**phases, "frames": 9}}}
    )
    params = PARAMS.model_copy(update={"strategy": "video_to_video", "reference": ReferenceParams(block=1, dropout=0)})
    wanted = PhaseSampler(
        ValidationParams(prompts=["picture 1"], steps=1), root / "models", dataset, short, 1, params.strategy
    )
    end = train_diffusion(
        dataset,
        root / "models",
        short,
        params,
        TrainContext(5e-3, 1, "c", lambda fingerprint: tmp_path / "ck" / fingerprint),
        sampler=wanted,
    )
    assert (phase_samples(end.run) / "large" / "large_0.mp4").is_file()
    for name in ("video_vae", "audio_vae", "text_encoder"):
        shutil.copytree(root / "models" / name, tmp_path / "models" / name)
    write_model(end, dataset, tmp_path / "models/diffusion")
    pipeline = AVPipeline.from_pretrained(tmp_path / "models")
    assert pipeline.record.strategy == "video_to_video"
    config = GenerationConfig(frames=9, height_px=32, width_px=48, fps=12.0, steps=2)
    given = [np.full((9, 32, 48, 3), level, np.uint8) for level in (30, 220)]
    dark, bright = (pipeline.generate([Request("picture 1", 0, reference=film)], config)[0] for film in given)
    free = pipeline.generate([Request("picture 1", 0)], config)[0]
    assert dark.pictures.shape == free.pictures.shape == (9, 32, 48, 3) and dark.sound is not None
    assert not np.array_equal(dark.pictures, bright.pictures) and not np.array_equal(dark.pictures, free.pictures)
    encode(tmp_path / "dark.mp4", list(given[0]), 12)
    make_films(
        pipeline,
        [("picture 1", 0, tmp_path / "made.mp4")],
        config,
        GenerationInputs(video=tmp_path / "dark.mp4"),
        batch=1,
        viewing_scale=1,
    )
    write_video(dark, tmp_path / "same.mp4", facts={})
    write_video(bright, tmp_path / "other.mp4", facts={})
    made, same, other = (_pictures(tmp_path / f"{name}.mp4").astype(int) for name in ("made", "same", "other"))
    assert np.abs(made - same).mean() < np.abs(made - other).mean() / 4, "by `generate --video` too"


def test_a_mix_of_tasks_is_trained_and_sampled(place, tmp_path, capsys):
    """From the declaration through the files it leaves to films: what each task gives is heeded and comes back."""
    root, dataset = place
    prefix, reference = {"kind": "prefix", "seconds": [0.05, 0.1]}, {"kind": "reference", "small": True}
    tasks = [
        {"name": "plain"},
        {"name": "foley", "video": {"role": "given"}},
        {"name": "seen", "audio": {"role": "given"}, "video": {"conditions": [{"kind": "last_frame"}]}},
        {"name": "tone", "video": {"role": "absent"}},
        {"name": "follow", "video": {"conditions": [reference]}, "audio": {"conditions": [reference, prefix]}},
    ]
    short = CurriculumConfig.model_validate({"phases": {"large": {**PHASE, "frames": 9, "duration": {"steps": 4}}}})
    task = PARAMS.task.model_copy(update={"tasks": [TaskParams.model_validate(one) for one in tasks]})
    end = train_diffusion(
        dataset,
        root / "models",
        short,
        PARAMS.model_copy(update={"task": task}),
        TrainContext(5e-3, 1, "c", lambda fingerprint: tmp_path / "ck" / fingerprint),
    )
    assert "32x48x9 silent" in capsys.readouterr().err
    assert {"heldout/task_foley", "heldout/task_tone"} <= set(end.run.heldout[-1])
    for name in ("video_vae", "audio_vae", "text_encoder"):
        shutil.copytree(root / "models" / name, tmp_path / "models" / name)
    write_model(end, dataset, tmp_path / "models/diffusion")
    pipeline = AVPipeline.from_pretrained(tmp_path / "models")
    assert [one.name for one in trained_tasks(pipeline.record)] == ["plain", "foley", "seen", "tone", "follow"]
    config = GenerationConfig(frames=9, height_px=32, width_px=48, fps=12.0, steps=2)
    tone = 0.3 * np.sin(np.arange(36_000) / 25).astype(np.float32)
    encode(tmp_path / "film.mp4", [np.full((32, 48, 3), 20 * n, np.uint8) for n in range(9)], 12, np.stack([tone] * 2))
    film = read_film(tmp_path / "film.mp4", config)
    ends = {}
    for name, given in (
        ("foley", GenerationInputs(video=tmp_path / "film.mp4", make="audio")),
        ("seen", GenerationInputs(audio=tmp_path / "film.mp4")),
        ("tone", GenerationInputs(make="audio")),
        ("follow", GenerationInputs(reference=tmp_path / "film.mp4")),
        ("plain", GenerationInputs()),
    ):
        edit, _ = gather(given, pipeline, config)
        ends[name] = edit.result(pipeline.generate([Request("picture 1", 0, **edit.conditions)], config)[0])
    assert "warning" not in capsys.readouterr().err
    assert np.array_equal(ends["foley"].pictures, film.pictures)
    assert not np.array_equal(ends["foley"].sound, ends["plain"].sound)
    assert np.array_equal(ends["seen"].sound, film.sound)
    assert not np.array_equal(ends["follow"].pictures, ends["plain"].pictures)
    assert len(ends["tone"].pictures) == 0 and ends["tone"].sound.shape == ends["plain"].sound.shape


class _Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.bitwise
def test_fixed_prompts_are_sampled_at_the_end_of_each_phase_also_after_a_kill(trained, place, tmp_path):
    """With the averaged weights, without a trace in training, and what a phase left before a kill is still there."""
    root, dataset = place
    wanted = ValidationParams(prompts=[CAPTIONS[0], "picture 2"], steps=2)
    sampler = PhaseSampler(wanted, root / "models", dataset, CURRICULUM, 1, "text_to_video")
    ends, told = {}, []
    for name, stop in (("whole", None), ("cut", 16), ("cut", None)):

        def log(phase, step, figures, stop=stop):
            told.append((phase, step, figures))
            if step == stop and "loss" in figures:
                raise _Killed

        with contextlib.suppress(_Killed):
            ends[name] = train_diffusion(
                dataset,
                root / "models",
                CURRICULUM,
                PARAMS,
                TrainContext(5e-3, 1, "c", lambda fingerprint, name=name: tmp_path / name / fingerprint, log=log),
                sampler=sampler,
            )
    for name, end in ends.items():
        assert all(torch.equal(w, trained.weights[n]) for n, w in end.weights.items()), "sampling changed nothing"
        gather_phases(phase_samples(end.run), ["small", "large"], tmp_path / f"{name}-report")
    made = {path.name: path.read_bytes() for path in (tmp_path / "whole-report").iterdir()}
    assert set(made) >= {"small.png", "large.png", "small_0.mp4", "small_1.mp4", "large_1.mp4", "grid.png"}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "cut-report").iterdir()}
    assert made["small_0.mp4"] != made["small_1.mp4"] and json.loads(made["large_1.json"])["seed"] == 2
    _check_measures(made, told[: len(told) // 2])
    write_model(ends["whole"], dataset, tmp_path / "models/diffusion")
    for name in ("video_vae", "audio_vae", "text_encoder"):
        shutil.copytree(root / "models" / name, tmp_path / "models" / name)
    config = GenerationConfig(frames=9, height_px=32, width_px=48, fps=12.0, steps=2)
    later = AVPipeline.from_pretrained(tmp_path / "models").generate([Request("picture 2", 2)], config)[0]
    write_video(later, tmp_path / "later.mp4", facts={})
    assert np.array_equal(_pictures(tmp_path / "later.mp4"), _pictures(tmp_path / "whole-report/large_1.mp4")), (
        "the last phase's sample is what the finished model makes"
    )


def _check_measures(made: dict[str, bytes], told: list[tuple[str, int, dict[str, float]]]) -> None:
    """What the samples show of what was asked stands beside them and in the log where the phase ends, with its n."""
    ends = {phase: (step, figures) for phase, step, figures in told if any(n.startswith("samples/") for n in figures)}
    assert {phase: step for phase, (step, _) in ends.items()} == {"small": 13, "large": 23}
    for phase, (_, figures) in ends.items():
        measured = json.loads(made[f"{phase}_measures.json"])
        assert (measured["phase"], measured["videos"]) == (phase, 2)
        assert set(measured["adherence"]) >= {"ground_colour", "object_colour", "object_shape", "object_motion"}
        for name, held in measured["adherence"].items():
            assert held["n"] == figures[f"samples/{name}/n"] == 1, "one of the two prompts names attributes"
            assert held["rate"] == figures[f"samples/{name}/rate"] and 0 <= held["low"] <= held["high"] <= 1


def _pictures(path: Path) -> np.ndarray:
    return read_clip(path, 32, 48, 12.0, 9)[0]


def test_another_lr_trains_anew_and_the_same_one_does_not(trained, place):
    same = _train(place, PARAMS, "checkpoints")
    assert same.run.wall_s < trained.run.wall_s / 2
    other = _train(place, PARAMS, "checkpoints", lr=1e-3)
    assert other.metrics["heldout"]["trained"]["loss"] != trained.metrics["heldout"]["trained"]["loss"]
    assert len(list((place[0] / "checkpoints").iterdir())) == 2


@pytest.mark.long
@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"
)  # what torch.compile imports
def test_a_compiled_model_trains_the_same(trained, place):
    """The same losses under the same names of weights; a graph for each kind of batch and not for each size."""
    torch._dynamo.utils.counters.clear()
    compiled = _train(place, PARAMS.model_copy(update={"compile": True}), "compiled")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0, "something was compiled"
    assert not torch._dynamo.utils.counters["graph_break"], "in one piece"
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 6
    for fast, plain in zip(compiled.run.curve, trained.run.curve, strict=True):
        assert fast["loss"] == pytest.approx(plain["loss"], rel=2e-3), plain["step"]
    ends = [found.metrics["heldout"]["trained"]["loss"] for found in (compiled, trained)]
    assert ends[0] == pytest.approx(ends[1], rel=2e-3)
    assert set(compiled.weights) == set(trained.weights)


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_fine_tuning_with_adapters_starts_from_the_given_model(trained, place, tmp_path, quantize):
    """Adapters trained in 8 bits, with a swapped block, are delivered on the weights that were given."""
    given = place[0] / "models" / TRANSFORMER
    small = {"gradient_checkpointing": True, "swap_blocks": 1} if quantize else {}
    lora = _lora().model_copy(update={"quantize": quantize})
    tuned = _train(place, PARAMS.model_copy(update={"init": str(given), "lora": lora, **small}), f"tuned-{quantize}")
    assert tuned.run.curve[0]["loss"] < trained.run.curve[0]["loss"]
    write_model(tuned, place[1], tmp_path / "diffusion")
    base, written = open_checkpoint(given), open_checkpoint(tmp_path / "diffusion" / "transformer")
    fused = fuse_lora(base.tensors(), tmp_path / "diffusion" / "lora")
    for name, weight in written.tensors().items():
        assert np.allclose(weight.numpy(), fused[name].numpy(), atol=1e-5), name


def _lora():
    from aiprod.trainer.diffusion.lora import LoraParams

    return LoraParams(rank=2)


def test_a_first_frame_is_refused_where_a_token_spans_several():
    task = {"task": {"first_frame": 0.1}, "transformer": {"video_patch": [2, 2, 2]}}
    with pytest.raises(AiprodError, match=r"train_diffusion\.task.*first_frame is 0\.1.*spans 2 latent frames.*set"):
        validate(TrainDiffusionParams, task, "params.yaml: train_diffusion")
    assert validate(TrainDiffusionParams, {**task, "task": {}}, "x").transformer.video_patch == (2, 2, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"init": "nowhere"}, "is not a folder"),
        ({"lora": True}, "init names none"),
    ],
)
def test_impossible_settings_are_one_clear_line(place, changes, words):
    changes = {**changes, "lora": _lora()} if changes.pop("lora", None) else changes
    with pytest.raises(AiprodError, match=words):
        _train(place, PARAMS.model_copy(update=changes), "no")
