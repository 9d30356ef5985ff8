"""A pack has all chunks that it says it has, in the order that it says."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.agent.packed import Numbered, Pack, Runs, packed, runs
from burstd.agent.reading import Chunk
from burstd.far import chunks


def numbered(contents: Sequence[bytes], first: int = 7) -> list[Numbered]:
    return [
        (number, Chunk(chunks.blake3(content), len(content), content))
        for number, content in enumerate(contents, first)
    ]


def opened(found: Sequence[Numbered], numbers: Runs, pack: Pack) -> dict[int, bytes]:
    """What the far end makes of it."""
    content: bytes | bytearray = pack.content
    if pack.plain is not None:
        content = chunks.decompress(pack.content, pack.plain)
    sizes, at, there = {number: chunk.size for number, chunk in found}, 0, dict[int, bytes]()
    for first, count in numbers:
        for number in range(first, first + count):
            there[number] = bytes(content[at : at + sizes[number]])
            at += sizes[number]
    assert len(content) == at
    return there


def text(dice: random.Random, size: int) -> bytes:
    return b"".join(b"%12.5f\n" % dice.gauss(0, 1) for _ in range(size // 9 + 1))[:size]


def case(parts: int) -> list[bytes]:
    """Texts and numbers in turns, as a case of OpenFOAM has them."""
    dice = random.Random(3)
    values = [dice.gauss(0, 1e-3) for _ in range(900)]
    numbers = b"".join(int(value * 1e9).to_bytes(8, "little", signed=True) for value in values)
    return [
        text(dice, dice.randrange(3000, 9000)) if part % 2 else numbers[dice.randrange(4000) :]
        for part in range(parts)
    ]


PIECES = st.tuples(st.sampled_from("tnz"), st.integers(1, 50_000), st.integers(0, 9))


@settings(deadline=None, max_examples=60)
@given(st.lists(PIECES, min_size=1, max_size=40), st.sampled_from([0, 1, 3]), st.booleans())
def test_all_of_them_come_out_again(
    pieces: list[tuple[str, int, int]], level: int, ordered: bool
) -> None:
    contents = []
    for kind, size, seed in pieces:
        dice = random.Random(seed)
        made = {"t": text(dice, size), "n": dice.randbytes(size), "z": bytes(size)}
        contents.append(made[kind])
    found = numbered(contents)
    numbers, pack = packed(found, level, ordered)
    assert dict(enumerate(contents, 7)) == opened(found, numbers, pack)
    if ordered or not level:
        assert [(7, len(contents))] == numbers


def test_small_texts_lie_together_and_cost_less_so() -> None:
    found = numbered(case(200))
    (_, mixed), (numbers, sorted_) = packed(found, 1, True), packed(found, 1, False)
    texts = [range(first, first + count) for first, count in numbers[:100]]
    assert [range(n, n + 1) for n in range(8, 207, 2)] == texts
    assert len(sorted_.content) < 0.94 * len(mixed.content)


def test_pieces_have_a_table_for_many_small_ones() -> None:
    """Each by itself takes more."""
    contents = case(200)[1::2]
    found = numbered(contents)
    ends = [sum(map(len, contents[: at + 1])) for at in range(len(contents))]
    alone = chunks.compress(b"".join(contents), 1, ends)
    _, pack = packed(found, 1, True)
    assert len(pack.content) < 0.99 * len(alone)


def test_what_does_not_get_smaller_goes_as_it_is() -> None:
    found = numbered([random.Random(n).randbytes(30_000) for n in range(5)])
    numbers, pack = packed(found, 1, False)
    assert (None, 150_000, [(7, 5)]) == (pack.plain, len(pack.content), numbers)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([], []), ([4], [(4, 1)]), ([4, 5, 6, 9, 8, 7, 8], [(4, 3), (9, 1), (8, 1), (7, 2)])],
)
def test_runs(numbers: list[int], expected: list[tuple[int, int]]) -> None:
    assert expected == runs(numbers)
