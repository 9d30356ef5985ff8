"""Payloads as they travel: compressed where that is worth it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from burstd.far.errors import REFUSED, FarError
from burstd.far.fields import Fields
from burstd.far.wire import Header

LEVEL = 1  # of zstd; the next ones gain 3 % on solvers' files and cost twice the time
LEAST, WORTH = 4096, 0.97  # bytes that are worth compressing, and what must come of it


def unpacked(fields: Fields, content: bytes, most: int) -> Union[bytes, bytearray]:
    """A payload that was compressed where the request has its `plain` size."""
    if not fields.has("plain"):
        return content
    from burstd.far import chunks

    size = fields.integer("plain")
    if size > most:
        raise FarError(REFUSED, f"a payload of {size} bytes")
    return chunks.decompress(content, size)


def compressed(content: bytes, ends: Sequence[int] = ()) -> tuple[Header, bytes]:
    """What of the answer says so, and the payload. `ends`: of pieces of different kinds."""
    if len(content) >= LEAST:
        from burstd.far import chunks

        frame = chunks.compress(content, LEVEL, ends)
        if len(frame) < WORTH * len(content):
            return {"plain": len(content)}, frame
    return {}, content
