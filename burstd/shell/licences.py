"""How many licences are free, as far as anybody can tell now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from burstd.domain.findings import Area, Finding
from burstd.domain.licences import PoolView, UnseenPool
from burstd.ports.errors import PortError
from burstd.ports.licences import LicenceSource


def look_at(sources: Collection[LicenceSource]) -> dict[str, PoolView]:
    """Every configured pool; one that its source can't tell of is unseen, with the cause.

    All are asked at once: together they take as long as the slowest, and none is waited for twice.
    """
    if not sources:
        return {}
    with ThreadPoolExecutor(len(sources), "licences") as threads:
        return {view.name: view for views in threads.map(_views, sources) for view in views}


def named(sources: Iterable[LicenceSource]) -> dict[str, PoolView]:
    """Every configured pool by its name alone: nobody is asked."""
    wanted = (pool for source in sources for pool in source.wanted.items())
    return {name: UnseenPool(name, "nobody was asked", slurm) for name, slurm in wanted}


def _views(source: LicenceSource) -> list[PoolView]:
    pools: Mapping[str, PoolView] = {}
    cause = "its source does not tell of it"
    try:
        pools = source.pools()
    except PortError as error:
        cause = str(error)
    wanted = source.wanted.items()
    return [pools.get(name) or UnseenPool(name, cause, slurm) for name, slurm in wanted]


def unseen(views: Iterable[PoolView]) -> dict[str, str]:
    """The cause by the name of the pool."""
    return {pool.name: pool.cause for pool in views if isinstance(pool, UnseenPool)}


def findings(views: Mapping[str, PoolView]) -> Iterator[Finding]:
    """One for each pool. One that is unseen keeps its jobs here, and no others."""
    area = Area("licences")
    for name, pool in sorted(views.items()):
        if isinstance(pool, UnseenPool):
            fix = f"run by hand what licences.{name} says, as burstd's account; or correct it"
            yield area.failed(name, pool.cause, fix)
            continue
        kept = f", {pool.kept} kept for others" if pool.kept else ""
        yield area.ok(name, f"{pool.used} of {pool.total} in use{kept}")
