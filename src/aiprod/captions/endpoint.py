"""The captioner that asks a server of the OpenAI protocol: frames out, a JSON answer in, nothing believed unchecked."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from aiprod.base.files import digest_of
from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.chat_client import AGAIN, ChatClient, EndpointDown, ServerFault
from aiprod.captions.content import Content, Evidence
from aiprod.captions.frames import timed_frames
from aiprod.captions.model_answer import FORMAT, INSTRUCTION, read_answer, response_format
from aiprod.captions.model_params import EndpointParams
from aiprod.captions.owner_metadata import tags_of
from aiprod.captions.phrasing import Wording
from aiprod.captions.rule_based import heard
from aiprod.captions.vlm import with_sound
from aiprod.errors import AiprodError, per_item

if TYPE_CHECKING:
    import numpy as np

    from aiprod.captions.params import CaptionParams

_JPEG_QUALITY = 85
_REQUEST_BYTES_MAX = 24 << 20
_ELSEWHERE = {"base_url", "private_films_at", "concurrency", "timeout_s", "attempts", "backoff_s", "retry_after_max_s"}
"""Parameters that change no answer."""
_FAILURES_MAX = 5


class EndpointCaptioner(Captioner):
    """Any model behind vLLM, SGLang, ``transformers serve`` or another server of the OpenAI protocol.

    Speech, music and other sound are added as measured: the server is sent pictures alone. A film with personal data
    is sent only where ``private_films_at`` names the server; else its clips get rule-based captions, and their rows say
    why.

    Raises:
        AiprodError: no address or no model is named, or the server cannot be used.
    """

    name = "endpoint"
    summary = "a model behind an OpenAI-compatible server (vLLM, SGLang, transformers serve); sound as measured"
    looks = True
    computes = False

    @classmethod
    def begin(cls, params: CaptionParams) -> Self:
        """With the model that the server names, or that the parameters name among several."""
        return cls(params.endpoint, params.seed)

    def __init__(self, params: EndpointParams, seed: int = 0) -> None:
        if not params.base_url:
            raise AiprodError("caption.endpoint.base_url is empty", "give one such as http://127.0.0.1:8000/v1")
        self._params, self._seed = params, seed
        known = asyncio.run(self._known())
        self._model = _chosen(params.model, known)
        entry = next((entry for entry in known if entry["id"] == self._model), {})
        identity = {key: _name(entry.get(key)) for key in ("id", "root", "parent", "revision") if entry.get(key)}
        self._model_name = _name(self._model)
        self._revision = params.revision or identity.get("revision", "")
        shape = params.model_dump(mode="json", exclude=_ELSEWHERE)
        self.version = digest_of([self._model_name, identity, shape, INSTRUCTION, FORMAT, _JPEG_QUALITY])[:16]

    async def _known(self) -> list[dict[str, Any]]:
        async with ChatClient(self._params) as client:
            return await client.models()

    def refusal(self, subject: Subject) -> str | None:
        """Why no picture of this clip is sent: its film holds personal data, and nobody permits this server."""
        if not subject.private or self._params.private_allowed:
            return None
        return (
            "not sent to the endpoint: the film holds personal data, or nothing says that it does not, and "
            f"caption.endpoint.private_films_at does not name {self._params.base_url}; captioned by rules instead"
        )

    def describe(self, subjects: Sequence[Subject]) -> list[Draft]:
        """A draft for each subject.

        Raises:
            AiprodError: the server cannot be used, or has no usable answer for one of them.
        """
        known = {subject.clip_id: draft for subject, draft in self.answers(subjects)}
        for draft in known.values():
            if isinstance(draft, str):
                raise AiprodError(*draft.split(" → ", 1))
        return [draft for subject in subjects if isinstance(draft := known[subject.clip_id], Draft)]

    def answers(self, subjects: Sequence[Subject]) -> Iterator[tuple[Subject, Draft | str]]:
        """Each subject with its draft or a reason, as the server answers; so many at a time as the parameters say.

        Raises:
            EndpointDown: the server cannot be used now. What was yielded before holds.
        """
        waiting, failures = iter(subjects), 0
        with asyncio.Runner() as runner:
            client = ChatClient(self._params)
            runner.run(client.__aenter__())
            under_way: set[asyncio.Task[tuple[Subject, Draft | str, bool]]] = set()
            try:
                while True:
                    while len(under_way) < self._params.concurrency and (subject := next(waiting, None)) is not None:
                        under_way.add(runner.get_loop().create_task(self._ask(client, subject)))
                    if not under_way:
                        return
                    done, under_way = runner.run(_first(under_way))
                    down: EndpointDown | None = None
                    for task in done:  # what was answered is handed over before anything ends the run
                        try:
                            subject, draft, own_fault = task.result()
                        except EndpointDown as error:
                            down = error
                            continue
                        failures = failures + 1 if own_fault else 0 if isinstance(draft, Draft) else failures
                        yield subject, draft
                    if down is None and failures >= _FAILURES_MAX:
                        down = EndpointDown(f"the endpoint failed on {failures} clips one after the other", AGAIN)
                    if down is not None:
                        raise down
            finally:
                for task in under_way:
                    task.cancel()
                runner.run(client.__aexit__())

    async def _ask(self, client: ChatClient, subject: Subject) -> tuple[Subject, Draft | str, bool]:
        """The subject with its draft, or why there is none and whether that is the server's fault."""
        try:
            return subject, await self._draft(client, subject), False
        except EndpointDown:
            raise
        except Exception as error:  # one clip that no answer is to be had for costs its own row
            return subject, per_item(error, f"the captioner {self.name!r}"), isinstance(error, ServerFault)

    async def _draft(self, client: ChatClient, subject: Subject) -> Draft:
        if subject.path is None:
            raise AiprodError(f"{subject.clip_id} has no processed file to look at", "see its row in ingest")
        shown = await asyncio.to_thread(timed_frames, subject.path, self._params.frames, self._params.longest_side_px)
        instruction = f"{self._params.prompt or INSTRUCTION}\n{FORMAT}"
        content: list[dict[str, Any]] = [{"type": "text", "text": instruction}]
        content += [{"type": "image_url", "image_url": {"url": data_url(picture)}} for _, picture in shown]
        if (size := sum(len(part["image_url"]["url"]) for part in content[1:])) > _REQUEST_BYTES_MAX:
            hint = "set caption.endpoint.frames or longest_side_px lower"
            raise AiprodError(f"the pictures of {subject.clip_id} fill {size >> 20} MiB", hint)
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self._params.tokens_max,
            "temperature": 0.0,
            "seed": 0,
        }
        reply = await client.complete(body, {"response_format": response_format()})
        answer = read_answer(_text_of(reply))
        evidence = Evidence(
            kind="model",
            source=self.name,
            method=self._model_name,
            version=self._revision or _revision_in(reply.get("model")) or "not told by the server",
            times_s=tuple(round(time_s, 3) for time_s, _ in shown),
        )
        sound = heard(subject.measurements, Wording(subject.clip_id, self._seed))
        claims: Content = answer.content(evidence).model_copy(update={"sound": sound})
        return Draft(with_sound(answer.caption, claims), tuple(tags_of(subject)), None, claims)


