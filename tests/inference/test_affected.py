"""Models that saw a film which may not be used any more are refused, however they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiprod.base.files import write_json
from aiprod.data.rows import FilmRow
from aiprod.errors import AiprodError
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.revoked_models import FILMS, LEDGERS, refuse_affected
from aiprod.storage.crypto import tombstones
from aiprod.storage.manifest.manifest import write_manifest
from tests.consent_record import GIVEN
from tests.projects import enter_project

FILM = "fabcdefghijklmnop"
CLIP = "cabcdefghijklmnop-000"


def stored(root: Path, **changes: Any) -> None:
    """The film's row."""
    facts = {"status": "ok", "effective_right": "train", "n_clips": 1, "consent_ref": "consent/2026-014", **changes}
    row = FilmRow(film_id=FILM, source_id="inbox", key="a.mp4", **facts)
    about: dict[str, Any] = {"stage": "ingest", "params_digest": "", "inputs": {}}
    write_manifest(root / FILMS, [row], row_model=FilmRow, key=lambda r: r.film_id, **about)


def erased(root: Path) -> None:
    tombstones.add([tombstones.Tombstone(film_id=FILM, source_id="inbox", clips=1, content="c")], root)


def withdrawn(root: Path) -> None:
    ended = {**GIVEN["events"][0], "event_time": "2026-03-01T10:00:00Z", "event_state": "withdrawn"}
    consented(root, [*GIVEN["events"], ended])


def consented(root: Path, events: list[dict[str, Any]]) -> None:
    (root / "datasets/consent").mkdir(parents=True, exist_ok=True)
    YAML().dump({**GIVEN, "events": events}, root / "datasets/consent/2026-014.yaml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose diffusion model was shown one clip, with consent."""
    enter_project(tmp_path, monkeypatch)
    stored(tmp_path)
    consented(tmp_path, GIVEN["events"])
    saw(tmp_path, "diffusion")
    return tmp_path


def saw(root: Path, model: str, times: int = 2) -> None:
    write_json(root / "models" / model / LEDGERS[model], {"clips": [{"clip_id": CLIP, "times": times}]})


ENDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "erased": (erased, "erased"),
    "consent withdrawn": (withdrawn, "consent withdrawn"),
    "right ended": (lambda root: stored(root, effective_right="deny"), "rights do not permit"),
}


@pytest.mark.parametrize("model", list(LEDGERS))
@pytest.mark.parametrize("how", list(ENDS))
def test_a_model_that_saw_it_is_refused_and_one_that_did_not_is_not(project: Path, how: str, model: str) -> None:
    refuse_affected(project / "models")
    end, says = ENDS[how]
    end(project)
    (project / "models/diffusion/exposure.json").unlink()
    refuse_affected(project / "models")
    saw(project, model, times=0)
    refuse_affected(project / "models")
    saw(project, model)
    with pytest.raises(AiprodError, match=rf"{model} saw 1 film .*{says}.*--affected"):
        refuse_affected(project / "models")


def test_loading_refuses_before_anything_is_read_unless_it_is_asked_for(project: Path) -> None:
    erased(project)
    with pytest.raises(AiprodError, match="saw 1 film"):
        AVPipeline.from_pretrained(project / "models")
    with pytest.raises(AiprodError, match=r"training\.json"):  # it goes on, and there is no model here
        AVPipeline.from_pretrained(project / "models", affected=True)


def test_outside_of_a_project_nothing_is_refused(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    erased(project)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    refuse_affected(project / "models")
