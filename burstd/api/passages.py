"""Addresses of single objects in a bucket, for agents: no credential of it leaves burstd."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from burstd.domain.burst import Burst
from burstd.ports.errors import AccessDenied, Mismatch, PortError, Transient, Unreachable
from burstd.shell.keyring import GOOD_FOR, PACKS, OpenKey, key_of, named
from burstd.shell.world import Passage, World

#: An object that was left by others meanwhile is only left once more.
LISTED_FOR = timedelta(minutes=2)
#: A bucket that did not answer is not asked again for so long: each question takes its patience.
AWAY_FOR = timedelta(seconds=10)

Name = Annotated[str, Field(pattern=r"^(packs|results)/[0-9a-f]{64}$")]
Names = Annotated[list[Name], Field(max_length=100)]


class Wish(BaseModel):
    """Which objects an agent wants to leave, to fetch, and to see removed."""

    model_config = ConfigDict(extra="forbid")
    put: Names = []
    get: Names = []
    bad: Names = []


@dataclass
class _Known:
    at: datetime
    names: set[str]


@dataclass
class Passages:
    """Forgets with the daemon: what lies in a bucket is listed anew then."""

    _there: dict[str, _Known] = field(default_factory=dict)
    #: One for each place: a list that takes long holds up those alone who need it.
    _listing: dict[str, threading.Lock] = field(default_factory=dict)
    _away: dict[str, tuple[datetime, PortError]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def seal(self, burst: Burst, world: World) -> str | None:
        """The key that seals a burst's files, in hex; ``None`` where they go over the line. Raises
        ``PortError``."""
        passage = _passage(burst, world)
        with _patient():
            return None if passage is None else key_of(burst, passage, world).key.hex()

    def addresses(self, burst: Burst, wish: Wish, world: World) -> dict[str, Sequence[str | None]]:
        """``put``: ``null`` for a pack that lies there already. Raises ``PortError``, and
        ``ValueError`` where its files pass through no bucket."""
        passage = _passage(burst, world)
        if passage is None:
            raise ValueError(f"files of burst {burst.id} pass through no bucket")
        bucket = passage.bucket
        with _patient():
            key = key_of(burst, passage, world)
            bad = {named(key.place, name, burst) for name in wish.bad}
            for name in sorted(bad):
                bucket.remove(name)
            there = set[str]()
            if any(name.startswith(PACKS) for name in (*wish.put, *wish.bad)):
                there = self._packs(key, passage, world, without=bad)
            put = [named(key.place, name, burst) for name in wish.put]
            get = [named(key.place, name, burst) for name in wish.get]
            return {
                "put": [None if n in there else bucket.put_address(n, GOOD_FOR) for n in put],
                "get": [bucket.get_address(n, GOOD_FOR) for n in get],
            }

    def _packs(self, key: OpenKey, passage: Passage, world: World, without: set[str]) -> set[str]:
        """Names of packs that lie there."""
        with self._lock:
            listing = self._listing.setdefault(key.place, threading.Lock())
        with listing:
            now, known = world.clock.now(), self._there.get(key.place)
            if known is None or now - known.at > LISTED_FOR:
                known = _Known(now, self._listed(key.place, passage, world))
                self._keep(key.place, known)
            known.names -= without
            return known.names

    def _listed(self, place: str, passage: Passage, world: World) -> set[str]:
        away = self._away.get(passage.name)
        if away is not None and world.clock.now() - away[0] < AWAY_FOR:
            raise away[1]
        try:
            return {stored.name for stored in passage.bucket.listed(f"{place}/{PACKS}")}
        except Transient as error:
            self._away[passage.name] = world.clock.now(), error
            raise

    def _keep(self, place: str, known: _Known) -> None:
        """Forgets those that nobody has asked about for a while."""
        with self._lock:
            self._there[place] = known
            for gone in [p for p, k in self._there.items() if known.at - k.at > 5 * LISTED_FOR]:
                del self._there[gone]
                self._listing.pop(gone, None)


@contextmanager
def _patient() -> Iterator[None]:
    """That our own rights do not do, or that our key is gone, is nothing wrong with the job: it
    waits until somebody has seen to it."""
    try:
        yield
    except (AccessDenied, Mismatch) as error:
        raise Unreachable(str(error)) from error


def _passage(burst: Burst, world: World) -> Passage | None:
    name = world.sites[burst.target].passage
    return world.passages[name] if name else None
