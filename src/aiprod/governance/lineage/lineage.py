"""Lineage of a clip, film, model, generated video or any pipeline file: what it came from, what was made from it.

Both directions are walked over the manifests; the bytes on the way are hashed again and compared with dvc.lock and with
the manifests. What does not match is named.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import orjson

from aiprod.base.params import nearest
from aiprod.errors import AiprodError
from aiprod.film.record import films_below, shots_standing_on
from aiprod.governance.dataset import records as where
from aiprod.governance.dataset.lazy_rows import fields
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.releases import Released, releases
from aiprod.governance.erasure import models as marks
from aiprod.governance.lineage import voices
from aiprod.governance.lineage.films_by_name import film_called
from aiprod.governance.lineage.node import Node, ShortNode
from aiprod.governance.lineage.verify import check
from aiprod.printable import counted
from aiprod.qc.decide.reviews import REVIEWS, load_reviews
from aiprod.repo.dvc_lock import Lock
from aiprod.rights.declarations import SourceDeclaration, load_sources

_FILM = {  # field of a film's row → what it is called in a lineage
    "key": "source_file",
    "title": "title",
    "url": "url",
    "origin": "origin",
    "media_license": "license",
    "effective_right": "right",
    "attribution": "attribution",
    "content_sha256": "sha256",
    "status": "status",
    "reasons": "reasons",
    "rights_proof": "proof",
    "obligations": "obligations",
}
_CLIP = ("film_id", "start_s", "end_s", "split", "processed_sha256", "steps")
_VERDICT = ("status", "score", "reasons")


@dataclass
class Lineage:
    """The answer.

    Attributes:
        subject: what was asked, with what it came from below it.
        used_by: what was made from it.
        stages: the stages on the way to it, in order.
        rights: clips behind it by (source, licence, right).
        obligations: all that travel with it.
        checked_files: number of files whose bytes were hashed again.
        mismatches: what does not agree, one sentence each.
        notes: what could not be checked and why.
    """

    subject: Node
    used_by: list[Node]
    stages: list[str]
    rights: list[dict[str, Any]]
    obligations: list[str]
    checked_files: int
    mismatches: list[str]
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        own = dict(vars(self))
        return {**own, "subject": _document(self.subject), "used_by": [_document(node) for node in self.used_by]}

    def json(self) -> bytes:
        """The same as UTF-8 text. A film stands in it once for each of its clips, so that it is written in C."""
        try:
            return orjson.dumps(self)
        except orjson.JSONEncodeError:  # a number beyond 64 bits, or a file name that is no Unicode
            return json.dumps(self.document()).encode()


def _document(node: Node) -> dict[str, Any]:
    children = [_document(child) for child in node.children]
    return {"kind": node.kind, "name": node.name, "facts": node.facts, "children": children}


def lineage(root: Path, target: str, *, rehash: bool = True) -> Lineage:
    """Walk from ``target``: a path below ``root``, a film id, a clip id, or a model's name.

    Raises:
        AiprodError: nothing here is called that.
    """
    lock = Lock(root) if (root / "dvc.lock").is_file() else None
    facts = Records(root, strict=False, lock=lock)
    walker = Walker.of(facts, root, lock)
    kind, name = resolve(facts, target)
    subject = walker.node(kind, name)
    clips = walker.clips_behind(kind, name)
    path = {"sample": f"{where.SAMPLES}/{name}", "model": f"models/{name}", "file": name}.get(kind)
    stage = {
        "film": "ingest",
        "clip": "ingest",
        **dict.fromkeys(voices.KINDS, "make_speech"),
        "head": "make_faces",
    }.get(kind) or (lock.stage_of(path) if lock and path else None)
    checked, mismatches, notes = check(facts, lock, kind, name, clips) if rehash else (0, [], ["bytes were not hashed"])
    if gone := [c for c in clips if not any(c in known for known in (facts.clips, facts.utterances, facts.faces))]:
        what = f"{counted(len(gone), 'clip')} behind it {'is' if len(gone) == 1 else 'are'} in no manifest now"
        notes = [*notes, f"{what}: films and rights are not known here; --rev REVISION selects the state that has them"]
    films = sorted({facts.clips[c].film_id for c in clips if c in facts.clips} | ({name} if kind == "film" else set()))
    return Lineage(
        subject=subject,
        used_by=walker.used_by(kind, name),
        stages=lock.upstream(stage) if lock and stage else [],
        rights=rights_table(facts, films),
        obligations=sorted({o for f in films if f in facts.films for o in facts.films[f].obligations}),
        checked_files=checked,
        mismatches=[*facts.problems, *mismatches],
        notes=notes,
    )


def resolve(facts: Records, target: str) -> tuple[str, str]:
    """Kind (``film``, ``clip``, ``model``, ``sample``, ``file``, or one of voices.KINDS) and name of what was asked.

    Raises:
        AiprodError: nothing here is called that; names the nearest id.
    """
    if target in facts.films:
        return "film", target
    if target in facts.clips:
        return "clip", target
    if target in facts.models:
        return "model", target
    if (voice := voices.kind_of(facts, target)) is not None:
        return voice, target
    path = next(_paths(facts.root, target), None)
    if path is not None and (meant := _resolve_path(facts, path))[0] != "file":
        return meant
    if (film := film_called(facts, target)) is not None:
        return "film", film
    if path is not None:
        return "file", path
    samples = [f"{where.SAMPLES}/{sample.name}" for sample in facts.samples]
    known = [*facts.clips, *facts.films, *facts.models, *facts.utterances, *facts.faces, *samples]
    if not known:
        raise AiprodError(f"{target!r} is not known, and nothing has been made here yet", "run `make repro` first")
    hint = nearest(target, known)
    hint = (
        hint if hint.startswith("did") else "give a path in the repository, a film's name or id, a clip id or a model"
    )
    raise AiprodError(
        f"{target!r} is not a film, clip, model, utterance, speaker, head or file of this workspace", hint
    )


def _paths(root: Path, target: str) -> Iterator[str]:
    """What ``target`` may mean as an existing path below ``root``; outputs may be links out of it, into DVC's cache."""
    top, path = Path(os.path.abspath(root)), Path(target)
    for base, full in (
        (top, Path(os.path.abspath(path))),
        (root.resolve(), path.resolve()),
        (top, Path(os.path.abspath(top / path))),
    ):
        if full != base and full.is_relative_to(base) and full.exists():
            yield full.relative_to(base).as_posix()


