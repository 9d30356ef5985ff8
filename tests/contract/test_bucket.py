"""One suite for buckets: on moto's server, and on servers that know less of S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.ports.bucket import Swept
from burstd.testing.contracts.bucket import BucketContract, BucketServer
from tests.contract.s3 import Older, S3Server, moto, served

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
