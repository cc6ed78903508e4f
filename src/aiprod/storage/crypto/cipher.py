"""Deterministic authenticated encryption of one object: the same content under the same key gives the same bytes.

DVC names an object by its hash, so encrypting twice must give equal bytes, or every run would store and push
everything again. A random nonce forbids that, and a fixed nonce breaks AES-GCM. So a keyed digest of the whole
plaintext (the synthetic IV of RFC 5297, here HMAC-SHA-256) is taken first, and from it the key of this one message is
derived (HKDF, RFC 5869). Two different contents never share a key, hence counters serve as nonces; equal contents
give equal bytes, all that an onlooker learns. AES-GCM-SIV (RFC 8452) would do the same, but only for objects that fit
into memory twice; this way film of any length streams through in pieces (STREAM, Hoang et al. 2015: the last piece is
marked, so that pieces cannot be cut off, swapped or repeated).

Layout: magic and version (8) · length of the label (2) · label · synthetic IV (32) · pieces of at most 1 MiB, each
with a tag (16). The label, for example ``processed:c0abc…-000``, says which object it is; header and place in the
sequence are associated data of each piece.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import struct
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aiprod.base.opening import open_file
from aiprod.errors import AiprodError

MAGIC = b"AIPROD\x00\x01"  # the last byte is the version of the format
PIECE = 1 << 20
_TAG = 16


def derive(secret: bytes, purpose: str, salt: bytes | None = None) -> bytes:
    """32 bytes for one purpose, by HKDF-SHA-256."""
    return HKDF(SHA256(), 32, salt, b"aiprod/" + purpose.encode()).derive(secret)


def encrypt_stream(secret: bytes, label: str, source: BinaryIO, target: BinaryIO) -> None:
    """Encrypt ``source`` (seekable, read twice) into ``target``."""
    name = label.encode()
    mac = hmac.new(derive(secret, "siv"), struct.pack(">H", len(name)) + name, hashlib.sha256)
    start = source.tell()
    while piece := source.read(PIECE):
        mac.update(piece)
    source.seek(start)
    header = MAGIC + struct.pack(">H", len(name)) + name + mac.digest()
    cipher = AESGCM(derive(secret, "object", mac.digest()))
    target.write(header)
    number, piece = 0, source.read(PIECE)
    while True:
        following = source.read(PIECE)
        target.write(cipher.encrypt(_nonce(number, not following), piece, header))
        if not following:
            return
        number, piece = number + 1, following


def decrypt_stream(secret: bytes, source: BinaryIO, target: BinaryIO, where: str) -> str:
    """Decrypt what :func:`encrypt_stream` wrote; returns its label.

    Raises:
        AiprodError: damaged, cut off, put together from parts of others, or not encrypted under this key.
    """
    label, header = read_header(source, where)
    cipher = AESGCM(derive(secret, "object", header[-32:]))
    number, piece = 0, source.read(PIECE + _TAG)
    while True:
        following = source.read(PIECE + _TAG)
        try:
            target.write(cipher.decrypt(_nonce(number, not following), piece, header))
        except InvalidTag:
            raise AiprodError(
                f"{where} does not decrypt: it is damaged, or its key is another one",
                "restore the file with `dvc checkout`, or the key with `aiprod keys restore`",
            ) from None
        if not following:
            return label
        number, piece = number + 1, following


def read_header(source: BinaryIO, where: str) -> tuple[str, bytes]:
    """The label of an encrypted object and its whole header, leaving ``source`` at the first piece.

    Raises:
        AiprodError: this is no such object, or of a version that is not known.
    """
    start = source.read(10)
    if start[:7] != MAGIC[:7] or len(start) < 10:
        raise AiprodError(f"{where} is not an encrypted object", "restore it with `dvc checkout`")
    if start[:8] != MAGIC:
        raise AiprodError(f"{where} has format version {start[7]}, known is {MAGIC[7]}", "use a newer AIPROD")
    (length,) = struct.unpack(">H", start[8:])
    rest = source.read(length + 32)
    if len(rest) != length + 32:
        raise AiprodError(f"{where} is cut off", "restore it with `dvc checkout`")
    return rest[:length].decode("utf-8", "replace"), start + rest


def label_of(path: Path | str) -> str | None:
    """The label of an encrypted file; None for a file that is not encrypted."""
    with open_file(path) as file:
        if file.read(7) != MAGIC[:7]:
            return None
        file.seek(0)
        return read_header(file, Path(path).name)[0]


def label_in(data: bytes, where: str) -> str | None:
    """The label of encrypted bytes; None for bytes that are not encrypted."""
    return read_header(io.BytesIO(data), where)[0] if data[:7] == MAGIC[:7] else None


def encrypt(secret: bytes, label: str, data: bytes) -> bytes:
    """Encrypt bytes in memory."""
    target = io.BytesIO()
    encrypt_stream(secret, label, io.BytesIO(data), target)
    return target.getvalue()


def decrypt(secret: bytes, data: bytes, where: str) -> tuple[str, bytes]:
    """Label and content of bytes in memory.

    Raises:
        AiprodError: as :func:`decrypt_stream`.
    """
    target = io.BytesIO()
    label = decrypt_stream(secret, io.BytesIO(data), target, where)
    return label, target.getvalue()


def _nonce(number: int, last: bool) -> bytes:
    return struct.pack(">xxxQB", number, last)
