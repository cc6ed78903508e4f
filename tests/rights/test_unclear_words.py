"""A sentence about rights in a title, a note or a tag is understood, or it is quoted and denies."""

from __future__ import annotations

import unicodedata

import pytest

from aiprod.data.sources.sidecars import record_of
from aiprod.rights.effective_right import effective_right
from aiprod.rights.embedded import against_training, statement_from_tags
from aiprod.rights.unclear_words import unclear
from tests.rights.test_statements import SOURCE

SPEAK_OF_RIGHTS = (
    *(
        "licence pending",
        "no license",
        "Pexels License",
        "licensed to Acme until 2020",
        "Lizenz abgelaufen",
        "лицензия: нет",
    ),
    *("This clip may only be used with a licence", "License: Standard YouTube License", "to license this video, write"),
    *("copyrighted music", "copyright dispute ongoing", "copyright to be determined", "авторские права у студии"),
    *(
        "Exclusive rights: Ada",
        "rights tbc",
        "droits à vérifier",
        "derechos pendientes",
        "Rechtelage ungeklärt",
        "moral rights",
    ),
    *(
        "by kind permission of the artist",
        "con permiso de la autora",
        "Genehmigung fehlt",
        "Get permission",
        "uncleared",
    ),
    *(
        "he has not consented",
        "consent unclear",
        "release form not signed",
        "unsigned release",
        "music clearance missing",
    ),
    *(
        "royalties due",
        "Courtesy of NBC",
        "pirated",
        "DMCA",
        "takedown requested",
        "noindex",
        "trainable: false",
        "C2PA: no",
    ),
)
SAY_HOW_IT_IS_USED = (
    *(
        "Do not duplicate",
        "Not for resale",
        "do not share",
        "not for publication",
        "ne pas diffuser",
        "nicht weitergeben",
    ),
    *("no difundir", "non divulgare", "nie rozpowszechniać", "не распространять", "请勿传播", "非公開", "off limits"),
    *(
        "Educational use",
        "for research",
        "usage interne",
        "TV only",
        "nur für Unterricht",
        "worldwide, excluding the US",
    ),
    *(
        "public domain in US only",
        "CC BY except where noted",
        "Creative Commons",
        "CCBYNC",
        "Secret",
        "titkos",
        "intern",
        "FOUO",
    ),
    *(
        "ripped from YouTube",
        "HDCAM",
        "I do not own this",
        "Credits to the original owner",
        "owner unknown",
        "not mine",
    ),
    *("parents not asked", "heimlich gefilmt", "Art. 17 DSGVO", "please delete", "under litigation", "invoice unpaid"),
    *("entrenamiento no", "anti-AI", "keep out of datasets", "bots forbidden", "no digital replicas", "ask first"),
)
IN_GENERAL_WORDS = (
    *(
        "machine reading prohibited",
        "algorithms may not process this",
        "bots stay away",
        "no downloading",
        "work for hire",
    ),
    *(
        "faces must be blurred",
        "owned by Pixar",
        "client footage",
        "Ada objects",
        "not ok to use",
        "better not use",
        "skip this",
    ),
)
HARMLESS = (
    *(
        "CC BY 3.0",
        "License: CC BY 4.0",
        "Licensed under CC BY 4.0",
        "Released under CC0",
        "MIT license",
        "Public domain",
    ),
    "This film is licensed under the Creative Commons Attribution 4.0 International License.",
    *(
        "(c) copyright 2008, Blender Foundation / www.bigbuckbunny.org",
        "Copyright Blender Foundation 2010",
        "© Ada Example",
    ),
    *(
        "CC BY 4.0, some rights reserved",
        "US copyright not renewed",
        "no known copyright restrictions",
        "no rights reserved",
    ),
    *("filmed with permission of the park", "no permission required", "model released", "AI training allowed"),
    *(
        "a march for human rights in Berlin",
        "Women's rights march",
        "We demand our rights",
        "Menschenrechte",
        "droit devant",
    ),
    *(
        "Licence to Kill",
        "a license plate on a red car",
        "a man shows his driving licence",
        "rights of way",
        "Age of consent",
    ),
    *("tower gives clearance for take-off", "permission to land", "Clearance sale", "press release about a rocket"),
    *(
        "Pirates of the Caribbean",
        "royalty on a balcony",
        "Secret Agent",
        "Only Yesterday",
        "der rechte Arm",
        "prawa strona",
    ),
    *(
        "dogs not allowed on the beach",
        "The Royal Tenenbaums",
        "Right at Your Door",
        "audio only",
        "Release the hounds",
    ),
)


@pytest.mark.parametrize("text", (*SPEAK_OF_RIGHTS, *SAY_HOW_IT_IS_USED, *IN_GENERAL_WORDS))
def test_what_is_said_of_rights_and_not_understood_denies_and_is_quoted(text: str) -> None:
    for written in (text, text.upper(), unicodedata.normalize("NFD", text), f"Bees on a flower. {text}. Shot in May"):
        for column in ("title", "notes"):
            said = {"licence": "own", column: written, "personal_data_basis": "none"}
            decision = effective_right(SOURCE, record_of(said, "t"))
            assert decision.right == "deny" and "“" in str(decision.reasons), (column, written)
    assert against_training(statement_from_tags([("comment", text)])) is not None
    assert against_training(statement_from_tags([("copyright", text)])) is not None


def test_words_that_mean_something_else_or_are_understood_deny_nothing() -> None:
    for text in HARMLESS:
        assert unclear(text) is None, text
    decision = effective_right(SOURCE, record_of({"licence": "own", "title": "; ".join(HARMLESS[-20:])}, "t"))
    assert decision.right != "deny", decision.reasons


def test_the_words_of_the_sentence_alone_are_quoted_and_take_bounded_time() -> None:
    assert unclear("A bee. The rights are with Acme! In May") == "“The rights are with Acme”"
    assert unclear("bees " * 30_000 + "no license") is None, "what is longer than a cell is refused elsewhere"
    assert unclear(" [".join(["a license for"] * 1_000)) is not None
