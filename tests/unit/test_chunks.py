"""Cutting, naming and compressing: against the libraries that others keep, and by properties."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise

import blake3
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from burstd.far import chunks
from burstd.far.errors import FarError

#: Around blocks, leaves, subtrees and the least and most of a chunk; and where of sixteen lanes or
#: eight, or of pairs of those, some have nothing to do.
_LEAVES = (*range(1, 35), 63, 64, 65, 127, 128, 129, 256, 1024)
EDGES = [
    near for size in (1, 64, *(1024 * n for n in _LEAVES)) for near in (size - 1, size, size + 1)
] + [3_000_001]


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", EDGES)
def test_a_name_is_blake3(size: int) -> None:
    data = noise(size)
    assert blake3.blake3(data).digest() == chunks.blake3(data)
    assert blake3.blake3(data).digest() == chunks.blake3(memoryview(bytearray(data)))


def test_the_names_of_pieces_are_those_of_each_alone() -> None:
    data = noise(300_000)
    ends = [0, 1, 70_000, 70_000, 299_999, 300_000]
    pieces = [data[start:end] for start, end in pairwise([0, *ends])]
    assert [blake3.blake3(piece).digest() for piece in pieces] == chunks.each(
        chunks.names(data, ends)
    )


@given(st.lists(st.one_of(st.integers(0, 3000), st.integers(0, 140_000)), max_size=150))
@example([2**20 + 1, 5, 2**20, 7])
@example([3000] * 400)
@settings(max_examples=60, deadline=None)
def test_however_many_pieces_are_named_together(sizes: list[int]) -> None:
    data = noise(sum(sizes))
    ends = list(accumulate(sizes))
    pieces = [data[start:end] for start, end in pairwise([0, *ends])]
    names = chunks.names(data, ends) if ends else b""
    assert [blake3.blake3(piece).digest() for piece in pieces] == chunks.each(names)


NEARBY = st.integers(-1, 1)
PART = 2**17  #: bytes that are taken at once: native/blake3.c
SIZES = st.one_of(
    st.integers(0, 2_500_000), st.builds(lambda n, by: n * PART + by, st.integers(1, 20), NEARBY)
)


@given(st.lists(SIZES, max_size=6), st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
@example([PART], 1)
@example([2 * PART, 0, 1], 1)
@example([64 * PART], 1)
@example([PART, PART, PART, 0, PART], 1)
def test_the_name_of_what_comes_piece_by_piece(sizes: list[int], seed: int) -> None:
    ours, theirs = chunks.Blake3(), blake3.blake3()
    for size in sizes:
        piece = noise(size, seed)
        ours.update(piece)
        theirs.update(piece)
        assert theirs.hexdigest() == ours.hexdigest()


def test_the_name_of_nothing() -> None:
    ours = chunks.Blake3()
    assert blake3.blake3(b"").digest() == ours.digest()
    ours.update(b"")
    ours.update(bytearray())
    assert blake3.blake3(b"").digest() == ours.digest()


def gear() -> list[int]:
    texts = (b"burst gear " + bytes([byte]) for byte in range(256))
    return [int.from_bytes(blake3.blake3(text).digest()[:8], "little") for text in texts]


def cut_slowly(data: bytes) -> list[int]:
    """The text of docs/formats.md, word for word."""
    table, ends, start = gear(), list[int](), 0
    while start < len(data):
        here = data[start:]
        value, end = 0, min(len(here), chunks.MOST)
        for at in range(chunks.LEAST, end):
            value = ((value << 1) + table[here[at]]) % 2**64
            if value >> (64 - (16 if at < 16384 else 14)) == 0:
                end = at + 1
                break
        start += end
        ends.append(start)
    return ends


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 65536, 900_000])
def test_it_is_cut_as_the_document_says(size: int) -> None:
    data = noise(size, seed=size)
    assert cut_slowly(data) == list(chunks.cut(data))


def test_what_has_no_cut_is_cut_at_the_most() -> None:
    assert [*range(chunks.MOST, 600_000, chunks.MOST), 600_000] == list(chunks.cut(bytes(600_000)))


@given(st.integers(0, 3_000_000), st.integers(0, 2**32), st.integers(1, 5000), st.data())
@settings(max_examples=40, deadline=None)
def test_an_insertion_changes_only_the_chunks_around_it(
    size: int, seed: int, more: int, data: st.DataObject
) -> None:
    whole = noise(size, seed)
    at = data.draw(st.integers(0, size))
    longer = whole[:at] + noise(more, seed + 1) + whole[at:]
    before, after = parts(whole), parts(longer)

    assert whole == b"".join(before)
    assert all(len(part) <= chunks.MOST for part in before)
    assert all(len(part) > chunks.LEAST for part in before[:-1])
    # Behind a change a few chunks are cut otherwise, until two cuts fall together again.
    assert len(set(after) - set(before)) <= 12


def parts(data: bytes) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *chunks.cut(data)])]


@given(st.binary(max_size=4000), st.sampled_from([-5, 1, 3, 19]))
@settings(deadline=None, max_examples=50)
def test_a_frame_is_zstd_and_comes_back(data: bytes, level: int) -> None:
    frame = chunks.compress(data, level)
    assert data == zstandard.ZstdDecompressor().decompressobj().decompress(frame)
    assert data == chunks.decompress(frame, len(data))
    assert data == chunks.decompress(zstandard.compress(data, 1), len(data))


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=20), st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_pieces_of_a_frame_come_back_as_one(sizes: list[int], seed: int) -> None:
    parts = [noise(size, seed) if n % 2 else b"abc" * (size // 3) for n, size in enumerate(sizes)]
    data, ends = b"".join(parts), list(accumulate(map(len, parts)))
    frame = chunks.compress(data, 1, ends)
    assert data == chunks.decompress(frame, len(data))
    assert data == zstandard.ZstdDecompressor().decompressobj().decompress(frame)


@given(st.integers(0, 300_000), st.integers(1, 5000), st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_frame_is_read_as_it_comes(size: int, step: int, dull: bool) -> None:
    data = b"a" * size if dull else noise(size)
    frame = chunks.compress(data, 1)
    blocks = [frame[at : at + step] for at in range(0, len(frame), step)]
    into = memoryview(bytearray(size))
    came = list(chunks.inflate(blocks, into))
    assert (data, size) == (bytes(into), came[-1])
    assert came == sorted(came)
    for wrong in (size - 1, size + 1) if size else (1,):
        with pytest.raises(FarError, match="does not hold"):
            list(chunks.inflate(blocks, memoryview(bytearray(wrong))))
    for broken in ([frame[:-1]], [frame, b"x"], [frame + b"x"], [b"no frame at all"], []):
        with pytest.raises(FarError, match="does not hold"):
            list(chunks.inflate(broken, into))


def test_text_beside_numbers_is_compressed_as_if_it_were_alone() -> None:
    text = b"".join(b"(%.5g %.5g)\n" % (n / 7, n / 3) for n in range(40_000))
    numbers = noise(450_000).translate(bytes(n // 4 for n in range(256)))
    each = [[kind[n * 9000 :][:9000] for n in range(50)] for kind in (text, numbers)]
    pieces = [piece for pair in zip(*each, strict=True) for piece in pair]
    alone = sum(len(chunks.compress(b"".join(one), 1, ends_of(one))) for one in each)
    data, ends = b"".join(pieces), ends_of(pieces)
    assert len(chunks.compress(data, 1, ends)) < 1.02 * alone
    assert len(zstandard.compress(data, 1)) > 1.04 * alone


def ends_of(pieces: Sequence[bytes]) -> list[int]:
    return list(accumulate(map(len, pieces)))


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_frame_with_another_size_or_damage_is_refused(wrong: int) -> None:
    data = noise(50_000)
    frame = bytearray(chunks.compress(data, 1))
    with pytest.raises(FarError, match="does not hold"):
        chunks.decompress(frame, len(data) + wrong)
    with pytest.raises(FarError, match="does not hold"):
        chunks.decompress(frame[:-1], len(data))
    with pytest.raises(FarError, match="does not hold"):
        chunks.decompress(b"not zstd", 100)
