"""Files that pass through a real S3 server in the cloud, sealed, and what is left of them there."""

from __future__ import annotations

import json

import pytest

from lab import Bucket
from tests.lab.conftest import Site

pytestmark = pytest.mark.lab

KEYS = "/etc/burstd/bucket-credentials"
TABLES = """
[buckets.rgw]
endpoint = "{endpoint}"
bucket = "{name}"
prefix = "{prefix}"
credentials = "{keys}"
key = "{key}"
site_key = "/etc/burstd/site.key"
"""
BODY = """\
cat made.bin > copy.bin
sleep 5
ccx -i beam
"""


@pytest.fixture
def bucket(site: Site) -> Bucket:
    """With a directory of this test's: an earlier one's burstd may have left something."""
    return site.lab.bucket_up()


def prefix_of(site: Site) -> str:
    return f"t-{int(site.since)}/"


def start(site: Site, bucket: Bucket, key: str = "burst") -> None:
    forget_chunks(site)
    secret = (
        f"[default]\naws_access_key_id = {bucket.access_key}\n"
        f"aws_secret_access_key = {bucket.secret_key}\n"
    )
    site.px.write(KEYS, secret, 0o600, "burstd:burstd")
    site.px.write("/etc/burstd/site.key", "7a" * 32 + "\n", 0o600, "burstd:burstd")
    words = {"name": bucket.name, "keys": KEYS, "key": key, "prefix": prefix_of(site)}
    table = TABLES.format(endpoint=bucket.endpoint, **words)
    site.start(high="0.5", low="0.1", terms='bucket = "rgw"', tables=table)


def forget_chunks(site: Site) -> None:
    """As a far end that keeps nothing."""
    site.lab.host("login").sh("rm -rf /scratch/burst/stores/*")


def objects(site: Site, bucket: Bucket) -> list[str]:
    """Names of all that lies there, by the server's own tool."""
    host = site.lab.host("rgw")
    argv = ["radosgw-admin", "bucket", "list", f"--bucket={bucket.name}", "--max-entries=100000"]
    names = [str(one["name"]) for one in json.loads(host.run(argv).stdout)]
    return [name for name in names if name.startswith(prefix_of(site))]


def made(site: Site, home: str, seed: int, size: int = 6_000_000) -> None:
    """A file of noise: of it nothing is alike anywhere."""
    code = f"import random,sys;sys.stdout.buffer.write(random.Random({seed}).randbytes({size}))"
    site.ctl.sh(f"python3 -c '{code}' > {home}/made.bin", user="alice")


def digest(site: Site, path: str) -> str:
    return site.ctl.sh(f"sha256sum < {path}", user="alice").split()[0]


def test_files_pass_through_the_bucket_once_it_is_there(site: Site, bucket: Bucket) -> None:
    home = site.study("passing")
    made(site, home, 1)
    start(site, bucket)
    site.lab.host("rgw").stop_service("radosgw")
    job = site.submit("passing", BODY, options=("-p", "burst"), directory=home)
    said = f"cat {home}/passing.out 2>/dev/null || true"
    site.until(lambda: "bucket" in site.ctl.sh(said, user="alice"), "its output says why it waits")
    assert "staging_in" == site.stage(job)
    site.lab.bucket_up()
    site.until(lambda: site.stage(job) == "running", "it goes on by itself")
    there = objects(site, bucket)
    assert len([name for name in there if "/packs/" in name]) >= 2
    assert all("alice" not in name and "passing" not in name for name in there)

    found = site.px.run(["burst", "doctor", "--json"], user="burstd", check=False).stdout
    rows = [row for row in json.loads(found)["findings"] if row["area"] == "bucket rgw"]
    assert [("site key", "ok"), ("leave, fetch, list, remove", "ok")] == [
        (row["check"], row["grade"]) for row in rows
    ]

    site.until(lambda: site.state(job) == "COMPLETED", "it ends")
    assert digest(site, f"{home}/made.bin") == digest(site, f"{home}/copy.bin")
    assert "beam.frd" in site.ctl.sh(f"ls {home}", user="alice")
    site.until(lambda: objects(site, bucket) == [], "nothing of it lies there")
    certificate = json.loads(site.px.run(["burst", "shred", job, "--json"]).stdout)["certificates"]
    assert [True] == [one["objects"] >= 4 for one in certificate]
    checked = json.loads(site.px.run(["burst", "audit", "verify", "--json"]).stdout)
    assert [certificate[0]["public_key"]] == checked["certificates_by"]


def test_what_shares_a_key_goes_up_once(site: Site, bucket: Bucket) -> None:
    home = site.study("shared")
    made(site, home, 2)
    start(site, bucket, key="user")
    for turn in range(2):
        job = site.submit(f"shared{turn}", BODY, options=("-p", "burst"), directory=home)
        site.until(lambda job=job: site.state(job) == "COMPLETED", "it ends")  # type: ignore[misc]
        packs = {name for name in objects(site, bucket) if "/packs/" in name}
        if turn == 0:
            first = packs
            forget_chunks(site)
            site.ctl.sh(f"rm {home}/copy.bin {home}/beam.[!i]*", user="alice")
    assert len(packs) < len(first) + 2  # the second brought its script's surroundings at most
    assert first <= packs
    site.until(lambda: site.stage(job) == "settled", "it is over")
    done = site.px.run(["burst", "shred", "--user", "alice", "--why", "project closed", "--json"])
    (certificate,) = json.loads(done.stdout)["certificates"]
    assert ("user:alice", "project closed") == (certificate["scope"], certificate["why"])
    assert [] == objects(site, bucket)
