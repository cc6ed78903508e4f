"""Datasets as Hugging Face lays them out: a ``VideoFolder``, or Parquet files that hold films as bytes.

Films are files in (sub)folders with ``metadata.csv``, ``metadata.jsonl`` or ``metadata.parquet`` beside them, whose
column ``file_name`` names each; or values of a Parquet column of ``{bytes, path}``, offered as ``FILE.parquet/PATH``.
The other columns of a row say what they say in any table, and ``license:`` at the head of the dataset card
(``README.md``) speaks of every film; the narrower word rules. Split folders are folders like any other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from aiprod.base.files import digest_of
from aiprod.base.names import caseless_name, film_name, leaves_its_folder
from aiprod.base.params import validate
from aiprod.base.structured import parse_yaml
from aiprod.data.sources.base import Listing, Offer
from aiprod.data.sources.folder import FolderSource, unreadable
from aiprod.data.sources.remote import base_of, described
from aiprod.data.sources.scan_memory import FileDigests
from aiprod.data.sources.sidecars import MAX_BYTES, merge_records
from aiprod.errors import AiprodError
from aiprod.media.errors import MediaError
from aiprod.printable import escape_controls
from aiprod.rights.columns import FILE, field_of
from aiprod.rights.declarations import SidecarRecord
from aiprod.rights.licence_words import quoted
from aiprod.rights.statements import fields_of

_PARQUET = ".parquet"
_CARDS = ("README.md", "readme.md")
_FILMS = ("video", "film", "clip", "movie", "mp4")  # names of columns with bytes that are films
_ROWS = 64  # read at a time


@dataclass(frozen=True)
class _Row:
    """One row of a Parquet file: its place, the film it names, whether it holds that film, and what it says."""

    span: tuple[int, int]
    film: str
    embedded: bool
    cells: dict[str, Any]


@dataclass(frozen=True)
class HuggingFaceSource(FolderSource):
    """A dataset that was downloaded from the Hugging Face Hub, or that is laid out like one."""

    adapter = "huggingface"
    summary = "Hugging Face video datasets: a VideoFolder with metadata, or Parquet files with embedded films"

    def list(self, remembered: FileDigests) -> Listing:
        listing = super().list(remembered)
        tables = [offer for offer in listing.offers if offer.key.lower().endswith(_PARQUET)]
        films = [offer for offer in listing.offers if not offer.key.lower().endswith(_PARQUET)]
        statements: dict[str, list[SidecarRecord]] = {}
        embedded: dict[str, Offer] = {}
        for table in tables:
            if table.problem is not None:
                raise AiprodError(f"{table.key}: {table.problem}", "fix or delete it: what it says of films may count")
            for row in self._rows(table):
                where = f"{table.key}, row {row.span[1] + 1} of group {row.span[0] + 1}"
                folder = film_name(table.key) if row.embedded else film_name(f"{table.key}/..")
                name = film_name(f"{folder}/{row.film}" if folder else row.film)
                if not row.embedded and leaves_its_folder(name):
                    listing.strays.append(where)
                    continue
                record = validate(SidecarRecord, fields_of(row.cells.items(), where), where)
                statements.setdefault(name, []).append(record)
                if row.embedded:
                    embedded[name] = self._embedded(table, name, row, twice=name in embedded)
        films += embedded.values()
        listing.absent = [name for name in listing.absent if not name.lower().endswith(_PARQUET)]
        listing.absent += _absent(films, statements)
        card = self._card()
        listing.offers = [_with(offer, statements.get(film_name(offer.key), []), card) for offer in films]
        return listing

    def fetch(self, offer: Offer, part: Path, target: Path) -> dict[str, Any] | None:
        if offer.span is None:
            return super().fetch(offer, part, target)
        key = offer.key[: offer.key.lower().index(f"{_PARQUET}/") + len(_PARQUET)]
        name = offer.key[len(key) + 1 :]
        (group, number), film = offer.span, None
        part.parent.mkdir(parents=True, exist_ok=True)
        with unreadable(key):
            if self.remote:
                digest = described(self.place, key).digest(base_of(self.place))
                if _digest(digest, name, offer.span) != offer.sha256:
                    raise MediaError("unreadable", f"{key} changed since it was listed", "run again")
            with self.open(key, whole=True) as file, _in_words(key):
                column, inner = _film_column(_opened(file).schema_arrow, key)
                wanted = column if inner is None else f"{column}.{inner}"
                batches = _opened(file).iter_batches(batch_size=1, row_groups=[group], columns=[wanted])
                for at, batch in enumerate(batches):
                    if at == number:
                        value = batch.column(0)[0]
                        film = (value if inner is None else value[inner]).as_buffer()
                        break
            if film is None:
                raise MediaError("unreadable", f"{key} has no such row any more", "run again")
            with open(part, "wb") as out:
                out.write(film)
        os.replace(part, target)
        return None

    def path_of(self, offer: Offer) -> Path | None:
        return None if offer.span is not None else super().path_of(offer)

    def has_read(self, offer: Offer) -> bool:
        return offer.span is None and super().has_read(offer)

    def _embedded(self, table: Offer, name: str, row: _Row, *, twice: bool) -> Offer:
        """The offer of a film that a row holds; its bytes are not read, so its digest is made of the file's."""
        inside = name.removeprefix(f"{film_name(table.key)}/")
        problem = f"unreadable: {quoted(inside)} is there more than once" if twice else None
        return Offer(
            source_id=self.source_id,
            key=f"{table.key}/{inside}",
            size=0,
            span=row.span,
            problem=problem,
            sidecar=table.sidecar,
            sha256=_digest(table.sha256, inside, row.span),
        )

    def _rows(self, table: Offer) -> Iterator[_Row]:
        """The rows of one file, without the bytes of films.

        Raises:
            AiprodError: it cannot be read, or it has no films and names none.
        """
        with self.open(table.key) as file, _in_words(table.key):
            parquet = _opened(file)
            schema = parquet.schema_arrow
            column, inner = _film_column(schema, table.key)
            names = [name for name in schema.names if name != column and field_of(name, table.key) == FILE]
            if column is None and not names:
                what = f"{table.key} has no column of films and no `file_name`"
                raise AiprodError(what, "name the film of each row in `file_name`, or move the file elsewhere")
            rest = [name for name in schema.names if name != column and not _is_binary(schema.field(name).type)]
            has_path = column is not None and inner is not None and "path" in _children(schema, column)
            path = f"{column}.path" if has_path else None
            for group in range(parquet.num_row_groups):
                embedded = [] if column is None else _embedded(parquet, group, column, inner)
                columns = [*rest, *([path] if path else [])]
                at = 0
                for batch in parquet.iter_batches(batch_size=_ROWS, row_groups=[group], columns=columns):
                    for cells in batch.to_pylist():
                        stated = (cells.pop(column, None) or {}).get("path") if path else None
                        named = next((str(cells[name]) for name in names if cells.get(name)), None)
                        own = {key: value for key, value in cells.items() if key not in names}
                        film = str(stated or named or "")
                        if column is not None and embedded[at]:
                            yield _Row((group, at), _safe(film, group, at, PurePosixPath(table.key).name), True, own)
                        elif film:
                            yield _Row((group, at), film, False, own)
                        at += 1

    def _card(self) -> SidecarRecord | None:
        """What the head of the dataset card says of every film.

        Raises:
            AiprodError: there is a card, and its head cannot be read.
        """
        for key in _CARDS:
            try:
                with self.open(key) as file:
                    text = file.read(MAX_BYTES).decode("utf-8-sig", "replace")
            except FileNotFoundError:
                continue
            except AiprodError as error:
                if "does not exist" in error.what:
                    continue
                raise
            except OSError as error:
                raise AiprodError(f"{key} cannot be read ({error.strerror})", "fix its permissions") from None
            return card_record(text, key)
        return None


