"""The table of many packs is made bit by bit, however large it is."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from burstd.far.table import Place, Table
from tests.unit.test_far_places import name


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def pack(number: int, size: int) -> tuple[bytes, list[Place]]:
    places = [(name(number * 10_000 + n), n, number + 1) for n in range(size)]
    return b"%d.pack" % number, sorted(places)


def told(table: Table, names: list[bytes]) -> set[tuple[bytes, bytes, int, int]]:
    found = table.find(b"".join(names), 32)
    return {(one, table.packs[pack], offset, size) for one, pack, offset, size in found}


@pytest.mark.parametrize("small", [64, 2**20])
def test_all_is_found_that_came_and_is_not_gone(
    directory: int, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr("burstd.far.table._SMALL", small)
    monkeypatch.setattr("burstd.far.table._AT_ONCE", 100)
    packs = [pack(number, 900 if number % 3 else 0) for number in range(9)]
    steps: list[tuple[range, list[int]]] = [
        (range(3), []), (range(3, 6), []), (range(6, 6), [1, 3]), (range(6, 9), [0])
    ]  # fmt: skip
    there = list[int]()
    for coming, gone in steps:
        Table.open(directory).with_more(directory, (packs[n] for n in coming), gone)
        there = [n for at, n in enumerate(there) if at not in gone] + list(coming)
        table = Table.open(directory)
        assert [packs[n][0] for n in there] == list(table.packs)
        places = {(one, packs[n][0], at, size) for n in there for one, at, size in packs[n][1]}
        every = [one for _, some in packs for one, _, _ in some]
        assert (len(places), places) == (len(table), told(table, every))
    assert ["all.table"] == os.listdir(directory)


def test_it_takes_little_memory(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("burstd.far.table._SMALL", 2**12)
    rows = [(name(number), number, 7) for number in range(60_000)]

    def packs() -> Iterator[tuple[bytes, list[Place]]]:
        for at in range(0, len(rows), 1000):
            yield b"%d.pack" % at, rows[at : at + 1000]

    tracemalloc.start()
    try:
        Table.open(directory).with_more(directory, packs(), ())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 30 * len(rows)
    assert len(rows) == len(told(Table.open(directory), [one for one, _, _ in rows]))
