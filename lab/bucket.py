"""An S3 server in the cloud, on demand: Ceph's radosgw with one bucket.

It answers at the gate's address inside the tunnel and nowhere else. Its daemons have a root of
their own (host `rgw`) and the network of `login`: nothing has to be forwarded, and the site's only
way to it is the tunnel. Objects are in memory and end with the daemon that keeps them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab import build, facts, layer
from lab.errors import NotUp
from lab.facts import RGW
from lab.holders import Holders
from lab.host import Host
from lab.paths import Paths

Report = Callable[[str, float | None], None]
#: Without these two there are no objects; radosgw itself comes and goes.
KEEPERS = ("ceph-mon", "ceph-osd")
NOT_UP = ("the bucket is not up", "python -m lab up --bucket")


@dataclass(frozen=True)
class Bucket:
    """What a client of the S3 server must know. The keys are those of this start."""

    endpoint: str
    name: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)


def up(paths: Paths, login: Host, report: Report) -> Bucket:
    """Start what does not run of the server; return once the bucket is there.

    A dead radosgw comes back to its objects. Without what kept them all is new, keys included.
    Raises LabError if a step fails.
    """
    build.Builder(paths, report).rgw()
    first = Holders(paths).recorded(RGW)
    rgw = Host(RGW, first, paths) if first else None
    if rgw is None or not all(rgw.running(name) for name in KEEPERS):
        report("starting host rgw", None)
        rgw = _start(paths, login)
    for service in RGW.services:
        rgw.start_service(service)
        report(f"bucket: {service} on {RGW.name}", None)
    made = bucket(paths)
    _make(rgw, made)
    return made


def host(paths: Paths) -> Host:
    """The host of the server. Raises NotUp if it was never started."""
    first = Holders(paths).recorded(RGW)
    if first is None:
        raise NotUp(*NOT_UP)
    return Host(RGW, first, paths)


def bucket(paths: Paths) -> Bucket:
    """The bucket of the last start. Raises NotUp if there was none."""
    if not _file(paths).exists():
        raise NotUp(*NOT_UP)
    return Bucket(**json.loads(_file(paths).read_text()))


def _start(paths: Paths, login: Host) -> Host:
    """A host with new keys and nothing in it."""
    holders = Holders(paths)
    holders.end_one(RGW)
    build.remove_tree(paths.host(RGW.name))
    endpoint = f"http://{facts.GATE_ADDRESS}:{facts.BUCKET_PORT}"
    keys = secrets.token_hex(10).upper(), secrets.token_hex(20)
    made = Bucket(endpoint, facts.BUCKET, facts.REGION, *keys)
    layer.write_rgw(paths, *keys)
    first = holders.start_one(RGW, paths.rgw, network=login.first)
    _file(paths).touch(0o600)
    _file(paths).write_text(json.dumps(asdict(made)))
    holders.record(RGW, first)
    return Host(RGW, first, paths)


def _make(rgw: Host, made: Bucket) -> None:
    """Make the bucket; one that is there stays as it is."""
    signed = ["--aws-sigv4", f"aws:amz:{made.region}:s3", "-K", "-"]
    argv = ["curl", "-sS", "-m", "20", "--fail-with-body", "-X", "PUT", *signed]
    # On stdin: the command line is in what a failure says.
    keys = f'user = "{made.access_key}:{made.secret_key}"\n'
    rgw.run([*argv, f"{made.endpoint}/{made.name}"], input=keys)


def _file(paths: Paths) -> Path:
    return paths.state / "bucket.json"
