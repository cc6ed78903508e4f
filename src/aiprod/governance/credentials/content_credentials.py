"""Content Credentials (C2PA) in generated videos: written when a video leaves, read back and verified at any time.

A credential says that the video was made by a trained algorithm, and names the digest of the model and the root of the
dataset. It holds random ids, so that the same video signed twice differs; DVC outputs are therefore never signed, their
copies are.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from aiprod.base.canonical_json import canonical_json
from aiprod.base.files import atomic_path
from aiprod.errors import AiprodError, words_of
from aiprod.governance.credentials.signing_identity import Identity

LINEAGE = "org.aiprod.lineage"
SOFT_BINDING = "c2pa.soft-binding"
FINGERPRINT = "org.aiprod.fingerprint"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
OF_PARTS = "http://cv.iptc.org/newscodes/digitalsourcetype/composite"
WITH_GENERATED_PARTS = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_FORMATS = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".png": "image/png",
}


@dataclass(frozen=True)
class Credential:
    """What a file's Content Credentials say.

    Attributes:
        state: ``Trusted`` (whole, and the signer's root is trusted here), ``Valid`` (whole, signer on no list here) or
            ``Invalid``.
        signer: common name in the signing certificate.
        source_type: IPTC digital source type of the action that created it.
        lineage: model_digest, dataset_root, prompt and more, as signed.
        fingerprint: of its pictures and sound, as signed.
        problems: what does not verify, one line each.
    """

    state: str
    signer: str
    source_type: str
    lineage: dict[str, Any]
    fingerprint: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class IngredientFile:
    """A file that a film is made of.

    Attributes:
        generated: whether a model made it.
        actions: C2PA's names of what was done with it, such as ``c2pa.placed`` and ``c2pa.color_adjustments``.
    """

    name: str
    path: Path
    generated: bool
    actions: tuple[str, ...] = ("c2pa.placed",)


def sign_video(  # noqa: PLR0917
    source: Path,
    target: Path,
    facts: dict[str, Any],
    signer: Identity,
    parts: Sequence[IngredientFile] | None = None,
    fingerprint: dict[str, Any] | None = None,
) -> None:
    """Write a signed copy of a generated video or of a film.

    Args:
        facts: what is signed with it; of a generated video, ``model_digest`` and ``dataset_root`` must be among it.
        parts: of a film: each becomes an ingredient, with its own credentials where it carries some.
        fingerprint: of its pictures and sound, which C2PA calls a soft binding: by it the credentials are found again
            of a copy that was encoded anew and lost them.

    Raises:
        AiprodError: a fact is missing, or the file or certificate cannot be signed with.
    """
    import c2pa

    for name in ("model_digest", "dataset_root") if parts is None else ():
        if not facts.get(name):
            raise AiprodError(
                f"{source.name} cannot be signed: its {name} is not known", "generate it with this version"
            )
    program = {"name": "AIPROD", "version": metadata.version("aiprod")}
    kind = SOURCE_TYPE
    if parts is not None:
        kind = WITH_GENERATED_PARTS if any(part.generated for part in parts) else OF_PARTS
    actions: list[dict[str, Any]] = [
        {"action": "c2pa.created", "digitalSourceType": kind, "softwareAgent": program},
        *(
            {"action": done, "softwareAgent": program, "parameters": {"ingredientIds": [f"part-{number}"]}}
            for number, part in enumerate(parts or ())
            for done in part.actions
        ),
    ]
    manifest = {
        "claim_generator_info": [program],
        "title": source.name,
        "format": _FORMATS.get(source.suffix.lower(), "video/mp4"),
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": LINEAGE, "data": facts},
            *([{"label": SOFT_BINDING, "data": _soft_binding(fingerprint)}] if fingerprint else []),
        ],
    }
    timestamp_url = signer.timestamps.encode() if signer.timestamps else None
    info = c2pa.C2paSignerInfo(signer.algorithm.encode(), signer.chain, signer.key, timestamp_url)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_path(target) as temporary, tempfile.TemporaryDirectory(dir=target.parent) as folder:
            signed = Path(folder) / f"signed{source.suffix}"  # the library refuses a target that exists
            with (
                c2pa.Signer.from_info(info) as key,
                c2pa.Builder(json.dumps(manifest), _context(signer.anchors)) as builder,
            ):
                for number, part in enumerate(parts or ()):
                    _add(builder, number, part)
                builder.sign_file(source, signed, key)
            os.replace(signed, temporary)
    except c2pa.C2paError as error:
        hint = "check certificate and key"
        if signer.timestamps:
            hint += f", and whether the time-stamp authority {signer.timestamps} answers"
        raise AiprodError(f"{source.name} cannot be signed ({words_of(error)})", hint) from None


def _soft_binding(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """The assertion of C2PA's specification: one block for the whole, its value in base64."""
    value = base64.b64encode(canonical_json(fingerprint)).decode()
    return {"alg": f"{FINGERPRINT}.v{fingerprint['version']}", "blocks": [{"scope": {}, "value": value}], "pad": ""}


def _add(builder: Any, number: int, part: IngredientFile) -> None:
    kind = _FORMATS.get(part.path.suffix.lower(), "application/octet-stream")
    about = {"title": part.name, "relationship": "componentOf", "label": f"part-{number}", "format": kind}
    with part.path.open("rb") as file:
        builder.add_ingredient(json.dumps(about), kind, file)


def read_credential(path: Path, anchors: bytes) -> Credential | None:
    """The credential of a file; None where it carries none.

    Args:
        anchors: PEM of the roots that are trusted.

    Raises:
        AiprodError: it carries one that cannot be read.
    """
    import c2pa

    try:
        reader = c2pa.Reader.try_create(path, context=_context(anchors))
        if reader is None:
            return None
        with reader:
            active, state = reader.get_active_manifest() or {}, reader.get_validation_state() or "Invalid"
            results = reader.get_validation_results() or {}
    except c2pa.C2paError as error:
        if "NotSupported" in type(error).__name__:
            return None
        line = str(error).replace("\n", " ")
        raise AiprodError(
            f"the Content Credentials of {path.name} cannot be read ({line})", "obtain the file again"
        ) from None
    data = {a["label"]: a.get("data", {}) for a in active.get("assertions", [])}
    actions: list[dict[str, Any]] = next(
        (d.get("actions", []) for label, d in data.items() if label.startswith("c2pa.actions")), []
    )
    failures = (results.get("activeManifest") or {}).get("failure", [])
    return Credential(
        state=state,
        signer=str((active.get("signature_info") or {}).get("common_name", "unknown")),
        source_type=str(next((a.get("digitalSourceType", "") for a in actions), "")),
        lineage=dict(data.get(LINEAGE, {})),
        fingerprint=_fingerprint(data.get(SOFT_BINDING)),
        problems=[f"{f.get('code')}: {f.get('explanation', '')}" for f in failures] if state == "Invalid" else [],
    )


def _fingerprint(binding: Any) -> dict[str, Any] | None:
    """What a soft binding holds; None where it is another's, or none."""
    try:
        if not binding["alg"].startswith(f"{FINGERPRINT}."):
            return None
        (block,) = binding["blocks"]
        return dict(json.loads(base64.b64decode(block["value"], validate=True)))
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _context(anchors: bytes) -> Any:
    """Settings for one call: nothing is fetched, and only the given roots are trusted."""
    import c2pa

    settings: dict[str, Any] = {
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if anchors:
        settings["trust"] = {"trust_anchors": anchors.decode()}
    return c2pa.Context(c2pa.Settings.from_dict(settings))
