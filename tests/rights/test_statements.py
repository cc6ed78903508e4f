"""What several statements of one film come to: never more than any of them permits, in whatever spelling and order."""

from __future__ import annotations

import csv
import io
import itertools
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.data.sources.sidecars import merge_records, record_of
from aiprod.errors import AiprodError
from aiprod.rights.columns import FIELDS, field_of
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, layers
from aiprod.rights.effective_right import effective_right
from aiprod.rights.embedded import against_training, statement_from_tags, statement_from_xmp
from aiprod.rights.right import Right
from aiprod.rights.statements import fields_of, merged
from aiprod.rights.tables import read_table
from aiprod.rights.training_opt_outs import objection

SOURCE = SourceDeclaration.model_validate(
    {
        "title": "S",
        "adapter": "folder",
        "media_license": "per-file",
        "files_without_sidecar": "own",
        "annotation_license": "CC0-1.0",
        "acquisition_terms": "provided-by-operator",
        "media_host": "self",
        "personal_data_basis": "per-file",
        "consent": "per_file",
        "policy_approval": "approved",
    }
)
LICENCES = [
    "own",
    "CC0-1.0",
    "CC BY 4.0",
    "CC-BY-SA-4.0",
    "MIT",
    "CC-BY-NC-4.0",
    "CC-BY-4.0 (no AI)",
    "unclear",
    "Getty Images",
]
RESERVED = ["1", "true", "reserved", "ja", "n/a", "yes", "x", "see terms"]
FREE = ["0", "false", "no", "No ", "nein"]
BASES = ["none", "legitimate_interests", "unknown", "Legitimate Interests"]
NOTES = [
    "bees",
    "not for AI training",
    "All rights reserved",
    "do not train on this",
    "no text and data mining please",
    "please do not use this for AI training",
    "opted out of generative AI",
    "Kein KI-Training",
    "noai",
    "AI training is strictly prohibited",
    "must not be used to train any model",
    "non-commercial use only",
]


def recase(name: str, style: int) -> str:
    """Another way to write a column."""
    return [name, name.upper(), name.replace("_", " "), name.replace("_", "-").title(), f" {name}\u00a0"][style % 5]


def impersonal(record: SidecarRecord) -> SidecarRecord:
    """A part that says nothing of people, as if it said `none`: another part may say so, which is no contradiction."""
    return record if record.personal_data_basis else record.model_copy(update={"personal_data_basis": "none"})


columns = st.sampled_from(["licence", "license", "media_license", "Licence", "LICENSE"])
fields = st.fixed_dictionaries(
    {"licence": st.tuples(columns, st.sampled_from(LICENCES))},
    optional={
        "tdm": st.tuples(st.sampled_from(["tdm_reservation", "do_not_train"]), st.sampled_from([*RESERVED, *FREE])),
        "basis": st.tuples(st.just("personal_data_basis"), st.sampled_from(BASES)),
        "notes": st.tuples(st.sampled_from(["notes", "description", "comment"]), st.sampled_from(NOTES)),
        "evidence": st.tuples(st.just("licence_evidence"), st.just("README")),
        "url": st.tuples(st.just("url"), st.sampled_from(["https://example.org/a", "https://youtu.be/x"])),
    },
)


@settings(deadline=None, max_examples=150)
@given(st.lists(fields, min_size=1, max_size=4), st.randoms(use_true_random=False), st.integers(0, 4))
def test_the_union_permits_no_more_than_any_part(parts: list[dict[str, Any]], random: Any, style: int) -> None:
    said = [{recase(column, style): value for column, value in part.values()} for part in parts]
    records = [record_of(values, "t.csv") for values in said]
    each = [effective_right(SOURCE, impersonal(record)) for record in records]
    shuffled = [*records, *records[:1]]
    random.shuffle(shuffled)
    union = merge_records(shuffled)
    together = effective_right(SOURCE, union)
    assert together.right <= min(decision.right for decision in each)
    if together.right != "deny":
        for decision in each:
            kinds = {obligation.split(":")[0] for obligation in decision.obligations}
            assert kinds <= {obligation.split(":")[0] for obligation in together.obligations}
    personal = [layers(SOURCE, record)["personal_data_basis"] for record in records if record.personal_data_basis]
    if any(basis != "none" for basis in personal):
        assert layers(SOURCE, union)["personal_data_basis"] != "none"
    assert effective_right(SOURCE, merge_records(records)).right == together.right


