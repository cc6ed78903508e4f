"""Dossier, bills, card and summary: each figure that a reader sees is pandas' count of the Parquet files."""

from __future__ import annotations

import html
import json
import random
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aiprod.base.files import read_json
from aiprod.commands.manifest_counts import counts, human_tasks
from aiprod.governance.dataset.records import Records
from aiprod.governance.dossier.dossier import DossierParams, build_dossier
from aiprod.governance.exports.document import plain_text
from aiprod.governance.exports.registry import text_of
from aiprod.qc.decide.reviews import HEADER, REVIEWS
from tests.governance.recount import ROOT, frames, independently, scatter
from tests.governance.test_documents import check_every_figure

ANY_ROWS = settings(  # a seed says everything about its manifests, and a smaller one says nothing more simply
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VERDICTS = ("APPROVED", "REVIEW_NEEDED", "REJECTED")
BEST_FIRST = ["train", "train_with_obligations", "deny"]


def each_right(tables: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Films, clips and showings by right, source and licence, in the order of the page."""
    clips, rows = tables["clips"], []
    for (right, source, licence), films in tables["films"].groupby(["right", "source", "license"]):
        own = clips[clips["film_id"].isin(films["film_id"])]
        shown = own[own["shown"] > 0]["shown"]
        row = {"right": right, "source": source, "license": licence, "films": len(films), "clips": len(own)}
        rows.append({**row, "shown_clips": len(shown), "showings": int(shown.sum())})
    return sorted(rows, key=lambda r: (BEST_FIRST.index(r["right"]), r["source"], r["license"]))


def each_obligation(films: pd.DataFrame) -> list[dict[str, Any]]:
    flat = films.explode("obligations").dropna(subset="obligations")
    grouped = flat.groupby("obligations")["shown"]
    return [{"obligation": line, "films": len(own), "shown": int(own.sum())} for line, own in grouped]


def each_showing(root: Path) -> dict[str, Any]:
    ledger = pd.DataFrame(json.loads((root / "models/diffusion/exposure.json").read_text())["clips"])
    if ledger.empty:
        return {}
    times, phases = ledger["times"], Counter[str]()
    for by_phase in ledger["by_phase"]:
        phases.update(by_phase)
    spread = {"least": times.min(), "median": times.median(), "most": times.max(), "total": times.sum()}
    return {"clips": len(ledger), **spread, "by_phase": [list(pair) for pair in sorted(phases.items())]}


def statuses(films: pd.DataFrame) -> Counter[str]:
    return Counter(films["status"])


def check_summary_of_dossier(root: Path, tables: dict[str, pd.DataFrame], summary: dict[str, Any]) -> None:
    films, clips = tables["films"], tables["clips"]
    status = statuses(films)
    assert summary["films"] == len(films) and summary["clips"] == len(clips)
    kept_out = [summary[f"films_{word}"] for word in ("refused", "duplicate", "undecodable")]
    assert kept_out == [status[word] for word in ("refused", "duplicate", "error")]
    assert summary["verdicts"] == {name: int((clips["verdict"] == name).sum()) for name in VERDICTS}
    assert summary["clips_shown"] == (clips["shown"] > 0).sum() and summary["showings"] == clips["shown"].sum()
    assert summary["samples"] == len(list((root / "reports/samples").glob("*.mp4")))
    assert summary["rights"] == each_right(tables)
    assert summary["obligations"] == each_obligation(films)
    assert summary["exposure"] == each_showing(root)


def section(page: str, name: str) -> str:
    return re.split(r"<h2 id=", page.split(f'<h2 id="{name}">', 1)[1])[0]


def cells(part: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL)
    found = [re.findall(r"<td[^>]*>(.*?)</td>|<th scope=\"row\">(.*?)</th>", row, re.DOTALL) for row in rows]
    return [[words(a or b) for a, b in row] for row in found if row]


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", markup)).split())


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def check_page(root: Path, tables: dict[str, pd.DataFrame], page: str) -> None:
    films, clips = tables["films"], tables["clips"]
    status, verdict = statuses(films), Counter(clips["verdict"].dropna())
    judged = sum(verdict.values())
    heldout = int(((clips["verdict"] == "APPROVED") & (clips["split"] == "heldout")).sum())
    top = re.findall(r"<div><b>(\d+)</b><span>(.*?)</span></div>", page)
    said = {re.split(r"[:;]", label)[0]: (int(n), label) for n, label in top}
    assert said["films offered"][0] == len(films)
    assert said["films kept out"][0] == len(films) - status["ok"]
    parts = [status["refused"], status["duplicate"], status["error"]] + [status["erased"]] * (status["erased"] > 0)
    assert numbers(said["films kept out"][1]) == parts
    assert said["clips judged"][0] == judged
    assert numbers(said["clips judged"][1]) == [len(clips) - judged] * (len(clips) > judged)
    assert said["approved"][0] == verdict["APPROVED"]
    assert said["clips shown to the model"][0] == (clips["shown"] > 0).sum()
    assert numbers(said["clips shown to the model"][1]) == [heldout] * (heldout > 0)
    rights = [
        [r["right"].replace("_", " "), r["source"], r["license"]]
        + [str(r[name]) for name in ("films", "clips", "shown_clips", "showings")]
        for r in each_right(tables)
    ]
    assert cells(section(page, "rights")) == rights
    assert cells(section(page, "obligations")) == [[str(v) for v in row.values()] for row in each_obligation(films)]
    refused = cells(section(page, "refused"))
    rejected = tables["verdicts"].merge(films[["film_id", "taken"]], on="film_id")
    assert len(refused) == (~films["taken"]).sum() + ((rejected["status"] == "REJECTED") & rejected["taken"]).sum()
    quality = section(page, "quality")
    (line,) = re.findall(r"<p><span class=\"tag good\">.*?</p>", quality)
    whole = [len(clips)] + [len(clips) - judged] * (len(clips) > judged)
    assert numbers(words(line)) == [*(verdict[name] for name in VERDICTS), *whole]
    assert f"Scores of {clips['score'].notna().sum()} clips" in quality
    assert {name: int(n) for name, n in cells(quality)} == named_checks(clips)
    (flags,) = re.findall(r"Privacy flags:</strong>(.*?)A flagged", quality) or [""]
    assert dict(re.findall(r"(\w+) on (\d+) clip", flags)) == {
        name: str(n) for name, n in Counter(clips["privacy_flags"].explode().dropna()).items()
    }
    shown = each_showing(root)
    if shown:
        phases = [n for _, n in shown["by_phase"]]
        told = [shown[name] for name in ("clips", "total", "least", "median", "most")]
        assert numbers(words(section(page, "exposure")).partition("Exposure")[2]) == [*told, *phases]
    for name, rows, by_status, root_hash in cells(section(page, "roots")):
        manifest = pd.read_parquet(root / name / "manifest.parquet")
        assert int(rows) == len(manifest)
        assert dict(re.findall(r"(\w+) (\d+)", by_status)) == {
            k: str(n) for k, n in Counter(manifest["status"]).items()
        }
        assert root_hash == json.loads((root / name / "manifest.json").read_text())["merkle_root"]


def named_checks(clips: pd.DataFrame) -> dict[str, int]:
    """How many clips name each check; what the reasons of :data:`recount.REASONS` name is written down here."""
    names = {
        "aspect: 0": ["aspect"],
        "also: bla": ["black", "sharpness"],
        "score 0.7": ["score"],
        "black: 3 ": ["black"],
    }
    per_clip = [{name for line in lines for name in names[line[:9]]} for lines in clips["reasons"]]
    return dict(Counter(name for found in per_clip for name in found))


def check_card(tables: dict[str, pd.DataFrame], root: Path, card: str) -> None:
    films, clips = tables["films"], tables["clips"]
    status, verdict = statuses(films), Counter(clips["verdict"].dropna())
    (line,) = re.findall(r"^\d+ films? (?:was|were) offered:.*$", card, re.MULTILINE)
    heldout = int(((clips["verdict"] == "APPROVED") & (clips["split"] == "heldout")).sum())
    of_films = [status[name] for name in ("ok", "refused", "duplicate", "error", "erased")]
    of_clips = [*(verdict[name] for name in VERDICTS), len(clips) - sum(verdict.values())]
    shown = int((clips["shown"] > 0).sum())
    assert numbers(line) == [len(films), *of_films, len(clips), *of_clips, shown, heldout]
    table = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \| (\d+) \| (\d+) \|$", card, re.MULTILINE)
    assert table == [
        (r["source"], r["license"], r["right"].replace("_", " "), str(r["shown_clips"]), str(r["showings"]))
        for r in each_right(tables)
        if r["shown_clips"]
    ]
    told = re.findall(r"^Each clip was shown (\d+) to (\d+) times \(median ([\d.]+)\)", card, re.MULTILINE)
    spread = each_showing(root)
    assert [[float(n) for n in row] for row in told] == (
        [[spread[name] for name in ("least", "most", "median")]] if spread else []
    )


def check_bills(tables: dict[str, pd.DataFrame], root: Path) -> None:
    """The figures of CycloneDX and SPDX, each named by its query, and the shares of sources and licences."""
    facts = Records(root)
    cyclone, spdx = json.loads(text_of("cyclonedx", facts)), json.loads(text_of("spdx", facts))
    data = next(each for each in cyclone["components"] if each["bom-ref"] == "dataset")
    named = {each["name"]: each["value"] for each in data["data"][0]["contents"]["properties"]}
    packages = [each for each in spdx["@graph"] if each["type"] == "dataset_DatasetPackage"]
    package = next(each for each in packages if each["name"] == data["name"])
    assert dict(re.findall(r"^(aiprod dataset count '.*') = (.*)$", package["comment"], re.MULTILINE)) == named
    assert len(named) > 6
    for command, value in named.items():
        query = command.removeprefix("aiprod dataset count '").removesuffix("'")
        assert value == plain_text(independently(tables, query)), query
    assert package.get("dataset_datasetSize", 0) == len(tables["clips"])
    films, clips = tables["films"], tables["clips"]
    wanted = []
    for (source, licence, right), rows in films.groupby(["source", "license", "right"]):
        own = clips[clips["film_id"].isin(rows["film_id"])]
        wanted.append((source, licence, right, len(rows), len(own), int(own["admitted"].sum())))
    found = []
    for share in data["components"]:
        values = {each["name"].removeprefix("aiprod:"): each["value"] for each in share["properties"]}
        figures = (int(values[name]) for name in ("films", "clips", "clips_admitted_to_training"))
        found.append((share["name"], values["stated_licence"], values["effective_right"], *figures))
    assert sorted(found) == sorted(wanted)
    shares = [each for each in packages if each is not package]
    sizes = [(each["name"], each.get("dataset_datasetSize", 0), *numbers(each["comment"])) for each in shares]
    assert sorted(sizes) == sorted((source, own, n, admitted) for source, *_, n, own, admitted in wanted)


def check_run_summary(tables: dict[str, pd.DataFrame], root: Path) -> None:
    films, clips = tables["films"], tables["clips"]
    status, verdict = statuses(films), Counter(clips["verdict"].dropna())
    rows = counts(root)
    words_of = {"ok": "ingested", "refused": "refused by rights", "duplicate": "duplicate", "error": "undecodable"}
    parts = {label: status[name] for name, label in {**words_of, "erased": "erased"}.items()}
    assert numbers(rows[0][0]) == [len(films)]
    assert {k: int(n) for n, k in re.findall(r"(\d+) ([a-z ]+?)(?: \+|$)", rows[0][2])} == {
        label: n for label, n in parts.items() if n or label == "ingested"
    }
    unjudged = len(clips) - sum(verdict.values())
    assert numbers(rows[1][0]) == [len(clips)]
    assert numbers(rows[1][2]) == [*(verdict[name] for name in VERDICTS), *[unjudged] * (unjudged > 0)]
    shown = clips[clips["shown"] > 0]["shown"]
    heldout = int(((clips["verdict"] == "APPROVED") & (clips["split"] == "heldout")).sum())
    wanted = [[len(shown)], [int(shown.sum()), *[heldout] * (heldout > 0)]] if len(shown) else []
    assert [numbers(cell) for row in rows[2:] for cell in (row[0], row[2])] == wanted
    left = {re.sub(r"^\d+ (films?|clips?) ", "", row[0]): numbers(row[0])[0] for row in human_tasks(root)}
    waits = (clips["verdict"] == "REVIEW_NEEDED").sum()
    broken = (pd.read_parquet(root / ROOT / "ingest/films/manifest.parquet")["status"] == "error").sum()
    wanted_left = {"to review": waits, "refused by rights": status["refused"], "not decodable": broken}
    assert left == {name: n for name, n in wanted_left.items() if n}


def check_everything(root: Path) -> None:
    assert check_every_figure(root) > 42
    tables = frames(root)
    folder = root / "reports/dossier"
    summary = build_dossier(root, folder, DossierParams())
    assert summary == read_json(folder / "summary.json")
    check_summary_of_dossier(root, tables, summary)
    check_page(root, tables, (folder / "index.html").read_text())
    check_card(tables, root, (folder / "MODEL_CARD.md").read_text())
    assert (folder / "MODEL_CARD.md").read_text() == text_of("model-card", Records(root))
    check_bills(tables, root)
    check_run_summary(tables, root)


@settings(ANY_ROWS, max_examples=8)
@given(seed=st.integers(0, 2**40))
def test_every_figure_that_a_reader_sees_is_a_count_of_the_rows(finished: Path, seed: int) -> None:
    check_any(finished, seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(ANY_ROWS, max_examples=300)
@given(seed=st.integers(0, 2**40))
def test_three_hundred_manifests_give_the_figures_that_pandas_counts(finished: Path, seed: int) -> None:
    check_any(finished, seed)


def check_any(finished: Path, seed: int) -> None:
    root = finished.with_name("scattered")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(finished, root)
    (root / REVIEWS).parent.mkdir()
    (root / REVIEWS).write_bytes(HEADER)
    scatter(root, random.Random(seed))
    check_everything(root)
