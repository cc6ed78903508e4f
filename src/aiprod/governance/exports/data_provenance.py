"""Data & Trust Alliance, Data Provenance Standards 1.0.0: the 22 fields of Source, Provenance and Use."""

from __future__ import annotations

from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.version import describe
from aiprod.governance.dataset.voices import taught
from aiprod.governance.exports.document import Writer, plain_text
from aiprod.governance.organisation import Organisation

FIELDS = (
    "Standards version used",
    "Dataset title/name",
    "Unique metadata identifier",
    "Metadata location",
    "Dataset issuer",
    "Description of the dataset",
    "Source metadata for dataset",
    "Source (if different from Issuer)",
    "Data origin geography",
    "Dataset issue date",
    "Date of previously issued version of the dataset",
    "Range of dates for data generation",
    "Method",
    "Data format",
    "Confidentiality classification",
    "Consent documentation location",
    "Privacy enhancing technologies (PETs) or tools applied",
    "Data processing geography inclusion/exclusion",
    "Data storage geography inclusion/exclusion",
    "License to use",
    "Intended data use",
    "Proprietary data presence",
)


def provenance(tables: Tables, organisation: Organisation) -> Writer:
    """The record of the present dataset version."""
    version = describe(tables.facts)
    about = "Metadata of the dataset under the Data & Trust Alliance's Data Provenance Standards, version 1.0.0."
    writer = Writer("Data provenance", about, tables, organisation)
    taken = "status = ok"
    writer.section("Source")
    writer.add(FIELDS[0], "1.0.0")
    writer.add(FIELDS[1], f"{version.dataset} {version.version}{'' if version.published else ' (not published)'}")
    writer.add(FIELDS[2], f"sha256:{version.merkle_root} (Merkle root of the version's rows)")
    writer.stated(FIELDS[3], "dataset_url")
    writer.stated(FIELDS[4], "name")
    films, first = writer.figure("films ingested", f"count of films where {taken}")
    clips, second = writer.figure("clips", "count of clips")
    seconds, third = writer.figure("seconds of clips", "sum duration_s of clips")
    writer.add(
        FIELDS[5],
        f"{films} films and {clips} clips ({seconds:.1f} s) with sound, verdicts, captions and latents",
        first,
        second,
        third,
    )
    writer.section("Provenance")
    writer.add(
        FIELDS[6],
        "datasets/v1/ingest/films: a row a film with source, key, layers of rights and their proof; "
        "datasets/sources.yaml: the sources",
    )
    value, number = writer.figure("films by source", f"by source of films where {taken}")
    writer.add(FIELDS[7], plain_text(value), number)
    writer.stated(FIELDS[8], "origin_geography")
    writer.stated(FIELDS[9], "dataset_issued")
    before = [step.version for step in version.changelog if step.version != version.version]
    writer.add(FIELDS[10], f"version {before[-1]}; its date is that of its commit in git" if before else "none")
    writer.stated(FIELDS[11], "generation_dates")
    value, number = writer.figure("films by terms of acquisition", f"by terms of films where {taken}")
    writer.add(FIELDS[12], "; ".join([plain_text(value), *taught(tables.facts)]), number)
    writer.add(FIELDS[13], "video/mp4 (H.264, AAC), application/vnd.apache.parquet, safetensors")
    writer.section("Use")
    writer.stated(FIELDS[14], "confidentiality")
    value, number = writer.figure("films with a reference to consent", "count of films where consent_ref != none")
    where = writer.organisation.consent_documents or "not stated (datasets/organisation.yaml: consent_documents)"
    writer.add(FIELDS[15], f"{where}; {value} films name a consent record", number)
    writer.add(
        FIELDS[16],
        "opaque ids, keyed commitments in the audit log, faces detected but never recognised, review before training",
    )
    writer.stated(FIELDS[17], "processing_geography")
    writer.stated(FIELDS[18], "storage_geography")
    value, number = writer.figure("films by licence", f"by license of films where {taken}")
    writer.add(FIELDS[19], plain_text(value), number)
    writer.add(FIELDS[20], writer.organisation.purposes)
    value, number = writer.figure("films by whether a contract is registered", f"by contract of films where {taken}")
    owed, second = writer.figure("obligations of ingested films", f"list obligations of films where {taken}")
    writer.add(FIELDS[21], f"contracts: {plain_text(value)}; owed: {plain_text(owed)}", number, second)
    return writer
