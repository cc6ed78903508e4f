"""The part of lineage that reads bytes: which files a thing rests on, and which of them are not what was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aiprod.base.files import digest_of, sha256_file
from aiprod.errors import AiprodError
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset.records import Records
from aiprod.governance.lineage import voices
from aiprod.repo.dvc_lock import Expectation, Lock, Mismatch, verify
from aiprod.storage.shards.shards import locate

_PER_CLIP = (where.RAW, where.PROCESSED, where.LATENTS, where.SPEECH, where.FACES)


def check(
    facts: Records, lock: Lock | None, kind: str, name: str, clips: Iterable[str]
) -> tuple[int, list[str], list[str]]:
    """Hash what the thing rests on again.

    Returns:
        number of files read, what does not match, and what could not be checked.
    """
    wanted = set(clips)
    expected = [
        *clip_files(facts, wanted, {name} if kind == "film" else set()),
        *_sounds(facts, kind, name),
    ]
    per_clip = {item.path for item in expected}
    per_clip |= {path for item in expected if (path := _shard(facts.root, item.path)) is not None}
    mismatches: list[Mismatch] = []
    notes: list[str] = []
    if lock is None:
        notes.append("there is no dvc.lock here: bytes were compared with the manifests only")
    else:
        for out in _outs(facts, lock, kind, name):
            items, problems = lock.expectations(out)
            bulky = out in _PER_CLIP
            expected += [i for i in items if not bulky or i.path in per_clip or _is_manifest(i.path)]
            mismatches += [m for m in problems if not bulky or m.path in per_clip or m.path == out]
            if bulky and not items and not problems:
                notes.append(f"{out}: DVC's list of its files is not in the cache, it was compared as a whole")
    mismatches += verify(facts.root, expected)
    words = [str(m) for m in sorted(mismatches, key=lambda m: m.path)]
    return len({item.path for item in expected}), [*words, *_digests(facts, kind, name)], notes


def clip_files(facts: Records, clips: set[str], films: set[str]) -> list[Expectation]:
    """The files of clips and their films, with the SHA-256 that the manifests give."""
    expectations: list[Expectation] = []
    for clip_id in sorted(clips & set(facts.clips)):
        clip = facts.clips[clip_id]
        films = films | {clip.film_id}
        if clip.processed_name:
            expectations.append(Expectation(f"{where.PROCESSED}/{clip.processed_name}", sha256=clip.processed_sha256))
        for row in facts.latents.get(clip_id, []):
            expectations += [
                Expectation(f"{where.LATENTS}/{file}", sha256=digest)
                for file, digest in ((row.file, row.file_sha256), (row.text_file, row.text_sha256))
                if file
            ]
    for film_id in sorted(films & set(facts.films)):
        film = facts.films[film_id]
        if film.raw_name:
            expectations.append(Expectation(f"{where.RAW}/{film.raw_name}", sha256=film.content_sha256))
    return expectations


def _sounds(facts: Records, kind: str, name: str) -> list[Expectation]:
    """The sounds and heads behind a voice, an utterance, a head or a model of them, with the SHA-256 of their rows."""
    sounds = [(f"{where.SPEECH}/{row.sound_name}", row.sound_sha256) for row in voices.sounds_of(facts, kind, name)]
    heads = [(f"{where.FACES}/{row.file_name}", row.file_sha256) for row in voices.heads_of(facts, kind, name)]
    return [Expectation(path, sha256=digest) for path, digest in (*sounds, *heads)]


def _outs(facts: Records, lock: Lock, kind: str, name: str) -> list[str]:
    """The outputs that a thing rests on."""
    if kind in ("film", "clip"):
        inside = ("datasets/v1/",)
        return [out for out in lock.outs if out.startswith(inside) and (facts.root / out).is_dir()]
    path = {
        "sample": f"{where.SAMPLES}/{name}",
        "model": f"models/{name}",
        "utterance": where.SPEECH,
        "speaker": where.SPEECH,
        "head": where.FACES,
    }.get(kind, name)
    stage = lock.stage_of(path)
    if stage is None:
        return []
    chain = set(lock.upstream(stage)) - {stage, "scan"}
    upstream = [out for out, (maker, _) in lock.outs.items() if maker in chain and not out.startswith("reports/")]
    own = lock.owner(path)
    return [*upstream, *([own] if own else [])]


def _shard(root: Path, path: str) -> str | None:
    """The shard that an object is in, relative to the root; None for a file of its own, or a damaged index."""
    try:
        located = None if (root / path).is_file() else locate(root / path)
    except AiprodError:
        return None
    shard = located[0].shard_of(located[1]) if located is not None else None
    return shard.relative_to(root).as_posix() if shard is not None else None


def _is_manifest(path: str) -> bool:
    return path.rsplit("/", 1)[-1].startswith("manifest.")


def _digests(facts: Records, kind: str, name: str) -> list[str]:
    """Whether the models are those that the training record and the samples name."""
    if kind not in ("model", "sample") or not facts.training:
        return []
    problems = []
    recorded = {"diffusion/transformer": facts.training.get("model_digest"), **facts.training.get("made_with", {})}
    if upsampler := facts.training.get("upsampler"):
        recorded["diffusion/upsampler"] = upsampler["digest"]
    for model, digest in recorded.items():
        place = facts.root / "models" / model
        if not place.is_dir():
            problems.append(f"models/{model}: is missing")
            continue
        actual = model_digest(place)
        if digest and actual != digest:
            problems.append(f"models/{model}: its digest is {actual}, the training record says {digest}")
    if kind == "sample":
        claimed = next((s.facts.get("model_digest") for s in facts.samples if s.name == name), None)
        if claimed and claimed != facts.training.get("model_digest"):
            problems.append(f"{where.SAMPLES}/{name}: made by the model {claimed}, not by the one here")
    return problems


def model_digest(folder: Path) -> str:
    """The digest of a checkpoint folder, as its maker computes it (without loading what its maker loads)."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    return digest_of({name: sha256_file(folder / name) for name in names if name != "digest.json"})
