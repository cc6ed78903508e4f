"""Records of processing activities under GDPR Art. 30(1), letters (a) to (g), for the data at hand."""

from __future__ import annotations

from aiprod.governance.dataset.queries import Tables
from aiprod.governance.exports.document import Writer, plain_text
from aiprod.governance.organisation import Organisation

# activity → what it does with personal data
ACTIVITIES = {
    "Taking in films": "stores films under an opaque id after their rights were found to permit it",
    "Quality control": "measures picture and sound; detects faces without recognising anybody; sets privacy flags",
    "Captioning": "describes what is measured and declared; names nobody",
    "Training": "encodes admitted clips and trains on them; the exposure ledger counts showings by clip",
    "Speech": "trains on voices, a person's only with consent to that; the ledger counts hearings by utterance",
    "Sampling": "generates videos from text",
    "Audit log": "keeps opaque ids, counts, and commitments under a salt that can be destroyed",
}


def ropa(tables: Tables, organisation: Organisation) -> Writer:
    """The record."""
    about = "Record of processing activities under Article 30(1) of Regulation (EU) 2016/679."
    writer = Writer("Record of processing activities", about, tables, organisation)
    writer.section("(a) Controller")
    writer.stated("Name", "name")
    writer.stated("Address", "address")
    writer.stated("Contact", "contact")
    writer.stated("Joint controllers", "joint_controllers")
    writer.stated("Representative", "eu_representative")
    writer.stated("Data protection officer", "data_protection_officer")
    writer.section("(b) Purposes and activities")
    writer.add("Purposes", organisation.purposes)
    for name, does in ACTIVITIES.items():
        writer.add(name, does)
    writer.section("(c) Data subjects and categories of personal data")
    value, first = writer.figure("films ingested by basis (Art. 6)", "by basis of films where status = ok")
    writer.add("Films by legal basis", plain_text(value), first)
    writer.count("Films that may show people", "count of films where status = ok and basis != none")
    writer.count("Clips of films that may show people", "count of clips where basis != none")
    value, second = writer.figure("clips by privacy flag", "by privacy_flags of clips")
    writer.add("Clips by privacy flag", plain_text(value), second)
    writer.count("Clips of people that a model was shown", "count of clips where basis != none and shown > 0")
    writer.count("Films with a reference to consent", "count of films where consent_ref != none")
    writer.count("Utterances that a person spoke", "count of utterances where synthetic = false")
    writer.count("Of these, heard by a model", "count of utterances where synthetic = false and heard > 0")
    writer.add("Data subjects", "people who are seen or heard in films; authors who are credited")
    writer.count("Authors credited", "distinct attribution of films where attribution != none")
    writer.add("Special categories (Art. 9)", "none is sought; faces are detected, never embedded or matched")
    writer.section("(d) Recipients")
    writer.stated("Recipients", "recipients")
    writer.section("(e) Transfers to third countries")
    writer.stated("Transfers and safeguards", "third_countries")
    writer.section("(f) Time limits for erasure")
    writer.stated("Retention", "retention")
    writer.section("(g) Technical and organisational measures (Art. 32)")
    writer.add(
        "By the software",
        "unknown rights deny; opaque ids; review of flagged clips before training; a tamper-evident log whose entries "
        "can be made to say nothing; roles for decisions; lineage of every clip; docs/DATA_GOVERNANCE.md says "
        "what enforces each",
    )
    writer.stated("Beyond it", "security_measures")
    return writer
