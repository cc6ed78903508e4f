"""A small workspace from which films are erased."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aiprod.base.files import sha256_file, write_json
from aiprod.base.state import state
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, FilmRow, clip_id_of, film_id_of
from aiprod.data.sources.scan import scan as offers_of
from aiprod.rights.declarations import load_sources
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import write_manifest
from aiprod.storage.result_cache import Memo, Seal
from tests.projects import enter_project
from tests.rows import clip_row

REPOSITORY = Path(__file__).resolve().parents[2]
NAME, URL = "Erika-Mustermann.mp4", "https://example.org/films/erika"


class Project:
    """Three films: Erika's, somebody else's, and a plain one; a model that saw the first two."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root, root / "datasets" / "v1"
        (root / "datasets" / "inbox").mkdir(parents=True)
        (root / "dvc.yaml").write_text("stages: {}\n")
        for name in ("sources.yaml", "roles.yaml"):
            shutil.copy(REPOSITORY / "datasets" / name, root / "datasets")
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        self.vault = Vault()
        self.bytes = {name: os.urandom(9000) for name in (NAME, "else.mp4", "plain.mp4")}
        self.films: dict[str, str] = {}
        films, clips = [], []
        for name, data in self.bytes.items():
            digest = hashlib.sha256(data).hexdigest()
            private = name != "plain.mp4"
            make = self.vault.private_film_id if private else film_id_of
            film_id = self.films[name] = make("inbox", name, digest)
            clip_id = clip_id_of(film_id, 0)
            self._store(f"raw/{film_id}.mp4", f"raw:{film_id}", data, private)
            self._store(f"processed/{clip_id}.mp4", f"processed:{clip_id}", data[::-1], private)
            films.append(
                FilmRow(
                    film_id=film_id,
                    source_id="inbox",
                    key=name,
                    status="ok",
                    content_sha256=digest,
                    size_bytes=len(data),
                    packets_sha256=hashlib.sha256(digest.encode()).hexdigest(),
                    raw_name=f"{film_id}.mp4",
                    url=URL if name == NAME else None,
                    effective_right="train",
                    n_clips=1,
                    reasons=[f"read from {name}"],
                    personal_data_basis="consent" if private else "none",
                )
            )
            clips.append(
                clip_row(
                    clip_id,
                    film_id,
                    source_id="inbox",
                    end_s=2,
                    frames=48,
                    width=854,
                    height=480,
                    has_audio=True,
                    processed_name=f"{clip_id}.mp4",
                    processed_sha256=sha256_file(self.data / f"processed/{clip_id}.mp4"),
                )
            )
        for name, rows, model, key in (("films", films, FilmRow, "film_id"), ("clips", clips, ClipRow, "clip_id")):
            write_manifest(
                self.data / "ingest" / name,
                rows,
                row_model=model,
                stage="ingest",
                params_digest="",
                inputs={},
                key=lambda row, key=key: getattr(row, key),
                vault=self.vault,  # type: ignore[misc]
            )
        memo, film = Memo(state().memo("ingest"), "x"), self.films[NAME]
        self.memo_key = memo.key(film)
        memo.put(self.memo_key, self._kept, Seal(film, lambda _: f"raw:{film}"))
        seen = [{"clip_id": self.clip(name), "times": 3, "by_phase": {"low": 3}} for name in (NAME, "else.mp4")]
        write_json(root / "models/diffusion/exposure.json", {"clips": seen})
        write_json(root / "models/audio_vae/exposure.json", {"clips": seen[1:]})
        (root / "dvc.lock").write_text(
            "stages:\n  t:\n    outs:\n    - {path: models/diffusion, md5: aa11.dir}\n"
            "    - {path: models/audio_vae, md5: bb22.dir}\n"
        )
        for step, ledger in ((1, {self.clip("else.mp4"): {"low": 1}}), (2, {self.clip(NAME): {"low": 1}})):
            write_json(state().training("train_diffusion", "fp") / f"step_{step:08d}/values.json", {"ledger": ledger})
        for name, data in self.bytes.items():
            (root / "datasets/inbox" / name).write_bytes(data)
        (root / "datasets/inbox/SOURCES.csv").write_text(
            f"file,url,licence,personal_data_basis\n{NAME},{URL},own,consent\n"
            "else.mp4,,own,consent\nplain.mp4,,own,none\n"
        )
        write_json(self.data / "offers.json", self.offers())

    def offers(self) -> dict[str, object]:
        """What scan writes."""
        return offers_of(IngestParams(sources=["inbox"]), load_sources(self.root / "datasets/sources.yaml")).document()

    def clip(self, name: str) -> str:
        """The clip of a film."""
        return clip_id_of(self.films[name], 0)

    def _store(self, name: str, label: str, data: bytes, private: bool) -> None:
        target = self.data / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.vault.seal(label, data) if private else data)

    def _kept(self, folder: Path) -> dict[str, str]:
        (folder / "raw.mp4").write_bytes(self.bytes[NAME])
        return {"name": NAME}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, entered."""
    return Project(enter_project(tmp_path / "project", monkeypatch))
