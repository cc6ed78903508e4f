"""A bit that the disk or DVC's cache lost is said by the next stage that reads the object."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from aiprod.base.files import sha256_file
from aiprod.core.generation import GenerationConfig
from aiprod.data.latents.dataset import LatentDataset
from aiprod.errors import AiprodError
from aiprod.evaluation.real_clips import read_reference
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.params import QcMeasureParams
from aiprod.storage.clip_store import ClipStore, refuse_damaged
from aiprod.storage.result_cache import Memo
from aiprod.trainer.training_set import Selection, TrainingClip
from aiprod.trainer.vae.data import AudioDataParams, VideoDataParams, load_pictures, load_sound
from tests.qc.test_stage import dataset
from tests.rows import write_latent_rows
from tests.trainer.small_cache import DIGESTS, write_cache


def flip(path: Path) -> None:
    """One bit, as a disk loses it: size, mode and time of change stay."""
    about = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(about.st_mode & 0o777)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.fixture
def clip(tmp_path: Path) -> TrainingClip:
    films, _ = dataset(tmp_path, 1)
    path = tmp_path / "raw" / str(films[0].raw_name)
    return TrainingClip(
        clip_id="c0-000",
        film_id="f0",
        source_id="own",
        split="train",
        path=path,
        sha256=sha256_file(path),
        has_audio=True,
        fps=24.0,
        frames=24,
        height=120,
        width=160,
        caption="",
        ground_truth=None,
    )


def test_all_that_differ_are_named_and_what_nobody_recorded_is_not(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.mp4" for n in range(6)]
    for path in paths:
        path.write_bytes(path.name.encode() * 50)
    known = [(path, sha256_file(path)) for path in paths]
    refuse_damaged(known)
    for path in paths[1:]:
        flip(path)
    with pytest.raises(AiprodError, match=r"1\.mp4, .*3\.mp4 and 2 more: not what the manifest records"):
        refuse_damaged(known)
    refuse_damaged([(paths[1], None), (paths[2], ""), (tmp_path / "gone.mp4", "0" * 64)])


def test_the_measurement_refuses_a_damaged_film_and_takes_one_it_knows_from_memo(
    tmp_path: Path, state_home: Path
) -> None:
    films, clips = dataset(tmp_path, 2)
    memo, store = Memo(tmp_path / "memo", "c"), ClipStore(tmp_path)
    how = {"memo": memo, "store": store, "thumbs": tmp_path / "thumbs"}
    measure_all(films[:1], clips[:1], QcMeasureParams(workers=1), **how)
    for film in films[:2]:
        flip(tmp_path / "raw" / str(film.raw_name))
    rows, counters = measure_all(films[:1], clips[:1], QcMeasureParams(workers=1), **how)
    assert counters.reused == 1 and rows[0].status == "ok", "its bytes are not read"
    with pytest.raises(AiprodError, match=r"f1\.mp4: not what the manifest records"):
        measure_all(films, clips, QcMeasureParams(workers=1), **how)


def test_training_refuses_a_damaged_clip(clip: TrainingClip) -> None:
    data = VideoDataParams(height=32, width=32, frames=5, fps=8)
    assert len(load_pictures([clip], data, 0, "pictures")) == 1
    flip(clip.path)
    for read in (
        lambda: load_pictures([clip], data, 0, "pictures"),
        lambda: load_sound([clip], AudioDataParams(), 8, 16_000, 0, "sound"),
        lambda: read_reference(Selection([clip], [], {}), GenerationConfig(height_px=32, width_px=32), 1),
    ):
        with pytest.raises(AiprodError, match="not what the manifest records"):
            read()
    assert load_pictures([replace(clip, sha256="")], data, 0, "pictures") is not None, "of nobody's record"


def test_cached_latents_too(tmp_path: Path) -> None:
    folder = write_cache(tmp_path)
    rows = [
        row.model_copy(
            update={
                "file_sha256": sha256_file(folder / str(row.file)),
                "text_sha256": sha256_file(folder / str(row.text_file)),
            }
        )
        for row in LatentDataset(folder, DIGESTS).rows.values()
    ]
    write_latent_rows(folder, rows, DIGESTS)
    row = rows[0]
    assert LatentDataset(folder, DIGESTS).load(row.phase, row.clip_id).clip_id == row.clip_id
    for name in (row.file, row.text_file):
        original = (folder / str(name)).read_bytes()
        flip(folder / str(name))
        with pytest.raises(AiprodError, match="not what the manifest records"):
            LatentDataset(folder, DIGESTS).load(row.phase, row.clip_id)
        (folder / str(name)).write_bytes(original)
