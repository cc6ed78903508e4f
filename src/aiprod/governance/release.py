"""Release: generated videos leave with Content Credentials, and with the documents that must travel with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.errors import AiprodError
from aiprod.base.files import read_json, sha256_file, write_text
from aiprod.base.refusals import Refusal
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.credentials import sign_video
from aiprod.governance.documents.all import written
from aiprod.governance.dossier import attributions
from aiprod.governance.licences import SHARE_ALIKE
from aiprod.governance.model_card import model_card
from aiprod.governance.records import Records
from aiprod.governance.roles import require
from aiprod.governance.signing_identity import Identity, identity

_SIGNED = ("model_digest", "dataset_root", "prompt", "seed", "synthetic")


@dataclass(frozen=True)
class Released:
    """What was written."""

    videos: list[Path]
    documents: list[Path]
    signer: Identity


def release(
    root: Path, videos: list[Path], folder: Path, *, actor: str | None = None, share_alike_cleared: bool = False
) -> Released:
    """Write signed copies of generated videos into ``folder``, with credits, model card and training summary.

    Args:
        actor: who asks; they need a role that may release.
        share_alike_cleared: legal has decided how share-alike obligations are met (docs/DATA_GOVERNANCE.md, section 9).

    Raises:
        Refusal: the person may not release, share-alike is not cleared, or the key to sign with is not there.
        AiprodError: a video is not one that AIPROD described.
    """
    person = require(actor, "release", subject="release", root=root)
    facts = Records(root)
    owed = sorted(
        {o for c in facts.exposure if c in facts.clips for o in facts.films[facts.clips[c].film_id].obligations}
    )
    bound = [line for line in owed if line.startswith(SHARE_ALIKE)]
    if bound and not share_alike_cleared:
        raise Refusal(
            f"the model was shown films under share-alike ({bound[0]}; {len(bound)} in all)",
            "let legal decide how that is met, then add --share-alike-cleared",
            lack="right",
            action="release",
            subject="release",
            committed={"actor": person.name},
        )
    described = [(video, _described(video)) for video in videos]
    signer = identity(root)
    made = []
    for video, about in described:
        sign_video(video, folder / video.name, about, signer)
        made.append(folder / video.name)
    documents = {
        "ATTRIBUTIONS.txt": attributions(facts),
        "MODEL_CARD.md": model_card(facts),
        "EU_AI_ACT.md": written(facts)["eu-ai-act"].markdown(),
    }
    for name, text in documents.items():
        write_text(folder / name, text)
    digests = {path.name: sha256_file(path) for path in made}
    event = Event("export", "release", {"videos": len(made)}, {"by": person.name, "files": digests})
    AuditLog().append([event])
    return Released(made, [folder / name for name in documents], signer)


def _described(video: Path) -> dict[str, Any]:
    """What the description beside a generated video says, as far as it is signed."""
    if not video.is_file():
        raise AiprodError(f"{video} does not exist", "name a generated video")
    beside = video.with_name(f"{video.stem.removesuffix('_view')}.json")
    if not beside.is_file():
        raise AiprodError(f"{video.name} has no description beside it ({beside.name})", "name a video that AIPROD made")
    about: dict[str, Any] = read_json(beside)
    return {name: about[name] for name in _SIGNED if name in about}
