"""Whatever lies beside films and is no table or sidecar of theirs: texts, copies, marks, shortcuts, office documents.

Only what forbids training is heard in them, and a licence where REUSE or a file such as LICENSE states one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from aiprod.base.names import film_name
from aiprod.base.opening import open_file
from aiprod.base.params import validate
from aiprod.data.sources.sidecars import MAX_BYTES, Sidecars
from aiprod.errors import AiprodError
from aiprod.media.discovery import is_media, key_of, named_like_a_document, problem_of
from aiprod.rights.copies import original_name
from aiprod.rights.declarations import SidecarRecord
from aiprod.rights.embedded import against_training
from aiprod.rights.licence_files import (
    MAX_TEXT,
    against,
    against_in,
    decoded,
    statement_from_licence_file,
)
from aiprod.rights.licence_names import is_licence_name
from aiprod.rights.licence_words import quoted
from aiprod.rights.office_documents import ENDINGS, office_words
from aiprod.rights.statements import fields_of
from aiprod.rights.tables import TABLES, TableLine, parsed_json, read_table, text_of
from aiprod.rights.training_opt_outs import objection

OF_WHICH = "say in one what holds for which file"
FILM = re.compile(  # by their names films, sounds, arrays and archives, whose words are read elsewhere if at all
    r"\.(?:mp4|m4v|mov|mkv|webm|avi|mpe?g|m?ts|m2ts|wmv|asf|flv|f4v|mxf|ogv|3gp|ogg|wav|flac|mp3|m4a|aac|opus|aiff?|"
    r"npy|npz|pt|safetensors|tar|zip)",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|exr|dpx|svgz)", re.IGNORECASE)
SHORTCUT = re.compile(r"\.(?:url|webloc|desktop)", re.IGNORECASE)  # where a film was taken from
OF_REUSE = {".license", ".licence"}  # behind a film's name: which licence it has (https://reuse.software)
_ADDRESS = re.compile(r"https?://[^\s<>\"]{1,500}")
_MARK = re.compile(r"ai|ml|train|tdm|llm", re.IGNORECASE)  # in the names of hidden files that may be marks
_SPDX_TAG = re.compile(r"(?im)^\W*SPDX-License-Identifier:[ \t]*(\S.*?)\s*(?:-->|\*/)?\s*$")


def is_film_or_picture(name: str) -> bool:
    """Whether a file is named like one whose words, if any, are read as a film's or not at all."""
    ending = PurePosixPath(name).suffix
    return FILM.fullmatch(ending) is not None or _PICTURE.fullmatch(ending) is not None


def enter_text(
    path: Path, folder: Path, names: dict[str, list[str]], stems: dict[str, list[str]], sidecars: Sidecars
) -> None:
    """Enter what a text says: of the film that it is named like, else of all films in its folder."""
    key = key_of(path, folder)
    own = bearers_of(path, folder, names, stems)
    if not own and is_licence_name(original_name(path.name)) and not _is_media(path):
        _said_of_folder(path, folder, sidecars)
    elif (said_no := _against(path)) is not None:
        sidecars.problems.update(dict.fromkeys(own, f"sidecar: {said_no}"))
        if not own:  # it may mean any of the films here
            sidecars.folder_problems.setdefault(place_of(path, folder), f"sidecar: {said_no}")
            sidecars.unread[key] = said_no


def bearers_of(path: Path, folder: Path, names: dict[str, list[str]], stems: dict[str, list[str]]) -> list[str]:
    """The films that a document is named like: ``a.mp4.txt``, ``a.txt`` and ``a.en.srt`` speak of ``a.mp4``."""
    place = PurePosixPath(film_name(key_of(path, folder)))
    place = place.with_name(original_name(place.name))
    ending = place.suffix
    while place.suffix:
        place = place.with_suffix("")
        own = [name for name in names.get(str(place)) or stems.get(str(place), []) if not name.endswith(ending)]
        if own:
            return [name for name in own if FILM.fullmatch(PurePosixPath(name).suffix)] or own
    return []


def address_in(path: Path) -> str | None:
    """The address that a shortcut leads to."""
    try:
        with open_file(path) as file:
            found = _ADDRESS.search(file.read(MAX_TEXT).decode("utf-8", "replace"))
    except OSError:
        return None
    return None if found is None else found[0]


def is_copy_of_sidecar(
    path: Path, folder: Path, names: dict[str, list[str]], stems: dict[str, list[str]], sidecars: Sidecars
) -> bool:
    """Enter what the copy of a table or a JSON file says against training; False where a file is none, or not read.

    Which of the two holds is not known, so that what the copy permits is not believed, and what it forbids is.
    """
    original = original_name(path.name)
    ending = PurePosixPath(original).suffix.lower()
    if original == path.name or ending not in TABLES | {".json"}:
        return False
    try:
        content = content_of(path, None, table=True)
        if ending in TABLES:
            lines = [
                (film_name(f"{key_of(path, folder)}/../{line.film}"), line) for line in read_table(original, content)
            ]
        else:
            value = parsed_json(original, text_of(original, content))
            cells = list(value.items()) if isinstance(value, dict) else []
            lines = [(film, TableLine(path.name, film, cells)) for film in bearers_of(path, folder, names, stems)]
        said = {film: against_training(fields_of(line.cells, line.where)) for film, line in lines}
    except AiprodError:
        return False
    for film, why in said.items():
        if why is not None:
            said_no = why.partition("; if it is")[0].removeprefix("the file itself ")
            copied = f"{quoted(path.name)}, which is named like a copy, says of it: {said_no}"
            sidecars.problems.setdefault(film, f"sidecar: {copied}; remove it, or write the same into the original")
    return True


