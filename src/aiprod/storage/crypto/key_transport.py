"""Hands keys of films to another machine, which alone can read them and keeps them in memory.

The machine makes a key pair (X25519, RFC 7748) that lives as long as its process. Keys are encrypted for it under a
secret that an ephemeral key pair agrees on with it (HKDF-SHA-256, AES-GCM), so what carries them (a message of the
cluster, its object store, what that writes to a disk) holds no key in the clear. Who answers with which public key is
for the cluster to say: its messages are authenticated by TLS, where that is set up.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aiprod.errors import AiprodError
from aiprod.storage.crypto.cipher import derive

_PURPOSE = "keys for a worker"
_PUBLIC, _NONCE = 32, 12


class KeyReceiver:
    """A key pair of this process, and what is encrypted for it."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()

    @property
    def address(self) -> bytes:
        """The public key, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def open(self, sealed: bytes) -> dict[str, bytes]:
        """The keys that :func:`seal_for` was given.

        Raises:
            AiprodError: damaged, or for another process.
        """
        theirs, nonce, rest = sealed[:_PUBLIC], sealed[_PUBLIC : _PUBLIC + _NONCE], sealed[_PUBLIC + _NONCE :]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(theirs))
            secret = derive(shared, _PURPOSE, theirs + self.address)
            text = AESGCM(secret).decrypt(nonce, rest, theirs)
        except (InvalidTag, ValueError):
            raise AiprodError("keys arrived that are for another worker", "run again") from None
        return {film: base64.b64decode(key) for film, key in json.loads(text).items()}


def seal_for(address: bytes, keys: Mapping[str, bytes]) -> bytes:
    """Encrypt keys by film id for the process with this public key; never twice to the same bytes."""
    mine = X25519PrivateKey.generate()
    ours = mine.public_key().public_bytes_raw()
    secret = derive(mine.exchange(X25519PublicKey.from_public_bytes(address)), _PURPOSE, ours + address)
    text = json.dumps({film: base64.b64encode(key).decode() for film, key in sorted(keys.items())}).encode()
    nonce = secrets.token_bytes(_NONCE)
    return ours + nonce + AESGCM(secret).encrypt(nonce, text, ours)
