"""Signatures of model folders in the OpenSSF model-signing format, by keys that lie in files; nothing is asked online.

A signature lies beside the folder or anywhere else, never in it, because a folder's digest covers its files. Every
file of the folder is signed; one that is added, removed or changed makes the signature invalid.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aiprod.base.files import atomic_path, write_bytes
from aiprod.base.opening import read_file
from aiprod.base.state import workspace
from aiprod.errors import AiprodError, words_of

SIGNATURES = Path("datasets/signatures")
REQUIRED = SIGNATURES / "required.pub"
"""The policy, a public key: where it lies, models of the workspace are loaded only if they are signed with its key."""

_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def signature_of(root: Path, model: str) -> Path:
    """Where the signature of a model of a workspace lies."""
    return root / SIGNATURES / f"{model}.sig"


def make_key(path: Path) -> None:
    """Write a new private key (P-256), for its owner alone.

    Raises:
        AiprodError: the library that would use it is not installed.
    """
    _library("signing")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_bytes(path, ec.generate_private_key(ec.SECP256R1()).private_bytes(*form))
    os.chmod(path, 0o600)


def public_key(private: Path) -> bytes:
    """PEM of the public key of a private key's file.

    Raises:
        AiprodError: it is missing, or no unencrypted EC key on a curve that the format knows.
    """
    try:
        key = serialization.load_pem_private_key(read_file(private), None)
    except (OSError, ValueError, TypeError):
        what = f"{private} is not the PEM file of an unencrypted private key"
        raise AiprodError(what, "make one with `openssl ecparam -name prime256v1 -genkey -noout`") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        what = f"{private} is not a key on P-256, P-384 or P-521"
        raise AiprodError(what, "make one with `openssl ecparam -name prime256v1 -genkey -noout`")
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form)


def sign_folder(folder: Path, signature: Path, private: Path) -> None:
    """Sign every file of a folder.

    Raises:
        AiprodError: there is no such folder, it holds a pipe or a device, the key is none, or the library is not
            installed.
    """
    signing, hashing = _library("signing"), _library("hashing")
    public_key(private)
    if not folder.is_dir() or not any(path.is_file() for path in folder.rglob("*")):
        raise AiprodError(f"{folder} is not a folder with a model", "give a folder below models/")
    with atomic_path(signature) as place:
        config = signing.Config().set_hashing_config(hashing.Config().set_allow_symlinks(True))
        try:
            config.use_elliptic_key_signer(private_key=private).sign(folder, place)
        except ValueError as error:  # of the library, for whatever is neither a file nor a folder
            raise AiprodError(f"{folder} cannot be signed: {words_of(error)}", "move it out of the folder") from None


def verify_folder(folder: Path, signature: Path, public: Path) -> None:
    """Check that a folder holds the files that were signed with a key, and no others.

    Raises:
        AiprodError: it does not, something is missing, or the library is not installed.
    """
    verifying, hashing = _library("verifying"), _library("hashing")
    sign_again = f"look for another copy, or sign it again: `aiprod sign {folder}`"
    for path, what in ((folder, "model"), (signature, "signature"), (public, "public key")):
        if not path.exists():
            raise AiprodError(f"there is no {what} at {path}", sign_again if what == "signature" else f"restore {path}")
    config = verifying.Config().set_hashing_config(hashing.Config().set_allow_symlinks(True))
    try:
        config.use_elliptic_key_verifier(public_key=public).verify(folder, signature)
    except Exception as error:  # of the file, its JSON, protobuf, cryptography or the library: all say it is not signed
        why = " ".join((str(error) or type(error).__name__).split())[:200]
        raise AiprodError(
            f"{folder} is not what {signature.name} signs with {public.name} ({why})", sign_again
        ) from None


def refuse_unsigned(models: Path, names: tuple[str, ...]) -> None:
    """Refuse models of a workspace that asks for signatures and whose key did not sign them.

    Stages that DVC runs load what the same run has made, which is signed afterwards, so they are not asked.

    Raises:
        AiprodError: names the model.
    """
    if "DVC_STAGE" in os.environ:
        return
    try:
        root = workspace()
    except AiprodError:
        return
    if (root / REQUIRED).is_file():
        for name in names:
            verify_folder(models / name, signature_of(root, name), root / REQUIRED)


def _library(part: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"model_signing.{part}")
    except ImportError:
        raise AiprodError("model-signing is not installed", "run `pip install 'aiprod[signing]'`") from None
