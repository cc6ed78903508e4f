"""Whether the recordings of people are as they were, for DVC: a keyed digest, from which nobody learns anything.

Files whose size, time and inode are as they were are not read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aiprod.base.files import digest_of, sha256_file
from aiprod.base.state import main_repository
from aiprod.base.state_cache import recall, remember
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.media.discovery import files_below, problem_of
from aiprod.rights.agreements import load_consents
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.crypto.film_encryption import Vault

NONE = "none"


def recordings_digest(folders: Mapping[str, str], sources: SourcesFile, lapsed: Sequence[str]) -> str:
    """Over every file below the folders, and all that says whether they may be used; ``none`` without folders.

    Args:
        folders: source id → folder.
        lapsed: agreements whose time is over.

    Raises:
        AiprodError: a source is not declared, or a folder is not there or cannot be read.
    """
    if not folders:
        return NONE
    vault = Vault()
    stated: list[object] = [sorted(lapsed), sorted(vault.tombstones)]
    stated.append({name: record.model_dump(mode="json") for name, record in load_consents().items()})
    for source_id, place in sorted(folders.items()):
        folder = recordings_folder(source_id, place)
        stated += [source_id, sources.get(source_id).digest(), _content(vault, source_id, folder)]
    return vault.keys.commitment("recordings", digest_of(stated))


def folders_of_recordings(params: Path | str = "params.yaml") -> dict[str, str]:
    """Source id → folder, as params.yaml has them for make_speech, which checks them. Light: scan loads no model."""
    content = read_yaml(params)
    section = content.get("make_speech") if isinstance(content, dict) else None
    folders = section.get("folders") if isinstance(section, dict) else None
    return {str(name): str(place) for name, place in folders.items()} if isinstance(folders, dict) else {}


def recordings_folder(source_id: str, stated: str) -> Path:
    """A folder of recordings, found from the main repository also in a temporary experiment workspace.

    Raises:
        AiprodError: there is none.
    """
    place = Path(stated).expanduser()
    folder = (place if place.is_absolute() else main_repository() / place).resolve()
    if not folder.is_dir():
        raise AiprodError(f"the folder {stated} of the recordings {source_id!r} does not exist", "make it, or fix it")
    return folder


def _content(vault: Vault, source_id: str, folder: Path) -> str:
    rules = folder.rglob(".well-known/tdmrep.json")  # hidden, and read as a statement of rights all the same
    files = [path for path in sorted({*files_below(folder), *rules}) if problem_of(path) is None]
    try:
        facts = [path.stat() for path in files]
        seen = [
            [path.relative_to(folder).as_posix(), one.st_size, one.st_mtime_ns, one.st_ino]
            for path, one in zip(files, facts, strict=True)
        ]
        decided_by = vault.keys.commitment("recordings-seen", digest_of([str(folder), str(seen)]))
        note = f"recordings-{source_id}"
        if (kept := recall(note, decided_by)) is not None:
            return str(kept)
        named = [[path.relative_to(folder).as_posix(), sha256_file(path)] for path in files]
    except OSError as error:
        raise AiprodError(f"the recordings of {source_id} cannot be read ({error.strerror})", "fix that") from None
    commitment = vault.keys.commitment("recordings", digest_of(named))
    remember(note, decided_by, commitment)
    return commitment