# What each carrier can say, as the field's own standards spell it; of some the value is a word of their own.
_RDF = (
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<rdf:Description {0}>{1}</rdf:Description></rdf:RDF>"
)
_PLUS = "xmlns:plus='http://ns.useplus.org/ldf/xmp/1.0/'"
_XMP_RIGHTS = "xmlns:xmpRights='http://ns.adobe.com/xap/1.0/rights/'"
_DATA_MINING = [
    "DMI-ALLOWED",
    "DMI-UNSPECIFIED",
    "DMI-PROHIBITED",
    "DMI-PROHIBITED-AIMLTRAINING",
    "DMI-PROHIBITED-GENAIMLTRAINING",
    "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING",
    "DMI-PROHIBITED-SEECONSTRAINT",
]


def xmp(names: str, inner: str) -> dict[str, Any]:
    return statement_from_xmp(_RDF.format(names, inner).encode())


_licences, _notes = st.sampled_from(LICENCES), st.sampled_from(NOTES)
carriers = st.one_of(
    st.builds(lambda v: statement_from_tags([("LICENSE", v)]), _licences),  # Vorbis, FLAC, Matroska
    st.builds(lambda v: statement_from_tags([("WCOP web_statement", v)]), _licences),  # ID3
    st.builds(lambda v: statement_from_tags([("USER terms_of_use", v)]), _licences),
    st.builds(lambda v: statement_from_tags([("ICOP copyright", f"(c) Ada. {v}")]), _notes),  # RIFF
    st.builds(lambda v: statement_from_tags([("bext Description", v)]), _notes),
    st.builds(lambda v: statement_from_tags([("copyright", f"(c) Ada. {v}")]), _notes),
    st.builds(lambda v: statement_from_tags([("service_name", v)], " in the service tables"), _notes),
    st.builds(lambda v: statement_from_tags([("TITLE/TERMS_OF_USE", v)]), _licences),
    st.builds(lambda v: statement_from_tags([("tdm-reservation", v)]), st.sampled_from([*RESERVED, *FREE])),
    st.builds(
        lambda v: xmp(_PLUS, f"<plus:DataMining>http://ns.useplus.org/ldf/vocab/{v}</plus:DataMining>"),
        st.sampled_from(_DATA_MINING),
    ),
    st.builds(lambda v: xmp(f"{_PLUS} plus:OtherConstraints='{v}'", ""), _notes),
    st.builds(lambda v: xmp(f"{_XMP_RIGHTS} xmpRights:UsageTerms='{v}'", ""), _licences),
    st.builds(lambda v: statement_from_tags([("license", v)], " in its C2PA manifest"), _licences),
    fields.map(lambda part: fields_of(list(part.values()), "t.csv")),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(carriers, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_union_of_all_carriers_permits_no_more_than_any(parts: list[dict[str, Any]], random: Any) -> None:
    def right_of(said: dict[str, Any]) -> tuple[Any, set[str]]:
        decision = effective_right(SOURCE, impersonal(SidecarRecord.model_validate(said)))
        against = against_training(said)
        right = Right.DENY if against is not None else decision.right
        return right, {obligation.split(":")[0] for obligation in decision.obligations}

    own = fields_of([("licence", "own")], "t.csv")
    said = [merged([own, part]) for part in parts]
    random.shuffle(said)
    right, obligations = right_of(merged(said))
    for part in said:
        assert right <= right_of(part)[0], part
        assert right == Right.DENY or right_of(part)[1] <= obligations, part


@pytest.mark.parametrize("word", _DATA_MINING)
def test_data_mining_of_plus(word: str) -> None:
    """PLUS LDF: one value permits and one says nothing; each of the others prohibits something that covers training."""
    said = xmp(_PLUS, f"<plus:DataMining>http://ns.useplus.org/ldf/vocab/{word}</plus:DataMining>")
    assert (against_training(said) is None) == (word in ("DMI-ALLOWED", "DMI-UNSPECIFIED"))


@settings(deadline=None, max_examples=40)
@given(fields, fields, st.data())
def test_table_and_json_beside_a_film_count_both(
    tmp_path_factory: pytest.TempPathFactory, line: dict[str, Any], own: dict[str, Any], data: Any
) -> None:
    form = data.draw(st.sampled_from(["NFC", "NFD"]))
    ending = data.draw(st.sampled_from([".csv", ".CSV", ".tsv", ".jsonl"]))
    folder = tmp_path_factory.mktemp("s")
    film = folder / unicodedata.normalize("NFC", "sub/café.mp4")
    film.parent.mkdir()
    film.write_bytes(b"film")
    named = data.draw(st.sampled_from(["./sub/café.mp4", "sub//café.mp4", "sub\\café.mp4"]))
    cells = {"file": unicodedata.normalize(form, named), **dict(line.values())}
    out = io.StringIO()
    cut = "\t" if ending == ".tsv" else data.draw(st.sampled_from(",;"))
    csv.writer(out, delimiter=cut).writerows([cells, cells.values()])
    text = json.dumps(cells) if ending == ".jsonl" else out.getvalue()
    (folder / f"SOURCES{ending}").write_text(text, encoding="utf-8")
    name = "café" + data.draw(st.sampled_from([".JSON", ".mp4.json", ".json"]))
    film.with_name(unicodedata.normalize(form, name)).write_text(json.dumps(dict(own.values())))
    record, problem = read_sidecars(folder).of("sub/café.mp4")
    assert problem is None and record is not None
    parts = [effective_right(SOURCE, impersonal(record_of(dict(part.values()), "t"))) for part in (line, own)]
    assert effective_right(SOURCE, record).right <= min(part.right for part in parts)


@pytest.mark.parametrize("word", RESERVED)
def test_what_is_no_plain_no_reserves_and_is_quoted(word: str) -> None:
    record = record_of({"licence": "own", "do_not_train": word}, "t")
    decision = effective_right(SOURCE, record)
    assert decision.right == "deny"
    assert word in ("1", "true", "reserved", "ja", "yes") or f"“{word}”" in " ".join(decision.reasons)


@pytest.mark.parametrize("word", FREE)
def test_a_plain_no_reserves_nothing(word: str) -> None:
    assert record_of({"licence": "own", "do_not_train": word}, "t").tdm_reservation is False


@pytest.mark.parametrize(
    "header", ["licence,licence", "licence,license", "License,LICENCE", "media license,licence", "licence,rights"]
)
def test_columns_of_one_meaning_take_the_narrower_cell(header: str) -> None:
    for cells in itertools.permutations(["CC0-1.0", "CC-BY-NC-4.0"]):
        [line] = read_table("t.csv", f"file,{header}\na.mp4,{','.join(cells)}\n".encode())
        assert effective_right(SOURCE, SidecarRecord.model_validate(fields_of(line.cells, "t"))).right == "deny"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,title,licence\na.mp4,Bees, CC0-1.0, CC-BY-NC-4.0\n", "4 cells under 3 columns"),
        ("file,do_not_trian\na.mp4,1\n", "did you mean `do_not_train`"),
        ("file,licens\na.mp4,own\n", "did you mean `license`"),
        ("file,license_notes\na.mp4,NC\n", "may|might count"),
        ("file,ai_training\na.mp4,forbidden\n", "might count"),
        ("file,licence,\na.mp4,own,1\n", "column without a name"),
        ("file,licence\n,CC-BY-NC-4.0\n", "names no file"),
        ("file,key,licence\na.mp4,b.mp4,own\n", "two files"),
        ('file,licence\na.mp4,"own\nb.mp4,CC-BY-NC-4.0\n', "cannot be read"),
        ("name,licence\na.mp4,own\n", "no column `file`"),
        ("file\n" + "a,b" * 2 + "\n", "cells under 1 columns"),
    ],
)
def test_a_table_that_may_lose_a_statement_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "SOURCES.CSV").write_text(text)
    with pytest.raises(AiprodError, match=message) as caught:
        read_sidecars(tmp_path)
    assert "SOURCES.CSV" in str(caught.value) and "\n" not in str(caught.value) and caught.value.hint


