"""Reads cached latents, after checking that they were made by the models and settings now in use."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from aiprod.base.files import contained, digest_of
from aiprod.data.latents.buckets import Bucket, reasons_table
from aiprod.data.latents.rows import LatentRow
from aiprod.errors import AiprodError
from aiprod.storage.clip_store import decrypted_copy, refuse_damaged
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, read_rows

NULL_TEXT = "text/null.safetensors"
# What a latent depends on, by the name under which its file and the manifest record the digest.
DIGESTS = {
    "video_vae": "the video VAE",
    "audio_vae": "the audio VAE",
    "text_encoder": "the text encoder",
    "geometry": "the resolutions and lengths of the curriculum",
    "cache_params": "the parameters of cache_latents",
}


@dataclass(frozen=True)
class LatentItem:
    """One clip in one phase, normalised by the VAE's statistics.

    ``video`` [C, F, H, W] or None; ``audio`` [C, T] or None; ``text`` [tokens, D] with ``text_mask`` [tokens] bool.
    """

    clip_id: str
    video: Tensor | None
    audio: Tensor | None
    text: Tensor
    text_mask: Tensor
    fps: float


class LatentDataset:
    """The latent cache of one dataset.

    Args:
        folder: ``datasets/v1/latents``.
        expected: name in :data:`DIGESTS` → digest of what is in use now.
        memory_bytes: latents kept in memory between epochs.
        apart: clips that wait for the end of training, and that nothing else may depend on: :meth:`usable` and
            :meth:`buckets` leave them out.

    Raises:
        AiprodError: a digest differs; the message names what is stale.
    """

    def __init__(
        self,
        folder: Path | str,
        expected: Mapping[str, str],
        memory_bytes: int = 1 << 30,
        *,
        apart: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.folder, self._expected, self._apart = Path(folder), dict(expected), apart
        self.head = read_head(self.folder)
        _refuse_stale(self.head.inputs, self._expected, f"{self.folder}")
        self.rows = {(row.phase, row.clip_id): row for row in read_rows(self.folder, LatentRow, Vault())}
        recorded = [
            pair for r in self.rows.values() for pair in ((r.file, r.file_sha256), (r.text_file, r.text_sha256))
        ]
        self._recorded = {file: digest for file, digest in recorded if file is not None}
        self._memory: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._memory_bytes, self._cached_bytes = memory_bytes, 0

    def usable(self, phase: str, split: str) -> list[LatentRow]:
        """Cached clips of one phase and split, by clip id."""
        return [row for row in self._cached(phase, split) if not self._apart(row.clip_id)]

    def waiting(self, phase: str) -> list[LatentRow]:
        """Clips to train on that wait for the end of training, by clip id."""
        return [row for row in self._cached(phase, "train") if self._apart(row.clip_id)]

    def _cached(self, phase: str, split: str) -> list[LatentRow]:
        rows = [r for (p, _), r in self.rows.items() if p == phase and r.status == "ok" and r.split == split]
        return sorted(rows, key=lambda row: row.clip_id)

    def buckets(self, phase: str) -> dict[str, Bucket]:
        """Clip id → bucket, of the clips to train on.

        Raises:
            AiprodError: there are none; the message counts why.
        """
        rows = self.usable(phase, "train")
        if not rows:
            raise AiprodError(
                f"phase {phase!r} has no clip to train on: {self.why_not(phase).replace(chr(10), '; ')}",
                "add clips, admit more verdicts in train_clips, or lower the frames of the phase",
            )
        return {row.clip_id: bucket_of(row) for row in rows}

    def why_not(self, phase: str) -> str:
        """A table of the reasons why clips are not used in a phase."""
        reasons: Counter[str] = Counter()
        for (p, _), row in self.rows.items():
            if p == phase and row.status != "ok":
                reasons[row.reasons[0] if row.reasons else row.status] += 1
        return reasons_table(reasons)

    def load(self, phase: str, clip_id: str) -> LatentItem:
        """Latents and text features of one clip.

        Raises:
            AiprodError: a file is missing, damaged, or made by another model.
        """
        row = self.rows[phase, clip_id]
        if row.status != "ok" or row.file is None or row.text_file is None:
            raise AiprodError(f"clip {clip_id} is not cached for phase {phase!r}", "run `dvc repro cache_latents`")
        makers = ("video_vae", "audio_vae")
        made_by: dict[str, str] = {name: self._expected[name] for name in makers if name in self._expected}
        made_by["geometry"] = latent_geometry(row.height or 0, row.width or 0, row.frames or 0, row.fps or 0)
        latents, text = self._read(row.file, made_by), self._read(row.text_file, self._text_encoder())
        return LatentItem(
            clip_id, latents.get("video"), latents.get("audio"), text["hidden"], text["mask"].bool(), row.fps or 1.0
        )

    def null_text(self) -> tuple[Tensor, Tensor]:
        """Features of the empty prompt: hidden [tokens, D] and mask [tokens]."""
        text = self._read(NULL_TEXT, self._text_encoder())
        return text["hidden"], text["mask"].bool()

    def _text_encoder(self) -> dict[str, str]:
        return {k: v for k, v in self._expected.items() if k == "text_encoder"}

    def _read(self, name: str, made_by: Mapping[str, str]) -> dict[str, Tensor]:
        if name in self._memory:
            self._memory.move_to_end(name)
            return self._memory[name]
        path = contained(self.folder, name)
        refuse_damaged([(path, self._recorded.get(name))])
        tensors, metadata = read_tensors(path)
        _refuse_stale(metadata, made_by, str(path))
        self._memory[name] = tensors
        self._cached_bytes += _bytes(tensors)
        while self._cached_bytes > self._memory_bytes and len(self._memory) > 1:
            self._cached_bytes -= _bytes(self._memory.popitem(last=False)[1])
        return tensors


def bucket_of(row: LatentRow) -> Bucket:
    """The bucket of a cached clip."""
    return Bucket(row.height or 0, row.width or 0, row.frames or 0, row.has_audio)


def latent_geometry(height: int, width: int, frames: int, fps: float) -> str:
    """Digest of the size of one clip in one phase, recorded in the header of its latents."""
    return digest_of([height, width, frames, float(fps)])


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (float32 where floating) and header of a safetensors file.

    Raises:
        AiprodError: missing or damaged.
    """
    try:
        with decrypted_copy(path) as clear, safe_open(clear, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            metadata = dict(file.metadata() or {})
    except FileNotFoundError:
        raise AiprodError(f"{path} does not exist", "restore it with `dvc checkout`") from None
    except (SafetensorError, OSError) as error:
        raise AiprodError(f"{path} is damaged ({error})", "restore it with `dvc checkout`") from None
    return {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}, metadata


def _refuse_stale(metadata: Mapping[str, Any], expected: Mapping[str, str], where: str) -> None:
    stale = [DIGESTS[name] for name, digest in expected.items() if metadata.get(name) != digest]
    if stale:
        raise AiprodError(
            f"{where} is stale: it was made with another version of {' and '.join(stale)}",
            "run `dvc repro cache_latents`",
        )


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(t.nbytes for t in tensors.values())
