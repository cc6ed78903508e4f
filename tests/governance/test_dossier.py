"""The dossier: deterministic, whole in its own folder, safe with hostile text, and its counts are the manifests'."""

from __future__ import annotations

import platform
import re
import shutil
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.base.files import digest_folder, read_json, write_json
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.svg_charts import histogram, line_chart
from aiprod.governance.dataset.version import publish
from aiprod.governance.dossier.dossier import DossierParams, build_dossier
from aiprod.governance.exports.writers import attributions
from aiprod.qc.decide.reviews import REVIEWS, Review, save_reviews


class Page(HTMLParser):
    """Collects ids, links and tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)


def test_same_state_same_bytes(finished: Path) -> None:
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    first = digest_folder(finished / "reports/dossier")
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    assert digest_folder(finished / "reports/dossier") == first


def test_every_link_leads_somewhere_and_nothing_lies_outside(finished: Path, tmp_path: Path) -> None:
    build_dossier(finished, finished / "reports/dossier", DossierParams(clips_per_page=10))
    moved = tmp_path / "handed-over"
    shutil.move(finished / "reports/dossier", moved)
    pages = {p.name: Page(p.read_text()) for p in moved.glob("*.html")}
    assert "index.html" in pages and len(pages) == 2
    for name, page in pages.items():
        assert page.links
        for link in page.links:
            target, _, anchor = link.partition("#")
            assert not re.match(r"[a-z]+:|/|\.\.", target), link
            assert (moved / (target or name)).is_file(), link
            if anchor:
                assert anchor in pages[target or name].ids, link


def test_counts_are_those_of_the_manifests(finished: Path) -> None:
    summary = build_dossier(finished, finished / "reports/dossier", DossierParams())
    facts = Records(finished)
    assert summary == read_json(finished / "reports/dossier/summary.json")
    assert summary["films"] == len(facts.films) == sum(r["films"] for r in summary["rights"])
    assert summary["clips"] == sum(r["clips"] for r in summary["rights"])
    assert sum(summary["verdicts"].values()) == len(facts.clips), "a film without a clip is no clip"
    assert summary["showings"] == sum(s.times for s in facts.exposure.values()) == summary["exposure"]["total"]
    assert sum(r["showings"] for r in summary["rights"]) == summary["showings"]


def test_a_finished_film_is_shown_with_the_scopes_of_its_grades(finished: Path) -> None:
    folder = finished / "reports/film"
    (folder / "film_scopes").mkdir(parents=True)
    for name in ("film.mp4", "film.poster.png", "film_scopes/shot-001.png", "film_scopes/shot-007.png"):
        (folder / name).write_bytes(name.encode())
    shot = {"ingredient": 0, "scene": "<sea>", "record_in": 24, "record_out": 48}
    record = {
        **{
            "format": 1,
            "kind": "film",
            "title": "T",
            "rate": "24",
            "frames": 48,
            "samples": 96_000,
            "profile": "ebu_r128",
        },
        "ingredients": [{"kind": "file", "name": "a.mp4"}],
        "shots": [shot | {"record_in": 0, "record_out": 24}, shot | {"grade": {"exposure": 1}}],
        "delivery": {"lufs": -23.0, "true_peak_dbtp": -2.0, "flashes_in_a_second": 0},
        **{"sounds": [], "credits": []},
    }
    write_json(folder / "film.json", record)
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    page = (finished / "reports/dossier/index.html").read_text()
    links = Page(page).links
    assert "assets/film/shot-001.png" in links and "assets/film/shot-007.png" not in links, "the record has two shots"
    assert "a.mp4, at 00:00:01:00, scene “&lt;sea&gt;”" in page
    assert all((finished / "reports/dossier" / link).is_file() for link in links if link.startswith("assets/film/"))


def test_every_film_and_clip_has_its_entry(finished: Path) -> None:
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    page = Page((finished / "reports/dossier/clips-001.html").read_text())
    facts = Records(finished)
    without_clip = {f.film_id for f in facts.films.values() if f.status != "ok"}
    assert set(facts.clips) | without_clip <= page.ids


def test_refusals_and_credits_are_said(finished: Path) -> None:
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    index = (finished / "reports/dossier/index.html").read_text()
    assert "CC-BY-NC-4.0 forbids commercial use" in index and "holiday.mp4" in index
    credits_ = (finished / "reports/dossier/ATTRIBUTIONS.txt").read_text()
    assert "trained on films that ask for" in credits_ and "(c) Blender Foundation (CC-BY-3.0)" in credits_
    (finished / "models/diffusion/exposure.json").unlink()
    assert "trained on" not in attributions(Records(finished)), "what it was not shown it was not trained on"
    assert "Kinetics-700" in index


def test_documents_version_log_head_reviews_and_quality_report_are_on_the_page(finished: Path) -> None:
    facts = Records(finished)
    clip_id = next(iter(facts.exposure))
    review = Review(
        clip_id=clip_id,
        number=1,
        verdict="REJECTED",
        automatic="APPROVED",
        start_s=0,
        end_s=3,
        reviewer="<i>Ada</i>",
        authority={"review": "reviewer"},
        note="a logo",
    )
    save_reviews([review], finished / REVIEWS)
    (finished / "reports/qc/page/thumbs").mkdir(parents=True)
    (finished / "reports/qc/page/index.html").write_text("<p>checks</p>")
    (finished / "reports/qc/page/thumbs/a.jpg").write_bytes(b"jpg")
    point = write_checkpoint(finished, AuditLog())
    publish(finished, "first")
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    folder, index = finished / "reports/dossier", (finished / "reports/dossier/index.html").read_text()
    assert point.root.hex() in index and point.name in index
    assert "a logo" in index and "&lt;i&gt;Ada" in index and f"#{clip_id}" in index
    assert "Version 1.0.0:" in index and 'href="qc/index.html"' in index
    assert (folder / "qc/thumbs/a.jpg").is_file()
    for name in ("EU_AI_ACT.md", "PROVENANCE.md", "ROPA.md", "eu-ai-act.json", "provenance.json", "ropa.json"):
        assert f'href="{name}"' in index and (folder / name).stat().st_size > 500


def test_hostile_text_stays_text(finished: Path) -> None:
    build_dossier(finished, finished / "reports/dossier", DossierParams(title="<script>alert(1)</script>"))
    text = (finished / "reports/dossier/index.html").read_text()
    assert "<script>alert(1)" not in text and "&lt;b&gt;rain&lt;/b&gt; &amp; wind" in text
    assert Page(text).tags.count("script") == 1


def test_no_host_or_absolute_path(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for function in ("gethostname", "getfqdn"):
        monkeypatch.setattr(socket, function, lambda *_: "name-of-this-host")
    monkeypatch.setattr(platform, "node", lambda: "name-of-this-host")
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    pages = [path for path in (finished / "reports/dossier").rglob("*") if path.is_file()]
    assert len(pages) > 1
    for path in pages:
        assert not [word for word in (str(finished), "name-of-this-host") if word.encode() in path.read_bytes()], path


def test_an_unfinished_pipeline_still_gets_its_page(finished: Path) -> None:
    for folder in ("models", "reports", "datasets/v1/latents", "datasets/v1/qc"):
        shutil.rmtree(finished / folder)
    summary = build_dossier(finished, finished / "reports/dossier", DossierParams())
    assert summary["films"] == 8 and summary["clips_shown"] == 0
    assert "No model has been trained yet" in (finished / "reports/dossier/index.html").read_text()


points = st.lists(st.tuples(st.integers(0, 10**6).map(float), st.floats(-1e6, 1e6)), max_size=900)


@given(points, st.text(max_size=20))
def test_charts_are_well_formed_for_any_numbers(values: list[tuple[float, float]], name: str) -> None:
    drawn = line_chart({name: values}, "a <title>", [(0.0, name)])
    assert ("nan" not in drawn) and (drawn == "" or drawn.endswith("</svg>"))
    bars = histogram([v for _, v in values], "scores")
    assert sum(int(n) for n in re.findall(r"<title>(\d+)</title></rect>", bars)) == len(values)