@pytest.mark.parametrize(
    "first", ["file", "file_name", "File Name", "filename", "PATH", "\ufefffile", "Dateiname", "fichier"]
)
@pytest.mark.parametrize("cut", [",", ";", "\t", "|", "sep="])
def test_tables_of_other_tools_are_understood(first: str, cut: str) -> None:
    head, cut = ("sep=;\r\n", ";") if cut == "sep=" else ("", cut)
    text = (
        f"{head}{first}{cut}Do-Not-Train{cut}personal data basis{cut}width\r\na.mp4{cut}1{cut}none{cut}640{cut}\r\n\r\n"
    )
    [line] = read_table("t.csv", text.encode())
    assert line.film == "a.mp4"
    assert dict(line.cells).keys() >= {"Do-Not-Train", "personal data basis"}


def test_every_documented_column_is_known_in_every_spelling() -> None:
    for field, names in FIELDS.items():
        for name, style in itertools.product(names, range(5)):
            assert field_of(recase(name, style), "t") == field
            assert field_of(recase(name.replace("license", "licence"), style), "t") == field


def test_contradictions_deny_and_statements_too_deep_are_refused() -> None:
    one = record_of({"licence": "own", "personal_data_basis": "consent", "consent_ref": "consent/1"}, "t")
    other = record_of({"personal_data_basis": "legitimate interests", "consent_ref": "consent/2"}, "t")
    reasons = " ".join(effective_right(SOURCE, merge_records([one, other])).reasons)
    assert "personal_data_basis is stated as" in reasons and "consent_ref is stated as" in reasons
    with pytest.raises(AiprodError, match="inside"):
        record_of({"licence": "own", "meta": {"do_not_train": 1}}, "t.json")


@pytest.mark.parametrize(
    "text",
    [
        "AllRightsReserved",
        "all other rights are reserved",
        "Alle Rechte sind vorbehalten",
        "Wszelkie prawa zastrzeżone",
        "Tüm hakları saklıdır",
        "Με επιφύλαξη παντός δικαιώματος",
        "Всі права захищені",
        "جميع الحقوق محفوظة",
        "כל הזכויות שמורות",
        "保留所有权利",
        "AI学習への利用を禁じます",
        "สงวนลิขสิทธิ์",
        "सर्वाधिकार सुरक्षित",
        "dont train on this",
        "exclude from training",
        "no genAI",
        "noimageai",
        "AI: disallow",
        "pas d'IA",
        "prohibido entrenar IA",
        "запрещено использовать для ИИ",
        "n o a i",
        "for personal use",
        "editorial only",
        "for viewing only",
        "strictly confidential",
        "do not redistribute",
        "unauthorised copying is prohibited",
        "used with permission of Getty",
        "licence expired",
        "rights-managed",
        "not public domain",
        "model release: none",
        "consent withdrawn",
        "please don't put this into datasets",
    ],
)
def test_words_against_training_in_many_tongues(text: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert objection(f"Bees – {unicodedata.normalize(form, text)}.") is not None, form
    assert objection(text.upper()) is not None
    record = record_of({"licence": "own", "description": text}, "t")
    assert effective_right(SOURCE, record).right == "deny"


@pytest.mark.parametrize(
    "text",
    [
        "Ingen AI-träning",
        "ingen maskininlärning",
        "ei tekoälyn koulutukseen",
        "må ikke bruges til træning af AI",
        "Zakaz trenowania AI",
        "zákaz použití pro strojové učení",
        "yapay zeka eğitimi için kullanılamaz",
        "Không dùng để huấn luyện AI",
        "機械学習への利用はご遠慮ください",
        "请勿用于训练人工智能",
        "不可用于AI训练",
        "AI 학습에 사용하지 마세요",
        "לא לאימון בינה מלאכותית",
        "ممنوع استخدام الذكاء الاصطناعي",
        "ไม่อนุญาตให้ใช้ฝึก AI",
        "एआई प्रशिक्षण के लिए नहीं",
        "не для тренування ШІ",
        "Να μη χρησιμοποιηθεί για εκπαίδευση ΤΝ",
        "ɴᴏ ᴀɪ",
        "🚫AI",
        "AI: ✗",
        "\u202egniniart IA on\u202c",
        "do not tr4in",
        "n\u00ado A\u00adI",
        "Ｎｏ ＡＩ",
        "AI companies may not use this",
        "OpenAI and others: keep away",
        "may not be ingested by models",
        "AI training: ask Ada",
        "consent pending",
        "rights not cleared",
        "awaiting clearance",
        "contains stock footage",
        "Shutterstock",
        "do not use",
        "for review only",
        "Nur für den privaten Gebrauch",
        "uniquement usage privé",
    ],
)
def test_whoever_speaks_of_training_machines_or_of_rights_that_are_open_is_heard(text: str) -> None:
    """In a tongue of which no more is read, and in signs, small capitals, digits for letters, or backwards."""
    assert objection(f"Bees. {text}.") is not None
    decision = effective_right(SOURCE, record_of({"licence": "own", "notes": text, "personal_data_basis": "none"}, "t"))
    assert decision.right == "deny"


@pytest.mark.parametrize(
    "text",
    [
        "© Getty",
        "© Getty 2023",
        "(c) AP",
        "Copyright AFP",
        "© Reuters",
        "(C) 2021 AFP",
        "&copy; Getty",
        "Ⓒ Getty",
        "A.R.R.",
        "ARR",
        "all rights res.",
        "All r. r.",
        "© Ada 2020 ARR",
        "All rts rsvd",
        "Photo: EPA",
        "AP Photo/Smith",
        "Foto: dpa",
        "zakaz wykorzystywania do trenowania sztucznej inteligencji",
        "nie wolno używać do trenowania modeli",
        "Zastrzega się prawa do eksploracji tekstów i danych",
        "Nem használható mesterséges intelligencia tanítására",
        "szövegbányászat tilos",
        "a jogok fenntartva",
        "jogok fenntartva",
        "Prawa zastrzeżone",
        "Zastrzeżone wszelkie prawa",
        "bez zgody autora zabronione",
        "eksploracja tekstu i danych zastrzeżona",
        "adat- és szövegbányászat",
        "nicht zum Training",
        "Text- und Data-Mining vorbehalten",
        "Text und Datamining vorbehalten",
        "T.D.R.",
        "D.R.",
        "© AFP",
        "Alle Rechte vorb.",
        "todos los dir. res.",
        "все права защ.",
        "reservados todos los derechos",
        "Med ensamrätt",
        "Eftertryck förbjudes",
        "Nachdruck verboten",
        "kopiering forbuden",
        "kopiering förbjuden",
        "Reproduction interdite",
        "riproduzione riservata",
        "Riproduzione vietata",
        "reproducción prohibida",
        "prohibida su reproducción",
        "Vervielfältigung nur mit Genehmigung",
        "használata tilos",
        "użycie zabronione",
        "Użytek niekomercyjny",
        "csak személyes használatra",
        "tylko do użytku osobistego",
        "pouze pro osobní potřebu",
        "только для личного использования",
        "仅供个人使用",
        "个人使用のみ",
        "Ej för kommersiellt bruk",
        "sans autorisation",
        "sin autorización",
        "senza autorizzazione",
        "bez souhlasu",
        "engedély nélkül",
        "zonder toestemming",
        "utan tillstånd",
        "uden tilladelse",
        "без разрешения",
        "fouille de textes",
        "minería de datos",
        "estrazione di testo e dati",
        "modellek tanítására nem",
        "nie do trenowania modeli",
        "для обучения моделей нельзя",
        "копирование запрещено",
        "Rechten voorbehouden",
        "rechte vorbehalten",
        "Kaikki oikeudet pidätetään",
        "Tutti i dir. ris.",
        "© The Associated Press",
        "Courtesy of Getty",
        "credit Reuters",
        "kopiointi kielletty",
        "Kopieren verboten",
        "zákaz kopírování",
        "Všechna práva jsou vyhrazena",
        "prawa autorskie zastrzeżone",
        "(p) 2020 Getty",
    ],
)
def test_rights_that_are_kept_are_heard_in_signs_abbreviations_and_many_languages(text: str) -> None:
    for written in (text, text.upper(), f"  {text}  ", unicodedata.normalize("NFD", text)):
        assert objection(written) is not None, written
    assert against_training(statement_from_tags([("copyright", text)])) is not None
    decision = effective_right(SOURCE, record_of({"licence": "own", "title": text, "personal_data_basis": "none"}, "t"))
    assert decision.right == "deny"


@pytest.mark.parametrize(
    "text",
    [
        "AI training allowed",
        "vicino ai treni",
        "ai bambini piace il treno",
        "el tren no llega",
        "AI-upscaled film of a train",
        "a Kitten on a train",
        "no robots, no trains, no models",
        "the model wears no hat",
        "do not use lifts in case of fire: a sign",
        "ki tren geldi",
        "een trein in de regen",
        "l'entraînement des danseurs",
        "an unlicensed taxi",
        "❌ a cross on a wall",
        "nie ma pociągu",
        "she learned by watching models",
        "J. Paul Getty Museum",
        "H2O and CO2, take 4a",
        "a trained dog, not barking",
        "© 2020 Ada Example",
        "Ein Hund beim Training",
        "treningowy mecz",
        "modelka na treningu",
        "la modelo entrena",
        "tilos az átjárás",
        "zakaz wjazdu",
        "prawa strona ulicy",
        "na prawo most",
        "jog a parkban",
        "ohne Ton",
        "sin sonido",
        "senza audio",
        "sans paroles",
        "bez dźwięku",
        "utan ljud",
        "без звука",
        "personal best",
        "private beach",
        "a p r",
        "Forbidden City",
        "vietato l'ingresso",
        "interdit aux chiens: un panneau",
        "prohibido fumar",
        "запрещённый приём в боксе",
        "Dr. Who",
        "D. R. Congo river",
        "Tass of tea",
        "AP calculus class film",
        " via Roma",
        "photo of a pap smear",
        "Bilder aus Leipzig",
        "source of the Nile",
        "rights of way",
        "video by the sea",
        "uso del telaio",
        "usage of tools",
        "kayak käyttö",
        "©",
        "the copyright office",
        "droits humains",
        "derechos humanos",
        "prava strana",
        "l'uso del martello",
        "copia di un quadro",
        "eine Kopie des Bildes",
        "kopiec Kościuszki",
        "model trenu",
        "modell eisenbahn",
    ],
)
def test_what_comes_near_such_words_and_means_something_else_is_no_objection(text: str) -> None:
    assert objection(text) is None


def test_an_agency_that_is_to_be_credited_is_heard() -> None:
    for name, right in (("AFP", "deny"), ("Getty", "deny"), ("Reuters / Jane Doe", "deny"), ("Ada Example", "train")):
        said = {"licence": "own", "attribution": name, "personal_data_basis": "none"}
        assert effective_right(SOURCE, record_of(said, "t")).right.startswith(right), name


def test_words_that_say_nothing_against_training_are_no_objection() -> None:
    harmless = ["a boy on training wheels", "no trains in view", "Bees, not wasps", "US copyright not renewed"]
    harmless += [
        "filmed with permission of the park",
        "no permission required",
        "no model release needed",
        "no consent needed: nobody is shown",
        "no other film in this dataset shows bees",
        "an editor at work",
        "a train not in motion",
        "for everybody's use",
        "people in use of a crane",
        "an educational film",
    ]
    for text in (*harmless, "real footage, not AI-generated", "no training required", "(c) 2008, Blender Foundation"):
        assert objection(text) is None, text
    for text in NOTES[1:]:
        assert objection(f"Bees. {text.upper()}!") is not None, text


HEARD_SINCE = (
    "(C) BBC. Not to be used without licence",
    "Copyright protected work",
    "Protected by copyright",
    "Nutzungsrechte liegen beim Urheber",
    "Lizenzpflichtig",
    "Nur zur Ansicht",
    "For screening purposes only",
    "Screener - property of Acme Studios",
    "FOR YOUR CONSIDERATION",
    "Property of Warner Bros.",
    "RM",
    "royalty-free",
    "EUO",
    "noml",
    "Article 4(3) Directive (EU) 2019/790 reserved",
    "Reservation under art. 4 DSM directive",
    "§ 44b UrhG Nutzungsvorbehalt",
    "Nutzungsvorbehalt nach § 44b UrhG",
    "Je m'oppose à toute utilisation pour l'IA",
    "no quiero que se use para IA",
    "Får ej användas för AI",
    "Neužívat pro AI",
    "MI képzésre nem használható",
    "MI-tanítás tilos",
    "YZ eğitimi için kullanılamaz",
    "Zabranjeno za AI",
    "אסור לשימוש באימון AI",
    "Bản quyền thuộc về",
    "Visas tiesības paturētas",
    "Õigused reserveeritud",
    "Të gjitha të drejtat e rezervuara",
    "Allur réttur áskilinn",
    "Gach ceart ar cosaint",
    "Cedwir pob hawl",
    "Drepturi de autor protejate",
    "Barcha huquqlar himoyalangan",
    "Барлық құқықтар қорғалған",
    "ყველა უფლება დაცულია",
    "Բոլոր իրավունքները պաշտպանված են",
    "সর্বস্বত্ব সংরক্ষিত",
    "அனைத்து உரிமைகளும் பாதுகாக்கப்பட்டவை",
    "అన్ని హక్కులు ప్రత్యేకించబడ్డాయి",
    "ຂໍສະຫງວນລິຂະສິດ",
    "រក្សាសិទ្ធិគ្រប់យ៉ាង",
    "မူပိုင်ခွင့်",
    "Бүх эрх хуулиар хамгаалагдсан",
    "Haki zote zimehifadhiwa",
    "Alle regte voorbehou",
    "Lahat ng karapatan ay nakalaan",
    "تمام حقوق محفوظ ہیں",
    "ALL RlGHTS RESERVED",
    "A l l  r i g h t s  r e s e r v e d",
    "No resales. No archives.",
    "NO SALES / NO ARCHIVE",
    "NO USE UK, NO USE FRANCE",
    "Territory: DACH only",
    "License expires 2024-12-31",
    "valid until 2020-01-01",
    "One-time use",
    "single use license",
    "Unauthorised copying is a criminal offence",
    "Violators will be prosecuted",
    "FBI WARNING",
    "Piracy is a crime",
    "Don't steal this",
    "mine. hands off",
    "ask me before using",
    "Contact for licensing: x@y.z",
    "licensing enquiries: x@y.z",
    "please contact us for permission",
    "All usage must be licensed",
    "Usage rights: none",
    "Rights: contact owner",
    "Rights unknown",
    "No rights granted",
    "no licence is granted",
    "Licence: see contract",
    "under NDA",
    "NDA",
    "TLP:RED",
    "TLP:AMBER",
    "INTERNAL",
    "Restricted",
    "Classified",
    "Vertraulich",
    "Confidentiel",
    "Streng vertraulich",
    "社外秘",
    "内部资料",
    "Orphan work",
    "Crown copyright",
    "© Crown copyright",
    "Fair use",
    "Fair dealing",
    "used under fair use",
    "Zitatrecht",
    "CC-NC",
    "cc nc",
    "Paternité - Pas d'utilisation commerciale",
    "Reconocimiento-NoComercial",
    "Atribuição-NãoComercial",
    "GEMA",
    "contains GEMA music",
    "Music: licensed from Artlist",
    "soundtrack (c) Universal Music",
    "Contains Sony Music",
    "Minors depicted, no release",
    "not model released",
    "MR: no",
    "No MR",
    "property release missing",
    "PR/MR not available",
    "GDPR objection received",
    "Person withdrew consent",
    "Einwilligung widerrufen",
    "consentement retiré",
    "DSGVO-Widerspruch",
    "do not crawl",
    "DisallowAIDataTraining",
    "DisallowAITraining",
    "ai_train: n",
    "train-ai=n",
    "noGPT",
    "No GPT",
    "no Sora",
    "not for Sora, Runway or Veo",
    "not to be fed into any model",
    "Do not feed to machines",
    "machines keep out",
    "human eyes only",
    "For humans only",
    "no synthetic media",
    "no deepfakes",
    "no voice cloning",
    "keine Stimmklone",
    "non utilizzabile per IA",
    "pas pour l'IA",
    "IA non",
    "zéro IA",
    "nada de IA",
)
OWNERS = (
    "© 2024 Ada Example",
    "Copyright 2023 Jane Doe",
    "(c) copyright Blender Foundation | durian.blender.org",
    "NASA",
    "ada",
    "Studio van den Berg & Zonen BV",
    "© 2020 株式会社カメラ",
    "Ada Example, own film",
    "Jane Doe <jane@example.org>",
    "2019-2021 Ada und Bert",
)
NO_STATEMENTS = (
    *("A walk in the park", "Not a problem, without sound", "Training for the marathon", "Train to Busan", "Ai Weiwei"),
    *("Restricted area sign", "Secret garden", "The reserve in Kenya", "Made with AI", "Talk on machine learning"),
    *(
        "No dogs were harmed",
        "Do not feed the ducks",
        "Internal combustion engine",
        "Property of light",
        "RM 50 bicycle",
    ),
    *("One-time event", "No release date known", "single-use plastics", "mi casa no es tu casa", "J'ai vu la mer"),
    *("handler: VideoHandler", "Contact lens", "Human eye", "NDA building in Delhi", "fair weather", "Model released"),
)


def test_conditions_of_owners_agencies_laws_and_markings_are_heard_in_titles_and_notices() -> None:
    for text in HEARD_SINCE:
        for written in (text, unicodedata.normalize("NFD", text)):
            assert objection(written) is not None, written
            assert against_training(statement_from_tags([("copyright", written)])) is not None, written


def test_a_notice_that_is_no_name_of_an_owner_denies_and_is_quoted() -> None:
    for text in OWNERS:
        assert statement_from_tags([("copyright", text)]) == {}, text
    for text in (
        "Bees on a flower",
        "ask ada first",
        "se baksiden",
        "社外",
        "© 2024 Ada, see page 7 of the list for what holds",
    ):
        said = statement_from_tags([("copyright", text)])
        assert "not understood" in said["objections"][0] and text[:40] in said["objections"][0], text


def test_words_that_say_nothing_of_rights_are_no_statement() -> None:
    for text in NO_STATEMENTS:
        assert objection(text) is None, text