def _resolve_path(facts: Records, path: str) -> tuple[str, str]:
    """The most telling meaning of an existing path."""
    parts = Path(path).parts
    stem = Path(path).stem.removesuffix("_view")  # an enlarged view is the same sample
    if path.startswith(f"{where.SAMPLES}/") and stem in {Path(s.name).stem for s in facts.samples}:
        return "sample", f"{stem}.mp4"
    if parts[0] == "models" and len(parts) > 1 and parts[1] in facts.models:
        return "model", parts[1]
    if path.startswith(f"{where.SPEECH}/") and stem in facts.utterances:
        return "utterance", stem
    if path.startswith(f"{where.FACES}/") and stem in facts.faces:
        return "head", stem
    for folder in (where.RAW, where.PROCESSED, where.LATENTS):
        if path.startswith(f"{folder}/"):
            stem = Path(path).stem
            if stem in facts.clips:
                return "clip", stem
            if stem in facts.films:
                return "film", stem
    return "file", path


def rights_table(facts: Records, films: list[str]) -> list[dict[str, Any]]:
    """How many films and clips stand under each source, licence and right."""
    groups: Counter[tuple[str, str, str]] = Counter()
    clips: Counter[tuple[str, str, str]] = Counter()
    for film_id in films:
        film = facts.films.get(film_id)
        if film is not None:
            key = (film.source_id, film.media_license or "unknown", film.effective_right)
            groups[key] += 1
            clips[key] += len(facts.clips_of.get(film_id, []))
    return [
        {"source": s, "license": lic, "right": r, "films": n, "clips": clips[s, lic, r]}
        for (s, lic, r), n in sorted(groups.items())
    ]


