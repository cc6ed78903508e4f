"""Bundled networks that were used stand in the documents, with their digests and the texts of their licences."""

from __future__ import annotations

from html import unescape
from importlib import metadata
from pathlib import Path

import pytest

from aiprod.base.files import digest_folder, read_json
from aiprod.governance.dataset.records import MEASURES, Records
from aiprod.governance.dossier.dossier import DossierParams, build_dossier
from aiprod.governance.exports.model_card import model_card
from aiprod.qc.bundled.catalogue import BUNDLED, USES, missing
from aiprod.qc.bundled.usage import PLACE, record_used

NAMES = {
    "text": "text",
    "faces": "faces",
    "persons": "persons",
    "speech": "voices",
    "nsfw": "nsfw",
    "lips": "lip_sync",
    "shots": "shots",
}


def measured(*uses: str, status: str = "ok") -> dict[str, dict[str, str]]:
    """What a clip's row says of the networks that looked at it."""
    return {NAMES[use]: {"status": status, "version": f"1-{BUNDLED[use].identity()}"} for use in uses}  # type: ignore[index]


def documents(root: Path) -> tuple[str, str]:
    build_dossier(root, root / "reports/dossier", DossierParams())
    return model_card(Records(root)), (root / "reports/dossier/index.html").read_text()


def test_each_used_network_stands_there_with_digests_and_licence(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [use for use in USES if missing(use) is None]
    without = documents(finished)
    record_used(finished / MEASURES, [measured(*here), measured(*here[:1]), {}, measured(*here, status="unmeasurable")])
    assert [n["clips"] for n in read_json(finished / MEASURES / PLACE)["networks"]] == [2, *[1] * (len(here) - 1)]
    texts = {use: BUNDLED[use].licence_text() for use in here}
    monkeypatch.setattr(metadata, "distribution", None)  # documents are written where nothing of it is installed
    card, page = documents(finished)
    for use in here:
        assert BUNDLED[use].title in card and BUNDLED[use].title in page
        for digest in BUNDLED[use].files.values():
            assert digest in card and digest in page and digest not in "".join(without)
        lines = [line.strip() for line in texts[use].splitlines() if line.strip()]
        assert lines and all(line in card for line in lines)
        assert all(line in unescape(page) for line in lines)
    assert (finished / "reports/dossier/MODEL_CARD.md").read_text() == card


def test_what_gave_no_figures_is_not_named(finished: Path) -> None:
    before = documents(finished)
    other = {"faces": {"status": "ok", "version": "3"}, "nsfw": {"status": "ok", "version": "1-0123456789abcdef"}}
    record_used(finished / MEASURES, [other, measured("speech", status="not_evaluated")])
    assert not (finished / MEASURES / PLACE).exists()
    assert documents(finished) == before and "networks" not in before[0].casefold()


def test_a_network_that_is_used_no_more_leaves_the_record(finished: Path) -> None:
    place = finished / MEASURES
    record_used(place, [])
    before = digest_folder(place)
    record_used(place, [measured("faces")])
    assert (place / PLACE).is_file() and digest_folder(place) != before
    record_used(place, [{}])
    assert digest_folder(place) == before
