"""Films that ingest refuses: a reservation in the film itself or beside it, a consent withdrawn, a contract that ended.

Real stages on real files: what is refused leaves nothing but its row, one line, and one leaf in the log.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from ruamel.yaml import YAML

from aiprod.base.state import state
from aiprod.base.yaml_file import read_yaml
from aiprod.data.ingest.build_rows import refusal_line
from aiprod.data.ingest.ingest_film import check_permitted
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.data.sources.scan import scan
from aiprod.data.sources.sidecar_reading import statement_from_packet
from aiprod.governance.audit.log import AuditLog
from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.errors import MediaError
from aiprod.media.training_mining import UNREADABLE, Marks, reservation_beside, training_reservation
from aiprod.rights.agreements import CONSENT, ConsentEvent, load_consents
from aiprod.rights.declarations import SidecarRecord, load_sources
from aiprod.rights.effective_right import effective_right
from aiprod.rights.embedded import against_training
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.manifest import read_rows
from pipeline import ingest as ingest_stage
from pipeline import scan as scan_stage
from tests.data.conftest import short_film
from tests.data.test_remote import taken_in
from tests.governance.test_consent import GIVEN

REPOSITORY = Path(__file__).resolve().parents[2]
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@pytest.fixture(scope="module")
def key_and_chain() -> tuple[bytes, bytes]:
    """A P-256 key with a certificate and its issuer, as C2PA's certificate profile asks."""
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n), x509.NameAttribute(NameOID.ORGANIZATION_NAME, n)])
        for n in ("Test Root", "Test Signer")
    ]
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in names]
    made = []
    for ca, name, key in zip((True, False), names, keys, strict=True):
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(datetime.now(UTC) + timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca, None), True)
            .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False)
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, made[1] + made[0]


def signed(
    film: Path,
    target: Path,
    key_and_chain: tuple[bytes, bytes],
    label: str,
    uses: dict[str, str],
    *more: dict[str, object],
) -> Path:
    prefix = label.split(".", maxsplit=1)[0]
    entries = {f"{prefix}.{name}": {"use": use} for name, use in uses.items()}
    action = {"action": "c2pa.created", "digitalSourceType": CAPTURE}
    manifest = {
        "claim_generator_info": [{"name": "test", "version": "1"}],
        "format": "video/mp4",
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [action]},
            },
            {"label": label, "data": {"entries": entries}},
            *more,
        ],
    }
    key, chain = key_and_chain
    with (
        c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None)) as signer,
        c2pa.Builder(json.dumps(manifest)) as builder,
    ):
        builder.sign_file(film, target, signer)
    return target


@pytest.mark.parametrize("label", ["c2pa.training-mining", "cawg.training-mining"])
@pytest.mark.parametrize(
    ("uses", "refused"),
    [
        ({"ai_training": "notAllowed"}, True),
        ({"ai_generative_training": "constrained"}, True),
        ({"data_mining": "notAllowed", "ai_training": "allowed"}, True),
        ({"ai_training": "allowed", "data_mining": "allowed"}, False),
        ({"ai_inference": "notAllowed"}, False),
    ],
)
def test_a_films_own_word_is_read(
    tmp_path: Path, key_and_chain: tuple[bytes, bytes], label: str, uses: dict[str, str], refused: bool
) -> None:
    film = signed(short_film(tmp_path / "a.mp4", seconds=0.2), tmp_path / "b.mp4", key_and_chain, label, uses)
    said = training_reservation(film, "mp4")
    assert (said is not None) == refused, said
    if refused:
        name, use = next((n, u) for n, u in uses.items() if u != "allowed")
        assert said == f"{label.split('.', maxsplit=1)[0]}.{name}: {use}"


WORK: dict[str, object] = {
    "@context": "https://schema.org",
    "@type": "CreativeWork",
    "author": [{"@type": "Person", "name": "Ada"}],
}


