"""What the present state of the pipeline has to say to the audit log: stages, refusals, verdicts, models, samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiprod.base.canonical_json import canonical_json
from aiprod.base.files import read_json
from aiprod.governance.audit.head import give_to_witness, sign_head
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.dataset.records import MODELS, OF_FILM, ExposureCount, Records
from aiprod.repo.dvc_lock import ALWAYS_RUN, Lock
from aiprod.storage.manifest.manifest import merkle_root


def log_state(root: Path, log: AuditLog | None = None) -> int:
    """Append what the log does not know yet about the workspace at ``root``; returns the number of new entries.

    The log's head is signed afterwards, and put with the witness where one is named.
    """
    facts = Records(root)
    events = [*_stages(Lock(root)), *_judgements(facts), *_products(facts)]
    log = log or AuditLog()
    added = log.append(events, once=True)
    sign_head(log)  # also where nothing is new: a log from before there were heads
    give_to_witness(root, log)
    return added


def _stages(lock: Lock) -> Iterator[Event]:
    for name, entry in lock.stages.items():
        if name not in ALWAYS_RUN:
            outs = {out["path"]: out.get("md5", "") for out in entry.get("outs", [])}
            inputs = {dep["path"]: dep.get("md5", "") for dep in entry.get("deps", [])}
            yield Event(
                "stage",
                f"stage/{name}",
                {"outputs": len(outs), "inputs": len(inputs)},
                {"outputs": outs, "inputs": inputs, "params": entry.get("params", {})},
            )


def _judgements(facts: Records) -> Iterator[Event]:
    for film in facts.films.values():
        if film.status != "ok":
            yield Event(
                "refusal",
                film.film_id,
                {"status": film.status},
                {"reasons": film.reasons, "proof": film.rights_proof, "sha256": film.content_sha256},
            )
    for verdict in facts.verdicts.values():
        yield Event(
            "verdict",
            verdict.clip_id,
            {"status": verdict.status},
            {"score": verdict.score, "reasons": verdict.reasons, "privacy_flags": verdict.privacy_flags},
        )


def exposure_root(ledger: dict[str, ExposureCount]) -> str:
    """RFC 6962 root (SHA-256, hex) over the lines of an exposure ledger by clip id."""
    return merkle_root([canonical_json([s.clip_id, s.times, s.by_phase]) for _, s in sorted(ledger.items())])


def _products(facts: Records) -> Iterator[Event]:
    if facts.training:
        yield Event(
            "model",
            "model/diffusion",
            {"clips_seen": len(facts.exposure), "steps": facts.training.get("steps")},
            {
                "model_digest": facts.training.get("model_digest"),
                "exposure_root": exposure_root(facts.exposure),
                "dataset_root": facts.training.get("dataset_root"),
            },
        )
        for name, digest in sorted(facts.training.get("made_with", {}).items()):
            if ledger := facts.ledger(name):
                committed = {"model_digest": digest, "exposure_root": exposure_root(ledger)}
                yield Event("model", f"model/{name}", {"clips_seen": len(ledger)}, committed)
    for name in MODELS:
        digest = facts.root / "models" / name / "digest.json"
        if name not in OF_FILM and digest.is_file() and (ledger := facts.ledger(name)):
            committed = {"model_digest": read_json(digest)["digest"], "exposure_root": exposure_root(ledger)}
            yield Event("model", f"model/{name}", {"seen": len(ledger)}, committed)
    for sample in facts.samples:
        yield Event(
            "sample",
            f"sample/{Path(sample.name).stem}",
            {},
            {"prompt": sample.prompt, "model_digest": sample.facts.get("model_digest")},
        )
