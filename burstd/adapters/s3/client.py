"""Where a bucket is, and boto3's client for it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burstd.adapters.s3 import keys
from burstd.adapters.s3.keys import Keys

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONNECTING, READING = 5, 30  #: seconds
ATTEMPTS = 2  #: whoever called asks again later anyway


@dataclass(frozen=True)
class Place:
    """Where a bucket is, which part of it is ours, and whose keys open it.

    ``credentials``: a file of keys, of which ``profile`` names one. Without it botocore looks where
    it always does: environment, ``~/.aws``, the machine's role.
    """

    bucket: str
    prefix: str = "burstd/"
    endpoint: str = ""  #: empty: Amazon's own
    region: str = "us-east-1"
    profile: str = ""
    credentials: Path | None = None

    def __str__(self) -> str:
        return f"bucket {self.bucket} at {self.endpoint or f'Amazon S3 in {self.region}'}"

    def keys(self) -> Keys | None:
        """``None``: botocore finds them. Raises ``AccessDenied``."""
        if self.credentials is None:
            return None
        return keys.read(self.credentials, self.profile or "default")


def client(place: Place, held: Keys | None) -> S3Client:
    """A client with these keys; ``None``: with those that botocore finds. Raises its exceptions."""
    # In here, for boto3 takes a fifth of a second to load: only who has a bucket waits for it.
    from boto3.session import Session
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        # A site's DNS rarely knows names before its object store's own.
        s3={"addressing_style": "path" if place.endpoint else "virtual"},
        connect_timeout=CONNECTING,
        read_timeout=READING,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # Servers that are older than these checksums refuse them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # unknown to its stubs
    )
    session = Session(profile_name=None if held else place.profile or None)
    made = session.client(
        "s3",
        region_name=place.region,
        endpoint_url=place.endpoint or None,
        aws_access_key_id=held.access if held else None,
        aws_secret_access_key=held.secret if held else None,
        aws_session_token=held.token if held else None,
        config=config,
    )
    made.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
    return made


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """The digest that S3 asked of this request before 2025; some servers still do."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode()
