"""Which key seals what passes through a bucket, and the end of keys and objects."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from burstd.core.audit import canonical
from burstd.domain.audit import DAEMON
from burstd.domain.burst import Burst, BurstId, Stage
from burstd.domain.keys import Per, WrappedKey, certificate
from burstd.ports.bucket import Swept
from burstd.ports.errors import PortError
from burstd.shell.world import Passage, World

log = structlog.get_logger()

KEY = 32  #: bytes
PACKS, RESULTS = "packs/", "results/"
GOOD_FOR = 3600  #: seconds that an address is
LAPSED = timedelta(seconds=GOOD_FOR + 600)
TIDIED_EVERY = timedelta(minutes=10)
#: Until a burst has come so far, its far end may still ask for what lies there.
_TAKES_IN = frozenset({Stage.PLANNED, Stage.CLAIMING, Stage.CLAIMED, Stage.STAGING_IN})
#: At rest, and yet a human may still want what lies there.
_WATCHED = frozenset({Stage.QUARANTINED, Stage.ABANDONED})


@dataclass(frozen=True)
class OpenKey:
    """A key in use, and what its objects' names begin with."""

    place: str
    key: bytes = field(repr=False)


def scope_of(burst: Burst, per: Per) -> str:
    """Whose key seals its files."""
    names = {Per.BURST: burst.id, Per.USER: burst.identity.user, Per.ACCOUNT: burst.account}
    # Slurm without accounting knows no accounts: nobody shares a key by accident.
    name = names[per]
    return f"{per.value}:{name}" if name else f"user:{burst.identity.user}"


def key_of(burst: Burst, passage: Passage, world: World) -> OpenKey:
    """The key of a burst's files in a bucket; made where there is none. Raises ``PortError``."""
    scope = scope_of(burst, passage.per)
    kept = next((k for k in _living(world) if (k.bucket, k.scope) == (passage.name, scope)), None)
    if kept is None:
        fresh = WrappedKey(secrets.token_hex(16), passage.name, scope, None, world.clock.now())
        wrapped = passage.vault.wrap(secrets.token_bytes(KEY), fresh.meaning)
        kept = world.store.keep_key(replace(fresh, wrapped=wrapped))
    return OpenKey(kept.place, passage.vault.unwrap(kept.wrapped or "", kept.meaning))


def named(place: str, name: str, burst: Burst) -> str:
    """Where an object of an agent's lies in the bucket: results below their burst."""
    kind, _, rest = name.partition("/")
    return f"{place}/{RESULTS}{burst.id}/{rest}" if f"{kind}/" == RESULTS else f"{place}/{name}"


@dataclass
class Sweeper:
    """Destroys what nobody needs any more: keys of bursts that are over, with all that they sealed;
    under keys that are shared, results that have come home and packs that are old. A bucket that is
    away keeps its objects until it is there again; their key is gone at once."""

    _tidied: dict[str, datetime] = field(default_factory=dict)

    def sweep(self, world: World) -> None:
        """Once; to be called every minute or so."""
        if not world.passages or world.store.ledger().suspect:
            return  # who may be a copy of an older self removes nothing
        for key in world.store.seal_keys():
            if key.bucket in world.passages:
                try:
                    self._look_at(key, world.passages[key.bucket], world)
                except PortError as error:
                    where = {"bucket": key.bucket, "place": key.place}
                    log.warning("bucket.unswept", **where, cause=str(error))

    def _look_at(self, key: WrappedKey, passage: Passage, world: World) -> None:
        if key.emptied_at is not None:
            _look_again(key, passage, world)
        elif key.wrapped is None:
            shred(key, passage, world)
        elif (owner := key.scope.removeprefix("burst:")) != key.scope:
            if (burst := _over(owner, world)) is not None:
                end(key, DAEMON, f"its burst is {burst.stage.value}", passage, world)
        elif self._is_due(key, passage, world):
            _tidy(key, passage, world)
            self._tidied[key.place] = world.clock.now()

    def _is_due(self, key: WrappedKey, passage: Passage, world: World) -> bool:
        """It waits for something else to open the way."""
        since = world.clock.now() - self._tidied.get(key.place, key.made_at)
        return since >= TIDIED_EVERY and (passage.link is None or passage.link.view().up)


def end(key: WrappedKey, by: str, why: str, passage: Passage, world: World) -> Mapping[str, object]:
    """Destroy a key, then its objects; the certificate. Raises ``PortError`` where the objects
    could not be removed: ``sweep`` goes on with that."""
    world.store.destroy_key(key.place, by, why)
    (destroyed,) = [found for found in world.store.seal_keys() if found.place == key.place]
    return shred(destroyed, passage, world)


def shred(key: WrappedKey, passage: Passage, world: World) -> Mapping[str, object]:
    """The objects of a destroyed key are removed, and the site says so; see ``end``."""
    gone = _removed(key, passage, world)
    content = certificate(key, passage.where, world.clock.now(), gone.objects, gone.size)
    by = passage.vault.sign(canonical(content).encode())
    signed = {**content, "public_key": by.public_key, "signature": by.signature}
    world.store.shredded(key, signed)
    log.info("bucket.shredded", scope=key.scope, objects=gone.objects, bytes=gone.size)
    # Who sweeps beside us may have been first: the log has that one's.
    kept = [one.detail for one in world.store.shreds(key.scope) if one.detail["place"] == key.place]
    return kept[0] if kept else signed


def _look_again(key: WrappedKey, passage: Passage, world: World) -> None:
    """By an address that was signed before something may have come back, that nobody can open: once
    none is good any more, that goes too."""
    if key.emptied_at is None or world.clock.now() - key.emptied_at < LAPSED:
        return
    gone = _removed(key, passage, world)
    if gone.objects:
        log.info("bucket.shredded", scope=key.scope, objects=gone.objects, bytes=gone.size)
    world.store.forget_key(key.place)


def _removed(key: WrappedKey, passage: Passage, world: World) -> Swept:
    if passage.link is not None:
        passage.link.ensure_up()
    world.store.tell("effect.remove", "", {"bucket": passage.where, "place": key.place})
    return passage.bucket.remove(f"{key.place}/")


def users_of(scopes: Iterable[str], bursts: Iterable[Burst]) -> list[Burst]:
    """Open bursts whose files one of those keys may seal."""
    asked = frozenset(scopes)
    return [
        burst
        for burst in bursts
        if not burst.stage.at_rest and asked & {scope_of(burst, per) for per in Per}
    ]


def _living(world: World) -> list[WrappedKey]:
    return [key for key in world.store.seal_keys() if key.wrapped is not None]


def _over(burst: str, world: World) -> Burst | None:
    """It, if no human may still want what it has left."""
    found = world.store.burst(BurstId(burst))
    over = found is not None and found.stage.at_rest and found.stage not in _WATCHED
    return found if over else None


def _tidy(key: WrappedKey, passage: Passage, world: World) -> None:
    """What lies there under a shared key and serves nobody any more."""
    now, stale = world.clock.now(), set[str]()
    awaited = any(
        burst.stage in _TAKES_IN and scope_of(burst, passage.per) == key.scope
        for burst in world.store.open_bursts()
    )
    results = f"{key.place}/{RESULTS}"
    for stored in passage.bucket.listed(f"{key.place}/"):
        if stored.name.startswith(results):
            stale.add(stored.name.removeprefix(results).partition("/")[0])
        elif not awaited and now - stored.modified > passage.keep:
            passage.bucket.remove(stored.name)
    for owner in sorted(stale):
        if _over(owner, world) is not None:
            passage.bucket.remove(f"{results}{owner}/")
