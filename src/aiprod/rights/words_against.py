"""Words that speak against training, found in free text: in a note as well as in a field of its own.

A text is first brought to the form in which it is read, not stored: entities resolved, invisible characters and accents
dropped, letters of other alphabets that look like Latin ones taken for them. Whoever hides a word hides no meaning.
"""

from __future__ import annotations

import html
import re
import unicodedata

from aiprod.rights.licence_words import quoted

MAX_CELL = 20_000  # characters; longer cells are refused by name

_NOT = (
    r"(?:no|not|never|don't|cannot|can't|shan't|won't|mustn't|shouldn't|isn't|without|except|excluding|excluded|excludes|"
    r"opt out|opted out|prohibits?|forbids?|denied|kein|keine|keinerlei|nicht|ohne|ne pas|pas de|aucune?|interdite?|"
    r"sin|prohibid[oa]|nao|proibid[oa]|senza|non|vietat[oa]|niet|geen)"
)
_DENIED = (
    r"(?:not allowed|not permitted|not granted|not authori[sz]ed|disallowed|prohibited|forbidden|reserved|denied|"
    r"nicht (?:gestattet|erlaubt|zulassig)|verboten|untersagt|excluded|interdite?|prohibid[oa]|proibid[oa]|vietat[oa])"
)
_TO_LEARN = (
    r"(?:ai|ki|a i|k i|ml|tdm|llms?|llm's|noai|artificial intelligence|machine learning|deep learning|data mining|"
    r"text mining|scraping|generative|neural networks?|models? training|train models?|maschinelle[sn]? lernen|"
    r"kunstliche[nr]? intelligenz|intelligence artificielle|inteligencia artificial|intelligenza artificiale|"
    r"apprentissage automatique|aprendizaje automatico|l'ia|d'ia)"
    r"(?! (?:generated|made|created|upscaled))"
)
_AGAINST = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b{_NOT} (?:[\w']+ ){{0,7}}?{_TO_LEARN}\b",
        r"\b(?:do not|don't|must not|may not|cannot|can't|shan't|shall not|should not|never|not to be) "
        r"(?:\w+ ){0,5}?(?:train|trained|training)\b(?! wheels)",
        r"\b(?:not for|no) (?:\w+ )?training\b(?! (?:wheels|required|needed))",
        rf"\b{_TO_LEARN}\b (?:\w+ ){{0,5}}?{_DENIED}\b|\btraining (?:is |use )?{_DENIED}\b",
        rf"\b(?:{_TO_LEARN}|training) ?(?:use|usage|training)? ?[:=] ?(?:no|none|not|never|0|false|off|nein|non)\b",
        r"\bnoai\b|\bnotrain\b|\bdonottrain\b",
        r"\bopt(?:ed)? out\b|\boptout\b",
        r"\b(?:ne pas|pas de|ni|no|sin|nao|non|niet|nicht|kein) (?:[\w']+ ){0,7}?"
        r"(?:d'|l')?(?:entrain\w+|entren(?:ar|amiento)\w*|trein(?:ar|amento|en)\w*|addestr\w+|trainier\w*)",
        r"\b(?:all|any) rights res(?:erved)?\b|(?<!no )(?<!some )\brights reserved\b",
        r"\ballen? rechten? vorbehalten\b|\balle rechte vorbehalten\b|\btous (?:les )?droits reserves\b",
        r"\bderechos reservados\b|\bdireitos reservados\b|\bdiritti (?:sono )?riservati\b|\brechten voorbehouden\b",
        r"\bnon ?commercial\w*\b|\bno commercial use\b|\bnot for commercial\b|\bno comercial\b|\bnao comercial\b",
        r"\bnon commercia\w+\b|\b(?:nicht|keine) (?:fur )?kommerziell\w*\b|\bnur fur privat\w*\b",
        r"\bno derivative(?:s| works)\b|\bnoderiv\w*\b",
        r"\bresearch (?:use )?only\b|\bonly for research\b|\bresearch purposes only\b",
        r"\b(?:personal|educational|private|editorial|internal) use only\b|\bpreview only\b|"
        r"\bnot for (?:re)?distribution\b",
        r"\bcc by(?: sa)? (?:nc|nd)\b|\bby (?:nc|nd)\b(?: sa)?",
        r"все права защищены|не (?:\w+ ){0,3}(?:для обучения|обучать)|запрещен\w* (?:\w+ ){0,4}обучени",
        r"版权所有|版權所有|禁止|転載|转载|轉載|学習(?:不可|禁止)|学習に使用しない|不得用于|不得用於|무단|금지",
    )
)
# Letters of Cyrillic and Greek that look like Latin ones, in small letters: in a word that also has Latin letters, or
# that becomes one of the words above, they are read as those.
_ALIKE = str.maketrans("аеорсухіјѕԁһӏԛԝкмтвнгпοαυνικρτεγ", "aeopcyxijsdhlqwkmtbhrnoauvikpteY".lower())


def readable(text: str) -> str:
    """A text as it is read: entities resolved, no invisible characters, no accents, no case, one space for a break."""
    plain = html.unescape(text[:MAX_CELL]) if "&" in text else text[:MAX_CELL]
    plain = unicodedata.normalize("NFKD", plain).casefold()
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Mn", "Me"))
    return unicodedata.normalize("NFC", plain.translate({0x2019: "'", 0x2018: "'", 0x02BC: "'", 0xB4: "'", 0x60: "'"}))


def latin(text: str) -> str:
    """A text with letters of other alphabets that look like Latin ones written as those."""
    return text.translate(_ALIKE)


def objection(text: str) -> str | None:
    """What in free words speaks against training, quoted; None where nothing does."""
    read = readable(text)
    for form in (read, latin(read)) if not read.isascii() else (read,):
        plain = " ".join(re.sub(r"[^\w':=]+|_", " ", form).split())
        plain = re.sub(r" ?([:=]) ?", r" \1 ", plain)
        for words in (plain, re.sub(r"[:=] ", "", plain)):
            found = next((match for pattern in _AGAINST if (match := pattern.search(words)) is not None), None)
            if found is not None:
                return quoted(words[max(0, found.start() - 20) : found.end() + 20])
    return None
