"""A table with a line for each film, to be filled in."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from aiprod.base.names import film_name
from aiprod.data.inspection.inspect_source import Inspection
from aiprod.data.sources.remote import is_remote
from aiprod.errors import AiprodError
from aiprod.media.discovery import is_utf8

NAME = "SOURCES.csv"
COLUMNS = ("file", "licence", "attribution", "title", "labels", "personal_data_basis", "consent_ref")


def unnamed(inspection: Inspection) -> list[str]:
    """The films that no table names, and that one can name: not those in Parquet files, nor names that are no text."""
    named = {film for table in inspection.tables for film in table.films}
    return [
        film.key
        for film in inspection.films
        if film.nameable and is_utf8(film.key) and not film.key.startswith("./") and film_name(film.key) not in named
    ]


def write_template(inspection: Inspection) -> tuple[Path, int]:
    """Write the table beside the films, for those that no table names; for films on a server, where one works.

    Returns:
        The file, and how many films it has.

    Raises:
        AiprodError: there is one already, there is nothing to write, or it cannot be written.
    """
    place, films = inspection.plan.place, unnamed(inspection)
    path = (Path.cwd() if is_remote(place) else Path(place)) / NAME
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([film, *[""] * (len(COLUMNS) - 1)] for film in films)
    try:
        if path.exists():
            raise FileExistsError
        if not films:
            raise AiprodError("every film here is listed in a table already", "fill in what is missing in the tables")
        with open(path, "x", encoding="utf-8") as file:
            file.write(text.getvalue())
    except FileExistsError:
        raise AiprodError(f"{path} exists already, and is not written over", "fill it in, or move it away") from None
    except OSError as error:
        raise AiprodError(
            f"{path} cannot be written ({error.strerror})", "copy the films where you may write"
        ) from None
    return path, len(films)