@pytest.mark.parametrize(
    ("words", "licence"),
    [
        ({"copyrightNotice": "All rights reserved"}, None),
        ({"license": "https://creativecommons.org/licenses/by-nc/4.0/"}, None),
        ({"usageInfo": {"@type": "WebPage", "text": "Not for AI training"}}, None),
        ({"license": "https://creativecommons.org/licenses/by/4.0/"}, "CC-BY-4.0"),
        ({"copyrightNotice": "(c) 2024 Ada"}, ""),
    ],
)
def test_a_licence_and_a_notice_in_a_manifest_are_heard(
    tmp_path: Path, key_and_chain: tuple[bytes, bytes], words: dict[str, object], licence: str | None
) -> None:
    work = {"label": "stds.schema-org.CreativeWork", "data": WORK | words}
    film = short_film(tmp_path / "a.mp4", seconds=0.2)
    film = signed(film, tmp_path / "b.mp4", key_and_chain, "c2pa.training-mining", {"ai_training": "allowed"}, work)
    assert training_reservation(film, "mp4") is None
    said = embedded_statement(film)
    assert (against_training(said) is not None) == (licence is None), said
    assert licence is None or said.get("media_license", "") == licence
    data = film.read_bytes()
    at = data.index(b"jumb") - 4
    store = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    assert (against_training(statement_from_packet("b.c2pa", store)) is not None) == (licence is None)


def test_a_manifest_in_a_container_in_which_none_is_read_is_named(
    tmp_path: Path, key_and_chain: tuple[bytes, bytes]
) -> None:
    film = short_film(tmp_path / "a.mp4", seconds=0.2)
    film = signed(film, tmp_path / "b.mp4", key_and_chain, "c2pa.training-mining", {"ai_training": "allowed"})
    assert "none is read" in str(training_reservation(film, "mkv"))
    assert training_reservation(tmp_path / "a.mp4", "mkv") is None


@pytest.mark.parametrize(("use", "right"), [("notAllowed", "deny"), ("allowed", "train")])
def test_a_manifest_in_a_file_beside_the_film_counts(
    inbox: Path, tmp_path: Path, key_and_chain: tuple[bytes, bytes], use: str, right: str
) -> None:
    """As the C2PA specification has it for containers that carry none."""
    film = short_film(tmp_path / "a.mp4", seconds=0.2)
    embedded = signed(
        film, tmp_path / "b.mp4", key_and_chain, "cawg.training-mining", {"ai_training": use}
    ).read_bytes()
    at = embedded.index(b"jumb") - 4
    store = embedded[at : at + int.from_bytes(embedded[at : at + 4], "big")]
    assert (reservation_beside(store) is None) == (use == "allowed")
    shutil.copy(film, inbox / "a.mp4")
    (inbox / "a.c2pa").write_bytes(store)
    source = load_sources().get("inbox")
    [offer] = scan(IngestParams(sources=["inbox"]), load_sources()).offers
    record = (offer.sidecar or SidecarRecord()).model_copy(update={"personal_data_basis": "none"})
    assert effective_right(source, record).right == right


def test_a_broken_manifest_is_no_permission_and_none_is_none(
    tmp_path: Path, key_and_chain: tuple[bytes, bytes]
) -> None:
    plain = short_film(tmp_path / "a.mp4", seconds=0.2)
    film = signed(plain, tmp_path / "b.mp4", key_and_chain, "c2pa.training-mining", {"ai_training": "notAllowed"})
    assert training_reservation(plain, "mp4") is None
    data = film.read_bytes()
    at = data.index(b"jumb")
    film.write_bytes(data[: at + 8] + bytes(200) + data[at + 208 :])
    assert training_reservation(film, "mp4") == UNREADABLE


def test_a_film_from_a_bucket_is_asked_when_it_arrives(tmp_path: Path, key_and_chain: tuple[bytes, bytes]) -> None:
    plain = short_film(tmp_path / "a.mp4", seconds=0.2)
    film = signed(plain, tmp_path / "b.mp4", key_and_chain, "c2pa.training-mining", {"data_mining": "notAllowed"})
    check_permitted(plain)
    with pytest.raises(MediaError, match="data_mining: notAllowed") as caught:
        check_permitted(film)
    assert caught.value.reason.startswith("reserved:")


