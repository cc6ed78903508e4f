"""What a bill of materials of the model names, whatever standard then words it: models, data, networks, software."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from typing import Any

from aiprod.base.files import sha256_file
from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset import statistics as count
from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.version import DatasetVersion, SourceShare, describe
from aiprod.governance.dataset.voices import taught
from aiprod.governance.organisation import Organisation, load_organisation
from aiprod.repo.git import differs_from_head, git_text
from aiprod.rights.licence_words import UNKNOWN
from aiprod.rights.licences import spdx
from aiprod.storage.manifest.manifest import read_head

FIGURES = {  # of the films; each is counted by `aiprod dataset count QUERY`
    "films": "count of films",
    "films ingested": "count of films where status = ok",
    "clips": "count of clips",
    "clips admitted to training": "count of clips where admitted = true",
    "clips shown to the model": "count of clips where shown > 0",
    "showings": "sum shown of clips where shown > 0",
    "clips of films that may show people": "count of clips where basis != none",
    "privacy flags": "by privacy_flags of clips",
}
SPOKEN = {  # of the speech
    "utterances": "count of utterances",
    "utterances that a person spoke": "count of utterances where synthetic = false",
    "utterances heard by the model": "count of utterances where heard > 0",
}

_FAMILY = {  # what each model is, in the field's words
    "text_encoder": ("transformer", "text encoder"),
    "video_vae": ("convolutional neural network", "causal video variational autoencoder"),
    "audio_vae": ("convolutional neural network", "waveform audio variational autoencoder"),
    "diffusion": ("diffusion transformer", "two-stream audio-video transformer, rectified flow"),
    "speech": ("transformer", "text to speech with a vocoder"),
    "visemes": ("convolutional neural network", "sound to visemes and the movement of a mouth"),
    "lips": ("convolutional neural network", "in-painting of a mouth into a face"),
}
CLIPS, SPEECH, FACES = "dataset", "dataset-of-speech", "dataset-of-faces"
_LEARNT_FROM = {"speech": SPEECH, "visemes": SPEECH, "lips": FACES}
_MAKERS = ("text_encoder", "video_vae", "audio_vae")
_NEEDED = re.compile(r"^([A-Za-z0-9._-]+)")
_OF_DEVELOPMENT = re.compile(r"extra == [\"'](dev|docs)[\"']")


@dataclass(frozen=True)
class ModelPart:
    """One trained model.

    Attributes:
        files: path below the workspace → SHA-256.
        figures: what reports/NAME/metrics.json says of it.
        made_with: names of the models without which it means nothing.
        dataset: key of what it was trained on.
        seen: how many clips (utterances, drawn heads) its exposure ledger names.
    """

    name: str
    title: str
    family: str
    architecture: str
    files: dict[str, str]
    figures: list[tuple[str, str]]
    made_with: tuple[str, ...]
    dataset: str
    seen: int
    facts: dict[str, str]

    @property
    def version(self) -> str:
        """The first twelve digits of the weights' digest, which change where the weights do."""
        return next((digest[:12] for path, digest in self.files.items() if path.endswith(".safetensors")), "none")


@dataclass(frozen=True)
class Dataset:
    """What models were trained on.

    Attributes:
        figures: query → value.
        size: clips, utterances or heads.
        people: whether it may hold personal data.
    """

    key: str
    name: str
    version: str
    merkle_root: str
    about: str
    figures: dict[str, Any]
    size: int
    people: bool


@dataclass(frozen=True)
class SoftwarePart:
    """An installed distribution that AIPROD names as needed."""

    name: str
    version: str
    licence: str | None