def enter_marks(folder: Path, files: Iterable[Path], sidecars: Sidecars) -> None:
    """Enter what names of hidden files say against training, as ``.noai`` does: there is nothing else in them."""
    for holding in sorted({path.parent for path in files}):
        try:
            hidden = [name for name in os.listdir(holding) if name.startswith(".") and _MARK.search(name)]
        except OSError:
            continue
        for name in sorted(hidden):
            if (words := objection(re.sub(r"[_.+-]+", " ", name).strip())) is not None:
                place = place_of(holding / name, folder)
                said = f"sidecar: the name of {quoted(name)} says {words}: {OF_WHICH}"
                sidecars.folder_problems.setdefault(place, said)


def said_by_reuse(path: Path, own: list[str], sidecars: Sidecars) -> dict[str, SidecarRecord]:
    """The licence in a text that is named like a film with ``.license`` behind it; what else it says may be no."""
    try:
        content = content_of(path, None, table=False)
        stated = _SPDX_TAG.findall(text_of(path.name, content))
        said_no = (
            against_in(path.name, decoded(content) or "")
            if stated
            else f"{path.name} states no `SPDX-License-Identifier`"
        )
        if said_no is not None:
            raise AiprodError(said_no)
        words = " AND ".join(
            f"({licence.strip()})" if " " in licence.strip() else licence.strip() for licence in stated
        )
        return dict.fromkeys(own, validate(SidecarRecord, fields_of([("license", words)], path.name), path.name))
    except AiprodError as error:
        sidecars.problems.update(dict.fromkeys(own, f"sidecar: {error.what}"))
        return {}


def _said_of_folder(path: Path, folder: Path, sidecars: Sidecars) -> None:
    """Enter what a licence file says of all films in its folder."""
    try:
        with open_file(path) as file:
            content = file.read(MAX_TEXT + 1)
        if (said_no := against_in(path.name, decoded(content) or "")) is not None:
            raise AiprodError(said_no)
        record = validate(SidecarRecord, statement_from_licence_file(path.name, content), path.name)
        sidecars.folders.setdefault(place_of(path, folder), []).append(record)
        return
    except OSError as error:
        problem = f"{quoted(path.name)} cannot be read ({error.strerror})"
    except AiprodError as error:
        problem = error.what
    sidecars.folder_problems.setdefault(place_of(path, folder), f"sidecar: {problem}; {OF_WHICH}")
    sidecars.unread[key_of(path, folder)] = problem


def place_of(path: Path, folder: Path) -> str:
    """The folder of a file, as :class:`Sidecars` names folders."""
    return str(PurePosixPath(film_name(key_of(path, folder))).parent)


def _against(path: Path) -> str | None:
    """What a text beside films says against training, in words for a person; None where it says nothing."""
    original = PurePosixPath(original_name(path.name))
    try:
        if is_media(path):
            return None
        named = original.stem if named_like_a_document(original) else original.name
        words = objection(re.sub(r"[_.+-]+", " ", named))  # an empty file may be called DO_NOT_TRAIN
        if words is not None:
            return f"the name of {quoted(path.name)} says {words}: {OF_WHICH}"
        if _PICTURE.fullmatch(path.suffix):
            return None
        with open_file(path) as file:
            content = file.read(MAX_BYTES if original.suffix.lower() in ENDINGS else MAX_TEXT)
        if original.suffix.lower() in ENDINGS:
            written = office_words(content)
            words = None if written is None else against_in(path.name, written)
        else:
            words = against(path.name, content)
    except OSError:
        return None
    return None if words is None else f"{words}, and is no table: {OF_WHICH}"


def _is_media(path: Path) -> bool:
    try:
        return is_media(path)
    except OSError:
        return False


def content_of(path: Path, problem: str | None, table: bool) -> bytes:
    """A document's bytes.

    Raises:
        AiprodError: it cannot be read, or is too large.
    """
    what = f"the table {path.name}" if table else path.name
    hint = "save it as CSV in UTF-8, or remove it" if table else "fix or delete it"
    if problem := problem or problem_of(path):
        raise AiprodError(f"{what}: {problem}", hint)
    try:
        with open_file(path) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise AiprodError(f"{what} cannot be read ({error.strerror})", hint) from None
    if len(content) > MAX_BYTES:
        raise AiprodError(f"{what} has more than {MAX_BYTES} bytes, which are read at most", "divide it")
    return content
