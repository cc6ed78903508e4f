"""Autoencoders on two processes, under fp16, and where the loss is no number."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aiprod.base.params import validate
from aiprod.errors import AiprodError
from aiprod.trainer.loop.accelerator import Engine, SingleEngine, make_engine
from aiprod.trainer.loop.loop import TrainingRun
from aiprod.trainer.vae.audio import AudioVaeStageParams, AudioVAEStrategy
from aiprod.trainer.vae.losses import Share, VideoLossParams, VideoVAELoss
from aiprod.trainer.vae.perceptual import PerceptualLoss
from tests.trainer.ranks import on_two_ranks
from tests.trainer.small_text import make_text_run
from tests.trainer.small_vaes import CPU, make_vae_run

pytestmark = pytest.mark.bitwise

BOTH = ("video_vae", "audio_vae")


def gentle(kind: str, folder: Path, engine: Engine | None = None) -> TrainingRun:
    """On noise and at a low rate: of pure tones so little is left to learn that rounding, which depends on the size of
    a rank's batch, would make up the figures."""
    run = make_vae_run(kind, folder, engine, lr=1e-4, steps=20, checkpoint_every_s=1e6)
    if isinstance(run.strategy, AudioVAEStrategy):
        noise = torch.randn(3, 2, 9600, generator=torch.Generator().manual_seed(1)) / 10
        run.strategy.decoded.tensors[:] = [(sound * (n + 1)).half() for n, sound in enumerate(noise)]
    return run


def train_all(folder: str) -> None:
    """What each rank does: both autoencoders and the text encoder, and what they end with."""
    text = make_text_run(Path(folder) / "text_encoder", make_engine(), steps=20, every_s=1e6)
    text.train()
    end = {"curve": text.curve, "weights": text.model.state_dict(), "ledger": text.ledger.state_dict()}
    torch.save(end, f"{folder}/text_encoder.{text.engine.rank}")
    for kind in BOTH:
        run = gentle(kind, Path(folder) / kind, make_engine())
        assert run.engine.world == 2
        run.train().copy_to(run.model)
        state = run.strategy.state_dict()
        torch.save(
            {"curve": run.curve, "critic": state.get("discriminator", {}), "weights": run.model.state_dict()},
            f"{folder}/{kind}.{run.engine.rank}",
        )


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what two ranks end with."""
    folder = tmp_path_factory.mktemp("ranks")
    done = on_two_ranks("tests.trainer.test_vae_ranks:train_all", str(folder))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.long
def test_two_processes_train_what_one_trains(two_ranks: Path, tmp_path: Path) -> None:
    """The discriminator, which no wrapper averages, is the same on both as well."""
    for kind in BOTH:
        alone = gentle(kind, tmp_path / "alone" / kind)
        alone.train()
        first, second = (torch.load(two_ranks / f"{kind}.{rank}", weights_only=True) for rank in (0, 1))
        for one, two in zip(alone.curve, first["curve"], strict=True):
            assert two.keys() == one.keys()
            for name in one.keys() & {"loss", "reconstruction", "stft", "discriminator"}:
                assert two[name] == pytest.approx(one[name], rel=0.01), (kind, one["step"], name)
        assert first["curve"][0]["grad_norm"] == pytest.approx(alone.curve[0]["grad_norm"], rel=1e-3)
        for part in ("critic", "weights"):
            assert all(torch.equal(w, second[part][n]) for n, w in first[part].items()), (kind, part)
    assert "discriminator" in alone.curve[-1] or kind == "audio_vae"


@pytest.mark.long
def test_two_processes_train_the_text_encoder_that_one_trains(two_ranks: Path, tmp_path: Path) -> None:
    """Captions differ in length, and a rank's mean over tokens is not that of the batch."""
    alone = make_text_run(tmp_path, steps=20, every_s=1e6)
    alone.train()
    first, second = (torch.load(two_ranks / f"text_encoder.{rank}", weights_only=True) for rank in (0, 1))
    assert [row["loss"] for row in first["curve"]] == pytest.approx([row["loss"] for row in alone.curve], rel=1e-4)
    assert first["ledger"] == second["ledger"] == alone.ledger.state_dict()
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name


def test_the_ranks_mean_of_the_perceptual_part_is_that_of_the_batch() -> None:
    torch.manual_seed(0)
    output, target = torch.rand(4, 3, 2, 16, 16), torch.rand(4, 3, 2, 16, 16)
    loss = VideoVAELoss(VideoLossParams(perceptual_frames=3, perceptual_layers=1), PerceptualLoss(1))
    posterior = make_vae_run("video_vae", Path("unused")).strategy.vae.encode(target[:, :, :1])

    def found(first: int, last: int, share: Share | None) -> float:
        generator = torch.Generator().manual_seed(5)
        return float(loss(output[first:last], target[first:last], posterior, generator, share)[1]["perceptual"])

    parts = [found(n, n + 1, Share(target, n)) for n in range(4)]
    assert sum(parts) / 4 == pytest.approx(found(0, 4, None), rel=1e-5)
    assert 0.0 in parts, "three frames of eight: some rank has none of them"


@pytest.mark.parametrize("kind", BOTH)
def test_a_loss_that_is_no_number_stops_with_the_step_and_keeps_what_was_saved(kind: str, tmp_path: Path) -> None:
    run = make_vae_run(kind, tmp_path)
    loss = run.strategy.loss

    def broken(model, batch, *, step, **rest):
        batch.x.mul_(float("nan") if step == 3 else 1)
        return loss(model, batch, step=step, **rest)

    run.strategy.loss = broken  # type: ignore[method-assign]
    words = rf"is nan at step 3 of phase '{kind}' → lower lr or train_{kind}.trainer.lr_scale"
    with pytest.raises(AiprodError, match=words):
        run.train()
    kept = run.store.latest()
    assert kept is not None and kept.step == 3
    assert all(bool(w.isfinite().all()) for w in kept.tensors["model"].values())


def test_fp16_goes_on_with_the_loss_scale_it_had(tmp_path: Path) -> None:
    """Killed after a step that overflowed, a run goes on to the weights of the one that was not killed."""
    ends = {}
    for name, stops in (("whole", ()), ("cut", (6,))):
        for stop in (*stops, None):
            run = make_vae_run("audio_vae", tmp_path / name, SingleEngine("fp16", CPU), steps=12)
            objective = run.strategy.objective.forward

            def overflowing(*arguments, run=run, objective=objective):
                total, parts = objective(*arguments)
                return (total * 1e30 if run.phases.step == 4 else total), parts

            def log(phase, step, figures, stop=stop):
                if step == stop:
                    raise KeyboardInterrupt

            run.strategy.objective.forward, run.log = overflowing, log
            if stop is None:
                run.train()
            else:
                with pytest.raises(KeyboardInterrupt):
                    run.train()
        ends[name] = run
    skipped = [row.get("skipped", 0.0) for row in ends["whole"].curve]
    assert skipped[4] == 1.0 and sum(skipped) < 10
    kept = ends["cut"].store.latest()
    assert kept is not None and kept.objects["optimizer"]["scaler"]["scale"] < 65536.0
    assert ends["cut"].curve == ends["whole"].curve
    for name, weight in ends["whole"].model.state_dict().items():
        assert torch.equal(weight, ends["cut"].model.state_dict()[name]), name


def test_a_discriminator_of_sound_is_refused_by_name() -> None:
    with pytest.raises(AiprodError, match=r"train_audio_vae\.trainer.*adversarial is 0\.1.*set it to 0"):
        validate(AudioVaeStageParams, {"trainer": {"adversarial": 0.1}}, "params.yaml: train_audio_vae")
