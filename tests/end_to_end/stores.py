"""Remotes of a throw-away project, and everything that its stores hold."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.end_to_end.workspace import Workspace

S3_KEYS = {"AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "SKTEST", "AWS_DEFAULT_REGION": "us-east-1"}


def use_remote(workspace: Workspace, address: str | None) -> str:
    """Make a folder beside the project, or a new bucket of the server at ``address``, DVC's default remote.

    Returns:
        the folder or the bucket.
    """
    if address is None:
        folder = workspace.root.parent / "remote"
        folder.mkdir()
        workspace.dvc("remote", "add", "-d", "storage", str(folder))
        return str(folder)
    bucket = f"films-{secrets.token_hex(4)}"
    _client(address).create_bucket(Bucket=bucket)
    with urlopen(address, timeout=10) as answer:
        assert answer.status == 200
    workspace.dvc("remote", "add", "-d", "storage", f"s3://{bucket}/dvc")
    workspace.dvc("remote", "modify", "storage", "endpointurl", address)
    return bucket


def objects_of(address: str, bucket: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every object in a bucket."""
    client = _client(address)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            yield found["Key"], client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()


def _client(address: str) -> Any:
    import botocore.session  # comes with dvc[s3]; boto3 does not

    return botocore.session.get_session().create_client(
        "s3", endpoint_url=address, aws_access_key_id="AKTEST", aws_secret_access_key="SKTEST", region_name="us-east-1"
    )


def commit(workspace: Workspace, message: str, tag: str | None = None) -> None:
    """Commit everything, with a tag where one is named."""
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", message)
    if tag is not None:
        workspace.run("git", "tag", tag)


def everything(root: Path) -> dict[str, str]:
    """Digest of every file, state, caches and git included; bytecode aside."""
    files = (p for p in root.rglob("*") if p.is_file() and not p.is_symlink() and "__pycache__" not in p.parts)
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def versioned_bucket(address: str) -> str:
    """A new bucket that keeps every version of its objects."""
    bucket = f"versions-{secrets.token_hex(4)}"
    client = _client(address)
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket
