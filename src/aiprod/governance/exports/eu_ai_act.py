"""Public summary of training content, Regulation (EU) 2024/1689 Art. 53(1)(d), in the order of the July 2025 template.

Which heading a film falls under is decided by its layers of rights, by the rule that each heading states; every film
that was shown falls under exactly one. The template asks for size by ranges; the counted figure stands beside it.
"""

from __future__ import annotations

from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.voices import taught
from aiprod.governance.exports.document import Writer, plain_text
from aiprod.governance.organisation import Organisation

SHOWN = "shown > 0"
# heading of the template's part 2 → (condition on clips that were shown, what falls under it)
PARTS = {
    "2.1 Publicly available datasets": ("terms = public-download", "films offered for download under an open licence"),
    "2.2.1 Private datasets commercially licensed by rightsholders": (
        "terms = data-licence",
        "films under a registered data licence",
    ),
    "2.2.2 Private datasets obtained from other third parties": (
        "terms = provided-by-operator and license != LicenseRef-own",
        "films handed in by the operator whose rights others hold",
    ),
}
OTHER = {
    "own films": "terms = provided-by-operator and license = LicenseRef-own",
    "commissioned films": "terms = commissioned",
    "drawn and synthesised by a program that is no AI model": "terms = generated",
}


def eu_ai_act(tables: Tables, organisation: Organisation) -> Writer:
    """The summary of the model at hand: what it was shown, not what is in the dataset."""
    about = "Public summary of the content used for training, under Article 53(1)(d) of Regulation (EU) 2024/1689."
    writer = Writer("Summary of training content", about, tables, organisation)
    _general(writer)
    _sources(writer)
    _processing(writer)
    return writer


def _general(writer: Writer) -> None:
    writer.section("1. General information")
    writer.stated("1.1 Provider name and contact", "name")
    writer.stated("1.1 Contact", "contact")
    writer.stated("1.1 Authorised representative in the Union", "eu_representative")
    writer.stated("1.2 Versioned model name", "model_name")
    writer.add("1.2 Model digest", str(writer.tables.facts.training.get("model_digest", "no model was trained")))
    based = writer.organisation.based_on
    writer.add("1.2 Model dependencies", based or "none stated: trained from scratch (datasets/organisation.yaml)")
    writer.stated("1.2 Date of placement on the Union market", "placed_on_market")
    hours, number = writer.figure("seconds of video shown", f"sum duration_s of clips where {SHOWN}")
    writer.add(
        "1.3 Video", f"{_hours(hours)} ({hours / 3600:.4f} hours); short clips of film and of generated motion", number
    )
    sound, number = writer.figure("seconds of sound shown", f"sum sound_s of clips where {SHOWN}")
    writer.add("1.3 Audio", f"{_hours(sound)} ({sound / 3600:.4f} hours); the sound of the same clips", number)
    words, number = writer.figure("words of the captions shown", f"sum caption_words of clips where {SHOWN}")
    size = "less than 1 billion tokens" if words < 3e8 else "1 billion tokens or more"
    writer.add("1.3 Text", f"{size} ({words} words); captions of the same clips, written by a program", number)
    writer.add("1.3 Image", "none: no still images are used")
    writer.stated("1.3 Latest date of data acquisition", "latest_acquisition")
    writer.add("1.3 Linguistic characteristics", "captions are in English; speech in films is not transcribed")
    writer.count("1.3 Clips used, distinct", f"count of clips where {SHOWN}")
    writer.count("1.3 Showings in training batches", f"sum shown of clips where {SHOWN}")


def _sources(writer: Writer) -> None:
    writer.section("2. List of data sources")
    for heading, (condition, what) in PARTS.items():
        _part(writer, heading, condition, what)
    writer.add(
        "2.3 Data crawled and scraped from online sources",
        "no: AIPROD has no crawler; films whose terms are not of the approved kinds are refused at ingest",
    )
    value, number = writer.figure("films refused by rights", "count of films where status = refused")
    writer.add("2.3 Films refused by their rights", plain_text(value), number)
    writer.add("2.4 User data", "no: neither interactions with the model nor data of other services are collected")
    value, number = writer.figure(
        "clips labelled as made by an AI model", f"count of clips where {SHOWN} and labels = ai-generated"
    )
    writer.add(
        "2.5 Synthetic data created by another AI model",
        f"{value} clips carry the label ai-generated; films drawn by a program without AI stand under 2.6",
        number,
    )
    if teachers := taught(writer.tables.facts):
        value, number = writer.figure(
            "utterances by where they are from", "by provenance of utterances where heard > 0"
        )
        of_speech = f"speech, of which the model of speech heard: {plain_text(value)}"
        writer.add("2.5 Synthetic data created by another AI model", f"{'; '.join(teachers)}; {of_speech}", number)
    for what, condition in OTHER.items():
        _part(writer, "2.6 Other sources", condition, what)


def _part(writer: Writer, heading: str, condition: str, what: str) -> None:
    clips, first = writer.figure(f"clips: {what}", f"count of clips where {SHOWN} and {condition}")
    if not clips:
        writer.add(heading, f"no ({what}: 0 clips)", first)
        return
    names, second = writer.figure(f"sources: {what}", f"by source of clips where {SHOWN} and {condition}")
    licences, third = writer.figure(f"licences: {what}", f"by license of clips where {SHOWN} and {condition}")
    seconds, fourth = writer.figure(f"seconds: {what}", f"sum duration_s of clips where {SHOWN} and {condition}")
    writer.add(
        heading,
        f"yes, {what}: {clips} clips, {seconds:.1f} s; by source {plain_text(names)}; "
        f"by licence {plain_text(licences)}",
        first,
        second,
        third,
        fourth,
    )


def _processing(writer: Writer) -> None:
    writer.section("3. Data processing aspects")
    writer.stated("3.1 Signatory of the GPAI Code of Practice", "code_of_practice")
    writer.add(
        "3.1 Respect of reservations of rights (Directive (EU) 2019/790, Art. 4)",
        "no film is ingested on the text-and-data-mining exception: each needs a licence that permits training, "
        "and what nobody stated denies; docs/DATA_GOVERNANCE.md says which machine-readable reservations are read",
    )
    value, number = writer.figure("films by effective right", "by right of films")
    writer.add("3.1 Films by effective right", plain_text(value), number)
    value, number = writer.figure("obligations of films shown", "list obligations of films where shown = true")
    writer.add("3.1 Credits and other obligations", plain_text(value), number)
    writer.add(
        "3.2 Removal of illegal content",
        "films are admitted one by one by right and quality; clips with a privacy flag are not approved without review",
    )
    value, number = writer.figure("verdicts of clips", "by verdict of clips")
    writer.add("3.2 Clips by verdict", plain_text(value), number)
    writer.stated("3.2 Further measures", "illegal_content_measures")
    value, number = writer.figure("processing steps", "by steps of clips")
    writer.add("3.3 Processing of clips before training", plain_text(value), number)


def _hours(seconds: float) -> str:
    """The template's ranges for video and audio."""
    hours = seconds / 3600
    if hours < 10_000:
        return "less than 10 000 hours"
    return "10 000 to 1 million hours" if hours <= 1_000_000 else "more than 1 million hours"
