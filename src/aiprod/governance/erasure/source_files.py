"""Where the films of an erasure are in their sources, and what is beside them and is about them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiprod.base.files import sha256_file
from aiprod.base.names import caseless_name, film_name
from aiprod.base.state import main_repository
from aiprod.base.yaml_file import read_yaml
from aiprod.data.sources.recordings import folders_of_recordings
from aiprod.data.sources.scan_memory import FileDigests
from aiprod.errors import AiprodError
from aiprod.governance.erasure import tables
from aiprod.governance.erasure.resolve import Recording, Target
from aiprod.media.discovery import files_below, is_media, key_of, problem_of
from aiprod.printable import counted
from aiprod.rights.declarations import load_sources
from aiprod.storage.crypto.film_encryption import Vault

INBOX = Path("datasets/inbox")
_INSIDE = "the film is one of several in this file: rewrite the file without it, or delete it"


@dataclass
class Beside:
    """What is found in the sources.

    Attributes:
        films: files with the bytes of one of the films.
        about: files named like one of them that are no films (``NAME.srt``, ``NAME.jpg``, ``NAME.mp4.json``).
        tables: tables with lines of theirs → how many.
        left: what an erasure does not touch, to be named → why.
        keys: root of each source → the films' paths in it, as they are compared.
    """

    films: list[Path] = field(default_factory=list)
    about: list[Path] = field(default_factory=list)
    tables: dict[Path, int] = field(default_factory=dict)
    left: dict[Path, str] = field(default_factory=dict)
    keys: dict[Path, set[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """Whether a cell of a table in a folder names one of the films.

    Args:
        root: of the source.
        keys: the films' paths in it, as they are compared.
    """

    root: Path
    keys: frozenset[str]

    def within(self, folder: Path) -> tables.Names:
        """For the tables of a folder."""
        here = folder.relative_to(self.root).as_posix()
        caseless = {caseless_name(key) for key in self.keys}

        def names(cell: str) -> bool:
            name = film_name(cell)
            if not name:
                return False
            inside = name.removeprefix(f"{film_name(str(self.root))}/") if name.startswith("/") else None
            key = film_name(posixpath.join(here, name)) if inside is None else inside
            if key in self.keys:
                return True
            return caseless_name(key) in caseless and not os.path.exists(os.path.join(folder, cell.strip()))

        return names


def look(root: Path, targets: Sequence[Target], vault: Vault) -> Beside:
    """Look through every folder that is a source, and at every file that scan remembers.

    Raises:
        AiprodError: a folder or a table cannot be read, so that nobody knows what it says.
    """
    beside, repository = Beside(), main_repository()
    rows = [row for target in targets for row in [target.row, *target.rows]]
    contents = {row.content_sha256 for row in rows if row.content_sha256}
    sizes = {row.size_bytes for row in rows}
    unread = {(row.source_id, film_name(row.key)) for row in rows if not row.content_sha256}
    known = [k for k in FileDigests(vault).entries() if k.sha256 in contents]
    films = {k.file for k in known if not k.inside and _holds(k.file, contents)}
    for path in {k.file for k in known if k.inside and os.path.isfile(k.file)}:
        beside.left[path] = _INSIDE
    places = folders(root, repository)
    for source_id, place in places:
        named = {film_name(row.key) for row in rows if row.source_id == source_id}
        files = [path for path in files_below(place, hidden=True) if problem_of(path) is None]
        for path in files:
            key = film_name(key_of(path, place))
            fits = key in named or path.stat().st_size in sizes
            if (source_id, key) in unread or (fits and _holds(path, contents)):
                films.add(path)
        other = {film_name(key_of(p, place)) for p in files if p not in films}
        for key in named & other:
            beside.left[place / key] = "a file of this name with other bytes is another film, and stays with its lines"
        mine = {film_name(key_of(p, place)) for p in films if p.is_relative_to(place)}
        beside.keys[place] = (named - other) | mine
        recordings = [row for row in rows if row.source_id == source_id and isinstance(row, Recording)]
        texts = {film_name(row.text_key) for row in recordings if row.text_key and row.text_key != "metadata.csv"}
        for path in files if texts else ():
            if film_name(key_of(path, place)) in texts:
                if path.is_relative_to(repository):
                    beside.about.append(path)
                else:
                    beside.left[path] = "it is what is said in a recording"
        beside.keys[place] |= {name for row in recordings for name in row.beside}
        for key in named:
            for parent in (place / key).parents:
                if parent != place and parent.is_relative_to(place) and parent.is_file():
                    beside.left[parent] = _INSIDE
    beside.films = sorted(films)
    for path in list(beside.films):
        if path.is_symlink() and (target := path.resolve()) not in films:
            films.add(target)
            if target.is_relative_to(repository) and not {".dvc", ".git"} & {*target.relative_to(repository).parts}:
                beside.films.append(target)  # the key goes only when the film lies nowhere in the repository any more
            else:
                beside.left[target] = "the film in its source is a link to it"
    _name_other_links(beside)
    for place, mine in beside.keys.items():
        _beside(beside, place, mine, repository)
    for path in [p for p in beside.films if not p.is_relative_to(repository)]:
        beside.left[path] = "it is outside the repository"
    return beside


def _name_other_links(beside: Beside) -> None:
    """Name films that lie under further names too: to delete one hard link leaves the bytes under the others."""
    here: dict[tuple[int, int], list[Path]] = {}
    for path in beside.films:
        if not path.is_symlink():
            about = path.stat()
            here.setdefault((about.st_dev, about.st_ino), []).append(path)
    for links in here.values():
        if (more := links[0].stat().st_nlink - len(links)) > 0:
            beside.left[links[0]] = (
                f"it has {counted(more, 'hard link')} elsewhere, under which its bytes stay: look for them with"
                " `find / -samefile` before"
            )


def folders(root: Path, repository: Path) -> list[tuple[str, Path]]:
    """Source and folder of every folder source here that exists, where it is and where it was before params.yaml named
    another place; the inbox is always one."""
    stated: list[tuple[str, str]] = [(INBOX.name, INBOX.as_posix())]
    with suppress(AiprodError):
        declared = load_sources(root / "datasets" / "sources.yaml").sources
        stated += [(name, source.path) for name, source in declared.items() if source.path]
    with suppress(AiprodError, AttributeError, TypeError):
        stated += list(dict(((read_yaml(root / "params.yaml") or {}).get("ingest") or {}).get("folders") or {}).items())
    with suppress(AiprodError):
        stated += folders_of_recordings(root / "params.yaml").items()
    by_place: dict[Path, str] = {}
    for name, text in stated:
        if "://" not in str(text):
            place = (repository / Path(str(text)).expanduser()).resolve()
            if place.is_dir():
                by_place[place] = name
    return sorted((name, place) for place, name in by_place.items())


def _holds(path: Path, contents: set[str]) -> bool:
    try:
        return problem_of(path) is None and sha256_file(path) in contents
    except OSError:
        return False


def _beside(beside: Beside, place: Path, keys: set[str], repository: Path) -> None:
    """What is about the films of one source: files named like them, and lines of tables."""
    inside, names = place.is_relative_to(repository), Names(place, frozenset(keys))
    films = set(beside.films)
    files = [path for path in files_below(place, hidden=True) if path not in films]
    whole = {caseless_name(key) for key in keys}
    stems = {posixpath.splitext(key)[0] for key in whole}
    others = {
        posixpath.splitext(caseless_name(key_of(path, place)))[0] for path in files if _is_film(path)
    }  # a second film of the same stem: of which of them `NAME.srt` speaks is not known
    for path in files:
        name = caseless_name(key_of(path, place))
        if path.suffix.lower() in tables.SUFFIXES and problem_of(path) is None and not _is_film(path):
            dropped = tables.without(_bytes(path), path.suffix, names.within(path.parent))[1]
            if dropped and inside:
                beside.tables[path] = dropped
                if path.is_symlink():  # a file takes the place of the link, and what it led to stays as it is
                    beside.left[path.resolve()] = f"{dropped} lines in it are about the film; {path.name} links to it"
            elif dropped:
                beside.left[path] = f"{dropped} lines in it are about the film"
            continue
        exactly = any(name.startswith(f"{film}.") for film in whole)
        stem = next((s for s in stems if name.startswith(f"{s}.")), None)
        if not exactly and stem is None:
            continue
        if _is_film(path):
            if stem is not None:
                beside.left[path] = "it is named like the film and is another film"
        elif not inside or problem_of(path) is not None:
            beside.left[path] = "it is named like the film"
        elif not exactly and stem in others:
            beside.left[path] = "two films are named like it"
        else:
            beside.about.append(path)
            if path.is_symlink():
                beside.left[path.resolve()] = f"{path.name}, which is named like the film, links to it"
    beside.about = sorted(set(beside.about))


def _is_film(path: Path) -> bool:
    try:
        return problem_of(path) is None and is_media(path)
    except OSError:
        return False


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AiprodError(f"the table {path.name} cannot be read ({error.strerror})", "fix its permissions") from None
