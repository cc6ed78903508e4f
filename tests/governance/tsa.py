"""A time-stamp authority on loopback whose answers OpenSSL makes (RFC 3161)."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

PEM = serialization.Encoding.PEM
CONFIG = """[tsa]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/tsa_root.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
"""


def certificate(  # noqa: PLR0917
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


def write_files(folder: Path, **files: object) -> None:
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


@dataclass
class Authority:
    """Where it answers, its root, what it was asked; what it answers instead of a time stamp where that is set."""

    address: str
    root: Path
    asked: list[bytes] = field(default_factory=list)
    status: int = 200
    answer: bytes | None = None


@contextmanager
def serve(folder: Path, ends: datetime | None = None) -> Iterator[Authority]:
    """An authority whose certificate is valid until ``ends``; a test that needs it is skipped without OpenSSL."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, and it makes the time stamps of this test")
    top, own = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    later = datetime.now(UTC) + timedelta(days=900)
    root = certificate("Time root", top, "Time root", top, later, None)
    leaf = certificate("Time authority", own, "Time root", top, ends or later, ExtendedKeyUsageOID.TIME_STAMPING)
    write_files(folder, tsa_root__pem=root, tsa__pem=leaf, tsa__key=own)
    (folder / "serial").write_text("01\n")
    (folder / "ts.cnf").write_text(CONFIG.format(folder=folder))

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked.append(query)
            data = made.answer if made.answer is not None else reply(folder, query)
            self.send_response(made.status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    made = Authority(f"http://127.0.0.1:{server.server_port}/", folder / "tsa_root.pem")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def reply(folder: Path, query: bytes) -> bytes:
    """What OpenSSL answers to a request."""
    (folder / "query").write_bytes(query)
    files = ["-config", folder / "ts.cnf", "-section", "tsa", "-queryfile", folder / "query", "-out", folder / "reply"]
    subprocess.run(["openssl", "ts", "-reply", *files], check=True, capture_output=True)
    return (folder / "reply").read_bytes()
