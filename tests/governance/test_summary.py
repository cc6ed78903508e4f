"""The end of a run: what it says adds up and can be looked up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

from aiprod.base import timing
from aiprod.base.files import write_json
from aiprod.cli import app
from aiprod.commands import manifest_counts
from aiprod.commands.run_results import SummaryTable, tables
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.governance.dataset.records import VERDICTS, Records
from aiprod.governance.dataset.statistics import totals
from aiprod.governance.exports.model_card import model_card
from aiprod.qc.decide.reviews import HEADER, REVIEWS
from aiprod.qc.rows import VerdictRow
from aiprod.storage.manifest.manifest import HEAD, read_rows
from tests.projects import commit_all


def said(root: Path, title: str) -> SummaryTable:
    return next(table for table in tables(root) if table.title.startswith(title))


def terms(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def test_films_and_clips_add_up_and_are_those_of_the_manifests(finished: Path) -> None:
    films, clips, *_ = said(finished, "Films and clips").rows
    for (whole, _, parts), rows in ((films, "ingest/films"), (clips, "ingest/clips")):
        model = FilmRow if rows.endswith("films") else ClipRow
        assert terms(whole)[0] == sum(terms(parts)) == len(read_rows(finished / "datasets/v1" / rows, model))


def test_what_was_read_is_kept_until_a_manifest_or_a_review_changes(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finished / REVIEWS).parent.mkdir(parents=True)
    (finished / REVIEWS).write_bytes(HEADER)
    reads: list[Path] = []
    monkeypatch.setattr(manifest_counts, "Records", lambda root, **more: (reads.append(root), Records(root, **more))[1])
    first = said(finished, "Films and clips"), said(finished, "Left to a person")
    once = len(reads)
    assert (said(finished, "Films and clips"), said(finished, "Left to a person")) == first
    assert once and len(reads) == once
    (finished / VERDICTS / HEAD).write_text("{}")
    assert said(finished, "Films and clips") != first[0] and len(reads) > once


class Few:
    """Records with any films, clips and verdicts."""

    def __init__(self, films: list[tuple[str, bool]], clips: list[str | None], without_clip: list[str]) -> None:
        self.films = {str(n): _Film(status, "other" if dup else None) for n, (status, dup) in enumerate(films)}
        self.clips = {f"c{n}": SimpleNamespace(split="heldout" if n % 3 else "train") for n in range(len(clips))}
        every = {**{f"c{n}": v for n, v in enumerate(clips) if v}, **{f"f{n}": v for n, v in enumerate(without_clip)}}
        self.verdicts = {key: VerdictRow.model_construct(status=status) for key, status in every.items()}
        self.exposure: dict[str, object] = {}
        self.samples: list[object] = []


class _Film:
    def __init__(self, status: str, duplicate_of: str | None) -> None:
        self.status, self.duplicate_of = status, duplicate_of


VERDICT = st.sampled_from(["APPROVED", "REVIEW_NEEDED", "REJECTED"])
STATUS = st.sampled_from(["ok", "refused", "error", "erased"])


@given(st.lists(st.tuples(STATUS, st.booleans())), st.lists(VERDICT | st.none()), st.lists(VERDICT))
def test_totals_of_any_manifests_add_up(
    films: list[tuple[str, bool]], clips: list[str | None], without_clip: list[str]
) -> None:
    """A film that yielded no clip has a verdict and is no clip: "of 88 clips 66 + 15 + 11" was 92."""
    total = totals(Few(films, clips, without_clip))  # type: ignore[arg-type]
    assert total.films == total.ingested + total.refused + total.duplicates + total.failed + total.erased
    assert total.clips == sum(total.verdicts.values()) + total.unjudged == len(clips)
    assert total.heldout == sum(verdict == "APPROVED" for n, verdict in enumerate(clips) if n % 3)


def test_the_figures_of_the_model_card_add_up(finished: Path) -> None:
    line = next(line for line in model_card(Records(finished)).splitlines() if "were offered:" in line)
    films, clips, *_ = re.split(r"\. (?=Of |\d)", line)
    assert terms(films)[0] == sum(terms(films)[1:])
    assert terms(clips)[0] == sum(terms(clips)[1:])


def test_a_stage_that_did_not_run_has_no_time_of_this_run(finished: Path) -> None:
    with timing.timed("ingest"):
        pass
    write_json(
        timing.folder() / "ingest.json", {**json.loads((timing.folder() / "ingest.json").read_text()), "seconds": 75}
    )
    timing.run_begins()
    with timing.timed("sample"):
        pass
    YAML().dump({"stages": {"ingest": {"cmd": "a"}, "sample": {"cmd": "b"}}}, finished / "dvc.yaml")
    rows = {row[0]: row[1:] for row in said(finished, "Time").rows}
    assert rows["ingest"] == ("-", "nothing to do (took 1 min 15 s when it ran)")
    assert rows["sample"][0].endswith(" s")


@pytest.mark.parametrize(
    ("stage", "word"), [("sample", "normal: sums differ"), ("ingest", "other films, code or parameters")]
)
def test_what_differs_from_the_recorded_lock_is_named_with_the_reason(finished: Path, stage: str, word: str) -> None:
    stages = {name: {"cmd": "x", "outs": [{"path": name, "md5": "0" * 32}]} for name in ("ingest", "sample")}
    lock = {"schema": "2.0", "stages": stages}
    YAML().dump(lock, finished / "dvc.lock")
    commit_all("dvc.lock", cwd=finished)
    assert said(finished, "Compared").note == "no output differs"
    stages[stage]["outs"] = [{"path": stage, "md5": "1" * 32}]
    YAML().dump(lock, finished / "dvc.lock")
    (row,) = said(finished, "Compared").rows
    assert row[2] == stage and row[1].startswith(word)


def test_results_of_other_parameters_are_not_blamed_on_the_processor(finished: Path) -> None:
    stages = {
        "train_diffusion": {
            "cmd": "x",
            "params": {"params.yaml": {"lr": 1e-3}},
            "outs": [{"path": "m", "md5": "0" * 32}],
        },
        "dossier": {"cmd": "x", "outs": [{"path": "d", "md5": "0" * 32}]},
    }
    YAML().dump({"schema": "2.0", "stages": stages}, finished / "dvc.lock")
    commit_all("dvc.lock", cwd=finished)
    stages["train_diffusion"] |= {"params": {"params.yaml": {"lr": 1e-4}}, "outs": [{"path": "m", "md5": "1" * 32}]}
    stages["dossier"] |= {"outs": [{"path": "d", "md5": "1" * 32}]}
    YAML().dump({"schema": "2.0", "stages": stages}, finished / "dvc.lock")
    (row,) = said(finished, "Compared").rows
    assert row[0] == "results differ" and row[2] == "train_diffusion, dossier"
    assert row[1].startswith("other parameters or code")


def test_better_than_chance_is_what_the_report_says(finished: Path) -> None:
    write_json(finished / "reports/video_vae/metrics.json", {"psnr_db": 20.0, "baseline_psnr_db": 21.0})
    rate = {"n": 9, "rate": 0.5, "chance": 0.25}
    found = {"shape": {**rate, "beats_chance": False}, "colour": {**rate, "beats_chance": True}}
    write_json(finished / "reports/sample/metrics.json", {"adherence": found})
    rows = {row[0].split(": ")[-1]: row[3] for row in said(finished, "Quality").rows}
    assert rows["PSNR"] == "no better than chance"
    assert (rows["shape (9)"], rows["colour (9)"]) == ("no better than chance", "better")


def test_the_command_prints_what_a_screen_shows_and_the_same_as_json(finished: Path) -> None:
    shown = CliRunner().invoke(app, ["summary"])
    assert shown.exit_code == 0 and "Films and clips" in shown.output and "Left to a person" in shown.output
    parsed = json.loads(CliRunner().invoke(app, ["summary", "--json"]).output)
    assert all(cell in shown.output for table in parsed for row in table["rows"] for cell in row)
