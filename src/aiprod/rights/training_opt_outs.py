"""Words that speak against training, found in free text: in a note as well as in a field of its own.

A text is first brought to the form in which it is read, not stored: entities resolved, invisible characters and accents
dropped, letters of other alphabets that look like Latin ones taken for them. Whoever hides a word hides no meaning.
"""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Iterator

from aiprod.rights.licence_words import quoted
from aiprod.rights.phrases import FORMULAS, SET_PHRASES

MAX_CELL = 20_000  # characters; longer cells are refused by name

_NOT = (
    r"(?:no|none|not|never|don't|cannot|can't|shan't|won't|mustn't|shouldn't|isn't|without|except|excluding|excluded|excludes|"
    r"opt out|opted out|prohibits?|forbids?|denied|kein|keine|keinerlei|nicht|ohne|ne pas|pas de|aucune?|interdite?|"
    r"exclude|dont|cant|wont|mustnt|shouldnt|dnt|hands off|keep (?:out|off|away)|"
    r"ingen|inget|ikke|inte|ei|kielletty|forbud|nie|zakaz|zabron\w*|nepouziv\w*|ne|nu|tilos|yasak|khong|"
    r"sin|prohibid[oa]|nao|proibid[oa]|senza|non|vietat[oa]|niet|geen)"
)
_DENIED = (
    r"(?:not allowed|not permitted|not granted|not authori[sz]ed|disallowed|prohibited|forbidden|reserved|denied|"
    r"nicht (?:gestattet|erlaubt|zulassig)|verboten|untersagt|excluded|interdite?|prohibid[oa]|proibid[oa]|vietat[oa]|"
    r"vorbehalten|voorbehouden|zastrz\w*|fenntart\w*|forbeh\w*|riservat\w*|reservad\w*)"
)
_TO_LEARN = (
    r"(?:ai|ki|a i|k i|ml|tdm|llms?|llm's|noai|artificial intelligence|machine learning|deep learning|data ?mining|"
    r"text mining|scraping|generative|neural networks?|models? training|train models?|maschinelle[sn]? lernen|"
    r"kunstliche[nr]? intelligenz|intelligence artificielle|inteligencia artificial|intelligenza artificiale|"
    r"apprentissage automatique|aprendizaje automatico|l'ia|d'ia|gen ?ai|imageai|crawling|crawlers?|neural nets?|"
    r"(?:generative|language|diffusion) models?|openai|chatgpt|(?:ingested|learned|learnt|memori[sz]ed) by models?)"
    r"(?! (?:generated|made|created|upscaled|enhanced|restored|colou?ri[sz]ed|denoised|dubbed|voiced))"
)
_DO_NOT = (
    r"(?:do not|don't|dont|must not|may not|cannot|can't|shan't|shall not|should not|never|not to be|please don't)"
)
# Who speaks of teaching it to machines says something of it in whatever language, and only a plain word permits it.
_AI = (
    r"(?:ai|a i|ki|k i|ia|ии|ші|τν|genai|llms?)"
    r"(?! (?:generated|made|created|upscaled|enhanced|restored|colou?ri[sz]ed|denoised|dubbed|voiced))"
)
_TEACH = (
    r"(?:training|trainings|trained|train (?:\w+ )?(?:models?|on|an?)|tr(?:aining|ening|anin\w*|aening)\w*|"
    r"tren(?:ink|owan|iran|uvan)\w*|trein(?:ar|amento|en)\w*|antren\w+|entren\w+|entrain\w+|addestr\w+|koulut\w+|"
    r"tanit\w+|egit\w+|huan luyen|обуч\w+|навчан\w+|тренув\w+|εκπαιδευ\w+)"
)
_PERMITTED = (
    r"(?! (?:is |are )?(?:also |explicitly )?(?:allowed|permitted|welcome|ok|okay|fine|granted|authori[sz]ed|included))"
)
# Words for it in languages of which no more is read: what is said with them is not understood.
_OF_OTHER_TONGUES = (
    r"maskininlarning|maskinl?aering|maskinlaering|koneoppimi\w+|strojov\w+ uce\w+|uczeni\w+ maszynow\w+|"
    r"sztuczn\w+ inteligencj\w+|umel\w+ inteligenc\w+|mesterseges intelligenci\w+|gepi tanulas\w*|"
    r"inteligent\w+ artificial\w+|yapay zeka|tekoaly\w*|tri tue nhan tao|may hoc|kecerdasan buatan|"
    r"нейросет\w*|машинн\w+ (?:обучен|навчан)\w+|(?:искусственн|штучн)\w+ (?:интеллект|интелект)\w*|"
    r"τεχνητ\w+ νοημοσυν\w+|μηχανικ\w+ μαθησ\w+"
)
_OF_OTHER_SCRIPTS = (
    r"人工知能|機械学習|人工智能|人工智慧|机器学习|機器學習|深度学习|深度學習|(?:ai|生成)(?:的)?(?:学習|學習|训练|訓練|利用)|"
    r"인공지능|기계 ?학습|(?:ai|에이아이) ?학습|בינה מלאכותית|למידת מכונה|الذكاء الاصطناعي|التعلم الالي|هوش مصنوعي|"
    r"ปัญญาประดิษฐ์|(?:ฝึก|สอน) ?ai|एआई|कृत्रिम बुद्धिमत्ता"
)
_SIGN = "forbiddensign"  # what is read for a symbol that forbids
_AGAINST = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b{_NOT} (?:[\w']+ ){{0,7}}?{_TO_LEARN}\b",
        rf"\b{_DO_NOT} (?:\w+ ){{0,5}}?(?:train|trained|training)\b(?! wheels)",
        r"\b(?:not for|no) (?:\w+ )?training\b(?! (?:wheels|required|needed))",
        rf"\b{_TO_LEARN}\b (?:\w+ ){{0,5}}?{_DENIED}\b|\btraining (?:is |use )?{_DENIED}\b",
        rf"\b(?:{_TO_LEARN}|training) ?(?:use|usage|training)? ?[:=] ?"
        r"(?:no|none|not|never|0|false|off|nein|non|disallow\w*|den(?:y|ied)|forbid\w*|prohibit\w*|block\w*)\b",
        r"\bnoai\b|\bnoimageai\b|\bnotrain\b|\bdonottrain\b|\bn o a i\b|\bai free use\b",
        rf"\b{_AI} (?:\w+ ){{0,3}}?{_TEACH}\b{_PERMITTED}|\b{_TEACH} (?:[\w']+ ){{0,4}}?{_AI}\b{_PERMITTED}",
        rf"\b(?:{_OF_OTHER_TONGUES})\b",
        rf"\b(?:{_AI}|{_TO_LEARN}) (?:\w+ ){{0,2}}?{_SIGN}\b|\b{_SIGN} (?:\w+ ){{0,2}}?{_AI}\b",
        rf"\b{_TO_LEARN} (?:\w+ ){{0,3}}?(?:{_DO_NOT}|no|not|keep (?:out|off|away)|hands off)\b",
        r"\b(?:robots|openai|ai companies) (?:[\w:]+ ){0,3}?(?:keep|stay|hands) (?:out|off|away)\b",
        r"\b(?:do not|don't) use (?:this|it|these|the (?:film|video|clip|footage|file)|in|for|without|yet|until)\b|"
        r"\bdo not use$",
        r"\bconsent (?:is |was )?(?:pending|outstanding|not (?:yet )?(?:obtained|given))\b",
        r"\bno consent (?:given|obtained)\b",
        r"\b(?:rights?|licen[cs]es?|music|audio|clearance|release|permission) (?:is |are )?(?:still )?"
        r"(?:not (?:yet )?(?:clear(?:ed)?|licensed|obtained|granted)|pending|uncleared|unlicensed|expired)\b",
        r"\bnot (?:yet )?(?:cleared|licensed)\b|"
        r"\bun(?:licensed|cleared) (?:music|audio|footage|content|material|use|copy|rights)\b",
        r"\bawaiting (?:\w+ )?(?:clearance|permission|consent|release|approval|licen[cs]e)\b|"
        r"\bembargoed\b|\b(?:under|until) embargo\b|\bembargo (?:until|till|ends)\b",
        r"\bthird part(?:y|ies) (?:footage|material|content|music|clips?)\b|\bcontains? (?:\w+ )?stock footage\b",
        r"\bnc licen[cs]\w*\b|\bnon ?comm\b",
        r"\b(?:usage|utilisation|uso|gebruik|utilizzo) (?:\w+ )?(?:prive\w*|personn?el\w*|personal\w*|privad\w*|"
        r"pessoal|privat\w*)\b|\bprivaten? (?:gebrauch|zwecke?n?|nutzung)\b|\bprivat (?:brug|bruk)\b",
        r"\bopt(?:ed)? out\b|\boptout\b",
        r"\b(?:ne pas|pas de|pas d'|ni|no|sin|nao|non|niet|nicht|kein|prohibid[oa]|proibid[oa]|vietat[oa]|interdit) ?"
        r"(?:[\w']+ ){0,7}?"
        r"(?:d'|l')?(?:entrain\w+|entren(?:ar|amiento)\w*|trein(?:ar|amento|en)\w*|addestr\w+|trainier\w*)",
        r"\b(?:prohibid[oa]|proibid[oa]|vietat[oa]|interdite?|sin|sans|sem|senza|nao) (?:[\w']+ ){0,4}?(?:l')?ia\b|"
        r"\bpas d'ia\b|\bia (?:\w+ ){0,2}?(?:interdite?|prohibid[oa]|proibid[oa]|vietat[oa])\b",
        r"\b(?:all|any) (?:other )?rights (?:are )?res(?:erved)?\b|(?<!no )(?<!some )\brights (?:are )?reserved\b|"
        r"\ballrightsreserved\b|\brights? managed\b",
        r"\ballen? rechten? (?:sind )?vorbehalten\b|\btous (?:les )?droits (?:sont )?reserves\b",
        r"\bderechos reservados\b|\bdireitos reservados\b|\bdiritti (?:sono )?riservati\b|\brechten voorbehouden\b",
        r"\bnon ?commercial\w*\b|\bno commercial use\b|\bnot for commercial\b|\bno comercial\b|\bnao comercial\b",
        r"\bnon commercia\w+\b|\b(?:nicht|keine) (?:fur )?kommerziell\w*\b|\bnur fur privat\w*\b",
        r"\bno derivative(?:s| works)\b|\bnoderiv\w*\b",
        r"\bresearch (?:use )?only\b|\bonly for research\b|\bresearch purposes only\b",
        r"\b(?:personal|educational|private|editorial|internal|review|academic|evaluation|human|home|view|viewing|preview|comp|"
        r"sample) (?:use |viewing |purposes? )?only\b|\b(?:personal|private|internal|editorial) (?:use|viewing)\b",
        r"\bnot for (?:re)?distribution\b|\bconfidential\b|\bwatermarked preview\b",
        rf"\b(?:{_DO_NOT}|no) (?:copy(?:ing)?|(?:re)?distribut\w+|re ?use|share|publish|reproduc\w+)\b",
        rf"\b(?:use|copying|re ?use|reproduction|(?:re)?distribution) (?:\w+ ){{0,4}}?{_DENIED}\b",
        rf"\bunauthori[sz]ed (?:\w+ ){{0,5}}?{_DENIED}\b",
        r"(?<!no )\bpermission (?:is |was )?(?:required|needed)\b",
        r"\bpermission (?:is |was )?(?:not granted|denied|refused)\b",
        r"\b(?:used|reproduced|reprinted|shown|licen[cs]ed) (?:\w+ ){0,3}?(?:by|with) (?:\w+ ){0,3}?permission\b",
        r"\b(?:by|with) (?:\w+ ){0,3}?permission only\b|\bonly (?:by|with) (?:\w+ ){0,3}?permission\b|"
        r"\b(?:no|not|never) (?:\w+ ){0,5}?without (?:\w+ ){0,3}?permission\b",
        r"\blicen[cs]e (?:has |is |was )?(?:expired|withdrawn|revoked|terminated)\b|\bnot (?:in the )?public domain\b",
        r"\b(?:no|missing) model release\b(?! (?:is )?(?:needed|required|necessary))|"
        r"\bmodel release ?[:=]? ?(?:no|none|missing|not)\b(?! (?:needed|required|necessary))",
        r"\b(?:no|without) consent\b(?! (?:is )?(?:needed|required|necessary))|\bnot (?:\w+ )?consent(?:ed)?\b|"
        r"\bconsent (?:is |was |has been )?(?:withdrawn|refused|denied|revoked|missing|not given)\b",
        rf"\b(?:{_DO_NOT}|not for) (?:[\w']+ ){{0,4}}?data ?sets?\b|\bno data ?sets? (?:use|usage)\b|"
        r"\bexcluded? from (?:\w+ ){0,2}?training\b",
        r"\bcc by(?: sa)? (?:nc|nd)\b|\bby (?:nc|nd)\b(?: sa)?",
        r"\b(?:не|нельзя|запрещ\w*|запрет\w*) (?:\w+ ){0,6}?(?:ии|обуч\w+|неиросет\w+)\b",
    )
)
# Apostrophes, and letters with a stroke or without a dot, which Unicode does not take apart.
_WRITTEN = str.maketrans(
    dict(zip("’‘ʼ´`ıłøđ", "'" * 5 + "ilod", strict=True)) | {"æ": "ae"} | dict.fromkeys("🚫❌✗✘✖⛔🛑🙅", f" {_SIGN} ")
)
# Letters of Cyrillic and Greek that look like Latin ones, in small letters: in a word that also has Latin letters, or
# that becomes one of the words above, they are read as those.
_ALIKE = str.maketrans(
    "аеорсухіјѕԁһӏԛԝкмтвнгпοαυνικρτεγᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "aeopcyxijsdhlqwkmtbhrnoauvikptey" + "abcdefghijklmnoprstuvwyz",
)
_SIGN_OF_COPYRIGHT = re.compile(r"[©℗Ⓒⓒ🄫]|\(\s*[cpCP]\s*\)", re.ASCII)
_DIGITS = str.maketrans("01345", "oieas")  # as they stand for letters
_BACKWARDS = "\u202e"  # what follows is shown from right to left


