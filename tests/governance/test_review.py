"""Reviews: who may decide what, what a decision does to the verdict, and the page that takes decisions."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner, Result

from aiprod.base.canonical_json import former_canonical_json
from aiprod.base.denials import Refusal
from aiprod.base.yaml_file import read_yaml
from aiprod.commands import review as command
from aiprod.errors import AiprodError
from aiprod.governance.audit import log as audit_log
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.records import Records
from aiprod.governance.policy.roles import ROLES, require
from aiprod.governance.review.recording import Decision, event_of, record, unlogged
from aiprod.governance.review.report import report
from aiprod.governance.review.server import ReviewServer
from aiprod.governance.review.session import Sitting
from aiprod.governance.serving.http_ranges import Unsatisfiable, byte_range
from aiprod.qc.decide.reviews import REVIEWS, Review, load_reviews, with_reviews
from aiprod.qc.rows import VerdictRow

REPOSITORY = Path(__file__).resolve().parents[2]
PEOPLE = {"Ada": ["reviewer"], "Steward": ["data_steward"], "Pia": ["privacy_officer"], "Eve": ["ml_engineer"]}


@pytest.fixture
def desk_of(finished: Path) -> Path:
    (finished / ROLES).write_text(json.dumps({**read_yaml(REPOSITORY / ROLES), "people": PEOPLE}))
    (finished / REVIEWS).parent.mkdir(parents=True)
    (finished / REVIEWS).write_bytes(b"")
    return finished


def clip_at(root: Path, status: str) -> str:
    facts = Records(root)
    return next(v.clip_id for v in facts.verdicts.values() if v.status == status and v.clip_id in facts.clips)


def decided(root: Path, *, change: dict[str, Any] | None = None) -> dict[str, VerdictRow]:
    """The verdicts as the stage would write them, from the rules' rows (changed for one clip) and the reviews."""
    facts = Records(root)
    rows = [row.model_copy(update=(change or {}).get(row.clip_id, {})) for row in facts.verdicts.values()]
    reviews = load_reviews(root / REVIEWS)
    return {r.clip_id: r for r in with_reviews(rows, list(facts.films.values()), list(facts.clips.values()), reviews)}


def lacks() -> list[tuple[str, str]]:
    kinds = [e.value for e in AuditLog().entries() if e.value["kind"] == "refused-action"]
    return [(v["facts"]["action"], v["facts"]["lack"]) for v in kinds]


def test_the_shipped_file_is_empty_and_changes_nothing(desk_of: Path) -> None:
    assert (REPOSITORY / REVIEWS).is_file() and load_reviews(REPOSITORY / REVIEWS) == []
    assert decided(desk_of) == Records(desk_of).verdicts


def test_a_reviewer_lowers_an_approved_clip_and_the_verdict_says_why(desk_of: Path) -> None:
    clip = clip_at(desk_of, "APPROVED")
    record(desk_of, Decision(clip, "REJECTED", "a logo  in the\ncorner"), "Ada")
    row = decided(desk_of)[clip]
    assert (row.status, row.automatic) == ("REJECTED", "APPROVED")
    assert row.reasons[-1] == "review: REJECTED by a reviewer, APPROVED by the rules: a logo in the corner"
    others = {k: v for k, v in decided(desk_of).items() if k != clip}
    assert others == {k: v for k, v in Records(desk_of).verdicts.items() if k != clip}


def test_the_last_review_holds_and_the_log_vouches_for_each(desk_of: Path) -> None:
    clip = clip_at(desk_of, "APPROVED")
    record(desk_of, Decision(clip, "REJECTED"), "Ada")
    record(desk_of, Decision(clip, "APPROVED", "looked again"), "Ada")
    assert decided(desk_of)[clip].status == "APPROVED"
    reviews, log = load_reviews(desk_of / REVIEWS), AuditLog()
    assert [r.number for r in reviews] == [1, 2] and unlogged(reviews, log) == []
    forged = [reviews[0], reviews[1].model_copy(update={"verdict": "REJECTED"})]
    assert unlogged(forged, log) == forged[1:]
    text = b"".join(e.data for e in log.entries())
    assert b"Ada" not in text and b"looked again" not in text


