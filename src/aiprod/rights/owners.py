"""Whether a text is the name of an owner, or of several, and says nothing else."""

from __future__ import annotations

import re

# A notice is a name of somebody: behind a sign or a year whatever is short, else only what is written like names.
_SIGNED = re.compile(r"[©℗]|\(\s*[cp]\s*\)|\bcop(?:yright|r)\b|\b(?:1[89]|20)\d\d\b", re.IGNORECASE)
_PARTICLES = re.compile(
    r"a|al|and|av|aus|bei|by|da|das|de|dei|della?|de[nrs]|di|dos|du|ed?|el|et|etc|f[öu]r|fra|für|il?|in|l[ae]|les|och|o[fgn]|"
    r"per|pour|the|und|van|vo[mnr]|voor|[yz]|zu[mr]?"
)
_PLACE = re.compile(r"\S+@\S+|(?:https?://)?[\w-]+(?:\.[\w-]+)+(?:/\S*)?")
_OWN = re.compile(r"(?:all )?(?:my )?own (?:film|work|video|footage|recording)s?", re.IGNORECASE)
_NAME_WORDS, _SIGNED_WORDS = 8, 6


def names_somebody(notice: str) -> bool:
    """Whether a notice is one or several names of owners; what else it may be is not understood."""
    signed = _SIGNED.search(notice) is not None
    for piece in re.split(r"[|,;/()\n\r]|\s[-–—]\s|\.\s", _SIGNED.sub("|", notice)):
        words = piece.strip(" .:-–").split()
        if not words or _OWN.fullmatch(" ".join(words)) or all(_PLACE.fullmatch(word) for word in words):
            continue
        if len(words) <= _SIGNED_WORDS and signed:
            continue
        if len(words) == 1 and re.fullmatch(r"[a-z]{3,}", words[0]):
            continue
        if len(words) > _NAME_WORDS or not all(_like_a_name(word) for word in words):
            return False
    return True


def _like_a_name(word: str) -> bool:
    bare = word.strip("\"'“”‘’.:&+-")
    if not bare or bare[0].isupper() or bare[0].isdigit():
        return True
    return (_PARTICLES.fullmatch(bare) or _PLACE.fullmatch(word)) is not None
