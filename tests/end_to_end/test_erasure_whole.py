"""Erasing one real clip of a person after whole runs and two pushed versions, and training again without it.

The remote is a real S3 server. Every store is searched by our own means too, before and after the next run.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.end_to_end.stores import S3_KEYS, commit, everything, objects_of, use_remote
from tests.end_to_end.workspace import Workspace, make_workspace, small
from tests.private_traces import needles_of, traces

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3000)]

WORD = secrets.token_hex(8)  # not a word of this file, which is part of the project that is searched
FILMS = {  # our name → film beside this checkout; each shows somebody signing before a wall
    f"book-{WORD}.mkv": "intel_asl_book_480p30.mkv",
    f"school-{WORD}.mkv": "intel_asl_school_480p30.mkv",
    f"sister-{WORD}.mkv": "intel_asl_sister_480p30.mkv",
}
MODELS = ("text_encoder", "video_vae", "audio_vae", "diffusion")
TRAINING = {
    "train_text_encoder",
    "train_video_vae",
    "train_audio_vae",
    "cache_latents",
    "train_diffusion",
    "sample",
    "montage",
    "grade",
    "film",
}
ROWS = """
import json
from aiprod.storage.manifest.manifest import read_rows
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.data.rows import ClipRow, FilmRow
films = read_rows("datasets/v1/ingest/films", FilmRow, Vault())
clips = read_rows("datasets/v1/ingest/clips", ClipRow, Vault())
print(json.dumps({"films": [[r.source_id, r.key, r.film_id, r.status] for r in films],
                  "clips": [[r.film_id, r.clip_id, r.split] for r in clips]}))
