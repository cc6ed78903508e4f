"""The desk over HTTP: what each page says, who may do what, and that it is what the commands say and do."""

from __future__ import annotations

import html
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from typer.testing import CliRunner

from aiprod.base.files import read_json, write_json
from aiprod.base.yaml_file import read_yaml
from aiprod.cli import build
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.records import Records
from aiprod.governance.desk.comparison import compare, side
from aiprod.governance.desk.server import DeskServer
from aiprod.governance.dossier.dossier import DossierParams, build_dossier
from aiprod.governance.erasure import certificate
from aiprod.governance.erasure.erase import plan
from aiprod.governance.erasure.resolve import ErasureRequest
from aiprod.governance.policy.roles import ROLES
from aiprod.governance.review.recording import unlogged
from aiprod.governance.serving.local_server import Answer, LocalServer, as_json
from aiprod.qc.decide.reviews import REVIEWS, load_reviews
from aiprod.repo.dvc import object_path
from aiprod.storage.crypto.film_encryption import Vault
from tests.governance.conftest import write_lock
from tests.governance.erasable import NAME, URL, Project
from tests.projects import commit_all, enter_project

REPOSITORY = Path(__file__).resolve().parents[2]
PEOPLE = {"Ada": ["reviewer"], "Pia": ["privacy_officer"], "Eve": ["ml_engineer"]}
HOSTILE = '"><script>document.body.dataset.theirs = 1</script>'


@pytest.fixture
def office(finished: Path) -> Path:
    staff(finished)
    (finished / REVIEWS).parent.mkdir(parents=True)
    (finished / REVIEWS).write_bytes(b"")
    return finished


def staff(root: Path) -> None:
    (root / ROLES).write_text(json.dumps({**read_yaml(REPOSITORY / ROLES), "people": PEOPLE}))


