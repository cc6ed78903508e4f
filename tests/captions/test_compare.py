"""``aiprod caption --compare``: two captioners side by side, with disagreement, in the terminal and on a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from aiprod.captions.captioner import Draft
from aiprod.captions.comparison import compared, overlap, totals
from aiprod.captions.content import Content, Evidence, claim
from aiprod.captions.registry import CAPTIONERS
from aiprod.cli import app
from aiprod.errors import AiprodError
from tests.captions.chat_server import Answer, said, serving
from tests.qc.films import texture, write

SEEN = Evidence(kind="model", source="test")


def draft(caption: str, **parts: str) -> Draft:
    return Draft(caption, content=Content(**{part: claim(words, SEEN) for part, words in parts.items()}))


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["caption", *map(str, words), "--workers", "1"])


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(2):
        wide = texture(800, 120, number)
        sound = np.zeros((2, 48_000), np.float32)
        write(folder / f"{number}.mp4", (wide[:, 4 * n : 4 * n + 160] for n in range(24)), sound)
    return folder


def test_parts_agree_differ_or_are_said_by_one_alone() -> None:
    one = draft("A cat sits.", subject="a black cat", people="two people", text="STOP")
    two = draft("A dog runs.", subject="a cat, black", people="a person", place="in a garden")
    found = compared("a.mp4", one, two)
    assert {line.part: line.agreement for line in found.lines if line.agreement} == {
        "subject": "same",
        "place": "only second",
        "people": "differs",
        "text": "only first",
    }
    failed = compared("b.mp4", one, "the endpoint fails")
    assert failed.second.failed and failed.overlap == 0.0
    assert found.as_json()["agreement"]["text"] == "only first" and json.dumps(failed.as_json())
    assert totals([found, failed]) == {
        "subject": {"same": 1},
        "place": {"only second": 1},
        "people": {"differs": 1},
        "text": {"only first": 1},
    }, "a film that one of them could not describe is no disagreement"
    assert [line.first for line in failed.lines if line.part == "text"] == ["STOP"], "what the other says is shown"
    assert not failed.is_comparable


def test_overlap_is_of_words_with_content() -> None:
    assert overlap("A cat is on the mat", "on a mat, the cat") == 1.0
    assert overlap("a cat", "a dog") == 0.0
    assert overlap("a red cat", "a cat") == 0.5
    assert overlap("", "") == 0.0


def test_both_captioners_are_shown_with_stills(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = {"caption": "<script>alert(1)</script> & a wall.", "subject": "a wall", "people": "one person"}
    page = tmp_path / "page.html"
    with serving(lambda n, r: Answer(said(json.dumps(evil)))) as server:
        shown = call(films, "--compare", "rule_based", "endpoint", "--endpoint", server.url, "--html", page)
    assert shown.exit_code == 0, shown.output
    assert "people: only endpoint: 2" in shown.stdout and "rule_based" in shown.stdout
    html = page.read_text()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.count("data:image/jpeg;base64,") == 8 and html.count("only endpoint") >= 2


def test_a_captioner_that_fails_is_named_and_not_counted_as_one_that_disagrees(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.html"
    with serving(lambda n, r: Answer(said("A wall, in prose."))) as server:
        shown = call(films, "--compare", "rule_based", "endpoint", "--endpoint", server.url, "--html", page)
    assert shown.exit_code == 1
    assert "not described by endpoint, so not counted: 2 of 2" in shown.stdout
    assert "only rule_based" not in shown.stdout
    assert "% of the words" not in shown.stdout + page.read_text()


def test_an_endpoint_that_only_the_project_names_is_sent_nothing(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether these files show somebody; who names the server on the command line permits it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    measure = "qc_measure: {workers: 1}\nqc_decide: {}\n"
    with serving() as server:
        (tmp_path / "params.yaml").write_text(
            f"{measure}caption: {{captioner: endpoint, endpoint: {{base_url: '{server.url}', frames: 1}}}}\n"
        )
        told = json.loads(call(films / "0.mp4", "--json").stdout)
        assert not server.asked and told["captioner"] == "rule_based" and "private_films_at" in told["reasons"][0]
        told = json.loads(call(films / "0.mp4", "--json", "--endpoint", server.url).stdout)
        assert len(server.asked) == 1 and told["captioner"] == "endpoint" and told["reasons"] == []


def test_help_names_every_captioner_and_options_that_need_another_say_so(films: Path, tmp_path: Path) -> None:
    told = " ".join(call("--help").stdout.replace("│", " ").split())
    for kind in CAPTIONERS:
        assert f"{kind.name}:" in told
    assert "--compare rule_based" in told
    assert "--html needs --compare" in str(call(films, "--html", tmp_path / "x.html").exception)
    unknown = call(films, "--compare", "rule_based", "guess").exception
    assert isinstance(unknown, AiprodError) and "guess" in str(unknown)
