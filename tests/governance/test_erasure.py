"""Erasure on a small workspace: what is resolved, deleted, searched, marked and certified."""

from __future__ import annotations

import hashlib
import json
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
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.audit.verify import verify as verify_log
from aiprod.governance.erasure import certificate, models
from aiprod.governance.erasure.erase import plan, search
from aiprod.governance.erasure.procedure import carry_out
from aiprod.governance.erasure.resolve import ErasureRequest
from aiprod.governance.lineage.lineage import lineage
from aiprod.rights.declarations import load_sources
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_rows, write_manifest
from aiprod.storage.result_cache import Memo, Seal

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
                ClipRow(
                    clip_id=clip_id,
                    film_id=film_id,
                    source_id="inbox",
                    shot_index=0,
                    start_s=0,
                    end_s=2,
                    frames=48,
                    fps=24,
                    width=854,
                    height=480,
                    has_audio=True,
                    status="ok",
                    processed_name=f"{clip_id}.mp4",
                    processed_sha256=sha256_file(self.data / f"processed/{clip_id}.mp4"),
                    split="train",
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
    monkeypatch.delenv("AIPROD_HOME", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    (root / "dvc.yaml").touch()
    return Project(root)


def _digest(project: Project, name: str = NAME) -> str:
    return hashlib.sha256(project.bytes[name]).hexdigest()


@pytest.mark.parametrize("kind", ["clip", "film", "hash", "address"])
def test_every_way_of_asking_means_the_same_film(project: Project, kind: str) -> None:
    request = {
        "clip": ErasureRequest(project.clip(NAME)),
        "film": ErasureRequest(project.films[NAME]),
        "hash": ErasureRequest(sha256=_digest(project).upper()),
        "address": ErasureRequest(source_url=URL),
    }[kind]
    todo = plan(project.root, request, Vault())
    assert todo.films == {project.films[NAME]}
    assert [m.model for m in todo.models] == ["diffusion"]
    assert todo.models[0].showings == {"aa11.dir": 3}
    assert todo.checkpoints.exposed == ["train_diffusion/fp/step_00000002"]
    assert todo.checkpoints.last_unexposed == {"train_diffusion/fp": "step_00000001"}
    assert [p.name for p in todo.sources] == [NAME]


def test_what_cannot_be_erased_is_said_in_one_line(project: Project) -> None:
    for request, words in (
        (ErasureRequest(), "in one way"),
        (ErasureRequest("c0aaaaaaaaaaaaaaaa-000"), "no film here"),
        (ErasureRequest(sha256="00" * 32), "no film here"),
        (ErasureRequest(project.films["plain.mp4"]), "lies in the clear"),
    ):
        with pytest.raises(AiprodError, match=words) as told:
            plan(project.root, request, Vault())
        assert "\n" not in str(told.value)


def test_the_manifest_shows_neither_name_nor_hash_and_opens_with_the_key(project: Project) -> None:
    for row in read_rows(project.data / "ingest/films", FilmRow):
        shown = row.model_dump_json()
        private = row.film_id != project.films["plain.mp4"]
        assert (row.key == "sealed") is private
        if private:
            assert not [w for w in (NAME, "else.mp4", _digest(project), URL) if w in shown]
    opened = {row.key: row for row in read_rows(project.data / "ingest/films", FilmRow, Vault())}
    assert opened[NAME].content_sha256 == _digest(project)
    assert opened[NAME].url == URL
    sealed = project.data / "ingest/films/manifest.sealed.parquet"
    sealed.write_bytes(sealed.read_bytes().replace(b"AIPROD\x00\x01", b"AIPROD\x00\x02", 1))
    with pytest.raises(AiprodError, match="does not match"):
        read_rows(project.data / "ingest/films", FilmRow, Vault())


def test_erasing_leaves_nothing_in_the_clear_and_touches_nobody_else(project: Project) -> None:
    root, data = project.root, project.data
    ids = [project.films[name][1:] for name in ("else.mp4", "plain.mp4")]
    others = {p: p.read_bytes() for one in ids for p in root.rglob(f"*{one}*") if p.is_file()}
    assert len(others) >= 5, "raw and processed of each, and a key"
    vault = Vault()
    todo = plan(root, ErasureRequest(project.clip(NAME)), vault)
    before = search(todo)
    assert before["working tree"].pieces == 1, "the film in the inbox"
    assert before["working tree"].names == 2, "the film and the table; the list of offers is encrypted"
    done = carry_out(todo, vault, actor="operator", role="privacy_officer")
    path, body = done.path, done.body
    assert {s: (c["pieces"], c["hashes"], c["names"]) for s, c in body["found_after"].items()} == dict.fromkeys(
        body["found_after"], (0, 0, 0)
    )
    assert body["deleted"] == {
        "objects": 2,
        "memo": 1,
        "checkpoints": 1,
        "source_files": 1,
        "files_about_it": 0,
        "sidecar_lines": 1,
    }
    assert body["models"][0]["affected"] == {"aa11.dir": ["working tree"]}
    assert models.affected(root)["aa11.dir"]["certificates"] == [body["id"]]
    told = lineage(root, "diffusion", rehash=False).subject.facts
    assert told["affected_by_erasures"] == [body["id"]], "lineage says so of the model"
    assert "affected_by_erasures" not in lineage(root, "audio_vae", rehash=False).subject.facts
    text = path.read_text()
    assert not [w for w in (NAME, "operator", URL, _digest(project)) if w in text], "the certificate names nobody"
    assert all(p.read_bytes() == content for p, content in others.items())
    fresh = Vault()
    assert fresh.read(data / f"raw/{project.films['else.mp4']}.mp4") == project.bytes["else.mp4"]
    assert Memo(state().memo("ingest"), "x").get(project.memo_key) is None
    rows = {r.film_id: r for r in read_rows(data / "ingest/films", FilmRow, fresh)}
    assert rows[project.films[NAME]].status == "erased"
    assert rows[project.films[NAME]].key == "sealed"
    [erased, *_] = [r for r in read_rows(data / "ingest/clips", ClipRow, fresh) if r.film_id == project.films[NAME]]
    assert erased.status == "erased"
    assert [e.value["kind"] for e in AuditLog().entries()] == ["erasure", "erasure", "checkpoint"]
    assert not verify_log(root, AuditLog()).problems
    assert certificate.verify(root, path).problems == []
    # it is not taken in again, under any name and with any claim
    (root / "datasets/inbox/new-name.mp4").write_bytes(project.bytes[NAME])
    (root / "datasets/inbox/SOURCES.csv").write_text("file,licence,personal_data_basis\nnew-name.mp4,own,none\n")
    offered = project.offers()
    assert "new-name.mp4" not in json.dumps(offered["offers"])
    assert offered["erased"] == [{"film_id": project.films[NAME], "source_id": "inbox"}]
    with pytest.raises(AiprodError, match="already erased"):
        plan(root, ErasureRequest(project.clip(NAME)), Vault())


def test_copies_under_other_names_that_scan_has_read_are_found_and_forgotten(project: Project) -> None:
    copy = project.root / "datasets/inbox/somewhere/other-name.mp4"
    copy.parent.mkdir()
    copy.write_bytes(project.bytes[NAME])
    project.offers()
    todo = plan(project.root, ErasureRequest(project.clip(NAME)), Vault())
    assert copy in todo.sources
    carry_out(todo, Vault(), actor="o", role="legal")
    assert not copy.exists()
    remembered = (state().root / "cache/scan/digests.json").read_text()
    assert hashlib.sha256(project.bytes[NAME]).hexdigest() not in remembered
    assert hashlib.sha256(project.bytes["plain.mp4"]).hexdigest() in remembered


@pytest.mark.parametrize("fault", ["body", "key", "tombstone", "log"])
def test_a_certificate_that_does_not_hold_is_found(project: Project, fault: str) -> None:
    vault = Vault()
    path = carry_out(plan(project.root, ErasureRequest(project.clip(NAME)), vault), vault, actor="o", role="legal").path
    log = AuditLog()
    if fault == "body":
        document = json.loads(path.read_text())
        document["body"]["found_after"]["memo"]["names"] = 0
        document["body"]["keys_destroyed"] = 7
        write_json(path, document)
    if fault == "key":
        vault.keys.ensure(project.films[NAME])
    if fault == "tombstone":
        (project.root / "datasets/erasures/tombstones.json").unlink()
        (state().root / "tombstones.json").unlink()
    if fault == "log":
        log = AuditLog(project.root / "other.db", project.root / "salts.db")
    words = {"body": "was changed", "key": "has a key", "tombstone": "no tombstone", "log": "no entry"}[fault]
    assert any(words in problem for problem in certificate.verify(project.root, path, log=log).problems)


def test_a_dry_run_changes_nothing(project: Project) -> None:
    def everything() -> dict[Path, tuple[bytes, int]]:
        files = (p for p in project.root.rglob("*") if p.is_file())
        return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in files}

    before = everything()
    search(plan(project.root, ErasureRequest(project.clip(NAME)), Vault()))
    assert everything() == before
