"""What every ``ports.licences.LicenceSource`` must keep, tried on a licence server that is ours."""

from __future__ import annotations

from typing import Protocol

import pytest

from burstd.domain.licences import Pool
from burstd.ports.errors import Transient
from burstd.ports.licences import LicenceSource


class LicenceServer(Protocol):
    """It has 50 of ``abaqus`` and 4 of ``cae``, none of which is in use, and the source is to tell
    of these and of ``unheard``, which is not there."""

    @property
    def source(self) -> LicenceSource: ...

    def check_out(self, name: str, count: int) -> None:
        """Somebody uses so many more."""

    def go_away(self) -> None:
        """From now on it can't be asked."""


class LicenceContract:
    """Give a fixture ``server``."""

    def test_it_knows_what_it_is_to_tell_of_even_where_it_cant(self, server: LicenceServer) -> None:
        assert {"abaqus", "cae", "unheard"} == set(server.source.wanted)
        server.go_away()
        assert {"abaqus", "cae", "unheard"} == set(server.source.wanted)

    def test_what_is_not_there_is_missing_and_has_no_number(self, server: LicenceServer) -> None:
        assert {"abaqus", "cae"} == set(server.source.pools())

    def test_what_is_used_is_not_free(self, server: LicenceServer) -> None:
        assert (50, 0, 50) == numbers(server.source.pools()["abaqus"])
        server.check_out("abaqus", 12)
        server.check_out("abaqus", 8)

        assert (50, 20, 30) == numbers(server.source.pools()["abaqus"])
        assert (4, 0, 4) == numbers(server.source.pools()["cae"])

    def test_a_pool_has_its_own_name_and_its_name_in_slurm(self, server: LicenceServer) -> None:
        for name, pool in server.source.pools().items():
            assert (name, server.source.wanted[name]) == (pool.name, pool.slurm)

    def test_one_that_is_away_tells_of_nothing_at_all(self, server: LicenceServer) -> None:
        server.go_away()
        with pytest.raises(Transient):
            server.source.pools()


def numbers(pool: Pool) -> tuple[int, int, int]:
    return pool.total, pool.used, pool.free
