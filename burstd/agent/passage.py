"""What passes through a bucket on its way to the far end and back: sealed here with a key that the
bucket's owner never sees, left at addresses that burstd signs one by one."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from burstd.agent.packed import Left, Pack
from burstd.far import passage, seal
from burstd.far.errors import MISMATCH, FarError
from burstd.far.objects import Objects
from burstd.far.wire import Header

PACKS, RESULTS = "packs/", "results/"
PLACES = 200  #: for answers, the last ones; fewer requests are under way


@dataclass(frozen=True)
class Addresses:
    """``put``: nothing for an object that is there already; in the order of the names asked for."""

    put: Sequence[str | None] = field(default=(), repr=False)
    get: Sequence[str] = field(default=(), repr=False)


class Sign(Protocol):
    """burstd, who alone has the bucket's credentials. Raises ``Away``."""

    def __call__(
        self, put: Sequence[str] = (), get: Sequence[str] = (), bad: Sequence[str] = ()
    ) -> Addresses:
        """Addresses of objects by their names; ``bad`` ones are removed first."""


@dataclass
class Passage:
    """For threads. Raises ``Away`` and ``FarError``."""

    key: bytes = field(repr=False)
    sign: Sign
    pace: Callable[[int], object] = int
    objects: Objects = field(default_factory=Objects)
    _places: dict[str, str] = field(default_factory=dict, repr=False)

    def leave(self, names: Sequence[bytes], make: Callable[[], Pack]) -> Left:
        """A pack of those chunks; ``make`` is called where nobody has left the same one before."""
        name = PACKS + seal.name_of(self.key, names)
        found = self.sign(put=[name], get=[name])
        if found.put[0] is None:
            return Left(name, found.get[0])
        began = time.monotonic()
        pack = make()
        sealed = passage.closed(self.key, name, pack.content, pack.plain)
        made = time.monotonic()
        self.pace(len(sealed))
        self.objects.put(found.put[0], sealed)
        return Left(name, found.get[0], made - began, time.monotonic() - made)

    def distrust(self, name: str) -> None:
        """The far end could not open that pack: it is to be left anew."""
        self.sign(bad=[name])

    def place(self) -> Header:
        """Where the far end may leave an answer; see ``far.client.Replies``."""
        name = RESULTS + secrets.token_hex(32)
        found = self.sign(put=[name], get=[name])
        self._places[name] = found.get[0]
        if len(self._places) > PLACES:  # short answers come over the line, and leave theirs unused
            del self._places[next(iter(self._places))]
        return {"address": found.put[0] or "", "name": name}

    def bring(self, name: str, size: int) -> bytes:
        """That answer. Raises FarError(mismatch) where it is another one."""
        address = self._places.pop(name, None)
        if address is None:
            raise FarError(MISMATCH, f"an answer in {name}, where none was to be left")
        sealed = self.objects.get(address, seal.size_of(size))
        self.pace(len(sealed))
        content = seal.unseal(self.key, name, sealed)
        if len(content) != size:
            raise FarError(MISMATCH, f"{name} has {len(content)} bytes, not {size}")
        return bytes(content)

    def close(self) -> None:
        """Give the connections back."""
        self.objects.close()


def addresses(answer: Mapping[str, Sequence[str]]) -> Addresses:
    """As burstd's answer has them."""
    return Addresses(tuple(answer["put"]), tuple(answer["get"]))
