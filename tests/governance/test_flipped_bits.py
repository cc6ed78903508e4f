"""One flipped bit in any manifest, log entry, checkpoint, model, sample, version or certificate is found and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from aiprod.base.files import sha256_file, write_json
from aiprod.base.state import state
from aiprod.governance.audit.checkpoint import FOLDER
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.audit.verify import verify
from aiprod.governance.dataset.audit_events import log_state
from aiprod.governance.dataset.version import publish
from aiprod.governance.erasure import certificate
from aiprod.governance.integrity import verify_files
from aiprod.repo.dvc_lock import hashes
from aiprod.storage.result_cache import Memo
from tests.governance.conftest import write_lock

FILES: dict[str, Callable[[Path], list[Path]]] = {
    "manifest": lambda root: [p for p in root.glob("datasets/v1/**/manifest.*") if p.is_file()],
    "model": lambda root: [p for p in (root / "models").rglob("*") if p.is_file()],
    "sample": lambda root: list((root / "reports/samples").glob("0*")),
    "film": lambda root: [p for k in ("raw", "processed", "latents") for p in root.glob(f"datasets/v1/{k}/**/[cf]*.*")],
    "log checkpoint": lambda root: list((root / FOLDER).glob("*.checkpoint")),
    "training checkpoint": lambda root: [p for p in state().root.glob("training/*/*/step_*/*") if p.is_file()],
    "published version": lambda root: list((root / "datasets/versions").glob("*.json")),
    "memo": lambda root: [p for p in state().root.glob("memo/ingest/*/*/*") if p.is_file()],
    "DVC's cache": lambda root: [p for p in (root / ".dvc/cache/files/md5").glob("*/*") if p.suffix != ".dir"],
    "certificate": lambda root: list((root / "datasets/erasures").glob("2*.json")),
}


@pytest.fixture
def vouched(finished: Path) -> Path:
    """A workspace with something of every kind, all of it vouched for."""
    log = AuditLog()
    step = state().training("train_diffusion", "fp") / "step_00000002"
    write_json(step / "values.json", {"step": 2, "ledger": {}})
    (step / "weights.safetensors").write_bytes(bytes(range(256)) * 4)
    write_json(step / "digests.json", {p.name: sha256_file(p) for p in sorted(step.iterdir())})
    log_state(finished, log)
    entry = publish(finished, "first")
    committed = {"entry": entry.model_dump(mode="json")}
    body = {"films": [], "id": "20260101-none"}
    certificate.write(finished / "datasets/erasures/20260101-none.json", body)
    log.append(
        [
            Event("export", f"dataset/{entry.version}", {}, committed),
            Event("erasure", "erasure/none", {"certificate": certificate.digest(body)}),
        ]
    )
    write_checkpoint(finished, log)
    write_lock(finished)
    for path in [*finished.glob("datasets/v1/processed/*"), *finished.glob("models/*/*.safetensors")]:
        md5 = hashes(path)[0]
        cached = finished / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}"
        cached.parent.mkdir(exist_ok=True)
        cached.write_bytes(path.read_bytes())
    Memo(state().memo("ingest"), "c").put("ab" * 32, lambda folder: (folder / "raw.mp4").write_bytes(bytes(900)))
    assert found(finished) == []
    return finished


def found(root: Path) -> list[str]:
    log = AuditLog()
    return [*verify(root, log).problems, *verify_files(root, log)[1]]


def flipped(data: bytes, draw: st.DataObject) -> bytes:
    bit = draw.draw(st.integers(0, len(data) * 8 - 1))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_in_a_file_is_found_and_named(vouched: Path, kind: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(FILES[kind](vouched))))
    original = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(flipped(original, data))
    problems = found(vouched)
    path.write_bytes(original)
    name = path.parent.name if kind in ("training checkpoint", "memo") else path.name
    assert any(name in line for line in problems), (path, problems)


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_in_a_log_entry_is_found_and_named(vouched: Path, data: st.DataObject) -> None:
    log = AuditLog()
    entry = data.draw(st.sampled_from(list(log.entries())))
    with sqlite3.connect(log.database) as connection:
        connection.execute("update entries set data = ? where idx = ?", (flipped(entry.data, data), entry.index))
    problems = verify(vouched, log).problems
    with sqlite3.connect(log.database) as connection:
        connection.execute("update entries set data = ? where idx = ?", (entry.data, entry.index))
    assert problems[0] == f"entry {entry.index} is not what was logged"


@pytest.mark.parametrize("kind", ["raw", "processed"])
def test_damage_that_a_stage_wrote_and_dvc_recorded_is_found_by_the_rows(vouched: Path, kind: str) -> None:
    path = sorted((vouched / "datasets/v1" / kind).iterdir())[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    write_lock(vouched)
    [problem] = found(vouched)
    assert path.name in problem and "its manifest says" in problem


@pytest.mark.parametrize("text", ["[]", "1", '{"weights.safetensors": 5}', '{"\\u0000": "x"}', "[" * 900, "\x00"])
def test_digests_of_another_shape_are_one_line(vouched: Path, text: str) -> None:
    next(state().root.glob("training/*/*/step_*/digests.json")).write_text(text)
    [problem] = found(vouched)
    assert "step_00000002" in problem


def test_a_lost_and_a_foreign_file_are_found_too(vouched: Path) -> None:
    next(vouched.glob("models/video_vae/*.safetensors")).unlink()
    (vouched / "reports/samples/more.mp4").write_bytes(b"x")
    next(state().root.glob("training/*/*/step_*/values.json")).unlink()
    words = "\n".join(found(vouched))
    assert "models/video_vae/model.safetensors: the file is missing" in words
    assert "more.mp4: is not recorded" in words and "step_00000002" in words


def test_what_neither_git_nor_a_remote_holds_is_not_required_in_a_clone(finished: Path) -> None:
    """The list of offers is made at each run; every other missing file is still named."""
    graph = YAML(typ="safe").load(finished / "dvc.yaml")
    lock = YAML(typ="safe").load(finished / "dvc.lock")
    stage = next(iter(lock["stages"]))
    for name in ("datasets/v1/offers.json", "datasets/v1/other.json"):
        lock["stages"][stage].setdefault("outs", []).append({"path": name, "hash": "md5", "md5": "0" * 32, "size": 1})
    graph["stages"].setdefault(stage, {}).setdefault("outs", []).append({"datasets/v1/offers.json": {"cache": False}})
    for name, content in (("dvc.yaml", graph), ("dvc.lock", lock)):
        YAML(typ="safe").dump(content, finished / name)
    problems = verify_files(finished, AuditLog())[1]
    assert "datasets/v1/other.json: the file is missing" in problems
    assert not [line for line in problems if "offers.json" in line]
