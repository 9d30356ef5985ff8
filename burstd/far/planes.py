"""Which stretches of a payload have their numbers in planes: the frame before it says so
(docs/formats.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Callable, NamedTuple, Optional, Union

from burstd.far.errors import BROKEN, FarError

_HEAD, _STRETCH = struct.Struct("<II"), struct.Struct("<IB")
MAGIC = 0x184D2A5B  # of a frame that other programs skip (RFC 8878, 3.1.2)
WIDEST = 64  # bytes of a number, or of a vector of them
LEAST = 2048  # bytes of a stretch in planes, on average


class Stretch(NamedTuple):
    """Bytes from `start` to before `end` are numbers of `width` bytes each."""

    start: int
    end: int
    width: int


def head(
    came: Union[bytes, bytearray, memoryview], size: int
) -> Optional[tuple[int, Sequence[Stretch]]]:
    """How long what comes before the frame is, and which of its `size` bytes lie in planes; nothing
    if more must come to know it. Raises FarError(broken)."""
    if len(came) < _HEAD.size:
        return None
    magic, length = _HEAD.unpack_from(came)
    if magic != MAGIC:
        return 0, ()
    if length % _STRETCH.size or length > 2 * _STRETCH.size * (size // LEAST + 1):
        raise FarError(BROKEN, f"planes that are told of in {length} bytes")
    end = _HEAD.size + length
    if len(came) < end:
        return None
    return end, list(_stretches(bytes(came[_HEAD.size : end]), size))


def _stretches(rows: bytes, most: int) -> Iterator[Stretch]:
    start = 0
    for size, width in _STRETCH.iter_unpack(rows):
        end = start + size
        if not size or end > most or not 1 <= width <= WIDEST:
            raise FarError(BROKEN, f"planes of {width} bytes, from {start} to {end} of {most}")
        if width > 1:
            yield Stretch(start, end, width)
        start = end


class Joiner:
    """Puts numbers together again; `join` does it with one stretch, in its place."""

    def __init__(
        self, content: memoryview, found: Sequence[Stretch], join: Callable[[memoryview, int], None]
    ) -> None:
        self._content, self._left, self._join = content, list(reversed(found)), join

    def upto(self, have: int) -> int:
        """So many bytes are there: how many of them are as they were."""
        while self._left and self._left[-1].end <= have:
            start, end, width = self._left.pop()
            self._join(self._content[start:end], width)
        return min(have, self._left[-1].start) if self._left else have
