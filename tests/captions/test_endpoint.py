"""The endpoint captioner against a real HTTP server: what is sent, what a server may do wrong, and what stays here."""

from __future__ import annotations

import base64
import email.utils
import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.base.params import validate
from aiprod.captions.captioner import Draft, Subject
from aiprod.captions.chat_client import EndpointDown
from aiprod.captions.endpoint import EndpointCaptioner
from aiprod.captions.model_answer import read_answer
from aiprod.captions.model_params import EndpointParams
from aiprod.captions.params import CaptionParams
from aiprod.captions.stage import caption_all
from aiprod.data.rows import ClipRow
from aiprod.errors import AiprodError
from aiprod.media.encoding import encode
from aiprod.printable import escape_controls
from aiprod.qc.rows import MeasureRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.captions.chat_server import GOOD, Answer, ChatServer, said, serving
from tests.rows import clip_row

KEY = "sk-very-secret-0123456789"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Films of one grey each, by which the server tells them apart."""
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / f"{number}.mp4" for number in range(8)]
    for number, path in enumerate(paths):
        encode(path, (np.full((48, 64, 3), 20 + 25 * number, np.uint8) for _ in range(6)), Fraction(24), None)
    return paths


def captioner(server: ChatServer, **changes: Any) -> EndpointCaptioner:
    quick = {"frames": 2, "longest_side_px": 64, "backoff_s": 0.01, "attempts": 3, "timeout_s": 20.0, "concurrency": 2}
    return EndpointCaptioner(EndpointParams(base_url=server.url, **{**quick, **changes}))


def pictures(request: dict[str, Any]) -> list[np.ndarray]:
    urls = [part["image_url"]["url"] for part in request["messages"][0]["content"] if part["type"] == "image_url"]
    assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR) for url in urls
    ]


def number_of(request: dict[str, Any]) -> int:
    """Which film a request shows."""
    return round((float(pictures(request)[0].mean()) - 20) / 25)


def subjects(films: list[Path], **more: Any) -> list[Subject]:
    return [Subject(path.stem, {}, path=path, **more) for path in films]


# ── what is asked and what is kept of the answer ────────────────────────────────────────────────────────────────────


def test_frames_go_out_as_small_jpegs_and_claims_come_back_with_their_evidence(
    films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPROD_CAPTION_API_KEY", KEY)
    heard = {"events": {"status": "ok", "kind": "tones"}, "loudness": {"status": "ok", "integrated_lufs": -20.0}}
    with serving() as server:
        asked = captioner(server, longest_side_px=32)
        [draft] = asked.describe([Subject("0", heard, path=films[0])])
    assert [p.shape for p in pictures(server.asked[0])] == [(24, 32, 3)] * 2
    assert server.asked[0]["model"] == "seer" and set(server.keys) == {f"Bearer {KEY}"}
    assert draft.caption.startswith("A cat sits on a mat. ") and "ones" in draft.caption
    content = draft.content
    assert [content.words(p) for p in ("subject", "action", "place", "people")] == ["a cat", "sits", "on a mat", ""]
    [evidence] = content.subject[0].evidence
    assert (evidence.kind, evidence.source, evidence.method) == ("model", "endpoint", "seer")
    assert len(evidence.times_s) == 2
    assert {e.source for e in content.sound[0].evidence} == {"events", "loudness"}, "sound is measured here"
    assert KEY not in repr((draft, asked.version, vars(asked)))


def test_no_more_requests_run_at_once_than_allowed_and_order_does_not_matter(films: list[Path]) -> None:
    def slow(number: int, request: dict[str, Any]) -> Answer:
        body = said(json.dumps({**GOOD, "subject": f"film {number_of(request)}"}))
        return Answer(body, after_s=0.1 if number % 2 else 0.02)

    with serving(slow) as server:
        drafts = captioner(server, concurrency=3).describe(subjects(films))
        assert [d.content.words("subject") for d in drafts] == [f"film {number}" for number in range(8)]
        assert 2 <= server.most_at_once <= 3


def test_model_and_revision_are_what_the_server_says_or_what_is_stated(films: list[Path]) -> None:
    def version(**changes: Any) -> str:
        listed = changes.pop("models", None)
        with serving(**({"models": listed} if listed else {})) as server:
            return captioner(server, **changes).version

    first = version()
    assert first == version(), "another port is no other model"
    others = [version(models={"data": [{"id": "seer", "root": "seer-8b"}]}), version(revision="abc"), version(frames=3)]
    assert len({first, *others}) == 4
    with serving(models={"data": [{"id": "a"}, {"id": "b"}]}) as server:
        with pytest.raises(AiprodError, match="lists a, b"):
            captioner(server)
        [draft] = captioner(server, model="b", revision="0" * 40).describe(subjects(films[:1]))
    evidence = draft.content.subject[0].evidence[0]
    assert (evidence.method, evidence.version) == ("b", "0" * 40)
    assert server.asked[0]["model"] == "b"


# ── a server that is busy, fails, or is not what it seems ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(films: list[Path], status: int) -> None:
    with serving(lambda n, r: Answer(b"", status) if n < 2 else Answer()) as server:
        [draft] = captioner(server).describe(subjects(films[:1]))
    assert draft.caption == "A cat sits on a mat." and len(server.asked) == 3


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_that_asks_to_wait_is_left_alone_so_long(films: list[Path], as_date: bool) -> None:
    at: list[float] = []

    def busy(number: int, request: dict[str, Any]) -> Answer:
        at.append(time.time())
        wait = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
        return Answer(b"", 429, {"Retry-After": wait}) if number == 0 else Answer()

    with serving(busy) as server:
        captioner(server).describe(subjects(films[:1]))
    assert at[1] - at[0] >= 0.9
    with serving(lambda n, r: Answer(b"", 503, {"Retry-After": "86400"})) as server:
        with pytest.raises(EndpointDown, match="asks to wait 86400 s"):
            captioner(server).describe(subjects(films[:1]))
        assert len(server.asked) == 1


def test_a_server_that_stalls_or_is_gone_ends_the_run_in_one_line(films: list[Path]) -> None:
    with serving(lambda n, r: Answer(after_s=1.0)) as server, pytest.raises(EndpointDown, match=r"within 0\.2 s"):
        captioner(server, timeout_s=0.2, attempts=2).describe(subjects(films[:1]))
    assert len(server.asked) == 2
    with pytest.raises(EndpointDown, match="cannot be reached") as caught:
        captioner(server)
    assert "\n" not in str(caught.value)


NONSENSE: dict[str, Any] = {
    "no JSON": b"<html>busy</html>",
    "a list": [],
    "no choices": {"choices": []},
    "choices of another kind": {"choices": "yes"},
    "no content": said(None),
    "prose": said("A cat on a mat."),
    "other keys": said('{"description": "a cat"}'),
    "wrong types": said('{"caption": {"a": 1}}'),
    "an empty caption": said('{"caption": "  "}'),
    "a caption without end": said(json.dumps({"caption": "a" * 5000})),
    "a very long answer": said("{" * 30_000),
    "deep nesting": said('{"caption": ' + "[" * 15_000),
    "cut off": said('{"caption": "A cat', finish_reason="length"),
    "oversized": b'"' + b"x" * (3 << 20) + b'"',
    "a bomb of UTF-8": b"\xff\xfe" * 1000,
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_costs_the_clip_its_own_reason(films: list[Path], kind: str) -> None:
    with serving(lambda n, r: Answer(NONSENSE[kind]) if number_of(r) == 1 else Answer()) as server:
        answers = {s.clip_id: draft for s, draft in captioner(server).answers(subjects(films[:3]))}
    assert isinstance(answers["0"], Draft) and isinstance(answers["2"], Draft)
    assert isinstance(answers["1"], str) and " → " in answers["1"] and "\n" not in answers["1"]
    assert len(answers["1"]) < 500


@given(st.one_of(st.text(), st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))))
def test_whatever_a_model_writes_is_an_answer_or_one_line(value: Any) -> None:
    for text in (value, json.dumps(value), json.dumps({"caption": value})):
        try:
            answer = read_answer(text)
        except AiprodError as error:
            assert "\n" not in str(error)
        else:
            assert answer.caption.strip() and answer.caption == escape_controls(answer.caption), (
                "no controls, no second line"
            )


def test_an_answer_is_found_between_other_words() -> None:
    block = "Sure! Here it is:\n```json\n" + json.dumps({**GOOD, "text": ["EXIT", "STOP"], "extra": 1}) + "\n```"
    answer = read_answer(block)
    assert (answer.caption, answer.text, answer.people) == ("A cat sits on a mat.", "EXIT, STOP", "")


def test_a_server_that_knows_no_response_format_is_asked_without(films: list[Path]) -> None:
    def plain(number: int, request: dict[str, Any]) -> Answer:
        if "response_format" in request:
            return Answer({"error": "response_format is not supported"}, 400)
        return Answer()

    with serving(plain) as server:
        drafts = captioner(server, concurrency=1).describe(subjects(films[:3]))
    assert len(drafts) == 3
    assert ["response_format" in request for request in server.asked] == [True, False, False, False]


def test_a_clip_that_the_server_fails_on_costs_its_row_and_a_broken_server_the_run(films: list[Path]) -> None:
    with serving(lambda n, r: Answer(b"oops", 500) if number_of(r) == 1 else Answer()) as server:
        answers = {s.clip_id: draft for s, draft in captioner(server, attempts=2).answers(subjects(films[:4]))}
    assert [k for k, draft in sorted(answers.items()) if isinstance(draft, str)] == ["1"]
    assert "HTTP 500: oops" in str(answers["1"])
    with serving(lambda n, r: Answer(b"oops", 500)) as server, pytest.raises(EndpointDown, match="one after the other"):
        list(captioner(server, attempts=1).answers(subjects(films)))
    assert len(server.asked) <= 6


def test_a_redirect_is_not_followed_and_a_refused_key_is_not_shown(
    films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPROD_CAPTION_API_KEY", KEY)
    with serving() as elsewhere:
        away = Answer(b"", 307, {"Location": f"{elsewhere.url}/chat/completions"})
        with serving(lambda n, r: away) as server, pytest.raises(EndpointDown, match="redirects"):
            captioner(server).describe(subjects(films[:1]))
    assert not elsewhere.asked and not elsewhere.keys
    refusing = Answer({"error": f"invalid key {KEY}"}, 401)
    with serving(models=refusing) as server, pytest.raises(EndpointDown, match="AIPROD_CAPTION_API_KEY") as caught:
        captioner(server)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["base_url", "private_films_at"])
def test_an_address_with_a_secret_is_refused_without_repeating_it(key: str) -> None:
    for address in (f"http://user:{KEY}@127.0.0.1/v1", f"https://host/v1?api_key={KEY}"):
        with pytest.raises(AiprodError, match=f"caption.endpoint.{key}") as caught:
            validate(CaptionParams, {"endpoint": {key: address if key == "base_url" else [address]}}, "caption")
        assert KEY not in str(caught.value)
    with pytest.raises(AiprodError, match="not the address"):
        validate(CaptionParams, {"endpoint": {"base_url": "ftp://host"}}, "caption")


# ── in the stage ────────────────────────────────────────────────────────────────────────────────────────────────────


def dataset(films: list[Path], root: Path, *, private: bool = False) -> tuple[list[ClipRow], list[MeasureRow]]:
    """Clips of these films, as ingest and QC would have left them."""
    import hashlib

    (root / "processed").mkdir(parents=True, exist_ok=True)
    clips, mark = [], "0" if private else ""
    for number, path in enumerate(films):
        data = path.read_bytes()
        (root / "processed" / path.name).write_bytes(data)
        clips.append(
            clip_row(
                f"c{mark}{'a' * 15}{chr(97 + number)}-000",
                f"f{mark}{'a' * 15}{chr(97 + number)}",
                end_s=0.25,
                frames=6,
                processed_name=path.name,
                processed_sha256=hashlib.sha256(data).hexdigest(),
            )
        )
    return clips, [MeasureRow(clip_id=c.clip_id, film_id=c.film_id, status="ok") for c in clips]


def test_a_run_that_is_stopped_goes_on_where_it_was_even_at_another_address(
    films: list[Path], tmp_path: Path, state_home: Path
) -> None:
    clips, rows = dataset(films, tmp_path / "data")
    memo, store = Memo(tmp_path / "memo", ""), ClipStore(tmp_path / "data")
    dying = lambda n, r: Answer() if n < 3 else Answer(b"", 503)  # noqa: E731
    with serving(dying) as server, pytest.raises(EndpointDown, match="what it has described so far is kept"):
        caption_all(clips, rows, [], captioner(server, concurrency=1, attempts=2), memo=memo, store=store)
    with serving() as server:
        made, counters = caption_all(clips, rows, [], captioner(server), memo=memo, store=store)
        assert len(server.asked) == 5 == counters.processed and counters.reused == 3
        again, counters = caption_all(clips, rows, [], captioner(server), memo=memo, store=store)
    assert again == made and len(server.asked) == 5 and {row.status for row in made} == {"ok"}
    assert {row.captioner for row in made} == {"endpoint"}


def test_pictures_of_a_private_film_are_sent_only_where_its_policy_names_the_server(
    films: list[Path], tmp_path: Path, state_home: Path
) -> None:
    clips, rows = dataset(films[:2], tmp_path / "data", private=True)
    memo, store = Memo(tmp_path / "memo", ""), ClipStore(tmp_path / "data")
    with serving() as server, serving() as other:
        for allowed in ((), (other.url,)):
            guarded = captioner(server, private_films_at=allowed)
            made, _ = caption_all(clips, rows, [], guarded, memo=memo, store=store)
            assert not server.asked and not other.asked
            assert [(r.status, r.captioner) for r in made] == [("ok", "rule_based")] * 2
            assert all("private_films_at" in r.reasons[0] and server.url in r.reasons[0] for r in made)
        named = captioner(server, private_films_at=(server.url + "/",))
        made, _ = caption_all(clips, rows, [], named, memo=memo, store=store)
        assert [(r.status, r.captioner, r.reasons) for r in made] == [("ok", "endpoint", [])] * 2
        assert len(server.asked) == 2 and not other.asked
    assert guarded.refusal(Subject("a", {})) is None, "another film goes anywhere"
