"""What ``burst doctor`` looks at of a bucket: the site's key, and whether all that burstd does with
it is allowed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from burstd.adapters.s3.bucket import S3Bucket
from burstd.adapters.vault import FileVault
from burstd.app import place_of
from burstd.config.places import BucketTable
from burstd.domain.findings import Area, Finding
from burstd.far.errors import FarError
from burstd.far.objects import Objects
from burstd.ports.errors import PortError

ALLOWED = (
    "what its keys must allow is in docs/buckets.md; the endpoint must answer this machine, and "
    "both clocks be right within minutes"
)


def examine(name: str, table: BucketTable, *, usable: bool) -> Iterator[Finding]:
    """``usable``: the way to it is open."""
    area, place = Area(f"bucket {name}"), place_of(table)
    cure = f"openssl rand -hex 32 > {table.site_key}; owner burstd, mode 0600"
    yield area.judge("site key", _trouble_of_key(table), str(table.site_key), cure)
    if usable:
        yield area.judge("leave, fetch, list, remove", _trouble_of(table), str(place), ALLOWED)
    else:
        seen = "not examined, for the link to it is down or has failed"
        yield area.unknown("leave, fetch, list, remove", seen, "burst doctor --open-links")


def _trouble_of_key(table: BucketTable) -> str:
    try:
        FileVault(table.site_key).sign(b"")
    except PortError as error:
        return str(error)
    return ""


def _trouble_of(table: BucketTable) -> str:
    """Of an object that is left, fetched, listed and removed."""
    objects, name = Objects(), f"doctor/{secrets.token_hex(8)}"
    try:
        bucket = S3Bucket(place_of(table))
        objects.put(bucket.put_address(name, 60), b"burst doctor")
        if objects.get(bucket.get_address(name, 60), 100) != b"burst doctor":
            return "what was left there comes back as something else"
        listed = [one.name for one in bucket.listed("doctor/")]
        bucket.remove(name)
    except (PortError, FarError) as error:
        return getattr(error, "message", str(error))
    finally:
        objects.close()
    return "" if name in listed else "what was left there is not listed"
