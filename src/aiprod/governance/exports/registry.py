"""Every document that ``aiprod export`` writes, what writes it and what checks it: the one list of them.

Functions are named and not imported, since the command line reads this list at every start. To add a document, write
its two functions and name them here; the command, ``aiprod export all`` and ``--check`` follow.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from aiprod.governance.dataset.records import Records

_HERE = "aiprod.governance.exports"


@dataclass(frozen=True)
class ExportedDocument:
    """A document.

    Attributes:
        file: its name in the folder of ``aiprod export all``.
        check: ``module:function`` (text, records, folder that it lies in) → what is wrong with it, asked of the
            standard's own validator.
        write: ``module:function`` (records, way from the document's folder to the workspace) → text. None: it consists
            of counted figures (``aiprod.governance.exports.counted``), has a form for people and one for programs, and
            is part of the dossier.
        credits: whether it names holders of rights, whose names are encrypted in the manifests.
    """

    file: str
    check: str
    write: str | None = None
    credits: bool = False


DOCUMENTS = {
    "croissant": ExportedDocument("croissant.json", f"{_HERE}.checks:croissant", f"{_HERE}.writers:croissant"),
    "eu-ai-act": ExportedDocument("eu-ai-act.json", f"{_HERE}.checks:counted"),
    "provenance": ExportedDocument("provenance.json", f"{_HERE}.checks:counted"),
    "ropa": ExportedDocument("ropa.json", f"{_HERE}.checks:counted"),
    "model-card": ExportedDocument("MODEL_CARD.md", f"{_HERE}.checks:model_card", f"{_HERE}.writers:model_card", True),
    "attributions": ExportedDocument(
        "ATTRIBUTIONS.txt", f"{_HERE}.checks:attributions", f"{_HERE}.writers:attributions", True
    ),
    "cyclonedx": ExportedDocument("bom.cdx.json", f"{_HERE}.checks:cyclonedx", f"{_HERE}.cyclonedx_bom:cyclonedx"),
    "spdx": ExportedDocument("bom.spdx.json", f"{_HERE}.checks:spdx", f"{_HERE}.spdx_bom:spdx"),
    "slsa": ExportedDocument("provenance.intoto.json", f"{_HERE}.checks:slsa", f"{_HERE}.slsa:slsa"),
    "openlineage": ExportedDocument("openlineage.jsonl", f"{_HERE}.checks:openlineage", f"{_HERE}.writers:openlineage"),
}


def text_of(name: str, facts: Records, top: str = "", *, markdown: bool = False) -> str:
    """The text of a document.

    Args:
        top: way from the document's folder to the top of the workspace.
        markdown: of documents of counted figures, the form for people.

    Raises:
        AiprodError: a manifest, datasets/organisation.yaml or dvc.lock is damaged or missing, or a library is.
    """
    from aiprod.governance.exports.counted import written

    kind = DOCUMENTS[name]
    if kind.write is not None:
        return str(_function(kind.write)(facts, top))
    writer = written(facts)[name]
    return writer.markdown() if markdown else json.dumps(writer.document(), indent=1, ensure_ascii=False) + "\n"


def problems_of(name: str, text: str, facts: Records, folder: Path) -> list[str]:
    """What the standard's validator says against a document.

    Args:
        folder: where it lies, from where its addresses count.

    Raises:
        AiprodError: the validator is not installed.
    """
    return [str(problem) for problem in _function(DOCUMENTS[name].check)(text, facts, folder)]


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function
