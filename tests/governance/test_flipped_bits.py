"""One flipped bit in any manifest, log entry, checkpoint, model, sample, version or certificate is found and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.base.files import sha256_file, write_json
from aiprod.base.state import state
from aiprod.governance.audit.checkpoint import FOLDER, write_checkpoint
from aiprod.governance.audit.events import log_state
from aiprod.governance.audit.files import verify_files
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.audit.verify import verify
from aiprod.governance.dataset_version import publish
from aiprod.governance.erasure import certificate
from tests.governance.conftest import write_lock

FILES: dict[str, Callable[[Path], list[Path]]] = {
    "manifest": lambda root: [p for p in root.glob("datasets/v1/**/manifest.*") if p.is_file()],
    "model": lambda root: [p for p in (root / "models").rglob("*") if p.is_file()],
    "sample": lambda root: list((root / "reports/samples").glob("0*")),
    "film": lambda root: [p for k in ("raw", "processed", "latents") for p in root.glob(f"datasets/v1/{k}/**/[cf]*.*")],
    "log checkpoint": lambda root: list((root / FOLDER).glob("*.checkpoint")),
    "training checkpoint": lambda root: [p for p in state().root.glob("training/*/*/step_*/*") if p.is_file()],
    "published version": lambda root: list((root / "datasets/versions").glob("*.json")),
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
    log.append([
        Event("export", f"dataset/{entry.version}", {}, committed),
        Event("erasure", "erasure/none", {"certificate": certificate.digest(body)}),
    ])  # fmt: skip
    write_checkpoint(finished, log)
    write_lock(finished)
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
    path.write_bytes(flipped(original, data))
    problems = found(vouched)
    path.write_bytes(original)
    name = path.parent.name if kind == "training checkpoint" else path.name
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


def test_a_lost_and_a_foreign_file_are_found_too(vouched: Path) -> None:
    next(vouched.glob("models/video_vae/*.safetensors")).unlink()
    (vouched / "reports/samples/more.mp4").write_bytes(b"x")
    next(state().root.glob("training/*/*/step_*/values.json")).unlink()
    words = "\n".join(found(vouched))
    assert "models/video_vae/model.safetensors: the file is missing" in words
    assert "more.mp4: is not recorded" in words and "step_00000002" in words