def test_raising_a_rejected_clip_takes_a_role_that_may_override(desk_of: Path) -> None:
    clip = clip_at(desk_of, "APPROVED")
    change = {clip: {"status": "REJECTED"}}
    record(desk_of, Decision(clip, "APPROVED"), "Ada")  # of an approved clip: no authority to override
    row = decided(desk_of, change=change)[clip]
    assert row.status == "REJECTED" and row.reasons[-1].startswith(
        "review: not applied: REJECTED to APPROVED takes over"
    )
    rejected = with_status(desk_of, clip, "REJECTED")
    for name in ("Ada", "Pia", "Eve", "Mallory"):
        with pytest.raises(Refusal):
            record(rejected, Decision(clip, "APPROVED"), name)
    record(rejected, Decision(clip, "APPROVED", "the logo is ours"), "Steward")
    assert decided(rejected)[clip].status == "APPROVED"
    assert lacks() == [("override_verdict", "role")] * 2 + [("review", "role")] * 2


def test_a_clip_that_shows_people_takes_a_privacy_officer_and_a_basis(desk_of: Path) -> None:
    clip = clip_at(desk_of, "REVIEW_NEEDED")
    assert Records(desk_of).verdicts[clip].privacy_flags
    with pytest.raises(Refusal, match="accept_privacy"):
        record(desk_of, Decision(clip, "APPROVED", basis="consent", basis_ref="r"), "Ada")
    with pytest.raises(Refusal, match="--basis"):
        record(desk_of, Decision(clip, "APPROVED"), "Pia")
    with pytest.raises(Refusal, match="--basis"):
        record(desk_of, Decision(clip, "APPROVED", basis="none", basis_ref="r"), "Pia")
    assert lacks() == [("accept_privacy", "role"), ("review", "consent"), ("review", "consent")]
    record(desk_of, Decision(clip, "APPROVED", basis="legitimate_interests", basis_ref="LIA-7"), "Pia")
    row = decided(desk_of)[clip]
    assert row.status == "APPROVED" and "basis legitimate_interests (LIA-7)" in row.reasons[-1]
    record(desk_of, Decision(clip, "REJECTED"), "Ada")
    assert decided(desk_of)[clip].status == "REJECTED", "anybody who reviews may lower it"


def test_a_review_gives_no_right(desk_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_at(desk_of, "APPROVED")
    facts = Records(desk_of)
    film = facts.films[facts.clips[clip].film_id]
    denied = {**facts.films, film.film_id: film.model_copy(update={"effective_right": "deny"})}
    monkeypatch.setattr(Records, "films", denied)
    with pytest.raises(Refusal, match="may not be trained on"):
        record(desk_of, Decision(clip, "APPROVED"), "Ada")
    assert lacks() == [("review", "right")]


def test_a_review_is_of_the_pictures_that_were_seen(desk_of: Path) -> None:
    clip = clip_at(desk_of, "APPROVED")
    record(desk_of, Decision(clip, "REJECTED"), "Ada")
    reviews = load_reviews(desk_of / REVIEWS)
    facts = Records(desk_of)
    clips = [c.model_copy(update={"end_s": 2.0}) if c.clip_id == clip else c for c in facts.clips.values()]
    rows = with_reviews(list(facts.verdicts.values()), list(facts.films.values()), clips, reviews)
    row = next(r for r in rows if r.clip_id == clip)
    assert row.status == "APPROVED" and row.reasons[-1].startswith("review: not applied: it was of 0.00 to 3.00 s")


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_in_a_line_is_found_or_another_valid_line(position: int, bit: int) -> None:
    """What the file alone cannot tell, the log can: :func:`unlogged`."""
    review = Review(
        clip_id="c1",
        number=1,
        verdict="REJECTED",
        automatic="APPROVED",
        start_s=0,
        end_s=3,
        reviewer="Ada",
        authority={"review": "reviewer"},
        note="why",
    )
    line = bytearray(review.line())
    line[position % len(line)] ^= 1 << bit
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.jsonl"
        path.write_bytes(line)
        try:
            [found] = load_reviews(path)
        except AiprodError as error:
            assert "\n" not in str(error)
        else:
            assert found != review


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        (Decision("c-nothing", "REJECTED"), "there is no clip"),
        (Decision("", "MAYBE"), "is not a verdict"),  # type: ignore[arg-type]
        (Decision("", "REJECTED", "x" * 501), "longer than 500"),
        (Decision("", "REJECTED", sample="2020-Q1"), "there is no sample"),
    ],
)
def test_wrong_decisions_are_one_line(desk_of: Path, decision: Decision, says: str) -> None:
    from dataclasses import replace

    clip = decision.clip_id or clip_at(desk_of, "APPROVED")
    with pytest.raises(AiprodError, match=says):
        record(desk_of, replace(decision, clip_id=clip), "Ada")
    assert (desk_of / REVIEWS).read_bytes() == b""


