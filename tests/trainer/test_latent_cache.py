"""Latents of real films: they decode to the picture they were made from, every clip is accounted for, work is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save

from aiprod.base.files import sha256_file
from aiprod.core.generation import GenerationConfig
from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.core.vae.video import VideoVAE
from aiprod.data.latents.dataset import LatentDataset, read_tensors
from aiprod.data.latents.rows import LatentRow
from aiprod.errors import AiprodError
from aiprod.evaluation.real_clips import read_reference
from aiprod.media.clips import read_clip
from aiprod.media.encoding import encode
from aiprod.models.checkpoint.header import ordered
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import write_manifest
from aiprod.storage.result_cache import Memo
from aiprod.trainer.latents.cache import cache_latents, geometry_digest
from aiprod.trainer.latents.encode import CacheLatentsParams, CacheModels
from aiprod.trainer.loop.curriculum import PhaseGeometry
from aiprod.trainer.text_encoder.train import GemmaSize, make_gemma, make_tokenizer
from aiprod.trainer.training_set import LeftOut, Selection, TrainingClip
from aiprod.trainer.vae.pca_init import start_audio, start_video

pytestmark = pytest.mark.bitwise

PHASES = {
    "low": PhaseGeometry(height=16, width=24, frames=5, fps=12.0),
    "high": PhaseGeometry(height=32, width=48, frames=13, fps=12.0),
}
PARAMS = CacheLatentsParams(min_psnr_db=0.0)


def _film(path: Path, seconds: float, *, sound: bool = True, size: tuple[int, int] = (64, 96)) -> Path:
    time = np.arange(round(seconds * 24)) / 24
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    pictures = [np.stack([(x * 2 + 40 * t) % 200, y * 3 % 200, np.full_like(x, 90)], -1).astype(np.uint8) for t in time]
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 48_000)) / 48_000).astype(np.float32)
    encode(path, pictures, 24, np.stack([tone, tone]) if sound else None)
    return path


def _clip(number: int, path: Path, seconds: float, *, sound: bool = True, size=(64, 96), split="train") -> TrainingClip:
    return TrainingClip(
        clip_id=f"c{number}-000",
        film_id=f"f{number}",
        source_id="s",
        split=split,
        path=path,
        sha256=sha256_file(path),
        has_audio=sound,
        fps=24.0,
        frames=round(seconds * 24),
        height=size[0],
        width=size[1],
        caption=f"film {number}",
        ground_truth=None,
    )


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> Selection:
    folder = tmp_path_factory.mktemp("films")
    clips = [
        _clip(0, _film(folder / "0.mp4", 2.0), 2.0),
        _clip(1, _film(folder / "1.mp4", 2.0, sound=False), 2.0, sound=False),
        _clip(2, _film(folder / "2.mp4", 0.8), 0.8),
        _clip(3, _film(folder / "3.mp4", 2.0, size=(96, 64)), 2.0, size=(96, 64)),
        _clip(4, _film(folder / "4.mp4", 0.25), 0.25),
    ]
    broken = folder / "5.mp4"
    broken.write_bytes(clips[0].path.read_bytes()[:300])
    clips.append(_clip(5, broken, 2.0))
    return Selection(clips, [], {"c9-000": LeftOut("f9", "QC says REJECTED")})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, selection: Selection) -> CacheModels:
    from aiprod.models.adapters.gemma import GemmaTextEncoder

    torch.manual_seed(0)
    pictures, sound = read_clip(selection.train[0].path, 32, 48, 12.0, 13)
    video = VideoVAE(VideoVAEConfig(widths=(16,), latent_channels=12))
    pixels = torch.from_numpy(pictures).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    start_video(video, [pixels], 0)
    audio = AudioVAE(AudioVAEConfig(widths=(8, 8, 16), depths=(1, 1, 1), latent_channels=8))
    start_audio(audio, [torch.from_numpy(sound[:, : 1920 * 20])[None]], 0)
    with torch.no_grad():
        video.statistics.measure([video.encode(pixels).mode()])
    folder = tmp_path_factory.mktemp("text")
    size = GemmaSize(vocabulary=280, width=32, layers=1, heads=2)
    tokenizer = make_tokenizer(["film 0"], size)
    make_gemma(size, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    digests = {"video_vae": "v", "audio_vae": "a", "text_encoder": "t"}
    return CacheModels(video.eval(), audio.eval(), GemmaTextEncoder.from_pretrained(folder), digests)


@pytest.fixture(scope="module")
def cached(selection, models, tmp_path_factory):
    folder, memo = tmp_path_factory.mktemp("latents"), Memo(tmp_path_factory.mktemp("memo"), "x")
    rows, counters, metrics = cache_latents(selection, PHASES, models, PARAMS, folder=folder, memo=memo)
    inputs = {**models.digests, "geometry": geometry_digest(PHASES), "cache_params": PARAMS.digest()}
    write_manifest(
        folder,
        rows,
        row_model=LatentRow,
        stage="cache_latents",
        key=lambda r: r.row_id,
        params_digest="p",
        inputs=inputs,
        expect_ids=[f"{c}/{p}" for p in PHASES for c in selection.ids],
    )
    return folder, memo, rows, counters, metrics, inputs


class Unloaded:
    """Models that are not to be loaded."""

    def __init__(self, models: CacheModels) -> None:
        self.digests, self.compression = models.digests, models.compression

    def loaded(self) -> CacheModels:
        raise AssertionError("models are loaded, and there is nothing to encode")


def _row(cached, number: int, phase: str) -> LatentRow:
    return next(r for r in cached[2] if r.clip_id == f"c{number}-000" and r.phase == phase)


def test_latents_decode_to_the_picture_and_the_sound(cached, selection, models):
    folder, rows = cached[0], [_row(cached, n, p) for n in (0, 3) for p in PHASES]
    for row in rows:
        clip = next(c for c in selection.train if c.clip_id == row.clip_id)
        tensors, header = read_tensors(folder / str(row.file))
        pictures, sound = read_clip(clip.path, row.height, row.width, row.fps, row.frames)
        with torch.no_grad():
            decoded = models.video_vae.decode(models.video_vae.denormalize(tensors["video"][None]))[0].clamp(-1, 1)
            wave = models.audio_vae.decode(models.audio_vae.denormalize(tensors["audio"][None]))[0]
        pixels = torch.from_numpy(pictures).permute(3, 0, 1, 2).float() / 127.5 - 1
        psnr = 10 * np.log10(4 / float((decoded - pixels).square().mean()))
        assert psnr == pytest.approx(row.psnr_db, abs=0.01)
        assert psnr > 15  # twelve principal components of this picture
        assert 0 <= wave.shape[1] - sound.shape[1] < 1920
        assert header["video_vae"] == "v"
        assert header["has_audio"] == "true"


def test_an_encrypted_clip_gives_the_latents_of_the_same_clip_in_the_clear(
    cached, selection, models, tmp_path, state_home
):
    clip_id = "c0abcdefgh234567aa-000"
    hidden = tmp_path / f"{clip_id}.mp4"
    Vault().encrypt_file(f"processed:{clip_id}", selection.train[0].path, hidden)
    private = dataclasses.replace(
        selection.train[0], clip_id=clip_id, film_id="f0abcdefgh234567aa", path=hidden, sha256=sha256_file(hidden)
    )
    folder, memo = tmp_path / "latents", Memo(tmp_path / "memo", "x")
    for _ in range(2):  # made, then taken from the memo
        rows, _, _ = cache_latents(Selection([private], [], {}), PHASES, models, PARAMS, folder=folder, memo=memo)
        for row in rows:
            assert row.status == "ok"
            with pytest.raises(SafetensorError):
                load_file(folder / str(row.file))  # not in the clear
            tensors, _ = read_tensors(folder / str(row.file))
            expected, _ = read_tensors(cached[0] / str(_row(cached, 0, row.phase).file))
            assert all(torch.equal(tensors[name], expected[name]) for name in expected)
        config = GenerationConfig(height_px=32, width_px=48, frames=9, fps=12.0, steps=2)
    real = read_reference(Selection([private], [], {}), config, 1)
    assert real[0].shown.pictures.shape[:3] == (9, 32, 48)


def test_a_silent_clip_has_no_sound_tensor(cached):
    row = _row(cached, 1, "low")
    tensors, header = read_tensors(cached[0] / str(row.file))
    assert set(tensors) == {"video"}
    assert header["has_audio"] == "false"
    assert not row.has_audio
    assert row.audio_shape is None


def test_short_portrait_and_broken_clips(cached):
    assert _row(cached, 2, "high").frames == 9  # 0.8 s are 9 frames at 12 a second, and 9 is 1 + 2 · 4
    assert (_row(cached, 3, "high").height, _row(cached, 3, "high").width) == (48, 32)
    assert _row(cached, 4, "low").status == "filtered"
    assert "shorter than 5 frames" in _row(cached, 4, "low").reasons[0]
    assert _row(cached, 5, "low").status == "error"
    assert _row(cached, 9, "low").reasons == ["QC says REJECTED"]


@pytest.mark.parametrize("where", ["reading", "encoding"])
def test_whatever_a_library_raises_on_one_clip_costs_its_own_rows(selection, models, tmp_path, monkeypatch, where):
    """And is one line in them; that nothing at all could be encoded stops the stage."""
    import aiprod.trainer.latents.encode_clips as module

    real_read, real_encoder = module.read_in_sizes, module.encoder
    bad = {"2.mp4"}

    def read(path, *rest, **more):
        if where == "reading" and path.name in bad:
            raise ValueError("odd\npicture")
        return real_read(path, *rest, **more)

    def encoder(job, *rest):
        if where == "encoding" and job.clip.path.name in bad:
            raise RuntimeError("odd\npicture")
        return real_encoder(job, *rest)

    monkeypatch.setattr(module, "read_in_sizes", read)
    monkeypatch.setattr(module, "encoder", encoder)
    low = {"low": PHASES["low"]}
    memo = Memo(tmp_path / "m", "x")
    rows, counters, _ = cache_latents(selection, low, models, PARAMS, folder=tmp_path / "l", memo=memo)
    by_id = {row.clip_id: row for row in rows}
    assert by_id["c2-000"].status == "error" and counters.failed == 2
    assert "failed on it" in by_id["c2-000"].reasons[0] and by_id["c2-000"].reasons[0].endswith("Error: odd)")
    assert by_id["c0-000"].status == "ok" and (tmp_path / "l/low/c0-000.safetensors").is_file()
    bad |= {f"{number}.mp4" for number in range(6)}
    with pytest.raises(AiprodError, match="no clip could be encoded"):
        cache_latents(selection, low, models, PARAMS, folder=tmp_path / "n", memo=Memo(tmp_path / "o", "x"))


def test_phases_that_show_the_same_stretch_decode_it_once_and_get_what_each_gets_alone(
    selection, models, tmp_path, monkeypatch
):
    import aiprod.trainer.latents.encode_clips as module

    low = PHASES["low"]
    wider = low.model_copy(update={"height": 2 * low.height, "width": 2 * low.width})
    slower = low.model_copy(update={"fps": low.fps / 2})
    phases, reads, real = {"low": low, "slower": slower, "wider": wider}, [], module.read_in_sizes

    def read(path, sizes, fps, *rest, **more):
        reads.append((path, fps, len(sizes)))
        return real(path, sizes, fps, *rest, **more)

    monkeypatch.setattr(module, "read_in_sizes", read)
    some = Selection(selection.train[:2], [], {})
    together = tmp_path / "together"
    rows, _, _ = cache_latents(some, phases, models, PARAMS, folder=together, memo=Memo(tmp_path / "m", "x"))
    for clip in some.train:
        assert sorted(count for path, _, count in reads if path == clip.path) == [1, 2], "one at the other rate"
    for name, phase in phases.items():
        alone = tmp_path / name
        memo = Memo(tmp_path / f"m_{name}", "x")
        expected, _, _ = cache_latents(some, {name: phase}, models, PARAMS, folder=alone, memo=memo)
        assert [row for row in rows if row.phase == name] == expected
        for row in expected:
            assert (together / str(row.file)).read_bytes() == (alone / str(row.file)).read_bytes()


def test_a_clip_that_cannot_be_read_is_left_out_of_the_measures(selection, capsys):
    config = GenerationConfig(frames=5, height_px=16, width_px=24, fps=12.0)
    found = read_reference(selection, config, 6)
    assert len(found) == 5, "the broken film is the sixth"
    assert "warning: clip c5-000 is left out of the measures" in capsys.readouterr().err


def test_the_dataset_reads_it_back(cached):
    folder, _, _, _, metrics, inputs = cached
    dataset = LatentDataset(folder, inputs)
    assert {str(b) for b in dataset.buckets("high").values()} == {
        "32x48x13 with sound",
        "32x48x13 silent",
        "32x48x9 with sound",
        "48x32x13 with sound",
    }
    item = dataset.load("high", "c0-000")
    assert item.text.shape[1] == 32
    assert item.text_mask.all()
    assert metrics["high"]["clips"] == 4
    assert metrics["high"]["psnr_db_worst"] <= metrics["high"]["psnr_db_mean"]
    assert "QC says REJECTED" in dataset.why_not("high")


def test_a_second_run_computes_nothing_and_a_new_clip_only_itself(cached, selection, models, tmp_path):
    folder, memo, _, counters, _, _ = cached
    assert (counters.processed, counters.reused, counters.failed) == (8, 0, 2)
    _, again, _ = cache_latents(selection, PHASES, models, PARAMS, folder=tmp_path / "a", memo=memo)
    assert (again.processed, again.reused, again.failed) == (0, 8, 2)
    assert (tmp_path / "a/low/c0-000.safetensors").read_bytes() == (folder / "low/c0-000.safetensors").read_bytes()
    known = dataclasses.replace(selection, train=selection.train[:2])
    _, known_counters, _ = cache_latents(known, PHASES, Unloaded(models), PARAMS, folder=tmp_path / "c", memo=memo)
    assert (known_counters.processed, known_counters.reused) == (0, 4), "and loads nothing"
    new = _clip(7, _film(tmp_path / "7.mp4", 1.5), 1.5)
    more = dataclasses.replace(selection, train=[*selection.train, new])
    _, third, _ = cache_latents(more, PHASES, models, PARAMS, folder=tmp_path / "b", memo=memo)
    assert (third.processed, third.reused) == (2, 8)


def test_a_bad_reconstruction_is_left_out_by_name(cached, selection, models, tmp_path):
    strict = CacheLatentsParams(min_psnr_db=99.0)
    rows, counters, _ = cache_latents(selection, PHASES, models, strict, folder=tmp_path, memo=cached[1])
    assert counters.processed == 0  # a threshold never encodes again
    assert all(row.status != "ok" for row in rows)
    assert any("below 99 dB" in reason for row in rows for reason in row.reasons)


def test_a_size_that_does_not_divide_names_the_nearest(selection, models, tmp_path):
    phases = {"low": PhaseGeometry(height=20, width=24, frames=5, fps=12.0)}
    with pytest.raises(AiprodError, match=r"curriculum.phases.low.*height is 20.*16 or 24"):
        cache_latents(selection, phases, models, PARAMS, folder=tmp_path, memo=Memo(tmp_path / "m", "x"))


def test_equal_latents_have_equal_bytes_whatever_order_the_library_writes_facts_in() -> None:
    tensors = {"video": torch.arange(6.0).reshape(2, 3), "audio": torch.ones(3)}
    facts = {name: name * 3 for name in ("sample", "psnr_db", "clip", "a", "b", "c")}
    written = [save(tensors, metadata=facts) for _ in range(40)]
    assert len(set(written)) > 1, "the library has an order now: `ordered` can go"
    assert len({ordered(data) for data in written}) == 1
    again = load(ordered(written[0]))
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())
