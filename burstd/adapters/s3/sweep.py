"""Taking away all that is below a directory, whatever a bucket keeps besides the objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from burstd.adapters.s3.client import Place
from burstd.adapters.s3.errors import GONE, refusal, unsupported
from burstd.adapters.s3.names import covers
from burstd.ports.bucket import Swept
from burstd.ports.errors import AccessDenied, Mismatch, PortError, Transient

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ErrorTypeDef, ObjectIdentifierTypeDef

BATCH = 1000  #: objects that one request may delete

Item = TypeVar("Item")


class Doomed(NamedTuple):
    """An object, one of its older versions, or a marker that it was deleted."""

    key: str
    version: str = ""  #: empty: the server told of none
    size: int = 0

    def identifier(self) -> ObjectIdentifierTypeDef:
        """As a request to delete it names it."""
        if not self.version:
            return {"Key": self.key}
        return {"Key": self.key, "VersionId": self.version}


class Sweep:
    """``key``: a directory with its slash at the end, or one object's whole name."""

    def __init__(self, s3: S3Client, place: Place, key: str) -> None:
        self._s3, self._place, self._key = s3, place, key

    def once(self) -> Swept:
        """List and remove; nothing where there was nothing. Raises what botocore raises; once all
        else is gone, ``Mismatch`` or ``AccessDenied`` for what the server keeps."""
        uploads, kept = self._abort(), list[PortError]()
        swept = self._delete_all(self._versions(), kept)
        if swept == Swept():
            # A server that knows no versions says so, or answers with nothing. Not where there are
            # some: an object that is deleted without its version only gets a marker.
            swept = self._delete_all(self._objects(), kept)
        if kept:
            raise kept[0]
        return Swept(uploads + swept.objects, swept.size)

    # --- what there is

    def _versions(self) -> Iterator[Doomed]:
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self._place.bucket, Prefix=self._key
        )
        for page in _as_far_as_known(pages):
            for version in page.get("Versions", ()):
                if covers(self._key, version["Key"]):
                    yield Doomed(version["Key"], version.get("VersionId", ""), version["Size"])
            for marker in page.get("DeleteMarkers", ()):
                if covers(self._key, marker["Key"]):
                    yield Doomed(marker["Key"], marker.get("VersionId", ""))

    def _objects(self) -> Iterator[Doomed]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._place.bucket, Prefix=self._key
        )
        for page in pages:
            for entry in page.get("Contents", ()):
                if covers(self._key, entry["Key"]):
                    yield Doomed(entry["Key"], size=entry["Size"])

    # --- away with it

    def _abort(self) -> int:
        """Uploads of several parts that never ended: how many."""
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._place.bucket, Prefix=self._key
        )
        count = 0
        for page in _as_far_as_known(pages):
            for upload in page.get("Uploads", ()):
                if covers(self._key, upload["Key"]):
                    self._abort_one(upload["Key"], upload["UploadId"])
                    count += 1
        return count

    def _abort_one(self, key: str, upload: str) -> None:
        from botocore.exceptions import ClientError

        try:
            self._s3.abort_multipart_upload(Bucket=self._place.bucket, Key=key, UploadId=upload)
        except ClientError as error:
            if error.response["Error"]["Code"] not in GONE:
                raise

    def _delete_all(self, doomed: Iterator[Doomed], kept: list[PortError]) -> Swept:
        objects = size = 0
        while batch := list(islice(doomed, BATCH)):
            kept += self._delete(batch)
            objects += len(batch)
            size += sum(one.size for one in batch)
        return Swept(objects, size)

    def _delete(self, batch: list[Doomed]) -> list[PortError]:
        """Why some of them stay. Raises ``Transient``."""
        answer = self._s3.delete_objects(
            Bucket=self._place.bucket,
            Delete={"Objects": [one.identifier() for one in batch], "Quiet": True},
        )
        kept = []
        for error in answer.get("Errors", ()):
            if error.get("Code", "") not in GONE:
                why = self._kept(error)
                if isinstance(why, Transient):
                    raise why
                kept.append(why)
        return kept

    def _kept(self, error: ErrorTypeDef) -> PortError:
        """Servers say AccessDenied of a locked object too."""
        code, message = error.get("Code", ""), error.get("Message", "")
        where = f"{self._place}: {error.get('Key', '')} stays"
        why = refusal(where, code, message)
        locked = "lock" in message.lower() or "retention" in message.lower()
        if isinstance(why, Transient) or (isinstance(why, AccessDenied) and not locked):
            return why
        return Mismatch(f"{where}: {code}: {message}; end what holds it there (object lock, hold)")


def _as_far_as_known(pages: Iterable[Item]) -> Iterator[Item]:
    """Nothing from a server that does not know this kind of list, or has none."""
    from botocore.exceptions import ClientError

    try:
        yield from pages
    except ClientError as error:
        # NoSuchUpload: that there are none, says rclone.
        if not unsupported(error) and error.response["Error"]["Code"] not in GONE:
            raise
