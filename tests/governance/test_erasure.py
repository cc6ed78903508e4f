"""Erasure on a small workspace: what is resolved, deleted, searched, marked and certified."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiprod.base.files import read_json, write_json
from aiprod.base.state import state
from aiprod.cli import app
from aiprod.commands.erase import _say_plan
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.audit.verify import verify as verify_log
from aiprod.governance.erasure import certificate, models
from aiprod.governance.erasure.erase import plan, search
from aiprod.governance.erasure.procedure import carry_out
from aiprod.governance.erasure.resolve import ErasureRequest
from aiprod.governance.erasure.search_patterns import Needles
from aiprod.governance.erasure.words import certificate_lines
from aiprod.governance.lineage.lineage import lineage
from aiprod.governance.policy import consent
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_rows, write_manifest
from aiprod.storage.result_cache import Memo
from tests.consent_record import GIVEN
from tests.governance.erasable import NAME, REPOSITORY, URL, Project


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


def test_finished_films_name_the_shots_of_the_film_and_of_every_model_that_saw_it(project: Project) -> None:
    seen = {"clips": [{"clip_id": project.clip(NAME), "times": 1}]}
    for model, ledger in (("diffusion", "exposure.json"), ("speech", "training/exposure.json")):
        write_json(project.root / "models" / model / ledger, seen | {"model_digest": f"digest of {model}"})
    lock = project.root / "dvc.lock"
    lock.write_text(lock.read_text() + "    - {path: models/speech, md5: cc33.dir}\n")
    ingredients = [
        {"kind": "clip", "name": project.clip(NAME)},
        {"kind": "clip", "name": project.clip("else.mp4")},
        {"kind": "generated", "name": "a circle", "facts": {"model_digest": "digest of diffusion"}},
        {"kind": "generated", "name": "a square", "facts": {"model_digest": "of another"}},
        {"kind": "speech", "name": "a line", "facts": {"speech_model_digest": "digest of speech"}},
    ]
    place = {"record_in": 0, "record_out": 25}
    record = {
        "kind": "film", "format": 1, "file": "film.mp4", "rate": "25", "ingredients": ingredients, "record_digest": "",
        "shots": [{"ingredient": n, **place} for n in range(4)], "sounds": [{"ingredient": 4, **place}],
    }  # fmt: skip
    write_json(project.root / "film.json", record)
    (project.root / "reports/montage").mkdir(parents=True)
    write_json(project.root / "reports/montage/film.edit.json", {"kind": "edit", "ingredients": ingredients})
    assert plan(project.root, ErasureRequest(project.clip(NAME)), Vault()).finished == {
        "reports/montage": [f"clip {project.clip(NAME)}", "generated a circle", "speech a line"],
        "film.mp4": [
            f"shot 00:00:00:00 to 00:00:01:00: clip {project.clip(NAME)}",
            "shot 00:00:00:00 to 00:00:01:00: generated a circle",
            "sound 00:00:00:00 to 00:00:01:00: speech a line",
        ],
    }


def test_what_is_not_known_of_a_models_versions_is_not_called_seen(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a clone whose cache lacks the ledgers of old versions, nothing is known of them."""
    todo = plan(project.root, ErasureRequest(project.clip(NAME)), Vault())
    speech = models.ModelFacts("speech", unknown=["cc33.dir"])
    _say_plan(
        replace(
            todo, models=[speech, models.ModelFacts("lips", affected={"dd44.dir": ["a"]}, showings={"dd44.dir": 1})]
        )
    )
    said = capsys.readouterr().out
    assert "model speech: the last version that never saw it is none of those that are known" in said
    assert "model lips: the last version that never saw it is none, train again from the start" in said


