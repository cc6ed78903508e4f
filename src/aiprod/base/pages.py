"""A content security policy for pages that are opened as files: nothing from the network, no script but their own."""

from __future__ import annotations

import base64
import hashlib
import re

_CHARSET = '<meta charset="utf-8">'
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_FIXED = (
    "default-src 'none'; img-src 'self' data:; media-src 'self' data:; style-src 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'; script-src "
)


def with_policy(page: str, template: str) -> str:
    """A rendered page whose browser runs the scripts of its template, and none that came in with a value.

    Args:
        page: HTML.
        template: the source that it was rendered from, whose scripts hold no values.
    """
    digests = [hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(template)]
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{_FIXED}{scripts}">'
    head, mark, rest = page.partition(_CHARSET)
    if not mark:
        raise ValueError("a page without its charset has no place for a policy")
    return f"{head}{mark}{meta}{rest}"
