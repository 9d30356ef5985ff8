"""One suite for buckets: on moto's server, and on servers that know less of S3."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest

from burstd.ports.bucket import Swept
from burstd.ports.errors import Mismatch
from burstd.testing.contracts.bucket import BucketContract, BucketServer
from lab import Bucket, Lab
from tests.contract.relay import relayed
from tests.contract.s3 import Meanwhile, Older, S3Server, moto, served

KEYS = "AKIDCONTRACT", "a/secret+of%letters"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served(moto()) as url:
        yield url


@pytest.fixture(scope="module")
def older() -> Iterator[str]:
    with served(Older(moto(), says_so=True)) as url:
        yield url


class TestMoto(BucketContract):
    @pytest.fixture
    def server(self, endpoint: str, tmp_path: Path) -> BucketServer:
        return S3Server(endpoint, *KEYS, tmp_path, checks_signatures=False)


class TestOlder(BucketContract):
    """It has no versions, and never tells of uploads."""

    @pytest.fixture
    def server(self, endpoint: str, older: str, tmp_path: Path) -> BucketServer:
        return S3Server(
            older,
            *KEYS,
            tmp_path,
            checks_signatures=False,
            keeps_versions=False,
            keeps_uploads=False,
            locks=False,
            direct=endpoint,
        )


def test_a_server_that_knows_no_versions_and_does_not_say_so_is_swept_too(
    endpoint: str, tmp_path: Path
) -> None:
    with served(Older(moto(), says_so=False)) as url:
        server = S3Server(url, *KEYS, tmp_path, direct=endpoint)
        for key in ("burstd/a/1", "burstd/a/2", "burstd/b"):
            server.write(key, b"x")

        assert Swept(2, 2) == server.opened("burstd/").remove("a/")
        assert ["burstd/b"] == server.everything()


def test_what_was_written_during_a_removal_is_removed_too(endpoint: str, tmp_path: Path) -> None:
    late = iter(["burstd/a/2", "burstd/a/3"])

    def happens() -> None:
        for key in islice(late, 1):
            server.write(key, b"x")

    application = Meanwhile(moto(), happens)
    with served(application) as url:
        server = S3Server(url, *KEYS, tmp_path, direct=endpoint)
        server.write("burstd/a/1", b"x")

        assert Swept(3, 3) == server.opened("burstd/").remove("a/")
        assert [] == server.everything()


def test_a_removal_that_never_ends_is_told(endpoint: str, tmp_path: Path) -> None:
    late = count()
    application = Meanwhile(moto(), lambda: server.write(f"burstd/a/{next(late)}", b"x"))
    with served(application) as url:
        server = S3Server(url, *KEYS, tmp_path, direct=endpoint)
        server.write("burstd/a/x", b"x")

        with pytest.raises(Mismatch, match="end what writes there"):
            server.opened("burstd/").remove("a/")


@pytest.fixture(scope="module")
def rgw() -> Iterator[Bucket]:
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    lab = Lab.here()
    lab.up()
    made, pid = lab.bucket_up(), lab.host("rgw").first.pid
    host, _, port = made.endpoint.removeprefix("http://").partition(":")
    with relayed(pid, host, int(port)) as here:
        yield replace(made, endpoint=f"http://127.0.0.1:{here}")


@pytest.mark.lab
class TestRadosgw(BucketContract):
    """A real one, which listens in a net of its own."""

    @pytest.fixture
    def server(self, rgw: Bucket, tmp_path: Path) -> BucketServer:
        keys, name = (rgw.access_key, rgw.secret_key), f"contract-{secrets.token_hex(6)}"
        # It holds objects, but its refusal then is that of a right that lacks.
        return S3Server(rgw.endpoint, *keys, tmp_path, bucket=name, locks=False)
