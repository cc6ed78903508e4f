"""The desk in a browser, as wide as a monitor and as a phone: layout, keys, sound, and nothing in the console."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiprod.base.files import write_json
from aiprod.governance.dossier.dossier import DossierParams, build_dossier
from aiprod.governance.lineage.lineage import lineage
from aiprod.governance.pages import render
from aiprod.media.encoding import encode
from aiprod.qc.decide.reviews import REVIEWS
from aiprod.qc.params import QcDecideParams
from aiprod.qc.report.report import render as quality_page
from tests.browser import MISSING, browser
from tests.governance.erasable import NAME, Project
from tests.governance.test_desk import desk, staff
from tests.qc.test_report_notes import TEXT, row

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
ESCAPE = "\ue00c"


def put_video(path: Path, brightness: int, seconds: float = 1.5) -> None:
    """A film of one grey with a tone."""
    pictures = [np.full((64, 112, 3), brightness + 4 * n, np.uint8) for n in range(int(12 * seconds))]
    tone = 0.2 * np.sin(np.arange(int(48_000 * seconds)) * 2 * np.pi * 440 / 48_000, dtype=np.float32)
    encode(path, pictures, 12, np.stack([tone, tone]))


@pytest.fixture
def office(finished: Path) -> Path:
    staff(finished)
    (finished / REVIEWS).parent.mkdir(parents=True)
    (finished / REVIEWS).write_bytes(b"")
    build_dossier(finished, finished / "reports/dossier", DossierParams())
    long = "a word-without-any-end" + "x" * 200
    for folder, brightness in (("reports/samples", 20), ("runs/b", 120)):
        (finished / folder).mkdir(parents=True, exist_ok=True)
        for number, prompt in enumerate(("a red circle bounces", long)):
            put_video(finished / folder / f"{number:03d}.mp4", brightness)
            write_json(finished / folder / f"{number:03d}.json", {"prompt": prompt, "seed": brightness, "fps": 12.0})
    for clip in (finished / "datasets/v1/processed").glob("*.mp4"):
        put_video(clip, 60, 0.5)
    return finished


def test_every_page_fits_a_desk_and_a_phone_and_its_keys_work(office: Path, tmp_path: Path) -> None:
    hostile = "<!doctype html><body>x<script>document.body.dataset.theirs = 1</script></body>"
    (office / "reports/dossier/hostile.html").write_text(hostile)
    with desk(office) as server, browser(tmp_path / "profile") as window:
        compared = "compare?a=&b=runs/b"
        for width, phone in ((1280, False), (360, True)):
            window.size(width, 800, phone=phone)
            for path in ("", "lineage?q=reports/samples/001.mp4", "review/", compared, "erase", "dossier/index.html"):
                window.open(server.url + path)
                if path == "review/":
                    window.wait("document.querySelector('#list button') !== null")
                assert window.overflow() == 0, (width, path)
                said = [line for line in window.complaints() if "favicon.ico" not in line]  # the dossier names no icon
                assert said == [], (width, path)

        window.size(1280, 800)
        window.open(server.url)
        window.press("?")
        assert "into the search field" in str(window.wait("document.querySelector('dialog[open]')?.innerText"))
        window.press("2", ESCAPE)
        assert (
            window.wait("!document.querySelector('dialog[open]')") and window.run("return document.title")[:4] == "Home"
        )
        window.press("2")
        window.wait("document.title.startsWith('Lineage')")
        window.press("/")
        assert window.run("return document.activeElement.id") == "q"
        window.press(*"diffusion", "\ue007")
        window.wait("document.getElementById('answer')?.innerText.includes('diffusion')")

        window.open(server.url + compared)
        window.wait("[left, right].every(v => v.currentTime > 0.2)")
        window.wait("left.webkitAudioDecodedByteCount > 0 && right.webkitAudioDecodedByteCount > 0")
        heard = "return [left.muted, right.muted, heard0.innerText !== '', heard1.innerText !== '']"
        assert window.run(heard) == [False, True, True, False]
        window.press("s")
        assert window.run(heard) == [True, False, False, True]
        window.press("m")
        assert window.run(heard) == [True, True, False, False]
        window.press(" ")
        assert window.wait("[left, right].every(v => v.paused)")
        window.press(".")
        assert window.run("return Math.abs(left.currentTime - right.currentTime)") < 0.01, "in step"
        for shown in ("1", "2", "0"):
            window.press("v")
            assert window.run("return stage.dataset.view") == shown
        window.press("j")
        assert window.run("return left.src.includes('001.mp4') && right.src.includes('001.mp4')")

        window.open(server.url + "review/")
        window.wait("document.getElementById('video').currentTime > 0")
        window.press("r")
        assert window.run("return getComputedStyle(verdicts).display") == "none", "nothing is decided read-only"
        window.press("1")
        window.wait("document.title.startsWith('Home')")

        window.open(server.url + "dossier/hostile.html")
        assert window.run("return document.body.dataset.theirs ?? null") is None
        assert any("Content Security Policy" in line for line in window.complaints())


def test_pages_that_are_sent_as_files_fit_a_phone_with_everything_opened(office: Path, tmp_path: Path) -> None:
    """Digests, proofs and long names scroll or break within the page, and no row of a table loses what it is about."""
    walked = lineage(office, "models/diffusion", rehash=False)
    state = {"time": "2026-01-01T00:00:00Z", "version": "0.1.0", "commit": "c" * 40, "lock": "d" * 64, "changed": True}
    (office / "made-of.html").write_text(render("lineage.html.j2", lineage=walked, written=state))
    rows = [row(1, TEXT, reasons=(f"{'also_a_long_name' * 8}: no end",))]
    figures = {"approved": 0, "review_needed": 1, "rejected": 0, "films": 1}
    (office / "quality.html").write_text(quality_page(rows, figures, QcDecideParams(), total=1))
    dossier = office / "reports/dossier"
    pages = [office / "made-of.html", office / "quality.html", dossier / "index.html", *dossier.glob("clips-*")]
    with browser(tmp_path / "profile") as window:
        for width in (360, 390, 500):
            window.size(width, 800, phone=True)
            for page in pages:
                window.open(page.as_uri())
                window.run("document.querySelectorAll('details').forEach(d => d.open = true)")
                assert window.overflow() == 0, (width, page.name)


def test_a_film_is_erased_by_typing_its_id(project: Project, tmp_path: Path) -> None:
    staff(project.root)
    film = project.films[NAME]
    with desk(project.root, "Pia", changes=True) as server, browser(tmp_path / "profile") as window:
        window.size(360, 780, phone=True)
        window.open(f"{server.url}erase?q={project.clip(NAME)}")
        assert window.overflow() == 0
        window.run("document.getElementById('search').click()")
        window.wait("stores.tBodies[0].rows.length > 5")
        assert window.overflow() == 0
        window.run("typed.focus()")
        window.press(*film[:-1])
        assert window.run("return go.disabled") and project.vault.keys.path(film).is_file()
        window.press(film[-1], "\ue007")
        assert "certificate: datasets/erasures/" in str(window.wait("done.querySelector('pre')?.innerText"))
        assert window.complaints() == [] and window.overflow() == 0
    assert not project.vault.keys.path(film).is_file()
