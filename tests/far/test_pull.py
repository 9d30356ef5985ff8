"""Fetching results from the built program: what the site has of them already does not travel."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from burstd.agent.pull import Pull
from burstd.far.client import Client
from burstd.ports.errors import Unreachable
from tests.far.kit import FarEnd, entry, put

PATH = "/home/alice/study/field.bin"
MIB = 2**20
OLD = random.Random(3).randbytes(9 * MIB)
MORE = random.Random(4).randbytes(MIB)


def pulled(client: Client, size: int, here: Path | None) -> tuple[bytes, int]:
    found, came = bytearray(), list[int]()
    pull = Pull(client, PATH, size, found.extend, came.append)
    if here is None:
        pull.fetch(None)
    else:
        with here.open("rb") as similar:
            pull.fetch(similar.fileno())
    return bytes(found), sum(came)


@pytest.mark.parametrize(
    ("new", "most"),
    [
        (OLD + MORE, 1.4 * MIB),  # a live copy that grew
        (OLD[: 4 * MIB] + b"one line" + OLD[4 * MIB :], 0.8 * MIB),
        (OLD[: 4 * MIB] + b"x" * 65536 + OLD[4 * MIB + 65536 :], 0.9 * MIB),
        (OLD[2 * MIB :], 0.8 * MIB),
        (OLD, 0),
        (random.Random(5).randbytes(3 * MIB), 3 * MIB),
        (OLD[:1000], 1000),
        (b"", 0),
    ],
    ids=["grew", "inserted", "overwritten", "cut off", "same", "another", "small", "empty"],
)
def test_only_what_is_not_here_comes(far: FarEnd, tmp_path: Path, new: bytes, most: int) -> None:
    here = tmp_path / "copy"
    here.write_bytes(OLD)
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, new), new)
        content, came = pulled(client, len(new), here)
        assert new == content
        assert came <= most
        assert (new, len(new)) == pulled(client, len(new), None)
        (tmp_path / "nothing").touch()
        assert (new, len(new)) == pulled(client, len(new), tmp_path / "nothing")


def test_a_copy_that_changes_meanwhile_does_no_harm(
    far: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "copy"
    here.write_bytes(OLD)
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, OLD), OLD)
        real = client.names

        def names(path: str) -> list[tuple[bytes, int]]:
            with here.open("r+b") as file:
                file.seek(MIB)
                file.write(b"changed")
                file.truncate(5 * MIB)
            return real(path)

        monkeypatch.setattr(client, "names", names)
        content, came = pulled(client, len(OLD), here)
    assert content == OLD
    assert 4 * MIB <= came < 5 * MIB


def test_a_result_that_is_shorter_than_it_was_is_no_result(far: FarEnd, tmp_path: Path) -> None:
    here = tmp_path / "copy"
    here.write_bytes(OLD)
    with far.serving() as (client, _):
        client.hello()
        put(client, entry(PATH, OLD), OLD)
        with pytest.raises(Unreachable, match="ends after"):
            pulled(client, len(OLD) + 1, here)
        os.truncate(far.file(PATH), 4 * MIB)
        with pytest.raises(Unreachable, match="ends after"):
            pulled(client, len(OLD), None)