@contextmanager
def desk(root: Path, named: str = "Ada", *, changes: bool = False) -> Iterator[DeskServer]:
    server = DeskServer(root, named, changes=changes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def ask(server: LocalServer, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, Any, str]:
    """Status, headers and text of an answer; a path that begins with a slash is taken as it is, without the token."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    whole = path if path.startswith("/") else f"/{server.token}/{path}"
    connection.request(method, whole, None if body is None else json.dumps(body), sent)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode("utf-8", "replace")


def post(server: LocalServer, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    status, _, text = ask(server, path, "POST", body, **{"X_Page_Token": server.token, **headers})
    return status, json.loads(text)


def words(page: str) -> str:
    """What a person reads on a page, on one line."""
    found: list[str] = []

    class Reader(HTMLParser):
        inside = ""

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.inside = tag

        def handle_data(self, data: str) -> None:
            if self.inside not in ("script", "style"):
                found.append(data)

        def handle_endtag(self, tag: str) -> None:
            self.inside = ""

    Reader().feed(page)
    return " ".join("".join(found).split())


def refusals() -> list[tuple[str, str]]:
    leaves = [e.value["facts"] for e in AuditLog().entries() if e.value["kind"] == "refused-action"]
    return [(facts["action"], facts["lack"]) for facts in leaves]


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def kept(project: Project) -> list[str]:
    """The files of films and of what is about them that are still there, whatever their ids."""
    names = [*files(project.data), *files(project.root / "datasets/inbox")]
    return sorted(re.sub(r"[cf]0?[0-9a-z]{16}", "ID", name) for name in names)


def command(*said: str) -> str:
    result = CliRunner().invoke(build((said[0],)), list(said))
    assert result.exit_code == 0, result.output
    return result.output


# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_page_carries_a_strict_policy_and_loads_nothing_from_elsewhere(office: Path) -> None:
    build_dossier(office, office / "reports/dossier", DossierParams())
    with desk(office) as server:
        assert server.server_address[0] == "127.0.0.1"
        for path in ("", "lineage", "lineage?q=diffusion", "review/", "compare", "compare?a=&b=", "erase", "nothing"):
            status, headers, text = ask(server, path, Accept="text/html")
            assert status == (404 if path == "nothing" else 200), (path, words(text))
            policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
            assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
            nonce = re.fullmatch(r"'nonce-([\w-]{20,})'", policy["script-src"])
            assert nonce and set(re.findall(r"<script([^>]*)>", text)) == {f' nonce="{nonce[1]}"'}
            assert not re.search(r"\son\w+=|https?://|javascript:", text) and server.token not in text, path
            assert headers["Referrer-Policy"] == "no-referrer" and "Set-Cookie" not in headers
            assert headers["Cache-Control"] == "no-store" and 'name="viewport"' in text and '<html lang="en"' in text


def test_an_address_as_a_person_types_it_leads_to_its_page(office: Path) -> None:
    with desk(office) as server:
        for typed, where in (("review", "review/"), ("dossier", "dossier/index.html"), ("dossier/", "index.html")):
            status, headers, _ = ask(server, typed)
            assert (status, headers["Location"]) == (308, where)
            assert ask(server, f"/{typed}")[0] == 403, "not without the token"
        assert ask(server, "review/")[0] == 200


def test_without_the_printed_address_the_desk_shows_and_takes_nothing(office: Path) -> None:
    with desk(office, changes=True) as server:
        before = files(office)
        for path in ("", "lineage?q=diffusion", "review/clips", "compare/video?of=&name=000.mp4", "erase", "dossier/"):
            for token in ("", "x" * len(server.token), server.token[:-1], f"{server.token}x"):
                for method in ("GET", "HEAD", "POST"):
                    status, _, text = ask(server, f"/{token}/{path}", method, {}, X_Page_Token=server.token)
                    assert status == 403 and server.token not in text and "diffusion" not in text
            assert ask(server, path, Host="evil.example")[0] == 404
        for wrong in ({"X_Page_Token": "x"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            assert post(server, "erase", {"what": "x", "ids": [], "typed": "x"}, **wrong)[0] == 403
        assert ask(server, "erase", "POST", {})[0] == 403, "the address alone changes nothing"
        assert files(office) == before and refusals() == []


def test_a_read_only_desk_refuses_whatever_is_posted_and_looking_writes_nothing(project: Project) -> None:
    staff(project.root)
    with desk(project.root, "Pia") as server:
        before = files(project.root / "datasets"), files(project.root / "models")
        what = quote(project.films[NAME])
        for path in ("", f"lineage?q={what}", f"erase?q={what}", f"erase/search?q={what}"):
            assert ask(server, path)[0] == 200, path
        for path in ("erase", "review/verdict", "review/undo", "nothing"):
            status, said = post(server, path, {"what": project.films[NAME]})
            assert status == 403 and "--allow-changes" in said["error"]
        assert (files(project.root / "datasets"), files(project.root / "models")) == before and refusals() == []


def test_what_is_being_changed_is_brought_to_its_end_before_the_server_is() -> None:
    begun, goes_on, ended, told = threading.Event(), threading.Event(), threading.Event(), []

    class Slow(LocalServer):
        def post(self, path: str, values: dict[str, Any]) -> Answer:
            begun.set()
            goes_on.wait(60)
            told.append(path)
            return as_json({})

    server = Slow(0, "x")

    def whole() -> None:
        with server.serving():
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            threading.Thread(target=lambda: post(server, "deed", {}), daemon=True).start()
            begun.wait(60)
            server.shutdown()
        ended.set()

    threading.Thread(target=whole, daemon=True).start()
    assert begun.wait(60) and not ended.wait(0.3) and told == []
    goes_on.set()
    assert ended.wait(60) and told == ["deed"]


def test_what_nobody_foresaw_is_one_line_on_the_page_and_in_the_terminal(
    office: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk(office) as server:
        monkeypatch.setattr(DeskServer, "_home", lambda self, query: 1 / 0)
        status, _, text = ask(server, "", Accept="text/html")
    assert status == 500 and "ZeroDivisionError" in words(text) and "Traceback" not in text
    assert capfd.readouterr().err.count("\n") == 1


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_page_states_what_the_dossier_counted_and_whether_it_still_holds(office: Path) -> None:
    with desk(office) as server:
        assert "dvc repro dossier" in words(ask(server, "")[2])
        summary = build_dossier(office, office / "reports/dossier", DossierParams())
        text = words(ask(server, "")[2])
        judged = sum(summary["verdicts"].values())
        assert f"{summary['films']}films offered" in text and f"{summary['samples']}samples kept as files" in text
        assert f"{summary['clips']}clips" in text and f"{judged}clips judged" in text
        assert f"approved {summary['verdicts']['APPROVED']}" in text and "earlier state" not in text
        for row in summary["rights"]:
            assert f"{row['source']}{row['license']}{row['films']}{row['clips']}" in text
        head = office / "datasets/v1/captions/manifest.json"
        write_json(head, {**read_json(head), "merkle_root": "0" * 64})
        assert "counted an earlier state of datasets/v1/captions" in words(ask(server, "")[2])
        assert "Ada: reviewer · read-only" in text and 'href="review/"' in ask(server, "")[2]
    with desk(office, "Eve") as server:
        assert 'href="review/"' not in ask(server, "")[2]


def test_lineage_is_what_the_command_prints(office: Path) -> None:
    facts = Records(office)
    clip = next(iter(facts.exposure))
    with desk(office) as server:
        for target in (
            "reports/samples/001.mp4",
            "diffusion",
            "video_vae",
            clip,
            facts.clips[clip].film_id,
            "demo/film-000",
        ):
            printed = command("lineage", target, "--no-rehash").splitlines()
            page = ask(server, f"lineage?q={quote(target)}")[2]
            text = words(page)
            for line in printed:
                said = re.sub(r"^[│├└─\s]+", "", line).strip()
                if re.match(r"\d+ films?, |stages: |obligation: |note: |made from it|… and", said):
                    said = said.partition(": ")[2] if said.startswith(("stages", "obligation")) else ""
                assert " ".join(said.split()) in text, said
            assert len(re.findall(r'<span class="soft">(?:film|clip|model|sample|source|latent)</span>', page)) == sum(
                bool(re.match(r"[│├└─\s]*(film|clip|model|sample|source|latent) ", line)) for line in printed
            )
            assert "Bytes were not hashed" in text
        hashed = command("lineage", clip).splitlines()[-1].split()[0]
        assert f"{hashed} files were hashed again; all match" in words(ask(server, f"lineage?q={clip}&hash=1")[2])
        [path] = (office / "datasets/v1/processed").glob(f"{clip}.mp4")
        path.write_bytes(b"another")
        assert "do not match what was recorded" in words(ask(server, f"lineage?q={clip}&hash=1")[2])


@pytest.mark.parametrize(
    "asked", ["/etc/passwd", "../other/film.mp4", "nothing-like-it", "a\0b", "x" * 501, f"a/{'y' * 300}", "%"]
)
def test_what_is_not_here_is_one_sentence_with_what_to_do(office: Path, asked: str) -> None:
    with desk(office) as server:
        status, _, text = ask(server, f"lineage?{urlencode({'q': asked})}", Accept="text/html")
        said = json.loads(ask(server, f"lineage?{urlencode({'q': asked})}")[2])["error"]
    assert status == 404 and "That cannot be shown" in words(text)
    assert ("files of this workspace only" in said) == asked.startswith(("/", ".."))
    assert "\n" not in said and "Errno" not in said and ("→" in said or "no name of anything" in said), said


def test_names_from_strangers_stay_text(office: Path) -> None:
    facts = Records(office)
    write_json(office / "reports/samples/000.json", {"prompt": HOSTILE, "seed": HOSTILE})
    write_json(office / "metrics/x.json", {HOSTILE: HOSTILE})
    clip = next(iter(facts.exposure))
    with desk(office, HOSTILE) as server:
        for path in (
            "", "compare?a=&b=", "lineage?q=reports/samples/000.mp4",
            f"lineage?q={quote(HOSTILE)}&rev={quote(HOSTILE)}",
            f"compare?a={quote(HOSTILE)}&b=", f"erase?q={quote(HOSTILE)}", f"lineage?q={clip}", quote(HOSTILE),
        ):  # fmt: skip
            status, _, text = ask(server, path, Accept="text/html")
            assert "<script>" not in text and status in (200, 404), path
            assert html.escape(HOSTILE, quote=True).replace("&quot;", "&#34;") in text.replace("&quot;", "&#34;")


def test_the_dossier_is_sent_with_the_desks_own_policy_and_nothing_beside_it(office: Path) -> None:
    build_dossier(office, office / "reports/dossier", DossierParams())
    (office / "reports/dossier/odd.exe").write_bytes(b"x")
    with desk(office) as server:
        status, headers, text = ask(server, "dossier/index.html")
        assert status == 200 and text == (office / "reports/dossier/index.html").read_text()
        policy = headers["Content-Security-Policy"]
        own = re.search(r"script-src ([^\"]*)\"", text)
        assert own and set(own[1].split()) <= set(policy.split()) and "connect-src" not in policy
        assert "unsafe-inline" not in next(p for p in policy.split("; ") if p.startswith("script-src"))
        assert ask(server, "dossier/ATTRIBUTIONS.txt")[0] == 200
        for path in ("odd.exe", "../samples/000.mp4", "..%2f..%2fparams.yaml", "nothing.html", "qc/"):
            assert ask(server, f"dossier/{path}")[0] == 404, path


# ── samples side by side ─────────────────────────────────────────────────────────────────────────────────────────────


def put_sample(folder: Path, name: str, prompt: str, **facts: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(f"{folder.name} {name}".encode())
    write_json(folder / f"{Path(name).stem}.json", {"prompt": prompt, **facts})


def test_the_same_prompts_meet_and_what_differs_is_named(office: Path) -> None:
    other = office / "runs/b"
    put_sample(other, "000.mp4", "<b>rain</b> & wind", seed=1, settings={"steps": 12})
    put_sample(other, "001.mp4", "a red circle bounces", seed=7)
    put_sample(other, "002.mp4", "a red circle bounces", seed=0)
    put_sample(other, "003.mp4", "only here")
    (other / "004.mp4").write_bytes(b"nothing is said of it")
    write_json(other / "metrics.json", {"adherence": 0.5})
    found = compare(side(office, ""), side(office, "runs/b"))
    pairs = {(pair.left.name, pair.right.name): {n: (a, b) for n, a, b in pair.differ} for pair in found.pairs}
    assert set(pairs) == {("000.mp4", "002.mp4"), ("001.mp4", "000.mp4")}, "of two the one with the same seed"
    assert pairs["001.mp4", "000.mp4"]["settings steps"] == ("–", "12") and "seed" not in pairs["000.mp4", "002.mp4"]
    assert [video.name for video in found.only_right] == ["001.mp4", "003.mp4"] and found.only_left == []
    assert ("adherence", "", "0.5", True) in found.metrics
    with desk(office) as server:
        text = ask(server, "compare?a=&b=runs/b")[2]
        assert "2 prompts on both sides" in words(text) and "&lt;b&gt;rain" in text
        address = html.unescape(re.findall(r'data-right="([^"]+)"', text)[0])
        whole = (other / "002.mp4").read_bytes()
        assert ask(server, address)[2].encode() == whole
        status, headers, part = ask(server, address, Range="bytes=2-5")
        assert (status, part, headers["Content-Range"]) == (206, whole[2:6].decode(), f"bytes 2-5/{len(whole)}")
        assert ask(server, address, Range=f"bytes={len(whole)}-")[0] == 416
        for name in ("004.mp4", "../../params.yaml", "metrics.json", ""):
            assert ask(server, f"compare/video?of=runs/b&name={quote(name)}")[0] == 404, name


def test_a_commit_is_compared_from_what_dvc_keeps(office: Path) -> None:
    write_json(office / "metrics/sample.json", {"adherence": 0.25})
    cache = office / ".dvc/cache/files/md5"
    md5 = write_lock(office) or json.loads((office / "dvc.lock").read_text())["stages"]["sample"]["outs"][0]["md5"]
    for entry in json.loads(object_path(cache, md5).read_bytes()):
        place = object_path(cache, entry["md5"])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((office / "reports/samples" / entry["relpath"]).read_bytes())
    commit_all("dvc.yaml", "dvc.lock", "params.yaml", "datasets/sources.yaml", "metrics")
    write_json(office / "metrics/sample.json", {"adherence": 0.5})
    (office / "reports/samples/000.mp4").write_bytes(b"made again")
    found = compare(side(office, "HEAD"), side(office, ""))
    assert [pair.left.name for pair in found.pairs] == ["000.mp4", "001.mp4"]
    assert found.metrics == [("sample adherence", "0.25", "0.5", True)]
    with desk(office) as server:
        page = ask(server, "compare?a=HEAD&b=")[2]
        left, right = (html.unescape(re.findall(rf'data-{end}="([^"]+)"', page)[0]) for end in ("left", "right"))
        assert (ask(server, left)[2], ask(server, right)[2]) == ("sample 0", "made again")
        found_at = words(ask(server, "lineage?q=reports/samples/000.mp4&rev=HEAD")[2])
        assert "Sample reports/samples/000.mp4" in found_at and "model diffusion" in found_at
        for place in cache.rglob("*"):
            if place.is_file() and place.read_bytes().startswith((b"sample", b"{")):
                place.unlink()
        assert "does not hold the samples of HEAD: dvc fetch" in words(ask(server, "compare?a=&b=HEAD")[2])
        said = json.loads(ask(server, "compare?a=&b=no-such-name")[2])["error"]
        assert "no folder of samples" in said and "dvc exp show" in said
    with pytest.raises(AiprodError, match="outside of this workspace"):
        put_sample(office.parent / "elsewhere", "000.mp4", "a")
        side(office, "../elsewhere")


# ── review and erasure ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_decision_at_the_desk_is_one_of_the_review_page_and_takes_its_role(office: Path) -> None:
    with desk(office, "Eve", changes=True) as server:
        status, _, text = ask(server, "review/", Accept="text/html")
        assert status == 403 and "may not review" in words(text) and refusals() == [("review", "role")]
        assert ask(server, "review/clips")[0] == 403
        assert post(server, "review/verdict", {"clip_id": "x"})[0] == 409
    with desk(office, "Ada", changes=True) as server:
        assert post(server, "review/verdict", {})[0] == 404, "no sitting was opened"
        page = ask(server, "review/")[2]
        assert "Nothing is decided here" not in page and 'href="../lineage"' in page
        [clip] = json.loads(ask(server, "review/clips")[2])
        whole = (office / f"datasets/v1/processed/{clip['clip_id']}.mp4").read_text()
        assert ask(server, f"review/video/{clip['clip_id']}")[2] == whole
        wanted = {"clip_id": clip["clip_id"], "verdict": "REJECTED", "note": "a logo"}
        assert post(server, "review/verdict", wanted)[0] == 200
        [review] = load_reviews(office / REVIEWS)
        assert (review.reviewer, review.verdict, review.note) == ("Ada", "REJECTED", "a logo")
        assert unlogged([review], AuditLog()) == []
        assert ask(server, "review/")[0] == 200, "a sitting that decided something goes on, so that it can be undone"
        assert post(server, "review/undo", {})[0] == 200 and load_reviews(office / REVIEWS) == []
        denied = {**wanted, "verdict": "APPROVED"}
        status, said = post(server, "review/verdict", denied)
        assert status == 409 and "accept_privacy" in said["error"] and refusals()[-1] == ("accept_privacy", "role")
        assert ask(server, "review/sample/none/")[0] == 404 and ask(server, "review/sample/..%2f/")[0] == 404
    with desk(office) as server:
        assert "Nothing is decided here: this desk is read-only" in words(ask(server, "review/")[2])


def test_the_dry_run_says_what_the_plan_says_and_names_nobody_to_who_may_not_erase(project: Project) -> None:
    staff(project.root)
    todo = plan(project.root, ErasureRequest(project.films[NAME]), Vault())
    path = f"erase?q={quote(project.clip(NAME))}"
    with desk(project.root, "Pia", changes=True) as server:
        text = words(ask(server, path)[2])
        assert f"Erasing {project.films[NAME]} would" in text and NAME in text and "To confirm" not in text
        for figure in (f"{len(todo.objects)}objects deleted", f"{todo.memo}kept results", "1training checkpoints"):
            assert figure in text, text
        assert "diffusionaa11.dir3working tree" in text and "audio_vae" not in text
        assert f"Type {project.films[NAME]} to confirm" in text
        for more in (f"erase?q={URL}", f"erase?q={project.films[NAME]}"):
            assert words(ask(server, more)[2]).count(project.films[NAME]) >= 2
        rows = json.loads(ask(server, f"erase/search?q={project.clip(NAME)}")[2])
        assert {row["store"] for row in rows} >= {"working tree", "memo", "git history"}
        assert any(NAME in place for row in rows for place in row["where"])
    with desk(project.root, "Ada", changes=True) as server:
        page = ask(server, path)[2]
        assert (
            NAME not in page and "1 of it, 0 beside it, 1 table with lines" in words(page) and 'id="deed"' not in page
        )
        assert NAME not in ask(server, f"erase/search?q={project.clip(NAME)}")[2]
        for other in (
            "",
            f"lineage?q={project.films[NAME]}",
            f"lineage?q={project.clip(NAME)}&hash=1",
            "compare?a=&b=",
        ):
            status, _, shown = ask(server, other)
            assert status == 200 and NAME not in shown and URL not in shown, other
        said = json.loads(ask(server, f"erase?q={project.films['plain.mp4']}")[2])["error"]
        assert "stored unencrypted" in said and "→" in said
    with desk(project.root, "Pia") as server:
        assert "this desk is read-only" in words(ask(server, path)[2]) and 'id="deed"' not in ask(server, path)[2]


def test_an_erasure_at_the_desk_is_that_of_the_command(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff(project.root)
    film = project.films[NAME]
    deed = {"what": project.clip(NAME), "ids": [film], "typed": film}
    with desk(project.root, "Ada", changes=True) as server:
        assert post(server, "erase", deed)[0] == 409 and refusals() == [("erase", "role")]
    with desk(project.root, "Pia", changes=True) as server:
        before = files(project.root / "datasets")
        for change, says in (
            ({"typed": film[:-1]}, "type f0"),
            ({"typed": project.clip(NAME)}, "type f0"),
            ({"ids": [film, "f0x"]}, "has changed since the dry run"),
            ({"ids": []}, "has changed since the dry run"),
            ({"typed": 5}, "something else"),
            ({"what": "c0aaaaaaaaaaaaaaaa-000"}, "no film here"),
        ):
            status, said = post(server, "erase", {**deed, **change})
            assert status == 409 and says in said["error"], said
        assert files(project.root / "datasets") == before and project.vault.keys.path(film).is_file()
        status, said = post(server, "erase", deed)
        assert status == 200 and said["left"] == 0, said
        assert json.loads(ask(server, f"erase?q={film}")[2])["error"].startswith(f"{film} was already")
    [path] = (project.root / "datasets/erasures").glob("2*.json")
    checked = certificate.verify(project.root, path)
    assert checked.holds and not checked.problems
    other = Project(enter_project(tmp_path / "other", monkeypatch))
    staff(other.root)
    printed = CliRunner().invoke(build(("erase",)), ["erase", other.clip(NAME), "--as", "Pia"])
    assert printed.exit_code == 0, printed.output
    [twin] = (other.root / "datasets/erasures").glob("2*.json")
    mine, its = (read_json(one)["body"] for one in (path, twin))
    assert mine.keys() == its.keys()
    assert (mine.pop("request")["by"], its.pop("request")["by"]) == ("id", "id")
    for key in ("keys_destroyed", "deleted", "samples_of_affected_models", "released"):
        assert mine[key] == its[key], key
    hits = [
        {store: (c["pieces"], c["hashes"], c["names"]) for store, c in b["found_after"].items()} for b in (mine, its)
    ]
    assert hits[0] == hits[1]
    assert kept(project) == kept(other) and NAME not in str(files(project.root / "datasets"))
    printed_lines = [" ".join(line.split()) for line in printed.output.splitlines()]
    told = [" ".join(line.split()) for line in said["lines"]]
    assert told[0] in printed_lines and told[-1] == printed_lines[-1]


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_prints_one_line_serves_and_ends_with_ctrl_c(office: Path) -> None:
    # who starts tests in the background has SIGINT ignored, and so would have what they start
    entry = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from aiprod.cli import main; main()"
    )
    words_ = [sys.executable, "-c", entry, "desk", "--port", "0", "--as", "Ada"]
    with subprocess.Popen(words_, cwd=office, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None and running.stderr is not None
            line = running.stdout.readline()
            found = re.fullmatch(
                r"open http://127\.0\.0\.1:(\d+)(/\S{20,}/) \(read-only, Ada: reviewer; .*Ctrl-C\)\n", line
            )
            assert found, line + running.stderr.read()
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
            connection.request("GET", found[2])
            assert connection.getresponse().status == 200
            taken = CliRunner().invoke(build(("desk",)), ["desk", "--port", found[1]])
            assert "cannot be used" in str(taken.exception) and "--port" in str(taken.exception)
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 0 and running.stdout.read() == "" and running.stderr.read() == ""
        finally:
            running.kill()
