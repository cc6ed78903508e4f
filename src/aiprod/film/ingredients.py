"""What a film is made of: files with their digests, where they came from, and by what right they are used."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from aiprod.base.files import contained, read_json, sha256_file, sha256_once
from aiprod.base.params import nearest
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.film.script import ClipChoice, Rights
from aiprod.rights.licences import ATTRIBUTION, judge_licence, spdx
from aiprod.rights.right import Right
from aiprod.storage.clip_store import ClipStore, decrypted_copy, stored_sha256
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.manifest import HEAD, read_rows

Kind = Literal["clip", "sample", "prompt", "file", "voice", "speech", "lettering", "chart", "head", "grade"]
MADE: tuple[Kind, ...] = ("sample", "prompt", "speech")
"""Kinds that a model made."""
OWN: tuple[Kind, ...] = ("file", "voice", "grade")
"""Kinds that a script brings along."""
MODEL_DIGESTS = ("model_digest", "speech_model_digest")
"""Facts that name a model."""
_DATA, _SAMPLES = Path("datasets/v1"), Path("reports/samples")

_NAMED_MOST = 20


@dataclass
class Ingredient:
    """One thing that a film is made of.

    Attributes:
        path: where it is read from now; not part of what is recorded.
        file: how it is called in a record: relative to the workspace, or to the script.
        facts: clip, film and source ids; model, prompt and seed; speaker and language; title.
        obligations: what its licence asks for, in words.
        credit: the line that names it; empty where nobody asks to be named.
        stored: of a clip, the name of its object in the store; not part of what is recorded.
    """

    kind: Kind
    name: str
    path: Path
    file: str
    sha256: str
    license: str = ""
    credit: str = ""
    obligations: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    stored: str = ""

    def recorded(self) -> dict[str, Any]:
        """As JSON, without what says nothing."""
        said = {key: value for key, value in vars(self).items() if value not in ("", [], {})}
        return {key: value for key, value in said.items() if key not in ("path", "stored")}


class Ingredients:
    """Finds what a script names, once each. Use as a context manager: personal clips are decrypted while it lasts.

    Args:
        folder: paths of the script are relative to it.
        personal: whether clips of films that are stored encrypted may be used.
    """

    def __init__(self, folder: Path, *, personal: bool = True) -> None:
        self.folder, self.personal = folder, personal
        self.used: dict[Path, Ingredient] = {}
        self.any_personal = False
        self._stack = ExitStack()

    def __enter__(self) -> Ingredients:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, ingredient: Ingredient) -> Path:
        """Take note of an ingredient; where it is read from."""
        self.used.setdefault(ingredient.path, ingredient)
        return ingredient.path

    @cached_property
    def _films(self) -> dict[str, FilmRow]:
        return {row.film_id: row for row in _rows(_DATA / "ingest" / "films", FilmRow)}

    @cached_property
    def _clips(self) -> dict[str, ClipRow]:
        return {row.clip_id: row for row in _rows(_DATA / "ingest" / "clips", ClipRow)}

    @cached_property
    def _rejected(self) -> dict[str, str]:
        """Clips that a person or a check rejected, and the first reason."""
        from aiprod.qc.rows import VerdictRow

        rows = _rows(_DATA / "qc" / "decide", VerdictRow)
        return {row.clip_id: "; ".join(row.reasons[:1]) for row in rows if row.status == "REJECTED"}

    def clip(self, choice: str | ClipChoice) -> Path:
        """A clip of the dataset.

        Raises:
            AiprodError: there is none, its rights do not permit its use, it was rejected, or it is personal and may
                not be used here.
        """
        row = self._clip_row(choice)
        film = self._films.get(row.film_id)
        if film is None or row.processed_name is None:
            raise AiprodError(f"the clip {row.clip_id} has no file ({row.status})", "choose another")
        if film.effective_right == "deny":
            raise AiprodError(f"the rights of the clip {row.clip_id} do not permit its use", "choose another")
        if row.clip_id in self._rejected:
            why = self._rejected[row.clip_id]
            raise AiprodError(f"the clip {row.clip_id} was rejected ({why})", "choose another")
        if is_private(row.clip_id):
            self._refuse_personal(row.clip_id)
            self.any_personal = True
            film = next(r for r in _rows(_DATA / "ingest" / "films", FilmRow, Vault()) if r.film_id == row.film_id)
        path = ClipStore(_DATA).path("processed", row.processed_name)
        digest = _whole(path, row.processed_sha256)
        return self.add(
            Ingredient(
                "clip",
                row.clip_id,
                self._opened(path),
                _called(path),
                digest,
                license=film.media_license or "",
                credit=_credit(film.title or film.key, film.attribution, film.media_license, film.obligations),
                obligations=list(film.obligations),
                facts={
                    "film_id": film.film_id,
                    "source_id": film.source_id,
                    "source_start_s": row.start_s,
                    **({} if is_private(row.clip_id) else {"source_key": film.key}),
                },
                stored=row.processed_name,
            )
        )

    def _refuse_personal(self, clip: str) -> None:
        if is_private(clip) and not self.personal:
            what = f"the clip {clip} is of a film that is stored encrypted, and a stage's film is not"
            raise AiprodError(what, "make this film with `aiprod film`, outside of the pipeline")

    def _opened(self, path: Path) -> Path:
        """Where an object of the store can be read while this is open."""
        plain = self._stack.enter_context(decrypted_copy(path))
        return plain.resolve() if plain == path else plain  # what lies in memory has no other path

    def restored(self, entry: dict[str, Any], folder: Path) -> Path:
        """Take note of an ingredient of an edit in ``folder``; where it is read from.

        Raises:
            AiprodError: it is missing, not what was edited, or personal and may not be used here.
        """
        entry = dict(entry)
        place = entry.pop("place", None)
        if place is None:
            self._refuse_personal(entry["name"])
            path = ClipStore(_DATA).path("processed", entry["stored"])
            _whole(path, entry["sha256"])
            return self.add(Ingredient(path=self._opened(path), **entry))
        path = Path(os.path.abspath(folder / place))
        if not path.is_file():
            raise AiprodError(f"{entry['file']} is missing", "`dvc checkout`, or `dvc repro`")
        if sha256_once(path) != entry["sha256"]:
            raise AiprodError(f"{entry['file']} is not what was edited", "`dvc repro montage`")
        if path.is_relative_to(folder.resolve()):  # made for this film
            entry["file"] = _relative(path, Path.cwd())
        return self.add(Ingredient(path=path, **entry))

    def _clip_row(self, choice: str | ClipChoice) -> ClipRow:
        if isinstance(choice, str):
            if choice not in self._clips:
                raise AiprodError(f"there is no clip {choice!r}", _closest(choice, list(self._clips)))
            return self._clips[choice]
        films = {f.film_id for f in self._films.values() if (f.source_id, f.key) == (choice.source, choice.key)}
        rows = [r for r in self._clips.values() if r.film_id in films and r.shot_index == choice.shot]
        if not rows:
            keys = sorted(f.key for f in self._films.values() if f.source_id == choice.source)
            problem = f"the source {choice.source!r} has no clip {choice.shot} of {choice.key!r}"
            raise AiprodError(problem, _closest(choice.key, keys) if keys else "see `aiprod sources list`")
        return rows[0]

    def sample(self, which: int | Path) -> Path:
        """A generated video with its description beside it.

        Raises:
            AiprodError: there is none, or nothing says what made it.
        """
        path = _SAMPLES / f"{which:03d}.mp4" if isinstance(which, int) else self._stated(which)
        beside = path.with_name(f"{path.stem.removesuffix('_view')}.json")
        if not path.is_file():
            raise AiprodError(f"there is no sample {path}", "give the number or the path of a generated video")
        if not beside.is_file():
            raise AiprodError(f"{path.name} has no description next to it ({beside.name})", "name it as film instead")
        return self.add(generated("sample", path, read_json(beside), _called(path)))

    def file(self, path: Path, rights: Rights, kind: Kind = "file", **facts: str) -> Path:
        """A file of one's own, with the licence that is stated for it.

        Raises:
            AiprodError: it is not there, or its licence is not stated, not understood, forbids the use, or asks for a
                credit that is not given.
        """
        full = self._stated(path)
        if not full.is_file():
            raise AiprodError(f"{path} does not exist", "paths are relative to the script")
        name = full.name
        if rights.license is None:
            raise AiprodError(f"{name} has no licence", "state `license:`; LicenseRef-own is for what you made")
        finding = judge_licence(rights.license)
        if finding.right == Right.DENY:
            raise AiprodError(f"{name} may not be used: {finding.why}", "use another file, or state its licence")
        if ATTRIBUTION in finding.obligations and not rights.attribution:
            raise AiprodError(f"{name}: {rights.license} asks for credit", "state `attribution:`")
        licence = spdx(rights.license)
        credit = f": {rights.attribution} ({licence})" if rights.attribution else f": {name} ({licence})"
        owed = [f"{obligation}{credit}" for obligation in finding.obligations]
        return self.add(
            Ingredient(
                kind,
                name,
                full,
                path.as_posix() if not path.is_absolute() else name,
                sha256_once(full),
                license=licence,
                credit=_credit(name, rights.attribution, licence, owed),
                obligations=owed,
                facts={key: value for key, value in facts.items() if value},
            )
        )

    def grade_file(self, path: Path) -> None:
        """A look-up table or colour correction that a grade reads."""
        self.add(Ingredient("grade", path.name, path, _relative(path, self.folder), sha256_once(path)))

    def _stated(self, path: Path) -> Path:
        return (self.folder / path).resolve()


def generated(kind: Kind, path: Path, about: dict[str, Any], file: str) -> Ingredient:
    """A generated video as an ingredient, from the description beside it."""
    names = ("prompt", "seed", "model_digest", "dataset_root")
    return Ingredient(
        kind,
        f"{about.get('prompt', path.name)}",
        path.resolve(),
        file,
        sha256_file(path),
        facts={name: about[name] for name in names if name in about},
    )


def _credit(title: str, attribution: str | None, licence: str | None, obligations: Iterable[str]) -> str:
    """How something is named where someone asks for that; empty where nobody does."""
    if attribution:
        return f"{attribution} ({licence})" if licence and licence not in attribution else attribution
    return f"{title} ({licence})" if licence and any(obligations) else ""


def _rows(folder: Path, model: Any, vault: Vault | None = None) -> list[Any]:
    if not (folder / HEAD).is_file():
        return []
    return read_rows(folder, model, vault) if vault is not None else read_rows(folder, model)


def _whole(path: Path, digest: str | None) -> str:
    """SHA-256 of an object that is what its row says."""
    try:
        actual = stored_sha256(path)
    except FileNotFoundError:
        raise AiprodError(f"{path} is missing", "`dvc checkout`, or `dvc repro`") from None
    if digest and actual != digest:
        hint = "`aiprod audit verify --files` lists every damaged file and how to restore it"
        raise AiprodError(f"{path} is not what the manifest records", hint)
    return actual


def _called(path: Path) -> str:
    return _relative(path.resolve(), Path.cwd())


def _relative(path: Path, folder: Path) -> str:
    """A path below a folder or the workspace as it is called from there, else its name: no record holds a machine's."""
    for base in (Path.cwd(), folder):
        if path.is_relative_to(base.resolve()):
            return path.relative_to(base.resolve()).as_posix()
    return path.name


def locate_file(root: Path, script_folder: Path, file: str) -> Path | None:
    """Where a recorded ingredient is now, or None."""
    for base in (root, script_folder):
        if not Path(file).is_absolute() and (path := contained(base, file)).is_file():
            return path
    return None


def _closest(name: str, known: list[str]) -> str:
    """A hint that names the closest of any number of films or clips."""
    hint, more = nearest(name, known), len(known) - _NAMED_MOST
    if hint.startswith("did you mean") or more <= 0:
        return hint
    return f"there are {', '.join(sorted(known)[:_NAMED_MOST])} and {more} more"
