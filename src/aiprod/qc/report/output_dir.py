"""Where a report page may be written: a folder of its own, never over what is there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aiprod.errors import AiprodError

_OURS = {"index.html", "thumbs"}


def page_folder(folder: Path) -> Path:
    """``folder`` as an absolute path, if a page can be written there without loss.

    Raises:
        AiprodError: it is a file, the folder that this runs in, or holds anything but an earlier page.
    """
    target = folder.resolve()
    hint = "name a new folder for the page, as in `--html report`"
    if target == Path.cwd():
        raise AiprodError(f"--html {folder} is the folder that this runs in", hint)
    if target.is_dir():
        foreign = sorted({p.name for p in target.iterdir()} - _OURS)
        if foreign:
            raise AiprodError(
                f"--html {folder} holds other things ({', '.join(foreign[:3])}), which it would lose", hint
            )
    elif target.exists():
        raise AiprodError(f"--html {folder} is a file, not a folder for a page", hint)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=target.parent).cleanup()
    except OSError as error:
        raise AiprodError(f"--html {folder} cannot be made ({error.strerror})", hint) from None
    return target
