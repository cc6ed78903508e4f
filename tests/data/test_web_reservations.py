"""What a web server says against training is heard, whichever way it says it, and never makes a film freer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.data.params import IngestParams
from aiprod.data.sources.scan import scan
from aiprod.data.sources.web_reservations import SiteRules, site_rules
from aiprod.rights.effective_right import effective_right
from tests.data.test_remote import SOURCES
from tests.data.web_server import Server

FILM, OTHER = "a.mp4", "sub/b c.mp4"
NOTHING = (404, "text/html", b"")


def rights(stated: str) -> dict[str, tuple[str, str]]:
    """The right of each film, and why it is denied."""
    offers = scan(IngestParams(sources=["away"], folders={"away": stated}), SOURCES).offers
    decided = {offer.key: effective_right(SOURCES.get("away"), offer.stated) for offer in offers}
    return {key: (right.right.word, " ".join(right.reasons)) for key, right in decided.items()}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (("tdm-reservation", "1"), "reserved against text and data mining"),
        (("TDM-Reservation", " 1 "), "reserved against text and data mining"),
        (("tdm-reservation", "perhaps"), "perhaps"),
        (("X-Robots-Tag", "noindex, noai"), "noai"),
        (("X-Robots-Tag", "noimageai"), "noimageai"),
        (("Content-Usage", "train-ai=n"), "train-ai=n"),
        (("Link", '<https://creativecommons.org/licenses/by-nc/4.0/>; rel="license"'), "commercial"),
    ],
)
def test_a_header_of_a_film_denies_that_film(header: tuple[str, str], words: str, web: str) -> None:
    assert rights(web) == {FILM: ("train", ""), OTHER: ("train", "")}
    Server.said[f"/{FILM}"] = [header]
    found = rights(web)
    assert found[FILM][0] == "deny" and words in found[FILM][1]
    assert found[OTHER][0] == "train"


def test_a_header_that_permits_frees_nothing(web: str, films: Path) -> None:
    (films / "RIGHTS.csv").write_text(f"file,licence\n{FILM},CC-BY-NC-4.0\n")
    Server.said[f"/{FILM}"] = [
        ("tdm-reservation", "0"),
        ("Link", "<https://creativecommons.org/publicdomain/zero/1.0/>; rel=license"),
    ]
    Server.said["/sub/b%20c.mp4"] = Server.said[f"/{FILM}"]
    assert {right for right, _ in rights(web).values()} == {"deny"}


def test_a_policy_is_named(web: str) -> None:
    Server.said[f"/{FILM}"] = [("tdm-reservation", "1"), ("tdm-policy", "https://x.org/policy.json")]
    assert "https://x.org/policy.json" in rights(web)[FILM][1]


@pytest.mark.parametrize(
    ("path", "content", "denied"),
    [
        (".well-known/tdmrep.json", json.dumps([{"location": "/sub/*", "tdm-reservation": 1}]), {OTHER}),
        (".well-known/tdmrep.json", json.dumps([{"location": "/*.mp4$", "tdm-reservation": 1}]), {FILM, OTHER}),
        (".well-known/tdmrep.json", json.dumps([{"location": "/", "tdm-reservation": 0}]), set()),
        (".well-known/tdmrep.json", "{ not JSON", {FILM, OTHER}),
        (".well-known/tdmrep.json", "[" * 90_000, {FILM, OTHER}),
        ("robots.txt", "User-agent: *\nDisallow: /sub/\n", {OTHER}),
        ("robots.txt", "User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n", {FILM, OTHER}),
        ("robots.txt", "User-agent: *\nDisallow: /\n\nUser-agent: AIPROD\nAllow: /\n", set()),
        ("robots.txt", "User-agent: *\nDisallow:\n", set()),
        ("robots.txt", "User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /\n", {FILM, OTHER}),
    ],
)
def test_what_is_said_of_a_site_counts_for_the_films_it_means(
    path: str, content: str, denied: set[str], web: str, films: Path
) -> None:
    (films / path).parent.mkdir(exist_ok=True)
    (films / path).write_text(content)
    assert {key for key, (right, _) in rights(web).items() if right == "deny"} == denied


def test_an_index_page_speaks_for_what_it_lists(web: str, films: Path) -> None:
    links = f'<a href="{FILM}">a</a><a href="RIGHTS.csv">r</a>'
    (films / "index.html").write_text(f'<html><head><meta name="tdm-reservation" content="1"></head>{links}</html>')
    assert rights(web.removesuffix("list.txt"))[FILM][0] == "deny"


def test_what_cannot_be_read_reserves() -> None:
    rules = site_rules((503, "", b""), NOTHING)
    assert "503" in str(rules.of("https://x.org/a.mp4")["objections"])
    page = (200, "text/html", b"<html>nothing here</html>")
    assert site_rules(page, page) == site_rules(NOTHING, (403, "", b"")) == SiteRules()
