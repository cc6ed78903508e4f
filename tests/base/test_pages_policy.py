"""Pages that are opened as files: a browser loads nothing from elsewhere and runs no script that a value brought in."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import aiprod
from aiprod.base.pages import with_policy

PAGES = sorted(p for p in Path(aiprod.__file__).parent.rglob("*.html.j2") if "<html" in p.read_text())
TEMPLATES = [p for p in PAGES if "{{ nonce }}" not in p.read_text()]  # the others are served, with a policy each time
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


class _Found(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.policy, self.handlers = "", list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "meta" and named.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(named["content"])
        self.handlers += [name for name in named if name.startswith("on")]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_can_have_a_policy_that_lets_its_scripts_run_and_no_others(template: Path) -> None:
    """Its scripts hold no values, it has no handlers in attributes, and their digests are computed here once more."""
    source = template.read_text(encoding="utf-8")
    found = _Found(with_policy(source, source))
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", source, re.DOTALL)
    assert not [script for script in scripts if re.search(r"\{[{%#]", script)]
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert set(re.findall(r"'sha256-([^']+)'", found.policy)) == digests
    script_part = next(part for part in found.policy.split("; ") if part.startswith("script-src"))
    assert "default-src 'none'" in found.policy and "unsafe-inline" not in script_part
    assert not found.handlers


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium here")
def test_a_browser_runs_the_pages_own_script_and_shows_its_pictures_and_nothing_else(tmp_path: Path) -> None:
    own = "addEventListener('load', () => { const d = document; d.body.dataset.own = d.images[0].naturalWidth; });"
    template = (
        f'<!doctype html><html><head><meta charset="utf-8"></head><body>WORDS<script>{own}</script></body></html>'
    )
    words = "<img src=a.png><script>document.body.dataset.theirs = 1</script>"
    words += '<img src=none.png onerror="document.body.dataset.handled = 1">'
    (tmp_path / "a.png").write_bytes(PIXEL)
    (tmp_path / "page.html").write_text(with_policy(template.replace("WORDS", words), template))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--dump-dom", (tmp_path / "page.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    body = re.search(r"<body[^>]*>", shown)
    assert body is not None and body.group(0) == '<body data-own="1">'


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium here")
def test_subtitles_that_stand_in_the_page_are_shown(tmp_path: Path) -> None:
    cue = base64.b64encode(b"WEBVTT\n\n00:00.000 --> 00:02.000\nSpoken\n").decode()
    own = "document.querySelector('track').onload = e => { document.body.dataset.cues = e.target.track.cues.length; };"
    video = f'<video><track kind="subtitles" srclang="en" default src="data:text/vtt;base64,{cue}"></video>'
    page = f'<!doctype html><html><head><meta charset="utf-8"></head><body>{video}<script>{own}</script></body></html>'
    (tmp_path / "page.html").write_text(with_policy(page, page))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=5000", "--dump-dom", (tmp_path / "page.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    assert 'data-cues="1"' in shown
