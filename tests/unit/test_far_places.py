"""Where chunks lie, however many they are."""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import blake3
import pytest

from burstd.far.chunks import DIGEST, each
from burstd.far.places import Names, Places, place
from burstd.far.store import Store


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def name(number: int) -> bytes:
    return blake3.blake3(b"%d" % number).digest()


def none(_wanted: bytes, _width: int) -> Iterator[tuple[bytes, int]]:
    return iter(())


@pytest.mark.parametrize("seed", range(30))
def test_each_is_found_where_it_came(
    directory: int, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """But for what lay in a pack that is gone; among them names that lie close to each other."""
    dice = random.Random(seed)
    monkeypatch.setattr("burstd.far.places.FRESH", dice.randint(1, 40))
    monkeypatch.setattr("burstd.far.places.GROUPS", dice.randint(2, 4))
    alike = [bytes(30) + bytes([n, 0]) for n in range(20)] + [
        b"\xff" * 31 + bytes([n]) for n in range(20)
    ]
    known = [*map(name, range(60)), *alike]
    tabled = {one: place(1, n, n) for n, one in enumerate(dice.sample(known, 20))}

    def older(wanted: bytes, width: int) -> Iterator[tuple[bytes, int]]:
        asked = (wanted[at : at + DIGEST] for at in range(0, len(wanted), width))
        return iter([(one, tabled[one]) for one in asked if one in tabled and 1 not in places.gone])

    places, nowhere = Places(directory, older), {None}
    lies = {one: {tabled[one]} if one in tabled else set() for one in known}
    for pack in range(2, 12):
        for _ in range(dice.randint(0, 60)):
            one = dice.choice(known)
            if places.all([one]) != [None]:
                continue
            lies[one].add(there := place(pack, dice.randrange(2**40), dice.randrange(2**17)))
            places.put(one, there)
        if dice.random() < 0.3:
            places.gone.add(dice.randint(1, pack))
        there_are = {o: {p for p in lies[o] if p >> 72 not in places.gone} for o in known}
        asked = dice.sample(known, 30)
        for one, found in zip(asked, places.all(asked), strict=True):
            assert found in (there_are[one] or nowhere)
        places.look(b"".join(one + b"size" for one in asked), DIGEST + 4)
        for one in asked:
            assert places.near(one) in (there_are[one] or nowhere)
    assert [] == os.listdir(directory)


@pytest.mark.parametrize("room", [True, False])
def test_names_are_told_by_their_numbers(
    directory: int, monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    monkeypatch.setattr("burstd.far.places._BLOCK", 10 * DIGEST)
    names, dice, all_ = Names(directory if room else -1), random.Random(1), b""
    for count in (3, 4, 5, 30, 1, 0, 9, 2):
        more = b"".join(name(dice.randrange(2**30)) for _ in range(count))
        names.add(more)
        all_ += more
        known = len(all_) // DIGEST
        for first in range(known):
            for size in (1, 2, known - first):
                wanted = all_[first * DIGEST : min(known, first + size) * DIGEST]
                assert wanted == names.row(first, min(size, known - first))
    names.close()


def test_a_push_of_any_size_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.far.places.FRESH", 1000)
    monkeypatch.setattr("burstd.far.places.GROUPS", 4)
    monkeypatch.setattr("burstd.far.places._BLOCK", 2**15)
    store = Store.at(str(tmp_path), "b-1")
    claims, names = store.claims(wanted=False), store.names()
    tracemalloc.start()
    try:
        taken = list[int]()
        for at in range(0, 100_000, 500):
            some = [name(number) for number in range(at, at + 500)]
            store.add([(one, b"content") for one in some])
            claims.came(some)
            names.add(b"".join(some))
            if at % 5000 == 0:
                store.settle()
                taken.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert taken[-1] - taken[2] < 10 * 85_000
    some = [name(number) for number in range(0, 100_000, 777)]
    assert {*some} == store.held([*some, name(-1)])
    assert some == [each(names.row(number, 1))[0] for number in range(0, 100_000, 777)]
    names.close()
    claims.close()
    store.close()


def test_without_room_for_a_file_all_is_found_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("burstd.far.places.FRESH", 10)
    monkeypatch.setattr("burstd.far.places.GROUPS", 3)
    places = Places(-1, none)
    for number in range(200):
        places.put(name(number), place(0, number, 1))
    found = places.all([name(number) for number in range(201)])
    assert [*(place(0, number, 1) for number in range(200)), None] == found
