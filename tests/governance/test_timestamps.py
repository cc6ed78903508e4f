"""A released film verifies beyond the end of its certificate where a time-stamp authority is named (RFC 3161)."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from typer import Typer
from typer.testing import CliRunner

from aiprod.base.denials import Refusal
from aiprod.commands import release as command
from aiprod.errors import AiprodError
from aiprod.governance.credentials.content_credentials import read_credential
from aiprod.governance.credentials.signing_identity import anchors, identity
from aiprod.governance.organisation import PLACE, load_organisation
from tests.governance.test_release import VIDEO, releasable, sign

__all__ = ["releasable"]
PEM = serialization.Encoding.PEM
SECONDS = 4  # that the signer's certificate is valid
CONFIG = """[tsa]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/tsa_root.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
"""


def _certificate(  # noqa: PLR0917
    name: str, key, issuer: str, issuer_key, ends: datetime, purpose: ObjectIdentifier | None, critical: bool = True
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, text)])

    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    usage = dict.fromkeys(names, False) | {"digital_signature" if purpose else "key_cert_sign": True}
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(purpose is None, None), True)
        .add_extension(x509.KeyUsage(**usage), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    if purpose is not None:
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical).add_extension(by, False)
    return builder.sign(issuer_key, hashes.SHA256())


def _write(folder: Path, **files: object) -> None:
    folder.mkdir(exist_ok=True)
    for name, value in files.items():
        data = (
            value.public_bytes(PEM)
            if isinstance(value, x509.Certificate)
            else value.private_bytes(  # type: ignore[attr-defined]
                PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / name.replace("__", ".")).write_bytes(data)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[tuple[str, Path, list[bytes]]]:
    """A time-stamp authority on loopback whose answers OpenSSL makes; its address, its root, and what it was asked."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, and it makes the time stamps of this test")
    folder = tmp_path / "tsa"
    top, own = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    later = datetime.now(UTC) + timedelta(days=900)
    root = _certificate("Time root", top, "Time root", top, later, None)
    leaf = _certificate("Time authority", own, "Time root", top, later, ExtendedKeyUsageOID.TIME_STAMPING)
    _write(folder, tsa_root__pem=root, tsa__pem=leaf, tsa__key=own)
    (folder / "serial").write_text("01\n")
    (folder / "ts.cnf").write_text(CONFIG.format(folder=folder))
    asked: list[bytes] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(query)
            (folder / "query").write_bytes(query)
            subprocess.run(
                [
                    "openssl",
                    "ts",
                    "-reply",
                    "-config",
                    folder / "ts.cnf",
                    "-section",
                    "tsa",
                    "-queryfile",
                    folder / "query",
                    "-out",
                    folder / "reply",
                ],
                check=True,
                capture_output=True,
            )
            data = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", folder / "tsa_root.pem", asked
    server.shutdown()


def _organise(root: Path, ends: datetime, more_roots: bytes = b"", **stated: str) -> None:
    """A certificate of the organisation's own that is valid for so long."""
    top, signer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    later = datetime.now(UTC) + timedelta(days=900)
    above = _certificate("Example root", top, "Example root", top, later, None)
    leaf = _certificate("Example Films", signer, "Example root", top, ends, ExtendedKeyUsageOID.EMAIL_PROTECTION)
    _write(root / "certs", key__pem=signer, chain__pem=leaf, root__pem=above)
    (root / "certs/root.pem").write_bytes((root / "certs/root.pem").read_bytes() + more_roots)
    names = {"c2pa_certificate": "certs/chain.pem", "c2pa_key": "certs/key.pem", "c2pa_anchors": "certs/root.pem"}
    (root / PLACE).write_text(json.dumps({**names, **stated}))


def _state(path: Path, root: Path) -> str:
    found = read_credential(path, anchors(root))
    assert found is not None
    return found.state


@pytest.mark.slow
def test_what_was_stamped_outlives_its_certificate_and_what_was_not_does_not(releasable: Path, authority) -> None:
    address, root, asked = authority
    ends = datetime.now(UTC) + timedelta(seconds=SECONDS)
    _organise(releasable, ends, root.read_bytes(), c2pa_timestamps=address)
    stamped = sign(releasable).rename(releasable / "stamped.mp4")
    assert len(asked) == 1
    film = (releasable / VIDEO).read_bytes()
    assert all(film[at : at + 16] not in asked[0] for at in range(0, len(film) - 16, 16)), "nothing of the film is sent"
    stated = json.loads((releasable / PLACE).read_text())
    (releasable / PLACE).write_text(json.dumps({k: v for k, v in stated.items() if k != "c2pa_timestamps"}))
    plain = sign(releasable).rename(releasable / "plain.mp4")
    assert len(asked) == 1
    assert [_state(path, releasable) for path in (stamped, plain)] == ["Trusted", "Trusted"]
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 1.1)
    assert [_state(path, releasable) for path in (stamped, plain)] == ["Trusted", "Invalid"]
    with pytest.raises(Refusal, match="ended on"):
        identity(releasable)


def test_the_command_says_until_when_a_film_verifies(releasable: Path, authority) -> None:
    address, root, _ = authority
    _organise(releasable, datetime(2031, 5, 6, tzinfo=UTC), root.read_bytes())
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    app.command()(lambda: None)
    asked = ["release", VIDEO.as_posix(), "--out", "out", "--as", "operator"]
    plain = CliRunner().invoke(app, asked)
    assert plain.exit_code == 0 and "verifies until" in plain.output and "c2pa_timestamps" in plain.output
    assert "2029" in plain.output or "2031-05-06" in plain.output
    _organise(releasable, datetime(2031, 5, 6, tzinfo=UTC), root.read_bytes(), c2pa_timestamps=address)
    stamped = CliRunner().invoke(app, asked)
    assert stamped.exit_code == 0 and f"time-stamped by {address}" in stamped.output
    assert "verifies until" not in stamped.output


def test_an_authority_that_does_not_answer_stops_the_release_in_one_line(releasable: Path) -> None:
    _organise(releasable, datetime.now(UTC) + timedelta(days=9), c2pa_timestamps="http://127.0.0.1:9/")
    with pytest.raises(AiprodError, match=r"000\.mp4 cannot be signed.*authority http://127\.0\.0\.1:9/") as caught:
        sign(releasable)
    assert "\n" not in str(caught.value) and not (releasable / "release/000.mp4").exists()


@pytest.mark.parametrize("address", ["ftp://a/", "tsa.example.org", "https://user:secret@tsa.example.org/", ""])
def test_an_address_that_is_none_is_refused(releasable: Path, address: str) -> None:
    (releasable / PLACE).write_text(json.dumps({"c2pa_timestamps": address}))
    with pytest.raises(AiprodError, match="c2pa_timestamps"):
        load_organisation(releasable)
