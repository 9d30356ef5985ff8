"""Packs that are ready to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby

from burstd.agent.reading import Chunk
from burstd.far import chunks

WORTH = 0.97  #: a pack that compresses to more of its size travels as it is
#: Bytes of small chunks of one kind that are compressed as one piece: each has a table of its own.
PIECE = 2**15

Runs = list[tuple[int, int]]
Numbered = tuple[int, Chunk]  #: the first is what the far end knows it by


@dataclass(frozen=True)
class Pack:
    """``plain``: its size before it was compressed, if it is."""

    content: bytes
    plain: int | None


@dataclass(frozen=True)
class Left:
    """A pack that lies in the bucket, with the seconds that it took to make and to send it; none of
    either where it lay there already."""

    name: str
    address: str = field(repr=False)
    made: float = 0.0
    sent: float = 0.0


def packed(found: Sequence[Numbered], level: int, ordered: bool) -> tuple[Runs, Pack]:
    """These chunks; which, in their order. ``ordered``: that is the one given; else texts come
    first, since small ones with numbers between them compress worse. Raises what ``Chunk.read``
    raises."""
    plain = b"".join(chunk.read() for _, chunk in found)
    if level:
        ends = list(accumulate(chunk.size for _, chunk in found))
        texts = chunks.texts(plain, ends)
        if not ordered and 0 in texts and 1 in texts:
            order = sorted(range(len(found)), key=lambda at: not texts[at])
            plain = b"".join([plain[ends[at] - found[at][1].size : ends[at]] for at in order])
            found, texts = [found[at] for at in order], bytes(sorted(texts, reverse=True))
        frame = chunks.compress(plain, level, _pieces(texts, [chunk.size for _, chunk in found]))
        if len(frame) < WORTH * len(plain):
            return runs_of(found), Pack(frame, len(plain))
    return runs_of(found), Pack(plain, None)


def _pieces(texts: bytes, sizes: Sequence[int]) -> list[int]:
    """Where they end."""
    ends = list[int]()
    end = begun = 0
    for _, kind in groupby(zip(texts, sizes, strict=True), key=lambda one: one[0]):
        for _, size in kind:
            if end > begun and end + size - begun > PIECE:
                ends.append(end)
                begun = end
            end += size
        ends.append(end)
        begun = end
    return ends


def runs_of(found: Sequence[Numbered]) -> Runs:
    """Their numbers."""
    return runs([number for number, _ in found])


def runs(numbers: Sequence[int]) -> Runs:
    """Those that follow each other, as the first of them and how many."""
    found: Runs = []
    for number in numbers:
        if found and sum(found[-1]) == number:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return found
