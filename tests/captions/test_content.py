"""What captions claim of people, text, speech, music and movement, and that nothing is claimed without evidence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.captions.captioner import Subject
from aiprod.captions.content import PARTS, Content
from aiprod.captions.rule_based import RuleBased
from tests.captions.test_rule_based import REAL

SOUNDING = {
    "events": {"status": "ok", "kind": "varied"},
    "loudness": {"status": "ok", "integrated_lufs": -40.0},
}


def described(found: dict[str, Any], **more: Any) -> tuple[str, Content]:
    [draft] = RuleBased().describe([Subject("c", {**REAL, **found}, **more)])
    return draft.caption, draft.content


def persons(*boxes: tuple[int, list[float]], stills: int = 4) -> dict[str, Any]:
    """Figures of the check `persons`: (still, box) each."""
    counts = [sum(still == n for still, _ in boxes) for n in range(stills)]
    return {
        "status": "ok",
        "method": "net",
        "version": "7",
        "times_s": [0.5 * n for n in range(stills)],
        "stills_with_persons": sum(count > 0 for count in counts),
        "persons_max": max(counts),
        "boxes": [{"still": s, "box": box, "confidence": 0.9, "by": "body"} for s, box in boxes],
    }


def text(*lines: tuple[int, str, float], personal: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "status": "ok",
        "times_s": [0.0, 1.0, 2.0],
        "lines": [{"still": s, "box": [0, 0, 1, 1], "text": words, "confidence": c} for s, words, c in lines],
        "stills_with_text": len({s for s, _, _ in lines}),
        "lasting": [],
        "area_fraction": 0.1,
        "personal": list(personal),
    }


def voices(kind: str, **shares: float) -> dict[str, Any]:
    fractions = {f"{name}_fraction": shares.get(name, 0.0) for name in ("speech", "music", "noise", "silence")}
    return {
        "status": "ok",
        "kind": kind,
        **fractions,
        "spans": [{"kind": kind, "start_s": 0.5, "end_s": 2.0}],
        "speech": shares.get("speech", 0.0) > 0.1,
    }


LEFT, RIGHT = [0.05, 0.1, 0.2, 0.8], [0.75, 0.1, 0.2, 0.8]


def test_people_are_stated_with_place_and_number_only_where_all_stills_agree() -> None:
    one, content = described({"persons": persons((0, LEFT), (1, LEFT), (2, LEFT))})
    assert re.search(r"[Aa] person is (seen|visible) on the left", one)
    [evidence] = content.people[0].evidence
    assert (evidence.source, evidence.method, evidence.version) == ("persons", "net", "7")
    assert evidence.times_s == (0.0, 0.5, 1.0) and evidence.confidence == 0.9
    wandering, _ = described({"persons": persons((0, LEFT), (1, RIGHT))})
    assert "person" in wandering and not re.search("left|right", wandering.split(".")[0])
    both = [(still, box) for still in range(3) for box in (LEFT, RIGHT)]
    assert "wo people are" in described({"persons": persons(*both)})[0]
    unsure, _ = described({"persons": persons((0, LEFT), (0, RIGHT), (1, LEFT))})
    assert "eople are" in unsure and "two" not in unsure.casefold()
    none, content = described({"persons": persons()})
    assert not re.search("person|people", none) and not content.people


def test_text_is_quoted_where_it_was_read_surely_and_never_where_it_is_personal() -> None:
    sure, content = described({"text": text((0, "IMAGINE THIS", 0.98), (1, "IMAGINE THIS", 0.95), (2, "1lI|", 0.3))})
    assert "The words “IMAGINE THIS” can be read." in sure and "1lI" not in sure
    assert content.text[0].evidence[0].times_s == (0.0, 1.0)
    dim, _ = described({"text": text((0, "IMAGINE THIS", 0.4))})
    assert "IMAGINE" not in dim and "Lettering is in the picture." in dim
    mine, content = described({"text": text((0, "anna@example.org", 0.99), personal=("e-mail",))})
    assert "anna" not in mine + content.model_dump_json() and "Lettering is in the picture." in mine


def test_of_different_readings_the_one_of_most_stills_is_quoted_and_of_none_that_agree_none() -> None:
    agreed = text((0, "THIS", 0.99), (1, "THIS", 0.99), (2, "THIIS", 0.95))
    assert "The words “THIS” can be read." in described({"text": agreed})[0]
    unsure = text((0, "1GOAL:", 0.95), (1, "TGOAL:", 0.95), (2, "IGOAL:", 0.99))
    assert "Lettering is in the picture." in described({"text": unsure})[0]
    assert "Lettering is in the picture." in described({"text": text((0, "FS", 0.99))})[0]
    assert "Digits are in the picture." in described({"text": text((0, "01:00:04:07", 1.0))})[0]


def test_a_space_that_the_reader_left_out_is_put_in_and_a_part_of_a_line_is_no_line() -> None:
    assert "“4 ENGINES”" in described({"text": text((0, "4ENGINES", 0.95), (1, "4ENGINES", 0.95))})[0]
    assert "“VP9 in 4K at 1080p”" in described({"text": text((0, "VP9 in 4K at 1080p", 0.95))})[0]
    fading = text((0, "THE BLENDER FOUNDATION", 0.95), (1, "THE BLENDER FOUNDATION", 0.95), (2, "THE", 0.95))
    assert "The words “THE BLENDER FOUNDATION” can be read." in described({"text": fading})[0]


def test_others_of_a_sure_thing_are_counted_and_one_person_is_where_every_face_is() -> None:
    bottles = [
        {"still": 1, "box": [x, 0.5, 0.1, 0.4], "label": "bottle", "confidence": c} for x, c in ((0, 0.6), (0.5, 0.4))
    ]
    assert re.search("[Bb]ottles are", described({"persons": {**persons(), "things": bottles}})[0])
    faces = {"status": "ok", "found": True, "faces_max": 1, "times_s": [0.0, 1.0], "method": "net", "version": "1"}
    seen = [{"still": n, "box": [x, 0.2, 0.1, 0.1], "confidence": 0.9} for n, x in ((0, 0.1), (1, 0.8))]
    moves, _ = described({"persons": persons((0, LEFT)), "faces": {**faces, "boxes": seen}})
    assert "person" in moves and not re.search("left|right", moves.split(".")[0])


def test_speech_and_music_are_stated_and_silence_outranks_them() -> None:
    speech, content = described({**SOUNDING, "voices": voices("speech", speech=0.6, music=0.3, noise=0.1)})
    assert re.search("speaks|[Ss]peech is heard", speech) and re.search("quiet music", speech)
    assert [claim.evidence[0].source for claim in content.sound] == ["voices", "voices"]
    assert content.sound[0].evidence[0].times_s == (0.5,)
    noise, content = described({**SOUNDING, "voices": voices("noise", noise=1.0)})
    assert not re.search("speak|speech|music", noise, re.IGNORECASE) and content.sound[0].evidence[0].source == "events"
    silent = {**SOUNDING, "events": {"status": "ok", "kind": "silent"}, "voices": voices("music", music=1.0)}
    assert "music" not in described(silent)[0]


def test_the_order_is_subject_action_people_text_sound_technique() -> None:
    found = {**SOUNDING, "voices": voices("speech", speech=0.9), "persons": persons((0, LEFT), (1, LEFT), (2, LEFT))}
    caption, _ = described({**found, "text": text((0, "EXIT NOW", 0.99))}, title="A meadow")
    marks = ["A meadow", "person", "EXIT NOW", r"speak|speech|voice", "shot", "camera"]
    places = [re.search(mark, caption).start() for mark in marks]  # type: ignore[union-attr]
    assert places == sorted(places), caption


def test_statements_of_the_owner_are_marked_as_such_and_can_be_left_out() -> None:
    caption, content = described({}, title="Two dogs run", description="a beach")
    assert caption.startswith("Two dogs run. ")
    assert [(e.kind, e.source) for e in content.subject[0].evidence] == [("stated", "title")]
    for name in ("IMG_2041.MOV", "DSC00012", "clips/a.mp4", "holiday.mkv", "VID-20240101"):
        assert not described({}, title=name)[1].subject, name
    [draft] = RuleBased(statements=False).describe([Subject("c", REAL, title="Two dogs run")])
    assert "dogs" not in draft.caption and not draft.content.subject


FIGURES = st.fixed_dictionaries(
    {
        "persons": st.sampled_from(
            [persons(), persons((0, LEFT)), persons((0, LEFT), (0, RIGHT)), {"status": "error"}]
        ),
        "text": st.sampled_from([text(), text((0, "A “quoted” SIGN", 0.9)), text((1, "x", 0.9)), {"status": "error"}]),
        "voices": st.sampled_from([voices("silence"), voices("speech", speech=0.5), voices("music", music=0.8), {}]),
        "events": st.sampled_from([{"status": "ok", "kind": k} for k in ("silent", "tones", "steady")] + [{}]),
        "faces": st.sampled_from([{"status": "ok", "found": True, "faces_max": 2}, {"status": "unmeasurable"}]),
        "motion": st.sampled_from([REAL["motion"], {**REAL["motion"], "cuts": 3}, {"status": "unmeasurable"}]),
        "palette": st.sampled_from([REAL["palette"], {"status": "unmeasurable"}]),
    }
)


@given(FIGURES, st.integers(0, 5), st.sampled_from([None, "A meadow", "IMG_0001.MOV"]))
def test_every_word_of_a_caption_stands_in_a_claim_and_every_claim_has_evidence(
    figures: dict[str, Any], seed: int, title: str | None
) -> None:
    [draft] = RuleBased(seed).describe([Subject(f"c{seed}", {**REAL, **figures}, title=title)])
    left = draft.caption.casefold()
    for part in PARTS:
        for claim in getattr(draft.content, part):
            assert claim.evidence and claim.words.casefold() in left, "said once, and claimed once"
            left = left.replace(claim.words.casefold(), "", 1)
    assert not re.sub(r"[;,. ]", "", left), f"words without a claim: {left}"
    assert Content.model_validate(json.loads(draft.content.model_dump_json())) == draft.content


def normal(caption: str) -> str:
    """A caption without the choice between wordings of the same meaning, as far as these films meet it."""
    for words, one in (
        ("the camera does not move|the camera is still", "still"),
        ("it has no sound|there is no sound", "mute"),
        ("something moves a little|there is a little movement", "moves a little"),
        ("something moves|there is movement", "moves"),
        ("mainly in|in", "in"),
    ):
        caption = re.sub(words, one, caption, flags=re.IGNORECASE)
    return caption


@pytest.mark.slow
def test_clips_of_different_signs_differ_in_more_than_wording(shared_clips: Path) -> None:
    """People who sign before the same wall: all five captions differ, also without the choice of words."""
    from aiprod.qc.measure.standalone import FileJob, examine
    from aiprod.qc.measure_params import QcMeasureParams

    films = sorted((shared_clips / "open").glob("intel_asl_*"))
    assert len(films) == 5
    captions = []
    for film in films:
        row, _ = examine(FileJob(film, QcMeasureParams()))
        [draft] = RuleBased().describe([Subject(film.name, row.measurements)])
        assert draft.content.action and draft.content.people, "somebody moves and is seen"
        captions.append(normal(draft.caption))
    assert len(set(captions)) == 5, captions