"""
CONTENT = """
import hashlib, json, sys
from pathlib import Path
from aiprod.storage.crypto.film_encryption import Vault
found = {}
for path in Path("datasets/v1").rglob("*"):
    if path.is_file() and path.name.split(".")[0].split("-")[0][1:] == sys.argv[1][1:]:
        data = Vault().read(path)
        pieces = [data[n : n + 64] for n in range(len(data) // 3, len(data) - 64, max(64, len(data) // 5))]
        found[str(path)] = [hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest(),
                            *(p.hex() for p in pieces if len(set(p)) > 44)]
print(json.dumps(found))
"""


def _rows(workspace: Workspace) -> dict[str, Any]:
    return json.loads(workspace.run("python", "-c", ROWS).stdout)


def _chosen(workspace: Workspace) -> tuple[str, str, list[str]]:
    """Name, id and clips of a film in the training split; ids are drawn anew in every project."""
    rows = _rows(workspace)
    for _, name, film_id, status in (f for f in rows["films"] if f[1] in FILMS):
        clips = [clip for film, clip, split in rows["clips"] if film == film_id and split == "train"]
        if clips:
            assert status == "ok" and film_id.startswith("f0")
            return name, film_id, clips
    pytest.fail("no film of a person is in the training split")


def _shown(workspace: Workspace, film_id: str) -> dict[str, int]:
    """How often each model was shown the film, by its ledger."""
    found = {}
    for model in MODELS:
        paths = [workspace.root / "models" / model / p for p in ("exposure.json", "training/exposure.json")]
        ledger = json.loads(next(p for p in paths if p.is_file()).read_text())
        found[model] = sum(c["times"] for c in ledger["clips"] if c["film_id"] == film_id)
    return found


def _hits(needles: dict[str, bytes], places: Iterator[tuple[str, bytes]]) -> list[str]:
    return [f"{kind} in {place}" for place, data in places for kind, needle in needles.items() if needle in data]


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield str(path), str(path).encode() + b"\n" + path.read_bytes()


def _git_objects(workspace: Workspace) -> Iterator[tuple[str, bytes]]:
    unpacked = workspace.root / "unpacked"
    workspace.run("sh", "-c", f"git cat-file --batch-all-objects --batch > '{unpacked}'")
    yield "git", unpacked.read_bytes()
    unpacked.unlink()


def test_one_real_clip_is_erased_and_the_next_run_trains_without_it(
    s3: str, shared_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in S3_KEYS.items():
        monkeypatch.setenv(key, value)
    workspace = small(make_workspace(tmp_path / "project"))
    workspace.set_params(train_clips__admit=["APPROVED", "REVIEW_NEEDED"])
    workspace.set_params(train_video_vae__trainer__steps=16)  # more than a round: every clip is shown, whatever its id
    bucket = use_remote(workspace, s3)
    inbox = workspace.root / "datasets" / "inbox"
    table = "file,licence,title,url,personal_data_basis,description\n"
    for name, source in FILMS.items():
        shutil.copyfile(shared_clips / "open" / source, inbox / name)
        title, _ = name.split("-")
        table += f"{name},own,{title} {WORD},https://example.org/{title}/{WORD},legitimate_interests,{title}-{WORD}\n"
    (inbox / "SOURCES.csv").write_text(table)
    workspace.dvc("repro", "ingest")
    fraction = 0.4
    while not [c for c in _rows(workspace)["clips"] if c[0].startswith("f0") and c[2] == "train"]:
        fraction -= 0.1  # one such film must be trained on: there are three, and ids are drawn
        workspace.set_params(ingest__heldout_fraction=fraction)
        workspace.dvc("repro", "ingest")

    # nothing of a person's film is in the clear in any store after any stage but in its source
    private = {}
    for name in FILMS:
        of_it = needles_of((inbox / name).read_bytes(), [name, f"{name.split('-')[0]} {WORD}"])
        pieces = [kind for kind in of_it if kind.startswith("bytes at")][::6]
        private |= {f"{name}: {kind}": n for kind, n in of_it.items() if kind in pieces or "bytes at" not in kind}
    stages = list(YAML(typ="safe").load(workspace.root / "dvc.yaml")["stages"])
    assert len(stages) > 15 and len(private) > 60
    for stage in stages:
        workspace.dvc("repro", stage)
        assert traces(tmp_path, private, but=[inbox]) == [], stage

    # two published versions, pushed
    workspace.aiprod("dataset", "publish", "--note", "first")
    commit(workspace, "version one", "v1")
    workspace.dvc("push")
    workspace.set_params(ingest__normalise__crf=20.0)
    workspace.dvc("repro")
    workspace.aiprod("dataset", "publish", "--note", "second")
    commit(workspace, "version two", "v2")
    workspace.dvc("push")
    name, film_id, clips = _chosen(workspace)
    title = name.split("-")[0]
    raw = (inbox / name).read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    shown = _shown(workspace, film_id)
    assert shown["diffusion"] > 0 and shown["video_vae"] > 0, shown
    models = {m: workspace.hashes(f"train_{m}")[f"models/{m}"] for m in MODELS}
    needles = {"name": name.encode(), "title": f"{title} {WORD}".encode(), "address": f"{title}/{WORD}".encode()}
    needles |= {
        "words": f"{title}-{WORD}".encode(),
        "SHA-256": digest.encode(),
        "MD5": hashlib.md5(raw).hexdigest().encode(),
    }
    needles |= {
        f"bytes at {n}": raw[n : n + 64] for n in range(5000, len(raw) - 64, 9973) if len(set(raw[n : n + 64])) > 44
    }
    derived = json.loads(workspace.run("python", "-c", CONTENT, film_id).stdout)
    assert {Path(p).parts[2] for p in derived} == {"raw", "processed", "qc", "latents"}, sorted(derived)
    for path, (sha256, md5, *parts) in derived.items():
        needles |= {f"SHA-256 of {path}": sha256.encode(), f"MD5 of {path}": md5.encode()}
        needles |= {f"{n} of {path}": bytes.fromhex(part) for n, part in enumerate(parts)}
    assert len(needles) > 30
    assert _hits(needles, _files(inbox)), "our search finds what is there"
    away = [(place, data) for place, data in _files(workspace.root) if not place.startswith(str(inbox))]
    assert _hits(needles, iter(away)) == [], "frames, thumbnails and latents as they would be in the clear"
    del away

    # asking changes nothing; whoever may not is refused, with an entry in the log
    before, remote_before = everything(workspace.root), dict(objects_of(s3, bucket))
    told = workspace.aiprod("erase", clips[0], "--dry-run").stdout
    assert "nothing was changed" in told and "not searched" not in told, told
    assert everything(workspace.root) == before and dict(objects_of(s3, bucket)) == remote_before
    refused = workspace.aiprod("erase", clips[0], "--as", "nobody", check=False)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "may not erase" in refused.stderr

    done = workspace.aiprod("erase", clips[0], "--as", "operator", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = (workspace.root / "datasets" / "erasures").glob("2*.json")
    body = json.loads(path.read_text())["body"]
    for store, found in body["found_after"].items():
        assert (found["pieces"], found["hashes"], found["names"]) == (0, 0, 0) and "skipped" not in found, (
            store,
            found,
        )
    assert body["found_after"]["remote storage"]["objects"] == len(remote_before)
    for facts in body["models"]:
        assert models[facts["model"]] in facts["affected"], facts
    assert {facts["model"] for facts in body["models"]} >= {"diffusion", "video_vae"}

    def nothing_is_left() -> None:
        assert _hits(needles, _files(workspace.root)) == []
        assert _hits(needles, _git_objects(workspace)) == []
        assert _hits(needles, ((f"s3 {k}", k.encode() + b"\n" + v) for k, v in objects_of(s3, bucket))) == []

    nothing_is_left()
    assert workspace.aiprod("erase", "verify", str(path)).returncode == 0
    assert workspace.aiprod("audit", "verify").returncode == 0
    told = workspace.aiprod("lineage", "diffusion", "--json", check=False)
    assert json.loads(told.stdout)["subject"]["facts"]["affected_by_erasures"] == [body["id"]]

    # the next run trains again, without it
    ran = {
        line.split("'")[1] for line in workspace.dvc("repro").stdout.splitlines() if line.startswith("Running stage")
    }
    assert ran >= TRAINING - {"train_text_encoder"}, ran
    assert _shown(workspace, film_id) == dict.fromkeys(MODELS, 0)
    for model in (m for m in MODELS if shown[m]):
        assert workspace.hashes(f"train_{model}")[f"models/{model}"] != models[model], model
    told = workspace.aiprod("lineage", "reports/samples/000.mp4", "--json")
    assert film_id[1:] not in told.stdout and "affected_by_erasures" not in told.stdout
    record = json.loads((workspace.root / "datasets/v1/manifest.json").read_text())
    assert record["version"].endswith(".0.0") and set(clips) <= set(record["changelog"][-1]["removed_ids"])
    commit(workspace, "version three")
    workspace.dvc("push")
    nothing_is_left()

    # a fresh clone pulls the old versions whole; they verify, and with the keys every other film reads
    clone = workspace.cloned(tmp_path / "clone")
    for tag in ("v1", "v2"):
        clone.at(tag)
        told = json.loads(clone.aiprod("lineage", "reports/samples/000.mp4", "--json").stdout)
        assert told["mismatches"] == [] and told["checked_files"] > 50
        rows = _rows(clone)
        mine = sorted((status, key) for source, key, _, status in rows["films"] if source == "inbox")
        assert mine == sorted([("erased", "sealed"), *(("ok", other) for other in FILMS if other != name)])
        for other in (f for _, key, f, status in rows["films"] if key in FILMS and status == "ok"):
            read = json.loads(clone.run("python", "-c", CONTENT, other).stdout)
            assert {Path(p).parts[2] for p in read} >= {"raw", "processed", "qc"}
