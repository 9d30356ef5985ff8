"""A licence server in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from burstd.domain.licences import Pool
from burstd.ports.errors import Unreachable


@dataclass
class SimulatedLicences:
    """Port ``LicenceSource``. ``totals`` and ``used`` are the test's to change."""

    totals: dict[str, int]
    used: dict[str, int] = field(default_factory=dict)
    up: bool = True
    silent: set[str] = field(default_factory=set)  #: of which it does not tell

    @property
    def wanted(self) -> Mapping[str, str]:
        return dict.fromkeys(self.totals, "")

    def pools(self) -> Mapping[str, Pool]:
        if not self.up:
            raise Unreachable("the licence server is away")
        return {
            name: Pool(name, total, self.used.get(name, 0))
            for name, total in self.totals.items()
            if name not in self.silent
        }
