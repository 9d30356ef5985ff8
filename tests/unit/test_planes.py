"""Numbers that travel in planes: what docs/formats.md says, read by itself and written by nobody
else; and what is not what it says."""

from __future__ import annotations

import math
import random
import struct
from array import array
from collections.abc import Callable
from itertools import accumulate

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.far import chunks, planes
from burstd.far.errors import FarError

MAGIC = b"\x5b\x2a\x4d\x18"


def split(data: bytes, width: int) -> bytes:
    """The first bytes of all numbers, the second ones, and so on; what is left over."""
    whole = len(data) // width * width
    return b"".join(data[at:whole:width] for at in range(width)) + data[whole:]


def frame(rows: list[tuple[int, int]], content: bytes) -> bytes:
    """As somebody else would write it."""
    told = b"".join(struct.pack("<IB", size, width) for size, width in rows)
    return MAGIC + struct.pack("<I", len(told)) + told + zstandard.compress(content, 1)


def rows_of(payload: bytes | bytearray) -> list[tuple[int, int]]:
    if payload[:4] != MAGIC:
        return []
    (length,) = struct.unpack_from("<I", payload, 4)
    return list(struct.iter_unpack("<IB", payload[8 : 8 + length]))


def field(kind: str, count: int, seed: int = 1) -> bytes:
    """Smooth, with noise below its fifth digit: the velocity or pressure of a flow."""
    dice = random.Random(seed)
    at = seed * 0.37
    return array(
        kind, (math.sin(n / 800 + at) * (1 + 1e-5 * dice.random()) for n in range(count))
    ).tobytes()