@dataclass(frozen=True)
class Walker:
    """Builds trees from the joined manifests."""

    facts: Records
    sources: dict[str, SourceDeclaration]
    affected: dict[str, list[str]]  # model → certificates of erasures of films that it saw
    known: dict[str, Node] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Records, root: Path, lock: Lock | None) -> Self:
        """Over the workspace at ``root``."""
        return cls(facts, _sources(root), _affected(root, lock))

    def node(self, kind: str, name: str) -> Node:
        """The thing with what it came from below it."""
        if kind == "sample":
            sample = next(s for s in self.facts.samples if s.name == name)
            below = [self.node("model", "diffusion")] if "diffusion" in self.facts.models else []
            return Node("sample", f"{where.SAMPLES}/{name}", sample.facts, below)
        if kind == "file":
            return Node("file", name)
        if kind in voices.KINDS:
            return voices.node(self.facts, kind, name)
        return {"model": self._model, "film": self._film, "clip": self._clip}[kind](name)

    def _source(self, source_id: str) -> Node:
        """One node for a source, however many films are of it."""
        if source_id not in self.known:
            self.known[source_id] = self._new_source(source_id)
        return self.known[source_id]

    def _new_source(self, source_id: str) -> Node:
        declared = self.sources.get(source_id)
        if declared is None:
            return Node("source", source_id, {"declared": False})
        return Node(
            "source",
            source_id,
            {
                "title": declared.title,
                "policy": declared.policy_approval,
                "media_host": declared.media_host,
                "acquisition_terms": declared.acquisition_terms,
                "confidence": declared.confidence,
            },
        )

    def _film(self, film_id: str) -> Node:
        """One node for a film, however many clips are of it."""
        if film_id not in self.known:
            self.known[film_id] = self._new_film(film_id)
        return self.known[film_id]

    def _new_film(self, film_id: str) -> Node:
        film = self.facts.films.get(film_id)
        if film is None:
            return Node("film", film_id, {"problem": "no row in the manifest of films"})
        facts = dict(zip(_FILM.values(), fields(film, tuple(_FILM)), strict=True))
        return Node("film", film_id, {k: v for k, v in facts.items() if v}, [self._source(film.source_id)])

    def _clip(self, clip_id: str, *, times: int | None = None) -> Node:
        clip, verdict = self.facts.clips.get(clip_id), self.facts.verdicts.get(clip_id)
        caption = self.facts.captions.get(clip_id)
        if clip is None:
            return Node("clip", clip_id, {"problem": "no row in the manifest of clips"})
        film_id, start_s, end_s, split, sha256, steps = fields(clip, _CLIP)
        status, score, reasons = fields(verdict, _VERDICT) if verdict else (None, None, None)
        named = {
            "times_shown": times,
            "start_s": start_s,
            "end_s": end_s,
            "split": split,
            "verdict": status,
            "score": score,
            "reasons": reasons,
            "reviews": self._reviews.get(clip_id),
            "caption": caption.caption if caption else None,
            "sha256": sha256,
            "steps": steps,
        }
        known = {k: v for k, v in named.items() if v is not None and v != []}
        return Node("clip", clip_id, known, [self._film(film_id)])

    def _model(self, name: str) -> Node:
        if name in voices.MODELS:
            return voices.model(self.facts, name, self.affected.get(name))
        count = self._count(name)
        about: dict[str, Any] = {"affected_by_erasures": self.affected[name]} if name in self.affected else {}
        others: list[Node] = []
        if name == "diffusion":
            training = self.facts.training
            about |= {key: training.get(key) for key in ("model_digest", "dataset_root", "steps")}
            about["upsampler_digest"] = (training.get("upsampler") or {}).get("digest")
            others = [
                Node(
                    "model",
                    other,
                    {"digest": training.get("made_with", {}).get(other), "clips_seen": self._count(other)},
                )
                for other in self.facts.models
                if other in where.OF_FILM and other != "diffusion"
            ]
        about["clips_seen"] = count
        if name == "diffusion":
            about["showings"] = self._showings()
        about = {key: value for key, value in about.items() if value is not None}
        clips = [self._clip(clip, times=times) for clip, times in self._first(name, len(others))]
        if len(clips) < count:
            return ShortNode("model", name, about, [*others, *clips], count - len(clips))
        return Node("model", name, about, [*others, *clips])

    def _count(self, model: str) -> int:
        """How many clips a model saw."""
        return len(self.facts.clips_seen_by(model))

    def _showings(self) -> int:
        """How often the diffusion model was shown a clip, in all."""
        return sum(shown.times for shown in self.facts.exposure.values())

    def _first(self, model: str, beside: int) -> list[tuple[str, int | None]]:
        """The clips that are to be named below a model, with the times that diffusion was shown them, the most first.

        Args:
            beside: what else is below it.
        """
        seen = self.facts.clips_seen_by(model)
        if model != "diffusion":
            return [(clip, None) for clip in seen]
        exposure = self.facts.exposure
        return [(clip, exposure[clip].times) for clip in sorted(seen, key=lambda c: (-exposure[c].times, c))]

    def clips_behind(self, kind: str, name: str) -> list[str]:
        """Ids of the clips that went into it."""
        if kind == "clip":
            return [name]
        if kind == "film":
            return [c.clip_id for c in self.facts.clips_of.get(name, [])]
        if kind == "model":
            return [] if name in voices.MODELS else self.facts.clips_seen_by(name)
        if kind == "sample":
            return sorted(set().union(*(self.facts.clips_seen_by(m) for m in self.facts.models if m in where.OF_FILM)))
        return []

    def used_by(self, kind: str, name: str) -> list[Node]:
        """What was made from it."""
        if kind == "model" and name in voices.MODELS:
            return []  # what `aiprod speak` and `aiprod dub` write stands in no record of the pipeline
        if kind in voices.KINDS:
            return voices.used_by(self.facts, kind, name)
        samples = [Node("sample", f"{where.SAMPLES}/{s.name}", {"prompt": s.prompt}) for s in self.facts.samples]
        if kind == "model" and name == "diffusion":
            return [*samples, *self._left(set(), self._digests())]
        if kind == "model":
            later = [m for m in self.facts.models if m == "diffusion"]
            return [Node("model", m, {}, samples) for m in later] or samples
        if kind == "film":
            return [Node("clip", c, {}, self.used_by("clip", c)) for c in self.clips_behind(kind, name)]
        if kind != "clip":
            return []
        latents = [
            Node("latent", r.file or f"{name} ({r.phase})", {"phase": r.phase, "status": r.status})
            for r in self.facts.latents.get(name, [])
        ]
        models = []
        for model in (m for m in self.facts.models if m in where.OF_FILM):
            if name in set(self.facts.clips_seen_by(model)):
                shown = self.facts.exposure.get(name) if model == "diffusion" else None
                counted = {"times_shown": shown.times, "by_phase": shown.by_phase} if shown else {}
                outputs = [*samples, *self._left(set(), self._digests())] if model == "diffusion" else []
                models.append(Node("model", model, counted, outputs))
        return [*latents, *models, *self._left({name}, set())]

    def _digests(self) -> set[str]:
        """Of the diffusion model that is here, with its upsampler."""
        training = self.facts.training
        stated = (training.get("model_digest"), (training.get("upsampler") or {}).get("digest"))
        return {digest for digest in stated if digest}

    def _left(self, clips: set[str], digests: set[str]) -> list[Node]:
        """Finished films of the workspace and released videos: those with these clips, or by these models."""
        nodes = []
        for path, record in self._finished:
            if lines := shots_standing_on(record, clips, digests):
                name = path.with_name(record["file"]).relative_to(self.facts.root).as_posix()
                nodes.append(Node("finished film", name, {"title": record.get("title", ""), "shows": lines}))
        for entry in self._released:
            if clips & set(entry.clips) or entry.why((), digests):
                about = {"released": entry.time, "sha256": entry.sha256, "role": entry.role}
                nodes.append(Node("release", entry.file, about))
        return nodes

    @cached_property
    def _finished(self) -> list[tuple[Path, dict[str, Any]]]:
        return list(films_below(self.facts.root))

    @cached_property
    def _released(self) -> list[Released]:
        return list(releases(self.facts.root))

    @cached_property
    def _reviews(self) -> dict[str, list[str]]:
        """Clip → what people decided about it, the latest last."""
        path, decisions = self.facts.root / REVIEWS, defaultdict[str, list[str]](list)
        for one in load_reviews(path) if path.is_file() else ():
            role = ", ".join(sorted(set(one.authority.values())))
            basis = f"; basis {one.basis}, {one.basis_ref}" if one.basis else ""
            note = f": {one.note}" if one.note else ""
            decisions[one.clip_id].append(f"{one.automatic} → {one.verdict} by {one.reviewer} ({role}){basis}{note}")
        return decisions


def _sources(root: Path) -> dict[str, SourceDeclaration]:
    path = root / "datasets" / "sources.yaml"
    return dict(load_sources(path).sources) if path.is_file() else {}


def _affected(root: Path, lock: Lock | None) -> dict[str, list[str]]:
    """Models in the present state that saw a film which was erased since."""
    marked = marks.affected(root)
    outs = {path: md5 for path, (_, md5) in lock.outs.items()} if lock is not None else {}
    return {m: marked[outs[f"models/{m}"]]["certificates"] for m in where.MODELS if outs.get(f"models/{m}") in marked}
