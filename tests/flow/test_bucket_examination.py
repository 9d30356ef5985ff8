"""What ``burst doctor`` says of buckets."""

from __future__ import annotations

from pathlib import Path

import pytest

from burstd.cli.bucket_examination import examine
from burstd.config.places import BucketTable
from burstd.domain.findings import Grade
from tests.contract.s3 import S3Server


@pytest.fixture
def table(endpoint: str, tmp_path: Path) -> BucketTable:
    server = S3Server(endpoint, "AKID", "secret", tmp_path, checks_signatures=False)
    for name, text in (("site.key", "ab" * 32), ("keys", "")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(
            text or "[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\n"
        )
    return BucketTable.model_validate({
        "endpoint": endpoint,
        "bucket": server.bucket,
        "credentials": tmp_path / "keys",
        "site_key": tmp_path / "site.key",
    })  # fmt: skip


def graded(table: BucketTable, *, usable: bool = True) -> dict[str, tuple[Grade, str]]:
    return {f.check: (f.grade, f.seen) for f in examine("eu", table, usable=usable)}


ALL = "leave, fetch, list, remove"


def test_a_good_one_is_well(table: BucketTable) -> None:
    assert {Grade.OK} == {grade for grade, _ in graded(table).values()}


def test_what_is_wrong_is_told(table: BucketTable, tmp_path: Path) -> None:
    (tmp_path / "site.key").chmod(0o644)
    grade, seen = graded(table)["site key"]
    assert Grade.FAILED is grade and "chmod 600" in seen
    for change, words in (
        ({"bucket": "never-made"}, "404"),
        ({"endpoint": "http://127.0.0.1:1"}, "can't be reached"),
    ):
        grade, seen = graded(table.model_copy(update=change))[ALL]
        assert Grade.FAILED is grade and words in seen
    (tmp_path / "keys").chmod(0o644)
    grade, seen = graded(table)[ALL]
    assert Grade.FAILED is grade and "chmod 600" in seen


def test_behind_a_link_that_is_down_nothing_is_known(table: BucketTable) -> None:
    assert Grade.UNKNOWN is graded(table, usable=False)[ALL][0]
