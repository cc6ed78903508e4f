"""The words in documents of word processors and spreadsheets that are ZIP files of XML (OOXML, OpenDocument).

No table is read out of them: which cell speaks of which film depends on merged cells, hidden rows and formulas. Only
what speaks against training in them is heard, wherever it stands.
"""

from __future__ import annotations

import html
import io
import re
import zipfile
import zlib

ENDINGS = {".docx", ".docm", ".odt", ".xlsx", ".xlsm", ".xltx", ".ods", ".ots", ".pptx", ".odp"}
MAX_WORDS = 1 << 20  # bytes of XML that are read in all
_PARTS = re.compile(
    r"(?:word/(?:document|comments|footnotes|header\d*|footer\d*)|xl/(?:sharedStrings|comments\d*|worksheets/[^/]+)|"
    r"ppt/slides/[^/]+|content|meta|docProps/(?:core|app|custom))\.xml"
)
_BREAKS = re.compile(r"</(?:w:p|w:tc|si|c|row|text:p|text:h|table:table-cell|a:p|dc:\w+|cp:\w+|\w*:?property)>")


def office_words(content: bytes) -> str | None:
    """The words of such a document; None where it is none, is encrypted, or is longer than is read."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            left, parts = MAX_WORDS, []
            for info in packed.infolist():
                if _PARTS.fullmatch(info.filename) is None:
                    continue
                with packed.open(info) as file:
                    xml = file.read(left + 1)
                left -= len(xml)
                if left < 0:
                    return None
                parts.append(xml.decode("utf-8", "replace"))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError, ValueError):
        return None
    if not parts:
        return None
    words = (html.unescape(re.sub(r"<[^>]*>", " ", _BREAKS.sub("\n", part))) for part in parts)
    return "\n".join("\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip()) for text in words)
