"""Lineage of a video that left: its Content Credentials are verified, and lead to the model that they name."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiprod.base.opening import read_file
from aiprod.base.structured import parse_json
from aiprod.errors import AiprodError
from aiprod.film.record import read_record, record_beside
from aiprod.governance.dataset.records import Records
from aiprod.governance.lineage.film_lineage import film_lineage
from aiprod.governance.lineage.lineage import Lineage, lineage
from aiprod.governance.lineage.node import Node
from aiprod.governance.lineage.summary import brief_lineage
from aiprod.montage.timecode import parse_rate, parse_time

if TYPE_CHECKING:  # reading certificates takes longer to load than most lineages take to walk
    from aiprod.governance.credentials.content_credentials import Credential

_TOLD = ("prompt", "seed", "model_digest", "dataset_root")  # of a description beside a generated video
_FILMS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".gif"}


def credential_of(root: Path, path: Path) -> Credential | None:
    """The credential of a video; None where the file is not a video or carries none.

    Raises:
        AiprodError: it carries one that cannot be read.
    """
    if path.suffix.lower() not in (".mp4", ".mov") or not path.is_file():
        return None
    from aiprod.governance.credentials.content_credentials import read_credential
    from aiprod.governance.credentials.signing_identity import anchors

    return read_credential(path, anchors(root))


def signed_lineage(
    root: Path, path: Path, credential: Credential, *, at: str | None = None, rehash: bool = True
) -> Lineage:
    """From the signed video through the model that it names, as far as that model is at ``root``."""
    from aiprod.governance.credentials.content_credentials import SOURCE_TYPE

    claimed = credential.lineage.get("model_digest")
    film = credential.lineage.get("film")
    if isinstance(film, str):
        record = parse_json(film, f"the credentials of {path.name}", hint="obtain the film again")
        return _signed_film(root, path, credential, record, at=at, rehash=rehash)
    facts = {
        "content_credentials": credential.state,
        "signed_by": credential.signer,
        "digital_source_type": credential.source_type.rsplit("/", 1)[-1],
        **credential.lineage,
    }
    wrong = [f"{path.name}: {problem}" for problem in credential.problems]
    if credential.state == "Invalid" and not wrong:
        wrong.append(f"{path.name}: its Content Credentials do not verify")
    if credential.source_type != SOURCE_TYPE:
        wrong.append(f"{path.name}: its credentials do not say that it was made by a trained algorithm")
    here = Records(root, strict=False).training.get("model_digest")
    if claimed is None or claimed != here:
        wrong.append(
            f"{path.name}: made by the model {claimed}, and the one here is {here or 'none'}; "
            "--rev selects a commit or experiment"
        )
        return Lineage(Node("signed", path.name, facts), [], [], [], [], 0, wrong, [])
    walked = lineage(root, "diffusion", rehash=rehash)
    notes = list(walked.notes)
    if credential.state == "Valid":
        notes.append(
            f"the signature is valid, and {credential.signer!r}, who issued it, is on no trust list here "
            "(c2pa_anchors in datasets/organisation.yaml names the roots to trust)"
        )
    claimed_root, trained = credential.lineage.get("dataset_root"), walked.subject.facts.get("dataset_root")
    if claimed_root != trained:
        wrong.append(f"{path.name}: names the dataset {claimed_root}, the model was trained on {trained}")
    return Lineage(
        subject=Node("signed", path.name, facts, [walked.subject]),
        used_by=[],
        stages=walked.stages,
        rights=walked.rights,
        obligations=walked.obligations,
        checked_files=walked.checked_files,
        mismatches=[*wrong, *walked.mismatches],
        notes=notes,
    )


def _signed_film(
    root: Path, path: Path, credential: Credential, film: dict[str, Any], *, at: str | None, rehash: bool
) -> Lineage:
    """From a signed film through the record in its credentials."""
    walked = film_lineage(root, path, film, at=at, rehash=rehash, released=True)
    wrong = [f"{path.name}: {problem}" for problem in credential.problems]
    if credential.state == "Invalid" and not wrong:
        wrong.append(f"{path.name}: its Content Credentials do not verify")
    if credential.state == "Valid":
        walked.notes.append(f"the signature is intact, but the root of {credential.signer!r} is not trusted here")
    walked.subject.facts.update(content_credentials=credential.state, signed_by=credential.signer)
    walked.mismatches[:0] = wrong
    return walked


def _described(root: Path, path: Path, *, rehash: bool) -> Lineage | None:
    """Lineage of a video of ``aiprod generate`` by the description beside it; None where there is none."""
    beside = path.with_suffix(".json")
    if path.suffix.lower() != ".mp4" or not path.is_file() or not beside.is_file():
        return None
    about = parse_json(
        read_file(beside).decode("utf-8", "replace"), f"the description {beside.name}", hint="restore it"
    )
    if not isinstance(about, dict) or about.get("file") != path.name or "model_digest" not in about:
        return None
    claimed, here = about["model_digest"], Records(root, strict=False).training.get("model_digest")
    subject = Node("generated video", path.name, {name: about[name] for name in _TOLD if name in about})
    if claimed != here:
        wrong = f"{path.name}: made by the model {claimed}, and the one here is {here or 'none'}; "
        return Lineage(subject, [], [], [], [], 0, [wrong + "--rev selects a commit or experiment"], [])
    walked = lineage(root, "diffusion", rehash=rehash)
    subject.children.append(walked.subject)
    note = f"by {beside.name}, which nobody signed: `aiprod release` makes a copy that can be checked"
    return replace(walked, subject=subject, used_by=[], notes=[*walked.notes, note])


def _known_again(root: Path, path: Path, *, at: str | None = None, rehash: bool = True) -> Lineage | None:
    """Lineage of the film whose pictures a file without record and credentials shows; None where there is none."""
    if path.suffix.lower() not in _FILMS or not path.is_file():
        return None
    from aiprod.film.fingerprinting import recognised

    known = recognised(root, path)
    if known is None:
        return None
    record, film = known.record, known.path.with_name(known.record["file"])
    if at is not None and known.later_s:
        time = parse_time(at, parse_rate(record["rate"]))
        at = f"{time + Fraction(known.later_s)}s"
    walked = film_lineage(root, film, record, at=at, rehash=rehash)
    walked.subject.facts["known_by"] = "its fingerprint"
    name = film.relative_to(root).as_posix() if film.is_relative_to(root) else film.name
    walked.notes.insert(0, f"{path.name} has no credentials, and shows {name}: {known.evidence}")
    if known.later_s:
        where = f"it begins {abs(known.later_s):g} s {'into' if known.later_s > 0 else 'before'} that film"
        walked.notes.insert(1, f"{where}, to a quarter of a second")
    return walked


def lineage_of(
    root: Path, target: str, *, at: str | None = None, rehash: bool = True, shown: int | None = None
) -> Lineage:
    """Lineage of whatever is asked: what the workspace knows, else what a file's credentials lead to.

    Args:
        at: a time of a finished film, to know what stands at that frame and sample alone.
        shown: how many children of a node are looked at, where not all are.

    Raises:
        AiprodError: neither, or a time is asked of what is no finished film.
    """
    path = Path(target)
    record = record_beside(path) if path.suffix.lower() in (".mp4", ".mov") and path.is_file() else None
    if record is not None:
        return film_lineage(root, path, read_record(record), at=at, rehash=rehash)
    if at is not None:
        if not path.is_file():
            raise AiprodError(f"{target} does not exist", "give the path of a finished film")
        credential = credential_of(root, path)
        if credential is not None and isinstance(credential.lineage.get("film"), str):
            return signed_lineage(root, path, credential, at=at, rehash=rehash)
        if credential is None and (known := _known_again(root, path, at=at, rehash=rehash)) is not None:
            return known
        raise AiprodError(f"{target} is not a film whose shots are known", "--at is for films of `aiprod film`")
    try:
        brief = brief_lineage(root, target, shown) if shown is not None and not rehash else None
        walked = brief or lineage(root, target, rehash=rehash)
    except AiprodError:
        credential = credential_of(root, path)
        if credential is None:
            if (known := _described(root, path, rehash=rehash) or _known_again(root, path, rehash=rehash)) is not None:
                return known
            raise
        return signed_lineage(root, path, credential, rehash=rehash)
    if walked.subject.kind != "file":
        return walked
    if (credential := credential_of(root, path)) is not None:
        return signed_lineage(root, path, credential, rehash=rehash)
    if not walked.subject.children and not walked.used_by:  # no stage knows it: it only lies here
        return _described(root, path, rehash=rehash) or _known_again(root, path, rehash=rehash) or walked
    return walked
