"""Payloads that do not travel over the line but lie, sealed, in a bucket for a while: whoever sends
one leaves it there and tells the other end where."""

from __future__ import annotations

import struct
from typing import Optional, Union

from burstd.far import seal
from burstd.far.errors import BROKEN, REFUSED, FarError
from burstd.far.fields import Fields
from burstd.far.objects import Objects
from burstd.far.wire import Header

Data = Union[bytes, bytearray, memoryview]

_PACK = struct.Struct("<Q")  # before a pack's bytes: their size as they were before, 0 if they are


class Passage:
    """The far end's side of it. All its errors are FarError."""

    def __init__(self) -> None:
        self._objects = Objects()
        self._key: Optional[bytes] = None

    def unlock(self, key: str) -> None:
        """`key`: hex; kept in memory for this conversation."""
        if len(key) != 2 * seal.KEY or not all(c in "0123456789abcdef" for c in key):
            raise FarError(REFUSED, "not a key")
        self._key = bytes.fromhex(key)

    def bring(self, via: Fields, most: int) -> tuple[Optional[int], memoryview]:
        """A pack that was left for us: its size before it was compressed, if it is, and it."""
        sealed = self._objects.get(via.text("address"), seal.size_of(most + _PACK.size))
        return opened(self._known(), via.text("name"), sealed)

    def leave(self, reply: Fields, payload: Data) -> Header:
        """Puts an answer's payload where the request says; what the answer says of it."""
        name = reply.text("name")
        self._objects.put(reply.text("address"), seal.seal(self._known(), name, payload))
        return {"via": {"name": name, "size": len(payload)}}

    def close(self) -> None:
        """Gives its connections back."""
        self._objects.close()

    def _known(self) -> bytes:
        if self._key is None:
            raise FarError(REFUSED, "no key was given for what passes through a bucket")
        return self._key


def closed(key: bytes, name: str, content: Data, plain: Optional[int]) -> bytes:
    """A pack as the object of that name."""
    return seal.seal(key, name, _PACK.pack(plain or 0) + content)


def opened(key: bytes, name: str, sealed: Data) -> tuple[Optional[int], memoryview]:
    """What `closed` was given. Raises FarError(mismatch | broken)."""
    found = memoryview(seal.unseal(key, name, sealed))
    if len(found) < _PACK.size:
        raise FarError(BROKEN, f"object {name} is no pack")
    (plain,) = _PACK.unpack(found[: _PACK.size])
    return plain or None, found[_PACK.size :]
