"""Erasing one real film after two pushed versions, with a folder and with a real S3 server as the remote.

Nothing of it is left in the clear in any store, the old version still pulls and verifies, other films read, the
certificate holds, and the next run goes without it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path

import numpy as np
import pytest

from aiprod.media.encoding import encode
from aiprod.storage.clip_store import present
from tests.consent_record import GIVEN
from tests.end_to_end.stores import S3_KEYS, commit, everything, use_remote
from tests.end_to_end.workspace import make_workspace, small
from tests.private_traces import needles_of, traces

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1500)]

WORD = secrets.token_hex(8)  # not a word of this file, which is part of the project that is searched
ERASED, KEPT, RECORD = f"person-{WORD}.mp4", "other-person.mp4", f"record-{secrets.token_hex(4)}"
STAGES = ("ingest", "qc_measure", "qc_decide", "caption")


def _film(path: Path, seed: int, seconds: float = 2.5) -> None:
    rng = np.random.default_rng(seed)
    ground = rng.integers(40, 215, (120, 400, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    count = round(24 * seconds)
    time = np.arange(round(48_000 * seconds)) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * (200 + 90 * seed) * time)).astype(np.float32)
    encode(path, [ground[:, 6 * n : 6 * n + 854] for n in range(count)], 24, np.stack([tone, tone]), preset="ultrafast")


@pytest.mark.parametrize("remote", ["folder", "s3", "shards"])
def test_one_film_is_erased_from_everything(
    remote: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = request.getfixturevalue("s3") if remote == "s3" else None
    for name, value in S3_KEYS.items():
        monkeypatch.setenv(name, value)
    workspace = small(make_workspace(tmp_path / "project"))
    workspace.set_params(ingest__demo__films=1, ingest__workers=1, qc_measure__workers=1)
    if remote == "shards":
        workspace.set_params(shards__above=0)
    use_remote(workspace, address)
    inbox = workspace.root / "datasets" / "inbox"
    for number, name in enumerate((ERASED, KEPT)):
        _film(inbox / name, number + 1)
    (inbox / "SOURCES.csv").write_text(
        "file,licence,title,url,personal_data_basis,description,consent_ref\n"
        f"{ERASED},own,{WORD} at the lake,https://example.org/films/{WORD},consent,words-{WORD},{RECORD}\n"
        f"{KEPT},own,Somebody else,https://example.org/films/else,legitimate_interests,others,\n"
    )
    given = {**GIVEN, "record_id": RECORD, "events": [{**GIVEN["events"][0], "valid_until": None}]}
    (tmp_path / "given.yaml").write_text(json.dumps(given))
    assert workspace.aiprod("consent", "record", str(tmp_path / "given.yaml"), "--as", "operator").returncode == 0
    (tmp_path / "given.yaml").unlink()
    raw = (inbox / ERASED).read_bytes()
    workspace.dvc("repro", "caption")
    commit(workspace, "version one", "v1")
    workspace.dvc("push")
    workspace.set_params(ingest__normalise__crf=20.0)
    workspace.dvc("repro", "caption")
    commit(workspace, "version two", "v2")
    workspace.dvc("push")
    packed = {p: p.read_bytes() for p in (workspace.root / "datasets" / "v1").glob("*/shards/*.tar")}
    assert bool(packed) == (remote == "shards")

    # after whole runs nothing of it shows anywhere but in its source: outputs, caches, state, remote, logs, git
    shown = traces(tmp_path, needles_of(raw, [ERASED, WORD]), but=[inbox])
    assert shown == []

    # who may not is refused in one line, with an entry in the log
    digest = hashlib.sha256(raw).hexdigest()
    refused = workspace.aiprod("erase", "--sha256", digest, "--as", "nobody", check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "may not erase" in refused.stderr

    before = everything(tmp_path / "project")
    told = workspace.aiprod("erase", "--sha256", digest, "--dry-run").stdout
    assert "nothing was changed" in told
    assert "not searched" not in told, told
    assert everything(tmp_path / "project") == before

    assert workspace.aiprod("keys", "backup", str(tmp_path / "keys.json"), "--as", "operator").returncode == 0
    assert workspace.aiprod("consent", "withdraw", RECORD, "--as", "operator").returncode == 0
    commit(workspace, f"Withdraw consent {RECORD}")
    address = f"https://example.org/films/{WORD}"
    done = workspace.aiprod("erase", "--source-url", address, "--as", "operator", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = (workspace.root / "datasets" / "erasures").glob("2*.json")
    body = json.loads(path.read_text())["body"]
    [film] = body["films"]
    assert "kept on purpose: 1 consent record in datasets/consent" in done.stdout
    assert body["kept_on_purpose"] == {"consent_records": 1}
    record = f"datasets/consent/{RECORD}.yaml"
    assert body["found_after"]["working tree"]["consents"] == 1 and (workspace.root / record).is_file()
    assert {p: p.read_bytes() for p in packed} == packed, "no shard is rewritten to erase one of its objects"
    stores = body["found_after"]
    assert {"working tree", "DVC cache", "memo", "MLflow", "git history", "remote storage"} <= set(stores)
    for store, found in stores.items():
        assert (found["pieces"], found["hashes"], found["names"]) == (0, 0, 0), store
        assert "skipped" not in found, store
    assert stores["remote storage"]["objects"] > 10
    assert body["found_before"]["working tree"]["names"] > 0, "the search finds what is there"
    assert body["searched_for"]["pieces"] > 10

    # our own search of every byte of the remote and of the project
    needles = [ERASED.encode(), digest.encode(), hashlib.md5(raw).hexdigest().encode()]
    needles += [raw[n : n + 64] for n in range(5000, len(raw) - 64, 4099) if len(set(raw[n : n + 64])) > 44]
    assert len(needles) > 8
    for file in [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_symlink()]:
        data = file.read_bytes()
        assert not [n for n in needles if n in data], file

    held = workspace.aiprod("erase", "verify", str(path), check=False)
    assert held.returncode == 0, held.stdout
    forged = tmp_path / "forged.json"
    forged.write_text(path.read_text().replace('"keys_destroyed": 1', '"keys_destroyed": 2'))
    assert workspace.aiprod("erase", "verify", str(forged), check=False).returncode == 1
    again = workspace.aiprod("erase", film["film_id"], "--as", "operator", check=False)
    assert again.returncode == 2
    assert "already" in again.stderr
    restored = workspace.aiprod("keys", "restore", str(tmp_path / "keys.json"), "--as", "operator").stdout
    assert "1 left out because their films were erased" in restored
    assert workspace.aiprod("audit", "verify").returncode == 0

    # the next run goes without it, also when its owner offers it again, and everything else comes from the memo
    (inbox / "again.mp4").write_bytes(raw)
    (inbox / "SOURCES.csv").write_text((inbox / "SOURCES.csv").read_text() + "again.mp4,own,New name,,none,\n")
    workspace.dvc("repro", "caption")
    for stage in STAGES:
        assert workspace.counters(stage)["processed"] == 0 or stage == "qc_decide", stage
    seen = json.loads((workspace.root / "datasets/v1/ingest/films/manifest.json").read_text())["counts"]
    assert seen == {"erased": 1, "ok": 2}
    commit(workspace, "version three")
    workspace.dvc("push")

    # a fresh clone pulls the old version whole; with the keys, everything but the erased film reads
    (inbox / "again.mp4").unlink()
    clone = workspace.cloned(tmp_path / "clone")
    for tag in ("v1", "v2"):
        clone.at(tag, "datasets/v1/raw", "datasets/v1/processed", "datasets/v1/ingest", "datasets/v1/captions")
        code = (
            "from pathlib import Path; from aiprod.storage.crypto.film_encryption import Vault\n"
            "from aiprod.storage.manifest.manifest import read_rows\n"
            "from aiprod.data.rows import FilmRow; from aiprod.storage.clip_store import content\n"
            "from aiprod.captions.rows import CaptionRow\n"
            "rows = read_rows('datasets/v1/ingest/films', FilmRow, Vault())\n"
            "print(sorted((r.status, r.key) for r in rows if r.source_id == 'inbox'))\n"
            "captions = read_rows('datasets/v1/captions', CaptionRow, Vault())\n"
            "print([r.status for r in captions if r.status == 'erased'])\n"
            "print([content(Path('datasets/v1/raw') / r.raw_name)[4:8] for r in rows if r.status == 'ok'])\n"
        )
        read = clone.run("python", "-c", code).stdout.splitlines()
        assert read[0] == f"[('erased', 'sealed'), ('ok', '{KEPT}')]"
        assert read[1] == "['erased']"
        assert read[2] == "[b'ftyp', b'ftyp']"
        assert present(clone.root / "datasets/v1/raw" / f"{film['film_id']}.mp4"), "its ciphertext is still named"