def test_a_stranger_checks_the_certificate_with_a_page_of_code(project: Project) -> None:
    done = carry_out(plan(project.root, ErasureRequest(project.clip(NAME)), Vault()), Vault(), actor="x", role="legal")
    public, script = project.root / "datasets/audit/log.pub", REPOSITORY / "docs/verify_erasure.py"

    def said(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(script), str(path), str(public)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    whole = said(done.path)
    assert whole.returncode == 0 and project.films[NAME] in whole.stdout and "nowhere" in whole.stdout
    entries = [entry.value for entry in AuditLog().entries() if entry.value["kind"] == "erasure"]
    assert entries[-1]["facts"]["certificate"] in whole.stdout
    forged = read_json(done.path)
    forged["body"]["found_before"]["working tree"]["names"] += 1
    write_json(project.root / "forged.json", forged)
    assert said(project.root / "forged.json").stderr == "it was not signed with this key, or was changed since\n"
    asked = subprocess.run([sys.executable, "-I", str(script)], capture_output=True, text=True, check=False)
    assert "python verify_erasure.py" in asked.stderr and "Traceback" not in asked.stderr
    assert len(script.read_text().splitlines()) <= 40


def test_released_videos_that_show_the_film_are_named_and_certified(project: Project) -> None:
    clip, about = project.clip(NAME), {"time": "2026-01-01T00:00:00Z", "role": "legal", "models": [], "clips": []}
    for digest, more in (("ab" * 32, {"clips": [clip]}), ("cd" * 32, {"models": ["of somebody else"]})):
        path = project.root / f"datasets/releases/{digest[:16]}.json"
        write_json(path, {"file": "film.mp4", "sha256": digest, **about, **more})
    todo = plan(project.root, ErasureRequest(clip), Vault())
    assert todo.released == {"ab" * 32: f"film.mp4 (2026-01-01T00:00:00Z): it shows {clip}"}
    assert carry_out(todo, Vault(), actor="x", role="legal").body["released"] == ["ab" * 32]


def test_what_cannot_be_erased_is_said_in_one_line(project: Project) -> None:
    for request, words in (
        (ErasureRequest(), "in one way"),
        (ErasureRequest("c0aaaaaaaaaaaaaaaa-000"), "no film here"),
        (ErasureRequest(sha256="00" * 32), "no film here"),
        (ErasureRequest(project.films["plain.mp4"]), "stored unencrypted"),
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
    state().carried("ingest_films").write_bytes(b"rows that the next run would take over")
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
    assert not state().carried("ingest_films").exists()
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
    told = CliRunner().invoke(app, ["erase", project.clip(NAME), "--dry-run"])
    assert told.exit_code == 0, told.output
    assert told.output.splitlines()[-1] == "nothing was changed (--dry-run)"
    counts = told.output[told.output.index("in the clear:") :].splitlines()
    assert [line.split()[3] for line in counts if line.startswith("  working tree")] == ["1"], "the film in the inbox"
    assert everything() == before


def test_the_command_erases_certifies_and_finds_a_certificate_that_was_changed(project: Project) -> None:
    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["erase", *words])
        return result.exit_code, result.output

    refused = CliRunner().invoke(app, ["erase", project.clip(NAME), "--as", "a stranger"])
    assert isinstance(refused.exception, AiprodError) and project.vault.tombstones == {}
    status, told = run(project.clip(NAME), "--as", "operator")
    assert status == 0, told
    erasures = (project.root / "datasets/erasures").glob("*.json")
    (path,) = (p for p in erasures if "signature" in read_json(p))
    assert path.name in told
    assert run("resume", "--as", "operator") == (0, "no erasure is unfinished\n")
    status, told = run("verify", str(path))
    assert status == 0 and "holds: " in told and "FAILS" not in told
    signed = read_json(path)
    write_json(path, {**signed, "body": {**signed["body"], "id": "another"}})
    status, told = run("verify", str(path))
    assert status == 1 and "FAILS: " in told


class TestConsentRecords:
    """The record stays as proof; its id is a trace of the film only where something says which film it was for."""

    @pytest.fixture
    def consented(self, project: Project) -> Project:
        """Erika's film and somebody else's rest on one record, which is in git and in the log."""
        for name in (NAME, "else.mp4"):
            rows = read_rows(project.data / "ingest/films", FilmRow, project.vault)
            mine = [
                row.model_copy(update={"consent_ref": "consent/2026-014"}) if row.key == name else row for row in rows
            ]
            write_manifest(
                project.data / "ingest/films", mine, row_model=FilmRow, stage="ingest", params_digest="", inputs={},
                key=lambda row: row.film_id, vault=project.vault,
            )  # fmt: skip
        (project.root / "given.yaml").write_text(json.dumps(GIVEN))
        consent.record(project.root, project.root / "given.yaml", "operator")
        (project.root / "given.yaml").unlink()
        consent.withdraw(project.root, "2026-014", "operator")
        (project.root / "datasets/inbox/SOURCES.csv").write_text(
            f"file,url,licence,personal_data_basis,consent_ref\n{NAME},{URL},own,consent,2026-014\n"
            "else.mp4,,own,consent,consent/2026-014\nplain.mp4,,own,none,\n"
        )
        git = ["git", "-C", str(project.root), "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run([*git, "add", "datasets/consent"], check=True)
        subprocess.run([*git, "commit", "-qm", "Withdraw consent 2026-014"], check=True)
        return project

    def test_a_kept_record_is_counted_apart_and_nothing_is_left(self, consented: Project) -> None:
        root, vault = consented.root, Vault()
        todo = plan(root, ErasureRequest(consented.clip(NAME)), vault)
        assert todo.consents == ["2026-014"] and search(todo)["working tree"].names == 2, "the film and its line"
        done = carry_out(todo, vault, actor="operator", role="privacy_officer")
        lines, left = certificate_lines(root, done)
        assert left == 0 and not done.where
        found = {store: c["consents"] for store, c in done.body["found_after"].items() if c["consents"]}
        assert found == {"working tree": 2, "state folder": 1, "audit log": 1, "git history": 7}, (
            "the record and the other film's line, the log and its salts; git's index, messages, record, folder, commit"
        )
        assert done.body["kept_on_purpose"] == {"consent_records": 1}
        assert any(line.startswith("kept on purpose: 1 consent record in datasets/consent") for line in lines)
        assert "kept on purpose: 1 consent record" in certificate.verify(root, done.path).holds
        assert "2026-014" not in done.path.read_text(), "the certificate says of nobody which film they were in"
        script, public = REPOSITORY / "docs/verify_erasure.py", root / "datasets/audit/log.pub"
        said = subprocess.run(
            [sys.executable, "-I", str(script), str(done.path), str(public)], capture_output=True, text=True, check=True
        ).stdout
        assert "consent records kept on purpose: 1" in said and "not searched whole: nowhere" in said
        assert (root / "datasets/consent/2026-014.yaml").is_file()

    @pytest.mark.parametrize("of", ["film", "clip"])
    def test_an_id_beside_the_film_s_is_left_and_the_place_is_named(self, consented: Project, of: str) -> None:
        root = consented.root
        ids = {"film": consented.films[NAME], "clip": consented.clip(NAME)}
        (root / "notes.json").write_text(
            json.dumps({"id": ids[of], "reason": "consent 2026-014 is withdrawn"}, indent=1)
        )
        done = carry_out(plan(root, ErasureRequest(consented.clip(NAME)), Vault()), Vault(), actor="o", role="legal")
        assert certificate_lines(root, done)[1] == 1
        assert done.where == {"working tree": ["notes.json (names)"]}

    def test_a_reference_without_a_record_is_a_name(self, consented: Project) -> None:
        (consented.root / "datasets/consent/2026-014.yaml").unlink()
        todo = plan(consented.root, ErasureRequest(consented.clip(NAME)), Vault())
        assert todo.consents == [] and b"consent/2026-014" in todo.needles.names

    def test_an_id_within_a_longer_word_is_none(self) -> None:
        needles = Needles(consents={b"2026-01"})
        assert needles.in_data(b"on 2026-01-12, and 12026-01") == []
        assert needles.in_data(b"datasets/consent/2026-01.yaml") == ["consents"]
