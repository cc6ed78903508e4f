"""The latent upsampler beats interpolation on clips it never saw, resumes bit for bit, and its clips are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from aiprod.core.vae.config import VideoVAEConfig
from aiprod.core.vae.video import VideoVAE
from aiprod.data.latents.dataset import NULL_TEXT, LatentDataset, latent_geometry
from aiprod.data.latents.rows import LatentRow
from aiprod.errors import AiprodError
from aiprod.models.adapters.autoencoders import save_vae
from aiprod.models.latent_upsampler import load_upsampler, save_upsampler
from aiprod.trainer.diffusion.upsampler import TrainedUpsampler, UpsamplerParams, train_upsampler
from aiprod.trainer.loop.context import TrainContext, no_log
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.vae.pca_init import start_video
from tests.rows import write_latent_rows
from tests.trainer.small_cache import SELDOM

pytestmark = pytest.mark.bitwise
DIGESTS = {"video_vae": "v", "audio_vae": "a", "text_encoder": "t", "geometry": "g", "cache_params": "c"}
HEIGHT, WIDTH, FRAMES, CLIPS = 32, 48, 9, 16
SMALL = {"batch": 4, "mid_channels": 32, "steps": 60, "checkpoint_every_s": 0.0, "lr_scale": 5.0}


class Killed(Exception):
    """Stands for the end of the process."""


def film(number: int, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Discs and stripes that move, ``[1, 3, F, H, W]`` in [-1, 1]."""
    generator = torch.Generator().manual_seed(number)
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    colours = torch.rand(3, 3, 1, 1, generator=generator) * 2 - 1
    at, speed = torch.rand(2, generator=generator) * 30, torch.rand(2, generator=generator) * 4 - 2
    radius, period = 6 + 6 * torch.rand(1, generator=generator), 8 + 12 * torch.rand(1, generator=generator)
    pictures = []
    for frame in range(FRAMES):
        top, left = at + frame * speed
        inside = torch.sigmoid((radius - ((y - top) ** 2 + (x - left) ** 2).sqrt()) * 2)
        stripes = torch.sigmoid(torch.sin((x + frame) / period * 6.28) * 4)
        ground = colours[0] * stripes + colours[1] * (1 - stripes)
        pictures.append(colours[2] * inside + ground * (1 - inside))
    return torch.stack(pictures, 1)[None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An autoencoder that begins as principal components, and the latents of films, eight of them held out."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("upsampler")
    vae = VideoVAE(VideoVAEConfig(widths=(16,), encoder_depths=(0,), decoder_depths=(0,), latent_channels=12)).eval()
    start_video(vae, [film(n, h, w) for n in range(100, 108) for h, w in ((HEIGHT, WIDTH), (16, 24))], 0)
    save_vae(vae, folder / "models" / "video_vae")
    return folder / "models", write_latents(folder / "latents", vae)


def write_latents(folder: Path, vae: VideoVAE) -> Path:
    rows = []
    text = {"hidden": torch.zeros(1, 4), "mask": torch.ones(1)}
    _save(folder / NULL_TEXT, text, {"text_encoder": "t"})
    for number in range(CLIPS + 8):
        clip = f"c{number:016d}-000"
        with torch.no_grad():
            latent = vae.normalize(vae.encode(film(number)).mode())[0]
        header = {**{k: DIGESTS[k] for k in ("video_vae", "audio_vae", "text_encoder")}}
        header["geometry"] = latent_geometry(HEIGHT, WIDTH, FRAMES, 8.0)
        _save(folder / f"only/{clip}.safetensors", {"video": latent}, header)
        _save(folder / f"text/{clip}.safetensors", text, {"text_encoder": "t"})
        rows.append(
            LatentRow(
                clip_id=clip,
                film_id="f" + clip[1:17],
                phase="only",
                status="ok",
                split="train" if number < CLIPS else "heldout",
                source_id="s",
                file=f"only/{clip}.safetensors",
                text_file=f"text/{clip}.safetensors",
                has_audio=False,
                height=HEIGHT,
                width=WIDTH,
                frames=FRAMES,
                fps=8.0,
                caption="a film",
            )
        )
    write_latent_rows(folder, rows, DIGESTS)
    return folder


def _save(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    path.write_bytes(safetensors.torch.save(whole, metadata=header))


def train(
    made: tuple[Path, Path], place: Path, *, stop: int = -1, apart: Callable[[str], bool] = lambda _: False, **changes
) -> TrainedUpsampler | None:
    models, latents = made

    def log(phase: str, step: int, figures: dict[str, float]) -> None:
        if step == stop and "loss" in figures:
            raise Killed

    size = {"height": HEIGHT, "width": WIDTH, "frames": FRAMES, "fps": 8.0, "batch": 4, "duration": {"steps": 1}}
    size |= {"lr_scale": 1.0, "weight_decay": 0.0}
    curriculum = CurriculumConfig.model_validate({"phases": {"only": size}})
    context = TrainContext(1e-3, 7, "code", lambda fingerprint: place / fingerprint, {}, log if stop >= 0 else no_log)
    params = UpsamplerParams.model_validate({**SMALL, **changes})
    return train_upsampler(LatentDataset(latents, DIGESTS, apart=apart), models, curriculum, params, context)


@pytest.fixture(scope="module")
def whole(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> TrainedUpsampler:
    found = train(made, tmp_path_factory.mktemp("whole"), **SELDOM)
    assert found is not None
    return found


def test_it_beats_interpolation_of_latents_on_films_it_never_saw(whole):
    assert whole.run is not None
    held = whole.run.heldout[-1]
    assert held["heldout/loss"] < 0.8 * min(held["heldout/nearest"], held["heldout/trilinear"])
    told = whole.metrics
    assert told["heldout_clips"] == 8
    assert told["psnr_db"] > max(told["psnr_db_nearest"], told["psnr_db_trilinear"]) + 0.5


@pytest.mark.parametrize("ways", [{"space": False, "time": True}, {"time": True}], ids=["time", "both"])
def test_time_too_beats_interpolation(made, tmp_path, ways):
    found = train(made, tmp_path, **ways, **SELDOM)
    assert found is not None and found.run is not None
    held = found.run.heldout[-1]
    assert held["heldout/loss"] < min(held["heldout/nearest"], held["heldout/trilinear"])
    record = found.save(tmp_path / "u")
    assert (record.space, record.time) == (2 if ways.get("space", True) else 1, 2)


@pytest.mark.parametrize("step", [0, 17, 58])
def test_killed_and_resumed_equals_never_killed(made, whole, tmp_path, step):
    with pytest.raises(Killed):
        train(made, tmp_path, stop=step)
    again = train(made, tmp_path)
    assert again is not None
    ours, theirs = again.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert again.ledger.state_dict() == whole.ledger.state_dict()
    assert again.metrics == whole.metrics
    assert [row["loss"] for row in again.curve] == [row["loss"] for row in whole.curve]


def test_the_ledger_counts_what_it_was_shown_beside_what_the_transformer_was(whole):
    counted = whole.ledger.state_dict()
    assert sum(times["upsampler"] for times in counted.values()) == SMALL["steps"] * SMALL["batch"]
    assert set(counted) == {f"c{n:016d}-000" for n in range(CLIPS)}
    transformer = ExposureLedger()
    transformer.add("high", ["c0000000000000000-000", "other"])
    both = transformer.joined(whole.ledger).state_dict()
    assert both["c0000000000000000-000"]["high"] == 1
    assert both["c0000000000000000-000"]["upsampler"] == counted["c0000000000000000-000"]["upsampler"]
    assert both["other"] == {"high": 1}
    assert whole.ledger.state_dict() == counted, "the ledger of the run itself stays as it was"


def test_clips_that_can_be_erased_and_wait_for_the_end_are_not_shown(made, tmp_path):
    found = train(made, tmp_path, apart=lambda clip: clip.startswith("c0000000000000001"), steps=12)
    assert found is not None
    assert "c0000000000000001-000" not in found.ledger.state_dict()
    assert len(found.ledger.state_dict()) == CLIPS - 1


def test_without_steps_there_is_none_and_a_given_one_is_copied(made, whole, tmp_path):
    assert train(made, tmp_path / "none", steps=0) is None
    assert not (tmp_path / "none").exists()
    digest = save_upsampler(whole.model, tmp_path / "given")
    copied = train(made, tmp_path / "copied", steps=0, init=str(tmp_path / "given"))
    assert copied is not None
    assert copied.save(tmp_path / "again").digest == digest
    assert copied.ledger.state_dict() == {}


def test_a_published_one_is_trained_on(made, whole, tmp_path):
    """The layout of LTX-Video has no shortcut and takes latents that are not normalised."""
    torch.manual_seed(3)
    config = whole.model.config.model_copy(update={"shortcut": False})
    save_upsampler(type(whole.model)(config), tmp_path / "given")
    found = train(made, tmp_path / "state", init=str(tmp_path / "given"), steps=20)
    assert found is not None and found.run is not None
    first, last = found.run.heldout[0], found.run.heldout[-1]
    assert last["heldout/loss"] < first["heldout/loss"]
    found.save(tmp_path / "out")
    assert not load_upsampler(tmp_path / "out").config.shortcut


def test_what_cannot_be_trained_is_one_line(made, whole, tmp_path, monkeypatch):
    narrow = whole.model.config.model_copy(update={"in_channels": 3})
    save_upsampler(type(whole.model)(narrow), tmp_path / "narrow")
    with pytest.raises(AiprodError, match="init takes latents of 3 channels, and these have 12"):
        train(made, tmp_path, init=str(tmp_path / "narrow"))
    bucket = LatentDataset.buckets
    odd = lambda self, phase: {k: replace(b, width=40) for k, b in bucket(self, phase).items()}  # noqa: E731
    monkeypatch.setattr(LatentDataset, "buckets", odd)
    with pytest.raises(AiprodError, match="no clip of phase 'only' has a half: width of 40 cannot be halved"):
        train(made, tmp_path)