def whole_numbers(count: int, seed: int = 1) -> bytes:
    """Which nodes the elements of a mesh have."""
    dice = random.Random(seed)
    return array("i", (10**5 + n // 3 + dice.randrange(90) for n in range(count))).tobytes()


def text(size: int) -> bytes:
    return b"".join(b"%8d%16.6f\n" % (n, math.sin(n)) for n in range(size // 25 + 1))[:size]


KINDS: dict[str, Callable[[int, int], bytes]] = {
    "doubles": lambda size, seed: field("d", size // 8 + 1, seed)[:size],
    "floats": lambda size, seed: field("f", size // 4 + 1, seed)[:size],
    "labels": lambda size, seed: whole_numbers(size // 4 + 1, seed)[:size],
    "noise": lambda size, seed: random.Random(seed).randbytes(size),
    "text": lambda size, _: text(size),
    "zeros": lambda size, _: bytes(size),
}


@pytest.mark.parametrize("kind", ["doubles", "floats", "labels"])
def test_numbers_of_solvers_take_less_in_planes(kind: str) -> None:
    data = KINDS[kind](30_000, 1)
    found = chunks.compress(data, 1)
    assert len(found) < 0.95 * len(zstandard.compress(data, 1))
    assert data == chunks.decompress(found, len(data))


@pytest.mark.parametrize("kind", ["noise", "text", "zeros"])
def test_what_planes_do_not_help_stays_as_it_is(kind: str) -> None:
    assert [] == rows_of(chunks.compress(KINDS[kind](100_000, 1), 1))


def test_vectors_are_told_from_numbers() -> None:
    """Three doubles each, of which every one has its own size, as a mesh has its points."""
    dice = random.Random(3)
    found = array("d")
    for n in range(2000):
        found.extend((n * 1e-4, 700 + math.sin(n / 50) * 3, -2e5 - n % 70 + 1e-6 * dice.random()))
    assert [24] == [width for _, width in rows_of(chunks.compress(found.tobytes(), 1))]


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 40_000)), max_size=8),
    st.integers(0, 1000), st.sampled_from([1, 3]), st.integers(1, 9000),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_pieces_of_any_kind_come_back(
    kinds: list[tuple[str, int]], seed: int, level: int, step: int
) -> None:
    pieces = [KINDS[kind](size, seed + n) for n, (kind, size) in enumerate(kinds)]
    data, ends = b"".join(pieces), list(accumulate(map(len, pieces))) or [0]
    payload = chunks.compress(data, level, ends)
    assert data == chunks.decompress(payload, len(data)) == by_the_book(payload, len(data))
    into = memoryview(bytearray(len(data)))
    blocks = [payload[at : at + step] for at in range(0, len(payload), step)]
    for have in chunks.inflate(blocks, into):
        assert data[:have] == into[:have]  # whoever is told of bytes may keep them
    assert data == into


def by_the_book(payload: bytes, size: int) -> bytes:
    """What docs/formats.md says, in other words and by another library."""
    plain = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(payload)
    assert size == len(plain)
    at, found = 0, b""
    for length, width in rows_of(payload):
        many = length // width
        numbers = (plain[at + n : at + many * width : many] for n in range(many))
        found += b"".join(numbers) + plain[at + many * width : at + length]
        at += length
    return found + plain[at:]


@given(st.binary(max_size=5000), st.data())
@settings(deadline=None, max_examples=60)
def test_any_width_is_read(data: bytes, draw: st.DataObject) -> None:
    width = draw.draw(st.integers(1, planes.WIDEST))
    before = draw.draw(st.integers(0, len(data)))
    rows = [(size, by) for size, by in ((before, 1), (len(data) - before, width)) if size]
    payload = frame(rows, data[:before] + split(data[before:], width))
    assert data == chunks.decompress(payload, len(data))
    into = memoryview(bytearray(len(data)))
    assert len(data) == list(chunks.inflate([payload], into))[-1]
    assert data == into


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 4)], "planes of 4 bytes, from 0 to 0"),
        ([(101, 4)], "from 0 to 101 of 100"),
        ([(50, 4), (51, 1)], "from 50 to 101 of 100"),
        ([(4, 0)], "planes of 0 bytes"),
        ([(100, 65)], "planes of 65 bytes"),
        ([(2**32 - 1, 8), (2**32 - 1, 8)], "from 0 to 4294967295"),
        ([(1, 1)] * 3, "told of in 15 bytes"),
    ],
)
def test_planes_that_cannot_be_are_refused(rows: list[tuple[int, int]], words: str) -> None:
    payload = frame(rows, bytes(100))
    with pytest.raises(FarError, match=words):
        chunks.decompress(payload, 100)
    with pytest.raises(FarError, match=words):
        list(chunks.inflate([payload[:9], payload[9:]], memoryview(bytearray(100))))


def test_a_head_that_never_ends_is_not_waited_for() -> None:
    endless = MAGIC + struct.pack("<I", 2**32 - 1)
    with pytest.raises(FarError, match="told of in 4294967295 bytes"):
        next(chunks.inflate(iter([endless]), memoryview(bytearray(100))))
    with pytest.raises(FarError, match="told of in 7 bytes"):
        chunks.decompress(MAGIC + struct.pack("<I", 7) + bytes(99), 100)
    for short in (MAGIC, MAGIC + struct.pack("<I", 5), MAGIC + struct.pack("<I", 5) + b"\1"):
        with pytest.raises(FarError, match="does not hold 100 bytes"):
            chunks.decompress(short, 100)
        with pytest.raises(FarError, match="does not hold 100 bytes"):
            list(chunks.inflate([short], memoryview(bytearray(100))))


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_whatever_is_changed_on_the_way_harms_nobody(draw: st.DataObject) -> None:
    data = KINDS["doubles"](9000, 1) + KINDS["text"](5000, 1) + KINDS["floats"](9000, 1)
    payload = bytearray(chunks.compress(data, 1, [9000, 14_000, 23_000]))
    assert 3 == len(rows_of(payload))
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, 40) | st.integers(0, len(payload) - 1))
        payload[at] = draw.draw(st.integers(0, 255))
    try:
        found = chunks.decompress(bytes(payload), len(data))
    except FarError as error:
        assert error.code == "broken"
    else:
        assert len(data) == len(found)