@dataclass(frozen=True)
class BillOfMaterials:
    """The facts, read on first use."""

    records: Records

    @cached_property
    def organisation(self) -> Organisation:
        """Who answers for it."""
        return load_organisation(self.records.root)

    @cached_property
    def version(self) -> DatasetVersion:
        """The dataset's version record."""
        return describe(self.records)

    @property
    def sources(self) -> list[SourceShare]:
        """What each source contributes under each licence."""
        return self.version.sources

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.organisation.model_name or "aiprod-text-to-video"

    @property
    def model_version(self) -> str:
        """The model's digest; ``untrained`` where there is none."""
        return str(self.records.training.get("model_digest") or "untrained")

    @cached_property
    def datasets(self) -> list[Dataset]:
        """The data that models were trained on: films, and speech and drawn heads where there are any."""
        tables = Tables(self.records)
        films = {query: tables.ask(query) for query in FIGURES.values()}
        people = films[FIGURES["clips of films that may show people"]] or films[FIGURES["privacy flags"]]
        about = "Clips of film with sound, captions and latents, each with its rights and its verdict."
        root, version = self.version.merkle_root, self.version.version
        datasets = [
            Dataset(CLIPS, self.version.dataset, version, root, about, films, len(self.records.clips), bool(people))
        ]
        if self.records.utterances:
            spoken = {query: tables.ask(query) for query in SPOKEN.values()}
            people = spoken[SPOKEN["utterances that a person spoke"]]
            root = self.records.heads[where.SPEECH].merkle_root
            about = " ".join(["Sentences with the times of phones and words.", *self._taught])
            size = len(self.records.utterances)
            datasets.append(Dataset(SPEECH, "aiprod-speech", root[:12], root, about, spoken, size, bool(people)))
        if self.records.faces:
            root = read_head(self.records.root / where.FACES).merkle_root
            about = "Heads that say sentences of the speech, with the truth of their mouths."
            about, size = " ".join([about, *self._taught]), len(self.records.faces)
            people = not all(row.synthetic for row in self.records.faces.values())
            datasets.append(Dataset(FACES, "aiprod-faces", root[:12], root, about, {}, size, people))
        return datasets

    @property
    def _taught(self) -> list[str]:
        """A sentence that names the teachers, where any spoke."""
        teachers = taught(self.records)
        return [f"Some are {'; '.join(teachers)}."] if teachers else []

    @cached_property
    def models(self) -> list[ModelPart]:
        """The trained models that there are."""
        figures = {model["name"]: model["figures"] for model in count.models(self.records)}
        return [
            ModelPart(
                name,
                count.title(name),
                *_FAMILY[name],
                {
                    path.relative_to(self.records.root).as_posix(): sha256_file(path)
                    for path in sorted(folder.rglob("*"))
                    if path.is_file()
                },
                [(str(label), str(value)) for label, value in figures.get(name, [])],
                tuple(m for m in _MAKERS if name == "diffusion" and m in self.records.models),
                _LEARNT_FROM.get(name, CLIPS),
                len(self.records.clips_seen_by(name)),
                self._of_training() if name == "diffusion" else {},
            )
            for name, folder in self.records.models.items()
        ]

    def _of_training(self) -> dict[str, str]:
        training = self.records.training
        named = {"optimiser steps": training.get("steps"), "strategy": training.get("strategy"), "dataset root": None}
        named["dataset root"] = training.get("dataset_root")
        named["latent upsampler"] = (training.get("upsampler") or {}).get("digest")
        return {name: str(value) for name, value in named.items() if value is not None}

    @property
    def networks(self) -> list[dict[str, Any]]:
        """Bundled networks that looked at the clips."""
        return self.records.networks

    @cached_property
    def software(self) -> list[SoftwarePart]:
        """AIPROD and the distributions that it names and that are installed, sorted by name."""
        return sorted(_software(), key=lambda part: part.name)

    @cached_property
    def recorded(self) -> datetime | None:
        """When this state was recorded: the time of the commit of dvc.lock; None where git does not know it."""
        root = self.records.root
        if differs_from_head(root / "dvc.lock"):
            return None
        stated = git_text(root, "log", "-1", "--format=%ct", "--", "dvc.lock")
        return datetime.fromtimestamp(int(stated), UTC) if stated else None

    @property
    def created(self) -> datetime:
        """Now, or ``SOURCE_DATE_EPOCH`` as reproducible builds have it."""
        stated = os.environ.get("SOURCE_DATE_EPOCH")
        if stated is None:
            return datetime.now(UTC).replace(microsecond=0)
        try:
            return datetime.fromtimestamp(int(stated), UTC)
        except (ValueError, OverflowError, OSError):
            raise AiprodError(f"SOURCE_DATE_EPOCH is {stated!r}", "give seconds since 1970, or unset it") from None

    @property
    def serial(self) -> uuid.UUID:
        """A number that names this state: the same for the same data and model."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"urn:aiprod:{self.version.merkle_root}:{self.model_version}")


def expression(licence: str | None) -> str | None:
    """A licence as an SPDX expression; None where nobody stated one that is understood."""
    parsed = spdx(licence) if licence else UNKNOWN
    return None if parsed == UNKNOWN else parsed


def _software() -> Iterator[SoftwarePart]:
    needed = [need for need in metadata.requires("aiprod") or [] if not _OF_DEVELOPMENT.search(need)]
    for name in sorted({"aiprod"} | {match[1] for need in needed if (match := _NEEDED.match(need))}):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not installed here
        yield SoftwarePart(str(distribution.metadata["Name"]), distribution.version, _licence(distribution))


def _licence(distribution: metadata.Distribution) -> str | None:
    """What a distribution states, where it is an SPDX expression or is read as one; its files may say more."""
    about: Any = distribution.metadata  # an email.Message, which the protocol tells less of
    classifiers = [text for text in about.get_all("Classifier") or [] if text.startswith("License :: ")]
    stated = [about.get("License-Expression"), about.get("License"), *(c.split(" :: ")[-1] for c in classifiers)]
    return next((read for text in stated if text and len(text) < 200 and (read := expression(text))), None)
