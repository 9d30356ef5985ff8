"""A bucket by boto3: addresses that are signed here, lists, and removals that are proven."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from burstd.adapters.s3 import names
from burstd.adapters.s3.client import Place, client
from burstd.adapters.s3.errors import translated
from burstd.adapters.s3.names import covers
from burstd.adapters.s3.sweep import Sweep
from burstd.ports.bucket import Stored, Swept
from burstd.ports.errors import AccessDenied, Mismatch, Rejected

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ROUNDS = 5  #: a removal that finds something each time is not getting anywhere
LONGEST = 7 * 24 * 3600  #: seconds that a signature may hold, by S3's rules


class S3Bucket:
    """Port ``Bucket``. Safe for threads.

    Keys that change in their file hold from the next call on; what botocore finds by itself is
    looked for anew after a call that was denied.
    """

    def __init__(self, place: Place) -> None:
        """Sends nothing. Raises ``AccessDenied`` where the file of keys can't be used."""
        self._place = place
        self._lock = threading.Lock()
        self._keys = place.keys()
        self._client: S3Client | None = None

    def put_address(self, name: str, seconds: int) -> str:
        return self._address("put_object", name, seconds)

    def get_address(self, name: str, seconds: int) -> str:
        return self._address("get_object", name, seconds)

    def listed(self, below: str) -> Iterator[Stored]:
        return self._listed(self._key(below))

    def remove(self, below: str) -> Swept:
        key, swept = self._key(below), Swept()
        with self._edge() as s3:
            sweep = Sweep(s3, self._place, key)
            for _ in range(ROUNDS):
                found = sweep.once()
                if found == Swept():
                    return swept
                swept = Swept(swept.objects + found.objects, swept.size + found.size)
        raise Mismatch(
            f"{self._place}: there is something again below {key} each time that all was removed: "
            "end what writes there"
        )

    def _listed(self, wanted: str) -> Iterator[Stored]:
        skipped = len(self._place.prefix)
        with self._edge() as s3:
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._place.bucket, Prefix=wanted
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    if not covers(wanted, entry["Key"]):
                        return  # it is past the one that was asked for, or that is not there
                    yield Stored(entry["Key"][skipped:], entry["Size"], entry["LastModified"])

    def _address(self, verb: Literal["put_object", "get_object"], name: str, seconds: int) -> str:
        if not 1 <= seconds <= LONGEST:
            raise Rejected(f"an address holds for 1 to {LONGEST} seconds, not for {seconds}")
        key = self._place.prefix + names.name(name)
        with self._edge() as s3:
            params = {"Bucket": self._place.bucket, "Key": key}
            return s3.generate_presigned_url(verb, Params=params, ExpiresIn=seconds)

    def _key(self, below: str) -> str:
        return self._place.prefix + names.below(below)

    @contextmanager
    def _edge(self) -> Iterator[S3Client]:
        """Nothing but ``PortError`` gets out of here."""
        try:
            with translated(str(self._place)):
                yield self._with_keys()
        except AccessDenied:
            with self._lock:
                self._client = None
            raise

    def _with_keys(self) -> S3Client:
        with self._lock:
            keys = self._place.keys()
            if self._client is None or keys != self._keys:
                self._client, self._keys = client(self._place, keys), keys
            return self._client
