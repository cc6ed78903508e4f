"""Release: generated videos leave with Content Credentials, and with the documents that must travel with them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiprod.base.canonical_json import canonical_json
from aiprod.base.denials import Refusal
from aiprod.base.files import read_json, sha256_file, write_text
from aiprod.base.names import caseless_name
from aiprod.base.structured import parse_json
from aiprod.errors import AiprodError
from aiprod.film.fingerprinting import print_of
from aiprod.film.ingredients import MADE
from aiprod.film.record import changed, place_of, record_beside
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.credentials.content_credentials import IngredientFile, read_credential, sign_video
from aiprod.governance.credentials.signing_identity import Identity, identity
from aiprod.governance.dataset.records import DIFFUSION, Records
from aiprod.governance.dataset.releases import note
from aiprod.governance.exports.counted import written
from aiprod.governance.exports.model_card import model_card
from aiprod.governance.exports.writers import attributions
from aiprod.governance.policy.roles import require
from aiprod.inference.revoked_models import refuse_affected
from aiprod.printable import counted
from aiprod.rights.licences import SHARE_ALIKE
from aiprod.storage.crypto.film_encryption import is_private

_SIGNED = ("model_digest", "dataset_root", "prompt", "seed", "synthetic")


@dataclass(frozen=True)
class ReleaseResult:
    """What was written."""

    videos: list[Path]
    documents: list[Path]
    register: list[Path]
    signer: Identity
    compared: list[str]


def release(
    root: Path,
    videos: list[Path],
    folder: Path,
    *,
    actor: str | None = None,
    share_alike_cleared: bool = False,
    copies_cleared: bool = False,
) -> ReleaseResult:
    """Write signed copies of generated videos into ``folder``, with credits, model card and training summary.

    Args:
        actor: who asks; they need a role that may release.
        share_alike_cleared: legal has decided how share-alike obligations are met (docs/DATA_GOVERNANCE.md, section 9).
        copies_cleared: legal has decided that videos which are copies of training clips may leave.

    Raises:
        Refusal: the person may not release, the model was shown clips that no manifest has or films that may not be
            used any more, share-alike is not cleared, a video is a copy of a training clip or of another model, or
            the key to sign with is not there.
        AiprodError: a video is not one that AIPROD described, or something would be overwritten; nothing is written
            then.
    """
    person = require(actor, "release", subject="release", root=root)
    facts = Records(root)
    if gone := [clip for clip in facts.exposure if clip not in facts.clips]:
        raise _refused(
            f"the model was shown {counted(len(gone), 'clip')} that no manifest has now, so what "
            f"{'it asks' if len(gone) == 1 else 'they ask'} for is not known",
            "finish `dvc repro`, or check out the commit that made the video (git checkout, dvc checkout)",
            person.name,
        )
    _refuse_ended(root, person.name)
    owed = sorted({o for c in facts.exposure for o in facts.films[facts.clips[c].film_id].obligations})
    bound = [line for line in owed if line.startswith(SHARE_ALIKE)]
    if bound and not share_alike_cleared:
        raise _refused(
            f"the model was shown films under share-alike ({bound[0]}; {len(bound)} in all)",
            "let legal decide how that is met, then add --share-alike-cleared",
            person.name,
        )
    described = [(video, _described(video)) for video in videos]
    _refuse_other_models(facts, described, person.name)
    compared = _compared(videos, person.name, cleared=copies_cleared)
    _refuse_overwriting(described, folder)
    signer = identity(root)
    paths = []
    for video, about in described:
        known = about.get("fingerprint") or print_of(video)
        sign_video(video, folder / video.name, about, signer, _parts(root, video, about), known)
        paths.append(folder / video.name)
    documents = {
        "ATTRIBUTIONS.txt": attributions(facts),
        "MODEL_CARD.md": model_card(facts),
        "EU_AI_ACT.md": written(facts)["eu-ai-act"].markdown(),
    }
    for name, text in documents.items():
        write_text(folder / name, text)
    digests = {path.name: sha256_file(path) for path in paths}
    event = Event("export", "release", {"videos": len(paths)}, {"by": person.name, "files": digests})
    AuditLog().append([event])
    time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    register = [
        note(root, path, digests[path.name], time=time, role=person.role, about=read_json(_beside(video)))
        for (video, _), path in zip(described, paths, strict=True)
    ]
    return ReleaseResult(paths, [folder / name for name in documents], register, signer, compared)


def _refused(what: str, hint: str, actor: str) -> Refusal:
    """That somebody may not release: as of :class:`AiprodError`, and who asked."""
    return Refusal(what, hint, lack="right", action="release", subject="release", committed={"actor": actor})


def _refuse_ended(root: Path, actor: str) -> None:
    """Nothing leaves that a model made which saw an erased film, or one whose consent or right has ended since.

    Raises:
        Refusal: it did.
    """
    try:
        refuse_affected(root / "models")
    except AiprodError as error:
        raise _refused(
            error.what, "`dvc repro` trains and samples again without: release those videos", actor
        ) from None


def _refuse_other_models(facts: Records, described: Sequence[tuple[Path, dict[str, Any]]], actor: str) -> None:
    """Credits, card and summary are those of the model that lies here; a video of another owes what that one saw.

    Raises:
        Refusal: names the first such video.
    """
    here = facts.training.get("model_digest")
    for video, about in described:
        made_by = about.get("model_digest")
        if "film" not in about and here and made_by and made_by != here:
            raise _refused(
                f"{video.name} was made by another model than {DIFFUSION} ({str(made_by)[:12]}, not {str(here)[:12]})",
                "check out the commit that made it (git checkout, dvc checkout), or generate it again",
                actor,
            )


def _compared(videos: Sequence[Path], actor: str, *, cleared: bool) -> list[str]:
    """For each video, what the search for copies of training clips found; a film's record names what it is made of.

    Raises:
        Refusal: a video is a copy, and none is cleared.
    """
    lines = []
    for video in videos:
        nearest = read_json(_beside(video)).get("nearest")
        if nearest is not None and nearest["copy"] and not cleared:
            remedy = "leave it out, or let legal decide and add --copies-cleared"
            raise _refused(f"{video.name} is {nearest['said']}", remedy, actor)
        result = "not compared with the training clips (stage sample does)" if nearest is None else nearest["said"]
        lines.append(f"{video.name}: {result}")
    return lines


def _beside(video: Path) -> Path:
    """The description of a video."""
    return video.with_name(f"{video.stem.removesuffix('_view')}.json")


def _as_delivered(video: Path, record: dict[str, Any]) -> None:
    """A record is signed only for the very film that it was written for."""
    count, wrong, _ = changed(record, video, Path())
    if wrong:
        raise AiprodError(f"{video} cannot be released: {wrong[0]} ({count} files compared)", "make the film again")


def _parts(root: Path, video: Path, about: dict[str, Any]) -> list[IngredientFile] | None:
    """What a film is made of, as far as the files are here; None of what is no film."""
    if "film" not in about:
        return None
    film = parse_json(about["film"])
    graded = {shot["ingredient"] for shot in film["shots"] if "grade" in shot}
    parts = []
    for number, each in enumerate(film["ingredients"]):
        path = place_of(root, video, film, each["file"]) if each.get("file") else None
        if path is None or is_private(each["name"]) or each["kind"] == "grade":
            continue  # the record, which is signed too, names it
        actions = ["c2pa.placed", *(["c2pa.color_adjustments"] if number in graded else [])]
        parts.append(IngredientFile(each["name"], path, each["kind"] in MADE, tuple(actions)))
    return parts


def _refuse_overwriting(described: Sequence[tuple[Path, dict[str, Any]]], folder: Path) -> None:
    """Signed copies bear the names of their videos: two must not share one, and none may hide what is there already.

    Raises:
        AiprodError: names the two that collide.
    """
    elsewhere = "give another folder with --out"
    if folder.exists() and not folder.is_dir():
        raise AiprodError(f"{folder} is a file", elsewhere)
    for video, _ in described:
        if _same_folder(video.parent, folder):
            raise AiprodError(f"the signed copy of {video} would replace it, for {folder} is its own folder", elsewhere)
    taken: dict[str, Path] = {}
    for video, about in described:
        target = folder / video.name
        first = taken.setdefault(caseless_name(video.name), video)
        if first is not video:
            what = f"{first} and {video} would both become {target}"
            raise AiprodError(what, "release them into two folders, one after the other")
        if target.exists() or target.is_symlink():
            if not _is_copy_of(target, about):
                raise AiprodError(f"{target} exists and is not an earlier release of {video}", elsewhere)
            if any(other.exists() and os.path.samefile(target, other) for other, _ in described):
                raise AiprodError(f"{target} is the video itself by another name", elsewhere)


def _same_folder(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (other.exists() and os.path.samefile(one, other))


def _is_copy_of(path: Path, about: dict[str, Any]) -> bool:
    """Whether a file is a signed copy of the video that is described so."""
    try:
        credential = read_credential(path, b"")
    except AiprodError:
        return False
    return credential is not None and {name: credential.lineage.get(name) for name in about} == about


def _described(video: Path) -> dict[str, Any]:
    """What the description beside a generated video says, as far as it is signed."""
    if not video.is_file():
        raise AiprodError(f"{video} does not exist", "name a generated video")
    beside = _beside(video)
    if not beside.is_file():
        raise AiprodError(
            f"{video.name} has no description next to it ({beside.name})", "name a video that AIPROD made"
        )
    about = read_json(beside)
    nearest = about.get("nearest") if isinstance(about, dict) else ()
    if nearest is not None and not (isinstance(nearest, dict) and {"copy", "said"} <= nearest.keys()):
        raise AiprodError(f"{beside} does not describe a video", "name a video that AIPROD made, or restore its .json")
    if record_beside(video) is not None:
        _as_delivered(video, about)
        return {"film": canonical_json(about).decode(), **{name: about[name] for name in _SIGNED if name in about}}
    return {name: about[name] for name in _SIGNED if name in about}
