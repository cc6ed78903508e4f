"""Everything the manifests of a workspace say, read once, validated, joined by id. Absent stages are absent here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from aiprod.base.files import read_json
from aiprod.captions.rows import CaptionRow
from aiprod.data.latents.rows import LatentRow
from aiprod.data.rows import ClipRow, DeniedFilmRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.dataset.lazy_rows import LazyTable, fields
from aiprod.lips.rows import FaceRow
from aiprod.qc.bundled.usage import PLACE as NETWORKS
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.repo.dvc_lock import Lock, hashes
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import HEAD, ROWS, Head, Row, read_head, read_rows

INGEST = "datasets/v1/ingest"
FILMS, CLIPS = f"{INGEST}/films", f"{INGEST}/clips"
MEASURES, VERDICTS = "datasets/v1/qc/measure", "datasets/v1/qc/decide"
THUMBNAILS = f"{MEASURES}/thumbs"
CAPTIONS, LATENTS = "datasets/v1/captions", "datasets/v1/latents"
RAW, PROCESSED = "datasets/v1/raw", "datasets/v1/processed"
DIFFUSION, SAMPLES = "models/diffusion", "reports/samples"
SPEECH, FACES = "datasets/v1/speech", "datasets/v1/faces"
MANIFESTS = (FILMS, CLIPS, MEASURES, VERDICTS, CAPTIONS, LATENTS, SPEECH)
MODELS = ("text_encoder", "video_vae", "audio_vae", "diffusion", "speech", "visemes", "lips")
OF_FILM, OF_SPEECH = MODELS[:4], MODELS[4:6]
"""Models that samples are made with, and models that heard utterances; that of lips saw heads that say utterances."""
LIPS = MODELS[6]

_ROW_MODELS: dict[str, type[Row]] = {
    model.__name__: model
    for model in (FilmRow, ClipRow, DeniedFilmRow, LatentRow, MeasureRow, VerdictRow, CaptionRow, SpeechRow, FaceRow)
}


def row_model(name: str) -> type[Row]:
    """The pydantic model that a manifest's head names.

    Raises:
        AiprodError: no such model.
    """
    if name not in _ROW_MODELS:
        raise AiprodError(f"no manifest row model is called {name!r}", f"known are {', '.join(sorted(_ROW_MODELS))}")
    return _ROW_MODELS[name]


def read_manifest(folder: Path) -> tuple[Head, list[Any]]:
    """Head and validated rows of a manifest, whatever rows it holds.

    Raises:
        AiprodError: missing, invalid, or not matching its Merkle root.
    """
    head = read_head(folder)
    return head, read_rows(folder, row_model(head.row_model))


def with_obligations(film: Any, more: Sequence[str]) -> Any | None:
    """The row of a film with these obligations, too; None where it has them."""
    if set(more) <= set(film.obligations):
        return None
    right = "train_with_obligations" if film.effective_right == "train" else film.effective_right
    return film.model_copy(update={"obligations": sorted({*film.obligations, *more}), "effective_right": right})


@dataclass(frozen=True)
class ExposureCount:
    """How often one clip stood in a training batch."""

    clip_id: str
    times: int
    by_phase: dict[str, int]


@dataclass(frozen=True)
class GeneratedSample:
    """A generated video and what its JSON says of it."""

    name: str
    facts: dict[str, Any]

    @property
    def prompt(self) -> str:
        """The text it was made from."""
        return str(self.facts.get("prompt", ""))

    @property
    def view(self) -> str:
        """The file to look at: the enlarged view where there is one."""
        return str((self.facts.get("view") or {}).get("file") or self.name)


@dataclass(frozen=True)
class Records:
    """The workspace at ``root``. Every attribute is read on first use and kept.

    Args:
        root: folder with dvc.yaml.
        strict: raise on a damaged manifest; else it is noted in ``problems`` and taken as absent.
        lock: where given, a manifest whose bytes are those that dvc.lock records is read column by column, without
            validating its rows one by one; any other is read and checked in full.
        vault: where given, what is private is filled in: for a reviewer's eyes, or credits that a licence demands. What
            becomes a DVC output or is logged is read without.
    """

    root: Path
    strict: bool = True
    problems: list[str] = field(default_factory=list)
    lock: Lock | None = None
    vault: Vault | None = None

    def _rows(self, name: str) -> list[Any]:
        if not (self.root / name / HEAD).is_file():
            return []
        try:
            if self.vault is not None:
                head = read_head(self.root / name)
                return read_rows(self.root / name, row_model(head.row_model), self.vault)
            if self._recorded(f"{name}/{HEAD}") and self._recorded(f"{name}/{ROWS}"):
                head = read_head(self.root / name)
                return list(LazyTable(self.root / name / ROWS, row_model(head.row_model)).rows())
            return read_manifest(self.root / name)[1]
        except AiprodError as error:
            if self.strict:
                raise
            self.problems.append(str(error))
            return []

    def _recorded(self, path: str) -> bool:
        """Whether a file's bytes are those that dvc.lock records."""
        md5 = self.lock.md5_of(path) if self.lock else None
        return md5 is not None and (self.root / path).is_file() and hashes(self.root / path)[0] == md5

    @cached_property
    def heads(self) -> dict[str, Head]:
        """Heads of the manifests that exist, by folder, in the order of the stages."""
        return {name: read_head(self.root / name) for name in MANIFESTS if (self.root / name / HEAD).is_file()}

    @cached_property
    def films(self) -> dict[str, Any]:
        """``FilmRow`` by film id, with the obligations that quality control found to come with its near duplicates."""
        rows = {row.film_id: row for row in self._rows(FILMS)}
        for verdict in self.verdicts.values():
            film = rows.get(verdict.film_id) if verdict.obligations else None
            if film is not None and (changed := with_obligations(film, verdict.obligations)) is not None:
                rows[verdict.film_id] = changed
        return rows

    @cached_property
    def clips(self) -> dict[str, Any]:
        """``ClipRow`` by clip id."""
        return {row.clip_id: row for row in self._rows(CLIPS)}

    @cached_property
    def clips_of(self) -> dict[str, list[Any]]:
        """``ClipRow``s by film id."""
        grouped: dict[str, list[Any]] = defaultdict(list)
        for clip in self.clips.values():
            grouped[clip.film_id].append(clip)
        return grouped

    @cached_property
    def measures(self) -> dict[str, Any]:
        """``MeasureRow`` by clip id."""
        return {row.clip_id: row for row in self._rows(MEASURES)}

    @cached_property
    def networks(self) -> list[dict[str, Any]]:
        """The bundled networks that looked at the clips, each with its digests and licence text."""
        return list(self._json(f"{MEASURES}/{NETWORKS}").get("networks", []))

    @cached_property
    def verdicts(self) -> dict[str, Any]:
        """``VerdictRow`` by clip id (by film id where the film yielded no clip)."""
        return {row.clip_id: row for row in self._rows(VERDICTS)}

    @cached_property
    def captions(self) -> dict[str, Any]:
        """``CaptionRow`` by clip id."""
        return {row.clip_id: row for row in self._rows(CAPTIONS)}

    @cached_property
    def latents(self) -> dict[str, list[Any]]:
        """``LatentRow``s by clip id, one per phase."""
        grouped: dict[str, list[Any]] = defaultdict(list)
        for row in self._rows(LATENTS):
            grouped[row.clip_id].append(row)
        return grouped

    @cached_property
    def utterances(self) -> dict[str, Any]:
        """``SpeechRow`` by utterance id."""
        return {row.utterance_id: row for row in self._rows(SPEECH)}

    @cached_property
    def faces(self) -> dict[str, Any]:
        """``FaceRow`` by clip id."""
        return {row.clip_id: row for row in self._rows(FACES)}

    @cached_property
    def heard(self) -> dict[str, ExposureCount]:
        """What the model of speech was given to hear, by utterance id."""
        return self.ledger("speech")

    @cached_property
    def exposure(self) -> dict[str, ExposureCount]:
        """What the diffusion model was shown, by clip id."""
        return self.ledger("diffusion")

    def ledger(self, model: str) -> dict[str, ExposureCount]:
        """What a model was shown, by clip id; empty where it has no ledger."""
        document = self._ledger(model)
        return {c["clip_id"]: ExposureCount(c["clip_id"], c["times"], c["by_phase"]) for c in document.get("clips", [])}

    def _ledger(self, model: str) -> dict[str, Any]:
        return self._json(f"models/{model}/exposure.json") or self._json(f"models/{model}/training/exposure.json")

    @cached_property
    def training(self) -> dict[str, Any]:
        """``training.json`` of the diffusion model; empty without one."""
        return self._json(f"{DIFFUSION}/training.json")

    @cached_property
    def samples(self) -> list[GeneratedSample]:
        """Generated videos in order of their names; an enlarged view of one is not a video of its own."""
        videos = [p for p in sorted((self.root / SAMPLES).glob("*.mp4")) if not p.stem.endswith("_view")]
        return [GeneratedSample(path.name, self._json(f"{SAMPLES}/{path.stem}.json")) for path in videos]

    @cached_property
    def models(self) -> dict[str, Path]:
        """Folders of the models that exist."""
        return {name: self.root / "models" / name for name in MODELS if (self.root / "models" / name).is_dir()}

    @cached_property
    def _seen(self) -> dict[str, list[str]]:
        return {}

    def clips_seen_by(self, model: str) -> list[str]:
        """Ids of the clips (utterances, heads) that a model was trained on: its ledger, else all that it may be."""
        if model not in self._seen:
            self._seen[model] = self._clips_seen_by(model)
        return self._seen[model]

    def _clips_seen_by(self, model: str) -> list[str]:
        if model == "diffusion" or model not in OF_FILM:
            return sorted(self.ledger(model))
        return sorted(self.ledger(model)) if self._ledger(model) else self._all_admitted

    @cached_property
    def _all_admitted(self) -> list[str]:
        return sorted(clip_id for clip_id in self.clips if self.admitted(clip_id))

    def admitted(self, clip_id: str) -> bool:
        """Whether a clip is approved, of the training split, and of a film whose rights permit training."""
        clip, verdict = self.clips.get(clip_id), self.verdicts.get(clip_id)
        if clip is None or verdict is None or verdict.status != "APPROVED":
            return False
        film_id, split = fields(clip, ("film_id", "split"))
        film = self.films.get(film_id)
        return split == "train" and film is not None and film.effective_right != "deny"

    def _json(self, name: str) -> dict[str, Any]:
        path = self.root / name
        if not path.is_file():
            return {}
        try:
            value = read_json(path)
        except AiprodError as error:
            if self.strict:
                raise
            self.problems.append(str(error))
            return {}
        return value if isinstance(value, dict) else {}