async def _first(tasks: set[asyncio.Task[Any]]) -> tuple[set[asyncio.Task[Any]], set[asyncio.Task[Any]]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def data_url(picture: np.ndarray) -> str:
    """An RGB picture [h, w, 3] as the address of a JPEG that holds it."""
    import cv2

    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise AiprodError("a frame cannot be encoded as JPEG", "look at the film")
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _chosen(wanted: str, known: Sequence[dict[str, Any]]) -> str:
    """The model to ask: the one that is wanted (some servers load what they do not list), else the only one."""
    if wanted:
        return wanted
    if len(known) == 1:
        return str(known[0]["id"])
    names = ", ".join(_name(entry["id"]) for entry in known[:8]) or "none"
    raise AiprodError(f"caption.endpoint.model is empty, and the server lists {names}", "name the model to ask")


def _name(value: Any) -> str:
    """A model's name as rows keep it: of a path on the server, the last part."""
    text = str(value or "")
    return text.rstrip("/").rpartition("/")[2] if text.startswith(("/", "~", "file:")) else text


def _revision_in(model: Any) -> str:
    """``abc`` of ``name@abc``, as `transformers serve` names what it has loaded."""
    return model.rpartition("@")[2][:200] if isinstance(model, str) and "@" in model else ""


def _text_of(reply: dict[str, Any]) -> Any:
    """The words of the first choice; None where the reply has another shape."""
    try:
        choice = reply["choices"][0]
        text, ended = choice["message"]["content"], choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    if ended == "length" and isinstance(text, str) and not text.rstrip().endswith(("}", "```")):
        raise AiprodError("the answer of the model is cut off", "set caption.endpoint.tokens_max higher")
    return text
