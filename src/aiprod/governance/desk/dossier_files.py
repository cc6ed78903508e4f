"""The dossier as it lies in ``reports/dossier``, sent with a policy of the desk's own.

A page there says itself which scripts may run. That is not relied upon: whoever can write into the folder could say
otherwise, and a script within the desk's address could do what the desk's person may. So the desk's policy goes with
every file: the scripts of the package's own templates, by their digests, and nothing that connects anywhere.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import aiprod
from aiprod.base.files import contained
from aiprod.base.opening import read_utf8
from aiprod.base.pages import with_policy
from aiprod.governance.serving.local_server import Answer, NotHere

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".vtt": "text/vtt",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".wav": "audio/wav",
}
_ALONE = '<meta charset="utf-8">'


def dossier_file(folder: Path, name: str) -> Answer:
    """A file of the dossier.

    Raises:
        NotHere: there is none.
        AiprodError: the path leads out of the folder.
    """
    path = contained(folder, name or "index.html")
    kind = KINDS.get(path.suffix.lower())
    if kind is None or not path.is_file():
        raise NotHere
    return Answer(kind, headers={"Content-Security-Policy": _policy()}, file=path)


@cache
def _policy() -> str:
    scripts = " ".join(sorted(_digests())) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src 'self' data:;"
        " media-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )


def _digests() -> set[str]:
    """Of the scripts of every page that the package makes to be opened as a file."""
    found: set[str] = set()
    for template in sorted(Path(aiprod.__file__).parent.rglob("*.html.j2")):
        source = read_utf8(template)
        if "nonce" not in source:
            found |= set(re.findall(r"'sha256-[^']+'", with_policy(_ALONE, source)))
    return found