def readable(text: str) -> str:
    """A text as it is read: entities resolved, no invisible characters, no accents, no case, one space for a break."""
    plain = html.unescape(text[:MAX_CELL]) if "&" in text else text[:MAX_CELL]
    plain = _SIGN_OF_COPYRIGHT.sub(" copyright ", plain)
    plain = unicodedata.normalize("NFKD", plain).casefold()
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Mn", "Me"))
    return unicodedata.normalize("NFC", plain.translate(_WRITTEN))


def latin(text: str) -> str:
    """A text with letters of other alphabets that look like Latin ones written as those."""
    return text.translate(_ALIKE)


@functools.lru_cache(maxsize=256)  # the same words stand beside many films, and in each folder of recordings
def objection(text: str) -> str | None:
    """What in free words speaks against training, quoted; None where nothing does."""
    for form in _forms(text):
        plain = _spaced(form)
        for words in dict.fromkeys((plain, re.sub(r"[:=] ", "", plain))):
            hit = next((match for pattern in _patterns() if (match := pattern.search(words)) is not None), None)
            if hit is not None:
                return quoted(words[max(0, hit.start() - 20) : hit.end() + 20])
    return None


def _forms(text: str) -> Iterator[str]:
    """A text as it may be read: as it is, with letters that look alike, with digits for letters, and backwards."""
    read = readable(text)
    yield read
    if not read.isascii():
        yield latin(read)
    if (apart := _written_apart(text[:MAX_CELL])) != text[:MAX_CELL]:
        yield readable(apart)
    within = re.sub(r"(?<=[a-z])[01345]+(?=[a-z])", lambda digits: digits[0].translate(_DIGITS), read)
    if within != read:
        yield within
    if _BACKWARDS in text[:MAX_CELL]:
        yield readable(text[:MAX_CELL][::-1])


def _written_apart(text: str) -> str:
    """``noGPT`` and ``DisallowAITraining`` as words, ``A l l`` as one, an l between capitals as the I it looks like."""
    joined = re.sub(r"(?<!\w)\w(?: \w){3,}(?!\w)", lambda letters: letters[0].replace(" ", ""), text)
    capital = re.sub(r"(?<=[A-Z])l(?=[A-Z])", "I", joined)
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", capital)


def _spaced(form: str) -> str:
    """Words, with one space between two; a colon and an equals sign are words."""
    return re.sub(r" ?([:=]) ?", r" \1 ", " ".join(re.sub(r"[^\w':=]+|_", " ", form).split()))


@functools.cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    formulas = "|".join(re.escape(_spaced(readable(formula))) for formula in FORMULAS)
    return (*_AGAINST, *map(re.compile, SET_PHRASES), re.compile(formulas), re.compile(readable(_OF_OTHER_SCRIPTS)))
