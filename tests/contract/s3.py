"""Buckets for the bucket's contract, made on any server that speaks S3."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Literal

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from burstd.adapters.s3.bucket import S3Bucket
from burstd.adapters.s3.client import Place, client
from burstd.adapters.s3.keys import Keys
from burstd.testing.contracts.bucket import BucketServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from types_boto3_s3 import S3Client

_NUMBER = count(1)


@dataclass
class S3Server:
    """A bucket of its own at a server that is there. ``files``: where its access keys are written
    to. ``direct``: where the tests themselves look, if not by ``endpoint``."""

    endpoint: str
    access: str
    secret: str
    files: Path
    checks_signatures: bool = True
    keeps_versions: bool = True
    keeps_uploads: bool = True
    locks: bool = True
    direct: str = ""
    bucket: str = field(default_factory=lambda: f"contract-{next(_NUMBER)}")
    lockable: bool = False

    def __post_init__(self) -> None:
        self._s3.create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=self.lockable)

    @property
    def _s3(self) -> S3Client:
        return _client(self.direct or self.endpoint, self.access, self.secret)

    def _open(
        self, prefix: str = "burstd/", *, endpoint: str = "", bucket: str = "", secret: str = ""
    ) -> S3Bucket:
        file = self.files / f"credentials-{next(_NUMBER)}"
        file.touch(0o600)
        file.write_text(
            f"[default]\naws_access_key_id = {self.access}\n"
            f"aws_secret_access_key = {secret or self.secret}\n"
        )
        place = Place(bucket or self.bucket, prefix, endpoint or self.endpoint, credentials=file)
        return S3Bucket(place)

    def opened(self, prefix: str, *, secret: str | None = None) -> S3Bucket:
        return self._open(prefix, secret=secret or self.secret)

    def elsewhere(self) -> S3Bucket:
        return self._open(endpoint="http://127.0.0.1:1")

    def missing(self) -> S3Bucket:
        return self._open(bucket="never-made")

    def locking(self) -> BucketServer:
        return replace(self, bucket=f"contract-{next(_NUMBER)}", lockable=True)

    def write(self, key: str, content: bytes) -> None:
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self._s3.delete_object(Bucket=self.bucket, Key=key)

    def keep_versions(self) -> None:
        self._s3.put_bucket_versioning(
            Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}
        )

    def hold(self, key: str) -> Callable[[], None]:
        (version,) = self._s3.list_object_versions(Bucket=self.bucket, Prefix=key)["Versions"]

        def hold(status: Literal["ON", "OFF"]) -> None:
            self._s3.put_object_legal_hold(
                Bucket=self.bucket,
                Key=key,
                VersionId=version["VersionId"],
                LegalHold={"Status": status},
            )

        hold("ON")
        return lambda: hold("OFF")

    def begin_upload(self, key: str) -> None:
        upload = self._s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        self._s3.upload_part(
            Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part"
        )

    def everything(self) -> list[str]:
        s3, keys = self._s3, []
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket):
            keys += [one["Key"] for one in page.get("Versions", ())]
            keys += [one["Key"] for one in page.get("DeleteMarkers", ())]
        for uploads in s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket):
            keys += [one["Key"] for one in uploads.get("Uploads", ())]
        return sorted(keys)


@cache
def _client(endpoint: str, access: str, secret: str) -> S3Client:
    return client(Place("", endpoint=endpoint), Keys(access, secret))


# --- moto's server, and what stands before it


@contextmanager
def served(application: WSGIApplication) -> Iterator[str]:
    """A web server in a thread; its URL."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line for each request
    server = make_server("127.0.0.1", 0, application, True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def moto() -> WSGIApplication:
    """Moto's stand-in for S3. It takes any signature."""
    return DomainDispatcherApplication(create_backend_app)


@dataclass
class Older:
    """A server that has lists of objects, but none of versions and none of uploads: it says so, or
    takes no notice and lists objects."""

    application: WSGIApplication
    says_so: bool

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        asked = environ["QUERY_STRING"].split("&")
        unknown = {"versions", "uploads"} & {part.partition("=")[0] for part in asked}
        if unknown and environ["REQUEST_METHOD"] == "GET":
            if self.says_so:
                start("501 Not Implemented", [("Content-Type", "application/xml")])
                return [b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>"]
            kept = [part for part in asked if part.partition("=")[0] not in unknown]
            environ["QUERY_STRING"] = "&".join(kept)
        return self.application(environ, start)


@dataclass
class Meanwhile:
    """A server at which something else happens before each removal."""

    application: WSGIApplication
    happens: Callable[[], None]

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST" and "delete" in environ["QUERY_STRING"]:
            self.happens()
        return self.application(environ, start)
