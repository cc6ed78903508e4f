"""What a model is asked for, and its answer as validated claims: whatever a server sends, at worst it is refused."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from aiprod.captions.content import Content, Evidence, claim
from aiprod.errors import AiprodError
from aiprod.printable import escape_controls

INSTRUCTION = (
    "These pictures are frames of one video clip, in order and evenly spaced in time. Describe only what they show. "
    "Do not guess names, ages, origins or feelings of people, and leave empty what cannot be seen."
)
FORMAT = (
    "Answer with one JSON object and nothing else. Its keys, all of them text: "
    '"caption" (one or two sentences: subject, action, place, people, text in the picture, camera), '
    '"subject", "action", "place", "people" (how many, where, what they wear), '
    '"text" (words that can be read in the picture, as they stand), "camera". An empty text means: not seen.'
)
_SILENT = {"", "none", "n/a", "na", "null", "unknown", "not visible", "not seen", "no", "nothing", "empty", "-"}
_ANSWER_MAX = 20_000


def _flat(value: Any) -> Any:
    """Text on one line; models give null for what they do not see, and lists of several things."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ", ".join(value)
    return escape_controls(" ".join(value.split())) if isinstance(value, str) else value


def _plain_text(value: Any) -> Any:
    value = _flat(value)
    return "" if isinstance(value, str) and value.strip(" .").casefold() in _SILENT else value


Sentence = Annotated[str, BeforeValidator(_flat), Field(min_length=1, max_length=1500)]
Phrase = Annotated[str, BeforeValidator(_plain_text), Field(max_length=600)]


class Answer(BaseModel):
    """The answer of a model. Keys that nobody asked for are dropped."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    caption: Sentence
    subject: Phrase = ""
    action: Phrase = ""
    place: Phrase = ""
    people: Phrase = ""
    text: Phrase = ""
    camera: Phrase = ""

    def content(self, evidence: Evidence) -> Content:
        """The claims, each with the same evidence; the sentence stands for the subject where none is named."""
        return Content(
            subject=claim(self.subject or self.caption, evidence),
            action=claim(self.action, evidence),
            place=claim(self.place, evidence),
            people=claim(self.people, evidence),
            text=claim(self.text, evidence),
            technique=claim(self.camera, evidence),
        )


def response_format() -> dict[str, Any]:
    """The format as servers enforce it that can."""
    keys = list(Answer.model_fields)
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": keys,
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "caption", "strict": True, "schema": schema}}


def read_answer(text: Any) -> Answer:
    """The answer in what a model wrote: a JSON object, also between other words or in a block of code.

    Raises:
        AiprodError: there is none, or it has not the shape that was asked for.
    """
    if not isinstance(text, str) or not text.strip():
        raise _nonsense("is empty")
    if len(text) > _ANSWER_MAX:
        raise _nonsense(f"has {len(text)} characters")
    value = _first_object(text)
    if value is None:
        raise _nonsense(f"holds no JSON object: {escape_controls(' '.join(text.split()))[:80]!r}")
    try:
        return Answer.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise _nonsense(f"is wrong at {'.'.join(map(str, first['loc']))!r}: {first['msg']}") from None


def _first_object(text: str) -> dict[str, Any] | None:
    decoder = json.JSONDecoder()
    for start in [match.start() for match in re.finditer(r"\{", text)][:20]:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _nonsense(how: str) -> AiprodError:
    return AiprodError(f"the answer of the model {how}", "try another model, or more caption.endpoint.tokens_max")