def _absent(films: Iterable[Offer], listed: Iterable[str]) -> list[str]:
    """Films that a Parquet file names and that are not there.

    Raises:
        AiprodError: one of them is there under a name that differs in case alone.
    """
    there = {film_name(offer.key) for offer in films}
    caseless = {caseless_name(name) for name in there}
    absent = sorted(set(listed) - there)
    if odd := next((name for name in absent if caseless_name(name) in caseless), None):
        raise AiprodError(f"a table names {quoted(odd)}, and the film's name differs in case", "rename one of them")
    return absent


def card_record(text: str, where: str) -> SidecarRecord | None:
    """What the YAML at the head of a dataset card says of rights; None if it says nothing.

    Raises:
        AiprodError: it is not closed, is no YAML, or is no mapping.
    """
    lines: list[str] = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        return None
    end = next((n for n, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        raise AiprodError(f"{where}: its head has no end (`---`)", "close it: what it says of licences counts")
    head = parse_yaml("\n".join(lines[1:end]).encode(), where)
    if head is None:
        return None
    if not isinstance(head, dict):
        raise AiprodError(f"{where}: its head is not a mapping", "write `license: cc-by-4.0`")
    stated = head.get("license")
    words = [str(word) for word in (stated if isinstance(stated, list) else [stated]) if word not in (None, "")]
    if head.get("license_name"):
        words = [word for word in words if word.strip().lower() != "other"] + [str(head["license_name"])]
    pairs: list[tuple[str, Any]] = [("license", words)] if words else []
    pairs += [("license_evidence", str(head["license_link"]))] if head.get("license_link") else []
    gates = [str(head[name]) for name in ("license_details", "extra_gated_prompt") if head.get(name)]
    pairs += [("description", gate) for gate in gates]
    statement = fields_of(pairs, where)
    statement.pop("description", None)  # what speaks against training in it is among the objections
    return validate(SidecarRecord, statement, where) if statement else None


def _with(offer: Offer, statements: Any, card: SidecarRecord | None) -> Offer:
    records = [record for record in (offer.sidecar, *statements, card) if record is not None]
    return offer.model_copy(update={"sidecar": merge_records(records)}) if records else offer


def _digest(of_file: str, name: str, span: tuple[int, int]) -> str:
    return digest_of(["embedded", of_file, name, *span])


def _safe(film: str, group: int, row: int, table: str) -> str:
    """The name of an embedded film in its file: the last part of its path, or its place where that is none."""
    name = film_name(film).rpartition("/")[2]
    return escape_controls(name) if name not in ("", "..") else f"{group:04d}-{row:06d}"


@contextmanager
def _in_words(key: str) -> Iterator[None]:
    """What Arrow raises about a damaged file, as one line."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OverflowError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.strerror is not None:
            raise
        words = " ".join(str(error).split())[:160]
        raise AiprodError(f"{key} cannot be read ({words})", "fix or delete it") from None


def _opened(file: Any) -> Any:
    """A Parquet file that is read page by page, so that a group of films need not fit into memory."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or (pa.types.is_struct(kind) and any(_is_binary(field.type) for field in kind))
    )


def _children(schema: Any, column: str) -> list[str]:
    return [field.name for field in schema.field(column).type]


def _film_column(schema: Any, where: str) -> tuple[str, str] | tuple[str, None] | tuple[None, None]:
    """The column that holds films, and the field in it that holds the bytes, if it is a struct.

    Raises:
        AiprodError: several could be meant.
    """
    import pyarrow as pa

    binary = {name: schema.field(name).type for name in schema.names if _is_binary(schema.field(name).type)}
    structs = [n for n, kind in binary.items() if pa.types.is_struct(kind) and "bytes" in _children(schema, n)]
    named = [n for n in binary if n.lower() in _FILMS and (n in structs or not pa.types.is_struct(binary[n]))]
    candidates = named or [n for n in structs if "image" not in n.lower() and "audio" not in n.lower()]
    if len(candidates) > 1:
        columns = " and ".join(quoted(name) for name in candidates[:2])
        raise AiprodError(f"{where}: {columns} may both hold films", "call the right one `video`, and no other so")
    if not candidates:
        return None, None
    return (candidates[0], "bytes") if candidates[0] in structs else (candidates[0], None)


def _embedded(parquet: Any, group: int, column: str, inner: str | None) -> list[bool]:
    """Of each row, whether it holds a film's bytes; they are read only if the file's statistics do not say."""
    wanted = column if inner is None else f"{column}.{inner}"
    facts = parquet.metadata.row_group(group)
    chunks = (facts.column(n) for n in range(facts.num_columns))
    chunk = next((chunk for chunk in chunks if chunk.path_in_schema == wanted), None)
    statistics = chunk.statistics if chunk is not None else None
    if statistics is not None and statistics.has_null_count and statistics.null_count in (0, facts.num_rows):
        return [statistics.null_count == 0] * facts.num_rows
    batches = parquet.iter_batches(batch_size=1, row_groups=[group], columns=[wanted])
    values = (batch.column(0)[0] for batch in batches)
    return [(value if inner is None or not value.is_valid else value[inner]).is_valid for value in values]