def test_a_reserved_film_of_a_web_list_is_refused_and_not_kept(
    tmp_path: Path, key_and_chain: tuple[bytes, bytes], state_home: Path
) -> None:
    root = tmp_path / "www"
    root.mkdir()
    plain = short_film(root / "a.mp4", seconds=0.5)
    signed(plain, root / "b.mp4", key_and_chain, "c2pa.training-mining", {"data_mining": "notAllowed"})
    (root / "RIGHTS.csv").write_text("file,licence\na.mp4,CC0-1.0\nb.mp4,CC0-1.0\n")
    (root / "list.txt").write_text("a.mp4\nb.mp4\nRIGHTS.csv\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for again in (0, 1):
            rows, clips, counters = taken_in(f"http://127.0.0.1:{server.server_address[1]}/list.txt", tmp_path)
            assert [(row.key, row.status, row.effective_right) for row in rows] == [
                ("a.mp4", "ok", "train"),
                ("b.mp4", "refused", "deny"),
            ]
            assert "data_mining: notAllowed" in rows[1].reasons[0] and rows[1].raw_name is None
            assert len(clips) == 1 and (counters.reused, counters.failed) == (2 * again, 0)
        server.shutdown()
    assert len(list((tmp_path / "v1/raw").iterdir())) == 1


def test_marks_are_seen_across_the_pieces() -> None:
    for cut in range(1, 20):
        marks = Marks()
        data = b"....c2pa....jumb...."
        for start in range(0, len(data), cut):
            marks.see(data[start : start + cut])
        assert marks.seen, cut
    empty = Marks()
    empty.see(b"c2p" + b"x" * 9 + b"a jumb")
    assert not empty.seen


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Path:
    """A project whose only source is an inbox of the operator's own films; the working directory is in it."""
    root = tmp_path / "project"
    (root / "datasets/inbox").mkdir(parents=True)
    params = read_yaml(REPOSITORY / "params.yaml")
    params["ingest"] |= {"sources": ["inbox"], "workers": 1}
    declared = read_yaml(REPOSITORY / "datasets/sources.yaml")
    declared["sources"]["inbox"]["files_without_sidecar"] = "own"
    YAML().dump(params, root / "params.yaml")
    YAML().dump(declared, root / "datasets/sources.yaml")
    (root / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return root / "datasets/inbox"


def run() -> dict[str, FilmRow]:
    scan_stage.main()
    ingest_stage.main()
    return {film.key: film for film in read_rows("datasets/v1/ingest/films", FilmRow, Vault())}


def leaves() -> list[dict[str, Any]]:
    return [e.value for e in AuditLog().entries() if e.value["kind"] == "refused-action"]


def test_reserved_films_are_refused_with_one_line_and_one_leaf(
    inbox: Path, key_and_chain: tuple[bytes, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = short_film(tmp_path / "plain.mp4")
    signed(plain, inbox / "signed.mp4", key_and_chain, "cawg.training-mining", {"ai_training": "notAllowed"})
    short_film(inbox / "reserved.mp4", seed=1)
    (inbox / "S.csv").write_text("file,licence,tdm_reservation,tdm_policy\nreserved.mp4,own,1,https://example.org/t\n")
    films = run()
    assert {film.effective_right for film in films.values()} == {"deny"}
    assert "training_mining is 'cawg.ai_training: notAllowed'" in films["signed.mp4"].reasons[0]
    assert "text and data mining (https://example.org/t)" in films["reserved.mp4"].reasons[0]
    assert not list(Path("datasets/v1/raw").iterdir()) and not list(Path("datasets/v1/processed").iterdir())
    said = capsys.readouterr()
    told = (said.out + said.err).splitlines()
    assert sum(f"refused inbox, {film.film_id}: " in line for film in films.values() for line in told) == 2
    assert sorted(leaf["subject"] for leaf in leaves()) == sorted(film.film_id for film in films.values())
    assert {(leaf["facts"]["action"], leaf["facts"]["lack"]) for leaf in leaves()} == {("ingest", "right")}
    assert "signed.mp4" not in json.dumps(leaves())
    run()
    assert len(leaves()) == 2, "said again by another run, it is the same refusal"


def test_withdrawn_consent_and_an_ended_contract_downgrade_at_the_next_run(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_film(inbox / "asked.mp4")
    (inbox / "S.csv").write_text("file,licence,personal_data_basis,consent_ref\nasked.mp4,own,consent,2026-014\n")
    CONSENT.mkdir(parents=True)
    YAML().dump(GIVEN, CONSENT / "2026-014.yaml")
    assert run()["asked.mp4"].effective_right == "train_with_obligations"
    assert len(read_rows("datasets/v1/ingest/clips", ClipRow)) == 1
    given = load_consents()["2026-014"]
    over = ConsentEvent(event_time=datetime.now(UTC), event_state="withdrawn", entity_id="legal")
    ended = given.model_copy(update={"events": [*given.events, over]})
    YAML().dump(ended.model_dump(mode="json", exclude_none=True), CONSENT / "2026-014.yaml")
    denied = run()["asked.mp4"]
    assert denied.effective_right == "deny" and "2026-014 is withdrawn" in denied.reasons[0]
    assert read_rows("datasets/v1/ingest/clips", ClipRow) == [] and not os.listdir("datasets/v1/processed")
    assert [leaf["facts"]["lack"] for leaf in leaves()] == ["consent"]
    # Lapsed: the record is given again, and the day is after its last one.
    YAML().dump(GIVEN, CONSENT / "2026-014.yaml")

    class Late(scan_stage.dt.date):
        @classmethod
        def today(cls) -> Late:
            return cls(2031, 1, 1)

    monkeypatch.setattr(scan_stage.dt, "date", Late)
    assert "was valid until 2028-01-12" in run()["asked.mp4"].reasons[0]


def clear_text(*roots: str) -> bytes:
    """Every byte below some folders, tables read as well."""
    files = sorted(path for root in roots for path in Path(root).rglob("*") if path.is_file())
    tables = [str(pq.read_table(path).to_pylist()).encode() for path in files if path.suffix == ".parquet"]
    return b"\n".join([*(path.read_bytes() for path in files), *tables])


def test_a_film_of_which_no_basis_is_stated_is_in_the_clear_nowhere(inbox: Path) -> None:
    """Also one that is refused: before there is a table, or for words that quote who is in it."""
    declared = Path("datasets/sources.yaml")
    declared.write_text(declared.read_text().replace("files_without_sidecar: own", "files_without_sidecar: unknown"))
    said = {
        "Erika-one.mp4": None,
        "Erika-two.mp4": "own,Kennwort,https://mustermann.example/x,Tante-Hilde,,",
        "Erika-three.mp4": "own (only for Tante-Hilde),Kennwort,,,unknown,",
        "Erika-four.mp4": "own,Kennwort,,Tante-Hilde said no to AI training,,Tante-Hilde",
    }
    for seed, name in enumerate(said):
        short_film(inbox / name, seed)
    lines = [f"{name},{line}\n" for name, line in said.items() if line]
    (inbox / "S.csv").write_text("file,licence,title,url,notes,personal_data_basis,do_not_train\n" + "".join(lines))
    films = run()
    assert {name: film.status for name, film in films.items()} == {
        "Erika-one.mp4": "refused",
        "Erika-two.mp4": "ok",
        "Erika-three.mp4": "refused",
        "Erika-four.mp4": "refused",
    }
    assert all(is_private(film.film_id) and film.personal_data_basis == "unknown" for film in films.values())
    assert "Tante-Hilde" in str(films["Erika-three.mp4"].reasons), "who has the keys is told the words"
    words = ["Erika", "Kennwort", "Hilde", "hilde", "mustermann.example"]
    words += [str(film.content_sha256) for film in films.values()]
    shown = clear_text("datasets/v1/raw", "datasets/v1/processed", "datasets/v1/ingest", str(state().root / "memo"))
    assert not [word for word in words if word.encode() in shown]
    for film in (film for film in films.values() if film.status == "refused"):
        logged = refusal_line(film, seen=False)
        assert film.film_id in logged and not [word for word in words if word in logged]
        assert film.key in refusal_line(film, seen=True), "who sits there is told which file it is"
    with (inbox / "S.csv").open("a") as table:
        table.write("Erika-one.mp4,own,,,,legitimate_interests,\n")
    after = run()["Erika-one.mp4"]
    assert (after.status, after.film_id) == ("ok", films["Erika-one.mp4"].film_id), "one key is behind both rows"
