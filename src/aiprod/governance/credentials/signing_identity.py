"""The certificate that generated videos are signed with: the organisation's own, or one for development made here.

A development certificate proves that a file is unchanged since it was signed on this machine; nobody else has reason to
trust who signed it. For release, name a certificate of your own in datasets/organisation.yaml.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aiprod.base.denials import Refusal
from aiprod.base.files import write_bytes
from aiprod.base.state import state
from aiprod.governance.organisation import PLACE, load_organisation

_YEARS = 10
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Identity:
    """Who signs.

    Attributes:
        chain: PEM of the signer's certificate and those that issued it.
        key: PEM of the private key.
        algorithm: C2PA's name of the signature algorithm.
        anchors: PEM of the roots that are trusted when reading here.
        development: whether the certificate was made here.
        ends: when the first certificate of the chain ends; what is signed without a time stamp verifies until then.
        timestamps: address of the time-stamp authority (RFC 3161) that is asked; None for none.
    """

    chain: bytes
    key: bytes
    algorithm: str
    anchors: bytes
    development: bool
    ends: datetime
    timestamps: str | None = None


def identity(root: Path) -> Identity:
    """The organisation's certificate where it names one, else the development certificate, made on first use.

    Raises:
        Refusal: a file is missing, no key or certificate, one that has ended, or of a kind that C2PA does not sign
            with.
    """
    stated = load_organisation(root)
    if stated.c2pa_certificate is None:
        return _development(stated.c2pa_timestamps)
    if stated.c2pa_key is None:
        what = f"{PLACE} names c2pa_certificate without c2pa_key"
        raise Refusal(what, "name the file of its private key", lack="key", action="sign")
    chain, key = _read(root / stated.c2pa_certificate), _read(root / stated.c2pa_key)
    ends = _end_of(chain)
    if ends <= datetime.now(UTC):
        what = f"the certificate {stated.c2pa_certificate} ended on {ends:%Y-%m-%d}"
        raise Refusal(what, "have it renewed by who issued it", lack="key", action="sign")
    return Identity(chain, key, _algorithm(key), anchors(root), False, ends, stated.c2pa_timestamps)


def anchors(root: Path) -> bytes:
    """Roots trusted when reading: the organisation's. The development root is none, since nobody else trusts it."""
    stated = load_organisation(root)
    return _read(root / stated.c2pa_anchors) if stated.c2pa_anchors else b""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        what = f"{path.name} cannot be read"
        raise Refusal(what, f"fix its path in {PLACE}", lack="key", action="sign") from None


def _end_of(chain: bytes) -> datetime:
    """When the first certificate of a chain ends."""
    try:
        return min(certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(chain))
    except ValueError:
        what = "the C2PA certificate is not a PEM certificate"
        raise Refusal(what, f"fix c2pa_certificate in {PLACE}", lack="key", action="sign") from None


def _algorithm(pem: bytes) -> str:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        what, hint = "the C2PA key is not an unencrypted PEM private key", "convert it with `openssl pkey`"
        raise Refusal(what, hint, lack="key", action="sign") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise Refusal(
        "C2PA does not sign with keys of this kind",
        "use Ed25519, P-256, P-384, P-521 or RSA from 2048 bit",
        lack="key",
        action="sign",
    )


def _development(timestamps: str | None) -> Identity:
    keys = state().keys
    root, chain, key = keys / "c2pa-root.pem", keys / "c2pa-chain.pem", keys / "c2pa-key.pem"
    if not (root.is_file() and chain.is_file() and key.is_file()):
        files = _make()
        for path, data in zip((root, chain, key), files, strict=True):
            write_bytes(path, data)
            os.chmod(path, 0o600)
    ends = _end_of(chain.read_bytes())
    return Identity(chain.read_bytes(), key.read_bytes(), "ed25519", root.read_bytes(), True, ends, timestamps)


def _make() -> tuple[bytes, bytes, bytes]:
    """PEM of a root, of the chain of a signer under it (C2PA takes no self-signed signer), and of the signer's key."""
    issuer, signer = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    top = _certificate("AIPROD development root", issuer, "AIPROD development root", issuer)
    leaf = _certificate("AIPROD development signer", signer, "AIPROD development root", issuer)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    root = top.public_bytes(serialization.Encoding.PEM)
    return root, leaf.public_bytes(serialization.Encoding.PEM) + root, signer.private_bytes(*form)


def _certificate(
    subject: str, key: ed25519.Ed25519PrivateKey, issuer: str, issuer_key: ed25519.Ed25519PrivateKey
) -> x509.Certificate:
    now, authority = datetime.now(UTC), key is issuer_key
    usage = dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    usage |= {"key_cert_sign": True, "crl_sign": True} if authority else {"digital_signature": True}
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(x509.KeyUsage(**usage), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
        )
    return builder.sign(issuer_key, None)


def _name(common: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "AIPROD development")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common)])
