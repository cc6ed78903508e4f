"""The words in a file's metadata, whatever bears them: boxes, tags and sets that FFmpeg does not know or drops."""

from __future__ import annotations

import os
from pathlib import Path

from aiprod.media.tag_formats import PARSERS, READ_ELSEWHERE, runs_of_text
from aiprod.media.text_areas import AREAS

MAX_BYTES = 16 << 20  # of areas with words


def metadata_texts(path: Path, extension: str) -> tuple[list[tuple[str, str]], bool]:
    """Names and texts of a film's metadata, each once, and whether all of it was read (:data:`MAX_BYTES` at most are).

    Args:
        extension: of what the file is by its bytes (:class:`aiprod.media.sniffing.ContentType`).
    """
    find = AREAS.get(extension)
    if find is None:
        return [], True
    pairs: dict[tuple[str, str], None] = {}
    left = MAX_BYTES
    with open(path, "rb") as file:
        for start, end, name in find(file, os.fstat(file.fileno()).st_size):
            if end - start > left:
                return list(pairs), False
            left -= end - start
            file.seek(start)
            data = file.read(end - start)
            if name in PARSERS:
                pairs |= dict.fromkeys(PARSERS[name](data))
            elif not any(mark in data for mark in READ_ELSEWHERE):
                pairs |= dict.fromkeys((name, text) for text in runs_of_text(data))
    return list(pairs), True