def with_status(root: Path, clip: str, status: str) -> Path:
    """The workspace with one verdict changed, written by the real writer."""
    from aiprod.storage.manifest.manifest import write_manifest

    rows = [
        r.model_copy(update={"status": status}) if r.clip_id == clip else r for r in Records(root).verdicts.values()
    ]
    write_manifest(
        root / "datasets/v1/qc/decide",
        rows,
        row_model=VerdictRow,
        stage="qc_decide",
        key=lambda r: r.clip_id,
        params_digest="p",
        inputs={},
    )
    return root


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def server(desk_of: Path) -> Iterator[ReviewServer]:
    made = ReviewServer(Sitting(desk_of, require("Ada", "review", root=desk_of)))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def ask(server: ReviewServer, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if not path.startswith("//"):  # two slashes: as it is, without the token
        path = f"/{server.token}{path}"
    connection.request(method, path.replace("//", "/"), None if body is None else json.dumps(body), sent)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_the_page_needs_no_network_and_names_who_reviews(server: ReviewServer) -> None:
    status, headers, page = ask(server, "GET", "/")
    text = page.decode()
    assert status == 200 and "Ada, reviewer" in text and server.token not in text
    assert "http://" not in text and "https://" not in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert server.server_address[0] == "127.0.0.1"


def test_a_video_is_sent_whole_and_by_ranges(server: ReviewServer, desk_of: Path) -> None:
    [clip] = json.loads(ask(server, "GET", "/clips")[2])
    whole = (desk_of / f"datasets/v1/processed/{clip['clip_id']}.mp4").read_bytes()
    status, headers, body = ask(server, "GET", f"/video/{clip['clip_id']}")
    assert (status, body, headers["Accept-Ranges"]) == (200, whole, "bytes")
    status, headers, body = ask(server, "GET", f"/video/{clip['clip_id']}", Range="bytes=10-19")
    assert (status, body, headers["Content-Range"]) == (206, whole[10:20], f"bytes 10-19/{len(whole)}")
    assert ask(server, "GET", f"/video/{clip['clip_id']}", Range="bytes=-7")[2] == whole[-7:]
    assert ask(server, "GET", f"/video/{clip['clip_id']}", Range=f"bytes={len(whole)}-")[0] == 416
    assert ask(server, "HEAD", f"/video/{clip['clip_id']}", Range="bytes=0-4")[2] == b""
    approved = clip_at(desk_of, "APPROVED")
    for path in (f"/video/{approved}", "/video/../../../params.yaml", "/video/%2e%2e", "/params.yaml"):
        assert ask(server, "GET", path)[0] == 404, "only what lies on the desk"


@given(st.integers(1, 500), st.one_of(st.none(), st.text("bytes=-,0123456789", max_size=12)))
def test_a_range_never_leaves_the_file(size: int, header: str | None) -> None:
    try:
        found = byte_range(header, size)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found[0] <= found[1] < size


def test_without_the_printed_address_there_is_nothing_to_see(server: ReviewServer, desk_of: Path) -> None:
    """Any user of the machine can connect; only whoever was given the address is answered."""
    clip = clip_at(desk_of, "REVIEW_NEEDED")
    wanted = {"clip_id": clip, "verdict": "REJECTED", "note": "blurred"}
    wrong = ["x" * len(server.token), server.token[:-1], f"{server.token}x", server.token.swapcase(), "%00", "é", ""]
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/{server.token}/"
    for below in ("", "clips", f"video/{clip}", "verdict", "favicon.ico"):
        for prefix in ("//", *(f"//{quote(token)}/" for token in wrong)):
            for method in ("GET", "HEAD", "POST"):
                body = wanted if method == "POST" else None
                status, headers, said = ask(server, method, f"{prefix}{below}", body, X_Page_Token=server.token)
                assert status == 403 and clip not in said.decode(), (method, prefix, below)
                assert server.token not in said.decode() + str(headers)
    assert load_reviews(desk_of / REVIEWS) == []
    status, headers, _ = ask(server, "GET", "/")
    assert status == 200 and "Set-Cookie" not in headers and headers["Referrer-Policy"] == "no-referrer"


def test_what_is_no_request_of_the_page_is_answered_in_words(
    server: ReviewServer, desk_of: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = {"clip_id": clip_at(desk_of, "REVIEW_NEEDED"), "verdict": "REJECTED", "note": "dark"}
    for more in ({"Origin": "http://127.0.0.1:1"}, {"Origin": "null"}, {"X_Page_Token": "é"}):
        assert ask(server, "POST", "/verdict", wanted, **{"X_Page_Token": server.token, **more})[0] == 403
    for size in ("abc", "-5", "²", "9" * 30):
        assert ask(server, "POST", "/verdict", None, X_Page_Token=server.token, Content_Length=size)[0] == 400
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.request("POST", f"/{server.token}/verdict", b"[" * 9000, {"X-Page-Token": server.token})
    assert connection.getresponse().status == 400
    assert capfd.readouterr().err == ""
    own = f"http://127.0.0.1:{server.server_address[1]}"
    assert ask(server, "POST", "/verdict", wanted, X_Page_Token=server.token, Origin=own)[0] == 200


def test_a_decision_takes_the_token_of_the_page_and_this_hosts_name(server: ReviewServer, desk_of: Path) -> None:
    clip = clip_at(desk_of, "REVIEW_NEEDED")
    wanted = {"clip_id": clip, "verdict": "REJECTED", "note": "blurred"}
    assert ask(server, "POST", "/verdict", wanted)[0] == 403
    assert ask(server, "POST", "/verdict", wanted, X_Page_Token=server.token, Host="evil.example")[0] == 404
    assert ask(server, "GET", "/", Host="evil.example:80")[0] == 404
    for bad in ([], {"clip_id": 5}, {"clip_id": clip, "x": "y"}, {"clip_id": clip_at(desk_of, "APPROVED")}):
        assert ask(server, "POST", "/verdict", bad, X_Page_Token=server.token)[0] in (400, 409)
    assert load_reviews(desk_of / REVIEWS) == []
    status, _, body = ask(server, "POST", "/verdict", wanted, X_Page_Token=server.token)
    assert (status, json.loads(body)["number"]) == (200, 1)
    [review] = load_reviews(desk_of / REVIEWS)
    assert (review.reviewer, review.verdict, review.note) == ("Ada", "REJECTED", "blurred")


def test_what_a_reviewer_may_not_do_the_page_says_in_one_line(server: ReviewServer, desk_of: Path) -> None:
    wanted = {"clip_id": clip_at(desk_of, "REVIEW_NEEDED"), "verdict": "APPROVED"}
    status, _, body = ask(server, "POST", "/verdict", wanted, X_Page_Token=server.token)
    assert status == 409 and "may not accept_privacy" in json.loads(body)["error"]
    assert lacks() == [("accept_privacy", "role")], "and it is logged once"


def test_a_rejection_takes_a_reason(server: ReviewServer, desk_of: Path) -> None:
    wanted = {"clip_id": clip_at(desk_of, "REVIEW_NEEDED"), "verdict": "REJECTED", "note": "  "}
    status, _, body = ask(server, "POST", "/verdict", wanted, X_Page_Token=server.token)
    assert status == 409 and "takes a reason" in json.loads(body)["error"]
    assert load_reviews(desk_of / REVIEWS) == []


def test_a_decision_is_undone_until_the_sitting_ends_and_the_log_keeps_both(
    server: ReviewServer, desk_of: Path
) -> None:
    clip = clip_at(desk_of, "REVIEW_NEEDED")
    undo = lambda: ask(server, "POST", "/undo", {}, X_Page_Token=server.token)  # noqa: E731
    assert ask(server, "POST", "/undo", {})[0] == 403
    assert undo()[0] == 409, "nothing was decided yet"
    for verdict, note in (("REVIEW_NEEDED", ""), ("REJECTED", "a stray key")):
        wanted = {"clip_id": clip, "verdict": verdict, "note": note}
        assert ask(server, "POST", "/verdict", wanted, X_Page_Token=server.token)[0] == 200
    status, _, body = undo()
    assert (status, json.loads(body)) == (200, {"clip_id": clip, "decided": "REVIEW_NEEDED"})
    assert [review.verdict for review in load_reviews(desk_of / REVIEWS)] == ["REVIEW_NEEDED"]
    assert json.loads(undo()[2]) == {"clip_id": clip, "decided": None}
    assert load_reviews(desk_of / REVIEWS) == [] and undo()[0] == 409
    facts = [entry.value["facts"] for entry in AuditLog().entries() if entry.value["kind"] == "review"]
    assert [fact.get("undone") for fact in facts] == [None, None, 2, 1]
    assert unlogged(load_reviews(desk_of / REVIEWS), AuditLog()) == []


def test_what_another_sitting_decided_since_is_not_undone(server: ReviewServer, desk_of: Path) -> None:
    clip = clip_at(desk_of, "REVIEW_NEEDED")
    wanted = {"clip_id": clip, "verdict": "REVIEW_NEEDED"}
    assert ask(server, "POST", "/verdict", wanted, X_Page_Token=server.token)[0] == 200
    record(desk_of, Decision(clip_id=clip, verdict="REJECTED", note="dark"), "Ada")
    status, _, body = ask(server, "POST", "/undo", {}, X_Page_Token=server.token)
    assert status == 409 and "no longer the latest" in json.loads(body)["error"]
    assert [review.verdict for review in load_reviews(desk_of / REVIEWS)] == ["REVIEW_NEEDED", "REJECTED"]


def test_the_player_comes_before_the_list_and_clips_have_names(server: ReviewServer, desk_of: Path) -> None:
    text = ask(server, "GET", "/")[2].decode()
    assert text.index('<video id="video"') < text.index('id="verdicts"') < text.index('<ol id="list"')
    [clip] = json.loads(ask(server, "GET", "/clips")[2])
    film = Records(desk_of).films[Records(desk_of).clips[clip["clip_id"]].film_id]
    assert (clip["title"], clip["shot"]) == (film.title, 0)


# ── the commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


def call(*words: str) -> Result:
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    return CliRunner().invoke(app, ["review", *words])


def test_the_commands_from_announcement_to_report(desk_of: Path) -> None:
    from tests.governance.test_review_sampling import commit

    clip = clip_at(desk_of, "APPROVED")
    assert isinstance(call("sample", "q", "--announce", "beacon", "--as", "Ada").exception, Refusal)
    assert "Commit datasets/reviews/samples" in call("sample", "q", "--announce", "beacon", "--as", "Steward").output
    assert "nothing looked at yet" in call("report", "q").output
    commit(desk_of)
    drawn = call("sample", "q", "--value", "42", "--as", "Steward").output
    assert "demo × CC0-1.0" in drawn and "open-film × CC-BY-3.0" in drawn
    assert len(Sitting(desk_of, require("Ada", "review", root=desk_of), "q").clips()) == 6
    said = call("record", clip, "rejected", "--sample", "q", "--note", "frozen", "--as", "Ada")
    assert said.exit_code == 0 and "APPROVED → REJECTED by Ada (review as reviewer)" in said.output
    text = call("report")
    assert "drawn again: the same clips" in text.output and text.exit_code == 0, "not finished is no answer yet"
    found = report(desk_of, "q", AuditLog())
    assert [s.defects for s in found.samples[0].strata] == [1, 0] or [s.defects for s in found.samples[0].strata] == [
        0,
        1,
    ]
    for other in Sitting(desk_of, require("Ada", "review", root=desk_of), "q").clips():
        if other["decided"] is None:
            call("record", other["clip_id"], "APPROVED", "--sample", "q", "--as", "Ada")
    done = call("report", "q", "--json")
    document = json.loads(done.output)
    assert done.exit_code == 1 and document["samples"][0]["done"], "one defect of five does not exclude 5 %"
    waiting = call("list").output
    clip = clip_at(desk_of, "REVIEW_NEEDED")
    facts = Records(desk_of)
    film = facts.films[facts.clips[clip].film_id]
    assert f"{clip}  {film.source_id}/{film.key}  " in waiting


def test_a_line_that_the_log_does_not_know_is_named(desk_of: Path) -> None:
    clip = clip_at(desk_of, "APPROVED")
    review = Review(
        clip_id=clip,
        number=1,
        verdict="APPROVED",
        automatic="REJECTED",
        start_s=0,
        end_s=3,
        reviewer="Mallory",
        authority={"review": "reviewer", "override_verdict": "legal"},
    )
    (desk_of / REVIEWS).write_bytes(review.line())
    said = call("report")
    assert said.exit_code == 1 and f"NOT IN THE LOG: {clip} #1" in said.output


def test_a_review_that_an_earlier_release_wrote_is_read_and_vouched_for(desk_of: Path) -> None:
    review = Review(
        clip_id="c1-000",
        number=1,
        verdict="REJECTED",
        automatic="REVIEW_NEEDED",
        start_s=0.0,
        end_s=10.0,
        reviewer="r",
        authority={"review": "reviewer"},
    )
    REVIEWS.parent.mkdir(parents=True, exist_ok=True)
    REVIEWS.write_bytes(review.former_line())
    assert b"10.0" in review.former_line() and load_reviews(REVIEWS) == [review]
    log = AuditLog()
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(audit_log, "canonical_json", former_canonical_json)
        assert log.append([event_of(review)], once=True) == 1
    assert unlogged([review], log) == []
    assert log.append([event_of(review)], once=True) == 0
    assert unlogged([review.model_copy(update={"end_s": 11.0})], log) != []
