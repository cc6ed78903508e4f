"""The definition of the canonical row in the documentation, run as a stranger would."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from aiprod.base.canonical_json import canonical_json
from aiprod.storage.manifest.manifest import read_head
from tests.qc.test_deciding import measured, write

PAGE = Path(__file__).parents[2] / "docs/reference/files.md"


def blocks(language: str) -> list[str]:
    """The blocks of code on the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_code_on_the_page_gives_the_root_of_a_manifest(tmp_path: Path) -> None:
    write(tmp_path, measured(21))
    [code] = blocks("python")
    page: dict[str, Any] = {"__name__": "page"}
    exec(code, page)
    assert page["root_of_file"](tmp_path / "manifest.parquet") == read_head(tmp_path).merkle_root


def test_the_test_vector_holds() -> None:
    given, canonical = blocks("json")
    data = canonical.strip().encode()
    assert canonical_json(json.loads(given)) == data
    assert hashlib.sha256(b"\0" + data).hexdigest() in PAGE.read_text(encoding="utf-8")
